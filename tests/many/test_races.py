"""Many clients at once through three servers: what may happen once happens once."""

import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.api.support import all_of, make_image, upload
from tests.api.test_races import at_once, outcome_of
from tests.many.deployment import Deployment
from tests.registry_client import RegistryClient, digest_of
from tests.running import Server

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def crowd(many: Deployment) -> list[Any]:
    """Thirty clients of the api plane that share no connection, ten at each server."""
    variables = many.servers[0].environment()

    session = boto3.session.Session()

    def client(server: Server) -> Any:
        return session.client(
            "ecr",
            region_name="us-east-1",
            endpoint_url=server.url,
            aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
            config=Config(retries={"total_max_attempts": 1}, read_timeout=120),
        )

    return [client(many.servers[number % 3]) for number in range(30)]


@pytest.fixture(scope="module")
def dockers(many: Deployment) -> list[RegistryClient]:
    """A client of the dkr plane at each server."""
    password = many.servers[0].password()
    return [many.docker_at(server, password) for server in many.servers]


def test_one_of_thirty_gets_an_immutable_tag_on_either_plane_of_any_server(
    many: Deployment, crowd: list[Any], dockers: list[RegistryClient], docker: RegistryClient, repository: str
) -> None:
    crowd[0].put_image_tag_mutability(repositoryName=repository, imageTagMutability="IMMUTABLE")
    images = [upload(docker, repository, make_image(f"image {number}", b"shared layer")) for number in range(30)]

    def by_docker(number: int) -> bool:
        answer = dockers[number % 3].push_manifest(repository, "v1", images[number].manifest)
        assert answer.status == 201 or answer.error[:2] == (400, "TAG_INVALID"), answer
        return answer.status == 201

    def by_api(number: int) -> bool:
        outcome = outcome_of(
            crowd[number].put_image,
            repositoryName=repository,
            imageManifest=images[number].text,
            imageTag="v1",
        )
        assert outcome in ("done", "ImageTagAlreadyExistsException")
        return outcome == "done"

    calls: list[Callable[[], bool]] = [partial(by_docker if number % 2 else by_api, number) for number in range(30)]
    won = at_once(calls)

    assert sum(won) == 1
    assert all_of(crowd[0].list_images, "imageIds", repositoryName=repository) == [
        {"imageDigest": images[won.index(True)].digest, "imageTag": "v1"}
    ]


def test_a_layer_pushed_by_twenty_into_ten_repositories_is_stored_once(
    many: Deployment, crowd: list[Any], dockers: list[RegistryClient], repository: str
) -> None:
    names = [f"{repository}-{number}" for number in range(10)]
    for name in names:
        crowd[0].create_repository(repositoryName=name)
    content = (f"layer of {repository}".encode() * 100_000)[:MIB]
    digest = digest_of(content)

    answers = at_once(
        partial(
            dockers[number % 3].request,
            "POST",
            f"/v2/{names[number % 10]}/blobs/uploads/?digest={digest}",
            content,
        )
        for number in range(20)
    )

    assert Counter(answer.status for answer in answers) == {201: 20}
    stored = b"\x01" + bytes.fromhex(digest.removeprefix("sha256:"))
    linked = many.servers[0].rows(
        "SELECT COUNT(DISTINCT blob_key), COUNT(*) FROM layer WHERE digest = :digest", digest=stored
    )
    assert linked == [(1, 10)]
    blobs = many.servers[0].rows("SELECT COUNT(*) FROM blob_digest WHERE digest = :digest", digest=stored)
    assert blobs == [(1,)]
    for number, name in enumerate(names):
        assert dockers[number % 3].pull_blob(name, digest).body == content


def test_one_completion_of_an_upload_wins_on_three_servers(crowd: list[Any], repository: str) -> None:
    upload_id = crowd[0].initiate_layer_upload(repositoryName=repository)["uploadId"]
    crowd[1].upload_layer_part(
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
        for client in crowd[:12]
    )

    assert Counter(outcomes) == {"done": 1, "UploadNotFoundException": 11}


def test_chunks_sent_to_three_servers_at_once_are_appended_one_after_another(
    dockers: list[RegistryClient], repository: str
) -> None:
    opened = dockers[0].request("POST", f"/v2/{repository}/blobs/uploads/")
    location = opened.headers["location"].partition("/v2/")[2]
    chunks = [bytes([number]) * 200_000 for number in range(9)]

    answers = at_once(
        partial(dockers[number % 3].request, "PATCH", f"/v2/{location}", chunk) for number, chunk in enumerate(chunks)
    )

    assert {answer.status for answer in answers} == {202}
    ends = sorted(int(answer.headers["range"].partition("-")[2]) + 1 for answer in answers)
    assert ends == [200_000 * number for number in range(1, 10)]
    order = sorted(range(9), key=lambda number: int(answers[number].headers["range"].partition("-")[2]))
    whole = b"".join(chunks[number] for number in order)
    done = dockers[1].request("PUT", f"/v2/{location}?digest={digest_of(whole)}", Content_Length="0")
    assert done.status == 201, done


def test_deleting_on_one_server_while_another_pushes_leaves_an_image_whole_or_gone(
    crowd: list[Any], dockers: list[RegistryClient], docker: RegistryClient, repository: str
) -> None:
    image = upload(docker, repository, make_image("contended"))
    asked = [{"imageDigest": image.digest}]

    def push_again(number: int) -> int:
        return dockers[number % 3].push_manifest(repository, "v1", image.manifest).status

    def delete(number: int) -> set[str]:
        answer = crowd[number].batch_delete_image(repositoryName=repository, imageIds=asked)
        return {failure["failureCode"] for failure in answer["failures"]}

    pushed: list[int] = []
    failures: set[str] = set()
    lock = threading.Lock()

    def run(number: int) -> None:
        if number % 2:
            status = push_again(number)
            with lock:
                pushed.append(status)
        else:
            found = delete(number)
            with lock:
                failures.update(found)

    at_once(partial(run, number) for number in range(24))

    assert set(pushed) == {201}
    assert failures <= {"ImageNotFound"}
    listed = all_of(crowd[0].list_images, "imageIds", repositoryName=repository)
    assert listed in ([], [{"imageDigest": image.digest, "imageTag": "v1"}])
    for client in dockers:
        answer = client.request("GET", f"/v2/{repository}/manifests/{image.digest}")
        assert (answer.status == 200) == bool(listed)


def test_one_of_thirty_creations_of_a_repository_succeeds(crowd: list[Any], repository_name: str) -> None:
    outcomes = at_once(
        partial(outcome_of, client.create_repository, repositoryName=repository_name) for client in crowd
    )

    assert Counter(outcomes) == {"done": 1, "RepositoryAlreadyExistsException": 29}


def test_servers_that_start_at_once_on_an_empty_database_make_one_deployment(many: Deployment) -> None:
    keys = many.servers[0].rows("SELECT use, COUNT(*) FROM deployment_key GROUP BY use")

    assert {count for _, count in keys} == {1}
    assert many.servers[0].rows("SELECT COUNT(*) FROM account") == [(1,)]
