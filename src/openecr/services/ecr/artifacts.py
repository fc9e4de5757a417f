"""Artifacts that openecr itself pushes, as their account's administrator: by the decisions of a client's push."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import orjson

from openecr.db import accounts
from openecr.deployment import Deployment
from openecr.manifest import EMPTY_CONFIG, OCI_MANIFEST
from openecr.names import Digest, RegistryName
from openecr.origin import OCI, Origin
from openecr.services.ecr import uploads
from openecr.services.ecr.images import offer, push_image
from openecr.services.ecr.layers import check
from openecr.services.ecr.upload_completion import complete_upload
from openecr.services.ecr.upload_parts import append
from openecr.waist import Flow, Waist

_EMPTY = b"{}"


@dataclass(frozen=True, slots=True)
class Subject:
    """The image that an artifact refers to."""

    digest: Digest
    media_type: str
    size_bytes: int


async def administrator(deployment: Deployment, registry: RegistryName) -> Flow | None:
    """Requests of an account's administrator; None where none has an active key."""
    key = await deployment.database.read(lambda db: accounts.administrator_key(db, registry.account_id))
    if key is None:
        return None
    origin = Origin(
        request_id=deployment.new_id(),
        access_key_id=key.access_key_id,
        registry=registry,
        base_url="",
        now_us=deployment.now_us(),
        strictness=OCI,
    )
    return Flow(Waist(deployment), origin)


async def push_referrer(moving: Flow, repository_name: str, subject: Subject, kind: str, content: bytes) -> Digest:
    """Push a document that refers to an image; the artifact's digest. The same document is pushed once.

    Source: OCI image specification 1.1, "Guidelines for Artifact Usage".

    Raises:
        RegistryError: what a client's push would be told.
    """
    for blob in (_EMPTY, content):
        await _blob(moving, repository_name, blob)
    manifest = _manifest(subject, kind, content)
    pushed = await moving.run(push_image, repository_name=repository_name, offered=offer(manifest, OCI_MANIFEST, None))
    return pushed.digest


def _manifest(subject: Subject, kind: str, content: bytes) -> bytes:
    """The same bytes whenever subject and content are."""
    return orjson.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": kind,
            "config": {"mediaType": EMPTY_CONFIG, "digest": str(Digest.of(_EMPTY)), "size": len(_EMPTY)},
            "layers": [{"mediaType": kind, "digest": str(Digest.of(content)), "size": len(content)}],
            "subject": {
                "mediaType": subject.media_type,
                "digest": str(subject.digest),
                "size": subject.size_bytes,
            },
        }
    )


async def _blob(moving: Flow, repository_name: str, content: bytes) -> None:
    digest = Digest.of(content)
    if await check(moving, repository_name=repository_name, digests=(digest,)):
        return
    new_id = moving.deployment.new_id
    upload_id = await moving.run(uploads.begin, repository_name=repository_name, upload_id=new_id())
    await append(moving, repository_name=repository_name, upload_id=upload_id, pieces=_whole(content))
    await moving.run(
        complete_upload, repository_name=repository_name, upload_id=upload_id, digests=(digest,), spare_id=new_id()
    )


async def _whole(content: bytes) -> AsyncIterator[bytes]:
    yield content
