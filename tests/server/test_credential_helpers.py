"""The credential helpers at a real server: a pod's own role by the token of its cluster, and TLS."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.credential_helper import DOCKER_HELPER, KUBELET_PROVIDER, run
from tests.identities import make_role, policy, statement, trust_issuer, trusts
from tests.identity_provider import Issuer
from tests.registry_client import RegistryClient
from tests.running import DEFAULT_ACCOUNT, Server, openecr, running
from tests.server.test_tls_serving import serving_tls

CLUSTER = "kubernetes.example.com"
AUDIENCE = "sts.amazonaws.com"
POD = "system:serviceaccount:team:app"
NO_NODE = {"AWS_EC2_METADATA_DISABLED": "true"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("helpers"), "--workers", "1") as started:
        yield started


@pytest.fixture(scope="module")
def cluster(server: Server) -> Issuer:
    """A cluster whose keys an operator gave, and the role ``team``, which trusts its service account team/app."""
    issuer = Issuer(f"https://{CLUSTER}")
    provider = trust_issuer(server, CLUSTER, client_ids=[AUDIENCE], given_keys=issuer.published)
    condition = {"StringEquals": {f"{CLUSTER}:aud": AUDIENCE, f"{CLUSTER}:sub": POD}}
    trust = trusts({"Federated": provider}, "sts:AssumeRoleWithWebIdentity", Condition=condition)
    make_role(server, "team", trust=trust, allowed=policy(statement("ecr:*", Resource="*")))
    return issuer


def ask_provider(server: Server, token: str) -> Any:
    """What the kubelet gets for a pod with this token, on a node that has nothing itself."""
    request = {
        "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
        "kind": "CredentialProviderRequest",
        "image": f"{server.host}/team/app:v1",
        "serviceAccountToken": token,
        "serviceAccountAnnotations": {"eks.amazonaws.com/ecr-role-arn": f"arn:aws:iam::{DEFAULT_ACCOUNT}:role/team"},
    }
    return run(KUBELET_PROVIDER, stdin=json.dumps(request), variables=NO_NODE)


def test_a_pod_pulls_with_its_own_role(server: Server, cluster: Issuer) -> None:
    digest_client = RegistryClient(server.port, server.password())
    server.client("ecr").create_repository(repositoryName="team/app")
    digest_client.push_image("team/app", "v1", b"layer")

    done = ask_provider(server, cluster.token(sub=POD, aud=AUDIENCE))

    assert done.returncode == 0, done.stderr
    password = json.loads(done.stdout)["auth"][server.host]["password"]
    pulled = RegistryClient(server.port, password).request("GET", "/v2/team/app/manifests/v1")
    assert pulled.status == 200


@pytest.mark.parametrize(
    "claims", [{"sub": "system:serviceaccount:other:app", "aud": AUDIENCE}, {"sub": POD, "aud": "kubernetes"}]
)
def test_another_pod_or_another_audience_gets_nothing(server: Server, cluster: Issuer, claims: dict[str, Any]) -> None:
    token = cluster.token(**claims)

    done = ask_provider(server, token)

    assert (done.returncode, done.stdout) == (1, "")
    assert "refused AssumeRoleWithWebIdentity of" in done.stderr
    assert token not in done.stderr


def test_a_pods_program_logs_in_by_its_projected_token(server: Server, cluster: Issuer, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(cluster.token(sub=POD, aud=AUDIENCE))
    variables = {
        "HOME": str(tmp_path),
        "AWS_ROLE_ARN": f"arn:aws:iam::{DEFAULT_ACCOUNT}:role/team",
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"),
    }

    done = run(DOCKER_HELPER, "get", stdin=server.host, variables=variables)

    assert done.returncode == 0, done.stdout
    password = json.loads(done.stdout)["Secret"]
    assert RegistryClient(server.port, password).request("GET", "/v2/").status == 200
    assert not (tmp_path / ".cache").exists()  # what was assumed for this call alone is not found again


def test_a_server_with_its_own_ca_is_asked_by_who_trusts_it_alone(tmp_path: Path) -> None:
    with serving_tls(tmp_path, "--tls") as (port, _):
        printed = openecr("env", "--data-dir", str(tmp_path), "--shell", "bash").stdout
        keys = dict(line.removeprefix("export ").split("=", 1) for line in printed.splitlines() if "_KEY" in line)
        user = {"OPENECR_CACHE": "off", **{name: value.strip("'") for name, value in keys.items()}}
        host, ca = f"localhost:{port}", str(tmp_path / "tls" / "ca.pem")

        by_variable = run(DOCKER_HELPER, "get", stdin=host, variables={**user, "OPENECR_CA": ca})
        by_bundle = run(DOCKER_HELPER, "get", stdin=host, variables={**user, "AWS_CA_BUNDLE": ca})
        untrusted = run(DOCKER_HELPER, "get", stdin=host, variables=user)
        no_file = run(DOCKER_HELPER, "get", stdin=host, variables={**user, "OPENECR_CA": "/nowhere"})

    assert (by_variable.returncode, by_bundle.returncode) == (0, 0), by_variable.stdout + by_bundle.stdout
    assert untrusted.stdout.startswith(f"the certificate of https://{host} is not trusted (")
    assert no_file.stdout.startswith("the CA file /nowhere cannot be used: ")
