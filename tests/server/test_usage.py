"""``openecr usage`` beside what was pushed, what lies on the disk, and what a collection then gives back."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.embedded import execute
from tests.registry_client import OCI_INDEX, RegistryClient, digest_of, image_index, image_manifest
from tests.running import DEFAULT_ACCOUNT, OTHER_ACCOUNT, Server, openecr, running
from tests.waiting import wait_until

PUSHES, REPOSITORIES, BASE_BYTES = 60, 30, 1_000_000
SHORT = {"OPENECR_PROMISE_SECONDS": "1", "OPENECR_LAYER_URL_SECONDS": "1", "OPENECR_TRASH_DAYS": "0"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with running(tmp_path, "--workers", "1", "--encryption", "storage", accounts=(OTHER_ACCOUNT,)) as started:
        yield started


@pytest.fixture
def short_lived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server whose promises, URLs and trash end at once."""
    for name, value in SHORT.items():
        monkeypatch.setenv(name, value)
    with running(tmp_path, "--workers", "1", "--encryption", "storage") as started:
        yield started


def usage(server: Server, *flags: str) -> Any:
    return json.loads(openecr("usage", "--data-dir", str(server.data_dir), "--json", *flags).stdout)


def gained(server: Server, what: str) -> tuple[int, str]:
    told = usage(server, "--if-deleted", what)
    return told["gainedBytes"], told["remark"]


def noise(about: str, size_bytes: int) -> bytes:
    return hashlib.shake_128(about.encode()).digest(size_bytes)


def push(client: RegistryClient, repository: str, tag: str, *layers: bytes, about: str | None = None) -> bytes:
    """Push an image with a config of its own, uploading only what the repository does not hold; its manifest."""
    config = json.dumps({"about": about or f"{repository}:{tag}"}).encode()
    manifest = image_manifest(config, *layers)
    for content in (config, *layers):
        path = f"{client.path(repository)}/blobs/{digest_of(content)}"
        if client.request("HEAD", path).status == 404:
            client.push_blob(repository, content)
    assert client.push_manifest(repository, tag, manifest).status == 201
    return manifest


def config_bytes(repository: str, tag: str) -> int:
    return len(json.dumps({"about": f"{repository}:{tag}"}))


def stored_on_disk(data_dir: Path) -> int:
    """Bytes of the files of layers; a second copy that was uploaded for nothing is named by no row, and goes."""
    named = {row[0] for row in execute(data_dir, "SELECT object_id FROM blob")}
    return sum(path.stat().st_size for path in (data_dir / "blobs").rglob("*") if path.name in named)


def every_line(report: Any) -> Iterator[Any]:
    for account in report["accounts"]:
        for region in account["regions"]:
            yield from (*region["repositories"], region["shared"], region["inNoImage"])


def test_a_base_layer_that_many_pushes_share_is_stored_once_and_said_to_the_byte(server: Server) -> None:
    ecr = server.client("ecr")
    client = RegistryClient(server.port, server.password())
    base = noise("base", BASE_BYTES)
    configs: Counter[str] = Counter()
    for number in range(REPOSITORIES):
        ecr.create_repository(repositoryName=f"team/app-{number}")
    for number in range(PUSHES):
        name = f"team/app-{number % REPOSITORIES}"
        push(client, name, f"v{number}", base, noise(f"own {number}", 1000 + number))
        configs[name] += config_bytes(name, f"v{number}") + 1000 + number

    report = usage(server)
    total = report["total"]

    own = sum(configs.values())
    assert total["storedBytes"] == BASE_BYTES + own
    assert total["imageBytes"] == PUSHES * BASE_BYTES + own
    assert total["layerBytes"] == REPOSITORIES * BASE_BYTES + own
    assert total["savedBytes"] == (PUSHES - 1) * BASE_BYTES
    assert total["images"] == PUSHES
    assert total["trashBytes"] == total["waitingBytes"] == 0
    region = report["accounts"][0]["regions"][0]
    assert {line["name"]: line["uniqueBytes"] for line in region["repositories"]} == dict(configs)
    assert region["shared"]["uniqueBytes"] == BASE_BYTES
    server.stop()
    assert stored_on_disk(server.data_dir) == total["storedBytes"]


def test_every_column_adds_up_over_accounts_regions_trash_and_what_is_in_no_image(server: Server) -> None:
    client = RegistryClient(server.port, server.password())
    other = RegistryClient(server.port, server.password(OTHER_ACCOUNT), prefix=f"/{OTHER_ACCOUNT}.eu-west-1")
    ecr = server.client("ecr")
    for name in ("one", "two", "gone", "gone-too"):
        ecr.create_repository(repositoryName=name)
    server.client("ecr", OTHER_ACCOUNT, "eu-west-1").create_repository(repositoryName="one")
    shared, kept, lost, both, free = (noise(text, 10_000 + len(text)) for text in ("a", "bb", "ccc", "dddd", "eeeee"))
    push(client, "one", "kept", shared, kept)
    push(client, "one", "lost", kept, lost)
    push(client, "two", "kept", shared)
    push(client, "gone", "v1", both, about="both")
    push(client, "gone-too", "v1", both, noise("gone too", 77), about="both")
    push(other, "one", "kept", shared)
    client.push_blob("two", free)
    assert client.request("DELETE", "/v2/one/manifests/lost").status == 202
    for name in ("gone", "gone-too"):
        ecr.delete_repository(repositoryName=name, force=True)

    report = usage(server)

    lines = {
        (account["account"], region["region"], line["name"]): line
        for account in report["accounts"]
        for region in account["regions"]
        for line in region["repositories"]
    }
    one = lines[DEFAULT_ACCOUNT, "us-east-1", "one"]
    assert one["uniqueBytes"] == len(kept) + config_bytes("one", "kept")
    assert one["trashBytes"] == len(lost) + config_bytes("one", "lost")
    assert lines[DEFAULT_ACCOUNT, "us-east-1", "gone-too"]["trashBytes"] == 77
    assert lines[OTHER_ACCOUNT, "eu-west-1", "one"]["uniqueBytes"] == len(shared) + config_bytes("one", "kept")
    here = next(item for item in report["accounts"] if item["account"] == DEFAULT_ACCOUNT)["regions"][0]
    assert here["shared"]["trashBytes"] == len(both) + len(json.dumps({"about": "both"}))
    assert here["shared"]["uniqueBytes"] == len(shared)
    assert here["inNoImage"]["waitingBytes"] == len(free)
    sums: defaultdict[str, int] = defaultdict(int)
    for line in every_line(report):
        for column, value in line.items():
            if column.endswith("Bytes") or column == "images":
                sums[column] += value
    assert {column: report["total"][column] for column in sums} == dict(sums)
    assert sums["imageBytes"] - sums["uniqueBytes"] == sums["savedBytes"]
    assert sums["storedBytes"] == stored_on_disk(server.data_dir)
    text = openecr("usage", "--data-dir", str(server.data_dir)).stdout
    assert f"{sums['storedBytes']:,}" in text
    assert "gone-too (deleted)" in text


def test_the_price_is_the_settings_or_the_flags(server: Server) -> None:
    server.client("ecr").create_repository(repositoryName="app")
    RegistryClient(server.port, server.password()).push_image("app", "v1", noise("large", 3_000_000))
    stored = usage(server)["total"]["storedBytes"]

    assert usage(server)["total"]["monthlyCostUsd"] == round(float(Decimal("0.1") * stored / 2**30), 6)
    assert usage(server, "--price", "1000")["total"]["monthlyCostUsd"] == round(1000 * stored / 2**30, 6)


def test_what_a_deletion_gains_is_what_a_collection_then_gives_back(short_lived: Server) -> None:
    server = short_lived
    ecr = server.client("ecr")
    client = RegistryClient(server.port, server.password())
    for name in ("app", "other"):
        ecr.create_repository(repositoryName=name)
    everywhere, here, mine = (noise(text, 50_000 + len(text)) for text in ("everywhere", "here", "mine"))
    push(client, "app", "v1", everywhere, here, mine, mine)
    push(client, "app", "v2", everywhere, here)
    push(client, "other", "v1", everywhere)
    whole = len(here) + len(mine) + config_bytes("app", "v1") + config_bytes("app", "v2")

    assert gained(server, "app") == (whole, "")
    assert gained(server, "app:v1") == (len(mine) + config_bytes("app", "v1"), "")
    assert gained(server, "other:v1") == (config_bytes("other", "v1"), "")
    given_back = _given_back(server, lambda: client.request("DELETE", "/v2/app/manifests/v1"))
    assert given_back == len(mine) + config_bytes("app", "v1")
    assert gained(server, "app") == (len(here) + config_bytes("app", "v2"), "")
    given_back = _given_back(server, lambda: ecr.delete_repository(repositoryName="app", force=True))
    assert given_back == len(here) + config_bytes("app", "v2")


def _given_back(server: Server, delete: Any) -> int:
    """What the store holds less after a deletion, once collections find nothing more."""
    before = stored_on_disk(server.data_dir)
    delete()

    def settled() -> bool:
        openecr("gc", "--data-dir", str(server.data_dir))
        total = usage(server)["total"]
        return bool(total["trashBytes"] == total["waitingBytes"] == 0)

    wait_until(settled, "what nothing holds is collected")
    return before - stored_on_disk(server.data_dir)


def test_what_would_not_go_gains_nothing_and_says_why(server: Server) -> None:
    server.client("ecr").create_repository(repositoryName="app")
    client = RegistryClient(server.port, server.password())
    layer = noise("layer", 1234)
    manifest = push(client, "app", "v1", layer)
    assert client.push_manifest("app", "latest", manifest).status == 201
    gain = len(layer) + config_bytes("app", "v1")

    assert gained(server, "app:v1") == (0, "the image has 1 more tag and would stay; ask by its digest")
    assert gained(server, f"app@{digest_of(manifest)}") == (gain, "")
    index = image_index(manifest)
    assert client.push_manifest("app", "all", index, OCI_INDEX).status == 201
    assert gained(server, f"app@{digest_of(manifest)}") == (
        0,
        "an index names this image, so that it cannot be deleted before the index",
    )
    assert gained(server, "app:all") == (0, "its 1 member image would stay; ask for each")
    missing = openecr("usage", "--data-dir", str(server.data_dir), "--if-deleted", "app:none", check=False)
    assert (missing.returncode, missing.stderr) == (1, "openecr: there is no image app:none\n")


def test_what_archived_images_alone_hold_is_told_apart(server: Server) -> None:
    client = RegistryClient(server.port, server.password())
    ecr = server.client("ecr")
    for name in ("one", "two"):
        ecr.create_repository(repositoryName=name)
    both, mixed, between = noise("both", 10_001), noise("mixed", 10_002), noise("between", 10_003)
    images = {
        "old": push(client, "one", "old", both, mixed, between),
        "older": push(client, "one", "older", both),
        "new": push(client, "one", "new", mixed),
        "other": push(client, "two", "other", between),
    }

    def archive(repository: str, tag: str) -> None:
        ecr.update_image_storage_class(
            repositoryName=repository, imageId={"imageTag": tag}, targetStorageClass="ARCHIVE"
        )

    def archived() -> dict[str, int]:
        (account,) = usage(server)["accounts"]
        (region,) = account["regions"]
        lines = {line["name"]: line for line in region["repositories"]} | {"shared": region["shared"]}
        assert region["total"]["archivedBytes"] == sum(line["archivedBytes"] for line in lines.values())
        return {name: line["archivedBytes"] for name, line in lines.items()}

    assert archived() == {"one": 0, "two": 0, "shared": 0}
    before = usage(server)["total"] | {"archivedBytes": 0}
    archive("one", "old")
    assert archived() == {"one": config_bytes("one", "old"), "two": 0, "shared": 0}
    archive("one", "older")
    held = config_bytes("one", "old") + config_bytes("one", "older") + len(both)
    assert archived() == {"one": held, "two": 0, "shared": 0}
    archive("two", "other")
    assert archived() == {"one": held, "two": config_bytes("two", "other"), "shared": len(between)}
    assert usage(server)["total"] | {"archivedBytes": 0} == before
    assert client.push_manifest("one", "old", images["old"]).status == 201
    assert archived() == {"one": config_bytes("one", "older"), "two": config_bytes("two", "other"), "shared": 0}
