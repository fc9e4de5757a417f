"""Docker with the containerd image store, and buildx: OCI indexes, attestations, caches, zstd."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import NewRepository
from tests.e2e.docker import Docker, write_context
from tests.e2e.repositories import Repository
from tests.places import ON_AN_OBJECT_STORE_TOO
from tests.registry_client import OCI_INDEX, OCI_MANIFEST
from tests.running import Server

HELLO = 'FROM busybox\nCOPY hello.txt /hello.txt\nCMD ["cat", "/hello.txt"]\n'


def hello_context(folder: Path, hello: str) -> Path:
    return write_context(folder, HELLO, hello_txt=hello)


def split(index: dict[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The images and the attestations of an index."""
    kind = "vnd.docker.reference.type"
    attestations = [member for member in index["manifests"] if kind in member.get("annotations", {})]
    return [member for member in index["manifests"] if member not in attestations], attestations


def statements(repository: Repository, attestation: dict[str, Any]) -> list[str]:
    """The predicate types of an attestation's layers."""
    manifest = repository.manifest(attestation["digest"])
    return [layer["annotations"]["in-toto.io/predicate-type"] for layer in manifest["layers"]]


def stored_digest(docker: Docker, reference: str) -> str:
    """The digest under which the daemon's store has a tag."""
    return docker.id(reference)


@ON_AN_OBJECT_STORE_TOO
def test_a_plain_build_pushes_an_index_with_an_attestation(
    docker_containerd: Docker, repository: Repository, tmp_path: Path
) -> None:
    docker, remote = docker_containerd, f"{repository.reference}:v1"
    docker("build", "--network", "none", "-t", remote, hello_context(tmp_path, "hello from containerd"))
    digest = stored_digest(docker, remote)
    docker("push", remote)

    described = repository.image("v1")
    assert (described["imageDigest"], described["imageManifestMediaType"]) == (digest, OCI_INDEX)
    (image,), (attestation,) = split(repository.manifest("v1"))
    assert attestation["annotations"]["vnd.docker.reference.digest"] == image["digest"]
    assert len(statements(repository, attestation)) == 1
    assert {entry["imageDigest"]: entry["imageManifestMediaType"] for entry in repository.images()} == {
        digest: OCI_INDEX,
        image["digest"]: OCI_MANIFEST,
        attestation["digest"]: OCI_MANIFEST,
    }

    docker("rmi", remote)
    docker("pull", remote)
    assert stored_digest(docker, remote) == digest
    assert docker("run", "--rm", "--network", "none", remote) == "hello from containerd"
    docker("rmi", remote)
    docker("pull", f"{repository.reference}@{digest}")


def test_an_immutable_tag(docker_containerd: Docker, new_repository: NewRepository, tmp_path: Path) -> None:
    """This Docker sends every member of an index under the index's tag, which no immutable tag survives, here or on
    ECR; an image without attestations is one manifest, and works."""
    docker, repository = docker_containerd, new_repository(imageTagMutability="IMMUTABLE")
    docker("build", "--network", "none", "-t", f"{repository.reference}:index", hello_context(tmp_path, "index"))
    assert "400 Bad Request" in docker.fails("push", f"{repository.reference}:index")

    remote = f"{repository.reference}:v1"
    docker("build", "--network", "none", "--provenance=false", "-t", remote, hello_context(tmp_path, "one"))
    docker("push", remote)
    digest = repository.digest("v1")
    assert digest == stored_digest(docker, remote)
    docker("build", "--network", "none", "--provenance=false", "-t", remote, hello_context(tmp_path, "two"))
    assert "400 Bad Request" in docker.fails("push", remote)
    assert repository.digest("v1") == digest


def test_provenance_of_the_highest_mode(docker_containerd: Docker, repository: Repository, tmp_path: Path) -> None:
    remote = f"{repository.reference}:provenance"
    context = hello_context(tmp_path, "provenance")
    docker_containerd("buildx", "build", "--network", "host", "--provenance=mode=max", "-t", remote, "--push", context)
    (_,), (attestation,) = split(repository.manifest("provenance"))
    assert statements(repository, attestation) == ["https://slsa.dev/provenance/v0.2"]


def test_two_platforms_from_scratch(docker_containerd: Docker, repository: Repository, tmp_path: Path) -> None:
    remote = f"{repository.reference}:platforms"
    dockerfile = "FROM scratch\nARG TARGETARCH\nLABEL architecture=$TARGETARCH\nCOPY data.txt /data.txt\n"
    context = write_context(tmp_path, dockerfile, data_txt="the same on both")
    docker_containerd("buildx", "build", "--platform", "linux/amd64,linux/arm64", "-t", remote, "--push", context)
    images, attestations = split(repository.manifest("platforms"))
    assert [image["platform"] for image in images] == [
        {"architecture": "amd64", "os": "linux"},
        {"architecture": "arm64", "os": "linux"},
    ]
    assert len(attestations) == 2
    docker_containerd("pull", "--platform", "linux/arm64", remote)


@ON_AN_OBJECT_STORE_TOO
@pytest.mark.parametrize("image_manifest", ["true", "false"])
def test_a_build_cache_in_the_registry(
    docker_containerd: Docker, new_repository: NewRepository, tmp_path: Path, image_manifest: str
) -> None:
    """With image-manifest=false the cache is an index whose members are blobs, not manifests."""
    docker, image, cache = docker_containerd, new_repository(), new_repository("cache")
    dockerfile = (
        "FROM busybox AS first\nRUN head -c 16 /dev/urandom > /made\nFROM scratch\nCOPY --from=first /made /made\n"
    )
    context = write_context(tmp_path, dockerfile)
    arguments = ["buildx", "build", "--network", "host", "--provenance=false", "--push"]
    location = f"type=registry,ref={cache.reference}:cache"
    docker(
        *arguments, f"--cache-to={location},mode=max,image-manifest={image_manifest}", "-t", f"{image.reference}:first",
        context,
    )  # fmt: skip
    described = cache.image("cache")
    stored = cache.manifest("cache")
    if image_manifest == "true":
        assert described["imageManifestMediaType"] == OCI_MANIFEST
        assert stored["config"]["mediaType"] == "application/vnd.buildkit.cacheconfig.v0"
    else:
        assert described["imageManifestMediaType"] == OCI_INDEX
        kinds = {member["mediaType"] for member in stored["manifests"]}
        assert "application/vnd.buildkit.cacheconfig.v0" in kinds
        assert kinds.isdisjoint({OCI_MANIFEST, OCI_INDEX})

    # without a local cache the random file can only come from the registry's
    docker("builder", "prune", "--all", "--force")
    docker(*arguments, f"--cache-from={location}", "-t", f"{image.reference}:second", context)
    assert image.manifest("second")["layers"] == image.manifest("first")["layers"]


def test_layers_compressed_with_zstd(docker_containerd: Docker, repository: Repository, tmp_path: Path) -> None:
    remote = f"{repository.reference}:zstd"
    output = f"--output=type=image,name={remote},push=true,compression=zstd,force-compression=true,oci-mediatypes=true"
    docker_containerd("buildx", "build", "--network", "host", output, hello_context(tmp_path, "in zstd"))
    (image,), _ = split(repository.manifest("zstd"))
    kinds = {layer["mediaType"] for layer in repository.manifest(image["digest"])["layers"]}
    assert kinds == {"application/vnd.oci.image.layer.v1.tar+zstd"}
    docker_containerd("pull", remote)
    assert docker_containerd("run", "--rm", "--network", "none", remote) == "in zstd"


def test_imagetools_make_an_index_of_two_images(
    docker_containerd: Docker, repository: Repository, tmp_path: Path
) -> None:
    docker = docker_containerd
    for name in ("one", "two"):
        context = hello_context(tmp_path / name, name)
        arguments = ["buildx", "build", "--provenance=false", "-t", f"{repository.reference}:{name}", "--push"]
        docker(*arguments, context)
    sources = [f"{repository.reference}:{name}" for name in ("one", "two")]
    docker("buildx", "imagetools", "create", "-t", f"{repository.reference}:both", *sources)
    members = [member["digest"] for member in repository.manifest("both")["manifests"]]
    assert members == [repository.digest("one"), repository.digest("two")]
    shown = docker("buildx", "imagetools", "inspect", "--format", "{{json .Manifest}}", f"{repository.reference}:both")
    assert json.loads(shown)["digest"] == repository.digest("both")


def test_logging_out_and_in(docker_containerd: Docker, server: Server, password: str, tmp_path: Path) -> None:
    docker = docker_containerd.with_configuration(tmp_path / "config")
    docker.login(server.host, password)
    docker("logout", server.host)
    assert "403 Forbidden" in docker.fails("login", "-u", "AWS", "--password-stdin", server.host, stdin="wrong")
