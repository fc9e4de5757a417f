"""Who holds a vulnerability: images with the layer and path that bring it, and the image that they are based on."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

from openecr.db import images, inventories, vulnerable_images
from openecr.db.connection import Connection, Database
from openecr.db.vulnerable_images import VulnerableImage, VulnerablePackage
from openecr.services.ecr.scanning import inventory

_STEP = 200


@dataclass(frozen=True, slots=True)
class Place:
    """Where in an image a package lies."""

    path: str
    layer: str
    """The layer's digest."""
    base_image: str | None
    """A tagged image that ends with this layer, or one above it, and is not the image itself: ``repository:tag``."""


@dataclass(frozen=True, slots=True)
class Holder:
    """An image that holds a vulnerability."""

    image: VulnerableImage
    tags: tuple[str, ...]
    package: VulnerablePackage
    places: tuple[Place, ...]


async def holders(database: Database, name: str, *, pulled_since_us: int | None = None) -> AsyncIterator[Holder]:
    """Every scanned image that holds a vulnerability by the data in use.

    Args:
        pulled_since_us: only images that were pulled at this instant or later.
    """
    after = 0
    while step := await database.read(partial(vulnerable_images.packages, name=name, after=after, most=_STEP)):
        after = step[-1].key
        for package in step:
            last = 0
            while found := await database.read(
                partial(vulnerable_images.images, name=name, package_key=package.key, after=last, most=_STEP)
            ):
                last = found[-1].key
                for image in found:
                    if pulled_since_us is None or (image.pulled_us or 0) >= pulled_since_us:
                        yield await database.read(partial(_holder, image=image, package=package))


def _holder(db: Connection, image: VulnerableImage, package: VulnerablePackage) -> Holder:
    kept = inventories.find_image(db, image.key)
    tags = tuple(images.tags_of(db, image.key))
    if kept is None:
        return Holder(image, tags, package, ())
    known = inventory.unpack(kept.document)
    own = {f"{image.repository}:{tag}" for tag in tags}
    layers = [layer for layer in inventories.layers_of(db, image.key, "") if "tar" in layer.media_type]
    places = []
    for installed in known.by_package_key().get(package.key, []):
        based = (vulnerable_images.ends_with(db, layer.blob_key) for layer in layers[installed.layer :])
        base_image = next((name for name in based if name is not None and name not in own), None)
        layer = known.layers[installed.layer] if installed.layer < len(known.layers) else ""
        places.append(Place(installed.path, layer, base_image))
    return Holder(image, tags, package, tuple(places))
