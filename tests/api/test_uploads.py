"""InitiateLayerUpload, UploadLayerPart, CompleteLayerUpload."""

import hashlib
import re
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.api.support import (
    ABSENT_DIGEST,
    ACCOUNT,
    bad_parameter,
    denied,
    error_of,
    members_of,
    repository_missing,
)
from tests.places import ON_EVERY_PLACE
from tests.registry_client import RegistryClient, digest_of
from tests.running import OTHER_ACCOUNT, Server

pytestmark = ON_EVERY_PLACE

MIB = 1024 * 1024
HEX = "[0-9a-fA-F]"
NO_UPLOAD = "00000000-0000-4000-8000-000000000000"


def upload_missing(name: str, upload_id: str = NO_UPLOAD) -> tuple[str, str]:
    return (
        "UploadNotFoundException",
        (
            f"The upload with id '{upload_id}' in the repository with name '{name}' in registry with id '{ACCOUNT}' "
            "does not exist"
        ),
    )


def begin(ecr: Any, name: str) -> str:
    return str(ecr.initiate_layer_upload(repositoryName=name)["uploadId"])


def put(ecr: Any, name: str, upload_id: str, first: int, content: bytes) -> dict[str, Any]:
    return members_of(
        ecr.upload_layer_part(
            repositoryName=name,
            uploadId=upload_id,
            partFirstByte=first,
            partLastByte=first + len(content) - 1,
            layerPartBlob=content,
        )
    )


def complete(ecr: Any, name: str, upload_id: str, *digests: str) -> dict[str, Any]:
    return members_of(ecr.complete_layer_upload(repositoryName=name, uploadId=upload_id, layerDigests=list(digests)))


def test_an_upload_in_one_part(ecr: Any, docker: RegistryClient, repository: str) -> None:
    content = b"one part"

    begun = members_of(ecr.initiate_layer_upload(repositoryName=repository))
    upload_id = begun["uploadId"]
    part = put(ecr, repository, upload_id, 0, content)
    done = complete(ecr, repository, upload_id, digest_of(content))

    names = {"registryId": ACCOUNT, "repositoryName": repository, "uploadId": upload_id}
    assert begun == {"uploadId": upload_id, "partSize": 10 * MIB}
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", upload_id)
    assert part == names | {"lastByteReceived": 7}
    assert done == names | {"layerDigest": digest_of(content)}
    assert docker.pull_blob(repository, digest_of(content)).body == content


def test_an_upload_in_parts_goes_on_whichever_worker_answers(ecr: Any, docker: RegistryClient, repository: str) -> None:
    parts = [bytes([number]) * (5 * MIB) for number in range(3)] + [b"the end"]
    upload_id, offset = begin(ecr, repository), 0

    for part in parts:
        answer = put(ecr, repository, upload_id, offset, part)
        offset += len(part)
        assert answer["lastByteReceived"] == offset - 1

    whole = b"".join(parts)
    assert complete(ecr, repository, upload_id, digest_of(whole))["layerDigest"] == digest_of(whole)
    assert docker.pull_blob(repository, digest_of(whole)).body == whole


def test_a_part_that_leaves_a_gap_or_overlaps_tells_where_to_go_on(ecr: Any, repository: str) -> None:
    upload_id = begin(ecr, repository)
    put(ecr, repository, upload_id, 0, b"12345")

    for first in (0, 4, 6):
        with pytest.raises(ClientError) as refused:
            put(ecr, repository, upload_id, first, b"678")

        answer = members_of(refused.value.response)
        error = answer.pop("Error")
        assert error["Code"] == "InvalidLayerPartException"
        assert error["Message"] == f"First byte of the layer part is {first} instead of 5"
        assert {name: value for name, value in answer.items() if name != "message"} == {
            "registryId": ACCOUNT,
            "repositoryName": repository,
            "uploadId": upload_id,
            "lastValidByteReceived": 4,
        }
    assert put(ecr, repository, upload_id, 5, b"678")["lastByteReceived"] == 7


def test_a_part_must_be_as_long_as_its_range(ecr: Any, repository: str) -> None:
    upload_id = begin(ecr, repository)

    refused = error_of(
        ecr.upload_layer_part,
        repositoryName=repository,
        uploadId=upload_id,
        partFirstByte=0,
        partLastByte=9,
        layerPartBlob=b"short",
    )

    assert refused == ("InvalidLayerPartException", "Part size 5 does not match the specified byte range")


def test_a_part_before_the_last_has_five_mebibytes_at_least(ecr: Any, repository: str) -> None:
    upload_id = begin(ecr, repository)
    put(ecr, repository, upload_id, 0, b"a" * (5 * MIB - 1))
    put(ecr, repository, upload_id, 5 * MIB - 1, b"b")

    whole = digest_of(b"a" * (5 * MIB - 1) + b"b")
    assert error_of(ecr.complete_layer_upload, repositoryName=repository, uploadId=upload_id, layerDigests=[whole]) == (
        "LayerPartTooSmallException",
        "All layer parts except the last part should be at least 5MB",
    )


def test_an_upload_without_parts_cannot_be_completed(ecr: Any, repository: str) -> None:
    upload_id = begin(ecr, repository)

    refused = error_of(
        ecr.complete_layer_upload, repositoryName=repository, uploadId=upload_id, layerDigests=[digest_of(b"")]
    )

    assert refused == (
        "EmptyUploadException",
        (
            f"The upload with id '{upload_id}' in the repository with name '{repository}' in registry with id "
            f"'{ACCOUNT}' cannot be completed because it does not have any parts"
        ),
    )


def test_one_of_the_digests_must_be_the_layers(ecr: Any, repository: str) -> None:
    upload_id = begin(ecr, repository)
    put(ecr, repository, upload_id, 0, b"content")

    refused = error_of(
        ecr.complete_layer_upload, repositoryName=repository, uploadId=upload_id, layerDigests=[ABSENT_DIGEST]
    )
    taken = complete(ecr, repository, upload_id, ABSENT_DIGEST, digest_of(b"content"))

    assert refused == (
        "InvalidLayerException",
        "None of the provided layer digests match the calculated layer digest",
    )
    assert taken["layerDigest"] == digest_of(b"content")


def test_a_layer_that_is_there_is_told(ecr: Any, docker: RegistryClient, repository: str) -> None:
    docker.push_blob(repository, b"known")
    upload_id = begin(ecr, repository)
    put(ecr, repository, upload_id, 0, b"known")

    refused = error_of(
        ecr.complete_layer_upload, repositoryName=repository, uploadId=upload_id, layerDigests=[digest_of(b"known")]
    )

    assert refused == (
        "LayerAlreadyExistsException",
        (
            f"The layer with digest '{digest_of(b'known')}' already exists in the repository with name '{repository}' "
            f"in registry with id '{ACCOUNT}'"
        ),
    )


def test_the_same_layer_goes_into_another_repository_and_is_stored_once(
    ecr: Any, docker: RegistryClient, repository: str, server: Server
) -> None:
    content = b"shared " + repository.encode()
    ecr.create_repository(repositoryName=f"{repository}/other")
    docker.push_blob(repository, content)
    upload_id = begin(ecr, f"{repository}/other")
    put(ecr, f"{repository}/other", upload_id, 0, content)

    complete(ecr, f"{repository}/other", upload_id, digest_of(content))

    stored = b"\x01" + hashlib.sha256(content).digest()
    blobs = server.rows("SELECT COUNT(DISTINCT blob_key), COUNT(*) FROM layer WHERE digest = :digest", digest=stored)
    assert blobs == [(1, 2)]


def test_an_upload_ends_with_its_completion(ecr: Any, repository: str) -> None:
    upload_id = begin(ecr, repository)
    put(ecr, repository, upload_id, 0, b"content")
    complete(ecr, repository, upload_id, digest_of(b"content"))

    assert error_of(put, ecr=ecr, name=repository, upload_id=upload_id, first=7, content=b"x") == upload_missing(
        repository, upload_id
    )


def test_an_upload_belongs_to_its_repository(ecr: Any, repository: str) -> None:
    ecr.create_repository(repositoryName=f"{repository}/other")
    upload_id = begin(ecr, repository)

    for name, asked in ((f"{repository}/other", upload_id), (repository, NO_UPLOAD)):
        assert error_of(put, ecr=ecr, name=name, upload_id=asked, first=0, content=b"x") == upload_missing(name, asked)
        assert error_of(
            ecr.complete_layer_upload, repositoryName=name, uploadId=asked, layerDigests=[ABSENT_DIGEST]
        ) == upload_missing(name, asked)


def test_two_uploads_of_one_layer_do_not_disturb_each_other(ecr: Any, repository: str) -> None:
    first, second = begin(ecr, repository), begin(ecr, repository)
    put(ecr, repository, first, 0, b"same")
    put(ecr, repository, second, 0, b"same")
    complete(ecr, repository, first, digest_of(b"same"))

    refused = error_of(
        ecr.complete_layer_upload, repositoryName=repository, uploadId=second, layerDigests=[digest_of(b"same")]
    )

    assert refused[0] == "LayerAlreadyExistsException"


def test_an_upload_that_nobody_continued_for_a_day_is_gone(ecr: Any, repository: str, server: Server) -> None:
    upload_id = begin(ecr, repository)
    day_us = 24 * 3600 * 1_000_000
    server.execute(
        "UPDATE upload SET touched_us = touched_us - :day_us WHERE upload_id = :id", day_us=day_us, id=upload_id
    )

    assert error_of(put, ecr=ecr, name=repository, upload_id=upload_id, first=0, content=b"x") == upload_missing(
        repository, upload_id
    )


def test_an_upload_ends_with_its_repository(ecr: Any, repository: str) -> None:
    upload_id = begin(ecr, repository)
    ecr.delete_repository(repositoryName=repository)

    assert error_of(put, ecr=ecr, name=repository, upload_id=upload_id, first=0, content=b"x") == repository_missing(
        repository
    )
    ecr.create_repository(repositoryName=repository)
    assert error_of(put, ecr=ecr, name=repository, upload_id=upload_id, first=0, content=b"x") == upload_missing(
        repository, upload_id
    )


def test_parameters_are_checked_by_their_shapes(unchecked: Any, repository: str) -> None:
    good = {
        "repositoryName": repository,
        "uploadId": NO_UPLOAD,
        "partFirstByte": 0,
        "partLastByte": 0,
        "layerPartBlob": b"x",
    }

    assert error_of(unchecked.upload_layer_part, **(good | {"uploadId": "UPPER"})) == bad_parameter(
        "uploadId",
        f"must satisfy regular expression '{HEX}{{8}}-{HEX}{{4}}-{HEX}{{4}}-{HEX}{{4}}-{HEX}{{12}}'",
    )
    assert error_of(unchecked.upload_layer_part, **(good | {"partFirstByte": -1})) == bad_parameter(
        "partFirstByte", "Member must have value greater than or equal to 0"
    )
    assert error_of(
        unchecked.complete_layer_upload, repositoryName=repository, uploadId=NO_UPLOAD, layerDigests=[]
    ) == bad_parameter("layerDigests", "Member must have length greater than or equal to 1")


def test_the_largest_part_is_taken_and_a_larger_one_is_not(unchecked: Any, repository: str) -> None:
    upload_id = begin(unchecked, repository)
    largest = b"x" * 20_971_520

    assert put(unchecked, repository, upload_id, 0, largest)["lastByteReceived"] == 20_971_519
    assert error_of(
        put, ecr=unchecked, name=repository, upload_id=upload_id, first=20_971_520, content=largest + b"x"
    ) == bad_parameter("layerPartBlob", "must have length less than or equal to 20971520")


def test_a_missing_repository(ecr: Any, repository_name: str) -> None:
    missing = repository_missing(repository_name)

    assert error_of(ecr.initiate_layer_upload, repositoryName=repository_name) == missing
    assert error_of(put, ecr=ecr, name=repository_name, upload_id=NO_UPLOAD, first=0, content=b"x") == missing
    assert (
        error_of(
            ecr.complete_layer_upload, repositoryName=repository_name, uploadId=NO_UPLOAD, layerDigests=[ABSENT_DIGEST]
        )
        == missing
    )


@pytest.mark.parametrize("exists", [True, False])
def test_another_account_cannot_upload_and_learns_nothing(
    ecr: Any, other_ecr: Any, repository: str, exists: bool
) -> None:
    upload_id = begin(ecr, repository) if exists else NO_UPLOAD
    arn = f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/{repository}"

    assert error_of(
        other_ecr.upload_layer_part,
        registryId=ACCOUNT,
        repositoryName=repository,
        uploadId=upload_id,
        partFirstByte=0,
        partLastByte=0,
        layerPartBlob=b"x",
    ) == denied(OTHER_ACCOUNT, "ecr:UploadLayerPart", arn)
    assert error_of(
        other_ecr.complete_layer_upload,
        registryId=ACCOUNT,
        repositoryName=repository,
        uploadId=upload_id,
        layerDigests=[ABSENT_DIGEST],
    ) == denied(OTHER_ACCOUNT, "ecr:CompleteLayerUpload", arn)


@pytest.mark.parametrize("exists", [True, False])
def test_a_part_of_the_wrong_length_tells_another_account_nothing(
    ecr: Any, other_ecr: Any, repository: str, exists: bool
) -> None:
    name = repository if exists else f"{repository}/absent"

    refused = error_of(
        other_ecr.upload_layer_part,
        registryId=ACCOUNT,
        repositoryName=name,
        uploadId=NO_UPLOAD,
        partFirstByte=0,
        partLastByte=5,
        layerPartBlob=b"x",
    )

    assert refused[0] == "AccessDeniedException"


def test_a_part_of_the_wrong_length_for_a_missing_repository(ecr: Any, repository_name: str) -> None:
    refused = error_of(
        ecr.upload_layer_part,
        repositoryName=repository_name,
        uploadId=NO_UPLOAD,
        partFirstByte=0,
        partLastByte=5,
        layerPartBlob=b"x",
    )

    assert refused == repository_missing(repository_name)
