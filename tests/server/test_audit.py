"""``openecr audit`` beside a server: what clients did is there, whatever dies, fills or stalls meanwhile."""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from openecr.background import SCHEDULES
from openecr.composition import composed
from openecr.events import audit_query
from openecr.events.audit_query import Found, Wanted
from openecr.jobs.schedule import owe_now
from openecr.services.audit import archive_of
from openecr.settings import load
from tests.postgres import Cluster
from tests.registry_client import RegistryClient
from tests.running import DEFAULT_ACCOUNT, OTHER_ACCOUNT, Server, free_port, running
from tests.waiting import wait_until

REPOSITORY = "audited/app"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for the tests that only ask."""
    with running(tmp_path_factory.mktemp("audit"), "--workers", "1", accounts=(OTHER_ACCOUNT,)) as started:
        yield started


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with running(tmp_path, "--workers", "1") as started:
        yield started


def audit(server: Server, *flags: str) -> list[dict[str, Any]]:
    """The records that the command prints, whole."""
    found: list[dict[str, Any]] = json.loads(server.command("audit", "--cloudtrail", *flags).stdout)["Records"]
    return found


def find(server: Server, **wanted: Any) -> Found:
    """The same without a process of its own, as often as one asks."""

    async def once() -> Found:
        stores = {name.removeprefix("OPENECR_").lower(): value for name, value in server.variables.items()}
        stores.pop("root_key_hex", None)
        settings = load(stores | {"data_dir": server.data_dir, "database": server.database}, {})
        async with composed(settings) as deployment:
            return await audit_query.find(archive_of(deployment), Wanted(**wanted), 1000)

    with pytest.MonkeyPatch.context() as patch:
        for variable, value in server.variables.items():
            patch.setenv(variable, value)
        return asyncio.run(once())


def everything(server: Server, **wanted: Any) -> list[dict[str, Any]]:
    """All records that are wanted, the newest first."""
    return find(server, **wanted).records


def names(records: list[dict[str, Any]]) -> list[str]:
    return [record["eventName"] for record in records]


def wait_for(server: Server, request_id: str) -> dict[str, Any]:
    """The record of a request of one event, as soon as it is there."""
    return wait_until(lambda: everything(server, request_id=request_id), f"the record of {request_id}")[0]


def pushed(server: Server, repository: str = REPOSITORY) -> tuple[RegistryClient, str]:
    """A client, and the digest of an image that it pushed; what that made of records is there."""
    server.client("ecr").create_repository(repositoryName=repository)
    client = RegistryClient(server.port, server.password(), headers={"User-Agent": "docker/29.1 of-a-test"})
    digest = client.push_image(repository, "v1")
    wait_for(server, client.request("GET", "/v2/").headers["x-amzn-requestid"])
    return client, digest


def test_a_push_and_a_pull_leave_ecrs_events(shared: Server, repository_name: str) -> None:
    client, digest = pushed(shared, repository_name)
    pulled = client.request("GET", f"/v2/{repository_name}/manifests/v1")
    layer = pulled.json["layers"][0]["digest"]
    client.pull_blob(repository_name, layer)
    record = wait_for(shared, pulled.headers["x-amzn-requestid"])

    records = everything(shared, resource=repository_name)

    upload = ["CompleteLayerUpload", "UploadLayerPart", "InitiateLayerUpload"]
    assert names(records) == [
        "GetDownloadUrlForLayer",
        "BatchGetImage",
        "PutImage",
        *upload,
        *upload,
        "CreateRepository",
    ]
    assert record["eventName"] == "BatchGetImage"
    assert record["userIdentity"]["arn"] == f"arn:aws:iam::{DEFAULT_ACCOUNT}:user/administrator"
    assert (record["sourceIPAddress"], record["userAgent"]) == ("127.0.0.1", "docker/29.1 of-a-test")
    assert record["additionalEventData"]["imageDigests"] == [digest]
    assert record["additionalEventData"]["decision"]["outcome"] == "allowed"
    assert everything(shared, event_name="GetObject")[0]["eventCategory"] == "Data"


def test_records_are_found_by_who_what_where_and_how_it_ended(shared: Server, repository_name: str) -> None:
    client, _ = pushed(shared, repository_name)
    missing = client.request("GET", f"/v2/{repository_name}/manifests/none")
    RegistryClient(shared.port, "made-up").request("GET", f"/v2/{repository_name}/manifests/v1")
    with pytest.raises(ClientError):
        shared.client("ecr", OTHER_ACCOUNT).describe_images(registryId=DEFAULT_ACCOUNT, repositoryName=repository_name)
    wait_until(lambda: everything(shared, error="AccessDenied*"), "the denial is there")

    found = everything(shared, request_id=missing.headers["x-amzn-requestid"])
    denied = audit(shared, "--error", "AccessDenied*", "--resource", repository_name)
    anonymous = [
        item for item in everything(shared, error="*", resource=repository_name) if "arn" not in item["userIdentity"]
    ]

    assert names(found) == ["BatchGetImage"]
    assert found[0]["errorCode"] == "ImageNotFoundException"
    assert names(denied) == ["DescribeImages"]
    assert denied[0]["userIdentity"]["accountId"] == OTHER_ACCOUNT
    assert denied[0]["additionalEventData"]["decision"]["remedy"]
    assert names(anonymous) == ["BatchGetImage"]
    assert set(names(everything(shared, account_id=OTHER_ACCOUNT))) == {"DescribeImages"}
    assert names(everything(shared, event_name="Put*", resource=repository_name)) == ["PutImage"]
    assert audit(shared, "--until", "1h") == []
    assert names(audit(shared, "--since", "1h", "--principal", "administrator", "--limit", "1"))
    assert everything(shared, principal="nobody") == []


def test_pages_go_on_where_the_last_one_ended(shared: Server, repository_name: str) -> None:
    pushed(shared, repository_name)
    whole = [record["eventID"] for record in everything(shared, resource=repository_name)]

    told: list[str] = []
    token: list[str] = []
    while True:
        page = json.loads(
            shared.command("audit", "--json", "--resource", repository_name, "--limit", "5", *token).stdout
        )
        told += [record["eventId"] for record in page["records"]]
        if page["next"] is None:
            break
        token = ["--next", page["next"]]

    assert told == whole
    assert len(whole) > 6


def test_a_failed_signature_and_a_refused_parameter_are_recorded(shared: Server) -> None:
    ecr = shared.client("ecr")
    ecr.meta.events.register("before-send.ecr", _spoil)
    with pytest.raises(ClientError):
        ecr.describe_repositories()
    good = shared.client("ecr")
    with pytest.raises(ClientError):
        good.describe_repositories(nextToken="made-up")

    wait_until(lambda: len(everything(shared, error="*", event_name="DescribeRepositories")) == 2, "both are there")
    refused, unsigned = everything(shared, error="*", event_name="DescribeRepositories")

    assert (unsigned["errorCode"], unsigned["userIdentity"]["type"]) == ("InvalidSignatureException", "Unknown")
    assert unsigned["userIdentity"]["accessKeyId"].startswith("AKIA")
    assert "Canonical" not in unsigned["errorMessage"]
    assert refused["userIdentity"]["type"] == "IAMUser"
    assert refused["errorCode"] == "InvalidParameterException"


def test_who_brings_no_credentials_is_told_how_and_leaves_nothing(shared: Server, repository_name: str) -> None:
    client, _ = pushed(shared, repository_name)
    before = len(everything(shared))
    answer = RegistryClient(shared.port, None).request("GET", f"/v2/{repository_name}/manifests/v1")
    after = client.request("GET", "/v2/")
    wait_for(shared, after.headers["x-amzn-requestid"])

    assert answer.status == 401
    assert len(everything(shared)) == before + 1


def test_every_committed_change_has_its_record_after_a_kill(server: Server) -> None:
    client, _ = pushed(server)
    read = client.request("GET", f"/v2/{REPOSITORY}/manifests/v1")
    wait_for(server, read.headers["x-amzn-requestid"])
    ecr = server.client("ecr")

    def change(number: int) -> str:
        made = ecr.create_repository(repositoryName=f"killed/{number}")
        return str(made["ResponseMetadata"]["RequestId"])

    with ThreadPoolExecutor(4) as pool:
        changes = list(pool.map(change, range(40)))
    last = client.push_manifest(REPOSITORY, "v2", read.body).headers["x-amzn-requestid"]
    assert server.process is not None
    os.killpg(server.process.pid, signal.SIGKILL)
    _kill_children(server)

    recorded = {record["requestID"] for record in everything(server)}

    assert set(changes) <= recorded
    assert last in recorded
    assert read.headers["x-amzn-requestid"] in recorded


def test_segments_are_sealed_encrypted_and_told_as_before(server: Server, tmp_path: Path) -> None:
    client, _ = pushed(server)
    read = client.request("GET", f"/v2/{REPOSITORY}/manifests/v1")
    wait_for(server, read.headers["x-amzn-requestid"])
    before = everything(server)
    files = list((tmp_path / "audit").glob("*.jsonl"))
    server.stop()
    server.start()
    hasten(server, "seal-audit")
    wait_until(lambda: not any(path.exists() for path in files), "the files are sealed")
    wait_until(lambda: server.rows("SELECT COUNT(*) FROM audit_write") == [(0,)], "the changes are sealed")

    assert everything(server) == before
    assert server.rows("SELECT COUNT(*) FROM audit_segment WHERE data_key IS NULL") == [(0,)]
    assert len(server.rows("SELECT id FROM audit_segment")) == 2
    for (object_id,) in server.rows("SELECT object_id FROM audit_segment"):
        (path,) = (tmp_path / "blobs").rglob(object_id)
        assert b"BatchGetImage" not in path.read_bytes()


def test_a_segment_that_was_sealed_before_its_file_went_is_not_sealed_twice(server: Server, tmp_path: Path) -> None:
    client, _ = pushed(server)
    wait_for(server, client.request("GET", "/v2/").headers["x-amzn-requestid"])
    (path,) = (tmp_path / "audit").glob("*.jsonl")
    content = path.read_bytes()
    server.stop()
    server.start()
    wait_until(lambda: not path.exists(), "the file is sealed")
    count = len(everything(server))
    server.stop()
    path.write_bytes(content)

    assert len(everything(server)) == count
    server.start()
    wait_until(lambda: not path.exists(), "the file is gone again")
    assert server.rows("SELECT COUNT(*) FROM audit_segment WHERE name = :name", name=path.name) == [(1,)]


def test_old_records_go_with_their_objects(server: Server, tmp_path: Path) -> None:
    client, _ = pushed(server)
    wait_for(server, client.request("GET", "/v2/").headers["x-amzn-requestid"])
    server.stop()
    server.start()
    segments = wait_until(lambda: server.rows("SELECT id, object_id FROM audit_segment"), "something is sealed")
    days_ago_us = 91 * 86_400 * 1_000_000
    server.execute("UPDATE audit_segment SET first_us = first_us - :ago, last_us = last_us - :ago", ago=days_ago_us)
    hasten(server, "seal-audit")
    wait_until(lambda: not server.rows("SELECT id FROM audit_segment WHERE id = :id", id=segments[0][0]), "it is old")
    hasten(server, "collect-garbage")

    wait_until(lambda: not list((tmp_path / "blobs").rglob(segments[0][1])), "its object is gone")


def test_a_segment_that_is_gone_is_told(server: Server, tmp_path: Path) -> None:
    client, _ = pushed(server)
    wait_for(server, client.request("GET", "/v2/").headers["x-amzn-requestid"])
    server.stop()
    server.start()
    ((object_id,),) = wait_until(lambda: server.rows("SELECT object_id FROM audit_segment"), "something is sealed")
    (path,) = (tmp_path / "blobs").rglob(object_id)
    path.unlink()

    assert "cannot be read" in server.command("audit").stderr


def test_a_full_disk_stops_no_pull_and_loses_no_record(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.decode().strip()}")
    try:
        with running(tmp_path, "--workers", "1") as server:
            client, _ = pushed(server)
            answers = [client.request("GET", f"/v2/{REPOSITORY}/manifests/v1") for _ in range(100)]
            wait_until(lambda: "audit records cannot be written" in server.log(), "the log says so")
            answers += [client.request("GET", f"/v2/{REPOSITORY}/manifests/v1") for _ in range(10)]
            subprocess.run(["mount", "-o", "remount,size=4m", str(folder)], check=True)
            last = answers[-1].headers["x-amzn-requestid"]
            wait_for(server, last)
            recorded = {record["requestID"] for record in everything(server)}
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)

    assert {answer.status for answer in answers} == {200}
    assert {answer.headers["x-amzn-requestid"] for answer in answers} <= recorded


def test_two_machines_read_each_others_sealed_records_and_say_what_is_not(postgres: Cluster, tmp_path: Path) -> None:
    database = postgres.create_database()
    variables = {"OPENECR_ROOT_KEY_HEX": "ab" * 32, "OPENECR_BLOBS": f"file://{tmp_path / 'layers'}"}
    machines = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        machines.append(Server(tmp_path / name, free_port(), ("--workers", "1"), database, variables))
    one, two = machines
    try:
        one.start()
        two.start()
        client, _ = pushed(one)
        password = client.password
        there = RegistryClient(two.port, password)
        seen = there.request("GET", f"/v2/{REPOSITORY}/manifests/v1").headers["x-amzn-requestid"]
        wait_for(two, seen)
        wait_until(lambda: len(one.rows("SELECT server FROM audit_server")) == 2, "both machines are known")

        before = wait_until(lambda: _with_a_note(one), "what the second machine has is said to be there")
        two.stop()
        after = find(one)
    finally:
        for machine in machines:
            machine.stop()

    assert seen not in {record["requestID"] for record in before.records}
    assert seen in {record["requestID"] for record in after.records}
    assert "PutImage" in names(before.records)


def hasten(server: Server, kind: str) -> None:
    """Make a scheduled job due now."""
    schedule = next(schedule for schedule in SCHEDULES if schedule.kind == kind)
    server.write(lambda db: owe_now(db, schedule))


def _with_a_note(server: Server) -> Found | None:
    """What is found, once it is said that another machine has more."""
    found = find(server)
    return found if any("is there until it is sealed" in note for note in found.notes) else None


def _spoil(request: Any, **_: Any) -> None:
    """Change a byte of the signature."""
    header = request.headers["Authorization"]
    text = header.decode() if isinstance(header, bytes) else header
    request.headers["Authorization"] = text[:-1] + ("0" if text[-1] != "0" else "1")


def _kill_children(server: Server) -> None:
    """What the parent started dies with it; wait until the data directory is free."""
    assert server.process is not None
    server.process.wait()
    wait_until(lambda: '"running": false' in server.command("status", "--json").stdout, "every process is gone")
