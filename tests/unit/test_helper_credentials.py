"""Where the credential helper finds AWS credentials, in which order, and what it refuses."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from tests.credential_helper import helper
from tests.scripted_endpoint import Asked, ScriptedEndpoint, scripted

ROLE = "arn:aws:iam::123456789012:role/pull"
NOTHING = {"AWS_EC2_METADATA_DISABLED": "true"}
DOCUMENT = json.dumps({"AccessKeyId": "ASIA1", "SecretAccessKey": "s3cret", "Token": "t0ken", "Expiration": "x"})


def find(environment: Mapping[str, str], registry: ScriptedEndpoint | None = None) -> Any:
    """The credentials that are found for a registry."""
    found = helper().find_registry(registry.host if registry else "registry.example.com", environment)
    if registry is not None:
        found = helper().Registry(found.host, (registry.url,), True, found.region, found.trust, found.profile)
    return helper().Chain(environment, found).find()


def refusal(environment: Mapping[str, str], registry: ScriptedEndpoint | None = None) -> str:
    """Why none can be had."""
    with pytest.raises(helper().Failed) as failed:
        find(environment, registry)
    return str(failed.value)


def aws_files(folder: Path, config: str = "", credentials: str = "") -> dict[str, str]:
    """The variables that name shared files with these texts."""
    (folder / "config").write_text(config)
    (folder / "credentials").write_text(credentials)
    return {
        **NOTHING,
        "AWS_CONFIG_FILE": str(folder / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials"),
    }


def sts(asked: Asked) -> tuple[int, str]:
    """An STS that gives everyone a session, and says what was asked in it."""
    said = parse_qs(asked.body)
    key = f"ASIA-{said['Action'][0]}"
    return 200, (
        f'<{said["Action"][0]}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Result><Credentials>'
        f"<AccessKeyId>{key}</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>"
        f"</Credentials></Result></{said['Action'][0]}Response>"
    )


def test_the_environment_comes_first(tmp_path: Path) -> None:
    files = aws_files(tmp_path, credentials="[default]\naws_access_key_id = AKIAFILE\naws_secret_access_key = f\n")
    keys = {"AWS_ACCESS_KEY_ID": "AKIAENV", "AWS_SECRET_ACCESS_KEY": "e", "AWS_SESSION_TOKEN": "t"}

    found = find({**files, **keys})

    assert (found.access_key_id, found.secret_access_key, found.session_token) == ("AKIAENV", "e", "t")


def test_half_a_key_is_told() -> None:
    assert refusal({**NOTHING, "AWS_ACCESS_KEY_ID": "AKIA"}) == (
        "AWS_ACCESS_KEY_ID is set, AWS_SECRET_ACCESS_KEY is not"
    )


KEYS = "aws_access_key_id = A\naws_secret_access_key = s%x\n"


@pytest.mark.parametrize(
    ("config", "credentials", "variables", "key_id"),
    [
        ("", f"[default]\n{KEYS}", {}, "A"),
        (f"[default]\n{KEYS}", "", {}, "A"),
        (f"[profile p]\n{KEYS}", "", {"AWS_PROFILE": "p"}, "A"),
        (f"[profile p]\n{KEYS}", "[p]\naws_access_key_id = B", {"AWS_PROFILE": "p"}, "B"),
        ("[default]\nregion = x\ns3 =\n  a = b\n", f"[p]\n{KEYS}", {"AWS_PROFILE": "p"}, "A"),
    ],
)
def test_a_profile_gives_keys(
    config: str, credentials: str, variables: dict[str, str], key_id: str, tmp_path: Path
) -> None:
    assert find({**aws_files(tmp_path, config, credentials), **variables}).access_key_id == key_id


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ("", "there is no profile p in the AWS configuration"),
        ("[profile p]\nregion = x", "profile p has no credentials that this program can use"),
        (
            "[profile p]\nsso_session = x",
            "profile p logs in at IAM Identity Center: give it a credential_process instead",
        ),
        (
            "[profile p]\nrole_arn = r\nsource_profile = p\nmfa_serial = m",
            "profile p asks for an MFA code, and nobody is there to type one",
        ),
        ("[profile p]\nrole_arn = r", "profile p has a role_arn, but neither source_profile nor credential_source"),
        (
            "[profile p]\nrole_arn = r\nsource_profile = q\n[profile q]\nrole_arn = r\nsource_profile = p",
            "profile p has no credentials that this program can use",
        ),
    ],
)
def test_a_profile_without_usable_credentials_is_told(config: str, told: str, tmp_path: Path) -> None:
    assert refusal({**aws_files(tmp_path, config), "AWS_PROFILE": "p"}) == told


def test_a_broken_file_is_told(tmp_path: Path) -> None:
    assert "is no AWS configuration file" in refusal(aws_files(tmp_path, "no section = 1\n"))


def test_a_program_gives_credentials(tmp_path: Path) -> None:
    said = {"Version": 1, "AccessKeyId": "ASIAPROC", "SecretAccessKey": "s", "SessionToken": "t"}
    program = tmp_path / "program.py"
    program.write_text(f"print({json.dumps(said)!r})\n")

    found = find(aws_files(tmp_path, f"[default]\ncredential_process = {sys.executable} {program}\n"))

    assert (found.access_key_id, found.session_token) == ("ASIAPROC", "t")


def test_what_a_program_says_is_never_told(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("print('s3cret'); raise SystemExit(3)\n")

    told = refusal(aws_files(tmp_path, f"[default]\ncredential_process = {sys.executable} {program}\n"))

    assert told == "the credential_process of profile default gave no credentials; run it to see why"


def test_a_profile_assumes_a_role_with_another_ones_keys(tmp_path: Path) -> None:
    config = f"[profile p]\nrole_arn = {ROLE}\nsource_profile = q\nexternal_id = x\n"
    files = aws_files(tmp_path, config, "[q]\naws_access_key_id = AKIAQ\naws_secret_access_key = s\n")

    with scripted(sts) as registry:
        found = find({**files, "AWS_PROFILE": "p"}, registry)

    (asked,) = registry.asked
    said = parse_qs(asked.body)
    assert (found.access_key_id, found.assumed) == ("ASIA-AssumeRole", True)
    assert (said["RoleArn"], said["ExternalId"], said["Version"]) == ([ROLE], ["x"], ["2011-06-15"])
    assert asked.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIAQ/")
    assert "/us-east-1/sts/aws4_request" in asked.headers["authorization"]


def test_a_web_identity_becomes_a_role(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("ey.jwt.sig\n")
    pod = {"AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"), "AWS_ROLE_ARN": ROLE, "AWS_ROLE_SESSION_NAME": "pod"}

    with scripted(sts) as registry:
        found = find({**aws_files(tmp_path), **pod}, registry)

    (asked,) = registry.asked
    said = parse_qs(asked.body)
    assert found.access_key_id == "ASIA-AssumeRoleWithWebIdentity"
    assert (said["WebIdentityToken"], said["RoleSessionName"]) == (["ey.jwt.sig"], ["pod"])
    assert "authorization" not in asked.headers


def test_a_refusal_of_sts_is_told_without_the_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("ey.jwt.sig")
    pod = {"AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"), "AWS_ROLE_ARN": ROLE}
    error = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>Not authorized</Message></Error></ErrorResponse>"

    with scripted(lambda _asked: (403, error)) as registry:
        told = refusal({**aws_files(tmp_path), **pod}, registry)

    assert told == (f"{registry.url} refused AssumeRoleWithWebIdentity of {ROLE}: AccessDenied: Not authorized")


@pytest.mark.parametrize("how", ["file", "variable"])
def test_a_container_shows_its_token(how: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("the-token\n")
    shown = (
        {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(tmp_path / "token"), "AWS_CONTAINER_AUTHORIZATION_TOKEN": "old"}
        if how == "file"
        else {"AWS_CONTAINER_AUTHORIZATION_TOKEN": "the-token"}
    )

    with scripted(lambda _asked: (200, DOCUMENT)) as endpoint:
        uri = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{endpoint.url}/v1/credentials"}
        found = find({**aws_files(tmp_path), **uri, **shown})

    assert (found.access_key_id, found.session_token) == ("ASIA1", "t0ken")
    assert [(asked.path, asked.headers["authorization"]) for asked in endpoint.asked] == [
        ("/v1/credentials", "the-token")
    ]


@pytest.mark.parametrize("url", ["http://registry.example.com/v1/credentials", "ftp://localhost/", "http://10.0.0.1/"])
def test_a_container_takes_no_credentials_in_the_clear_from_elsewhere(url: str, tmp_path: Path) -> None:
    shown = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": url, "AWS_CONTAINER_AUTHORIZATION_TOKEN": "the-token"}

    told = refusal({**aws_files(tmp_path), **shown})

    assert told.endswith("credentials are taken over https, or from this machine")


def test_a_container_follows_no_redirect(tmp_path: Path) -> None:
    with scripted(lambda _asked: (200, DOCUMENT)) as thief, scripted(lambda _asked: (302, "")) as endpoint:
        endpoint.headers["Location"] = f"{thief.url}/"
        shown = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": endpoint.url, "AWS_CONTAINER_AUTHORIZATION_TOKEN": "the-token"}
        told = refusal({**aws_files(tmp_path), **shown})

    assert told == f"{endpoint.url} gave no credentials: 302"
    assert thief.asked == []


def test_a_token_with_a_line_break_is_no_header(tmp_path: Path) -> None:
    with scripted(lambda _asked: (200, DOCUMENT)) as endpoint:
        shown = {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": endpoint.url,
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": "a\r\nHost: b",
        }
        told = refusal({**aws_files(tmp_path), **shown})

    assert told == "the container's authorization token holds a line break"
    assert endpoint.asked == []


def test_credentials_of_this_machine_pass_every_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(lambda _asked: (200, DOCUMENT)) as endpoint, scripted(lambda _asked: (200, DOCUMENT)) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        find({**aws_files(tmp_path), "AWS_CONTAINER_CREDENTIALS_FULL_URI": endpoint.url})

    assert (len(endpoint.asked), proxy.asked) == (1, [])


def instance(asked: Asked) -> tuple[int, str]:
    """An instance metadata service, version 2."""
    if (asked.method, asked.path) == ("PUT", "/latest/api/token"):
        return (200, "imds-token") if "x-aws-ec2-metadata-token-ttl-seconds" in asked.headers else (400, "")
    if asked.headers.get("x-aws-ec2-metadata-token") != "imds-token":
        return 401, ""
    base = "/latest/meta-data/iam/security-credentials/"
    return {base: (200, "pull\n"), f"{base}pull": (200, DOCUMENT)}.get(asked.path, (404, ""))


def test_an_instance_is_asked_in_version_2(tmp_path: Path) -> None:
    with scripted(instance) as metadata:
        found = find(
            {
                **aws_files(tmp_path),
                "AWS_EC2_METADATA_DISABLED": "false",
                "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"{metadata.url}/",
            }
        )

    assert (found.access_key_id, found.assumed) == ("ASIA1", False)
    assert [asked.method for asked in metadata.asked] == ["PUT", "GET", "GET"]


@pytest.mark.parametrize("code", ["AssumeRoleUnauthorizedAccess", "Failed"])
def test_an_instance_whose_role_cannot_be_assumed_says_so(code: str, tmp_path: Path) -> None:
    def script(asked: Asked) -> tuple[int, str]:
        return (200, json.dumps({"Code": code, "Message": "no"})) if asked.path.endswith("/pull") else instance(asked)

    with scripted(script) as metadata:
        endpoint = {"AWS_EC2_METADATA_DISABLED": "", "AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata.url}
        told = refusal({**aws_files(tmp_path), **endpoint})

    assert told == f"{metadata.url} gave no credentials: 200 {code} no"


def test_version_1_is_not_tried(tmp_path: Path) -> None:
    with scripted(lambda asked: (404, "") if asked.method == "PUT" else (200, DOCUMENT)) as metadata:
        endpoint = {"AWS_EC2_METADATA_DISABLED": "", "AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata.url}
        told = refusal({**aws_files(tmp_path), **endpoint})

    assert told == f"the instance metadata service at {metadata.url} refused with 404"
    assert [asked.method for asked in metadata.asked] == ["PUT"]


def test_a_profile_takes_what_the_instance_has_to_assume_another_role(tmp_path: Path) -> None:
    config = f"[default]\nrole_arn = {ROLE}\ncredential_source = Ec2InstanceMetadata\n"

    with scripted(instance) as metadata, scripted(sts) as registry:
        endpoint = {"AWS_EC2_METADATA_DISABLED": "", "AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata.url}
        find({**aws_files(tmp_path, config), **endpoint}, registry)

    (asked,) = registry.asked
    assert asked.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=ASIA1/")
    assert asked.headers["x-amz-security-token"] == "t0ken"


def test_none_at_all_is_told(tmp_path: Path) -> None:
    assert refusal(aws_files(tmp_path)).startswith("no AWS credentials found: not in the environment, a profile,")


def test_nothing_shows_a_secret_by_accident() -> None:
    shown = repr(helper().Credentials("AKIA", "s3cret", "t0ken")) + repr(helper().Password("AWS", "s3cret", 1.0))

    assert "s3cret" not in shown
    assert "t0ken" not in shown
