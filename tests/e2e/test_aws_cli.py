"""The AWS CLI, version 1 from PyPI and version 2 from Debian."""

import base64
import json
import re
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from tests.e2e.every_operation import tell, upload
from tests.e2e.shell import Shell
from tests.identities import make_role, policy, statement, trust_issuer
from tests.identity_provider import AUDIENCE, SUBJECT, Issuer
from tests.registry_client import digest_of, image_manifest
from tests.running import Server

_numbers = count()


def kebab(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()


def caller(shell: Shell, aws: tuple[str, ...], *more: str) -> Callable[..., Any]:
    """Calls operations with the CLI's own options."""

    def call(operation: str, **parameters: Any) -> Any:
        options: list[str] = []
        for name, value in parameters.items():
            options.append(f"--{kebab(name)}")
            if isinstance(value, bytes):
                path = shell.folder / f"blob-{next(_numbers)}"
                path.write_bytes(value)
                options.append(f"fileb://{path}")
            elif isinstance(value, list | dict):
                options.append(json.dumps(value))
            elif value is not True:
                options.append(str(value))
        printed = shell.run(*aws, "ecr", kebab(operation), *options, *more, "--output", "json")
        return json.loads(printed) if printed.strip() else None

    return call


def test_version_1_calls_every_operation(server: Server, tmp_path: Path) -> None:
    """The environment that ``openecr env`` prints is all that it takes."""
    shell = Shell(server.environment(), tmp_path)
    tell(caller(shell, (sys.executable, "-m", "awscli"), "--region", "ca-central-1"), "told/by-version-1")


def test_version_1_and_its_other_commands(server: Server, password: str, tmp_path: Path) -> None:
    shell = Shell(server.environment(), tmp_path)
    aws = (sys.executable, "-m", "awscli")
    identity = json.loads(shell.run(*aws, "sts", "get-caller-identity", "--output", "json"))
    assert identity["Account"] == "123456789012"
    token = shell.run(*aws, "ecr", "get-login-password").strip()
    authorization = base64.b64encode(f"AWS:{token}".encode()).decode()
    status = shell.run("curl", "-so", "/dev/null", "-w", "%{http_code}", "-H", f"Authorization: Basic {authorization}",
                       f"{server.url}/v2/")  # fmt: skip
    assert status == "200"
    said = shell.fail(*aws, "ecr", "describe-repositories", "--repository-names", "not/there")
    assert "(RepositoryNotFoundException)" in said
    assert "The repository with name 'not/there' does not exist in the registry with id '123456789012'" in said
    said = shell.fail(*aws, "ecr", "describe-pull-through-cache-rules")
    assert "not built yet" in said


def test_version_1_pages_through_repositories(server: Server, tmp_path: Path) -> None:
    client = server.client("ecr", region="ca-west-1")
    names = [f"paged/{number}" for number in range(7)]
    for name in names:
        client.create_repository(repositoryName=name)
    shell = Shell(server.environment(), tmp_path)
    command = (sys.executable, "-m", "awscli", "ecr", "describe-repositories", "--region", "ca-west-1")
    printed = shell.run(*command, "--page-size", "2", "--query", "repositories[].repositoryName", "--output", "json")
    assert json.loads(printed) == names


def test_version_2(newer_root_programs: Path, server: Server, ecr: Any, tmp_path: Path) -> None:
    """Debian's is older than some parameters; what it has, works."""
    shell = Shell({**server.environment(), "HOME": str(tmp_path)}, tmp_path)
    aws = (str(newer_root_programs / "aws"),)
    assert shell.run(*aws, "--version").startswith("aws-cli/2.")
    assert json.loads(shell.run(*aws, "sts", "get-caller-identity", "--output", "json"))["Account"] == "123456789012"
    assert shell.run(*aws, "ecr", "get-login-password").strip()
    call, name = caller(shell, aws), "told/by-version-2"
    created = call("CreateRepository", repositoryName=name, imageTagMutability="IMMUTABLE")["repository"]
    assert created["repositoryUri"] == f"{server.host}/{name}"
    config, layer = b'{"os": "linux"}', b"a layer"
    digests = [upload(call, name, blob) for blob in (config, layer)]
    assert digests == [digest_of(config), digest_of(layer)]
    manifest = image_manifest(config, layer).decode()
    put = call("PutImage", repositoryName=name, imageManifest=manifest, imageTag="v1")["image"]
    (described,) = call("DescribeImages", repositoryName=name)["imageDetails"]
    assert described["imageDigest"] == put["imageId"]["imageDigest"] == digest_of(manifest.encode())
    said = shell.fail(*aws, "ecr", "put-image", "--repository-name", name, "--image-manifest", manifest,
                      "--image-tag", "v1")  # fmt: skip
    assert "(ImageAlreadyExistsException)" in said
    call("DeleteRepository", repositoryName=name, force=True)


def test_version_1_assumes_roles_and_needs_no_secret_for_it(server: Server, tmp_path: Path) -> None:
    """By a user, by a token alone, and with the session that it got."""
    name = f"cli-{next(_numbers)}"
    issuer = Issuer(f"https://{name}.example")
    provider = trust_issuer(server, issuer.name, client_ids=[AUDIENCE], given_keys=issuer.published)
    trust = policy(
        statement("sts:AssumeRole", Principal={"AWS": "123456789012"}),
        statement(
            "sts:AssumeRoleWithWebIdentity",
            Principal={"Federated": provider},
            Condition={"StringEquals": {f"{issuer.name}:aud": AUDIENCE, f"{issuer.name}:sub": SUBJECT}},
        ),
    )
    role = make_role(server, name, trust=trust, allowed=policy(statement("ecr:GetAuthorizationToken", Resource="*")))
    variables = server.environment()
    aws = (sys.executable, "-m", "awscli", "--output", "json", "sts")
    whose = ("--role-arn", role, "--role-session-name", "ci")
    secrets = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    alone = {key: value for key, value in variables.items() if key not in secrets}

    assumed = json.loads(Shell(variables, tmp_path).run(*aws, "assume-role", *whose))
    token = ("--web-identity-token", issuer.token())
    proven = json.loads(Shell(alone, tmp_path).run(*aws, "assume-role-with-web-identity", *whose, *token))

    assert proven["SubjectFromWebIdentityToken"] == SUBJECT
    for credentials in (assumed["Credentials"], proven["Credentials"]):
        session = alone | {
            "AWS_ACCESS_KEY_ID": credentials["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": credentials["SecretAccessKey"],
            "AWS_SESSION_TOKEN": credentials["SessionToken"],
        }
        shell = Shell(session, tmp_path)
        assert json.loads(shell.run(*aws, "get-caller-identity"))["Arn"] == assumed["AssumedRoleUser"]["Arn"]
        assert shell.run(sys.executable, "-m", "awscli", "ecr", "get-login-password").strip()
