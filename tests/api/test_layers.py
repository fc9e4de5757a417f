"""BatchCheckLayerAvailability, GetDownloadUrlForLayer, mounting."""

import hashlib
import urllib.request
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.api.support import (
    ABSENT_DIGEST,
    ACCOUNT,
    bad_parameter,
    denied,
    error_of,
    make_image,
    members_of,
    push,
    repository_missing,
    upload,
)
from tests.places import ON_EVERY_PLACE
from tests.registry_client import OCI_CONFIG, OCI_LAYER, RegistryClient, digest_of
from tests.running import OTHER_ACCOUNT, Server

pytestmark = ON_EVERY_PLACE


def layer_missing(name: str, digest: str) -> tuple[str, str]:
    return (
        "LayersNotFoundException",
        (
            f"The layer with digest '{digest}' does not exist in the repository with name '{name}' "
            f"in the registry with id '{ACCOUNT}'"
        ),
    )


def check(ecr: Any, name: str, *digests: str) -> dict[str, Any]:
    return members_of(ecr.batch_check_layer_availability(repositoryName=name, layerDigests=list(digests)))


def test_layers_that_an_image_names_are_available_with_size_and_type(
    ecr: Any, docker: RegistryClient, repository: str
) -> None:
    image = push(docker, repository, "one", "v1")
    config, layer = digest_of(image.config), digest_of(image.layers[0])

    assert check(ecr, repository, layer, config) == {
        "layers": [
            {
                "layerDigest": layer,
                "layerAvailability": "AVAILABLE",
                "layerSize": len(image.layers[0]),
                "mediaType": OCI_LAYER,
            },
            {
                "layerDigest": config,
                "layerAvailability": "AVAILABLE",
                "layerSize": len(image.config),
                "mediaType": OCI_CONFIG,
            },
        ],
        "failures": [],
    }


def test_a_layer_that_no_image_names_is_available_without_a_type(
    ecr: Any, docker: RegistryClient, repository: str
) -> None:
    digest = docker.push_blob(repository, b"alone")

    assert check(ecr, repository, digest)["layers"] == [
        {"layerDigest": digest, "layerAvailability": "AVAILABLE", "layerSize": 5}
    ]


def test_an_unknown_layer_is_unavailable_and_a_malformed_one_a_failure(unchecked: Any, repository: str) -> None:
    assert check(unchecked, repository, ABSENT_DIGEST, "nonsense", "", "md5:abc") == {
        "layers": [
            {"layerDigest": ABSENT_DIGEST, "layerAvailability": "UNAVAILABLE"},
            {"layerDigest": "md5:abc", "layerAvailability": "UNAVAILABLE"},
        ],
        "failures": [
            {
                "layerDigest": "nonsense",
                "failureCode": "InvalidLayerDigest",
                "failureReason": (
                    "Invalid request parameters: layer digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'"
                ),
            },
            {
                "layerDigest": "",
                "failureCode": "MissingLayerDigest",
                "failureReason": "Invalid request parameters: layer digest cannot be null",
            },
        ],
    }


def test_availability_is_the_repositorys_own(
    ecr: Any, docker: RegistryClient, repository: str, repository_name: str
) -> None:
    ecr.create_repository(repositoryName=f"{repository_name}/other")
    digest = docker.push_blob(f"{repository_name}/other", b"elsewhere")

    assert check(ecr, repository, digest)["layers"][0]["layerAvailability"] == "UNAVAILABLE"


def test_the_borders_of_the_list(ecr: Any, unchecked: Any, repository: str) -> None:
    digests = ["sha256:" + f"{number:064x}" for number in range(101)]

    assert len(check(ecr, repository, *digests[:100])["layers"]) == 100
    for given, constraint in ((digests, "less than or equal to 100"), ([], "greater than or equal to 1")):
        assert error_of(
            unchecked.batch_check_layer_availability, repositoryName=repository, layerDigests=given
        ) == bad_parameter("layerDigests", f"Member must have length {constraint}")


def test_asking_for_a_layer_extends_its_promise_once_half_is_gone(
    ecr: Any, docker: RegistryClient, repository: str, server: Server
) -> None:
    digest = docker.push_blob(repository, b"promised " + repository.encode())

    def promised_until_us() -> int:
        return int(
            server.rows("SELECT promised_until_us FROM layer WHERE digest = :digest", digest=stored(digest))[0][0]
        )

    fresh = promised_until_us()
    check(ecr, repository, digest)
    assert promised_until_us() == fresh
    half_gone = fresh - 13 * 3600 * 1_000_000
    server.execute(
        "UPDATE layer SET promised_until_us = :half_gone WHERE digest = :digest",
        half_gone=half_gone,
        digest=stored(digest),
    )

    check(ecr, repository, digest)

    assert promised_until_us() >= fresh


def test_a_link_without_image_and_promise_is_over(
    ecr: Any, docker: RegistryClient, repository: str, server: Server
) -> None:
    image = upload(docker, repository, make_image(f"lapsed {repository}"))
    digest = digest_of(image.layers[0])
    server.execute("UPDATE layer SET promised_until_us = 1 WHERE digest = :digest", digest=stored(digest))

    assert check(ecr, repository, digest)["layers"][0]["layerAvailability"] == "UNAVAILABLE"
    assert error_of(ecr.get_download_url_for_layer, repositoryName=repository, layerDigest=digest) == layer_missing(
        repository, digest
    )
    refused = error_of(ecr.put_image, repositoryName=repository, imageManifest=image.text)
    assert refused[0] == "LayersNotFoundException"
    assert digest in refused[1]


def stored(digest: str) -> bytes:
    return b"\x01" + bytes.fromhex(digest.removeprefix("sha256:"))


def test_a_download_url_gives_that_layer_to_anyone(ecr: Any, docker: RegistryClient, repository: str) -> None:
    image = push(docker, repository, "one", "v1")
    digest = digest_of(image.layers[0])

    answer = members_of(ecr.get_download_url_for_layer(repositoryName=repository, layerDigest=digest))

    assert set(answer) == {"downloadUrl", "layerDigest"}
    assert answer["layerDigest"] == digest
    with urllib.request.urlopen(answer["downloadUrl"], timeout=60) as received:
        assert received.read() == image.layers[0]


def test_a_download_url_is_absolute_and_on_the_listeners_name(
    ecr: Any, docker: RegistryClient, repository: str, server: Server
) -> None:
    digest = docker.push_blob(repository, b"somewhere")

    url = ecr.get_download_url_for_layer(repositoryName=repository, layerDigest=digest)["downloadUrl"]

    assert urlsplit(url)[:2] == ("http", server.host)


def test_a_layer_is_found_under_each_of_its_digests(ecr: Any, docker: RegistryClient, repository: str) -> None:
    content = b"two digests " + repository.encode()
    sha512 = "sha512:" + hashlib.sha512(content).hexdigest()
    answer = docker.request("POST", f"{docker.path(repository)}/blobs/uploads/?digest={sha512}", content)

    found = check(ecr, repository, sha512, digest_of(content))

    assert answer.status == 201
    assert [item["layerAvailability"] for item in found["layers"]] == ["AVAILABLE", "AVAILABLE"]


def test_a_download_url_for_a_layer_that_is_not_there(ecr: Any, repository: str) -> None:
    for digest in (ABSENT_DIGEST, "sha256:abc"):
        assert error_of(ecr.get_download_url_for_layer, repositoryName=repository, layerDigest=digest) == layer_missing(
            repository, digest
        )


@pytest.mark.parametrize("exists", [True, False])
def test_another_account_learns_nothing_of_a_layer(
    other_ecr: Any, docker: RegistryClient, repository: str, exists: bool
) -> None:
    digest = docker.push_blob(repository, b"secret") if exists else ABSENT_DIGEST
    arn = f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/{repository}"

    for operation, action, arguments in (
        ("get_download_url_for_layer", "ecr:GetDownloadUrlForLayer", {"layerDigest": digest}),
        ("batch_check_layer_availability", "ecr:BatchCheckLayerAvailability", {"layerDigests": [digest]}),
    ):
        call = getattr(other_ecr, operation)
        assert error_of(call, registryId=ACCOUNT, repositoryName=repository, **arguments) == denied(
            OTHER_ACCOUNT, action, arn
        )


def test_a_missing_repository(ecr: Any, repository_name: str) -> None:
    missing = repository_missing(repository_name)
    named = {"repositoryName": repository_name}

    assert error_of(ecr.get_download_url_for_layer, **named, layerDigest=ABSENT_DIGEST) == missing
    assert error_of(ecr.batch_check_layer_availability, **named, layerDigests=[ABSENT_DIGEST]) == missing


def test_mounting_follows_the_account_setting_and_the_encryption(server: Server, repository_name: str) -> None:
    ecr = server.client("ecr", region="eu-central-1")
    docker = RegistryClient(server.port, server.password(), prefix=f"/{ACCOUNT}.eu-central-1")
    source, target, encrypted = (f"{repository_name}/{name}" for name in ("source", "target", "encrypted"))
    ecr.create_repository(repositoryName=source)
    ecr.create_repository(repositoryName=target)
    ecr.create_repository(repositoryName=encrypted, encryptionConfiguration={"encryptionType": "KMS"})
    digest = docker.push_blob(source, b"mounted")

    def mount(name: str, origin: str) -> int:
        return docker.request("POST", f"{docker.path(name)}/blobs/uploads/?mount={digest}&from={origin}").status

    assert mount(target, source) == 202
    ecr.put_account_setting(name="BLOB_MOUNTING", value="ENABLED")
    assert mount(target, f"{source}/absent") == 202
    assert mount(encrypted, source) == 202
    assert mount(target, source) == 201
    assert check(ecr, target, digest)["layers"][0]["layerAvailability"] == "AVAILABLE"
    assert check(ecr, encrypted, digest)["layers"][0]["layerAvailability"] == "UNAVAILABLE"
