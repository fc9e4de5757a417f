"""Scans whose processes are lost, hostile images beside a server that serves, and data that other machines find."""

import gzip
import io
import os
import secrets
import signal
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openecr.keyring import ROOT_KEY_VARIABLE, root_key_path
from tests.api.support import push
from tests.object_store import ObjectStore
from tests.postgres import Cluster
from tests.registry_client import RegistryClient
from tests.running import Server, free_port, running
from tests.scanned_images import (
    OLD_ROOT,
    VulnerabilityData,
    debian,
    debian_record,
    enhanced,
    events_of,
    names_of,
    settled,
    status_of,
)
from tests.server.watching import children, wait_for

REPOSITORY = "app"
INDEXING = b"openecr.scan.indexing_process"
CROWD = 190_000
"""Entries of a layer that takes long enough to be met while it is read, and is within every limit."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("scanning"), "--workers", "1") as started:
        started.client("ecr").create_repository(
            repositoryName=REPOSITORY, imageScanningConfiguration={"scanOnPush": True}
        )
        yield started


@pytest.fixture(scope="module", autouse=True)
def vulnerabilities(server: Server, tmp_path_factory: pytest.TempPathFactory) -> VulnerabilityData:
    data = VulnerabilityData(server, tmp_path_factory.mktemp("vulnerabilities"))
    data.publish()
    return data


@pytest.fixture(scope="module")
def ecr(server: Server) -> Any:
    return server.client("ecr")


@pytest.fixture(scope="module")
def docker(server: Server) -> RegistryClient:
    return RegistryClient(server.port, server.password())


def crowd(about: str) -> bytes:
    """A layer of very many empty files, none of which is of interest."""
    entry = tarfile.TarInfo(f"{about}/" + "x" * 80)
    return gzip.compress(entry.tobuf() * CROWD + bytes(1024), 1)


def indexing_children(server: Server) -> list[int]:
    """Processes in which layers of this server's images are read."""
    jobs = {str(pid) for pid in children(server.data_dir, "job")}
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes()
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if INDEXING in words and parent in jobs:
            found.append(int(folder.name))
    return found


def waiting(server: Server) -> bool:
    """Whether a scan is being made that has not ended."""
    return bool(
        server.rows("SELECT 1 FROM image_scan WHERE status = 'IN_PROGRESS'")
        and server.rows("SELECT 1 FROM job WHERE queue = 'scan' AND state = 'running'")
    )


def test_a_scan_whose_job_process_is_killed_is_made_by_the_next(
    server: Server, ecr: Any, docker: RegistryClient
) -> None:
    push(docker, REPOSITORY, "killed", "killed", layers=(debian(**OLD_ROOT), crowd("killed")))
    (reading,) = wait_for(lambda: indexing_children(server), "a layer is being read")
    (job,) = children(server.data_dir, "job")

    os.kill(job, signal.SIGKILL)

    assert waiting(server)
    # The lease of the process that is gone would last a minute; the next one looks when it starts.
    server.execute("UPDATE job SET lease_until_us = 1 WHERE queue = 'scan' AND state = 'running'")
    wait_for(lambda: not Path(f"/proc/{reading}").exists(), "the process that read the layer ended with its parent")
    wait_for(lambda: children(server.data_dir, "job") not in ([], [job]), "another job process is there")
    found = settled(ecr, REPOSITORY, imageTag="killed")
    assert (found["imageScanStatus"]["status"], len(names_of(found))) == ("COMPLETE", 6)
    assert len(events_of(server, "ECR Image Scan", REPOSITORY)) == 1


def test_a_lost_reader_fails_one_scan(server: Server, ecr: Any, docker: RegistryClient) -> None:
    """As the kernel does with one that takes more memory than there is."""
    push(docker, REPOSITORY, "lost", "lost", layers=(debian(**OLD_ROOT, about="lost"), crowd("lost")))
    (reading,) = wait_for(lambda: indexing_children(server), "a layer is being read")

    os.kill(reading, signal.SIGKILL)

    found = settled(ecr, REPOSITORY, imageTag="lost")
    told = ("FAILED", "ScanError: the process that read the layer was killed by SIGKILL")
    assert (status_of(found), found["imageScanFindings"]) == (told, {})
    ecr.start_image_scan(repositoryName=REPOSITORY, imageId={"imageTag": "lost"})
    assert settled(ecr, REPOSITORY, imageTag="lost")["imageScanStatus"]["status"] == "COMPLETE"


def test_data_that_is_published_during_a_scan_is_what_it_is_judged_by(
    server: Server, vulnerabilities: VulnerabilityData, ecr: Any, docker: RegistryClient
) -> None:
    push(docker, REPOSITORY, "meanwhile", "meanwhile", layers=(debian(meanwhile="1.0"), crowd("meanwhile")))
    (reading,) = wait_for(lambda: indexing_children(server), "a layer is being read")
    os.kill(reading, signal.SIGSTOP)
    vulnerabilities.publish(debian_record("CVE-2026-40002", "meanwhile", urgency="high"))

    os.kill(reading, signal.SIGCONT)

    found = settled(ecr, REPOSITORY, imageTag="meanwhile")
    assert names_of(found) == ["CVE-2026-40002"]
    assert found["imageScanFindings"]["findingSeverityCounts"] == {"HIGH": 1}


def test_an_image_that_is_deleted_during_its_scan_leaves_nothing(
    server: Server, ecr: Any, docker: RegistryClient
) -> None:
    before = server.log().count('"job_failed"')
    push(docker, REPOSITORY, "deleted", "deleted", layers=(debian(deleted="1.0"), crowd("deleted")))
    (reading,) = wait_for(lambda: indexing_children(server), "a layer is being read")
    os.kill(reading, signal.SIGSTOP)
    ecr.batch_delete_image(repositoryName=REPOSITORY, imageIds=[{"imageTag": "deleted"}])

    os.kill(reading, signal.SIGCONT)

    wait_for(lambda: not server.rows("SELECT 1 FROM job WHERE queue = 'scan'"), "the job has ended")
    assert server.log().count('"job_failed"') == before, server.log()[-3000:]
    for table in ("image_scan", "image_inventory", "image_package"):
        assert not server.rows(
            f"SELECT 1 FROM {table} t WHERE NOT EXISTS (SELECT 1 FROM image i WHERE i.id = t.image_key)"
        )


def bomb() -> bytes:
    """Two hundred MB of nothing in two hundred KB."""
    content = io.BytesIO()
    with gzip.GzipFile(fileobj=content, mode="wb", compresslevel=9, mtime=0) as file:
        entry = tarfile.TarInfo("zeros")
        entry.size = 200 << 20
        file.write(entry.tobuf())
        for _ in range(200):
            file.write(bytes(1 << 20))
    return content.getvalue()


def deep() -> bytes:
    """A path of very many folders."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(tarfile.TarInfo("a/" * 2000 + "etc/os-release"))
    return gzip.compress(content.getvalue())


@pytest.mark.parametrize("hostile", [bomb, deep], ids=["bomb", "deep"])
def test_a_hostile_layer_fails_one_scan_while_the_server_serves(
    server: Server, ecr: Any, docker: RegistryClient, hostile: Any
) -> None:
    name = hostile.__name__
    push(docker, REPOSITORY, name, name, layers=(debian(**OLD_ROOT), hostile()))
    answered = 0
    while (
        ecr.describe_image_scan_findings(repositoryName=REPOSITORY, imageId={"imageTag": name})["imageScanStatus"][
            "status"
        ]
        == "IN_PROGRESS"
    ):
        answered += docker.request("GET", f"{docker.path(REPOSITORY)}/manifests/{name}").status == 200
    assert answered

    status, description = status_of(settled(ecr, REPOSITORY, imageTag=name))

    assert status == "FAILED"
    assert description.startswith("ScanError: ")
    assert {"bomb": "1000", "deep": "directories deep"}[name] in description
    assert len(children(server.data_dir, "job")) == 1


def test_two_machines_find_the_same_data(
    postgres: Cluster, object_store: ObjectStore, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Published through one, matched with by the other, whose data directory has never had it."""
    database, blobs = postgres.create_database(), object_store.url(object_store.new_bucket())
    variables = dict(object_store.credentials) | {ROOT_KEY_VARIABLE: secrets.token_hex(32)}
    folders = [tmp_path_factory.mktemp(name) for name in ("one", "two")]
    flags = ("--workers", "1", "--blobs", blobs)
    for folder in folders:
        key_file = root_key_path(folder)
        key_file.touch(mode=0o600)
        key_file.write_text(variables[ROOT_KEY_VARIABLE])
    with running(folders[0], *flags, database=database, variables=variables) as one:
        data = VulnerabilityData(one, tmp_path_factory.mktemp("vulnerabilities"))
        data.publish()
        ecr = one.client("ecr")
        ecr.create_repository(repositoryName=REPOSITORY)
        with enhanced(ecr, continuous=[REPOSITORY]):
            push(RegistryClient(one.port, one.password()), REPOSITORY, "a", "v1", layers=(debian(first="1.0"),))
            assert names_of(settled(ecr, REPOSITORY, imageTag="v1")) == []
            two = Server(folders[1], free_port(), flags, database, variables)
            two.start()
            try:
                os.kill(children(one.data_dir, "job")[0], signal.SIGSTOP)  # from here on the other one works
                data.publish(debian_record("CVE-2026-40001", "first", urgency="high"))
                there = two.client("ecr")
                found = there.describe_image_scan_findings(repositoryName=REPOSITORY, imageId={"imageTag": "v1"})
                assert names_of(found) == ["CVE-2026-40001"]
                push(RegistryClient(two.port, two.password()), REPOSITORY, "b", "v2", layers=(debian(**OLD_ROOT),))
                assert len(names_of(settled(there, REPOSITORY, imageTag="v2"))) == 6
                assert list((folders[1] / "vulndb").glob("[0-9]*.index"))
            finally:
                os.kill(children(one.data_dir, "job")[0], signal.SIGCONT)
                two.stop()
