"""boto3: every operation, and the way ECS and containerd's resolver for ECR pull and push: over the API alone."""

import gzip
import json
import os
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

import pytest

from tests.e2e.every_operation import MIB, tell
from tests.e2e.repositories import Repository
from tests.places import ON_AN_OBJECT_STORE_TOO
from tests.registry_client import OCI_INDEX, OCI_MANIFEST, RegistryClient, digest_of, image_manifest
from tests.running import Server

ACCEPTED = [
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    OCI_MANIFEST,
    OCI_INDEX,
]


def fetch(url: str, **headers: str) -> bytes:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=60) as answer:
        content: bytes = answer.read()
        return content


def pull(ecr: Any, repository: str, image: dict[str, str]) -> dict[str, bytes]:
    """All blobs of an image by digest, as containerd's resolver for ECR gets them."""
    (found,) = ecr.batch_get_image(repositoryName=repository, imageIds=[image], acceptedMediaTypes=ACCEPTED)["images"]
    manifest = json.loads(found["imageManifest"])
    assert digest_of(found["imageManifest"].encode()) == found["imageId"]["imageDigest"]
    blobs = {}
    for part in (manifest["config"], *manifest["layers"]):
        url = ecr.get_download_url_for_layer(repositoryName=repository, layerDigest=part["digest"])["downloadUrl"]
        blobs[part["digest"]] = fetch(url)
        assert digest_of(blobs[part["digest"]]) == part["digest"]
        assert len(blobs[part["digest"]]) == part["size"]
    return blobs


def push(ecr: Any, repository: str, tag: str, config: bytes, *layers: bytes) -> str:
    """Push an image as containerd's resolver for ECR does; its digest."""
    digests = {digest_of(blob): blob for blob in (config, *layers)}
    asked = ecr.batch_check_layer_availability(repositoryName=repository, layerDigests=list(digests))
    missing = [item["layerDigest"] for item in asked["layers"] if item["layerAvailability"] == "UNAVAILABLE"]
    for digest in missing:
        blob = digests[digest]
        begun = ecr.initiate_layer_upload(repositoryName=repository)
        size = begun["partSize"]
        for first in range(0, len(blob), size):
            part = blob[first : first + size]
            last = first + len(part) - 1
            ecr.upload_layer_part(
                repositoryName=repository,
                uploadId=begun["uploadId"],
                partFirstByte=first,
                partLastByte=last,
                layerPartBlob=part,
            )
        ecr.complete_layer_upload(repositoryName=repository, uploadId=begun["uploadId"], layerDigests=[digest])
    manifest = image_manifest(config, *layers).decode()
    put = ecr.put_image(
        repositoryName=repository, imageManifest=manifest, imageManifestMediaType=OCI_MANIFEST, imageTag=tag
    )
    return str(put["image"]["imageId"]["imageDigest"])


def test_every_operation(server: Server) -> None:
    client = server.client("ecr", region="ap-east-1")

    def call(operation: str, **parameters: Any) -> Any:
        name = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in operation).lstrip("_")
        return getattr(client, name)(**parameters)

    tell(call, "told/by-boto3")


@ON_AN_OBJECT_STORE_TOO
def test_push_and_pull_over_the_api(ecr: Any, repository: Repository, registry: RegistryClient) -> None:
    config = json.dumps({"architecture": "amd64", "os": "linux"}).encode()
    layers = (os.urandom(25 * MIB), gzip.compress(b"small"))
    digest = push(ecr, repository.name, "v1", config, *layers)
    assert repository.digest("v1") == digest
    assert set(pull(ecr, repository.name, {"imageTag": "v1"}).values()) == {config, *layers}
    assert set(pull(ecr, repository.name, {"imageDigest": digest}).values()) == {config, *layers}
    # the other plane has the same image
    assert (
        registry.request("HEAD", f"{registry.path(repository.name)}/manifests/v1").headers["docker-content-digest"]
        == digest
    )
    assert registry.pull_blob(repository.name, digest_of(layers[0])).body == layers[0]


def test_layers_that_are_there_are_not_sent_again(ecr: Any, repository: Repository) -> None:
    config = json.dumps({"architecture": "amd64", "os": "linux"}).encode()
    layer = os.urandom(1000)
    push(ecr, repository.name, "v1", config, layer)
    asked = ecr.batch_check_layer_availability(
        repositoryName=repository.name, layerDigests=[digest_of(layer), "sha256:" + "0" * 64]
    )
    assert [(item["layerDigest"], item["layerAvailability"]) for item in asked["layers"]] == [
        (digest_of(layer), "AVAILABLE"),
        ("sha256:" + "0" * 64, "UNAVAILABLE"),
    ]
    assert push(ecr, repository.name, "v2", config, layer) == repository.digest("v1")
    assert repository.tags() == {"v1", "v2"}


@ON_AN_OBJECT_STORE_TOO
def test_a_download_url_is_for_its_layer_alone_and_serves_ranges(ecr: Any, repository: Repository) -> None:
    config, layer = json.dumps({"os": "linux"}).encode(), os.urandom(10_000)
    push(ecr, repository.name, "v1", config, layer)
    url = ecr.get_download_url_for_layer(repositoryName=repository.name, layerDigest=digest_of(layer))["downloadUrl"]
    assert fetch(url, Range="bytes=100-199") == layer[100:200]
    other = digest_of(config)
    parts = urllib.parse.urlsplit(url)
    query = dict(urllib.parse.parse_qsl(parts.query))
    first = query["signature"][0]
    for change in (
        {"digest": other},
        {"expires": str(int(query["expires"]) + 1)},
        {"signature": ("A" if first != "A" else "B") + query["signature"][1:]},
        {"signature": ""},
    ):
        changed = parts._replace(query=urllib.parse.urlencode(query | change)).geturl()
        with pytest.raises(urllib.error.HTTPError) as refused:
            fetch(changed)
        assert refused.value.code == 403
        refused.value.close()


def test_tokens_and_registries(server: Server, ecr: Any) -> None:
    (data,) = ecr.get_authorization_token(registryIds=["123456789012"])["authorizationData"]
    assert data["proxyEndpoint"] == server.url
    assert server.client("sts").get_caller_identity()["Account"] == "123456789012"
