"""Archived images on the dkr plane: they cannot be pulled, and pushing them again brings them back."""

from typing import Any

from tests.places import ON_EVERY_PLACE
from tests.registry_client import OCI_INDEX, RegistryClient, digest_of, image_index, image_manifest
from tests.running import DEFAULT_ACCOUNT

pytestmark = ON_EVERY_PLACE

CONFIG, LAYER = b'{"architecture": "amd64", "os": "linux"}', b"a layer of an archived image"
MANIFEST = image_manifest(CONFIG, LAYER)
ARCHIVED = (404, "MANIFEST_UNKNOWN", "Requested image is archived")


def push(registry: RegistryClient, repository: str, tag: str = "v1") -> str:
    for content in (CONFIG, LAYER):
        if registry.request("HEAD", f"/v2/{repository}/blobs/{digest_of(content)}").status == 404:
            registry.push_blob(repository, content)
    assert registry.push_manifest(repository, tag, MANIFEST).status == 201
    return digest_of(MANIFEST)


def move(ecr: Any, repository: str, target: str, digest: str) -> str:
    answer = ecr.update_image_storage_class(
        repositoryName=repository, imageId={"imageDigest": digest}, targetStorageClass=target
    )
    return str(answer["imageStatus"])


def test_a_pull_of_an_archived_image_finds_nothing(ecr: Any, registry: RegistryClient, repository: str) -> None:
    digest = push(registry, repository)
    manifests, blob = f"/v2/{repository}/manifests", f"/v2/{repository}/blobs/{digest_of(LAYER)}"
    # Pulled before, so that whatever a server keeps of it must be forgotten.
    assert registry.request("GET", f"{manifests}/{digest}").status == 200
    assert registry.request("GET", blob).status == 307

    assert move(ecr, repository, "ARCHIVE", digest) == "ARCHIVED"

    for reference in ("v1", digest):
        assert registry.request("GET", f"{manifests}/{reference}").error == ARCHIVED
        assert registry.request("HEAD", f"{manifests}/{reference}").status == 404
    assert registry.request("GET", blob).error == (
        404,
        "BLOB_UNKNOWN",
        (
            f"The layer with digest '{digest_of(LAYER)}' in the repository with name '{repository}' in the registry "
            f"with id '{DEFAULT_ACCOUNT}' is archived"
        ),
    )
    assert move(ecr, repository, "STANDARD", digest) == "ACTIVATING"
    assert registry.request("GET", f"{manifests}/v1").error == (
        404,
        "MANIFEST_UNKNOWN",
        "Requested image is being restored from the archive",
    )


def test_pushing_again_uploads_nothing_and_brings_it_back(ecr: Any, registry: RegistryClient, repository: str) -> None:
    digest = push(registry, repository)
    move(ecr, repository, "ARCHIVE", digest)
    # A push asks for what is there already; an archived layer is.
    assert registry.request("HEAD", f"/v2/{repository}/blobs/{digest_of(LAYER)}").status == 200

    push(registry, repository)

    assert registry.request("GET", f"/v2/{repository}/manifests/v1").body == MANIFEST
    assert registry.pull_blob(repository, digest_of(LAYER)).body == LAYER


def test_a_layer_that_an_active_image_shares_is_served(ecr: Any, registry: RegistryClient, repository: str) -> None:
    digest = push(registry, repository)
    other = image_manifest(b"{}", LAYER)
    registry.push_blob(repository, b"{}")
    assert registry.push_manifest(repository, "other", other).status == 201

    move(ecr, repository, "ARCHIVE", digest)

    assert registry.pull_blob(repository, digest_of(LAYER)).body == LAYER
    assert registry.request("GET", f"/v2/{repository}/blobs/{digest_of(CONFIG)}").status == 404


def test_an_archived_index_is_not_pulled_in_any_form(ecr: Any, registry: RegistryClient, repository: str) -> None:
    for content in (CONFIG, LAYER):
        registry.push_blob(repository, content)
    assert registry.push_manifest(repository, digest_of(MANIFEST), MANIFEST).status == 201
    index = image_index(MANIFEST)
    assert registry.push_manifest(repository, "multi", index, OCI_INDEX).status == 201

    move(ecr, repository, "ARCHIVE", digest_of(index))

    for reference in ("multi", digest_of(index), digest_of(MANIFEST)):
        assert registry.request("GET", f"/v2/{repository}/manifests/{reference}").error == ARCHIVED


def test_a_layer_of_an_archived_image_is_not_mounted(
    ecr: Any, registry: RegistryClient, repository: str, other_repository: str, blob_mounting: None
) -> None:
    digest = push(registry, repository)
    mount = f"/v2/{other_repository}/blobs/uploads/?mount={digest_of(LAYER)}&from={repository}"
    move(ecr, repository, "ARCHIVE", digest)

    assert registry.request("POST", mount).status == 202
    push(registry, repository)
    assert registry.request("POST", mount).status == 201
