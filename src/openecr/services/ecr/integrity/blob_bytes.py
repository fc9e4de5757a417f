"""The one door to a blob's bytes for fsck, the scrub, backups and exports."""

from collections.abc import AsyncIterator

from openecr.blobs import encrypted
from openecr.blobs.store import BlobStore
from openecr.db.integrity import StoredBlob
from openecr.deployment import Deployment
from openecr.encryption import PLAIN


async def plain_store(deployment: Deployment, blob: StoredBlob) -> BlobStore:
    """The store that reads the plain bytes of a blob under its object id, whatever its cipher.

    Raises:
        KmsRefused: the blob's KMS key may not be used now.
    """
    return await deployment.store_of(blob.data_key)


def stored_size_bytes(blob: StoredBlob) -> int:
    """How many bytes the blob's object has as it lies in the store."""
    return blob.size_bytes if blob.cipher == PLAIN else encrypted.stored_size_bytes(blob.size_bytes)


async def write_object(blobs: BlobStore, object_id: str, pieces: AsyncIterator[bytes]) -> int:
    """Make a durable object of some pieces; its size.

    Raises:
        StorageFull: the store has no room; what was written is the caller's to discard.
    """
    writer = await blobs.open_writer(object_id, 0)
    size_bytes = 0
    try:
        async for piece in pieces:
            writer.write(piece)
            size_bytes += len(piece)
            await writer.drain()
    finally:
        await writer.close()
    await blobs.seal(object_id, size_bytes)
    return size_bytes
