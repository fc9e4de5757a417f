"""Workloads without secrets: tasks by a bearer token, nodes by their address, with the clients that ask for them."""

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from openecr.db import sessions
from openecr.services.workloads import declaring
from openecr.services.workloads.declaring import NotDeclared
from tests.credential_helper import DOCKER_HELPER, KUBELET_PROVIDER, run
from tests.identities import make_role, policy, registry_password, set_trust, statement, trusts
from tests.registry_client import RegistryClient
from tests.running import DEFAULT_ACCOUNT, Server, free_port, running

TASKS, NODES = {"Service": "ecs-tasks.amazonaws.com"}, {"Service": "ec2.amazonaws.com"}
BOTH = {"Service": ["ecs-tasks.amazonaws.com", "ec2.amazonaws.com"]}
PULL = policy(statement("ecr:GetAuthorizationToken", "ecr:DescribeRepositories", Resource="*"))
TTL = "X-aws-ec2-metadata-token-ttl-seconds"
TOKEN = "X-aws-ec2-metadata-token"
ROLES = "/latest/meta-data/iam/security-credentials/"
NODE, OTHER_NODE, STRANGER = "127.0.1.1", "127.0.1.2", "127.9.9.9"
_numbers = count(1)


@dataclass
class Place:
    """A server that gives nodes credentials."""

    server: Server
    metadata_port: int

    @property
    def metadata_url(self) -> str:
        return f"http://127.0.0.1:{self.metadata_port}"

    def workload(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.server.command("workload", *arguments, check=check)

    def task(self, name: str, role: str) -> str:
        """Declare a task, as the command does; its token."""
        declared = self.server.write(lambda db: declaring.declare(db, name, role, (), 3600, db.clock_us()))
        assert declared.token is not None
        return declared.token

    def nodes(self, name: str, role: str, *networks: str) -> None:
        """Declare nodes, as the command does."""
        self.server.write(lambda db: declaring.declare(db, name, role, networks, 3600, db.clock_us()))

    def withdraw(self, name: str) -> None:
        """Delete a workload, as the command does."""
        self.server.write(lambda db: declaring.withdraw(db, name))

    def fetch(self, token: str | None, method: str = "GET", **headers: str) -> tuple[int, Any]:
        """(status, document) of the container endpoint."""
        shown = headers if token is None else {"Authorization": token, **headers}
        status, body, _ = ask(self.server.port, method, "/v1/credentials", shown)
        return status, json.loads(body)

    def metadata(self, method: str, path: str, source: str = NODE, **headers: str) -> tuple[int, str]:
        """(status, text) of the instance metadata, as a machine with this address gets it."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        status, body, _ = ask(self.metadata_port, method, path, named, source)
        return status, body

    def metadata_token(self, source: str = NODE) -> str:
        status, token = self.metadata("PUT", "/latest/api/token", source, **{TTL: "60"})
        assert status == 200, token
        return token


def ask(
    port: int, method: str, path: str, headers: Mapping[str, str], source: str = "127.0.0.1"
) -> tuple[int, str, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection("127.0.0.1", port, source_address=(source, 0), timeout=30)
    try:
        connection.request(method, path, headers=dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), answer.headers
    finally:
        connection.close()


def token_in(printed: str) -> str:
    return next(line.split()[1] for line in printed.splitlines() if line.startswith("token "))


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def spot(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    database = None
    if request.param == "postgresql":
        database = request.getfixturevalue("postgres").create_database()
    port = free_port()
    flags = ("--metadata-listen", f"127.0.0.1:{port}", "--trusted-proxy", "127.0.0.0/8")
    with running(tmp_path_factory.mktemp("workloads"), *flags, database=database) as server:
        yield Place(server, port)


@pytest.fixture
def name() -> str:
    """A name that no other test's workload or role has."""
    return f"workload-{next(_numbers)}"


@pytest.fixture
def task(spot: Place, name: str) -> str:
    """The token of a task whose role may pull."""
    return spot.task(name, make_role(spot.server, name, trust=trusts(TASKS), allowed=PULL))


@pytest.fixture
def node(spot: Place, name: str) -> Iterator[str]:
    """A node at NODE whose role may pull; the role's name."""
    role = make_role(spot.server, name, trust=trusts(NODES), allowed=PULL)
    spot.nodes(name, role, NODE)
    yield name
    with suppress(NotDeclared):
        spot.withdraw(name)


def resolved(variables: Mapping[str, str]) -> Any:
    """What boto3 finds by these variables alone."""
    files = {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}
    with pytest.MonkeyPatch.context() as patch:
        for variable in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(variable)
        for variable, value in {**files, **variables}.items():
            patch.setenv(variable, value)
        return boto3.Session(region_name="us-east-1").get_credentials()


def caller(server: Server, access_key_id: str, secret: str, token: str) -> str:
    """Whose credentials these are, as STS says."""
    sts = boto3.client(
        "sts",
        region_name="us-east-1",
        endpoint_url=server.url,
        aws_access_key_id=access_key_id,
        aws_secret_access_key=secret,
        aws_session_token=token,
    )
    return str(sts.get_caller_identity()["Arn"])


def works(server: Server, document: Mapping[str, str]) -> bool:
    """Whether the credentials in an answer are good."""
    try:
        caller(server, document["AccessKeyId"], document["SecretAccessKey"], document["Token"])
    except ClientError:
        return False
    return True


def container(spot: Place, token: str) -> dict[str, str]:
    """A task's environment."""
    return {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{spot.server.url}/v1/credentials",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": token,
    }


def test_boto3_takes_a_tasks_credentials(spot: Place, task: str, name: str) -> None:
    found = resolved(container(spot, task))

    assert found.method == "container-role"
    frozen = found.get_frozen_credentials()
    assert caller(spot.server, frozen.access_key, frozen.secret_key, frozen.token) == (
        f"arn:aws:sts::{DEFAULT_ACCOUNT}:assumed-role/{name}/{name}"
    )


def test_the_aws_cli_takes_a_tasks_credentials_from_a_token_file(spot: Place, name: str, tmp_path: Path) -> None:
    role = make_role(spot.server, name, trust=trusts(TASKS), allowed=PULL)
    printed = spot.workload("create", name, "--role", role, "--token-file", str(tmp_path / "token")).stdout
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "token").read_text().strip() not in printed

    done = subprocess.run(
        [sys.executable, "-m", "awscli", "ecr", "get-login-password"],
        capture_output=True,
        text=True,
        check=False,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": spot.server.url,
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{spot.server.url}/v1/credentials",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(tmp_path / "token"),
        },
    )

    assert done.returncode == 0, done.stderr
    assert RegistryClient(spot.server.port, done.stdout.strip()).request("GET", "/v2/").status == 200


def test_boto3_takes_a_nodes_credentials(spot: Place, name: str) -> None:
    role = make_role(spot.server, name, trust=trusts(NODES), allowed=PULL)
    spot.nodes(name, role, "127.0.0.1/32")

    found = resolved({"AWS_EC2_METADATA_SERVICE_ENDPOINT": spot.metadata_url, "AWS_EC2_METADATA_V1_DISABLED": "true"})
    spot.withdraw(name)

    assert found.method == "iam-role"
    assert found.get_frozen_credentials().access_key.startswith("ASIA")


@pytest.mark.parametrize("how", ["task", "node"])
def test_the_credential_helpers_pull_with_a_workloads_role(spot: Place, how: str, name: str, tmp_path: Path) -> None:
    role = make_role(spot.server, name, trust=trusts(BOTH), allowed=PULL)
    if how == "task":
        variables = container(spot, spot.task(name, role))
    else:
        spot.nodes(name, role, "127.0.0.1")
        variables = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": spot.metadata_url}
    variables |= {"HOME": str(tmp_path)}
    request = {
        "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
        "kind": "CredentialProviderRequest",
        "image": f"{spot.server.host}/team/app:v1",
    }

    docker = run(DOCKER_HELPER, "get", stdin=spot.server.host, variables=variables)
    kubelet = run(KUBELET_PROVIDER, stdin=json.dumps(request), variables=variables)
    spot.withdraw(name)

    assert docker.returncode == 0, docker.stdout
    assert kubelet.returncode == 0, kubelet.stderr
    said = [json.loads(docker.stdout)["Secret"], json.loads(kubelet.stdout)["auth"][spot.server.host]["password"]]
    # They were made while the workload was there, and end with it.
    assert [RegistryClient(spot.server.port, password).request("GET", "/v2/").status for password in said] == [
        403,
        403,
    ]


def test_a_session_is_handed_out_until_half_of_it_is_over(spot: Place, task: str, name: str) -> None:
    first = [spot.fetch(task)[1] for _ in range(6)]
    assert len({document["AccessKeyId"] for document in first}) == 1
    assert set(first[0]) == {"AccessKeyId", "SecretAccessKey", "Token", "Expiration", "RoleArn"}
    assert first[0]["RoleArn"] == f"arn:aws:iam::{DEFAULT_ACCOUNT}:role/{name}"

    spot.server.execute("UPDATE workload SET renew_us = 1 WHERE name = :name", name=name)
    second = spot.fetch(task)[1]

    assert second["AccessKeyId"] != first[0]["AccessKeyId"]
    assert (works(spot.server, first[0]), works(spot.server, second)) == (True, True)


def test_a_revoked_session_is_handed_out_no_more(spot: Place, task: str, name: str) -> None:
    first = spot.fetch(task)[1]

    spot.server.write(lambda db: sessions.revoke(db, first["AccessKeyId"]))
    second = spot.fetch(task)[1]

    assert (works(spot.server, first), works(spot.server, second)) == (False, True)


def test_deleting_a_workload_ends_every_session_it_got_and_their_registry_tokens(
    spot: Place, task: str, name: str
) -> None:
    first = spot.fetch(task)[1]
    spot.server.execute("UPDATE workload SET renew_us = 1 WHERE name = :name", name=name)
    second = spot.fetch(task)[1]
    passwords = [
        registry_password(spot.server, {**document, "SessionToken": document["Token"]}) for document in (first, second)
    ]
    clients = [RegistryClient(spot.server.port, password) for password in passwords]
    assert [client.request("GET", "/v2/").status for client in clients] == [200, 200]

    spot.withdraw(name)

    assert (works(spot.server, first), works(spot.server, second)) == (False, False)
    assert [client.request("GET", "/v2/").status for client in clients] == [403, 403]
    assert spot.fetch(task)[0] == 401


def test_a_new_token_ends_the_old_ones_at_once_or_after_an_overlap(spot: Place, task: str, name: str) -> None:
    def rotated(overlap_us: int) -> str:
        declared = spot.server.write(lambda db: declaring.rotate(db, name, overlap_us, db.clock_us()))
        assert declared.token is not None
        return declared.token

    second = rotated(600_000_000)
    assert [spot.fetch(token)[0] for token in (task, second)] == [200, 200]
    spot.server.execute("UPDATE workload_token SET expires_us = 1 WHERE expires_us IS NOT NULL")
    assert [spot.fetch(token)[0] for token in (task, second)] == [401, 200]

    third = rotated(0)

    assert [spot.fetch(token)[0] for token in (task, second, third)] == [401, 401, 200]


def test_a_role_that_trusts_tasks_no_more_gives_them_nothing(spot: Place, task: str, name: str) -> None:
    assert spot.fetch(task)[0] == 200

    set_trust(spot.server, name, trusts(NODES))

    assert spot.fetch(task) == (
        403,
        {
            "code": "AccessDenied",
            "message": f"The trust policy of role {name} does not let ecs-tasks.amazonaws.com assume it.",
        },
    )


def test_a_role_that_trusts_its_own_account_alone_may_be_asked_for_by_condition(spot: Place, name: str) -> None:
    condition = {"StringEquals": {"aws:SourceAccount": DEFAULT_ACCOUNT}}
    role = make_role(spot.server, name, trust=trusts(TASKS, Condition=condition))
    token = spot.task(name, role)
    assert spot.fetch(token)[0] == 200

    set_trust(spot.server, name, trusts(TASKS, Condition={"StringEquals": {"aws:SourceAccount": "999988887777"}}))

    assert spot.fetch(token)[0] == 403


def test_a_role_that_is_made_again_is_another(spot: Place, task: str, name: str) -> None:
    spot.server.execute("UPDATE principal SET unique_id = :other WHERE name = :name", other=f"AROA{name}", name=name)

    assert spot.fetch(task) == (403, {"code": "AccessDenied", "message": "The role does not exist any more."})


@pytest.mark.parametrize("shown", [None, "", "x", "Bearer x", "x" * 4000, "Basic QVdTOng="])
def test_who_shows_no_token_of_a_workload_gets_nothing(spot: Place, shown: str | None) -> None:
    assert spot.fetch(shown) == (
        401,
        {"code": "InvalidToken", "message": "The Authorization header must hold the token of a workload."},
    )


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_credentials_are_only_read(spot: Place, task: str, method: str) -> None:
    assert spot.fetch(task, method)[0] == 405


def test_credentials_are_not_given_in_the_clear_to_another_machine(spot: Place, task: str) -> None:
    elsewhere = {"X-Forwarded-For": "10.1.2.3"}

    assert spot.fetch(task, **elsewhere, **{"X-Forwarded-Proto": "http"})[1]["code"] == "InsecureTransport"
    assert spot.fetch(task, **elsewhere, **{"X-Forwarded-Proto": "https"})[0] == 200


def test_nobody_keeps_credentials_in_between(spot: Place, task: str) -> None:
    _, _, headers = ask(spot.server.port, "GET", "/v1/credentials", {"Authorization": task})

    assert headers["cache-control"] == "no-store"


def test_a_node_gets_its_role_in_two_steps(spot: Place, node: str) -> None:
    token = spot.metadata_token()

    assert spot.metadata("GET", "/latest/meta-data/", **{TOKEN: token}) == (200, "iam/\nplacement/")
    assert spot.metadata("GET", "/latest/meta-data/placement/region", **{TOKEN: token}) == (200, "us-east-1")
    assert spot.metadata("GET", ROLES, **{TOKEN: token}) == (200, node)
    status, text = spot.metadata("GET", ROLES + node, **{TOKEN: token})
    document = json.loads(text)
    assert (status, document["Code"], document["Type"]) == (200, "Success", "AWS-HMAC")
    assert works(spot.server, document)


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", ROLES, {}, 401),
        ("GET", ROLES, {TOKEN: ""}, 401),
        ("GET", ROLES, {TOKEN: "1.2.3"}, 401),
        ("GET", ROLES, {TOKEN: "x" * 5000}, 401),
        ("PUT", "/latest/api/token", {}, 400),
        ("PUT", "/latest/api/token", {TTL: "0"}, 400),
        ("PUT", "/latest/api/token", {TTL: "21601"}, 400),
        ("PUT", "/latest/api/token", {TTL: "-1"}, 400),
        ("PUT", "/latest/api/token", {TTL: "1e3"}, 400),
        ("PUT", "/latest/api/token", {TTL: "9" * 4000}, 400),
        ("GET", "/latest/api/token", {TTL: "60"}, 405),
        ("POST", "/latest/api/token", {TTL: "60"}, 405),
        ("PUT", "/latest/api/token", {TTL: "60", "X-Forwarded-For": "10.0.0.1"}, 403),
        ("PUT", "/latest/api/token", {TTL: "60", "X-Forwarded-For": ""}, 403),
        ("PUT", "/latest/api/token", {TTL: "60", "Forwarded": "for=10.0.0.1"}, 403),
        ("PUT", "/latest/api/token", {TTL: "60", "Via": "1.1 proxy"}, 403),
        ("PUT", "/latest/api/token", {TTL: "60", "Host": "rebound.example.com"}, 403),
        ("PUT", "/latest/api/token", {TTL: "60", "Host": "127.0.0.1.example.com:80"}, 403),
        ("PUT", "/latest/api/token", {TTL: "60", "Host": ""}, 403),
    ],
)
def test_a_request_that_somebody_was_tricked_into_gets_nothing(
    spot: Place, node: str, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    assert spot.metadata(method, path, **headers)[0] == status


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "Via"])
def test_a_good_token_does_not_pass_through_a_proxy(spot: Place, node: str, header: str) -> None:
    token = spot.metadata_token()

    assert spot.metadata("GET", ROLES, **{TOKEN: token, header: NODE})[0] == 403


@pytest.mark.parametrize(
    "path", [f"{ROLES}other", f"{ROLES}../", "/latest/user-data", "/v2/", "/readyz", "//latest/meta-data/", "/layers/x"]
)
def test_nothing_else_is_served_to_nodes(spot: Place, node: str, path: str) -> None:
    assert spot.metadata("GET", path, **{TOKEN: spot.metadata_token()})[0] == 404


def test_a_token_is_good_for_the_address_that_asked_for_it(spot: Place, node: str, name: str) -> None:
    other = f"{name}-other"
    role = make_role(spot.server, other, trust=trusts(NODES))
    spot.nodes(other, role, OTHER_NODE)
    token = spot.metadata_token()

    assert spot.metadata("GET", ROLES, OTHER_NODE, **{TOKEN: token})[0] == 401
    assert spot.metadata("GET", ROLES, OTHER_NODE, **{TOKEN: spot.metadata_token(OTHER_NODE)}) == (200, other)
    spot.withdraw(other)


def test_an_address_that_nobody_declared_gets_nothing_whatever_it_says(spot: Place, node: str) -> None:
    token = spot.metadata_token()

    assert spot.metadata("PUT", "/latest/api/token", STRANGER, **{TTL: "60"})[0] == 403
    assert spot.metadata("GET", ROLES, STRANGER, **{TOKEN: token})[0] == 403
    assert spot.metadata("GET", ROLES, STRANGER, **{TOKEN: token, "X-Real-IP": NODE})[0] == 403


def test_the_narrowest_network_decides(spot: Place, name: str) -> None:
    names = {f"{name}-wide": "127.7.0.0/16", f"{name}-narrow": "127.7.7.0/24", f"{name}-one": "127.7.7.7"}
    for each, network in names.items():
        spot.nodes(each, make_role(spot.server, each, trust=trusts(NODES)), network)

    found = [
        spot.metadata("GET", ROLES, source, **{TOKEN: spot.metadata_token(source)})[1]
        for source in ("127.7.8.1", "127.7.7.8", "127.7.7.7")
    ]

    for each in names:
        spot.withdraw(each)
    assert found == list(names)


def test_a_node_whose_role_does_not_trust_ec2_is_told_as_on_ec2(spot: Place, node: str) -> None:
    set_trust(spot.server, node, trusts(TASKS))

    status, text = spot.metadata("GET", ROLES + node, **{TOKEN: spot.metadata_token()})

    said = json.loads(text)
    assert (status, said["Code"]) == (200, "AssumeRoleUnauthorizedAccess")
    assert said["Message"] == f"The trust policy of role {node} does not let ec2.amazonaws.com assume it."


def test_a_withdrawn_node_gets_nothing_with_the_token_it_has(spot: Place, node: str) -> None:
    token = spot.metadata_token()

    spot.withdraw(node)

    assert spot.metadata("GET", ROLES, **{TOKEN: token})[0] == 403


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_the_registrys_own_port_has_no_instance_metadata(spot: Place, node: str, method: str) -> None:
    status, _, _ = ask(spot.server.port, method, "/latest/api/token", {TTL: "60"}, NODE)

    assert status == 404


def test_a_task_may_ask_where_nodes_ask(spot: Place, task: str) -> None:
    status, body, _ = ask(spot.metadata_port, "GET", "/v1/credentials", {"Authorization": task}, STRANGER)

    assert (status, json.loads(body)["AccessKeyId"][:4]) == (200, "ASIA")


@pytest.mark.parametrize(
    ("workload", "role", "networks", "seconds", "told"),
    [
        ("x", "{role}", (), 3600, "'x' cannot name a workload: give 2 to 64 letters"),
        ("{name}", "pull", (), 3600, "'pull' is no role's ARN; give one like arn:aws:iam::"),
        ("{name}", "{role}-none", (), 3600, "there is no role {role}-none; aws iam list-roles"),
        ("{name}", "{role}", (), 899, "a session lasts 900 to 43200 seconds"),
        ("{name}", "{role}", ("0.0.0.0/0",), 3600, "0.0.0.0/0 is everyone; give the addresses"),
        ("{name}", "{role}", ("10.0.0.1/8",), 3600, "10.0.0.1/8 is no network: 10.0.0.1/8 has host bits set"),
        ("{name}", "{role}", ("10.9.0.1",), 3600, "{role} does not trust ec2.amazonaws.com; allow"),
    ],
)
def test_what_cannot_be_declared_is_told_and_changes_nothing(
    spot: Place, name: str, workload: str, role: str, networks: tuple[str, ...], seconds: int, told: str
) -> None:
    fields = {"name": name, "role": make_role(spot.server, name, trust=trusts(TASKS))}

    with pytest.raises(NotDeclared) as refused:
        spot.server.write(
            lambda db: declaring.declare(
                db, workload.format(**fields), role.format(**fields), networks, seconds, db.clock_us()
            )
        )

    assert str(refused.value).startswith(told.format(**fields))
    assert spot.server.rows("SELECT 1 FROM workload WHERE name = :name", name=name) == []


def test_names_and_networks_are_one_workloads(spot: Place, node: str) -> None:
    role = f"arn:aws:iam::{DEFAULT_ACCOUNT}:role/{node}"

    with pytest.raises(NotDeclared, match=f"there is a workload {node}; delete it first, or give another name"):
        spot.nodes(node, role, "10.0.0.1")
    with pytest.raises(NotDeclared, match=f"{NODE}/32 is another workload's"):
        spot.nodes(f"{node}-2", role, "10.0.0.2", f"{NODE}/32")
    assert spot.server.rows("SELECT 1 FROM workload_source WHERE network = '10.0.0.2/32'") == []


def test_the_command_declares_rotates_lists_and_deletes(spot: Place, name: str, tmp_path: Path) -> None:
    role = make_role(spot.server, name, trust=trusts(BOTH))
    created = spot.workload("create", name, "--role", role)
    rotated = spot.workload("rotate", name, "--overlap-minutes", "5", "--token-file", str(tmp_path / "token"))
    tokens = [token_in(created.stdout), (tmp_path / "token").read_text()]
    assert [spot.fetch(token)[0] for token in tokens] == [200, 200]
    assert tokens[1] not in rotated.stdout
    spot.workload("create", f"{name}-nodes", "--role", role, "--node", "10.1.0.0/24", "--node", "fd00::1")

    listed = {line.split()[0]: line for line in spot.workload("list").stdout.splitlines()}

    assert listed[f"{name}-nodes"] == f"{name}-nodes  {role}  3600 s  10.1.0.0/24, fd00::1/128"
    assert listed[name].startswith(f"{name}  {role}  3600 s  token of 20")
    assert listed[name].count("token of ") == 2
    assert ", ends 20" in listed[name]
    refused = spot.workload("rotate", f"{name}-nodes", check=False)
    assert (refused.returncode, refused.stderr) == (
        1,
        f"openecr: workload {name}-nodes is of nodes, which have no token\n",
    )
    for each in (name, f"{name}-nodes"):
        assert spot.workload("delete", each).stdout == f"deleted workload {each}\n"
    assert spot.workload("delete", name, check=False).stderr.startswith(f"openecr: there is no workload {name};")


def test_no_token_and_no_secret_is_logged(spot: Place, node: str, name: str) -> None:
    task = spot.task(f"{name}-task", make_role(spot.server, f"{name}-task", trust=trusts(TASKS)))
    document = spot.fetch(task)[1]
    token = spot.metadata_token()

    log = spot.server.log()

    assert not [secret for secret in (task, token, document["SecretAccessKey"], document["Token"]) if secret in log]
