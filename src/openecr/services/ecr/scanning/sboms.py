"""SBOMs of images, from what scans keep of them, and the job that attaches them as OCI referrers."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from openecr.db import images, inventories, repositories, suppressions
from openecr.db import storage_classes as image_rows
from openecr.db.connection import Connection
from openecr.db.images import Image
from openecr.db.repositories import Repository
from openecr.deployment import Deployment
from openecr.errors import RegistryError
from openecr.jobs.worker import AWAY
from openecr.names import Digest
from openecr.scan.packages import ImageInventory
from openecr.scan.sbom.contents import ImageSubject
from openecr.scan.sbom.cyclonedx import MEDIA_TYPE as CYCLONEDX_TYPE
from openecr.scan.sbom.cyclonedx import cyclonedx
from openecr.scan.sbom.spdx import MEDIA_TYPE as SPDX_TYPE
from openecr.scan.sbom.spdx import spdx
from openecr.services.ecr.artifacts import Subject, administrator, push_referrer
from openecr.services.ecr.scanning import inventory
from openecr.services.ecr.scanning.sbom_requests import CYCLONEDX
from openecr.settings import Settings

log = structlog.get_logger("openecr.scan")

_STEP = 200


@dataclass(frozen=True, slots=True)
class _Wanted:
    """An image whose repository asks for its SBOM."""

    image: Image
    repository: Repository
    kind: str
    document: bytes
    """What the scan kept of it."""


async def attach(deployment: Deployment, concerned: Mapping[str, Any]) -> int:
    """Attach the SBOMs that are asked for; how many artifacts were pushed, those that were there already too.

    A push that is refused, as by a quota, is logged and not tried again before the next scan.

    Args:
        concerned: an ``image``, or a ``repository``.
    """
    attached = 0
    async for key in _concerned(deployment, concerned):
        wanted = await deployment.database.read(partial(_wanted, image_key=key))
        if wanted is not None:
            attached += await _attach(deployment, wanted)
    return attached


async def _concerned(deployment: Deployment, concerned: Mapping[str, Any]) -> AsyncIterator[int]:
    if "image" in concerned:
        yield concerned["image"]
        return
    after = b""
    while step := await deployment.database.read(
        partial(suppressions.scanned_after, repository_key=concerned["repository"], after=after, most=_STEP)
    ):
        after = step[-1][1]
        for key, _ in step:
            yield key


def _wanted(db: Connection, image_key: int) -> _Wanted | None:
    image, repository_key = image_rows.find(db, image_key), images.repository_of(db, image_key)
    repository = None if repository_key is None else repositories.find_by_key(db, repository_key)
    kept = inventories.find_image(db, image_key)
    if image is None or repository is None or kept is None or image.status != "ACTIVE":
        return None
    kind = suppressions.attached_sbom(db, repository.key)
    return None if kind is None else _Wanted(image, repository, kind, kept.document)


async def _attach(deployment: Deployment, wanted: _Wanted) -> bool:
    image, repository = wanted.image, wanted.repository
    moving = await administrator(deployment, repository.registry)
    if moving is None:
        log.warning("no SBOM is attached: the account has no administrator's key", account=repository.registry)
        return False
    media_type, content = await asyncio.to_thread(_written, deployment.settings, wanted)
    subject = Subject(Digest(image.digest), image.media_type, image.manifest_size_bytes)
    try:
        pushed = await push_referrer(moving, repository.name, subject, media_type, content)
    except AWAY:
        raise  # it says nothing of the push: the job comes again
    except RegistryError as refused:
        log.warning(
            "no SBOM is attached",
            repository=repository.name,
            digest=str(subject.digest),
            error=refused.code,
            reason=refused.message,
        )
        return False
    log.info("SBOM attached", repository=repository.name, digest=str(subject.digest), artifact=str(pushed))
    return True


def _written(settings: Settings, wanted: _Wanted) -> tuple[str, bytes]:
    kept = inventory.unpack(wanted.document)
    subject = subject_of(settings, wanted.repository, wanted.image, kept.layers, kept.architecture)
    return write(wanted.kind, subject, kept.image, wanted.image.pushed_us)


def write(kind: str, subject: ImageSubject, found: ImageInventory, at_us: int) -> tuple[str, bytes]:
    """(media type, SBOM). Dated by the push, so that another scan writes the same bytes."""
    if kind == CYCLONEDX:
        return CYCLONEDX_TYPE, cyclonedx(subject, found, at_us)
    return SPDX_TYPE, spdx(subject, found, at_us)


def subject_of(
    settings: Settings, repository: Repository, image: Image, layers: tuple[str, ...], architecture: str
) -> ImageSubject:
    """What an SBOM calls an image: without a domain its registry has no host of its own, and is told by its name."""
    registry = repository.registry
    host = str(registry)
    if settings.domain is not None:
        host = f"{registry.account_id}.dkr.ecr.{registry.region}.{settings.domain}"
    return ImageSubject(f"{host}/{repository.name}", str(Digest(image.digest)), layers, architecture=architecture)
