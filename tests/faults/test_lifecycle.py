"""``kill -9`` of the job process in the middle of a run: nothing is torn apart or lost, and the next goes on."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from openecr.db import images
from openecr.db.connection import Connection
from openecr.db.images import Reference
from openecr.names import Digest
from tests.embedded import execute
from tests.faults.processes import children
from tests.running import Server, running
from tests.waiting import wait_until

REPOSITORY = "faults/lifecycle"
INDEXES = 1500
DAY_US = 86_400 * 1_000_000
POLICY = {
    "rules": [
        {
            "rulePriority": 1,
            "selection": {
                "tagStatus": "tagged",
                "tagPatternList": ["v*"],
                "countType": "imageCountMoreThan",
                "countNumber": 10,
            },
            "action": {"type": "expire"},
        }
    ]
}
MEMBERS_ALONE = (
    "SELECT COUNT(*) FROM image i WHERE i.ever_tagged = 0"
    " AND NOT EXISTS (SELECT 1 FROM image_child c WHERE c.child_key = i.id)"
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with running(tmp_path, "--workers", "1", variables={"OPENECR_LIFECYCLE_DELAY": "0"}) as started:
        yield started


def test_a_run_that_is_killed_leaves_every_index_whole_and_the_next_run_ends_it(server: Server) -> None:
    ecr = server.client("ecr")
    ecr.create_repository(repositoryName=REPOSITORY)
    server.write(_fill)
    ecr.put_lifecycle_policy(repositoryName=REPOSITORY, lifecyclePolicyText=json.dumps(POLICY))

    wait_until(lambda: _count(server, "SELECT COUNT(*) FROM trash"), "the first batch is gone")
    job_processes = [pid for pid, role in children(server).items() if role == "job"]
    for pid in job_processes:
        os.kill(pid, signal.SIGKILL)
    # What is to be seen is not how long a lease is.
    execute(server.data_dir, "UPDATE job SET lease_until_us = 0 WHERE state = 'running' AND kind = 'expire-images'")

    assert job_processes
    assert _count(server, MEMBERS_ALONE) == 0
    assert _count(server, "SELECT COUNT(*) FROM image") > 3 * 10, "it was killed in the middle"
    wait_until(lambda: _count(server, "SELECT COUNT(*) FROM image") == 3 * 10, "the next run ended it", 120)
    assert _count(server, MEMBERS_ALONE) == 0
    assert _count(server, "SELECT COUNT(*) FROM trash WHERE kind = 'image'") == 3 * (INDEXES - 10)
    assert _count(server, "SELECT COUNT(DISTINCT digest) FROM trash") == 3 * (INDEXES - 10)
    left = ecr.list_images(repositoryName=REPOSITORY, filter={"tagStatus": "TAGGED"})["imageIds"]
    assert [item["imageTag"] for item in left] == [f"v{number}" for number in range(INDEXES - 10, INDEXES)]


def _count(server: Server, sql: str) -> int:
    return int(execute(server.data_dir, sql)[0][0])


def _fill(db: Connection) -> None:
    """Indexes of two members each, as an image builder pushes them; the rows alone, for no client pushes so many."""
    found = db.row("SELECT id FROM repository WHERE name = :name", name=REPOSITORY)
    assert found is not None
    for number in range(INDEXES):
        pushed_us = time.time_ns() // 1000 - (INDEXES - number) * 60_000_000
        members = [_insert(db, found[0], f"{number} {member}", pushed_us) for member in range(2)]
        index = _insert(db, found[0], f"{number}", pushed_us, tag=f"v{number}")
        images.insert_references(
            db,
            found[0],
            index,
            [Reference(place, b"", "x", child_key=member) for place, member in enumerate(members)],
        )


def _insert(db: Connection, repository_key: int, about: str, pushed_us: int, *, tag: str | None = None) -> int:
    key = images.insert(
        db,
        repository_key=repository_key,
        digest=Digest.of(about.encode()).stored,
        media_type="application/vnd.oci.image.index.v1+json" if tag else "application/vnd.oci.image.manifest.v1+json",
        artifact_type=None,
        config_media_type=None,
        subject_digest=None,
        annotations=None,
        pushed_us=pushed_us,
        manifest=about.encode(),
        ever_tagged=tag is not None,
    )
    if tag is not None:
        images.set_tag(db, repository_key, tag, key, pushed_us)
    return key
