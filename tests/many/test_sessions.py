"""Temporary credentials on three servers: good on all at once, ended on all by one command."""

import time

from tests.api.support import push
from tests.identities import client, make_role, policy, registry_password, statement, trusts
from tests.many.deployment import Deployment
from tests.many.test_taken_away import Hammer, served_after
from tests.registry_client import RegistryClient
from tests.running import DEFAULT_ACCOUNT
from tests.waiting import wait_until


def test_a_fresh_session_works_on_every_server(many: Deployment) -> None:
    trust = trusts(f"arn:aws:iam::{DEFAULT_ACCOUNT}:root")
    role = make_role(many.servers[0], f"fresh-{time.monotonic_ns()}", trust=trust)
    sts = [server.client("sts") for server in many.servers]

    for number in range(6):
        made = sts[number % 3].assume_role(RoleArn=role, RoleSessionName="ci")
        for server in many.servers:
            told = client(server, "sts", made["Credentials"]).get_caller_identity()
            assert told["Arn"] == made["AssumedRoleUser"]["Arn"]


def test_no_server_takes_what_was_revoked_once_the_command_ended(
    many: Deployment, docker: RegistryClient, repository: str
) -> None:
    name = f"revoked-{time.monotonic_ns()}"
    allowed = policy(statement("ecr:GetAuthorizationToken", "ecr:BatchGetImage", Resource="*"))
    role = make_role(many.servers[0], name, trust=trusts(f"arn:aws:iam::{DEFAULT_ACCOUNT}:root"), allowed=allowed)
    image = push(docker, repository, "image", "v1")
    path = f"/v2/{repository}/manifests/{image.digest}"
    sts = many.servers[0].client("sts")
    credentials = sts.assume_role(RoleArn=role, RoleSessionName="ci")["Credentials"]
    password = registry_password(many.servers[1], credentials)

    hammers = revoked_while_pulled(many, name, password, path)

    assert [hammer.strange for hammer in hammers] == [[], []]
    for server in many.servers:
        assert many.docker_at(server, password).request("GET", path).status == 403


def revoked_while_pulled(many: Deployment, role: str, password: str, path: str) -> list[Hammer]:
    """Two servers pulled from with a session's registry token while a third ends the sessions of its role."""
    first, second = (Hammer(many.docker_at(server, password), path) for server in many.servers[:2])
    hammers = [first, second]
    with first, second:
        wait_until(lambda: all(len(hammer.found_at) > 20 for hammer in hammers), "the pullers get on")
        many.servers[2].command("sessions", "revoke", "--role", role)
        answered = time.monotonic()
        missed = [len(hammer.missed_at) for hammer in hammers]
        wait_until(
            lambda: all(len(h.missed_at) > before + 20 for h, before in zip(hammers, missed, strict=True)),
            "the pullers are refused",
        )
    assert served_after(hammers, answered) == []
    return hammers
