"""What a repository's key means: while it may not be used nothing is read or written, and nothing is lost."""

import os
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from tests.api.support import ACCOUNT, error_of, make_image, push
from tests.places import ON_EVERY_PLACE
from tests.registry_client import Answer, RegistryClient, digest_of
from tests.running import OTHER_ACCOUNT, Server

pytestmark = ON_EVERY_PLACE

LAYER = os.urandom(2_500_000)


@pytest.fixture
def key(kms: Any) -> dict[str, Any]:
    made: dict[str, Any] = kms.create_key()["KeyMetadata"]
    return made


@pytest.fixture(params=["KMS", "KMS_DSSE"])
def repository(request: pytest.FixtureRequest, ecr: Any, repository_name: str, key: dict[str, Any]) -> str:
    configuration = {"encryptionType": request.param, "kmsKey": key["KeyId"]}
    ecr.create_repository(repositoryName=repository_name, encryptionConfiguration=configuration)
    return repository_name


@pytest.fixture(params=["disabled", "pending deletion"])
def shut(request: pytest.FixtureRequest, kms: Any, key: dict[str, Any]) -> "Shut":
    return Shut(kms, key, str(request.param))


class Shut:
    """A key that can be shut and opened again."""

    def __init__(self, kms: Any, key: dict[str, Any], way: str) -> None:
        self.kms, self.key, self.way = kms, key, way

    @property
    def code(self) -> str:
        return "DisabledException" if self.way == "disabled" else "KMSInvalidStateException"

    @property
    def message(self) -> str:
        return f"{self.key['Arn']} is {self.way}."

    def shut(self) -> None:
        if self.way == "disabled":
            self.kms.disable_key(KeyId=self.key["KeyId"])
        else:
            self.kms.schedule_key_deletion(KeyId=self.key["KeyId"])

    def open(self) -> None:
        if self.way != "disabled":
            self.kms.cancel_key_deletion(KeyId=self.key["KeyId"])
        self.kms.enable_key(KeyId=self.key["KeyId"])


def test_a_repository_is_pushed_and_pulled_under_its_key(docker: RegistryClient, repository: str) -> None:
    image = push(docker, repository, "one", "v1", layers=(LAYER,))

    assert docker.request("GET", f"{docker.path(repository)}/manifests/v1").body == image.manifest
    assert docker.pull_blob(repository, digest_of(LAYER)).body == LAYER


def test_nothing_is_pulled_while_the_key_may_not_be_used(
    ecr: Any, docker: RegistryClient, repository: str, shut: Shut
) -> None:
    image = push(docker, repository, "one", "v1", layers=(LAYER,))
    layer, path = digest_of(LAYER), docker.path(repository)
    before = docker.request("GET", f"{path}/blobs/{layer}").headers["location"]
    anonymous = RegistryClient(docker.port, None)
    assert anonymous.request("GET", before).body == LAYER

    shut.shut()

    refused = (400, "DENIED", shut.message)
    for address in (f"{path}/manifests/v1", f"{path}/manifests/{image.digest}", f"{path}/blobs/{layer}"):
        assert docker.request("GET", address).error == refused
    assert docker.request("HEAD", f"{path}/manifests/v1").status == 400
    assert kms_error_of(ecr.get_download_url_for_layer, repositoryName=repository, layerDigest=layer) == (
        shut.code,
        shut.message,
    )
    got = ecr.batch_get_image(repositoryName=repository, imageIds=[{"imageTag": "v1"}])
    assert got["images"] == []
    assert got["failures"] == [
        {"imageId": {"imageTag": "v1"}, "failureCode": "KmsError", "failureReason": shut.message}
    ]
    for headers in ({}, {"Range": "bytes=5-10"}):
        answer = anonymous.request("GET", before, None, **headers)
        assert answer.status == 400
        assert f"<Code>KMS.{shut.code}</Code><Message>{shut.message}</Message>" in answer.body.decode()

    shut.open()
    assert docker.request("GET", f"{path}/manifests/v1").body == image.manifest
    assert anonymous.request("GET", before).body == LAYER
    assert docker.pull_blob(repository, layer).body == LAYER


def test_nothing_is_pushed_while_the_key_may_not_be_used(
    ecr: Any, docker: RegistryClient, repository: str, shut: Shut
) -> None:
    image = make_image("pushed later", LAYER)
    path = docker.path(repository)
    begun = docker.request("POST", f"{path}/blobs/uploads/").headers["location"]
    started = ecr.initiate_layer_upload(repositoryName=repository)["uploadId"]
    docker.push_blob(repository, image.config)
    docker.push_blob(repository, LAYER)

    shut.shut()

    refused = (400, "DENIED", shut.message)
    assert docker.request("POST", f"{path}/blobs/uploads/").error == refused
    assert docker.request("PATCH", begun, b"bytes").error == refused
    assert docker.request("PUT", f"{begun}?digest={digest_of(b'bytes')}", b"").error == refused
    assert docker.push_manifest(repository, "v1", image.manifest).error == refused
    told = (shut.code, shut.message)
    named = {"repositoryName": repository}
    part = {"partFirstByte": 0, "partLastByte": 4, "layerPartBlob": b"bytes"}
    assert kms_error_of(ecr.initiate_layer_upload, **named) == told
    assert kms_error_of(ecr.upload_layer_part, **named, uploadId=started, **part) == told
    assert kms_error_of(ecr.complete_layer_upload, **named, uploadId=started, layerDigests=[digest_of(b"")]) == told
    assert kms_error_of(ecr.put_image, **named, imageManifest=image.text, imageTag="v1") == told

    shut.open()
    assert docker.request("PATCH", begun, b"bytes").status == 202
    assert docker.request("PUT", f"{begun}?digest={digest_of(b'bytes')}", b"").status == 201
    assert docker.push_manifest(repository, "v1", image.manifest).status == 201


def test_a_repository_goes_whatever_its_key_is(
    ecr: Any, docker: RegistryClient, repository: str, key: dict[str, Any], shut: Shut
) -> None:
    push(docker, repository, "one", "v1")
    shut.shut()

    described = ecr.describe_repositories(repositoryNames=[repository])["repositories"][0]
    assert described["encryptionConfiguration"]["kmsKey"] == key["Arn"]
    assert len(ecr.describe_images(repositoryName=repository)["imageDetails"]) == 1
    assert ecr.delete_repository(repositoryName=repository, force=True)["repository"]["repositoryName"] == repository


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        ("alias/absent", "NotFoundException", f"Alias arn:aws:kms:us-east-1:{ACCOUNT}:alias/absent is not found."),
        ("nonsense", "NotFoundException", "Invalid keyId 'nonsense'"),
        (f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/{uuid4()}", "NotFoundException", "Invalid arn eu-west-1"),
        (f"arn:aws:kms:us-east-1:{OTHER_ACCOUNT}:alias/aws/ecr", "AccessDeniedException", None),
    ],
)
def test_a_key_that_cannot_be_used_makes_no_repository(
    ecr: Any, repository_name: str, given: str, code: str, message: str | None
) -> None:
    configuration = {"encryptionType": "KMS", "kmsKey": given}

    told = kms_error_of(ecr.create_repository, repositoryName=repository_name, encryptionConfiguration=configuration)

    assert told[0] == code
    assert message is None or told[1] == message
    assert error_of(ecr.describe_repositories, repositoryNames=[repository_name])[0] == "RepositoryNotFoundException"


def test_a_key_that_is_shut_makes_no_repository(ecr: Any, repository_name: str, shut: Shut) -> None:
    shut.shut()
    configuration = {"encryptionType": "KMS", "kmsKey": shut.key["Arn"]}

    told = kms_error_of(ecr.create_repository, repositoryName=repository_name, encryptionConfiguration=configuration)

    assert told == (shut.code, shut.message)


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=1048570-1048590", 1_048_570, 1_048_591),
        ("bytes=2097152-", 2_097_152, len(LAYER)),
        ("bytes=-5", len(LAYER) - 5, len(LAYER)),
        ("bytes=0-", 0, len(LAYER)),
    ],
)
def test_ranges_of_an_encrypted_layer(
    docker: RegistryClient, repository: str, asked: str, start: int, end: int
) -> None:
    docker.push_blob(repository, LAYER)
    url = docker.request("GET", f"{docker.path(repository)}/blobs/{digest_of(LAYER)}").headers["location"]

    answer = RegistryClient(docker.port, None).request("GET", url, None, Range=asked)

    assert (answer.status, answer.body) == (206, LAYER[start:end])
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(LAYER)}"


@pytest.mark.parametrize("sizes", [[1], [1_000_000, 1_000_001], [5, 5, 5], [1_048_576, 1, 1_048_576, 700_000]])
def test_an_upload_is_continued_at_any_offset(
    ecr: Any, docker: RegistryClient, repository_name: str, sizes: list[int]
) -> None:
    ecr.create_repository(repositoryName=repository_name)
    pieces = [os.urandom(size) for size in sizes]
    location = docker.request("POST", f"{docker.path(repository_name)}/blobs/uploads/").headers["location"]
    for piece in pieces:
        assert docker.request("PATCH", location, piece).status == 202

    content = b"".join(pieces)
    assert docker.request("PUT", f"{location}?digest={digest_of(content)}", b"").status == 201
    assert docker.pull_blob(repository_name, digest_of(content)).body == content


def test_layers_are_shared_under_one_key_only(server: Server, ecr: Any, kms: Any, repository_name: str) -> None:
    docker: RegistryClient = RegistryClient(server.port, server.password())
    key = kms.create_key()["KeyMetadata"]["Arn"]
    for name, configuration in (
        ("plain", {"encryptionType": "AES256"}),
        ("plain-too", {"encryptionType": "AES256"}),
        ("kms", {"encryptionType": "KMS", "kmsKey": key}),
        ("kms-too", {"encryptionType": "KMS", "kmsKey": key}),
        ("dsse", {"encryptionType": "KMS_DSSE", "kmsKey": key}),
    ):
        ecr.create_repository(repositoryName=f"{repository_name}/{name}", encryptionConfiguration=configuration)
    content = os.urandom(1000)
    objects = {}
    for name in ("plain", "plain-too", "kms", "kms-too", "dsse"):
        docker.push_blob(f"{repository_name}/{name}", content)
        answer: Answer = docker.request("GET", f"/v2/{repository_name}/{name}/blobs/{digest_of(content)}")
        objects[name] = answer.headers["location"].partition("?")[0]

    assert objects["plain"] == objects["plain-too"]
    assert objects["kms"] == objects["kms-too"]
    assert len(set(objects.values())) == 3


def kms_error_of(call: Any, **arguments: Any) -> tuple[str, str]:
    """(KMS's own code, message) of a call that must be refused with a KmsException."""
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    answer = refused.value.response
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == ("KmsException", 400)
    # GetDownloadUrlForLayer's model lacks the exception, so boto3 does not read its member.
    return str(answer.get("kmsError", _code_of(answer["Error"]["Message"]))), str(answer["Error"]["Message"])


def _code_of(message: str) -> str:
    return "DisabledException" if message.endswith("is disabled.") else "KMSInvalidStateException"
