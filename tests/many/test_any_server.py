"""Every request of a client goes to another server: whatever one began, the others go on with."""

import base64
import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config

from tests.api.support import make_image, upload
from tests.many import pooler
from tests.many.deployment import Deployment
from tests.registry_client import RegistryClient, digest_of
from tests.running import DEFAULT_ACCOUNT, Server

MIB = 1024 * 1024


@pytest.fixture
def ecr(many: Deployment) -> Any:
    """The api plane through the proxy."""
    variables = many.servers[0].environment()
    return boto3.client(
        "ecr",
        region_name="us-east-1",
        endpoint_url=many.proxy_url,
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        config=Config(retries={"total_max_attempts": 1}, read_timeout=120),
    )


def servers_that_answered(many: Deployment, what: str) -> set[str]:
    """The servers that the proxy sent requests to whose line holds ``what``."""
    return {line.split()[0] for line in many.served.read_text().splitlines() if what in line}


def test_a_chunked_upload_moves_from_server_to_server(
    many: Deployment, docker: RegistryClient, repository: str
) -> None:
    chunks = [os.urandom(size) for size in (300_000, 2 * MIB, 1, 70_000, MIB)]
    opened = docker.request("POST", f"/v2/{repository}/blobs/uploads/")
    location, offset = opened.headers["location"], 0
    for chunk in chunks:
        span = f"{offset}-{offset + len(chunk) - 1}"
        answer = docker.request("PATCH", location, chunk, Content_Range=span)
        assert (answer.status, answer.headers["range"]) == (202, f"0-{offset + len(chunk) - 1}")
        location, offset = answer.headers["location"], offset + len(chunk)
    whole = b"".join(chunks)

    done = docker.request("PUT", f"{location}?digest={digest_of(whole)}", Content_Length="0")

    assert done.status == 201
    assert docker.pull_blob(repository, digest_of(whole)).body == whole
    assert len(servers_that_answered(many, f"PATCH /v2/{repository}/")) == 3


def test_a_layer_uploaded_by_the_api_moves_from_server_to_server(
    many: Deployment, ecr: Any, docker: RegistryClient, repository: str
) -> None:
    parts = [os.urandom(5 * MIB), os.urandom(5 * MIB), os.urandom(1000)]
    upload_id = ecr.initiate_layer_upload(repositoryName=repository)["uploadId"]
    offset = 0
    for part in parts:
        ecr.upload_layer_part(
            repositoryName=repository,
            uploadId=upload_id,
            partFirstByte=offset,
            partLastByte=offset + len(part) - 1,
            layerPartBlob=part,
        )
        offset += len(part)
    whole = b"".join(parts)

    ecr.complete_layer_upload(repositoryName=repository, uploadId=upload_id, layerDigests=[digest_of(whole)])

    assert docker.pull_blob(repository, digest_of(whole)).body == whole


def test_tokens_page_tokens_and_layer_urls_of_one_server_are_good_on_every_other(
    many: Deployment, docker: RegistryClient, repository: str
) -> None:
    one, two, three = many.servers
    for number in range(7):
        docker.push_image(repository, f"t{number}")
    content = b"a layer that is asked for elsewhere"
    docker.push_blob(repository, content)
    password = one.password()

    for server in many.servers:
        at = many.docker_at(server, password)
        assert at.request("GET", f"/v2/{repository}/manifests/t0").status == 200
    told = many.docker_at(one, password).request("GET", f"/v2/{repository}/blobs/{digest_of(content)}")
    path = told.headers["location"].removeprefix(many.proxy_url)
    for server in (two, three):
        assert RegistryClient(server.port, None, server.address).request("GET", path).body == content
    assert _listed_by_turns(many, repository) == {f"t{number}" for number in range(7)}
    assert _tags_by_turns(many, repository, password) == {f"t{number}" for number in range(7)}


def _listed_by_turns(many: Deployment, repository: str) -> set[str]:
    """Tags, read in pages of two, each page from the next server."""
    found: list[str] = []
    token: dict[str, str] = {}
    for server in _turns(many):
        page = server.client("ecr").list_images(repositoryName=repository, maxResults=2, **token)
        found += [item["imageTag"] for item in page["imageIds"]]
        if "nextToken" not in page:
            break
        token = {"nextToken": page["nextToken"]}
    assert len(found) == len(set(found))
    return set(found)


def _tags_by_turns(many: Deployment, repository: str, password: str) -> set[str]:
    found: list[str] = []
    path = f"/v2/{repository}/tags/list?n=3"
    for server in _turns(many):
        answer = many.docker_at(server, password).request("GET", path)
        found += answer.json["tags"]
        if "link" not in answer.headers:
            break
        path = answer.headers["link"].partition("<")[2].partition(">")[0].removeprefix(many.proxy_url)
    assert len(found) == len(set(found))
    return set(found)


def _turns(many: Deployment) -> Iterator[Server]:
    while True:
        yield from many.servers


def test_a_key_and_an_account_made_on_one_server_are_known_to_all(many: Deployment, docker: RegistryClient) -> None:
    answers = {server.client("sts").get_caller_identity()["Account"] for server in many.servers}

    assert answers == {DEFAULT_ACCOUNT}


def test_an_image_pushed_through_the_api_on_one_server_is_pulled_from_the_others(
    many: Deployment, docker: RegistryClient, repository: str
) -> None:
    image = upload(docker, repository, make_image("api"))
    one, two, three = many.servers
    one.client("ecr").put_image(repositoryName=repository, imageManifest=image.text, imageTag="v1")

    for server in (two, three):
        data = server.client("ecr").get_authorization_token()["authorizationData"][0]
        password = base64.b64decode(data["authorizationToken"]).decode().removeprefix("AWS:")
        pulled = many.docker_at(server, password).request("GET", f"/v2/{repository}/manifests/v1")
        assert pulled.body == image.manifest


def test_prepared_statements_turn_themselves_off_behind_a_pooler_and_nowhere_else(many: Deployment) -> None:
    for _ in range(3):
        for server in many.servers:
            server.client("ecr").describe_repositories()
    pooled = urlsplit(many.database).port == pooler.PORT

    said = ["prepared statements are off" in server.log() for server in many.servers]

    assert said == [pooled] * 3
