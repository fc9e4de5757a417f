"""TagResource, UntagResource, ListTagsForResource."""

from typing import Any

import pytest

from tests.api.support import (
    ACCOUNT,
    arn_of,
    bad_parameter,
    denied,
    error_of,
    members_of,
    repository_missing,
)
from tests.places import ON_DATABASES
from tests.running import OTHER_ACCOUNT

pytestmark = ON_DATABASES


def tag(key: str, value: str = "") -> dict[str, str]:
    return {"Key": key, "Value": value}


def tags_of(ecr: Any, name: str) -> list[dict[str, str]]:
    answer = members_of(ecr.list_tags_for_resource(resourceArn=arn_of(name)))
    assert set(answer) == {"tags"}
    return list(answer["tags"])


def test_tags_are_added_overwritten_by_key_and_kept_in_order(ecr: Any, repository: str) -> None:
    arn = arn_of(repository)

    answer = members_of(ecr.tag_resource(resourceArn=arn, tags=[tag("b", "1"), tag("a", "2")]))
    ecr.tag_resource(resourceArn=arn, tags=[tag("c", "3"), tag("b", "4")])

    assert answer == {}
    assert tags_of(ecr, repository) == [tag("b", "4"), tag("a", "2"), tag("c", "3")]


def test_keys_are_case_sensitive(ecr: Any, repository: str) -> None:
    ecr.tag_resource(resourceArn=arn_of(repository), tags=[tag("Team", "1"), tag("team", "2")])

    assert tags_of(ecr, repository) == [tag("Team", "1"), tag("team", "2")]


def test_untagging_removes_by_key_and_an_absent_key_is_no_error(ecr: Any, repository: str) -> None:
    ecr.tag_resource(resourceArn=arn_of(repository), tags=[tag("a"), tag("b")])

    answer = members_of(ecr.untag_resource(resourceArn=arn_of(repository), tagKeys=["a", "never"]))

    assert answer == {}
    assert tags_of(ecr, repository) == [tag("b")]


def test_fifty_tags_are_taken_and_no_more(ecr: Any, repository: str) -> None:
    ecr.tag_resource(resourceArn=arn_of(repository), tags=[tag(f"k{number}") for number in range(50)])

    refused = error_of(ecr.tag_resource, resourceArn=arn_of(repository), tags=[tag("k51"), tag("k0", "changed")])

    assert refused == ("TooManyTagsException", "A repository can have at most 50 tags")
    assert tags_of(ecr, repository) == [tag(f"k{number}") for number in range(50)]


def test_a_repository_with_too_many_tags_is_not_made(ecr: Any, repository_name: str) -> None:
    refused = error_of(
        ecr.create_repository, repositoryName=repository_name, tags=[tag(f"k{number}") for number in range(51)]
    )

    assert refused[0] == "TooManyTagsException"
    assert error_of(ecr.describe_repositories, repositoryNames=[repository_name]) == repository_missing(repository_name)


@pytest.mark.parametrize("key", ["aws:x", "AWS:x", "aws:"])
def test_reserved_keys_are_refused(ecr: Any, repository: str, key: str) -> None:
    refused = error_of(ecr.tag_resource, resourceArn=arn_of(repository), tags=[tag(key)])

    assert refused == ("InvalidTagParameterException", f"The tag key '{key}' is reserved")


def test_the_lengths_of_key_and_value(unchecked: Any, repository: str) -> None:
    arn = arn_of(repository)
    unchecked.tag_resource(resourceArn=arn, tags=[tag("k" * 128, "v" * 256)])

    for bad in (tag("k" * 129), tag("k", "v" * 257), tag("")):
        code, _ = error_of(unchecked.tag_resource, resourceArn=arn, tags=[bad])
        assert code in ("InvalidParameterException", "InvalidTagParameterException")
    assert tags_of(unchecked, repository) == [tag("k" * 128, "v" * 256)]


def test_a_key_may_be_given_once_a_request(ecr: Any, repository: str) -> None:
    refused = error_of(ecr.tag_resource, resourceArn=arn_of(repository), tags=[tag("k", "1"), tag("k", "2")])

    assert refused == ("InvalidTagParameterException", "The tag keys of one request must be unique")


@pytest.mark.parametrize(
    "arn",
    [
        "nonsense",
        f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/",
        f"arn:aws:ecr:us-east-1:{ACCOUNT}:image/x",
        f"arn:aws:s3:us-east-1:{ACCOUNT}:repository/app",
        f"arn:aws-cn:ecr:us-east-1:{ACCOUNT}:repository/app",
        f"arn:aws:ecr:eu-west-1:{ACCOUNT}:repository/app",
    ],
)
def test_what_is_no_repository_of_this_region_is_an_invalid_arn(ecr: Any, arn: str) -> None:
    invalid = bad_parameter("resourceArn", "Invalid ARN")

    assert error_of(ecr.list_tags_for_resource, resourceArn=arn) == invalid
    assert error_of(ecr.tag_resource, resourceArn=arn, tags=[tag("k")]) == invalid
    assert error_of(ecr.untag_resource, resourceArn=arn, tagKeys=["k"]) == invalid


def test_a_missing_repository(ecr: Any, repository_name: str) -> None:
    arn, missing = arn_of(repository_name), repository_missing(repository_name)

    assert error_of(ecr.list_tags_for_resource, resourceArn=arn) == missing
    assert error_of(ecr.tag_resource, resourceArn=arn, tags=[tag("k")]) == missing
    assert error_of(ecr.untag_resource, resourceArn=arn, tagKeys=["k"]) == missing


@pytest.mark.parametrize("exists", [True, False])
def test_another_account_is_denied_whether_the_repository_exists_or_not(
    other_ecr: Any, repository: str, exists: bool
) -> None:
    arn = arn_of(repository if exists else f"{repository}/absent")

    assert error_of(other_ecr.tag_resource, resourceArn=arn, tags=[tag("k")]) == denied(
        OTHER_ACCOUNT, "ecr:TagResource", arn
    )
    assert error_of(other_ecr.untag_resource, resourceArn=arn, tagKeys=["k"]) == denied(
        OTHER_ACCOUNT, "ecr:UntagResource", arn
    )
