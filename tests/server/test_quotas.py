"""Quotas of storage, repositories and images: told in ECR's way, measured from what is stored, exact at their limit."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.support import error_of
from tests.registry_client import Answer, RegistryClient, digest_of, image_manifest
from tests.running import DEFAULT_ACCOUNT, OTHER_ACCOUNT, Server, openecr, running
from tests.waiting import wait_until

LIMITS = {"OPENECR_IMAGES_PER_REPOSITORY": "3", "OPENECR_REPOSITORIES_PER_REGISTRY": "4"}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name, value in LIMITS.items():
        monkeypatch.setenv(name, value)
    with running(tmp_path, "--workers", "1", accounts=(OTHER_ACCOUNT,)) as started:
        for name in ("app", "other"):
            started.client("ecr").create_repository(repositoryName=name)
        yield started


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of a registry that does not run."""
    folder = tmp_path_factory.mktemp("stopped")
    with running(folder, "--workers", "1"):
        pass
    return folder


@pytest.fixture
def short_promises(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a server that starts after it: a layer that no image names is let go after five seconds."""
    monkeypatch.setenv("OPENECR_PROMISE_SECONDS", "5")


@pytest.fixture
def client(server: Server) -> RegistryClient:
    return RegistryClient(server.port, server.password())


def command(server: Server, *words: str, check: bool = True) -> Any:
    return openecr(*words, "--data-dir", str(server.data_dir), check=check)


def used(server: Server, scope: str) -> int:
    (found,) = json.loads(command(server, "quota", "show", scope, "--json").stdout)
    return int(found["usedBytes"])


def upload(client: RegistryClient, repository: str, content: bytes) -> Answer:
    return client.request("POST", f"{client.path(repository)}/blobs/uploads/?digest={digest_of(content)}", content)


def told(repository: str, scope: str, used_bytes: int, limit_bytes: int, size_bytes: int) -> str:
    return (
        f"The push into the repository with name '{repository}' in the registry with id '{DEFAULT_ACCOUNT}' exceeds "
        f"the storage quota of {scope}: {used_bytes} of {limit_bytes} bytes are used, and {size_bytes} more are needed"
    )


@pytest.mark.parametrize(
    "scope",
    [f"{DEFAULT_ACCOUNT}/app", f"{DEFAULT_ACCOUNT}.us-east-1", DEFAULT_ACCOUNT],
    ids=["repository", "registry", "account"],
)
def test_a_layer_over_the_quota_is_refused_at_its_completion_and_one_that_fits_to_the_byte_is_not(
    server: Server, client: RegistryClient, scope: str
) -> None:
    named = f"{DEFAULT_ACCOUNT}.us-east-1/app" if "/" in scope else scope
    first = os.urandom(60_000)
    assert upload(client, "app", first).status == 201
    command(server, "quota", "set", scope, "100KB")
    assert used(server, scope) == 60_000

    refused = upload(client, "app", os.urandom(40_001))

    assert refused.error == (403, "DENIED", told("app", named, 60_000, 100_000, 40_001))
    assert upload(client, "app", first).status == 201
    assert upload(client, "app", os.urandom(40_000)).status == 201
    assert used(server, scope) == 100_000
    assert upload(client, "app", b"x").status == 403
    command(server, "quota", "unset", scope)
    assert upload(client, "app", b"x").status == 201


def test_a_quota_of_one_repository_or_account_leaves_the_others_alone(server: Server, client: RegistryClient) -> None:
    command(server, "quota", "set", f"{DEFAULT_ACCOUNT}/app", "10")
    command(server, "quota", "set", OTHER_ACCOUNT, "10")

    assert upload(client, "other", os.urandom(1000)).status == 201


def test_bytes_that_the_registry_has_count_for_the_repository_only(server: Server, client: RegistryClient) -> None:
    content = os.urandom(50_000)
    assert upload(client, "app", content).status == 201
    command(server, "quota", "set", DEFAULT_ACCOUNT, "50000")
    command(server, "quota", "set", f"{DEFAULT_ACCOUNT}/other", "49999")

    refused = upload(client, "other", content)

    assert refused.error[2] == told("other", f"{DEFAULT_ACCOUNT}.us-east-1/other", 0, 49_999, 50_000)
    command(server, "quota", "set", f"{DEFAULT_ACCOUNT}/other", "50000")
    assert upload(client, "other", content).status == 201
    assert used(server, DEFAULT_ACCOUNT) == 50_000


def test_an_image_is_refused_where_the_quota_was_lowered_below_what_is_used(
    server: Server, client: RegistryClient
) -> None:
    layer, config = os.urandom(5000), b'{"os": "linux"}'
    for content in (layer, config):
        assert upload(client, "app", content).status == 201
    command(server, "quota", "set", f"{DEFAULT_ACCOUNT}/app", "5000")
    manifest = image_manifest(config, layer)

    code, message = error_of(
        server.client("ecr").put_image, repositoryName="app", imageTag="v1", imageManifest=manifest.decode()
    )

    assert code == "LimitExceededException"
    assert message == told("app", f"{DEFAULT_ACCOUNT}.us-east-1/app", 5000 + len(config), 5000, 0)
    command(server, "quota", "set", f"{DEFAULT_ACCOUNT}/app", str(5000 + len(config)))
    assert client.push_manifest("app", "v1", manifest).status == 201


def test_what_was_deleted_stops_counting_at_the_next_measurement(
    short_promises: None, server: Server, client: RegistryClient
) -> None:
    for content in (config := b'{"os": "linux"}', layer := os.urandom(9000)):
        assert upload(client, "app", content).status == 201
    assert client.push_manifest("app", "v1", image_manifest(config, layer)).status == 201
    scope = f"{DEFAULT_ACCOUNT}/app"
    command(server, "quota", "set", scope, "9500")
    assert upload(client, "app", os.urandom(1000)).status == 403
    assert client.request("DELETE", "/v2/app/manifests/v1").status == 202

    def measured() -> bool:
        command(server, "jobs", "run", "measure-quotas")
        return used(server, scope) == 0

    wait_until(measured, "the job measures what is left")
    assert upload(client, "app", os.urandom(1000)).status == 201


def test_more_images_than_a_repository_may_hold_are_refused(server: Server, client: RegistryClient) -> None:
    for number in range(3):
        client.push_image("app", f"v{number}", b"layer")
    config = b'{"os": "linux"}'
    client.push_blob("app", config)
    manifest = image_manifest(config, b"layer")

    refused = client.push_manifest("app", "v3", manifest)

    text = (
        "The image cannot be pushed because the maximum number of images (3) in the repository with name 'app' in the "
        f"registry with id '{DEFAULT_ACCOUNT}' has been reached"
    )
    assert refused.error == (403, "DENIED", text)
    put = server.client("ecr").put_image
    assert error_of(put, repositoryName="app", imageTag="v3", imageManifest=manifest.decode()) == (
        "LimitExceededException",
        text,
    )
    client.push_image("app", "v0", b"layer")  # one that is there
    assert client.request("DELETE", "/v2/app/manifests/v1").status == 202
    assert client.push_manifest("app", "v3", manifest).status == 201


def test_more_repositories_than_a_registry_may_hold_are_refused(server: Server) -> None:
    ecr = server.client("ecr")
    for name in ("three", "four"):
        ecr.create_repository(repositoryName=name)

    assert error_of(ecr.create_repository, repositoryName="five") == (
        "LimitExceededException",
        (
            "The repository with name 'five' cannot be created because the maximum number of repositories (4) in the "
            f"registry with id '{DEFAULT_ACCOUNT}' has been reached"
        ),
    )
    assert error_of(ecr.create_repository, repositoryName="four")[0] == "RepositoryAlreadyExistsException"
    ecr.delete_repository(repositoryName="four")
    ecr.create_repository(repositoryName="five")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("set", "12345", "1GB"), "is not ACCOUNT[.REGION][/REPO]; give one like 123456789012.us-east-1/team/app"),
        (("set", DEFAULT_ACCOUNT, "many"), "'many' is no size; give bytes, or a number with KB, MB, GB, TB, KiB, MiB"),
        (("show", DEFAULT_ACCOUNT), f"there is no storage quota of {DEFAULT_ACCOUNT}; set one with: openecr quota set"),
        (("unset", DEFAULT_ACCOUNT), f"there is no storage quota of {DEFAULT_ACCOUNT}; see: openecr quota show"),
    ],
)
def test_what_is_no_quota_is_told_in_a_sentence(stopped: Path, words: tuple[str, ...], says: str) -> None:
    done = openecr("quota", *words, "--data-dir", str(stopped), check=False)

    assert done.returncode == (2 if words[0] == "set" else 1)
    assert says in done.stderr
