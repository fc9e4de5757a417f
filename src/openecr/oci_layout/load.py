"""Import a layout: through the same decisions as a client's push, so that immutability and limits hold."""

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field

from openecr.errors import ManifestUnknown, RepositoryNotFound
from openecr.manifest import Descriptor, ManifestRefused, parse
from openecr.names import Digest
from openecr.oci_layout.names import LayoutRefused, blob_name, target_of
from openecr.oci_layout.read import Source, index_of, manifest_bytes, root_of
from openecr.services.ecr import uploads
from openecr.services.ecr.images import offer, pull_image, push_image
from openecr.services.ecr.layers import check
from openecr.services.ecr.repositories import create_repository
from openecr.services.ecr.upload_completion import complete_upload
from openecr.services.ecr.upload_parts import append
from openecr.waist import Flow

_MOST_IMAGES = 100_000
_DEEPEST = 16


@dataclass(slots=True)
class Importing:
    """One import."""

    moving: Flow
    source: Source
    creates: bool = False
    advance: Callable[[int], None] = lambda _size_bytes: None
    images: int = 0
    tags: int = 0
    copied: int = 0
    copied_bytes: int = 0
    _known: set[str] = field(default_factory=set)
    _pushed: set[tuple[str, Digest]] = field(default_factory=set)

    async def run(self, into: str | None) -> None:
        """Push everything that the layout's index names; what is there already is not copied again.

        Args:
            into: the repository that takes it all; None where the layout says which.
        Raises:
            LayoutRefused: the layout is not sound; what was pushed before stays.
            RegistryError: what a client's push would be told.
        """
        roots = [(root_of(item), *target_of(item, into)) for item in index_of(self.source)]
        for descriptor, repository, tag in roots:
            await self._require_repository(repository)
            await self._image(repository, descriptor, 0)
            if tag is not None:
                await self._tag(repository, descriptor, tag)

    async def _require_repository(self, name: str) -> None:
        if name in self._known:
            return
        try:
            await check(self.moving, repository_name=name, digests=())
        except RepositoryNotFound:
            if not self.creates:
                raise LayoutRefused(
                    f"there is no repository {name}; create it, or let the import do so with --create"
                ) from None
            await self.moving.waist.invoke(create_repository, self.moving.origin, repository_name=name)
        self._known.add(name)

    async def _image(self, repository: str, descriptor: Descriptor, depth: int) -> None:
        """Push what a manifest names, then the manifest."""
        if (repository, descriptor.digest) in self._pushed:
            return
        if depth > _DEEPEST or self.images > _MOST_IMAGES:
            raise LayoutRefused("the layout's indexes name more, or deeper, than any export does")
        content = manifest_bytes(self.source, descriptor.digest, descriptor.size_bytes)
        try:
            manifest = parse(content, descriptor.media_type)
        except ManifestRefused as refusal:
            raise LayoutRefused(f"{descriptor.digest} is no manifest: {refusal}") from None
        for item in (*manifest.blobs, *manifest.members):
            if self.source.size_bytes(blob_name(item.digest)) is None:
                continue  # the push says whether the repository has it, or can do without
            if manifest.is_index and item.is_manifest:
                await self._image(repository, item, depth + 1)
            else:
                await self._layer(repository, item)
        await self.moving.run(
            push_image,
            repository_name=repository,
            offered=offer(content, descriptor.media_type, descriptor.digest),
        )
        self._pushed.add((repository, descriptor.digest))
        self.images += 1

    async def _tag(self, repository: str, descriptor: Descriptor, tag: str) -> None:
        """Point a tag at an image, unless it does."""
        try:
            there = await self.moving.run(
                pull_image, repository_name=repository, reference=tag, accepted=frozenset(), counts=False
            )
        except ManifestUnknown:
            pass
        else:
            if there.digest == descriptor.digest:
                return
        content = manifest_bytes(self.source, descriptor.digest, descriptor.size_bytes)
        await self.moving.run(
            push_image,
            repository_name=repository,
            offered=offer(content, descriptor.media_type, descriptor.digest),
            tags=(tag,),
        )
        self.tags += 1

    async def _layer(self, repository: str, item: Descriptor) -> None:
        """Upload a layer that the repository does not have; its digest is compared at the end, as in any upload."""
        name = blob_name(item.digest)
        size_bytes = self.source.size_bytes(name)
        if size_bytes != item.size_bytes:
            raise LayoutRefused(
                f"the layout has {size_bytes} bytes of {item.digest}, its manifest says {item.size_bytes}"
            )
        if await check(self.moving, repository_name=repository, digests=(item.digest,)):
            self.advance(item.size_bytes)
            return
        new_id = self.moving.deployment.new_id
        upload_id = await self.moving.run(uploads.begin, repository_name=repository, upload_id=new_id())
        pieces = self._counted(self.source.pieces(name))
        await append(self.moving, repository_name=repository, upload_id=upload_id, pieces=pieces)
        await self.moving.run(
            complete_upload,
            repository_name=repository,
            upload_id=upload_id,
            digests=(item.digest,),
            spare_id=new_id(),
        )
        self.copied += 1
        self.copied_bytes += item.size_bytes

    async def _counted(self, pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
        for piece in pieces:
            self.advance(len(piece))
            yield piece
