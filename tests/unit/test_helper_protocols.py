"""The protocols of Docker's credential helpers and the kubelet's credential providers, and which registry is asked."""

import ast
import base64
import json
import os
import stat
import time
from pathlib import Path
from typing import Any

import pytest
from tests.credential_helper import CLIENTS, DOCKER_HELPER, KUBELET_PROVIDER, helper, run
from tests.scripted_endpoint import Asked, ScriptedEndpoint, scripted

NOT_FOUND = "credentials not found in native keychain"
HALF_DAY = 43_200


def ecr(asked: Asked) -> tuple[int, str]:
    """A registry that gives everyone a password, another one each time."""
    assert asked.headers["x-amz-target"] == "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"
    token = base64.b64encode(f"AWS:pass-{time.monotonic_ns()}".encode()).decode()
    data = {"authorizationToken": token, "expiresAt": time.time() + HALF_DAY, "proxyEndpoint": "http://x"}
    return 200, json.dumps({"authorizationData": [data]})


def variables(home: Path, **more: str) -> dict[str, str]:
    """A user with keys."""
    return {"HOME": str(home), "AWS_ACCESS_KEY_ID": "AKIA1", "AWS_SECRET_ACCESS_KEY": "s3cret", **more}


def get(server: str, user: dict[str, str]) -> Any:
    """What Docker gets for a registry."""
    done = run(DOCKER_HELPER, "get", stdin=f"{server}\n", variables=user)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return json.loads(done.stdout)


def cached(home: Path) -> list[Path]:
    """The files of the cache."""
    return sorted((home / ".cache/openecr").glob("*"))


def test_docker_gets_a_password_and_it_is_kept_for_its_owner_alone(tmp_path: Path) -> None:
    with scripted(ecr) as registry:
        first = get(registry.host, variables(tmp_path))
        again = get(f"https://{registry.host}", variables(tmp_path))
        other_key = get(registry.host, variables(tmp_path, AWS_ACCESS_KEY_ID="AKIA2"))

    assert first == {"ServerURL": registry.host, "Username": "AWS", "Secret": first["Secret"]}
    assert (again["ServerURL"], again["Secret"]) == (f"https://{registry.host}", first["Secret"])
    assert other_key["Secret"] != first["Secret"]
    assert [stat.S_IMODE(path.stat().st_mode) for path in cached(tmp_path)] == [0o600, 0o600]
    assert stat.S_IMODE(cached(tmp_path)[0].parent.stat().st_mode) == 0o700
    assert "s3cret" not in "".join(path.read_text() for path in cached(tmp_path))


def test_a_password_is_used_for_half_of_its_life(tmp_path: Path) -> None:
    with scripted(ecr) as registry:
        first = get(registry.host, variables(tmp_path))
        (kept,) = cached(tmp_path)
        said = json.loads(kept.read_text())
        for hours, is_used in ((5, True), (7, False)):
            older = {name: said[name] - hours * 3600 for name in ("asked", "expires")}
            kept.write_text(json.dumps({**said, **older}))
            assert (get(registry.host, variables(tmp_path))["Secret"] == first["Secret"]) == is_used


@pytest.mark.parametrize("spoiled", ["open to others", "no JSON", "another shape", "a link"])
def test_a_cache_that_is_not_as_it_was_left_counts_as_none(spoiled: str, tmp_path: Path) -> None:
    with scripted(ecr) as registry:
        first = get(registry.host, variables(tmp_path))
        (kept,) = cached(tmp_path)
        if spoiled == "open to others":
            kept.chmod(0o640)
        elif spoiled == "a link":
            kept.rename(tmp_path / "elsewhere")
            kept.symlink_to(tmp_path / "elsewhere")
        else:
            kept.write_text("{" if spoiled == "no JSON" else '{"asked": "now"}')

        assert get(registry.host, variables(tmp_path))["Secret"] != first["Secret"]


def test_a_cache_can_be_off(tmp_path: Path) -> None:
    with scripted(ecr) as registry:
        get(registry.host, variables(tmp_path, OPENECR_CACHE="off"))

    assert cached(tmp_path) == []


def test_erase_and_list_are_of_what_is_kept(tmp_path: Path) -> None:
    with scripted(ecr) as registry:
        get(registry.host, variables(tmp_path))
        listed = run(DOCKER_HELPER, "list", stdin="", variables=variables(tmp_path))
        erased = run(DOCKER_HELPER, "erase", stdin=f"https://{registry.host}/v2/\n", variables=variables(tmp_path))

    assert json.loads(listed.stdout) == {registry.host: "AWS"}
    assert (erased.returncode, cached(tmp_path)) == (0, [])


@pytest.mark.parametrize(
    ("command", "stdin", "said"),
    [
        ("get", "\n", "no credentials server URL"),
        ("erase", "", "no credentials server URL"),
        ("get", "https://index.docker.io/v1/", NOT_FOUND),
        ("store", '{"ServerURL": "x", "Username": "u", "Secret": "s3cret"}', "not implemented: passwords are made"),
        ("frobnicate", "", "Usage: docker-credential-openecr <store|get|erase|list|version>"),
    ],
)
def test_an_error_is_told_on_standard_output_as_docker_reads_it(
    command: str, stdin: str, said: str, tmp_path: Path
) -> None:
    done = run(DOCKER_HELPER, command, stdin=stdin, variables=variables(tmp_path))

    assert done.returncode == 1
    assert done.stdout.startswith(said)
    if said == NOT_FOUND:
        assert (done.stdout, done.stderr) == (f"{NOT_FOUND}\n", "")
    else:
        assert done.stderr == f"docker-credential-openecr: {done.stdout}"
    assert "s3cret" not in done.stdout


def test_a_host_that_is_no_ecr_and_that_nobody_declared_has_no_credentials(tmp_path: Path) -> None:
    with scripted(lambda _asked: (404, "<html>not here</html>")) as other:
        done = run(DOCKER_HELPER, "get", stdin=other.host, variables=variables(tmp_path))

    assert (done.returncode, done.stdout.strip()) == (1, NOT_FOUND)


def test_a_declared_host_that_is_no_ecr_is_an_error(tmp_path: Path) -> None:
    with scripted(lambda _asked: (404, "<html>not here</html>")) as other:
        user = variables(tmp_path, OPENECR_ENDPOINT=other.url)
        done = run(DOCKER_HELPER, "get", stdin="registry.example.com", variables=user)

    assert done.stdout.strip() == f"{other.url} is no ECR: it answered GetAuthorizationToken with 404"


def test_what_the_registry_refuses_is_told(tmp_path: Path) -> None:
    error = json.dumps({"__type": "UnrecognizedClientException", "message": "The security token is invalid."})
    with scripted(lambda _asked: (400, error)) as registry:
        done = run(DOCKER_HELPER, "get", stdin=registry.host, variables=variables(tmp_path))

    assert done.stdout.strip() == (
        f"{registry.url} refused GetAuthorizationToken for AKIA1: "
        "UnrecognizedClientException: The security token is invalid."
    )


def test_a_registry_that_does_not_answer_is_told(tmp_path: Path) -> None:
    with scripted(ecr) as gone:
        pass
    done = run(DOCKER_HELPER, "get", stdin=gone.host, variables=variables(tmp_path))

    assert done.returncode == 1
    assert done.stdout.startswith(f"{gone.url} does not answer (")


def test_what_is_busy_for_a_moment_is_asked_again(tmp_path: Path) -> None:
    def script(asked: Asked) -> tuple[int, str]:
        return (503, "") if len(registry.asked) < 3 else ecr(asked)

    with scripted(script) as registry:
        assert get(registry.host, variables(tmp_path))["Username"] == "AWS"

    assert len(registry.asked) == 3


def hosts_file(folder: Path, **hosts: Any) -> str:
    """A hosts file."""
    path = folder / "hosts.json"
    path.write_text(json.dumps({name.replace("_", "."): entry for name, entry in hosts.items()}))
    return str(path)


@pytest.mark.parametrize(
    ("asked", "environment", "endpoints", "region"),
    [
        ("registry.example.com", {}, ("https://registry.example.com",), "us-east-1"),
        ("https://registry.example.com:5050/v2/", {}, ("https://registry.example.com:5050",), "us-east-1"),
        ("127.0.0.1:1", {"AWS_REGION": "eu-west-1"}, ("https://127.0.0.1:1", "http://127.0.0.1:1"), "eu-west-1"),
        ("[::1]:5050", {}, ("https://[::1]:5050", "http://[::1]:5050"), "us-east-1"),
        ("a.example", {"OPENECR_ENDPOINT": "https://b.example/"}, ("https://b.example",), "us-east-1"),
        ("a.example", {"AWS_ENDPOINT_URL_ECR": "http://b.example"}, ("https://a.example",), "us-east-1"),
        ("b.example:1", {"AWS_ENDPOINT_URL_ECR": "http://b.example:2"}, ("http://b.example:2",), "us-east-1"),
        (
            "123456789012.dkr.ecr.eu-west-3.ecr.example.com",
            {"AWS_ENDPOINT_URL": "http://b.example", "AWS_REGION": "us-west-2"},
            ("http://b.example",),
            "eu-west-3",
        ),
    ],
)  # fmt: skip
def test_which_registry_is_asked_where(
    asked: str, environment: dict[str, str], endpoints: tuple[str, ...], region: str, tmp_path: Path
) -> None:
    found = helper().find_registry(asked, {"HOME": str(tmp_path), **environment})

    assert (found.endpoints, found.region) == (endpoints, region)


def test_the_hosts_file_says_more_of_a_host(tmp_path: Path) -> None:
    entry = {"endpoint": "https://api.example.com", "region": "eu-north-1", "profile": "prod"}
    environment = {
        "HOME": str(tmp_path),
        "OPENECR_HOSTS": hosts_file(tmp_path, registry_example_com=entry),
        "OPENECR_ENDPOINT": "https://other",
    }

    found = helper().find_registry("Registry.Example.com", environment)

    assert (found.endpoints, found.region, found.profile) == (("https://api.example.com",), "eu-north-1", "prod")


@pytest.mark.parametrize("text", ["{", "[]", '{"a.example": {"endpiont": "x"}}', '{"a.example": "x"}'])
def test_a_hosts_file_that_says_nothing_usable_is_told(text: str, tmp_path: Path) -> None:
    (tmp_path / "hosts.json").write_text(text)

    with pytest.raises(helper().Failed, match=r"the hosts file .*hosts\.json"):
        helper().find_registry("a.example", {"HOME": str(tmp_path), "OPENECR_HOSTS": str(tmp_path / "hosts.json")})


def ask_kubelet_provider(image: str, user: dict[str, str], **more: Any) -> Any:
    """What the kubelet gets for an image."""
    request = {
        "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
        "kind": "CredentialProviderRequest",
        "image": image,
        **more,
    }
    done = run(KUBELET_PROVIDER, stdin=json.dumps(request), variables=user)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return json.loads(done.stdout)


def test_the_kubelet_gets_a_password_for_the_registry(tmp_path: Path) -> None:
    with scripted(ecr) as registry:
        said = ask_kubelet_provider(f"{registry.host}/team/app:v1", variables(tmp_path))

    password = said["auth"][registry.host].pop("password")
    assert said == {
        "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
        "kind": "CredentialProviderResponse",
        "cacheKeyType": "Registry",
        "cacheDuration": said["cacheDuration"],
        "auth": {registry.host: {"username": "AWS"}},
    }
    assert password.startswith("pass-")
    assert HALF_DAY / 2 - 60 <= int(said["cacheDuration"].removesuffix("s")) <= HALF_DAY / 2
    assert cached(tmp_path) == []


def test_the_kubelet_gets_nothing_for_a_registry_that_is_none_of_ours(tmp_path: Path) -> None:
    with scripted(lambda _asked: (404, "")) as other:
        said = ask_kubelet_provider(f"{other.host}/app", variables(tmp_path))

    assert (said["auth"], said["cacheDuration"]) == ({}, "0s")


def both(asked: Asked) -> tuple[int, str]:
    """STS and ECR on one port, as openecr is."""
    if "x-amz-target" in asked.headers:
        return ecr(asked)
    return 200, (
        "<R><AccessKeyId>ASIAPOD</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken></R>"
    )


def keys_used(registry: ScriptedEndpoint) -> list[str]:
    """Whose signatures the registry saw."""
    signed = [asked.headers.get("authorization", "") for asked in registry.asked]
    return [header.partition("Credential=")[2].partition("/")[0] for header in signed]


def test_a_pods_service_account_pulls_with_its_own_role(tmp_path: Path) -> None:
    annotations = {"eks.amazonaws.com/ecr-role-arn": "arn:aws:iam::123456789012:role/team"}
    with scripted(both) as registry:
        ask_kubelet_provider(
            f"{registry.host}/app",
            variables(tmp_path),
            serviceAccountToken="ey.pod.jwt",
            serviceAccountAnnotations=annotations,
        )

    assert keys_used(registry) == ["", "ASIAPOD"]
    assert "WebIdentityToken=ey.pod.jwt" in registry.asked[0].body
    assert "role%2Fteam" in registry.asked[0].body


def test_a_pod_without_a_role_pulls_with_the_nodes(tmp_path: Path) -> None:
    with scripted(both) as registry:
        ask_kubelet_provider(f"{registry.host}/app", variables(tmp_path), serviceAccountToken="ey.pod.jwt")

    assert keys_used(registry) == ["AKIA1"]


@pytest.mark.parametrize(
    ("stdin", "told"),
    [
        ("", "standard input holds no CredentialProviderRequest; the kubelet writes one"),
        ("[]", "standard input holds no CredentialProviderRequest; the kubelet writes one"),
        (
            '{"apiVersion": "v1", "kind": "Pod", "image": "x"}',
            "cannot answer a Pod of v1; the kubelet's CredentialProviderRequest is expected",
        ),
        (
            json.dumps(
                {
                    "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
                    "kind": "CredentialProviderRequest",
                    "image": "localhost:1/x",
                    "serviceAccountAnnotations": {"eks.amazonaws.com/ecr-role-arn": "r"},
                }
            ),
            "the service account names a role, but the kubelet sent no token: set serviceAccountTokenAudience",
        ),
    ],
)
def test_the_kubelet_is_told_what_is_wrong(stdin: str, told: str, tmp_path: Path) -> None:
    done = run(KUBELET_PROVIDER, stdin=stdin, variables=variables(tmp_path))

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.strip() == f"openecr-credential-provider: {told}"


def test_each_program_is_one_executable_file() -> None:
    for program in (DOCKER_HELPER, KUBELET_PROVIDER):
        assert os.access(program, os.X_OK)
        assert program.read_text().startswith("#!/usr/bin/env python3\n")
    assert KUBELET_PROVIDER.resolve() == DOCKER_HELPER
    assert sorted(path.name for path in CLIENTS.iterdir()) == [DOCKER_HELPER.name, KUBELET_PROVIDER.name]


def test_it_is_read_by_python_3_9() -> None:
    ast.parse(DOCKER_HELPER.read_text(), feature_version=(3, 9))
