"""Export images with all that belongs to them: members, layers, and what refers to them (signatures, SBOMs)."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import orjson

from openecr.blobs.store import BlobDamaged
from openecr.db import images, integrity, layers, repositories
from openecr.db.connection import Connection
from openecr.db.images import Image
from openecr.db.integrity import StoredBlob
from openecr.db.repositories import Repository
from openecr.deployment import Deployment
from openecr.manifest import OCI_INDEX, Manifest, parse
from openecr.names import Digest, RegistryName
from openecr.oci_layout.names import INDEX, MARKER, MARKER_TEXT, REF_NAME, REPOSITORY, LayoutRefused
from openecr.oci_layout.write import Writer
from openecr.services.ecr.integrity.blob_bytes import plain_store
from openecr.services.ecr.undelete import parse_wanted

_PAGE = 500
_MOST_REFERRERS = 10_000
_LONGEST_CHAIN = 32
"""Referrers of referrers, indexes in indexes."""


@dataclass(slots=True)
class Exporting:
    """One export."""

    deployment: Deployment
    registry: RegistryName
    writer: Writer
    advance: Callable[[int], None] = lambda _size_bytes: None
    images: int = 0
    blobs: int = 0
    size_bytes: int = 0
    _roots: list[dict[str, Any]] = field(default_factory=list)
    _done: set[tuple[int, bytes]] = field(default_factory=set)
    _many: bool = False

    async def run(self, wanted: list[str]) -> None:
        """Write a layout of repositories (``REPO``) and images (``REPO:tag``, ``REPO@digest``).

        Raises:
            UndeleteRefused: a text is none of these.
            LayoutRefused: something is not there, or its bytes are damaged.
        """
        parsed = [parse_wanted(text) for text in wanted]
        self._many = len({item.repository_name for item in parsed}) > 1
        for item in parsed:
            name, tag, digest = item.repository_name, item.tag, item.digest
            repository = await self._read(partial(repositories.find, registry=self.registry, name=name))
            if repository is None:
                raise LayoutRefused(f"there is no repository {name} in the registry {self.registry}")
            if tag is None and digest is None:
                await self._whole(repository)
            else:
                await self._one(repository, tag, digest)
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": self._roots}
        self.writer.file(MARKER, MARKER_TEXT)
        self.writer.file(INDEX, orjson.dumps(index, option=orjson.OPT_INDENT_2))
        self.writer.close()

    async def _read(self, query: Callable[[Connection], Any]) -> Any:
        return await self.deployment.database.read(query)

    async def _one(self, repository: Repository, tag: str | None, digest: Digest | None) -> None:
        image = await self._read(
            partial(images.find_tagged, repository_key=repository.key, tag=tag)
            if tag is not None
            else partial(images.find, repository_key=repository.key, digest=digest.stored if digest else b"")
        )
        if image is None:
            raise LayoutRefused(f"there is no image {tag or digest} in the repository {repository.name}")
        await self._image(repository, image, 0)
        self._name(repository, image, tag)

    async def _whole(self, repository: Repository) -> None:
        position = (-1, b"")
        while page := await self._read(
            partial(
                images.list_after,
                repository_key=repository.key,
                after=position,
                most=_PAGE,
                status=None,
                tagged=None,
            )
        ):
            tags = await self._read(partial(images.tags_of_many, images=page))
            for image in page:
                await self._image(repository, image, 0)
                for tag in tags.get(image.key) or [None]:
                    self._name(repository, image, tag)
            position = (page[-1].pushed_us, page[-1].digest)

    def _name(self, repository: Repository, image: Image, tag: str | None) -> None:
        annotations = {REPOSITORY: repository.name}
        if tag is not None:
            annotations[REF_NAME] = f"{repository.name}:{tag}" if self._many else tag
        told = {
            "mediaType": image.media_type,
            "digest": str(Digest(image.digest)),
            "size": image.manifest_size_bytes,
            "annotations": annotations,
        }
        if told not in self._roots:
            self._roots.append(told)

    async def _image(self, repository: Repository, image: Image, depth: int) -> None:
        """Write an image, what it names, and what refers to it."""
        if (repository.key, image.digest) in self._done:
            return
        if depth > _LONGEST_CHAIN:
            raise LayoutRefused(f"{Digest(image.digest)} is the end of a chain of more than {_LONGEST_CHAIN} images")
        self._done.add((repository.key, image.digest))
        content = await self._read(partial(images.manifest_of, image_key=image.key))
        digest = Digest(image.digest)
        if not self.writer.has(digest, len(content)):
            await self.writer.blob(digest, len(content), _one_piece(content))
        self.images += 1
        manifest = parse(content, image.media_type)
        await self._named(repository, manifest, depth)
        async for referrer in self._referrers(repository, image):
            await self._image(repository, referrer, depth + 1)
            self._name(repository, referrer, None)

    async def _named(self, repository: Repository, manifest: Manifest, depth: int) -> None:
        for item in (*manifest.blobs, *manifest.members):
            member = None
            if manifest.is_index:
                member = await self._read(
                    partial(images.find, repository_key=repository.key, digest=item.digest.stored)
                )
            if member is not None:
                await self._image(repository, member, depth + 1)
            elif not item.is_manifest:
                await self._layer(repository, item.digest)

    async def _layer(self, repository: Repository, digest: Digest) -> None:
        blob = await self._read(partial(_blob_of, repository_key=repository.key, digest=digest.stored))
        if blob is None:
            raise LayoutRefused(
                f"the layer {digest} of {repository.name} is not there; find out why with: openecr fsck"
            )
        if not self.writer.has(digest, blob.size_bytes):
            pieces = (await plain_store(self.deployment, blob)).read(blob.object_id, 0, blob.size_bytes)
            try:
                await self.writer.blob(digest, blob.size_bytes, self._counted(pieces))
            except BlobDamaged:
                raise LayoutRefused(f"the bytes of {digest} are damaged; find what is with: openecr fsck") from None
            self.blobs += 1
            self.size_bytes += blob.size_bytes

    async def _counted(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for piece in pieces:
            self.advance(len(piece))
            yield piece

    async def _referrers(self, repository: Repository, image: Image) -> AsyncIterator[Image]:
        after, count = b"", 0
        while page := await self._read(
            partial(
                images.referrers_after,
                repository_key=repository.key,
                subject=image.digest,
                after=after,
                most=_PAGE,
            )
        ):
            for referrer in page:
                count += 1
                if count > _MOST_REFERRERS:
                    raise LayoutRefused(f"{Digest(image.digest)} has more than {_MOST_REFERRERS} referrers")
                yield referrer
            after = page[-1].digest


def _blob_of(db: Connection, repository_key: int, digest: bytes) -> StoredBlob | None:
    layer = layers.find(db, repository_key, digest, db.clock_us())
    return None if layer is None else integrity.blob(db, layer.blob_key)


async def _one_piece(content: bytes) -> AsyncIterator[bytes]:
    yield content
