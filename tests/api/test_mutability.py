"""Tag mutability: four modes, exclusion filters, both planes."""

from typing import Any

import pytest

from tests.api.support import (
    ACCOUNT,
    bad_parameter,
    error_of,
    make_image,
    members_of,
    push,
    repository_missing,
    upload,
)
from tests.places import ON_EVERY_PLACE
from tests.registry_client import RegistryClient
from tests.running import Server

pytestmark = ON_EVERY_PLACE

FILTERS = [{"filterType": "WILDCARD", "filter": "dev-*"}]


def refusal(name: str, tag: str) -> str:
    return (
        f"The image tag '{tag}' already exists in the '{name}' repository "
        "and cannot be overwritten because the tag is immutable."
    )


def set_mode(ecr: Any, name: str, mode: str, *filters: str) -> None:
    excluded = [{"filterType": "WILDCARD", "filter": item} for item in filters]
    more = {"imageTagMutabilityExclusionFilters": excluded} if filters else {}
    ecr.put_image_tag_mutability(repositoryName=name, imageTagMutability=mode, **more)


def holder_of(ecr: Any, name: str, tag: str) -> str:
    got = ecr.batch_get_image(repositoryName=name, imageIds=[{"imageTag": tag}])
    return str(got["images"][0]["imageId"]["imageDigest"])


@pytest.mark.parametrize(
    ("mode", "filters", "tag", "moves"),
    [
        ("MUTABLE", (), "v1", True),
        ("IMMUTABLE", (), "v1", False),
        ("IMMUTABLE_WITH_EXCLUSION", ("dev-*",), "v1", False),
        ("IMMUTABLE_WITH_EXCLUSION", ("dev-*",), "dev-1", True),
        ("IMMUTABLE_WITH_EXCLUSION", ("dev-*",), "DEV-1", False),
        ("IMMUTABLE_WITH_EXCLUSION", ("x", "lat*t"), "latest", True),
        ("IMMUTABLE_WITH_EXCLUSION", ("latest",), "latest2", False),
        ("MUTABLE_WITH_EXCLUSION", ("v*",), "v1", False),
        ("MUTABLE_WITH_EXCLUSION", ("v*",), "dev", True),
        ("MUTABLE_WITH_EXCLUSION", ("*-release",), "1.0-release", False),
        ("MUTABLE_WITH_EXCLUSION", ("*",), "anything", False),
    ],
)
def test_each_mode_on_both_planes(
    ecr: Any, docker: RegistryClient, repository: str, mode: str, filters: tuple[str, ...], tag: str, moves: bool
) -> None:
    first = push(docker, repository, "first", tag)
    set_mode(ecr, repository, mode, *filters)
    second = upload(docker, repository, make_image("second"))
    third = upload(docker, repository, make_image("third"))

    if moves:
        ecr.put_image(repositoryName=repository, imageManifest=second.text, imageTag=tag)
        assert holder_of(ecr, repository, tag) == second.digest
        assert docker.push_manifest(repository, tag, third.manifest).status == 201
        assert holder_of(ecr, repository, tag) == third.digest
    else:
        refused = error_of(ecr.put_image, repositoryName=repository, imageManifest=second.text, imageTag=tag)
        assert refused == ("ImageTagAlreadyExistsException", refusal(repository, tag))
        answer = docker.push_manifest(repository, tag, third.manifest)
        assert answer.error == (400, "TAG_INVALID", refusal(repository, tag))
        assert holder_of(ecr, repository, tag) == first.digest


def test_a_refused_push_leaves_no_image(ecr: Any, docker: RegistryClient, repository: str) -> None:
    first = push(docker, repository, "first", "v1")
    set_mode(ecr, repository, "IMMUTABLE")
    second = upload(docker, repository, make_image("second"))

    error_of(ecr.put_image, repositoryName=repository, imageManifest=second.text, imageTag="v1")

    details = ecr.describe_images(repositoryName=repository)["imageDetails"]
    assert [item["imageDigest"] for item in details] == [first.digest]


def test_one_immutable_tag_of_several_refuses_the_whole_push(ecr: Any, docker: RegistryClient, repository: str) -> None:
    push(docker, repository, "first", "v1")
    set_mode(ecr, repository, "IMMUTABLE")
    second = upload(docker, repository, make_image("second"))

    answer = docker.push_manifest(repository, f"{second.digest}?tag=new&tag=v1", second.manifest)

    assert answer.error == (400, "TAG_INVALID", refusal(repository, "v1"))
    assert ecr.list_images(repositoryName=repository)["imageIds"][0]["imageTag"] == "v1"
    assert len(ecr.list_images(repositoryName=repository)["imageIds"]) == 1


def test_a_new_tag_is_free_under_every_mode(ecr: Any, docker: RegistryClient, repository: str) -> None:
    set_mode(ecr, repository, "IMMUTABLE")

    image = push(docker, repository, "one", "v1", "v2")

    assert holder_of(ecr, repository, "v2") == image.digest


def test_the_identical_push_to_an_immutable_tag_is_refused_as_a_duplicate_on_the_api(
    ecr: Any, docker: RegistryClient, repository: str
) -> None:
    set_mode(ecr, repository, "IMMUTABLE")
    image = push(docker, repository, "one", "v1")

    refused = error_of(ecr.put_image, repositoryName=repository, imageManifest=image.text, imageTag="v1")

    assert refused[0] == "ImageAlreadyExistsException"


def test_the_identical_docker_push_to_an_immutable_tag_follows_the_setting(
    server: Server, repository_name: str
) -> None:
    ecr = server.client("ecr", region="sa-east-1")
    ecr.create_repository(repositoryName=repository_name, imageTagMutability="IMMUTABLE")
    docker = RegistryClient(server.port, server.password(), prefix=f"/{ACCOUNT}.sa-east-1")
    image = push(docker, repository_name, "one", "v1")

    refused = docker.push_manifest(repository_name, "v1", image.manifest)
    ecr.put_account_setting(name="IDENTICAL_IMMUTABLE_PUSH", value="ACCEPTED")
    accepted = docker.push_manifest(repository_name, "v1", image.manifest)
    other = upload(docker, repository_name, make_image("other"))
    still_refused = docker.push_manifest(repository_name, "v1", other.manifest)

    assert refused.error == (400, "TAG_INVALID", refusal(repository_name, "v1"))
    assert accepted.status == 201
    assert still_refused.error == refused.error


def test_a_deleted_immutable_tag_may_be_pushed_again(ecr: Any, docker: RegistryClient, repository: str) -> None:
    push(docker, repository, "first", "v1")
    set_mode(ecr, repository, "IMMUTABLE")
    second = upload(docker, repository, make_image("second"))

    ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageTag": "v1"}])
    ecr.put_image(repositoryName=repository, imageManifest=second.text, imageTag="v1")

    assert holder_of(ecr, repository, "v1") == second.digest


def test_a_change_of_mode_leaves_tags_where_they_are(ecr: Any, docker: RegistryClient, repository: str) -> None:
    first = push(docker, repository, "first", "v1", "v2")
    before = ecr.list_images(repositoryName=repository)["imageIds"]

    for mode in ("IMMUTABLE", "MUTABLE"):
        set_mode(ecr, repository, mode)

        assert ecr.list_images(repositoryName=repository)["imageIds"] == before
    assert holder_of(ecr, repository, "v1") == first.digest


def test_the_answer_and_the_replacement_of_both_values(ecr: Any, repository: str) -> None:
    answer = members_of(
        ecr.put_image_tag_mutability(
            repositoryName=repository,
            imageTagMutability="MUTABLE_WITH_EXCLUSION",
            imageTagMutabilityExclusionFilters=FILTERS,
        )
    )
    plain = members_of(ecr.put_image_tag_mutability(repositoryName=repository, imageTagMutability="IMMUTABLE"))

    common = {"registryId": ACCOUNT, "repositoryName": repository}
    assert answer == common | {
        "imageTagMutability": "MUTABLE_WITH_EXCLUSION",
        "imageTagMutabilityExclusionFilters": FILTERS,
    }
    assert plain == common | {"imageTagMutability": "IMMUTABLE"}
    described = ecr.describe_repositories(repositoryNames=[repository])["repositories"][0]
    assert described["imageTagMutability"] == "IMMUTABLE"
    assert "imageTagMutabilityExclusionFilters" not in described


@pytest.mark.parametrize(
    ("mode", "filters"),
    [
        ("IMMUTABLE_WITH_EXCLUSION", None),
        ("MUTABLE_WITH_EXCLUSION", None),
        ("IMMUTABLE", FILTERS),
        ("MUTABLE", FILTERS),
    ],
)
def test_filters_and_mode_belong_together(
    ecr: Any, repository: str, mode: str, filters: list[dict[str, str]] | None
) -> None:
    more = {"imageTagMutabilityExclusionFilters": filters} if filters else {}
    told = bad_parameter(
        "imageTagMutabilityExclusionFilters",
        f"ImageTagMutabilityExclusionFilters can't be null when imageTagMutability is set as {mode}",
    )

    for call, name in ((ecr.put_image_tag_mutability, repository), (ecr.create_repository, f"{repository}/new")):
        assert error_of(call, repositoryName=name, imageTagMutability=mode, **more) == told


def test_an_unknown_mode_is_told_with_the_modes(ecr: Any, repository: str) -> None:
    assert error_of(
        ecr.put_image_tag_mutability, repositoryName=repository, imageTagMutability="SOMETIMES"
    ) == bad_parameter(
        "imageTagMutability",
        "Member must satisfy enum value set: [IMMUTABLE, MUTABLE, MUTABLE_WITH_EXCLUSION, IMMUTABLE_WITH_EXCLUSION]",
    )


def test_five_filters_are_taken_and_no_more(unchecked: Any, repository: str) -> None:
    def put(count: int) -> Any:
        return unchecked.put_image_tag_mutability(
            repositoryName=repository,
            imageTagMutability="IMMUTABLE_WITH_EXCLUSION",
            imageTagMutabilityExclusionFilters=[
                {"filterType": "WILDCARD", "filter": f"f{number}"} for number in range(count)
            ],
        )

    assert len(put(5)["imageTagMutabilityExclusionFilters"]) == 5
    assert error_of(put, count=6) == bad_parameter(
        "imageTagMutabilityExclusionFilters", "Member must have length less than or equal to 5"
    )


@pytest.mark.parametrize("wildcard", ["", "a b", "a:b", "x" * 129])
def test_a_malformed_filter_is_refused(unchecked: Any, repository: str, wildcard: str) -> None:
    code, message = error_of(
        unchecked.put_image_tag_mutability,
        repositoryName=repository,
        imageTagMutability="IMMUTABLE_WITH_EXCLUSION",
        imageTagMutabilityExclusionFilters=[{"filterType": "WILDCARD", "filter": wildcard}],
    )

    assert code == "InvalidParameterException"
    assert message.startswith("Invalid parameter at 'imageTagMutabilityExclusionFilters.1.member.filter'")


def test_two_wildcards_a_filter_are_taken_and_no_more(ecr: Any, repository: str) -> None:
    set_mode(ecr, repository, "IMMUTABLE_WITH_EXCLUSION", "*a*")

    refused = error_of(
        ecr.put_image_tag_mutability,
        repositoryName=repository,
        imageTagMutability="IMMUTABLE_WITH_EXCLUSION",
        imageTagMutabilityExclusionFilters=[{"filterType": "WILDCARD", "filter": "*a*b*"}],
    )
    assert refused == bad_parameter("imageTagMutabilityExclusionFilters", "Member must have at most 2 wildcards")


def test_a_missing_repository(ecr: Any, repository_name: str) -> None:
    refused = error_of(ecr.put_image_tag_mutability, repositoryName=repository_name, imageTagMutability="MUTABLE")

    assert refused == repository_missing(repository_name)
