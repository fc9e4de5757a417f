"""How often a pull asks a shared database: on PostgreSQL round trips are what counts."""

import asyncio
import uuid
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.postgres import Cluster
from tests.rows import REGISTRY, make_repository

from openecr.db import identities, identity_policies, images, layers, registries
from openecr.db.connection import Connection
from openecr.db.engines import open_database
from openecr.db.migrations import migrate_postgres
from openecr.db.postgres_session import Session
from openecr.deployment import Deployment
from openecr.errors import AccessDenied
from openecr.keyring import Keyring
from openecr.names import Digest
from openecr.origin import OCI, Origin
from openecr.processes.prepare import create_account
from openecr.services.ecr.image_listing import list_tags
from openecr.services.ecr.images import pull_image
from openecr.services.ecr.layers import locate_layer, mount_layer
from openecr.services.ecr.registry import BLOB_MOUNTING
from openecr.settings import Settings
from openecr.waist import Waist

ACCOUNT = "123456789012"
MANIFEST = b'{"schemaVersion": 2}'
DIGEST = Digest.of(MANIFEST)
LAYER = Digest.of(b"layer")
KEYS = Keyring({use: {1: bytes(32)} for use in ("secrets", "layer-url")})


def fill(db: Connection) -> str:
    """A repository with one tagged image and one layer; the administrator's access key."""
    key = create_account(db, KEYS, ACCOUNT, 1)
    repository = make_repository(db)
    blob = layers.insert_blob(
        db,
        registry_key=repository.registry_key,
        encryption_key=repository.encryption_key,
        object_id="0b6bbd06-9c52-4e65-8c5e-580c80c9dc36",
        size_bytes=5,
        digests=[LAYER.stored],
        now_us=1,
    )
    layers.link(db, repository.key, LAYER.stored, blob.key, promised_until_us=2**62, now_us=1)
    image_key = images.insert(
        db,
        repository_key=repository.key,
        digest=DIGEST.stored,
        media_type="application/vnd.oci.image.manifest.v1+json",
        artifact_type=None,
        config_media_type=None,
        subject_digest=None,
        annotations=None,
        pushed_us=1,
        manifest=MANIFEST,
        ever_tagged=True,
    )
    images.set_tag(db, repository.key, "latest", image_key, 1)
    return key.access_key_id


@pytest.fixture
def trips(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the sessions of decisions send, the watch's own looks left out."""
    sent: list[str] = []
    execute = Session.execute

    def counted(self: Session, sql: str, params: dict[str, Any]) -> Any:
        if "forgotten" not in sql and "pg_is_in_recovery" not in sql:
            sent.append(sql)
        return execute(self, sql, params)

    begin_read = Session.begin_read

    def begun(self: Session) -> None:
        sent.append("BEGIN")
        begin_read(self)

    monkeypatch.setattr(Session, "execute", counted)
    monkeypatch.setattr(Session, "begin_read", begun)
    monkeypatch.setattr("openecr.db.kept_rows.LEASE_SECONDS", 60.0)  # a stalled machine is not what is tested
    return sent


def test_a_pull_by_tag_is_one_round_trip_and_by_digest_none_once_it_is_kept(
    postgres: Cluster, tmp_path: Path, trips: list[str]
) -> None:
    settings = Settings(data_dir=tmp_path, database=postgres.create_database(migrate_postgres))

    async def scenario(waist: Waist, origin: Origin) -> None:
        async def counted(work: Coroutine[Any, Any, Any]) -> int:
            before = len(trips)
            await work
            return len(trips) - before

        def by_tag() -> Coroutine[Any, Any, Any]:
            return waist.run(
                pull_image, origin, repository_name="app", reference="latest", accepted=frozenset(), counts=True
            )

        def by_digest() -> Coroutine[Any, Any, Any]:
            return waist.run(
                pull_image, origin, repository_name="app", reference=DIGEST, accepted=frozenset(), counts=True
            )

        def layer() -> Coroutine[Any, Any, Any]:
            return waist.run(locate_layer, origin, repository_name="app", digest=LAYER)

        await by_tag()
        await by_digest()
        assert [await counted(by_tag()) for _ in range(5)] == [1] * 5
        assert [await counted(by_digest()) for _ in range(5)] == [0] * 5
        assert [await counted(layer()) for _ in range(5)] == [1] * 5

    asyncio.run(_play(settings, scenario))


@pytest.mark.parametrize("right", ["nothing", "by tag"])
def test_a_denial_asks_as_often_for_a_repository_that_is_there_as_for_one_that_is_not(
    postgres: Cluster, tmp_path: Path, trips: list[str], right: str
) -> None:
    """What is there is kept in memory and what is not is asked for: whoever may not know of a repository would learn
    of it by the time that a denial takes."""
    settings = Settings(data_dir=tmp_path, database=postgres.create_database(migrate_postgres))

    def add_powerless(db: Connection) -> str:
        account = db.row("SELECT id FROM account")
        assert account is not None
        key = identities.insert(db, account[0], kind="user", name="x", unique_id="AIDAX", version="1", now_us=1)
        assert key is not None
        if right == "by tag":
            identity_policies.put_inline(db, key, "x", BY_TAG)
        identities.insert_access_key(db, key, access_key_id="AKIAX", sealed_secret=b"x", now_us=1)
        return "AKIAX"

    async def scenario(waist: Waist, origin: Origin) -> None:
        key_id = await waist.deployment.database.write(add_powerless)

        async def counted(step: Any, name: str, **arguments: Any) -> int:
            before = len(trips)
            with pytest.raises(AccessDenied):
                await waist.run(step, replace(origin, access_key_id=key_id), repository_name=name, **arguments)
            return len(trips) - before

        pull = {"reference": "latest", "accepted": frozenset(), "counts": True}
        for step, arguments in (
            (pull_image, pull),
            (locate_layer, {"digest": LAYER}),
            (list_tags, {"after": "", "most": 9}),
        ):
            # The owner's pulls keep the repository in memory; the registry and the caller are kept by the first try.
            await waist.run(locate_layer, origin, repository_name="app", digest=LAYER)
            await counted(step, "app", **arguments)
            there = [await counted(step, "app", **arguments) for _ in range(3)]
            absent = [await counted(step, "apx", **arguments) for _ in range(3)]
            assert there == absent
            assert there[0] > 0

    asyncio.run(_play(settings, scenario))


def test_a_mount_asks_as_often_for_a_source_that_is_there_and_unreadable_as_for_one_that_is_not(
    postgres: Cluster, tmp_path: Path, trips: list[str]
) -> None:
    settings = Settings(data_dir=tmp_path, database=postgres.create_database(migrate_postgres))

    def add_pusher(db: Connection) -> str:
        target = make_repository(db, "target")
        registries.put_setting(db, target.registry_key, BLOB_MOUNTING, "ENABLED")
        account = db.row("SELECT id FROM account")
        assert account is not None
        key = identities.insert(db, account[0], kind="user", name="x", unique_id="AIDAX", version="1", now_us=1)
        assert key is not None
        identity_policies.put_inline(db, key, "x", TARGET_ALONE)
        identities.insert_access_key(db, key, access_key_id="AKIAX", sealed_secret=b"x", now_us=1)
        return "AKIAX"

    async def scenario(waist: Waist, origin: Origin) -> None:
        key_id = await waist.deployment.database.write(add_pusher)

        async def counted(source: str) -> int:
            before = len(trips)
            mounted = await waist.run(
                mount_layer,
                replace(origin, access_key_id=key_id),
                repository_name="target",
                source_name=source,
                digest=LAYER,
            )
            assert mounted is False
            return len(trips) - before

        await waist.run(locate_layer, origin, repository_name="app", digest=LAYER)
        await counted("app")
        # A write keeps nothing, so what the owner's pulls keep is asked for once more.
        await waist.run(pull_image, origin, repository_name="app", reference=DIGEST, accepted=frozenset(), counts=False)
        assert [await counted("app") for _ in range(3)] == [await counted("apx") for _ in range(3)]

    asyncio.run(_play(settings, scenario))


TARGET_ALONE = (
    '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "ecr:*",'
    f' "Resource": "arn:aws:ecr:{REGISTRY.region}:{REGISTRY.account_id}:repository/target"}}}}'
)
BY_TAG = (
    '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*",'
    ' "Condition": {"StringEquals": {"aws:ResourceTag/open": "yes"}}}}'
)


async def _play(settings: Settings, scenario: Any) -> None:
    database = await open_database(settings)
    try:
        access_key_id = await database.write(fill)
        deployment: Any = Deployment(
            settings=settings,
            database=database,
            blobs=_NoStore(),  # type: ignore[arg-type]
            keyring=KEYS,
            now_us=database.clock_us,
            wall_us=database.clock_us,
            new_id=lambda: "id",
            new_object_id=lambda _region: str(uuid.uuid4()),
            note_pull=lambda _key, _now_us: None,
        )
        origin = Origin("request", access_key_id, REGISTRY, "http://localhost", 1, OCI)
        await scenario(Waist(deployment), replace(origin, now_us=database.clock_us()))
    finally:
        await database.close()


class _NoStore:
    """No bytes are moved here."""

    def url(self, *_: Any, **__: Any) -> None:
        """Nobody is redirected."""
