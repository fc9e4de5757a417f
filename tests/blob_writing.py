"""How tests write objects into blob stores."""

from openecr.blobs.store import BlobStore


async def append(store: BlobStore, object_id: str, offset_bytes: int, *pieces: bytes) -> None:
    """Write pieces from an offset on, as one writer; what was behind it is gone."""
    writer = await store.open_writer(object_id, offset_bytes)
    try:
        for piece in pieces:
            writer.write(piece)
    finally:
        await writer.close()
