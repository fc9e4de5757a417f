"""UpdateImageStorageClass, and what the API says of images and layers that are archived or on their way back."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.support import (
    ABSENT_DIGEST,
    ACCOUNT,
    Image,
    all_of,
    arn_of,
    denied,
    error_of,
    make_image,
    members_of,
    push,
    push_manifest,
    repository_missing,
    upload,
)
from tests.places import ON_EVERY_PLACE
from tests.registry_client import OCI_INDEX, OCI_MANIFEST, RegistryClient, descriptor, digest_of, image_index
from tests.running import Server
from tests.waiting import wait_until

pytestmark = ON_EVERY_PLACE


def move(ecr: Any, name: str, target: str, **image_id: str) -> dict[str, Any]:
    return members_of(ecr.update_image_storage_class(repositoryName=name, imageId=image_id, targetStorageClass=target))


def archive(ecr: Any, name: str, *digests: str) -> None:
    for digest in digests:
        assert move(ecr, name, "ARCHIVE", imageDigest=digest)["imageStatus"] == "ARCHIVED"


def restore(ecr: Any, name: str, digest: str) -> None:
    assert move(ecr, name, "STANDARD", imageDigest=digest)["imageStatus"] == "ACTIVATING"


def end_restores(server: Server) -> None:
    """Let the restores that were begun end now."""
    assert server.execute("UPDATE job SET due_us = 0 WHERE kind = 'restore-image' AND state = 'ready'")


def detail(ecr: Any, name: str, digest: str) -> dict[str, Any]:
    found: dict[str, Any] = ecr.describe_images(repositoryName=name, imageIds=[{"imageDigest": digest}])
    return found["imageDetails"][0]  # type: ignore[no-any-return]


def status(ecr: Any, name: str, digest: str) -> str:
    return str(detail(ecr, name, digest)["imageStatus"])


def become(ecr: Any, name: str, digest: str, wanted: str) -> None:
    wait_until(lambda: status(ecr, name, digest) == wanted, f"{digest} is {wanted}")


def pulled(ecr: Any, name: str, **image_id: str) -> tuple[str, str]:
    """Nothing where a pull works, else the failure's code and reason."""
    answer = ecr.batch_get_image(repositoryName=name, imageIds=[image_id])
    for failure in answer["failures"]:
        assert failure["imageId"] == image_id
        return failure["failureCode"], failure["failureReason"]
    return "", ""


def refer(docker: RegistryClient, name: str, subject: Image, about: str) -> str:
    return push(docker, name, about, subject=descriptor(subject.manifest, OCI_MANIFEST)).digest


ARCHIVED = ("ImageInaccessible", "Requested image is archived")
RESTORING = ("ImageInaccessible", "Requested image is being restored from the archive")


def test_an_archived_image_says_so_and_cannot_be_pulled(ecr: Any, docker: RegistryClient, repository: str) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    image = push(docker, repository, "old", "v1", "latest")

    answer = move(ecr, repository, "ARCHIVE", imageTag="v1")

    assert answer == {
        "registryId": ACCOUNT,
        "repositoryName": repository,
        "imageId": {"imageDigest": image.digest, "imageTag": "v1"},
        "imageStatus": "ARCHIVED",
    }
    found = detail(ecr, repository, image.digest)
    assert (found["imageStatus"], found["imageTags"]) == ("ARCHIVED", ["latest", "v1"])
    assert before < found["lastArchivedAt"] < datetime.now(UTC) + timedelta(seconds=1)
    assert "lastActivatedAt" not in found
    assert pulled(ecr, repository, imageTag="latest") == ARCHIVED
    assert pulled(ecr, repository, imageDigest=image.digest) == ARCHIVED


def test_listings_show_active_images_unless_asked_otherwise(ecr: Any, docker: RegistryClient, repository: str) -> None:
    active, archived, activating = (push(docker, repository, about, about).digest for about in ("a", "b", "c"))
    archive(ecr, repository, archived, activating)
    restore(ecr, repository, activating)

    def listed(**more: Any) -> tuple[set[str], set[str]]:
        ids = all_of(ecr.list_images, "imageIds", repositoryName=repository, **more)
        details = all_of(ecr.describe_images, "imageDetails", repositoryName=repository, **more)
        return {item["imageDigest"] for item in ids}, {item["imageDigest"] for item in details}

    assert listed() == ({active}, {active})
    for name, expected in (
        ("ACTIVE", {active}),
        ("ARCHIVED", {archived}),
        ("ACTIVATING", {activating}),
        ("ANY", {active, archived, activating}),
    ):
        assert listed(filter={"imageStatus": name}) == (expected, expected)
        assert listed(filter={"imageStatus": name, "tagStatus": "UNTAGGED"}) == (set(), set())


def test_a_restore_takes_its_time_and_ends(server: Server, ecr: Any, docker: RegistryClient, repository: str) -> None:
    image = push(docker, repository, "old", "v1")
    archive(ecr, repository, image.digest)

    restore(ecr, repository, image.digest)

    assert status(ecr, repository, image.digest) == "ACTIVATING"
    assert pulled(ecr, repository, imageTag="v1") == RESTORING
    assert move(ecr, repository, "STANDARD", imageTag="v1")["imageStatus"] == "ACTIVATING"
    end_restores(server)
    become(ecr, repository, image.digest, "ACTIVE")
    found = detail(ecr, repository, image.digest)
    assert found["lastActivatedAt"] >= found["lastArchivedAt"]
    assert pulled(ecr, repository, imageTag="v1") == ("", "")
    assert move(ecr, repository, "STANDARD", imageTag="v1")["imageStatus"] == "ACTIVE"


def test_repeating_a_class_changes_nothing(ecr: Any, docker: RegistryClient, repository: str) -> None:
    image = push(docker, repository, "old", "v1")
    archive(ecr, repository, image.digest)
    first = detail(ecr, repository, image.digest)

    archive(ecr, repository, image.digest)

    assert detail(ecr, repository, image.digest) == first


def test_an_image_on_its_way_back_is_not_archived(ecr: Any, docker: RegistryClient, repository: str) -> None:
    image = push(docker, repository, "old", "v1")
    archive(ecr, repository, image.digest)
    restore(ecr, repository, image.digest)

    refused = error_of(
        ecr.update_image_storage_class,
        repositoryName=repository,
        imageId={"imageTag": "v1"},
        targetStorageClass="ARCHIVE",
    )

    assert refused == ("ImageStorageClassUpdateNotSupportedException", "Image is being restored from the archive")


@pytest.mark.parametrize("begun", [False, True])
def test_pushing_again_restores_at_once(ecr: Any, docker: RegistryClient, repository: str, *, begun: bool) -> None:
    image = push(docker, repository, "old", "v1")
    archive(ecr, repository, image.digest)
    if begun:
        restore(ecr, repository, image.digest)

    ecr.put_image(repositoryName=repository, imageManifest=image.text, imageTag="v1")

    found = detail(ecr, repository, image.digest)
    assert (found["imageStatus"], found["imageTags"]) == ("ACTIVE", ["v1"])
    assert found["lastActivatedAt"] >= found["lastArchivedAt"]
    assert pulled(ecr, repository, imageTag="v1") == ("", "")


def test_a_new_tag_restores_and_an_immutable_tag_lets_its_own_image_back(
    ecr: Any, docker: RegistryClient, repository: str
) -> None:
    ecr.put_image_tag_mutability(repositoryName=repository, imageTagMutability="IMMUTABLE")
    image, other = push(docker, repository, "old", "v1"), upload(docker, repository, make_image("other"))
    archive(ecr, repository, image.digest)

    code, _ = error_of(ecr.put_image, repositoryName=repository, imageManifest=other.text, imageTag="v1")
    assert code == "ImageTagAlreadyExistsException"
    assert status(ecr, repository, image.digest) == "ARCHIVED"
    ecr.put_image(repositoryName=repository, imageManifest=image.text, imageTag="v1")
    assert status(ecr, repository, image.digest) == "ACTIVE"
    archive(ecr, repository, image.digest)
    ecr.put_image(repositoryName=repository, imageManifest=image.text, imageTag="v2")
    assert detail(ecr, repository, image.digest)["imageTags"] == ["v1", "v2"]
    assert status(ecr, repository, image.digest) == "ACTIVE"


def test_a_layer_is_archived_where_no_active_image_names_it(ecr: Any, docker: RegistryClient, repository: str) -> None:
    shared, own, free = b"a layer of both", b"a layer of one", b"in no image"
    kept = push(docker, repository, "kept", "kept", layers=(shared,))
    archived = push(docker, repository, "gone", "gone", layers=(shared, own))
    docker.push_blob(repository, free)
    archive(ecr, repository, archived.digest)

    def availability(*layers: bytes) -> list[str]:
        answer = ecr.batch_check_layer_availability(
            repositoryName=repository, layerDigests=[digest_of(layer) for layer in layers]
        )
        assert answer["failures"] == []
        return [layer["layerAvailability"] for layer in answer["layers"]]

    def download(layer: bytes) -> Any:
        return ecr.get_download_url_for_layer(repositoryName=repository, layerDigest=digest_of(layer))

    assert availability(shared, own, free) == ["AVAILABLE", "ARCHIVED", "AVAILABLE"]
    assert download(shared)["downloadUrl"]
    assert download(free)["downloadUrl"]
    assert error_of(download, layer=own) == (
        "LayerInaccessibleException",
        (
            f"The layer with digest '{digest_of(own)}' in the repository with name '{repository}' in the registry with "
            f"id '{ACCOUNT}' is archived"
        ),
    )
    archive(ecr, repository, kept.digest)
    assert availability(shared) == ["ARCHIVED"]
    push(docker, repository, "new", "new", layers=(shared,))
    assert availability(shared, own) == ["AVAILABLE", "ARCHIVED"]
    ecr.put_image(repositoryName=repository, imageManifest=archived.text, imageTag="gone")
    assert availability(own) == ["AVAILABLE"]


def test_an_index_takes_its_members_along_and_brings_them_back(
    server: Server, ecr: Any, docker: RegistryClient, repository: str
) -> None:
    mine, tagged, shared = (
        push(docker, repository, "m"),
        push(docker, repository, "t", "t"),
        push(docker, repository, "s"),
    )
    index = image_index(mine.manifest, tagged.manifest, shared.manifest)
    whole = push_manifest(docker, repository, index, "multi", media_type=OCI_INDEX)
    other = push_manifest(docker, repository, image_index(shared.manifest), "other", media_type=OCI_INDEX)

    def statuses() -> list[str]:
        return [status(ecr, repository, each) for each in (whole, mine.digest, tagged.digest, shared.digest, other)]

    refused = error_of(
        ecr.update_image_storage_class,
        repositoryName=repository,
        imageId={"imageDigest": mine.digest},
        targetStorageClass="ARCHIVE",
    )
    assert refused == (
        "ImageStorageClassUpdateNotSupportedException",
        f"Image is referenced by manifest list: [{whole}]",
    )
    archive(ecr, repository, whole)
    assert statuses() == ["ARCHIVED", "ARCHIVED", "ACTIVE", "ACTIVE", "ACTIVE"]
    archive(ecr, repository, other)
    assert statuses() == ["ARCHIVED", "ARCHIVED", "ACTIVE", "ARCHIVED", "ARCHIVED"]
    restore(ecr, repository, whole)
    assert statuses() == ["ACTIVATING", "ACTIVATING", "ACTIVE", "ACTIVATING", "ARCHIVED"]
    end_restores(server)
    become(ecr, repository, whole, "ACTIVE")
    assert statuses() == ["ACTIVE", "ACTIVE", "ACTIVE", "ACTIVE", "ARCHIVED"]


def test_a_new_index_brings_its_archived_members_back(ecr: Any, docker: RegistryClient, repository: str) -> None:
    member = push(docker, repository, "member")
    archive(ecr, repository, member.digest)

    push_manifest(docker, repository, image_index(member.manifest), "multi", media_type=OCI_INDEX)

    assert status(ecr, repository, member.digest) == "ACTIVE"


def test_referrers_follow_their_subject(server: Server, ecr: Any, docker: RegistryClient, repository: str) -> None:
    subject = push(docker, repository, "subject", "v1")
    signature = push(docker, repository, "signature", subject=descriptor(subject.manifest, OCI_MANIFEST))
    of_signature = refer(docker, repository, signature, "signature of the signature")

    archive(ecr, repository, subject.digest)

    become(ecr, repository, signature.digest, "ARCHIVED")
    become(ecr, repository, of_signature, "ARCHIVED")
    asked: dict[str, Any] = {"repositoryName": repository, "subjectId": {"imageDigest": subject.digest}}
    assert ecr.list_image_referrers(**asked)["referrers"] == []
    found = ecr.list_image_referrers(**asked, filter={"artifactStatus": "ARCHIVED"})["referrers"]
    assert [(item["digest"], item["artifactStatus"]) for item in found] == [(signature.digest, "ARCHIVED")]
    assert docker.request("GET", f"/v2/{repository}/referrers/{subject.digest}").json["manifests"] == []
    restore(ecr, repository, subject.digest)
    end_restores(server)
    become(ecr, repository, of_signature, "ACTIVE")
    assert [item["digest"] for item in ecr.list_image_referrers(**asked)["referrers"]] == [signature.digest]
    found = docker.request("GET", f"/v2/{repository}/referrers/{subject.digest}").json["manifests"]
    assert [set(item) for item in found] == [{"mediaType", "digest", "size", "artifactType"}]


def test_an_archived_image_is_deleted_and_comes_back_archived(
    server: Server, ecr: Any, docker: RegistryClient, repository: str
) -> None:
    image = push(docker, repository, "old", "v1")
    archive(ecr, repository, image.digest)
    before = detail(ecr, repository, image.digest)

    deleted = ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageTag": "v1"}])

    assert deleted["imageIds"] == [{"imageDigest": image.digest, "imageTag": "v1"}]
    server.command("undelete", f"{repository}@{image.digest}")
    assert detail(ecr, repository, image.digest) == before
    assert pulled(ecr, repository, imageTag="v1") == ARCHIVED
    assert (
        error_of(ecr.get_download_url_for_layer, repositoryName=repository, layerDigest=digest_of(image.layers[0]))[0]
        == "LayerInaccessibleException"
    )


def test_a_deleted_image_leaves_its_shared_layer_to_the_archive(
    ecr: Any, docker: RegistryClient, repository: str
) -> None:
    shared = b"shared with an image that goes"
    active = push(docker, repository, "active", "active", layers=(shared,))
    archive(ecr, repository, push(docker, repository, "archived", layers=(shared,)).digest)

    ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageDigest": active.digest}])

    refused = error_of(ecr.get_download_url_for_layer, repositoryName=repository, layerDigest=digest_of(shared))
    assert refused[0] == "LayerInaccessibleException"


def test_refusals(ecr: Any, other_ecr: Any, unchecked: Any, docker: RegistryClient, repository: str) -> None:
    push(docker, repository, "one", "v1")

    def refused(client: Any = ecr, **more: Any) -> tuple[str, str]:
        arguments: dict[str, Any] = {"repositoryName": repository, "imageId": {"imageTag": "v1"}}
        return error_of(client.update_image_storage_class, **arguments | {"targetStorageClass": "ARCHIVE"} | more)

    assert refused(repositoryName="absent") == repository_missing("absent")
    assert refused(imageId={"imageDigest": ABSENT_DIGEST}) == (
        "ImageNotFoundException",
        (
            f"The image with imageId {{imageDigest:'{ABSENT_DIGEST}', imageTag:'null'}} does not exist within the "
            f"repository with name '{repository}' in the registry with id '{ACCOUNT}'"
        ),
    )
    assert refused(imageId={}) == (
        "InvalidParameterException",
        "Invalid request parameters: both tag and digest cannot be null",
    )
    assert refused(unchecked, targetStorageClass="COLD")[0] == "ValidationException"
    assert refused(other_ecr, registryId=ACCOUNT) == denied(
        other_account(other_ecr), "ecr:UpdateImageStorageClass", arn_of(repository)
    )


def other_account(other_ecr: Any) -> str:
    return str(other_ecr.describe_registry()["registryId"])
