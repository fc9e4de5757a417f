"""One blob store for each region that has its own, and one for all others.

The id of an object in a region's own store begins with the store's name, so that a row says by itself where its bytes
are: layers stay readable where they are when new ones go elsewhere. The stores themselves see the id without the name.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from uuid import uuid4

from openecr.blobs.store import BlobStore, ObjectWriter, StoreFailed, split_object_id


class RegionStores:
    """Passes every call on to the store that the object id names."""

    def __init__(self, default: BlobStore, by_name: Mapping[str, BlobStore]) -> None:
        self._default = default
        self._by_name = dict(by_name)
        self._name_of_region = {name.partition("_")[0]: name for name in by_name}
        """New objects of a region go to the last of its stores."""

    def new_object_id(self, region: str) -> str:
        """A fresh id for an object of a registry in this region."""
        name = self._name_of_region.get(region)
        return str(uuid4()) if name is None else f"{name}.{uuid4()}"

    def encrypts(self, object_id: str) -> bool:
        """Whether the object's store encrypts it."""
        store, inner_id = self._find(object_id)
        return store.encrypts(inner_id)

    async def size_bytes(self, object_id: str) -> int:
        """How many bytes an object holds."""
        store, inner_id = self._find(object_id)
        return await store.size_bytes(inner_id)

    async def open_writer(self, object_id: str, offset_bytes: int) -> ObjectWriter:
        """Open an object to append at an offset."""
        store, inner_id = self._find(object_id)
        return await store.open_writer(inner_id, offset_bytes)

    async def copy_prefix(self, source_id: str, target_id: str, size_bytes: int) -> None:
        """Copy within a store, or from one to the other where a region got its own meanwhile."""
        source, inner_source = self._find(source_id)
        target, inner_target = self._find(target_id)
        if source is target:
            await source.copy_prefix(inner_source, inner_target, size_bytes)
            return
        writer = await target.open_writer(inner_target, 0)
        try:
            async with aclosing(source.read(inner_source, 0, size_bytes)) as pieces:
                async for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
            await writer.close()
        except BaseException:
            await writer.close()
            await target.delete(inner_target)
            raise

    async def seal(self, object_id: str, size_bytes: int) -> None:
        """Make exactly these bytes durable."""
        store, inner_id = self._find(object_id)
        await store.seal(inner_id, size_bytes)

    async def digests(self, object_id: str, algorithms: tuple[str, ...]) -> dict[str, bytes]:
        """Hash a whole object again."""
        store, inner_id = self._find(object_id)
        return await store.digests(inner_id, algorithms)

    async def read(self, object_id: str, start_byte: int, end_byte: int) -> AsyncGenerator[bytes, None]:
        """Stream the bytes [start, end)."""
        store, inner_id = self._find(object_id)
        async with aclosing(store.read(inner_id, start_byte, end_byte)) as pieces:
            async for piece in pieces:
                yield piece

    def path(self, object_id: str) -> Path | None:
        """A file, where the store has one."""
        store, inner_id = self._find(object_id)
        return store.path(inner_id)

    def url(self, object_id: str, seconds: int) -> str | None:
        """A URL, where the store has one."""
        store, inner_id = self._find(object_id)
        return store.url(inner_id, seconds)

    async def delete(self, object_id: str) -> None:
        """Remove an object."""
        store, inner_id = self._find(object_id)
        await store.delete(inner_id)

    async def delete_many(self, object_ids: Sequence[str]) -> None:
        """Remove objects, store by store."""
        by_store: dict[int, tuple[BlobStore, list[str]]] = {}
        for object_id in object_ids:
            store, inner_id = self._find(object_id)
            by_store.setdefault(id(store), (store, []))[1].append(inner_id)
        for store, inner_ids in by_store.values():
            await store.delete_many(inner_ids)

    def each(self) -> dict[str, BlobStore]:
        """Every store by its name; that of all other regions is ``default``."""
        return {"default": self._default, **self._by_name}

    async def check(self, mark: str, *, is_marked: bool) -> None:
        """Check every store."""
        for store in self.each().values():
            await store.check(mark, is_marked=is_marked)

    def _find(self, object_id: str) -> tuple[BlobStore, str]:
        name, inner_id = split_object_id(object_id)
        if name is None:
            return self._default, inner_id
        store = self._by_name.get(name)
        if store is None:
            raise StoreFailed(
                f"object {object_id} is in the store {name}, which no setting names; give --region-blobs {name}=URL"
            )
        return store, inner_id
