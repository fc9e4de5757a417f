"""What was taken away through one server is gone on every server when the answer comes."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import boto3
import pytest

from tests.api.support import push
from tests.many.deployment import Deployment
from tests.registry_client import RegistryClient
from tests.running import DEFAULT_ACCOUNT
from tests.waiting import wait_until

ROUNDS = 6
PULL_ONLY = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly"


class Hammer:
    """Pulls the same thing again and again, and notes when each pull that found it began."""

    def __init__(self, client: RegistryClient, path: str) -> None:
        self._client = client
        self._path = path
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._pull)
        self.found_at: list[float] = []
        self.missed_at: list[float] = []
        self.strange: list[int] = []

    def _pull(self) -> None:
        while not self._stopping.is_set():
            began = time.monotonic()
            status = self._client.request("GET", self._path).status
            (self.found_at if status == 200 else self.missed_at).append(began)
            if status not in (200, 403, 404):
                self.strange.append(status)

    def __enter__(self) -> "Hammer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()


def served_after(hammers: list[Hammer], instant: float) -> list[float]:
    """How long after an instant pulls began that were served all the same."""
    return [began - instant for hammer in hammers for began in hammer.found_at if began > instant]


@contextmanager
def hammered(many: Deployment, path: str, *, password: str | None = None) -> Iterator[list[Hammer]]:
    """Two servers pulled from while the body runs, warm when it begins and for a while after it ends.

    Args:
        password: of who pulls; the administrator's by default.
    """
    password = password or many.servers[0].password()
    clients = [many.docker_at(server, password) for server in many.servers[:2]]
    with Hammer(clients[0], path) as first, Hammer(clients[1], path) as second:
        hammers = [first, second]
        wait_until(lambda: all(len(hammer.found_at) > 20 for hammer in hammers), "the pullers get on")
        yield hammers
        missed = [len(hammer.missed_at) for hammer in hammers]
        wait_until(
            lambda: all(len(h.missed_at) > before + 20 for h, before in zip(hammers, missed, strict=True)),
            "the pullers get on",
        )
    assert [hammer.strange for hammer in hammers] == [[], []]


def test_no_server_serves_an_image_after_its_deletion_was_answered(
    many: Deployment, docker: RegistryClient, repository: str
) -> None:
    ecr = many.servers[2].client("ecr")
    for number in range(ROUNDS):
        image = push(docker, repository, f"image {number}", f"t{number}")
        with hammered(many, f"/v2/{repository}/manifests/{image.digest}") as hammers:
            ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageDigest": image.digest}])
            answered = time.monotonic()
        assert served_after(hammers, answered) == []


def test_no_server_serves_an_image_of_a_repository_after_that_was_deleted(
    many: Deployment, docker: RegistryClient, repository: str
) -> None:
    image = push(docker, repository, "image", "t")
    with hammered(many, f"/v2/{repository}/manifests/{image.digest}") as hammers:
        many.servers[2].client("ecr").delete_repository(repositoryName=repository, force=True)
        answered = time.monotonic()
    assert served_after(hammers, answered) == []


def puller(many: Deployment, name: str) -> tuple[dict[str, str], str]:
    """A new user that may pull, by an attached policy: its key, and the registry password that the key asked for."""
    iam = many.servers[2].client("iam")
    iam.create_user(UserName=name)
    iam.attach_user_policy(UserName=name, PolicyArn=PULL_ONLY)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    ecr = boto3.client(
        "ecr",
        region_name="us-east-1",
        endpoint_url=many.servers[0].url,
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
    )
    token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    return key, base64.b64decode(token).decode().removeprefix("AWS:")


@pytest.mark.parametrize("taken", ["key", "policy"])
def test_no_server_serves_whom_it_may_not_once_that_was_answered(
    many: Deployment, docker: RegistryClient, repository: str, taken: str
) -> None:
    push(docker, repository, "image", "t")
    iam, name = many.servers[2].client("iam"), f"puller-{uuid4()}"
    key, password = puller(many, name)

    with hammered(many, f"/v2/{repository}/manifests/t", password=password) as hammers:
        if taken == "key":
            iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
        else:
            iam.detach_user_policy(UserName=name, PolicyArn=PULL_ONLY)
        answered = time.monotonic()

    assert served_after(hammers, answered) == []


def test_an_image_pushed_again_after_its_deletion_is_served_by_every_server(
    many: Deployment, docker: RegistryClient, repository: str
) -> None:
    ecr = many.servers[2].client("ecr")
    password = many.servers[0].password()
    for number in range(3):
        image = push(docker, repository, "the same", "t")
        for server in many.servers:
            assert many.docker_at(server, password).request("GET", f"/v2/{repository}/manifests/t").status == 200
            path = f"/v2/{repository}/manifests/{image.digest}"
            assert many.docker_at(server, password).request("GET", path).body == image.manifest, number
        ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageDigest": image.digest}])


def test_a_tag_moved_through_one_server_is_moved_on_all_when_that_is_answered(
    many: Deployment, docker: RegistryClient, repository: str
) -> None:
    password = many.servers[0].password()
    clients = [many.docker_at(server, password) for server in many.servers]
    for number in range(10):
        image = push(docker, repository, f"image {number}", "moving")
        pulled = {client.request("GET", f"/v2/{repository}/manifests/moving").body for client in clients}
        assert pulled == {image.manifest}


def test_no_server_serves_what_a_policy_forbids_once_that_is_answered(
    many: Deployment, docker: RegistryClient, repository: str
) -> None:
    image = push(docker, repository, "image", "t")
    ecr = many.servers[2].client("ecr")
    arn = f"arn:aws:ecr:us-east-1:{DEFAULT_ACCOUNT}:repository/{repository}"
    forbidden = {"Effect": "Deny", "Principal": "*", "Action": "ecr:BatchGetImage"}

    def forbid(**more: str) -> str:
        return json.dumps({"Version": "2012-10-17", "Statement": [forbidden | more]})

    path = f"/v2/{repository}/manifests/{image.digest}"
    with hammered(many, path) as hammers:
        ecr.set_repository_policy(repositoryName=repository, policyText=forbid())
        answered = time.monotonic()
    assert served_after(hammers, answered) == []
    ecr.delete_repository_policy(repositoryName=repository)

    try:
        with hammered(many, path) as hammers:
            ecr.put_registry_policy(policyText=forbid(Resource=arn))
            answered = time.monotonic()
        assert served_after(hammers, answered) == []
    finally:
        ecr.delete_registry_policy()

    ecr.put_account_setting(name="REGISTRY_POLICY_SCOPE", value="V1")
    try:
        ecr.put_registry_policy(policyText=forbid(Resource=arn))
        with hammered(many, path) as hammers:
            ecr.put_account_setting(name="REGISTRY_POLICY_SCOPE", value="V2")
            answered = time.monotonic()
        assert served_after(hammers, answered) == []
    finally:
        ecr.put_account_setting(name="REGISTRY_POLICY_SCOPE", value="V2")
        ecr.delete_registry_policy()
