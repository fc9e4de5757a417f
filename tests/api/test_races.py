"""Many clients at once, on a server with two worker processes: what may happen once happens once."""

from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier
from typing import Any, TypeVar

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.api.support import ACCOUNT, Image, all_of, make_image, push, push_manifest, upload
from tests.places import ON_EVERY_PLACE
from tests.registry_client import OCI_INDEX, Answer, RegistryClient, digest_of, image_index
from tests.running import Server

pytestmark = ON_EVERY_PLACE

T = TypeVar("T")


def at_once(calls: Iterable[Callable[[], T]]) -> list[T]:
    """Run every call in a thread of its own, let go together; the answers in order."""
    waiting = list(calls)
    barrier = Barrier(len(waiting))

    def run(call: Callable[[], T]) -> T:
        barrier.wait()
        return call()

    with ThreadPoolExecutor(len(waiting)) as pool:
        return list(pool.map(run, waiting))


def outcome_of(call: Callable[..., Any], **arguments: Any) -> str:
    """ "done", or the error's code."""
    try:
        call(**arguments)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "done"


@pytest.fixture(scope="module")
def crowd(server: Server) -> list[Any]:
    """Fifty clients that share no connection."""

    variables = server.environment()
    return [
        boto3.session.Session().client(
            "ecr",
            region_name="us-east-1",
            endpoint_url=server.url,
            aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
            config=Config(retries={"total_max_attempts": 1}, read_timeout=120),
        )
        for _ in range(50)
    ]


def images_of(docker: RegistryClient, name: str, count: int) -> list[Image]:
    """Different images whose layers are there."""
    return [upload(docker, name, make_image(f"image {number}", b"shared layer")) for number in range(count)]


def test_one_of_fifty_docker_pushes_gets_an_immutable_tag(ecr: Any, docker: RegistryClient, repository: str) -> None:
    ecr.put_image_tag_mutability(repositoryName=repository, imageTagMutability="IMMUTABLE")
    images = images_of(docker, repository, 50)

    answers = at_once(partial(docker.push_manifest, repository, "v1", image.manifest) for image in images)

    winners = [image for image, answer in zip(images, answers, strict=True) if answer.status == 201]
    assert len(winners) == 1
    sentence = (
        f"The image tag 'v1' already exists in the '{repository}' repository "
        "and cannot be overwritten because the tag is immutable."
    )
    refused = [answer.error for answer in answers if answer.status != 201]
    assert refused == [(400, "TAG_INVALID", sentence)] * 49
    assert all_of(ecr.list_images, "imageIds", repositoryName=repository) == [
        {"imageDigest": winners[0].digest, "imageTag": "v1"}
    ]


def test_one_of_fifty_put_images_gets_an_immutable_tag(
    ecr: Any, crowd: list[Any], docker: RegistryClient, repository: str
) -> None:
    ecr.put_image_tag_mutability(repositoryName=repository, imageTagMutability="IMMUTABLE")
    images = images_of(docker, repository, 50)

    outcomes = at_once(
        partial(outcome_of, client.put_image, repositoryName=repository, imageManifest=image.text, imageTag="v1")
        for client, image in zip(crowd, images, strict=True)
    )

    assert Counter(outcomes) == {"done": 1, "ImageTagAlreadyExistsException": 49}
    assert all_of(ecr.list_images, "imageIds", repositoryName=repository) == [
        {"imageDigest": images[outcomes.index("done")].digest, "imageTag": "v1"}
    ]


def test_a_mutable_tag_ends_at_one_of_the_images_and_the_others_stay_untagged(
    ecr: Any, docker: RegistryClient, repository: str
) -> None:
    images = images_of(docker, repository, 20)

    answers = at_once(partial(docker.push_manifest, repository, "v1", image.manifest) for image in images)

    listed = all_of(ecr.list_images, "imageIds", repositoryName=repository)
    assert {answer.status for answer in answers} == {201}
    assert {item["imageDigest"] for item in listed} == {image.digest for image in images}
    assert [item["imageTag"] for item in listed if "imageTag" in item] == ["v1"]


def test_twenty_pushes_of_the_same_image_all_succeed_on_docker_and_once_on_the_api(
    ecr: Any, crowd: list[Any], docker: RegistryClient, repository: str
) -> None:
    by_docker, by_api = images_of(docker, repository, 2)

    answers = at_once(lambda: docker.push_manifest(repository, "d", by_docker.manifest) for _ in range(20))
    outcomes = at_once(
        partial(outcome_of, client.put_image, repositoryName=repository, imageManifest=by_api.text, imageTag="a")
        for client in crowd[:20]
    )

    assert {answer.status for answer in answers} == {201}
    assert Counter(outcomes) == {"done": 1, "ImageAlreadyExistsException": 19}
    assert len(all_of(ecr.list_images, "imageIds", repositoryName=repository)) == 2


def test_one_of_fifty_creations_of_a_repository_succeeds(crowd: list[Any], repository_name: str) -> None:
    outcomes = at_once(
        partial(outcome_of, client.create_repository, repositoryName=repository_name) for client in crowd
    )

    assert Counter(outcomes) == {"done": 1, "RepositoryAlreadyExistsException": 49}


def test_one_of_twenty_deletions_of_a_repository_succeeds(crowd: list[Any], repository: str) -> None:
    outcomes = at_once(
        partial(outcome_of, client.delete_repository, repositoryName=repository) for client in crowd[:20]
    )

    assert Counter(outcomes) == {"done": 1, "RepositoryNotFoundException": 19}


def test_the_same_layer_uploaded_at_once_is_stored_once(
    docker: RegistryClient, repository: str, server: Server
) -> None:
    content = (f"layer of {repository}".encode() * 40_000)[:1_000_000]
    path = f"{docker.path(repository)}/blobs/uploads/?digest={digest_of(content)}"

    answers = at_once(lambda: docker.request("POST", path, content) for _ in range(20))

    assert {answer.status for answer in answers} == {201}
    assert docker.pull_blob(repository, digest_of(content)).body == content
    stored = b"\x01" + bytes.fromhex(digest_of(content).removeprefix("sha256:"))
    linked = server.rows("SELECT COUNT(DISTINCT blob_key), COUNT(*) FROM layer WHERE digest = :digest", digest=stored)
    assert linked == [(1, 1)]


def test_one_of_the_api_uploads_of_a_layer_completes_and_the_others_are_told_that_it_is_there(
    ecr: Any, crowd: list[Any], repository: str
) -> None:
    content = f"layer of {repository}".encode()
    uploads = [ecr.initiate_layer_upload(repositoryName=repository)["uploadId"] for _ in range(20)]
    for upload_id in uploads:
        ecr.upload_layer_part(
            repositoryName=repository,
            uploadId=upload_id,
            partFirstByte=0,
            partLastByte=len(content) - 1,
            layerPartBlob=content,
        )

    outcomes = at_once(
        partial(
            outcome_of,
            client.complete_layer_upload,
            repositoryName=repository,
            uploadId=upload_id,
            layerDigests=[digest_of(content)],
        )
        for client, upload_id in zip(crowd, uploads, strict=False)
    )

    assert Counter(outcomes) == {"done": 1, "LayerAlreadyExistsException": 19}


def test_one_completion_of_an_upload_wins(ecr: Any, crowd: list[Any], repository: str) -> None:
    upload_id = ecr.initiate_layer_upload(repositoryName=repository)["uploadId"]
    ecr.upload_layer_part(
        repositoryName=repository, uploadId=upload_id, partFirstByte=0, partLastByte=3, layerPartBlob=b"once"
    )

    outcomes = at_once(
        partial(
            outcome_of,
            client.complete_layer_upload,
            repositoryName=repository,
            uploadId=upload_id,
            layerDigests=[digest_of(b"once")],
        )
        for client in crowd[:10]
    )

    assert Counter(outcomes) == {"done": 1, "UploadNotFoundException": 9}


def test_deleting_while_the_same_image_is_pushed_leaves_it_whole_or_gone(
    ecr: Any, crowd: list[Any], docker: RegistryClient, repository: str
) -> None:
    image = push(docker, repository, "contended", "v1")
    asked = [{"imageDigest": image.digest}]

    def push_again() -> Answer:
        return docker.push_manifest(repository, "v1", image.manifest)

    def delete(client: Any) -> Any:
        return client.batch_delete_image(repositoryName=repository, imageIds=asked)

    pushes: list[Callable[[], Any]] = [push_again for _ in range(20)]
    deletes = [partial(delete, client) for client in crowd[:20]]
    answers = at_once([call for pair in zip(pushes, deletes, strict=True) for call in pair])

    assert {answer.status for answer in answers[::2]} == {201}
    failures = [failure["failureCode"] for answer in answers[1::2] for failure in answer["failures"]]
    assert set(failures) <= {"ImageNotFound"}
    listed = all_of(ecr.list_images, "imageIds", repositoryName=repository)
    assert listed in ([], [{"imageDigest": image.digest, "imageTag": "v1"}])
    if listed:
        assert docker.request("GET", f"{docker.path(repository)}/manifests/v1").body == image.manifest
        for content in (image.config, *image.layers):
            assert docker.pull_blob(repository, digest_of(content)).body == content


def test_a_member_deleted_while_its_index_is_pushed_is_never_missing(
    ecr: Any, crowd: list[Any], docker: RegistryClient, repository: str
) -> None:
    members = [push(docker, repository, f"member {number}") for number in range(15)]
    indexes = [image_index(member.manifest) for member in members]

    def push_index(index: bytes) -> int:
        return docker.push_manifest(repository, digest_of(index), index, OCI_INDEX).status

    def delete(client: Any, member: Image) -> int:
        ids = [{"imageDigest": member.digest}]
        return len(client.batch_delete_image(repositoryName=repository, imageIds=ids)["imageIds"])

    calls: list[Callable[[], int]] = []
    for client, member, index in zip(crowd, members, indexes, strict=False):
        calls += [partial(push_index, index), partial(delete, client, member)]
    answers = at_once(calls)

    outcomes = set(zip(answers[::2], answers[1::2], strict=True))
    assert outcomes <= {(201, 0), (404, 1)}
    present = {item["imageDigest"] for item in all_of(ecr.list_images, "imageIds", repositoryName=repository)}
    for member, index in zip(members, indexes, strict=True):
        assert (member.digest in present) == (digest_of(index) in present)


def test_the_last_free_tag_of_a_thousand_is_given_once(ecr: Any, docker: RegistryClient, repository: str) -> None:
    image = upload(docker, repository, make_image("many"))
    for start in range(0, 990, 10):
        push_manifest(docker, repository, image.manifest, *(f"t{number}" for number in range(start, start + 10)))
    push_manifest(docker, repository, image.manifest, *(f"u{number}" for number in range(9)))

    answers = at_once(
        partial(docker.push_manifest, repository, f"last-{number}", image.manifest) for number in range(20)
    )

    assert Counter(answer.status for answer in answers) == {201: 1, 403: 19}
    assert len(all_of(ecr.list_images, "imageIds", repositoryName=repository, maxResults=1000)) == 1000


def test_the_fiftieth_resource_tag_is_given_once(ecr: Any, crowd: list[Any], repository: str) -> None:
    arn = f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/{repository}"
    ecr.tag_resource(resourceArn=arn, tags=[{"Key": f"k{number}", "Value": ""} for number in range(49)])

    outcomes = at_once(
        partial(outcome_of, client.tag_resource, resourceArn=arn, tags=[{"Key": f"last-{number}", "Value": ""}])
        for number, client in enumerate(crowd[:10])
    )

    assert Counter(outcomes) == {"done": 1, "TooManyTagsException": 9}
