"""The largest layer: whatever range a client tells, no more than that is taken."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from openecr.blobs.memory import MemoryStore
from openecr.errors import LayerTooLarge
from openecr.services.ecr import upload_parts
from openecr.waist import Flow

OBJECT = "0b6bbd06-9c52-4e65-8c5e-580c80c9dc36"


class OneUpload:
    """A flow whose upload is new and leased to whoever asks."""

    def __init__(self) -> None:
        self.origin = SimpleNamespace(registry=SimpleNamespace(account_id="123456789012", region="us-east-1"))
        store = MemoryStore()

        async def store_of(_data_key: bytes | None) -> MemoryStore:
            return store

        self.deployment = SimpleNamespace(
            store_of=store_of, new_id=lambda: OBJECT, new_object_id=lambda _region: OBJECT
        )

    async def run(self, step: Any, **arguments: Any) -> Any:
        if step is upload_parts._lease:
            return upload_parts._Lease(1, OBJECT, "holder", 0, None, None, 0)
        return arguments["size_bytes"]


@pytest.mark.parametrize("told_bytes", [None, 11, 10**17])
def test_a_layer_over_the_limit_is_refused_whatever_its_range_says(
    monkeypatch: pytest.MonkeyPatch, told_bytes: int | None
) -> None:
    monkeypatch.setattr(upload_parts, "MOST_LAYER_BYTES", 10)

    async def pieces() -> AsyncIterator[bytes]:
        yield b"x" * 11

    async def append() -> None:
        await upload_parts.append(
            cast("Flow", OneUpload()), repository_name="a/b", upload_id="u", pieces=pieces(), told_bytes=told_bytes
        )

    with pytest.raises(LayerTooLarge):
        asyncio.run(append())
