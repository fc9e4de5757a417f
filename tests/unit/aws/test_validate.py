"""Constraints of members, in the words of the service."""

import re
import time
from typing import Any

import pytest

from openecr.aws import deviations, model
from openecr.aws.patterns import compiled, translate
from openecr.aws.validate import check
from openecr.errors import InvalidParameter, ValidationFailed

ECR = model.load("ecr")
STS = model.load("sts")
OLD_NAME_PATTERN = "(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*"
REPOSITORY = {"repositoryName": "team/app"}


def own(operation: str, members: dict[str, Any]) -> str:
    """ECR's own refusal."""
    with pytest.raises(InvalidParameter) as refused:
        check(ECR, operation, members)
    return refused.value.message


def common(operation: str, members: dict[str, Any]) -> str:
    """The refusal in the form common to AWS."""
    with pytest.raises(ValidationFailed) as refused:
        check(STS if operation in STS.operations else ECR, operation, members)
    return refused.value.message


def at(parameter: str, constraint: str) -> str:
    return f"Invalid parameter at '{parameter}' failed to satisfy constraint: '{constraint}'"


def test_a_malformed_repository_name_is_told_with_the_old_pattern_and_two_quotes() -> None:
    assert own("CreateRepository", {"repositoryName": "Team/App"}) == (
        "Invalid parameter at 'repositoryName' failed to satisfy constraint: "
        f"'must satisfy regular expression '{OLD_NAME_PATTERN}''"
    )


@pytest.mark.parametrize("name", ["a__b", "a--b", "a/b/c", "0a"])
def test_the_current_pattern_decides_what_a_repository_name_is(name: str) -> None:
    check(ECR, "CreateRepository", {"repositoryName": name})


@pytest.mark.parametrize("name", ["a..b", "a_-b", "a/", "/a", "a//b", "ab\n", "a___b", "-ab"])
def test_names_outside_the_current_pattern_are_refused(name: str) -> None:
    assert "must satisfy regular expression" in own("CreateRepository", {"repositoryName": name})


@pytest.mark.parametrize("name", ["public.ecr.aws/a/b", "111122223333.eu-west-1/app"])
def test_a_new_repository_may_not_have_a_name_that_addresses_another_registry(name: str) -> None:
    assert "must satisfy regular expression" in own("CreateRepository", {"repositoryName": name})


def test_length_is_told_before_the_pattern() -> None:
    assert own("CreateRepository", {"repositoryName": "A"}) == at(
        "repositoryName", "must have length greater than or equal to 2"
    )


def test_a_text_may_be_too_long() -> None:
    assert own("CreateRepository", {"repositoryName": "a" * 257}) == at(
        "repositoryName", "must have length less than or equal to 256"
    )


def test_a_required_member_may_not_be_absent() -> None:
    assert own("CreateRepository", {}) == at("repositoryName", "Member must not be null")


def test_a_list_may_be_too_short() -> None:
    assert own("BatchGetImage", REPOSITORY | {"imageIds": []}) == at(
        "imageIds", "Member must have length greater than or equal to 1"
    )


def test_a_list_may_be_too_long() -> None:
    assert own("BatchGetImage", REPOSITORY | {"imageIds": [{}] * 101}) == at(
        "imageIds", "Member must have length less than or equal to 100"
    )


def test_an_element_is_told_at_its_list() -> None:
    assert own("GetAuthorizationToken", {"registryIds": ["123456789012", "12"]}) == at(
        "registryIds", "Member must satisfy constraint: [Member must satisfy regular expression pattern: [0-9]{12}]"
    )


def test_every_demand_on_an_element_is_listed() -> None:
    assert own("BatchCheckLayerAvailability", REPOSITORY | {"layerDigests": []}) == at(
        "layerDigests", "Member must have length greater than or equal to 1"
    )
    assert common(
        "ListImageReferrers", REPOSITORY | {"subjectId": {"imageDigest": "sha256:0"}, "filter": {"artifactTypes": [""]}}
    ) == (
        "1 validation error detected: Value '[]' at 'filter.artifactTypes' failed to satisfy constraint: "
        "Member must satisfy constraint: [Member must have length less than or equal to 255, "
        "Member must have length greater than or equal to 1]"
    )


def test_an_absent_element_is_told() -> None:
    assert own("GetAuthorizationToken", {"registryIds": [None]}) == at(
        "registryIds.1.member", "Member must not be null"
    )


def test_a_number_may_be_too_large() -> None:
    assert own("ListImages", REPOSITORY | {"maxResults": 1001}) == at(
        "maxResults", "Member must have value less than or equal to 1000"
    )


def test_a_number_may_be_too_small() -> None:
    assert own("ListImages", REPOSITORY | {"maxResults": 0}) == at(
        "maxResults", "Member must have value greater than or equal to 1"
    )


def test_the_values_of_the_tag_mutability_are_listed_in_ecrs_order() -> None:
    assert own("PutImageTagMutability", REPOSITORY | {"imageTagMutability": "SOMETIMES"}) == at(
        "imageTagMutability",
        "Member must satisfy enum value set: [IMMUTABLE, MUTABLE, MUTABLE_WITH_EXCLUSION, IMMUTABLE_WITH_EXCLUSION]",
    )


def test_members_of_nested_structures_are_told_with_their_path() -> None:
    assert own("ListImages", REPOSITORY | {"filter": {"tagStatus": "SOME"}}) == at(
        "filter.tagStatus", "Member must satisfy enum value set: [TAGGED, UNTAGGED, ANY]"
    )


def test_members_of_listed_structures_are_told_with_their_position() -> None:
    assert own("TagResource", {"resourceArn": "x", "tags": [{"Key": "a", "Value": "b"}, {"Key": "a"}]}) == at(
        "tags.2.member.Value", "Member must not be null"
    )


def test_a_blob_may_be_too_long() -> None:
    members = {
        "uploadId": "0" * 8 + "-0000-0000-0000-" + "0" * 12,
        "partFirstByte": 0,
        "partLastByte": 9,
        "layerPartBlob": bytes(20_971_521),
    }

    assert own("UploadLayerPart", REPOSITORY | members) == at(
        "layerPartBlob", "must have length less than or equal to 20971520"
    )


def test_the_null_character_is_refused() -> None:
    tags = [{"Key": "a\0", "Value": ""}]

    assert own("TagResource", {"resourceArn": "x", "tags": tags}) == at(
        "tags.1.member.Key", "must not contain the null character"
    )


def test_tags_and_digests_of_image_ids_are_left_to_the_operation() -> None:
    image_ids = [{"imageTag": "", "imageDigest": "?"}, {"imageTag": "x" * 999}]

    check(ECR, "BatchGetImage", REPOSITORY | {"imageIds": image_ids})


def test_digests_of_layers_in_a_batch_are_left_to_the_operation() -> None:
    check(ECR, "BatchCheckLayerAvailability", REPOSITORY | {"layerDigests": ["no digest"]})


def test_a_newer_operation_tells_the_value_in_the_common_form() -> None:
    assert common("GetAccountSetting", {"name": ""}) == (
        "1 validation error detected: Value '' at 'name' failed to satisfy constraint: "
        "Member must have length greater than or equal to 1"
    )


def test_the_common_form_names_every_broken_constraint() -> None:
    assert common("PutAccountSetting", {}) == (
        "2 validation errors detected: Value null at 'name' failed to satisfy constraint: Member must not be null; "
        "Value null at 'value' failed to satisfy constraint: Member must not be null"
    )


def test_operations_older_than_the_common_form_keep_ecrs_own() -> None:
    assert own("PutLifecyclePolicy", REPOSITORY | {"lifecyclePolicyText": "{}"}) == at(
        "lifecyclePolicyText", "must have length greater than or equal to 100"
    )


def test_query_services_name_members_with_a_small_letter() -> None:
    assert common("AssumeRole", {"RoleArn": "arn:aws:iam::123456789012:role/x", "RoleSessionName": "a b"}) == (
        "1 validation error detected: Value 'a b' at 'roleSessionName' failed to satisfy constraint: "
        r"Member must satisfy regular expression pattern: [\w+=,.@-]*"
    )


@pytest.mark.parametrize("service", ["ecr", "ecr-public", "sts", "iam", "kms", "secretsmanager"])
def test_every_pattern_of_the_models_can_be_checked(service: str) -> None:
    unusable = [pattern for pattern in patterns_of(service) if not is_usable(pattern)]

    assert unusable == []


def test_unicode_classes_are_javas() -> None:
    tag_key = compiled(r"[\p{L}\p{Z}\p{N}_.:/=+\-@]+")

    assert tag_key.fullmatch("Größe 名前-1") is not None
    assert tag_key.fullmatch("a;b") is None
    assert translate(r"\p{Lower}") == "[a-z]"


def test_words_and_digits_are_ascii_as_in_java() -> None:
    assert compiled(r"[\w]*").fullmatch("é") is None


def test_no_pattern_takes_long_on_a_hostile_name() -> None:
    hostile = ("a" * 255 + "!", "a-" * 127 + "!", "*" * 255 + "!", "a/" * 127 + "!", "a" + "_" * 254, "-" * 256)
    started = time.perf_counter()

    for pattern in patterns_of("ecr"):
        for text in hostile:
            compiled(pattern).fullmatch(text)

    assert time.perf_counter() - started < 1


def patterns_of(service: str) -> list[str]:
    """Every pattern that is checked for a service."""
    found: set[str] = set()
    seen: set[str] = set()

    def walk(shape: Any) -> None:
        if shape is None or shape.name in seen:
            return
        seen.add(shape.name)
        if "pattern" in shape.metadata:
            found.add(deviations.PATTERNS_CHECKED.get(shape.name, shape.metadata["pattern"]))
        for child in getattr(shape, "members", {}).values():
            walk(child)
        walk(getattr(shape, "member", None))
        walk(getattr(shape, "value", None))

    for operation in model.load(service).operations.values():
        walk(operation.input_shape)
    return sorted(found)


def is_usable(pattern: str) -> bool:
    try:
        compiled(pattern)
    except re.error:
        return False
    return True
