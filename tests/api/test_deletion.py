"""BatchDeleteImage, and the DELETE of the dkr plane beside it."""

from typing import Any

from tests.api.support import (
    ABSENT_DIGEST,
    all_of,
    bad_parameter,
    error_of,
    members_of,
    push,
    push_manifest,
    repository_missing,
)
from tests.places import ON_EVERY_PLACE
from tests.registry_client import OCI_INDEX, OCI_MANIFEST, RegistryClient, digest_of, image_index

pytestmark = ON_EVERY_PLACE


def delete(ecr: Any, name: str, *ids: dict[str, str]) -> dict[str, Any]:
    return members_of(ecr.batch_delete_image(repositoryName=name, imageIds=list(ids)))


def remaining(ecr: Any, name: str) -> list[dict[str, str]]:
    return all_of(ecr.list_images, "imageIds", repositoryName=name)


def referenced(asked: dict[str, str], *parents: str) -> dict[str, Any]:
    return {
        "imageId": asked,
        "failureCode": "ImageReferencedByManifestList",
        "failureReason": f"Requested image referenced by manifest list: [{', '.join(parents)}]",
    }


def test_by_tag_one_of_several_tags_goes(ecr: Any, docker: RegistryClient, repository: str) -> None:
    image = push(docker, repository, "one", "v1", "v2")

    answer = delete(ecr, repository, {"imageTag": "v1"})

    assert answer == {"imageIds": [{"imageDigest": image.digest, "imageTag": "v1"}], "failures": []}
    assert remaining(ecr, repository) == [{"imageDigest": image.digest, "imageTag": "v2"}]


def test_the_last_tag_takes_the_image(ecr: Any, docker: RegistryClient, repository: str) -> None:
    image = push(docker, repository, "one", "v1")

    answer = delete(ecr, repository, {"imageTag": "v1"})

    assert answer == {"imageIds": [{"imageDigest": image.digest, "imageTag": "v1"}], "failures": []}
    assert remaining(ecr, repository) == []


def test_by_digest_the_image_goes_with_an_entry_for_each_tag(ecr: Any, docker: RegistryClient, repository: str) -> None:
    image = push(docker, repository, "one", "v2", "v1")

    answer = delete(ecr, repository, {"imageDigest": image.digest})

    assert answer == {
        "imageIds": [{"imageDigest": image.digest, "imageTag": tag} for tag in ("v1", "v2")],
        "failures": [],
    }
    assert remaining(ecr, repository) == []


def test_an_untagged_image_has_one_entry(ecr: Any, docker: RegistryClient, repository: str) -> None:
    image = push(docker, repository, "one")

    answer = delete(ecr, repository, {"imageDigest": image.digest})

    assert answer == {"imageIds": [{"imageDigest": image.digest}], "failures": []}


def test_digest_and_tag_that_agree_take_the_image(ecr: Any, docker: RegistryClient, repository: str) -> None:
    image = push(docker, repository, "one", "v1", "v2")

    answer = delete(ecr, repository, {"imageDigest": image.digest, "imageTag": "v1"})

    assert [item["imageTag"] for item in answer["imageIds"]] == ["v1", "v2"]
    assert remaining(ecr, repository) == []


def test_digest_and_tag_that_disagree_take_nothing(ecr: Any, docker: RegistryClient, repository: str) -> None:
    one, two = push(docker, repository, "one", "v1"), push(docker, repository, "two", "v2")
    asked = {"imageDigest": two.digest, "imageTag": "v1"}

    answer = delete(ecr, repository, asked)

    assert answer == {
        "imageIds": [],
        "failures": [
            {
                "imageId": asked,
                "failureCode": "ImageTagDoesNotMatchDigest",
                "failureReason": "Requested image tag does not match the image digest",
            }
        ],
    }
    assert [item["imageDigest"] for item in remaining(ecr, repository)] == [one.digest, two.digest]


def test_bad_ids_fail_alone(ecr: Any, docker: RegistryClient, repository: str) -> None:
    push(docker, repository, "one", "v1")

    answer = delete(
        ecr,
        repository,
        {},
        {"imageTag": "a b"},
        {"imageDigest": "x"},
        {"imageDigest": ABSENT_DIGEST},
        {"imageTag": "v1"},
    )

    assert [item["imageTag"] for item in answer["imageIds"]] == ["v1"]
    assert [item["failureCode"] for item in answer["failures"]] == [
        "MissingDigestAndTag",
        "InvalidImageTag",
        "InvalidImageDigest",
        "ImageNotFound",
    ]
    assert answer["failures"][3] == {
        "imageId": {"imageDigest": ABSENT_DIGEST},
        "failureCode": "ImageNotFound",
        "failureReason": "Requested image not found",
    }


def test_all_tags_of_list_images_can_be_handed_to_one_delete(ecr: Any, docker: RegistryClient, repository: str) -> None:
    push(docker, repository, "one", "v1", "v2", "v3")
    push(docker, repository, "two")

    answer = delete(ecr, repository, *remaining(ecr, repository))

    assert answer["failures"] == []
    assert remaining(ecr, repository) == []


def test_an_absent_tag_of_a_digest_that_went_in_the_same_request_is_still_a_failure(
    ecr: Any, docker: RegistryClient, repository: str
) -> None:
    image = push(docker, repository, "one", "v1", "v2")
    absent = {"imageDigest": image.digest, "imageTag": "never-there"}

    answer = delete(ecr, repository, {"imageTag": "v1"}, absent)

    assert [item["imageId"] for item in answer["failures"]] == [absent]
    assert remaining(ecr, repository) == [{"imageDigest": image.digest, "imageTag": "v2"}]


def test_a_member_of_an_index_stays_while_the_index_does(ecr: Any, docker: RegistryClient, repository: str) -> None:
    member = push(docker, repository, "member", "m1")
    parent = push_manifest(docker, repository, image_index(member.manifest), "all", media_type=OCI_INDEX)

    for asked in ({"imageDigest": member.digest}, {"imageTag": "m1"}):
        assert delete(ecr, repository, asked) == {"imageIds": [], "failures": [referenced(asked, parent)]}

    assert len(remaining(ecr, repository)) == 2


def test_one_of_several_tags_of_a_member_may_go(ecr: Any, docker: RegistryClient, repository: str) -> None:
    member = push(docker, repository, "member", "m1", "m2")
    push_manifest(docker, repository, image_index(member.manifest), "all", media_type=OCI_INDEX)

    answer = delete(ecr, repository, {"imageTag": "m1"})

    assert answer == {"imageIds": [{"imageDigest": member.digest, "imageTag": "m1"}], "failures": []}


def test_index_and_members_go_in_one_request_in_any_order(ecr: Any, docker: RegistryClient, repository: str) -> None:
    members = [push(docker, repository, f"member {number}") for number in range(3)]
    inner = image_index(members[0].manifest, members[1].manifest)
    push_manifest(docker, repository, inner, media_type=OCI_INDEX)
    outer = image_index(members[2].manifest).replace(b'"manifests": [', b'"manifests": [%s, ' % index_member(inner))
    push_manifest(docker, repository, outer, "all", media_type=OCI_INDEX)
    digests = [*(member.digest for member in members), digest_of(inner), digest_of(outer)]

    answer = delete(ecr, repository, *({"imageDigest": digest} for digest in digests))

    assert answer["failures"] == []
    assert {item["imageDigest"] for item in answer["imageIds"]} == set(digests)
    assert remaining(ecr, repository) == []


def index_member(index: bytes) -> bytes:
    return b'{"mediaType": "%s", "digest": "%s", "size": %d}' % (
        OCI_INDEX.encode(),
        digest_of(index).encode(),
        len(index),
    )


def test_every_parent_is_named(ecr: Any, docker: RegistryClient, repository: str) -> None:
    member = push(docker, repository, "member")
    parents = sorted(
        push_manifest(docker, repository, image_index(member.manifest, annotations={"n": text}), media_type=OCI_INDEX)
        for text in ("one", "two")
    )
    asked = {"imageDigest": member.digest}

    assert delete(ecr, repository, asked)["failures"] == [referenced(asked, *parents)]


def test_deleting_a_subject_leaves_its_referrers(ecr: Any, docker: RegistryClient, repository: str) -> None:
    subject = push(docker, repository, "subject", "v1")
    about = {"mediaType": OCI_MANIFEST, "digest": subject.digest, "size": len(subject.manifest)}
    referrer = push(docker, repository, "signature", subject=about)

    delete(ecr, repository, {"imageTag": "v1"})

    assert remaining(ecr, repository) == [{"imageDigest": referrer.digest}]


def test_the_dkr_plane_deletes_by_the_same_rules(ecr: Any, docker: RegistryClient, repository: str) -> None:
    image = push(docker, repository, "one", "v1", "v2")
    manifests = f"{docker.path(repository)}/manifests"

    assert docker.request("DELETE", f"{manifests}/v1").status == 202
    assert remaining(ecr, repository) == [{"imageDigest": image.digest, "imageTag": "v2"}]
    assert docker.request("DELETE", f"{manifests}/v2").status == 202
    assert remaining(ecr, repository) == []
    assert docker.request("DELETE", f"{manifests}/{image.digest}").status == 404


def test_a_deleted_image_can_be_pushed_again_and_has_a_new_push(
    ecr: Any, docker: RegistryClient, repository: str
) -> None:
    image = push(docker, repository, "one", "v1")
    delete(ecr, repository, {"imageDigest": image.digest})

    ecr.put_image(repositoryName=repository, imageManifest=image.text, imageTag="v2")

    assert remaining(ecr, repository) == [{"imageDigest": image.digest, "imageTag": "v2"}]


def test_deleting_from_a_missing_repository(ecr: Any, repository_name: str) -> None:
    refused = error_of(ecr.batch_delete_image, repositoryName=repository_name, imageIds=[{"imageTag": "v1"}])

    assert refused == repository_missing(repository_name)


def test_the_borders_of_the_list(unchecked: Any, ecr: Any, repository: str) -> None:
    ids = [{"imageTag": f"t{number}"} for number in range(100)]

    assert len(delete(ecr, repository, *ids)["failures"]) == 100
    assert error_of(unchecked.batch_delete_image, repositoryName=repository, imageIds=[]) == bad_parameter(
        "imageIds", "Member must have length greater than or equal to 1"
    )
    assert error_of(
        unchecked.batch_delete_image, repositoryName=repository, imageIds=[*ids, {"imageTag": "x"}]
    ) == bad_parameter("imageIds", "Member must have length less than or equal to 100")
