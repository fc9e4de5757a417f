"""Two accounts: who pulls what, decided by both sides, alike on both planes; and what a denial must not tell."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from openecr.access.credentials import AccessKey
from tests.identities import client, policy, registry_password, statement
from tests.registry_client import Answer, RegistryClient, digest_of
from tests.running import DEFAULT_ACCOUNT, OTHER_ACCOUNT, Server

PULL = ("ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage", "ecr:BatchCheckLayerAvailability")
LAYER = b"a layer that two accounts share"
LOGIN = statement("ecr:GetAuthorizationToken", Resource="*")


@dataclass
class Reader:
    """A user of the other account, with what it may do there."""

    iam: Any
    name: str
    key: AccessKey
    server: Server

    def may(self, *statements: dict[str, Any]) -> None:
        """Give the user these rights and no others."""
        self.iam.put_user_policy(UserName=self.name, PolicyName="rights", PolicyDocument=policy(*statements))

    @property
    def arn(self) -> str:
        return f"arn:aws:iam::{OTHER_ACCOUNT}:user/{self.name}"

    @property
    def ecr(self) -> Any:
        return client(self.server, "ecr", self.key)

    def docker(self, prefix: str = "") -> RegistryClient:
        """The Docker plane; the default account's registry where no prefix names another."""
        return replace(RegistryClient(self.server.port, registry_password(self.server, self.key)), prefix=prefix)


@pytest.fixture
def reader(server: Server) -> Iterator[Reader]:
    iam = server.client("iam", OTHER_ACCOUNT)
    name = f"reader-{uuid.uuid4().hex[:12]}"
    iam.create_user(UserName=name)
    made = iam.create_access_key(UserName=name)["AccessKey"]
    reader = Reader(iam, name, AccessKey(made["AccessKeyId"], made["SecretAccessKey"]), server)
    reader.may(LOGIN)
    yield reader
    iam.delete_user_policy(UserName=name, PolicyName="rights")
    iam.delete_access_key(UserName=name, AccessKeyId=made["AccessKeyId"])
    iam.delete_user(UserName=name)


def pulls(docker: RegistryClient, repository: str) -> list[int]:
    """Statuses of a manifest and a layer."""
    manifest = docker.request("GET", f"{docker.path(repository)}/manifests/v1")
    return [manifest.status, docker.pull_blob(repository, digest_of(LAYER)).status]


def gets(ecr: Any, repository: str) -> list[str]:
    """What the API's two reads of a pull answer."""
    asked = {"repositoryName": repository, "registryId": DEFAULT_ACCOUNT}
    answers: list[str] = []
    for call, more in (
        (ecr.batch_get_image, {"imageIds": [{"imageTag": "v1"}]}),
        (ecr.get_download_url_for_layer, {"layerDigest": digest_of(LAYER)}),
    ):
        try:
            call(**asked, **more)
            answers.append("allowed")
        except ClientError as refused:
            answers.append(refused.response["Error"]["Code"])
    return answers


@pytest.mark.parametrize("identity_allows", [False, True])
@pytest.mark.parametrize("repository_allows", ["", "root", "user", "everyone"])
@pytest.mark.parametrize("registry_denies", [False, True])
def test_another_account_pulls_exactly_when_both_sides_allow_and_nobody_denies(
    ecr: Any,
    registry: RegistryClient,
    repository: str,
    reader: Reader,
    identity_allows: bool,
    repository_allows: str,
    registry_denies: bool,
) -> None:
    registry.push_image(repository, "v1", LAYER)
    if identity_allows:
        reader.may(LOGIN, statement(*PULL, Resource=f"arn:aws:ecr:*:{DEFAULT_ACCOUNT}:repository/*"))
    if repository_allows:
        principals: dict[str, Any] = {
            "root": {"AWS": f"arn:aws:iam::{OTHER_ACCOUNT}:root"},
            "user": {"AWS": reader.arn},
            "everyone": "*",
        }
        text = policy(statement(*PULL, Principal=principals[repository_allows]))
        ecr.set_repository_policy(repositoryName=repository, policyText=text)
    if registry_denies:
        resource = f"arn:aws:ecr:us-east-1:{DEFAULT_ACCOUNT}:repository/{repository}"
        denied = statement(*PULL, effect="Deny", Principal={"AWS": OTHER_ACCOUNT}, Resource=resource)
        ecr.put_registry_policy(policyText=policy(denied))
    allowed = identity_allows and bool(repository_allows) and not registry_denies

    try:
        assert gets(reader.ecr, repository) == ["allowed" if allowed else "AccessDeniedException"] * 2
        assert pulls(reader.docker(), repository) == [200 if allowed else 403] * 2
        assert pulls(reader.docker(f"/{DEFAULT_ACCOUNT}.us-east-1"), repository) == [200 if allowed else 403] * 2
    finally:
        if registry_denies:
            ecr.delete_registry_policy()


def test_a_right_that_is_taken_away_ends_a_token_that_is_open(
    ecr: Any, registry: RegistryClient, repository: str, reader: Reader
) -> None:
    registry.push_image(repository, "v1", LAYER)
    reader.may(LOGIN, statement(*PULL, Resource="*"))
    text = policy(statement(*PULL, Principal={"AWS": OTHER_ACCOUNT}))
    ecr.set_repository_policy(repositoryName=repository, policyText=text)
    docker = reader.docker()
    assert pulls(docker, repository) == [200, 200]

    reader.may(LOGIN)
    assert pulls(docker, repository) == [403, 403]
    reader.may(LOGIN, statement(*PULL, Resource="*"))
    assert pulls(docker, repository) == [200, 200]
    ecr.delete_repository_policy(repositoryName=repository)
    assert pulls(docker, repository) == [403, 403]


def test_a_user_who_is_made_again_is_not_the_one_that_a_policy_named(
    ecr: Any, registry: RegistryClient, repository: str, reader: Reader, server: Server
) -> None:
    registry.push_image(repository, "v1", LAYER)
    name = f"again-{uuid.uuid4().hex[:8]}"
    reader.iam.create_user(UserName=name)
    first = reader.iam.get_user(UserName=name)["User"]
    text = policy(statement(*PULL, Principal={"AWS": first["Arn"]}))
    assert first["Arn"] in ecr.set_repository_policy(repositoryName=repository, policyText=text)["policyText"]

    reader.iam.delete_user(UserName=name)
    assert first["UserId"] in ecr.get_repository_policy(repositoryName=repository)["policyText"]
    reader.iam.create_user(UserName=name)
    made = reader.iam.create_access_key(UserName=name)["AccessKey"]
    reader.iam.put_user_policy(
        UserName=name, PolicyName="all", PolicyDocument=policy(LOGIN, statement("ecr:*", Resource="*"))
    )
    again = client(server, "ecr", AccessKey(made["AccessKeyId"], made["SecretAccessKey"]))
    assert gets(again, repository) == ["AccessDeniedException"] * 2


def refusals(docker: RegistryClient, repository: str) -> list[tuple[int, dict[str, str], bytes]]:
    """What every route says of a repository, without what names it or the moment."""
    digest, path = digest_of(LAYER), docker.path(repository)
    manifest = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json"})
    asked: list[tuple[str, str, Any]] = [
        ("HEAD", f"{path}/manifests/v1", None),
        ("GET", f"{path}/manifests/v1", None),
        ("GET", f"{path}/manifests/{digest}", None),
        ("PUT", f"{path}/manifests/v1", manifest),
        ("DELETE", f"{path}/manifests/v1", None),
        ("HEAD", f"{path}/blobs/{digest}", None),
        ("GET", f"{path}/blobs/{digest}", None),
        ("POST", f"{path}/blobs/uploads/", None),
        ("POST", f"{path}/blobs/uploads/?mount={digest}&from={repository}", None),
        ("GET", f"{path}/blobs/uploads/{uuid.UUID(int=1)}", None),
        ("PATCH", f"{path}/blobs/uploads/{uuid.UUID(int=1)}", b"x"),
        ("GET", f"{path}/tags/list", None),
        ("GET", f"{path}/referrers/{digest}", None),
    ]
    return [_bare(docker.request(method, route, body), repository) for method, route, body in asked]


def _bare(answer: Answer, repository: str) -> tuple[int, dict[str, str], bytes]:
    left_out = ("date", "x-amzn-requestid", "content-length")
    headers = {name: value for name, value in answer.headers.items() if name not in left_out}
    return answer.status, headers, answer.body.replace(repository.encode(), b"REPOSITORY")


def test_whoever_is_denied_cannot_tell_a_repository_from_none(
    registry: RegistryClient, repository: str, reader: Reader
) -> None:
    registry.push_image(repository, "v1", LAYER)
    absent = f"{repository}-absent"
    docker = reader.docker()

    told = refusals(docker, repository)

    assert {status for status, _, _ in told} == {403}
    assert told == refusals(docker, absent)


def test_a_layer_is_not_mounted_from_where_the_caller_may_not_read(
    ecr: Any, registry: RegistryClient, repository: str, server: Server
) -> None:
    secret, content = f"{repository}-secret", f"only in {repository}-secret".encode()
    digest = digest_of(content)
    ecr.create_repository(repositoryName=secret)
    registry.push_image(secret, "v1", content)
    ecr.put_account_setting(name="BLOB_MOUNTING", value="ENABLED")
    iam = server.client("iam")
    name = f"pusher-{uuid.uuid4().hex[:8]}"
    iam.create_user(UserName=name)
    made = iam.create_access_key(UserName=name)["AccessKey"]
    mine = f"arn:aws:ecr:us-east-1:{DEFAULT_ACCOUNT}:repository/{repository}"
    iam.put_user_policy(
        UserName=name, PolicyName="mine", PolicyDocument=policy(LOGIN, statement("ecr:*", Resource=mine))
    )
    password = registry_password(server, AccessKey(made["AccessKeyId"], made["SecretAccessKey"]))
    docker = RegistryClient(server.port, password)

    try:
        for query in (f"mount={digest}&from={secret}", f"mount={digest}"):
            answer = docker.request("POST", f"{docker.path(repository)}/blobs/uploads/?{query}")
            assert answer.status == 202, "an upload is offered, as for a layer that is not there"
        assert docker.request("HEAD", f"{docker.path(repository)}/blobs/{digest}").status == 404
        mounted = registry.request("POST", f"{registry.path(repository)}/blobs/uploads/?mount={digest}&from={secret}")
        assert mounted.status == 201
    finally:
        ecr.put_account_setting(name="BLOB_MOUNTING", value="DISABLED")


def test_an_upload_is_its_own_principals(ecr: Any, registry: RegistryClient, repository: str, reader: Reader) -> None:
    push = ("ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload")
    reader.may(LOGIN, statement(*push, Resource="*"))
    text = policy(statement(*push, Principal={"AWS": OTHER_ACCOUNT}))
    ecr.set_repository_policy(repositoryName=repository, policyText=text)
    begun = registry.request("POST", f"{registry.path(repository)}/blobs/uploads/")
    location = begun.headers["location"]

    stolen = reader.docker().request("PATCH", location, b"not yours")

    assert stolen.error[:2] == (404, "BLOB_UPLOAD_UNKNOWN")
    assert registry.request("PATCH", location, b"mine").status == 202
