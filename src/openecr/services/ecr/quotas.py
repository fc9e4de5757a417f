"""Quotas: of storage, which ECR does not have, and ECR's own of repositories and images.

A push reads what was last measured and adds what was stored since; it writes no counter, so pushes never wait for each
other's row (docs/decisions/0014-quotas.md has the bound). A repository's quota counts each blob that the repository
links once; a registry's and an account's what their repositories link, each blob once however many share it. What was
deleted stops counting at the next measurement after its links ended.
"""

import re
from functools import partial

from openecr.call import Call
from openecr.db import quotas, repositories
from openecr.db.connection import Connection, Database
from openecr.db.quotas import Quota
from openecr.db.repositories import Repository
from openecr.errors import StorageQuotaExceeded, TooManyImages, TooManyRepositories
from openecr.names import ACCOUNT_ID, REGION, Digest, RegistryName, is_repository_name

_STEP = 1000
_BUCKETS = 256
_LONGEST_DIGEST = 64
_UNITS = {"": 1, "B": 1} | {
    f"{letter}{suffix}": base**power
    for power, letter in enumerate("KMGTP", start=1)
    for suffix, base in (("", 1000), ("B", 1000), ("IB", 1024))
}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([A-Z]*)")


class QuotaRefused(Exception):
    """What was asked names no quota; the text is one sentence with the remedy."""


def parse_size(text: str) -> int:
    """Bytes of ``500000``, ``10GB`` (10^9) or ``10GiB`` (2^30).

    Raises:
        QuotaRefused: it is no size.
    """
    found = _SIZE.fullmatch(text.strip().upper())
    if found is None or found[2] not in _UNITS:
        raise QuotaRefused(f"'{text}' is no size; give bytes, or a number with KB, MB, GB, TB, KiB, MiB, GiB or TiB")
    whole, _, fraction = found[1].partition(".")
    return int(int(whole + fraction) * _UNITS[found[2]] // 10 ** len(fraction))


def parse_scope(text: str, region: str) -> tuple[str, str, str]:
    """(account, region, repository) of ``ACCOUNT``, ``ACCOUNT.REGION``, or either with ``/REPO``.

    Args:
        region: where a repository is whose registry is given without one.
    Raises:
        QuotaRefused: it is none of these.
    """
    registry, slash, name = text.partition("/")
    account_id, dot, named = registry.partition(".")
    fits = ACCOUNT_ID.fullmatch(account_id) and (not dot or REGION.fullmatch(named))
    if not fits or (slash and not is_repository_name(name)):
        raise QuotaRefused(f"'{text}' is not ACCOUNT[.REGION][/REPO]; give one like 123456789012.us-east-1/team/app")
    return account_id, named or (region if slash else ""), name


def used_bytes(db: Connection, quota: Quota) -> int:
    """What a quota's scope holds: as measured, and what came since."""
    if quota.repository_name:
        repository = repositories.find(db, RegistryName(quota.account_id, quota.region), quota.repository_name)
        since = quotas.linked_since(db, repository.key, quota.position) if repository is not None else 0
    else:
        since = sum(
            quotas.stored_since(db, key, quota.position)
            for key in quotas.registries_of(db, quota.account_id, quota.region or None)
        )
    return quota.used_bytes + since


def require_room(call: Call, repository: Repository, size_bytes: int, *, is_stored: bool) -> None:
    """Refuse bytes that would take a storage quota past its limit.

    Args:
        size_bytes: what the repository is about to link; 0 asks whether a quota is past its limit already.
        is_stored: whether the registry holds these bytes, so that only the repository's quota grows.
    """
    for quota in quotas.applying(call.db, repository.registry, repository.name):
        used = used_bytes(call.db, quota)
        needed = 0 if is_stored and not quota.repository_name else size_bytes
        if used + needed > quota.limit_bytes and (needed or not size_bytes):
            raise StorageQuotaExceeded(
                repository=repository.name,
                registry_id=repository.registry.account_id,
                quota=quota,
                used_bytes=used,
                limit_bytes=quota.limit_bytes,
                size_bytes=needed,
            )


def require_room_for_image(call: Call, repository: Repository, identity: Digest) -> None:
    """Refuse a new image where the repository holds as many as it may, or a storage quota is past its limit.

    Counting 100,000 images takes milliseconds, so that a push first counts those whose digest begins with the new one's
    first byte, one in 256: while they are few, so are all.
    """
    limit = call.settings.images_per_repository
    if _may_be_full(call.db, repository.key, identity, limit) and quotas.has_images(call.db, repository.key, limit):
        raise TooManyImages(limit=limit, repository=repository.name, registry_id=repository.registry.account_id)
    require_room(call, repository, 0, is_stored=True)


def _may_be_full(db: Connection, repository_key: int, identity: Digest, limit: int) -> bool:
    few = limit * 3 // (4 * _BUCKETS)
    alike = 0
    for algorithm in (1, 2):
        first = bytes((algorithm, identity.stored[1]))
        alike += quotas.count_images_between(db, repository_key, first, first + b"\xff" * _LONGEST_DIGEST, few)
    return alike >= few


def require_room_for_repository(call: Call, registry: RegistryName, registry_key: int, repository_name: str) -> None:
    """Refuse a new repository where the registry holds as many as it may."""
    limit = call.settings.repositories_per_registry
    if quotas.has_repositories(call.db, registry_key, limit):
        raise TooManyRepositories(repository=repository_name, limit=limit, registry_id=registry.account_id)


async def measure_all(database: Database) -> int:
    """Measure every quota's scope again, in bounded steps; how many."""
    measured = 0
    position = ("", "", "")
    while step := await database.read(partial(quotas.list_after, after=position, most=_STEP)):
        for quota in step:
            await measure(database, quota)
            position = (quota.account_id, quota.region, quota.repository_name)
        measured += len(step)
    return measured


async def measure(database: Database, quota: Quota) -> None:
    """Measure one quota's scope: what it holds up to the newest row that there is at the start."""
    if quota.repository_name:
        until = await database.read(quotas.last_link)
        used = await _measure_repository(database, quota, until)
    else:
        until = await database.read(quotas.last_blob)
        used = await _measure_registries(database, quota, until)
    await database.write(lambda db: quotas.note_measured(db, quota, used, until, db.clock_us()))


async def _measure_repository(database: Database, quota: Quota, until: int) -> int:
    registry = RegistryName(quota.account_id, quota.region)
    repository = await database.read(lambda db: repositories.find(db, registry, quota.repository_name))
    if repository is None:
        return 0
    used = position = 0
    key = repository.key
    while step := await database.read(
        lambda db: quotas.weigh_links(db, key, position, until, db.clock_us(), _STEP)  # noqa: B023 - awaited at once
    ):
        used += sum(size_bytes for _, size_bytes in step)
        position = step[-1][0]
    return used


async def _measure_registries(database: Database, quota: Quota, until: int) -> int:
    used = 0
    for key in await database.read(lambda db: quotas.registries_of(db, quota.account_id, quota.region or None)):
        position = 0
        while step := await database.read(
            lambda db: quotas.weigh_blobs(db, key, position, until, db.clock_us(), _STEP)  # noqa: B023 - awaited at once
        ):
            used += sum(size_bytes for _, size_bytes in step)
            position = step[-1][0]
    return used
