"""VEX documents as statements: administrators' rules, and what is attached to images. Each is read once a process.

A document that cannot be read suppresses nothing.
"""

import base64
import binascii
import re
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial

import orjson
import structlog

from openecr import bounded_json
from openecr.blobs.store import BlobDamaged, ObjectMissing
from openecr.bounded_json import JsonRefused
from openecr.db import inventories, suppressions
from openecr.db.inventories import ScannedLayer
from openecr.deployment import Deployment
from openecr.errors import KmsRefused
from openecr.scan.vex import Statement
from openecr.scan.vex_documents import VexRefused, vex_statements
from openecr.services.ecr.scanning.suppression_requests import VEX_TYPES

log = structlog.get_logger("openecr.scan")

MOST_BYTES = 8 << 20
_MOST_LAYERS = 4
_KEPT_STATEMENTS = 100_000
_LAYER_TYPES = VEX_TYPES | {"application/json", "application/vnd.dsse.envelope.v1+json"}
_OPENVEX_PREDICATE = re.compile(r"https://openvex\.dev/ns(?:/v[0-9.]{1,10})?")


class VexDocuments:
    """What a process has read of VEX documents; they never change under their key."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._kept: OrderedDict[Hashable, tuple[Statement, ...]] = OrderedDict()
        self._count = 0

    async def of_rule(self, key: int, name: str) -> tuple[Statement, ...]:
        """The statements of a rule; none where it is gone."""
        kept = self._kept.get(key)
        if kept is not None:
            return kept
        text = await self._deployment.database.read(partial(suppressions.document_of, rule_key=key))
        if not text:
            return ()
        return self._keep(key, _read(text.encode(), "", f"rule {name}"))

    async def of_referrer(self, image_key: int, digest: str, subject: str) -> tuple[Statement, ...]:
        """The statements of an artifact that refers to an image, of the digest that it refers to."""
        kept = self._kept.get((image_key, subject))
        if kept is not None:
            return kept
        layers = await self._deployment.database.read(
            partial(inventories.layers_of, image_key=image_key, catalogers="")
        )
        found: list[Statement] = []
        try:
            for layer in [layer for layer in layers if layer.media_type in _LAYER_TYPES][:_MOST_LAYERS]:
                if layer.size_bytes <= MOST_BYTES:
                    content = await self._bytes(layer)
                    found += _read(_predicate(content), subject, f"attached {digest}")
        except (BlobDamaged, ObjectMissing, KmsRefused) as error:
            log.warning("a VEX document cannot be read, and suppresses nothing", digest=digest, error=str(error))
            return ()
        return self._keep((image_key, subject), found)

    async def _bytes(self, layer: ScannedLayer) -> bytes:
        content = bytearray()
        store = await self._deployment.store_of(layer.data_key)
        async with aclosing(store.read(layer.object_id, 0, layer.size_bytes)) as pieces:
            async for piece in pieces:
                content += piece
        return bytes(content)

    def _keep(self, key: Hashable, statements: Sequence[Statement]) -> tuple[Statement, ...]:
        self._kept[key] = tuple(statements)
        self._count += len(statements)
        while self._count > _KEPT_STATEMENTS and len(self._kept) > 1:
            self._count -= len(self._kept.popitem(last=False)[1])
        return tuple(statements)


def _read(content: bytes, subject: str, source: str) -> list[Statement]:
    """A document's statements, each with where it is from."""
    try:
        found = vex_statements(content, subject) if content else ()
    except VexRefused as refused:
        log.info("a VEX document is not read, and suppresses nothing", source=source, reason=str(refused))
        return []
    return [replace(item, source=f"{source} ({item.source})" if item.source else source) for item in found]


def _predicate(content: bytes) -> bytes:
    """The OpenVEX document in an in-toto statement, bare or in an envelope; other documents as they are.

    Sources: in-toto attestation framework 1.0; DSSE envelope 1.0. Signatures are not verified here: who may push to a
    repository is who may attach.
    """
    try:
        document = bounded_json.loads(content)
        if isinstance(document, dict) and isinstance(document.get("payload"), str):
            document = bounded_json.loads(base64.b64decode(document["payload"], validate=True))
    except (JsonRefused, binascii.Error):
        return content
    if not isinstance(document, dict) or "predicateType" not in document:
        return content
    kind = document["predicateType"]
    if not isinstance(kind, str) or _OPENVEX_PREDICATE.fullmatch(kind) is None:
        return b""
    return orjson.dumps(document.get("predicate"))
