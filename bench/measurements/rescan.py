"""What scans cost once layers are known: an image scanned again, and 10,000 images matched again after new data.

In a process of its own on an embedded deployment, without servers. The images are rows: 400 packages each, of 30,000
that differ; the data has a record for each package, which affects one in ten, and its second build changes 500.
"""

import asyncio
import multiprocessing
import resource
import time
from functools import partial
from pathlib import Path
from typing import Any

import apsw
import orjson

from bench.measurement import Bench, Gate, Row
from openecr.composition import composed
from openecr.db import scans
from openecr.db.connection import Connection
from openecr.db.scans import ENHANCED, Scan
from openecr.deployment import Deployment
from openecr.processes.prepare import prepare
from openecr.scan.inventories import CATALOGERS_VERSION, pack
from openecr.scan.packages import FileFacts, LayerInventory, Package
from openecr.scan.vulndb.archives import RawRecord
from openecr.scan.vulndb.building import Builder
from openecr.services.ecr.scanning import rematch, scan
from openecr.services.ecr.scanning.vex_documents import VexDocuments
from openecr.services.ecr.scanning.vulnerability_data import VulnerabilityData, publish
from openecr.settings import Settings

_PACKAGES = 30_000
_OF_AN_IMAGE = 400
_CHANGED = 500
_VULNERABLE = 10
"""One in so many packages is."""
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_REPOSITORY = (
    "INSERT INTO registry (id, account_id, region, created_us) VALUES (1, '123456789012', 'us-east-1', 1);"
    "INSERT INTO repository (id, registry_key, name, created_us, tag_mutability, mutability_filters, scan_on_push,"
    " encryption_type) VALUES (1, 1, 'bench', 1, 'MUTABLE', '[]', 0, 'AES256');"
    "INSERT INTO registry_scanning (registry_key, scan_type, rules, changed_us) VALUES (1, 'ENHANCED',"
    ' \'[{"scanFrequency": "CONTINUOUS_SCAN", "repositoryFilters": [{"filter": "*", "filterType": "WILDCARD"}]}]\', 1);'
)
_NUMBERS = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count) "
_IMAGES = (
    (
        "INSERT INTO blob (id, registry_key, encryption_key, object_id, cipher, size_bytes, created_us)"
        " SELECT i, 1, 'AES256:', printf('%08x-0000-4000-8000-000000000000', i), 'none', 1, 1 FROM n"
    ),
    (
        "INSERT INTO layer (id, repository_key, digest, blob_key, promised_until_us, linked_us)"
        " SELECT i, 1, unhex(printf('01%064x', i)), i, 1, 1 FROM n"
    ),
    (
        "INSERT INTO image (id, repository_key, digest, media_type, config_media_type, manifest_size_bytes,"
        " image_size_bytes, pushed_us, ever_tagged, status, manifest)"
        f" SELECT i, 1, unhex(printf('01%064x', i)), '{_MANIFEST}', '{_CONFIG}', 1, 1, i, 0, 'ACTIVE', x'00' FROM n"
    ),
    (f"INSERT INTO image_layer (image_key, position, layer_key, media_type) SELECT i, 1, i, '{_LAYER}' FROM n"),
)


def _names(image: int) -> list[int]:
    """The packages of an image: each is in many images, and no two images have the same."""
    return [(image * 37 + number * 71) % _PACKAGES for number in range(_OF_AN_IMAGE)]


def _inventory(image: int) -> bytes:
    packages = tuple(Package("PyPI", f"package-{name}", "1.0", "python-installed") for name in _names(image))
    return pack(LayerInventory(files={"app/METADATA": FileFacts(packages)}))


def _build(path: Path, build: int) -> None:
    """A record for each package; the second build has another fix for the first 500."""
    builder = Builder(path)
    for number in range(_PACKAGES):
        below = "3.0" if build == 2 and number < _CHANGED else "2.0"
        fixed = below if number % _VULNERABLE == 0 else "0.5" if below == "2.0" else "0.7"
        severity = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H"
        events = [{"introduced": "0"}, {"fixed": fixed}]
        record = {
            "id": f"CVE-2026-{number + 10000}",
            "modified": "2026-01-01T00:00:00Z",
            "summary": f"package-{number} fails",
            "severity": [{"type": "CVSS_V3", "score": severity}],
            "affected": [
                {
                    "package": {"ecosystem": "PyPI", "name": f"package-{number}"},
                    "ranges": [{"type": "ECOSYSTEM", "events": events}],
                }
            ],
        }
        builder.add(RawRecord(str(number), orjson.dumps(record)))
    builder.finish(built_us=build, data_us=build)
    builder.close()


def _fill(folder: Path, images: int) -> None:
    connection = apsw.Connection(str(folder / "openecr.db"))
    connection.execute(_REPOSITORY)
    with connection:
        for statement in _IMAGES:
            head, select, rest = statement.partition(" SELECT ")
            connection.execute(f"{head} {_NUMBERS}{select.strip()} {rest}", {"count": images})
        for image in range(1, images + 1):
            connection.execute(
                "INSERT INTO layer_inventory (blob_key, catalogers, inventory) VALUES (?, ?, ?)",
                (image, CATALOGERS_VERSION, _inventory(image)),
            )
            connection.execute(
                "INSERT INTO image_scan (image_key, scan_type, status, description, requested_us, counts, gaps)"
                " VALUES (?, 'ENHANCED', 'PENDING', '', 1, '{}', '[]')",
                (image,),
            )
    connection.close()


async def _scan_all(deployment: Deployment, data: VulnerabilityData, vex: VexDocuments, images: int) -> None:
    for image in range(1, images + 1):
        await scan.scan_image(deployment, data, vex, image)


def _pending(db: Connection, image: int) -> None:
    last = scans.find(db, image, ENHANCED)
    assert last is not None
    scans.put(db, Scan(image, ENHANCED, "PENDING", "", 1, None, None, last.first_us, None, None, last.counts))


async def _measured(folder: Path, images: int, rounds: int) -> dict[str, list[float]]:
    settings = Settings(data_dir=folder)
    await prepare(settings, {})
    _fill(folder, images)
    for build in (1, 2):
        await asyncio.to_thread(_build, folder / f"build-{build}.index", build)
    found: dict[str, list[float]] = {"again": [], "rematch": []}
    async with composed(settings) as deployment:
        data, vex = VulnerabilityData(deployment), VexDocuments(deployment)
        await publish(deployment, folder / "build-1.index", built_us=1, sources="{}")
        await _scan_all(deployment, data, vex, images)
        for turn in range(20 * rounds):
            image = turn % images + 1
            await deployment.database.write(partial(_pending, image=image))
            began = time.perf_counter()
            await scan.scan_image(deployment, data, vex, image)
            found["again"].append((time.perf_counter() - began) * 1000)
        await publish(deployment, folder / "build-2.index", built_us=2, sources="{}")
        began = time.perf_counter()
        done = await rematch.rematch(deployment, data, vex)
        found["rematch"].append(time.perf_counter() - began)
        assert _CHANGED <= done.packages < _PACKAGES // 5, done
        data.close()
    found["memory"] = [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]
    return found


def _measure(folder: str, images: int, rounds: int, sender: Any) -> None:
    sender.send(asyncio.run(_measured(Path(folder), images, rounds)))


class Rescan:
    """How long known images take, one by one and after new data."""

    name = "rescan"
    by_default = False

    def run(self, bench: Bench) -> list[Row]:
        images = bench.scale.scanned_images
        bench.say(f"rescan: scanning {images} images of {_OF_AN_IMAGE} packages")
        context = multiprocessing.get_context("spawn")
        receiver, sender = context.Pipe(duplex=False)
        folder = bench.folder / "rescan"
        folder.mkdir()
        process = context.Process(target=_measure, args=(str(folder), images, bench.scale.rounds, sender))
        process.start()
        sender.close()
        found = receiver.recv()
        process.join()
        note = "no peer: docker-registry scans nothing"
        size = f"{images} images of {_OF_AN_IMAGE} packages, {_CHANGED} of {_PACKAGES} packages changed"
        return [
            Row(
                "an image that is known, scanned again", "ms", found["again"], [], Gate(50, "at most", on="value"), note
            ),
            Row(f"match again: {size}", "s", found["rematch"], [], Gate(60, "at most", on="value"), note),
            Row("the same, the process in all", "MiB", found["memory"], [], None, note),
        ]
