"""ListImages and DescribeImages: what they tell, and pages that survive concurrent writes."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.support import (
    ABSENT_DIGEST,
    ACCOUNT,
    bad_parameter,
    error_of,
    make_image,
    members_of,
    pages_of,
    push,
    push_manifest,
    repository_missing,
    upload,
)
from tests.places import ON_EVERY_PLACE
from tests.registry_client import (
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
    RegistryClient,
    descriptor,
    digest_of,
    image_index,
)
from tests.running import Server

pytestmark = ON_EVERY_PLACE

BAD_TOKEN = bad_parameter("nextToken", "Invalid token")
FLUSHED_SECONDS = 60


def not_found(name: str, *, digest: str = "null", tag: str = "null") -> tuple[str, str]:
    return (
        "ImageNotFoundException",
        (
            f"The image with imageId {{imageDigest:'{digest}', imageTag:'{tag}'}} does not exist within the repository "
            f"with name '{name}' in the registry with id '{ACCOUNT}'"
        ),
    )


def one(ecr: Any, name: str, **image_id: str) -> dict[str, Any]:
    details: list[dict[str, Any]] = ecr.describe_images(repositoryName=name, imageIds=[image_id])["imageDetails"]
    assert len(details) == 1
    return details[0]


def test_a_detail_has_ecrs_members(ecr: Any, docker: RegistryClient, repository: str) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    image = push(docker, repository, "one", "v2", "v1", layers=(b"x" * 1000, b"y" * 24))

    answer = members_of(ecr.describe_images(repositoryName=repository))

    assert set(answer) == {"imageDetails"}
    detail = answer["imageDetails"][0]
    pushed = detail.pop("imagePushedAt")
    assert before <= pushed <= before + timedelta(seconds=60)
    assert pushed.microsecond == 0
    assert detail == {
        "registryId": ACCOUNT,
        "repositoryName": repository,
        "imageDigest": image.digest,
        "imageTags": ["v1", "v2"],
        "imageSizeInBytes": len(image.config) + 1024,
        "imageManifestMediaType": OCI_MANIFEST,
        "artifactMediaType": OCI_CONFIG,
        "imageStatus": "ACTIVE",
    }


def test_an_untagged_image_has_no_member_for_tags(ecr: Any, docker: RegistryClient, repository: str) -> None:
    push(docker, repository, "one")

    assert "imageTags" not in ecr.describe_images(repositoryName=repository)["imageDetails"][0]


def test_an_index_weighs_as_much_as_its_largest_image(ecr: Any, docker: RegistryClient, repository: str) -> None:
    small = push(docker, repository, "small", layers=(b"s",))
    large = push(docker, repository, "large", layers=(b"l" * 5000,))
    index = image_index(small.manifest, large.manifest)
    push_manifest(docker, repository, index, "all", media_type=OCI_INDEX)

    detail = one(ecr, repository, imageTag="all")

    assert detail["imageSizeInBytes"] == large.size_bytes
    assert detail["imageManifestMediaType"] == OCI_INDEX
    assert "artifactMediaType" not in detail


@pytest.mark.parametrize(
    ("config_type", "more", "told"),
    [
        (OCI_CONFIG, {}, OCI_CONFIG),
        ("application/vnd.cncf.helm.config.v1+json", {}, "application/vnd.cncf.helm.config.v1+json"),
        (
            "application/vnd.oci.empty.v1+json",
            {"artifactType": "application/vnd.example.sbom"},
            "application/vnd.example.sbom",
        ),
    ],
)
def test_the_artifact_media_type(
    ecr: Any, docker: RegistryClient, repository: str, config_type: str, more: dict[str, str], told: str
) -> None:
    image = upload(docker, repository, make_image("artifact"))
    document = json.loads(image.text) | more
    document["config"]["mediaType"] = config_type
    ecr.put_image(repositoryName=repository, imageManifest=json.dumps(document), imageTag="a")

    assert one(ecr, repository, imageTag="a")["artifactMediaType"] == told


def test_ids_are_answered_in_the_order_asked_and_two_of_one_image_once(
    ecr: Any, docker: RegistryClient, repository: str
) -> None:
    first, second = push(docker, repository, "first", "a", "b"), push(docker, repository, "second", "c")

    details = ecr.describe_images(
        repositoryName=repository,
        imageIds=[
            {"imageTag": "c"},
            {"imageTag": "a"},
            {"imageTag": "b"},
            {"imageDigest": first.digest},
            {"imageDigest": second.digest, "imageTag": "c"},
        ],
    )["imageDetails"]

    assert [item["imageDigest"] for item in details] == [second.digest, first.digest]


def test_an_id_that_is_not_there_fails_the_call(ecr: Any, docker: RegistryClient, repository: str) -> None:
    image = push(docker, repository, "one", "v1")
    other = push(docker, repository, "two", "v2")

    for asked, told in (
        ({"imageTag": "absent"}, not_found(repository, tag="absent")),
        ({"imageDigest": ABSENT_DIGEST}, not_found(repository, digest=ABSENT_DIGEST)),
        (
            {"imageDigest": other.digest, "imageTag": "v1"},
            not_found(repository, digest=other.digest, tag="v1"),
        ),
        ({"imageDigest": "nonsense"}, not_found(repository, digest="nonsense")),
    ):
        ids = [{"imageDigest": image.digest}, asked]
        assert error_of(ecr.describe_images, repositoryName=repository, imageIds=ids) == told


@pytest.mark.parametrize(
    "more", [{"maxResults": 5}, {"nextToken": "x"}, {"filter": {"tagStatus": "TAGGED"}}], ids=lambda more: min(more)
)
def test_ids_exclude_pages_and_filters(ecr: Any, repository: str, more: dict[str, Any]) -> None:
    code, _ = error_of(ecr.describe_images, repositoryName=repository, imageIds=[{"imageTag": "a"}], **more)

    assert code == "InvalidParameterException"


@pytest.mark.parametrize("operation", ["list_images", "describe_images"])
def test_a_missing_repository(ecr: Any, repository_name: str, operation: str) -> None:
    assert error_of(getattr(ecr, operation), repositoryName=repository_name) == repository_missing(repository_name)


def test_images_are_listed_by_push_time_with_an_entry_for_each_tag(
    ecr: Any, docker: RegistryClient, repository: str
) -> None:
    images = [push(docker, repository, f"image {number}") for number in range(4)]
    push_manifest(docker, repository, images[1].manifest, "b", "a")
    push_manifest(docker, repository, images[3].manifest, "c")

    assert members_of(ecr.list_images(repositoryName=repository)) == {
        "imageIds": [
            {"imageDigest": images[0].digest},
            {"imageDigest": images[1].digest, "imageTag": "a"},
            {"imageDigest": images[1].digest, "imageTag": "b"},
            {"imageDigest": images[2].digest},
            {"imageDigest": images[3].digest, "imageTag": "c"},
        ]
    }


@pytest.mark.parametrize(
    ("status", "expected"), [("TAGGED", ["a", "b"]), ("UNTAGGED", [None]), ("ANY", ["a", "b", None])]
)
def test_the_filter_by_tags(
    ecr: Any, docker: RegistryClient, repository: str, status: str, expected: list[str | None]
) -> None:
    push(docker, repository, "tagged", "a", "b")
    push(docker, repository, "untagged")

    listed = ecr.list_images(repositoryName=repository, filter={"tagStatus": status})["imageIds"]
    described = ecr.describe_images(repositoryName=repository, filter={"tagStatus": status})["imageDetails"]

    assert [item.get("imageTag") for item in listed] == expected
    assert [tag for item in described for tag in item.get("imageTags", [None])] == expected


@pytest.mark.parametrize(("status", "count"), [("ACTIVE", 1), ("ARCHIVED", 0), ("ACTIVATING", 0), ("ANY", 1)])
def test_the_filter_by_status(ecr: Any, docker: RegistryClient, repository: str, status: str, count: int) -> None:
    push(docker, repository, "one", "a")

    assert len(ecr.list_images(repositoryName=repository, filter={"imageStatus": status})["imageIds"]) == count
    details = ecr.describe_images(repositoryName=repository, filter={"imageStatus": status})["imageDetails"]
    assert len(details) == count


@pytest.mark.parametrize("most", [1, 2, 3, 5, 7])
def test_a_page_may_end_between_two_tags_of_an_image(
    ecr: Any, docker: RegistryClient, repository: str, most: int
) -> None:
    push(docker, repository, "first", "a", "b", "c")
    push(docker, repository, "second")
    push(docker, repository, "third", "d", "e", "f")
    whole = ecr.list_images(repositoryName=repository)["imageIds"]

    pages = pages_of(ecr.list_images, "imageIds", repositoryName=repository, maxResults=most)

    assert [item for page in pages for item in page] == whole
    assert [len(page) for page in pages[:-1]] == [most] * (len(pages) - 1)
    assert len(whole) == 7


def test_a_full_last_page_has_no_token(ecr: Any, docker: RegistryClient, repository: str) -> None:
    push(docker, repository, "first", "a", "b")

    assert len(pages_of(ecr.list_images, "imageIds", repositoryName=repository, maxResults=2)) == 1
    assert len(pages_of(ecr.describe_images, "imageDetails", repositoryName=repository, maxResults=1)) == 1


def test_an_empty_repository_has_one_empty_page(ecr: Any, repository: str) -> None:
    assert members_of(ecr.list_images(repositoryName=repository)) == {"imageIds": []}
    assert members_of(ecr.describe_images(repositoryName=repository)) == {"imageDetails": []}


@pytest.mark.parametrize(("operation", "member"), [("list_images", "imageIds"), ("describe_images", "imageDetails")])
def test_writes_between_pages_hide_and_repeat_nothing(
    ecr: Any, docker: RegistryClient, repository: str, operation: str, member: str
) -> None:
    images = [push(docker, repository, f"image {number}", f"t{number}") for number in range(6)]
    call: Callable[..., dict[str, Any]] = getattr(ecr, operation)
    first = call(repositoryName=repository, maxResults=3)
    ecr.batch_delete_image(
        repositoryName=repository, imageIds=[{"imageDigest": images[number].digest} for number in (0, 2, 4)]
    )
    added = push(docker, repository, "image 6", "t6")

    rest = call(repositoryName=repository, maxResults=3, nextToken=first["nextToken"])

    assert [item["imageDigest"] for item in first[member]] == [images[number].digest for number in (0, 1, 2)]
    assert [item["imageDigest"] for item in rest[member]] == [images[3].digest, images[5].digest, added.digest]
    assert "nextToken" not in rest


def test_tags_that_come_and_go_between_pages_of_one_image(ecr: Any, docker: RegistryClient, repository: str) -> None:
    image = push(docker, repository, "one", "b", "d", "f", "h")
    last = push(docker, repository, "last", "z")
    first = ecr.list_images(repositoryName=repository, maxResults=2)
    ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageTag": "d"}, {"imageTag": "f"}])
    push_manifest(docker, repository, image.manifest, "a", "e")

    rest = ecr.list_images(repositoryName=repository, nextToken=first["nextToken"])

    assert [item["imageTag"] for item in first["imageIds"]] == ["b", "d"]
    assert rest["imageIds"] == [
        {"imageDigest": image.digest, "imageTag": "e"},
        {"imageDigest": image.digest, "imageTag": "h"},
        {"imageDigest": last.digest, "imageTag": "z"},
    ]


def test_a_token_is_refused_where_it_was_not_issued(
    ecr: Any, docker: RegistryClient, repository: str, server: Server
) -> None:
    for number in range(3):
        push(docker, repository, f"image {number}", f"t{number}")
    ecr.create_repository(repositoryName=f"{repository}/other")
    token = ecr.list_images(repositoryName=repository, maxResults=1)["nextToken"]
    altered = ("B" if token[50] != "B" else "C").join((token[:50], token[51:]))

    for call, arguments in (
        (ecr.list_images, {"nextToken": altered}),
        (ecr.list_images, {"nextToken": "nonsense"}),
        (ecr.list_images, {"nextToken": token + "A"}),
        (ecr.list_images, {"nextToken": token, "filter": {"tagStatus": "TAGGED"}}),
        (ecr.list_images, {"nextToken": token, "repositoryName": f"{repository}/other"}),
        (ecr.describe_images, {"nextToken": token}),
    ):
        assert error_of(call, **({"repositoryName": repository} | arguments)) == BAD_TOKEN
    assert error_of(ecr.describe_repositories, nextToken=token) == BAD_TOKEN
    assert ecr.list_images(repositoryName=repository, nextToken=token)["imageIds"]


def test_a_token_ends_with_its_repository(ecr: Any, docker: RegistryClient, repository: str) -> None:
    for number in range(2):
        push(docker, repository, f"image {number}", f"t{number}")
    token = ecr.list_images(repositoryName=repository, maxResults=1)["nextToken"]
    ecr.delete_repository(repositoryName=repository, force=True)
    ecr.create_repository(repositoryName=repository)

    assert error_of(ecr.list_images, repositoryName=repository, nextToken=token) == BAD_TOKEN


def test_the_page_size_may_change_between_pages(ecr: Any, docker: RegistryClient, repository: str) -> None:
    for number in range(4):
        push(docker, repository, f"image {number}", f"t{number}")
    first = ecr.list_images(repositoryName=repository, maxResults=1)

    rest = ecr.list_images(repositoryName=repository, maxResults=1000, nextToken=first["nextToken"])

    assert [item["imageTag"] for item in rest["imageIds"]] == ["t1", "t2", "t3"]


@pytest.mark.parametrize("operation", ["list_images", "describe_images"])
def test_the_borders_of_max_results(ecr: Any, unchecked: Any, repository: str, operation: str) -> None:
    getattr(ecr, operation)(repositoryName=repository, maxResults=1000)
    refused = getattr(unchecked, operation)

    assert error_of(refused, repositoryName=repository, maxResults=1001) == bad_parameter(
        "maxResults", "Member must have value less than or equal to 1000"
    )
    assert error_of(refused, repositoryName=repository, maxResults=0) == bad_parameter(
        "maxResults", "Member must have value greater than or equal to 1"
    )


def test_an_unknown_filter_value_is_told(unchecked: Any, repository: str) -> None:
    assert error_of(unchecked.list_images, repositoryName=repository, filter={"tagStatus": "SOME"}) == bad_parameter(
        "filter.tagStatus", "Member must satisfy enum value set: [TAGGED, UNTAGGED, ANY]"
    )


def test_a_page_holds_a_hundred_when_nothing_is_asked(ecr: Any, docker: RegistryClient, repository: str) -> None:
    image = upload(docker, repository, make_image("many"))
    for start in range(0, 110, 10):
        push_manifest(docker, repository, image.manifest, *(f"t{number:03}" for number in range(start, start + 10)))

    pages = pages_of(ecr.list_images, "imageIds", repositoryName=repository)

    assert [len(page) for page in pages] == [100, 10]


def test_a_pull_is_recorded_and_a_look_is_not(ecr: Any, docker: RegistryClient, repository: str) -> None:
    looked, by_api, by_docker = (push(docker, repository, name, name) for name in ("looked", "api", "docker"))
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    docker.request("HEAD", f"{docker.path(repository)}/manifests/looked")
    ecr.batch_get_image(repositoryName=repository, imageIds=[{"imageTag": "api"}])
    docker.request("GET", f"{docker.path(repository)}/manifests/{by_docker.digest}")

    for image in (by_api, by_docker):
        pulled = when_recorded(ecr, repository, image.digest)
        assert before <= pulled <= datetime.now(UTC)
    assert "lastRecordedPullTime" not in one(ecr, repository, imageDigest=looked.digest)


def when_recorded(ecr: Any, name: str, digest: str) -> datetime:
    """The recorded pull time, once the notes are flushed."""
    deadline = time.monotonic() + FLUSHED_SECONDS
    while time.monotonic() < deadline:
        detail = one(ecr, name, imageDigest=digest)
        if "lastRecordedPullTime" in detail:
            recorded: datetime = detail["lastRecordedPullTime"]
            return recorded
        time.sleep(0.1)
    raise AssertionError(f"the pull of {digest} was not recorded in {FLUSHED_SECONDS} s")


def test_a_referrer_names_its_subject(ecr: Any, docker: RegistryClient, repository: str) -> None:
    subject = push(docker, repository, "subject", "v1")
    about = descriptor(subject.manifest, OCI_MANIFEST)
    referrer = push(docker, repository, "signature", subject=about)

    detail = one(ecr, repository, imageDigest=referrer.digest)

    assert detail["subjectManifestDigest"] == digest_of(subject.manifest)
    assert "subjectManifestDigest" not in one(ecr, repository, imageTag="v1")
