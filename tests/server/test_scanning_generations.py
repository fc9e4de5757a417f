"""Verdicts and scans are by the data in use, however late new data comes: in one process, on a deployment at rest."""

import asyncio
import json
import shutil
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from openecr.composition import composed
from openecr.db import scans, vulnerability_data
from openecr.db import verdicts as verdict_rows
from openecr.db.scans import BASIC, Scan
from openecr.deployment import Deployment
from openecr.scan.findings import MatchKey
from openecr.scan.vulndb.archives import RawRecord
from openecr.scan.vulndb.building import Builder
from openecr.services.ecr.scanning import requests, scan, verdicts
from openecr.services.ecr.scanning.vex_documents import VexDocuments
from openecr.services.ecr.scanning.vulnerability_data import VulnerabilityData, publish
from openecr.settings import Settings
from tests.api.support import push
from tests.embedded import execute
from tests.registry_client import RegistryClient
from tests.running import running
from tests.scanned_images import Record, debian, debian_record

OLD, NEW = (
    debian_record("CVE-2026-60001", "late", urgency="high"),
    debian_record("CVE-2026-60002", "late", urgency="low"),
)
PACKAGE = MatchKey("Debian:12", "late", "1.0", "")
Work = Callable[[Deployment, VulnerabilityData], Awaitable[None]]


@pytest.fixture(scope="module")
def at_rest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A deployment with one image, without processes and without vulnerability data."""
    folder = tmp_path_factory.mktemp("at-rest")
    with running(folder, "--workers", "1") as server:
        server.client("ecr").create_repository(repositoryName="app")
        push(RegistryClient(server.port, server.password()), "app", "a", "v1", layers=(debian(late="1.0"),))
    return folder


@pytest.fixture
def data_dir(at_rest: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(at_rest, tmp_path / "data")


def run(data_dir: Path, work: Work) -> None:
    async def once() -> None:
        async with composed(Settings(data_dir=data_dir)) as deployment:
            data = VulnerabilityData(deployment)
            try:
                await work(deployment, data)
            finally:
                data.close()

    asyncio.run(once())


async def put_into_use(deployment: Deployment, *records: Record) -> int:
    """Build and publish these records; the generation."""
    target = deployment.settings.data_dir / "made.index"
    builder = Builder(target)
    for item in records:
        builder.add(RawRecord(item["id"], json.dumps(item).encode()))
    made = builder.finish(built_us=time.time_ns() // 1000)
    builder.close()
    return await publish(deployment, target, built_us=made.description.data_us, sources="{}")


def test_verdicts_of_data_that_was_replaced_are_not_written(data_dir: Path) -> None:
    async def work(deployment: Deployment, data: VulnerabilityData) -> None:
        await put_into_use(deployment, OLD)
        before = await data.current()
        assert before is not None
        await put_into_use(deployment, NEW)
        now = await data.current()
        assert now is not None
        keys = await verdicts.settle(deployment.database, now, [PACKAGE], 2)

        with pytest.raises(verdicts.Superseded):
            await verdicts.settle(deployment.database, before, [PACKAGE], 3)

        (found,) = (
            await deployment.database.read(lambda db: verdict_rows.of_packages(db, list(keys.values())))
        ).values()
        assert [item.name for item in found] == ["CVE-2026-60002"]

    run(data_dir, work)


def test_data_that_comes_after_the_verdicts_is_what_the_scan_is_by(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ((image_key,),) = execute(data_dir, "SELECT id FROM image")
    settle = verdicts.settle

    async def work(deployment: Deployment, data: VulnerabilityData) -> None:
        await put_into_use(deployment, OLD)
        published: list[int] = []

        async def late(*arguments: object) -> dict[MatchKey, int]:
            found = await settle(*arguments)  # type: ignore[arg-type]
            if not published:
                published.append(await put_into_use(deployment, NEW))
            return found

        monkeypatch.setattr(verdicts, "settle", late)
        await deployment.database.write(lambda db: requests.owe(db, image_key, BASIC, db.clock_us()))

        await scan.scan_image(deployment, data, VexDocuments(deployment), image_key)

        found: Scan | None = await deployment.database.read(lambda db: scans.find(db, image_key, BASIC))
        assert found is not None
        assert (found.status, found.counts) == ("COMPLETE", '{"LOW":1}')
        current = await deployment.database.read(vulnerability_data.current)
        assert current is not None
        assert [found.generation] == published == [current.generation]

    run(data_dir, work)


def test_generations_grow_even_where_the_clock_goes_back(data_dir: Path) -> None:
    async def work(deployment: Deployment, data: VulnerabilityData) -> None:
        first = await put_into_use(deployment, OLD)
        ahead = first + 10**15
        await deployment.database.write(
            lambda db: db.run("UPDATE vulnerability_data SET generation = :ahead", ahead=ahead)
        )
        assert await put_into_use(deployment, NEW) == ahead + 1

    run(data_dir, work)
