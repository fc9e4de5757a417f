"""AssumeRoleWithWebIdentity: a token of an identity provider, and no signature, for a role that trusts it."""

import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.api.support import ACCOUNT, push
from tests.api.test_sts import PULL, refusal
from tests.identities import client, make_role, policy, registry_password, set_trust, statement, trust_issuer, trusts
from tests.identity_provider import AUDIENCE, SUBJECT, Issuer, jwk, key_set, rsa_key, running_issuer
from tests.places import ON_DATABASES
from tests.registry_client import RegistryClient, digest_of
from tests.running import OTHER_ACCOUNT, Server, running

pytestmark = ON_DATABASES

ACTION = "sts:AssumeRoleWithWebIdentity"
NOT_TRUSTED = (403, "AccessDenied", f"Not authorized to perform {ACTION}")
GITHUB = "token.actions.githubusercontent.com"
_numbers = count(1)


@pytest.fixture(scope="session")
def sts(server: Server) -> Any:
    """A client that has no credentials at all."""
    return client(server, "sts", None)


@pytest.fixture(scope="session")
def github(server: Server) -> Issuer:
    """An issuer whose keys an operator gave, so that nobody asks it."""
    issuer = Issuer(f"https://{GITHUB}")
    trust_issuer(server, issuer.name, client_ids=[AUDIENCE], given_keys=issuer.published)
    return issuer


@pytest.fixture
def name() -> str:
    return f"web-{next(_numbers)}"


def github_trust(**conditions: Any) -> str:
    provider = f"arn:aws:iam::{ACCOUNT}:oidc-provider/{GITHUB}"
    return trusts({"Federated": provider}, ACTION, **({"Condition": conditions} if conditions else {}))


def assume(sts: Any, role: str, token: str, **more: Any) -> dict[str, Any]:
    answer: dict[str, Any] = sts.assume_role_with_web_identity(
        RoleArn=role, RoleSessionName="ci", WebIdentityToken=token, **more
    )
    return answer


def test_a_token_is_enough_to_assume_a_role_that_trusts_its_bearer(
    server: Server, sts: Any, github: Issuer, name: str
) -> None:
    role = make_role(
        server,
        name,
        trust=github_trust(
            StringEquals={f"{GITHUB}:aud": AUDIENCE, f"{GITHUB}:repository": "octo/app"},
            StringLike={f"{GITHUB}:sub": "repo:octo/app:*"},
        ),
        allowed=PULL,
    )

    answer = assume(sts, role, github.token(repository="octo/app"))

    assert answer["SubjectFromWebIdentityToken"] == SUBJECT
    assert answer["Audience"] == AUDIENCE
    assert answer["Provider"] == f"arn:aws:iam::{ACCOUNT}:oidc-provider/{GITHUB}"
    arn = answer["AssumedRoleUser"]["Arn"]
    assert arn == f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/ci"
    assert client(server, "sts", answer["Credentials"]).get_caller_identity()["Arn"] == arn
    assert client(server, "ecr", answer["Credentials"]).describe_repositories()


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": "repo:octo/other:ref:refs/heads/main"},
        {"sub": "repo:OCTO/app:ref:refs/heads/main"},
        {"sub": "x:repo:octo/app:ref:refs/heads/main"},
    ],
)
def test_another_bearer_is_refused_as_a_role_that_is_not_there(
    server: Server, sts: Any, github: Issuer, name: str, claims: dict[str, Any]
) -> None:
    role = make_role(server, name, trust=github_trust(StringLike={f"{GITHUB}:sub": "repo:octo/app:*"}))

    assert assume(sts, role, github.token())["Credentials"]
    assert refusal(assume, sts=sts, role=role, token=github.token(**claims)) == NOT_TRUSTED
    assert refusal(assume, sts=sts, role=f"{role}-absent", token=github.token()) == NOT_TRUSTED


def test_a_role_that_trusts_accounts_or_everyone_trusts_no_bearer_by_that(
    server: Server, sts: Any, github: Issuer, name: str
) -> None:
    root = make_role(server, name, trust=trusts(f"arn:aws:iam::{ACCOUNT}:root", ACTION))
    plain = make_role(server, f"{name}-plain", trust=github_trust().replace(ACTION, "sts:AssumeRole"))
    other = f"arn:aws:iam::{ACCOUNT}:oidc-provider/{GITHUB}.evil.example"
    foreign = make_role(server, f"{name}-foreign", trust=trusts({"Federated": other}, ACTION))

    for role in (root, plain, foreign):
        assert refusal(assume, sts=sts, role=role, token=github.token()) == NOT_TRUSTED


def test_a_token_of_an_issuer_that_the_roles_account_does_not_know_is_refused(
    server: Server, sts: Any, github: Issuer, name: str
) -> None:
    def unknown(issuer: str) -> tuple[int, str, str]:
        return 400, "InvalidIdentityToken", f"No OpenIDConnect provider found in your account for {issuer}"

    role = make_role(server, name, trust=github_trust(), account_id=OTHER_ACCOUNT)
    evil = Issuer("https://evil.example")
    plain_http = Issuer(f"http://{GITHUB}")

    assert refusal(assume, sts=sts, role=role, token=github.token()) == unknown(github.url)
    own = role.replace(OTHER_ACCOUNT, ACCOUNT)
    assert refusal(assume, sts=sts, role=own, token=evil.token()) == unknown(evil.url)
    assert refusal(assume, sts=sts, role=own, token=plain_http.token()) == unknown(plain_http.url)
    absent = "arn:aws:iam::000000000000:role/absent"
    assert refusal(assume, sts=sts, role=absent, token=github.token()) == unknown(github.url)


def test_what_is_wrong_with_a_token_is_told_before_whether_there_is_a_role(sts: Any, github: Issuer) -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/absent"
    expired = int(time.time()) - 600

    for token, code, message in (
        (github.token(aud="other"), "InvalidIdentityToken", "Incorrect token audience"),
        (github.token(key=rsa_key(1)), "InvalidIdentityToken", "The token's signature is not valid"),
        (github.token(exp=expired), "ExpiredTokenException", "Token expired: current date/time"),
        ("x" * 20, "InvalidIdentityToken", "The ID Token provided is not a valid JWT."),
        (github.token(sub="x" * 300), "IDPRejectedClaim", "The token's claim sub is no text"),
    ):
        status, told, text = refusal(assume, sts=sts, role=role, token=token)
        assert (status, told) == (403 if code == "IDPRejectedClaim" else 400, code)
        assert text.startswith(message)


def test_a_session_of_a_bearer_is_as_long_and_as_narrow_as_asked(
    server: Server, sts: Any, github: Issuer, name: str
) -> None:
    role = make_role(server, name, trust=github_trust(), allowed=PULL)
    narrow = policy(statement("ecr:DescribeRepositories", Resource="*"))

    credentials = assume(sts, role, github.token(), Policy=narrow, DurationSeconds=900)["Credentials"]

    ecr = client(server, "ecr", credentials)
    assert ecr.describe_repositories()
    assert "no session policy" in refusal(ecr.get_authorization_token)[2]
    assert refusal(assume, sts=sts, role=role, token=github.token(), DurationSeconds=3601)[2] == (
        "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
    )
    assert (
        refusal(assume, sts=sts, role=role, token=github.token(), ProviderId="www.amazon.com")[1] == "ValidationError"
    )


def test_tags_and_source_identity_of_a_token_need_the_roles_trust(
    server: Server, sts: Any, github: Issuer, name: str
) -> None:
    claims: dict[str, Any] = {
        "https://aws.amazon.com/tags": {"principal_tags": {"team": ["web"]}},
        "https://aws.amazon.com/source_identity": "mona",
    }
    role = make_role(
        server,
        name,
        trust=github_trust(),
        allowed=policy(
            statement("ecr:CreateRepository", Resource=f"arn:aws:ecr:*:*:repository/{name}/${{aws:PrincipalTag/team}}")
        ),
    )
    assert refusal(assume, sts=sts, role=role, token=github.token(**claims)) == (
        403,
        "AccessDenied",
        "Not authorized to perform sts:TagSession",
    )

    set_trust(server, name, github_trust().replace(f'["{ACTION}"]', '["sts:*"]'))

    answer = assume(sts, role, github.token(**claims))
    assert answer["SourceIdentity"] == "mona"
    assert client(server, "ecr", answer["Credentials"]).create_repository(repositoryName=f"{name}/web")


def test_a_provider_that_was_deleted_vouches_for_nobody(server: Server, sts: Any, name: str) -> None:
    issuer = Issuer(f"https://{name}.example")
    provider = trust_issuer(server, issuer.name, client_ids=[AUDIENCE], given_keys=issuer.published)
    role = make_role(server, name, trust=trusts({"Federated": provider}, ACTION), allowed=PULL)
    assert assume(sts, role, issuer.token())["Credentials"]

    server.client("iam").delete_open_id_connect_provider(OpenIDConnectProviderArn=provider)

    assert refusal(assume, sts=sts, role=role, token=issuer.token())[1] == "InvalidIdentityToken"


def test_a_role_that_was_deleted_takes_its_sessions_along(server: Server, sts: Any, github: Issuer, name: str) -> None:
    role = make_role(server, name, trust=github_trust(), allowed=PULL)
    credentials = assume(sts, role, github.token())["Credentials"]
    password = registry_password(server, credentials)
    iam = server.client("iam")

    iam.delete_role_policy(RoleName=name, PolicyName="test")
    iam.delete_role(RoleName=name)

    assert refusal(client(server, "ecr", credentials).describe_repositories)[1] == "UnrecognizedClientException"
    assert RegistryClient(server.port, password).request("GET", "/v2/").status == 403


# The door that needs no signature.


def post(server: Server, form: dict[str, str] | bytes, **headers: str) -> tuple[int, str]:
    body = form if isinstance(form, bytes) else urllib.parse.urlencode(form).encode()
    told = {"Content-Type": "application/x-www-form-urlencoded", **headers}
    request = urllib.request.Request(f"{server.url}/", body, told, method="POST")
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()


@pytest.mark.parametrize(
    "form",
    [
        {"Action": "GetCallerIdentity", "Version": "2011-06-15"},
        {"Action": "GetSessionToken", "Version": "2011-06-15"},
        {"Action": "AssumeRole", "Version": "2011-06-15"},
        {"Action": "AssumeRoleWithWebIdentity", "Version": "2010-05-08"},
        {"Action": "AssumeRoleWithWebIdentity"},
        {"Action": "CreateUser", "Version": "2010-05-08", "UserName": "x"},
        {},
        {"Version": "2011-06-15"},
    ],
)
def test_nothing_else_comes_without_a_signature(server: Server, form: dict[str, str]) -> None:
    status, body = post(server, form)

    assert status == 403
    assert "<Code>MissingAuthenticationToken</Code>" in body


def test_a_form_that_is_too_large_or_no_form_is_refused(server: Server) -> None:
    status, body = post(server, b"Action=AssumeRoleWithWebIdentity&Version=2011-06-15&x=" + b"x" * 70_000)
    assert (status, "<Code>RequestEntityTooLarge</Code>" in body) == (413, True)
    assert post(server, b"\xff\xfe")[0] == 400


def test_members_are_checked_without_a_signature_too(server: Server) -> None:
    status, body = post(server, {"Action": "AssumeRoleWithWebIdentity", "Version": "2011-06-15"})

    assert status == 400
    assert "<Code>ValidationError</Code>" in body
    assert "webIdentityToken" in body


def test_a_federation_that_is_not_built_says_so(server: Server) -> None:
    status, body = post(server, {"Action": "AssumeRoleWithSAML", "Version": "2011-06-15"})

    assert (status, "not built yet" in body) == (400, True)


# Keys that the issuer publishes, and a pull without a secret.


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with running_issuer("/realms/ci") as started:
        yield started


@pytest.fixture(scope="module")
def near(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer) -> Iterator[Server]:
    """A server that asks issuers on this machine."""
    folder = tmp_path_factory.mktemp("near")
    with running(folder, "--workers", "1", variables={"OPENECR_OIDC_LOOPBACK": "on"}) as started:
        provider = trust_issuer(started, issuer.name, client_ids=[AUDIENCE])
        trust = trusts({"Federated": provider}, ACTION, Condition={"StringEquals": {f"{issuer.name}:sub": SUBJECT}})
        make_role(started, "puller", trust=trust, allowed=PULL)
        yield started


PULLER = f"arn:aws:iam::{ACCOUNT}:role/puller"


def test_a_token_pulls_an_image_with_no_stored_secret(near: Server, issuer: Issuer) -> None:
    near.client("ecr").create_repository(repositoryName="app")
    image = push(RegistryClient(near.port, near.password()), "app", "image", "v1")

    credentials = assume(client(near, "sts", None), PULLER, issuer.token())["Credentials"]

    docker = RegistryClient(near.port, registry_password(near, credentials))
    assert docker.request("GET", "/v2/app/manifests/v1").body == image.manifest
    assert docker.pull_blob("app", digest_of(image.layers[0])).body == image.layers[0]
    assert docker.request("POST", "/v2/app/blobs/uploads/").status == 403
    assert sorted(set(issuer.requests)) == ["/realms/ci/.well-known/openid-configuration", "/realms/ci/keys"]


def test_boto3_finds_its_way_with_a_token_file_alone(
    near: Server, issuer: Issuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text(issuer.token())
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", PULLER)
    monkeypatch.setenv("AWS_ROLE_SESSION_NAME", "pod-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", near.url)
    monkeypatch.setenv("AWS_ENDPOINT_URL_ECR", near.url)
    session = boto3.Session(region_name="us-east-1")

    assert session.client("sts").get_caller_identity()["Arn"].endswith(":assumed-role/puller/pod-1")
    assert session.client("ecr").get_authorization_token()["authorizationData"]


def test_a_key_that_the_issuer_withdrew_or_never_had_proves_nothing(near: Server, issuer: Issuer) -> None:
    sts = client(near, "sts", None)
    assert assume(sts, PULLER, issuer.token())["Credentials"]

    status, code, message = refusal(
        assume, sts=sts, role=PULLER, token=issuer.token(key=rsa_key(5), headers={"kid": "five"})
    )

    assert (status, code) == (400, "InvalidIdentityToken")
    assert message.startswith("Couldn't retrieve verification key from your identity provider")


def test_an_issuer_that_is_away_is_told_from_a_token_that_is_bad(near: Server) -> None:
    away = Issuer("http://127.0.0.1:1")
    trust_issuer(near, away.name, client_ids=[AUDIENCE])

    assert refusal(assume, sts=client(near, "sts", None), role=PULLER, token=away.token()) == (
        400,
        "IDPCommunicationError",
        "The keys of the identity provider http://127.0.0.1:1 could not be fetched: it cannot be reached",
    )


def test_an_operator_gives_the_keys_of_an_issuer_that_cannot_be_asked(near: Server, tmp_path: Path) -> None:
    away = Issuer("https://cluster.example", published=key_set(jwk(rsa_key(2), "two")))
    provider = trust_issuer(near, away.name, client_ids=[AUDIENCE])
    role = make_role(near, "cluster", trust=trusts({"Federated": provider}, ACTION))
    file = tmp_path / "jwks.json"
    file.write_text(away.published)

    said = near.command("oidc", "keys", away.url, "--file", str(file)).stdout

    assert said == "tokens of cluster.example are checked with 1 given keys\n"
    token = away.token(key=rsa_key(2), headers={"kid": "two"})
    assert assume(client(near, "sts", None), role, token)["SubjectFromWebIdentityToken"] == SUBJECT
    file.write_text("{}")
    refused = near.command("oidc", "keys", away.url, "--file", str(file), check=False)
    assert (refused.returncode, "a list of keys" in refused.stderr) == (1, True)


def test_no_token_is_in_the_log(near: Server, issuer: Issuer) -> None:
    token = issuer.token()
    assume(client(near, "sts", None), PULLER, token)

    assert token.split(".")[1] not in near.log()
    assert token.split(".")[2] not in near.log()
