"""CreateRepository, DescribeRepositories, DeleteRepository, PutImageScanningConfiguration."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.support import (
    ACCOUNT,
    all_of,
    arn_of,
    bad_parameter,
    denied,
    error_of,
    members_of,
    pages_of,
    push,
    repository_missing,
)
from tests.places import ON_DATABASES
from tests.registry_client import RegistryClient, digest_of
from tests.running import OTHER_ACCOUNT, Server

pytestmark = ON_DATABASES

NAME_PATTERN = "(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*"


def already_there(name: str) -> tuple[str, str]:
    return (
        "RepositoryAlreadyExistsException",
        f"The repository with name '{name}' already exists in the registry with id '{ACCOUNT}'",
    )


def test_a_new_repository_has_ecrs_members_and_defaults(ecr: Any, server: Server, repository_name: str) -> None:
    before = datetime.now(UTC).replace(microsecond=0)

    answer = members_of(ecr.create_repository(repositoryName=repository_name))

    made = answer.pop("repository")
    assert answer == {}
    created = made.pop("createdAt")
    assert before <= created <= before + timedelta(seconds=60)
    assert created.microsecond == 0
    assert made == {
        "repositoryArn": arn_of(repository_name),
        "registryId": ACCOUNT,
        "repositoryName": repository_name,
        "repositoryUri": f"{server.host}/{repository_name}",
        "imageTagMutability": "MUTABLE",
        "imageScanningConfiguration": {"scanOnPush": False},
        "encryptionConfiguration": {"encryptionType": "AES256"},
    }


def test_a_new_repository_keeps_every_setting_it_was_given(ecr: Any, kms: Any, repository_name: str) -> None:
    key_arn = kms.create_key()["KeyMetadata"]["Arn"]
    filters = [{"filterType": "WILDCARD", "filter": "dev-*"}, {"filterType": "WILDCARD", "filter": "latest"}]

    ecr.create_repository(
        repositoryName=repository_name,
        imageTagMutability="IMMUTABLE_WITH_EXCLUSION",
        imageTagMutabilityExclusionFilters=filters,
        imageScanningConfiguration={"scanOnPush": True},
        encryptionConfiguration={"encryptionType": "KMS", "kmsKey": key_arn},
        tags=[{"Key": "team", "Value": "a"}],
    )

    found = ecr.describe_repositories(repositoryNames=[repository_name])["repositories"][0]
    assert found["imageTagMutability"] == "IMMUTABLE_WITH_EXCLUSION"
    assert found["imageTagMutabilityExclusionFilters"] == filters
    assert found["imageScanningConfiguration"] == {"scanOnPush": True}
    assert found["encryptionConfiguration"] == {"encryptionType": "KMS", "kmsKey": key_arn}
    tags = ecr.list_tags_for_resource(resourceArn=found["repositoryArn"])["tags"]
    assert tags == [{"Key": "team", "Value": "a"}]


@pytest.mark.parametrize("named_by", ["id", "arn", "alias", "alias arn"])
@pytest.mark.parametrize("kind", ["KMS", "KMS_DSSE"])
def test_a_kms_key_is_stored_as_its_arn(ecr: Any, kms: Any, repository_name: str, kind: str, named_by: str) -> None:
    key = kms.create_key()["KeyMetadata"]
    alias = f"alias/{repository_name}"
    kms.create_alias(AliasName=alias, TargetKeyId=key["KeyId"])
    alias_arn = f"arn:aws:kms:us-east-1:{ACCOUNT}:{alias}"
    given = {"id": key["KeyId"], "arn": key["Arn"], "alias": alias, "alias arn": alias_arn}[named_by]

    made = ecr.create_repository(
        repositoryName=repository_name, encryptionConfiguration={"encryptionType": kind, "kmsKey": given}
    )["repository"]

    assert made["encryptionConfiguration"] == {"encryptionType": kind, "kmsKey": key["Arn"]}
    assert ecr.describe_repositories(repositoryNames=[repository_name])["repositories"] == [made]


@pytest.mark.parametrize("given", [None, "alias/aws/ecr"])
def test_without_a_key_the_one_that_aws_manages_is_used(
    ecr: Any, kms: Any, repository_name: str, given: str | None
) -> None:
    configuration = {"encryptionType": "KMS"} | ({"kmsKey": given} if given else {})

    made = ecr.create_repository(repositoryName=repository_name, encryptionConfiguration=configuration)["repository"]

    managed = kms.describe_key(KeyId="alias/aws/ecr")["KeyMetadata"]
    assert managed["KeyManager"] == "AWS"
    assert made["encryptionConfiguration"] == {"encryptionType": "KMS", "kmsKey": managed["Arn"]}


def test_a_kms_key_does_not_belong_to_aes256(ecr: Any, repository_name: str) -> None:
    assert error_of(
        ecr.create_repository,
        repositoryName=repository_name,
        encryptionConfiguration={"encryptionType": "AES256", "kmsKey": "alias/mine"},
    ) == bad_parameter("encryptionConfiguration", "kmsKey can't be set when encryptionType is AES256")


def test_a_name_is_given_once(ecr: Any, repository: str) -> None:
    assert error_of(ecr.create_repository, repositoryName=repository) == already_there(repository)


def test_bad_parameters_are_told_before_that_the_name_is_taken(ecr: Any, repository: str) -> None:
    code, _ = error_of(ecr.create_repository, repositoryName=repository, imageTagMutability="IMMUTABLE_WITH_EXCLUSION")

    assert code == "InvalidParameterException"


def test_a_repository_whose_tags_are_refused_is_not_made(ecr: Any, repository_name: str) -> None:
    refused = error_of(ecr.create_repository, repositoryName=repository_name, tags=[{"Key": "aws:mine", "Value": "x"}])

    assert refused == ("InvalidTagParameterException", "The tag key 'aws:mine' is reserved")
    missing = error_of(ecr.describe_repositories, repositoryNames=[repository_name])
    assert missing == repository_missing(repository_name)


@pytest.mark.parametrize("name", ["Upper", "a..b", "a_-b", "-a", "a-", "a/", "/a", "a//b", "a b", "a.", "ab\n"])
def test_a_malformed_name_is_refused_with_the_pattern_that_ecr_quotes(ecr: Any, name: str) -> None:
    assert error_of(ecr.create_repository, repositoryName=name) == bad_parameter(
        "repositoryName", f"must satisfy regular expression '{NAME_PATTERN}'"
    )


@pytest.mark.parametrize("name", ["999988887777.eu-west-1/app", "public.ecr.aws/app"])
def test_a_name_that_would_address_another_registry_is_refused(ecr: Any, name: str) -> None:
    assert error_of(ecr.create_repository, repositoryName=name) == bad_parameter(
        "repositoryName", f"must satisfy regular expression '{NAME_PATTERN}'"
    )


@pytest.mark.parametrize("suffix", ["__b", "--b", "0/1.2_3", "/" + "x" * 200])
def test_names_that_the_current_pattern_allows_are_taken(ecr: Any, repository_name: str, suffix: str) -> None:
    made = ecr.create_repository(repositoryName=repository_name + suffix)

    assert made["repository"]["repositoryName"] == repository_name + suffix


def test_the_length_of_a_name_is_checked_before_its_form(unchecked: Any) -> None:
    assert error_of(unchecked.create_repository, repositoryName="A") == bad_parameter(
        "repositoryName", "must have length greater than or equal to 2"
    )
    assert error_of(unchecked.create_repository, repositoryName="A" * 257) == bad_parameter(
        "repositoryName", "must have length less than or equal to 256"
    )


def test_a_missing_name_is_told(unchecked: Any) -> None:
    assert error_of(unchecked.create_repository) == bad_parameter("repositoryName", "Member must not be null")


def test_describing_names_keeps_the_order_asked(ecr: Any, repository_name: str) -> None:
    names = [f"{repository_name}-{letter}" for letter in "bca"]
    for name in names:
        ecr.create_repository(repositoryName=name)

    found = ecr.describe_repositories(repositoryNames=names)

    assert set(members_of(found)) == {"repositories"}
    assert [item["repositoryName"] for item in found["repositories"]] == names


def test_describing_fails_for_the_first_missing_name(ecr: Any, repository: str) -> None:
    absent = [f"{repository}/absent-1", f"{repository}/absent-2"]

    refused = error_of(ecr.describe_repositories, repositoryNames=[repository, *absent])

    assert refused == repository_missing(absent[0])


@pytest.mark.parametrize("with_page", [{"maxResults": 1}, {"nextToken": "x"}])
def test_names_exclude_pages(ecr: Any, repository: str, with_page: dict[str, Any]) -> None:
    code, _ = error_of(ecr.describe_repositories, repositoryNames=[repository], **with_page)

    assert code == "InvalidParameterException"


def test_all_repositories_are_listed_by_name(ecr: Any, repository_name: str) -> None:
    made = [f"{repository_name}/{letter}" for letter in "badc"]
    for name in made:
        ecr.create_repository(repositoryName=name)

    names = [item["repositoryName"] for item in all_of(ecr.describe_repositories, "repositories", maxResults=2)]

    assert names == sorted(set(names), key=str.encode)
    assert set(made) <= set(names)


def test_a_page_holds_as_many_as_asked_and_the_last_has_no_token(ecr: Any, repository_name: str) -> None:
    for letter in "abc":
        ecr.create_repository(repositoryName=f"{repository_name}/{letter}")

    pages = pages_of(ecr.describe_repositories, "repositories", maxResults=2)

    assert {len(page) for page in pages[:-1]} == {2}
    assert 1 <= len(pages[-1]) <= 2


def test_a_page_holds_a_hundred_when_nothing_is_asked(server: Server, repository_name: str) -> None:
    ecr = server.client("ecr", region="ap-south-1")
    for number in range(101):
        ecr.create_repository(repositoryName=f"{repository_name}/{number}")

    assert [len(page) for page in pages_of(ecr.describe_repositories, "repositories")] == [100, 1]


def test_the_borders_of_max_results(ecr: Any, unchecked: Any, repository: str) -> None:
    assert ecr.describe_repositories(maxResults=1000)["repositories"]
    assert error_of(unchecked.describe_repositories, maxResults=1001) == bad_parameter(
        "maxResults", "Member must have value less than or equal to 1000"
    )
    assert error_of(unchecked.describe_repositories, maxResults=0) == bad_parameter(
        "maxResults", "Member must have value greater than or equal to 1"
    )


def test_no_more_than_a_hundred_names(unchecked: Any) -> None:
    assert error_of(unchecked.describe_repositories, repositoryNames=["ab"] * 101) == bad_parameter(
        "repositoryNames", "Member must have length less than or equal to 100"
    )
    assert error_of(unchecked.describe_repositories, repositoryNames=[]) == bad_parameter(
        "repositoryNames", "Member must have length greater than or equal to 1"
    )


def test_repositories_made_and_deleted_between_pages_hide_and_repeat_nothing(ecr: Any, repository_name: str) -> None:
    stem = f"{repository_name}/"
    for letter in "bdfh":
        ecr.create_repository(repositoryName=stem + letter)
    first = ecr.describe_repositories(maxResults=1000)
    token, seen = None, list[str]()
    while f"{stem}d" not in seen:
        page = ecr.describe_repositories(maxResults=1, **({"nextToken": token} if token else {}))
        seen += [item["repositoryName"] for item in page["repositories"]]
        token = page["nextToken"]
    ecr.create_repository(repositoryName=f"{stem}a")
    ecr.delete_repository(repositoryName=f"{stem}d")
    ecr.create_repository(repositoryName=f"{stem}e")

    rest = all_of(lambda **more: ecr.describe_repositories(**({"nextToken": token} | more)), "repositories")

    seen += [item["repositoryName"] for item in rest]
    assert [name for name in seen if name.startswith(stem)] == [stem + letter for letter in "bdefh"]
    assert len(seen) == len(set(seen))
    assert "nextToken" not in first


def test_deleting_returns_the_repository_and_ends_it(ecr: Any, repository: str) -> None:
    described = ecr.describe_repositories(repositoryNames=[repository])["repositories"][0]

    answer = members_of(ecr.delete_repository(repositoryName=repository))

    assert answer == {"repository": described}
    missing = error_of(ecr.describe_repositories, repositoryNames=[repository])
    assert missing == repository_missing(repository)


def test_a_repository_with_images_is_deleted_by_force_only(ecr: Any, docker: RegistryClient, repository: str) -> None:
    push(docker, repository, "kept", "v1")

    refused = error_of(ecr.delete_repository, repositoryName=repository)

    assert refused == (
        "RepositoryNotEmptyException",
        (
            f"The repository with name '{repository}' in registry with id '{ACCOUNT}' "
            "cannot be deleted because it still contains images"
        ),
    )
    assert error_of(ecr.delete_repository, repositoryName=repository, force=False) == refused
    assert ecr.delete_repository(repositoryName=repository, force=True)["repository"]["repositoryName"] == repository


def test_untagged_images_count_as_images(ecr: Any, docker: RegistryClient, repository: str) -> None:
    push(docker, repository, "untagged")

    assert error_of(ecr.delete_repository, repositoryName=repository)[0] == "RepositoryNotEmptyException"


def test_a_name_is_free_after_deletion_and_nothing_of_the_old_repository_shows(
    ecr: Any, docker: RegistryClient, repository: str
) -> None:
    image = push(docker, repository, "old", "v1")
    ecr.tag_resource(resourceArn=arn_of(repository), tags=[{"Key": "k", "Value": "v"}])
    ecr.delete_repository(repositoryName=repository, force=True)

    ecr.create_repository(repositoryName=repository)

    assert ecr.list_images(repositoryName=repository)["imageIds"] == []
    assert ecr.list_tags_for_resource(resourceArn=arn_of(repository))["tags"] == []
    assert docker.request("HEAD", f"{docker.path(repository)}/blobs/{digest_of(image.layers[0])}").status == 404
    listed = [item["repositoryName"] for item in all_of(ecr.describe_repositories, "repositories")]
    assert listed.count(repository) == 1
    assert not [name for name in listed if "#" in name]


def test_deleting_a_missing_repository(ecr: Any, repository_name: str) -> None:
    assert error_of(ecr.delete_repository, repositoryName=repository_name) == repository_missing(repository_name)


@pytest.mark.parametrize("on", [True, False])
def test_scan_on_push_is_stored_and_echoed(ecr: Any, repository: str, on: bool) -> None:
    answer = members_of(
        ecr.put_image_scanning_configuration(repositoryName=repository, imageScanningConfiguration={"scanOnPush": on})
    )

    assert answer == {
        "registryId": ACCOUNT,
        "repositoryName": repository,
        "imageScanningConfiguration": {"scanOnPush": on},
    }
    described = ecr.describe_repositories(repositoryNames=[repository])["repositories"][0]
    assert described["imageScanningConfiguration"] == {"scanOnPush": on}


def test_scanning_configuration_of_a_missing_repository(ecr: Any, repository_name: str) -> None:
    assert error_of(
        ecr.put_image_scanning_configuration,
        repositoryName=repository_name,
        imageScanningConfiguration={"scanOnPush": True},
    ) == repository_missing(repository_name)


def test_each_region_has_its_own_repositories(server: Server, ecr: Any, repository: str) -> None:
    elsewhere = server.client("ecr", region="eu-west-1")

    missing = error_of(elsewhere.describe_repositories, repositoryNames=[repository])
    made = elsewhere.create_repository(repositoryName=repository)["repository"]

    assert missing == repository_missing(repository)
    assert made["repositoryArn"] == arn_of(repository, region="eu-west-1")
    assert made["repositoryUri"] == f"{server.host}/{ACCOUNT}.eu-west-1/{repository}"


def test_each_account_has_its_own_repositories(other_ecr: Any, server: Server, repository: str) -> None:
    made = other_ecr.create_repository(repositoryName=repository)["repository"]

    assert made["registryId"] == OTHER_ACCOUNT
    assert made["repositoryArn"] == arn_of(repository, OTHER_ACCOUNT)
    assert made["repositoryUri"] == f"{server.host}/{OTHER_ACCOUNT}.us-east-1/{repository}"


@pytest.mark.parametrize("exists", [True, False])
def test_another_accounts_administrator_learns_nothing(other_ecr: Any, repository: str, exists: bool) -> None:
    name = repository if exists else f"{repository}/absent"
    resource = arn_of(name)

    for call, action, more in (
        (other_ecr.describe_repositories, "ecr:DescribeRepositories", {"repositoryNames": [name]}),
        (other_ecr.delete_repository, "ecr:DeleteRepository", {"repositoryName": name, "force": True}),
        (other_ecr.create_repository, "ecr:CreateRepository", {"repositoryName": name}),
        (other_ecr.list_images, "ecr:ListImages", {"repositoryName": name}),
        (other_ecr.describe_images, "ecr:DescribeImages", {"repositoryName": name}),
        (other_ecr.initiate_layer_upload, "ecr:InitiateLayerUpload", {"repositoryName": name}),
        (
            other_ecr.batch_get_image,
            "ecr:BatchGetImage",
            {"repositoryName": name, "imageIds": [{"imageTag": "v1"}]},
        ),
        (
            other_ecr.put_image_tag_mutability,
            "ecr:PutImageTagMutability",
            {"repositoryName": name, "imageTagMutability": "MUTABLE"},
        ),
    ):
        assert error_of(call, registryId=ACCOUNT, **more) == denied(OTHER_ACCOUNT, action, resource)
    assert error_of(other_ecr.list_tags_for_resource, resourceArn=resource) == denied(
        OTHER_ACCOUNT, "ecr:ListTagsForResource", resource
    )


def test_listing_all_repositories_of_another_account_is_denied(other_ecr: Any) -> None:
    assert error_of(other_ecr.describe_repositories, registryId=ACCOUNT) == denied(
        OTHER_ACCOUNT, "ecr:DescribeRepositories", arn_of("*")
    )
