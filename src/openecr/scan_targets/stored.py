"""Images of a deployment: layers that a scan read are not read again."""

from functools import partial

from openecr.blobs.store import BlobDamaged, ObjectMissing
from openecr.db import images, repositories
from openecr.db import storage_classes as image_rows
from openecr.db.connection import Connection
from openecr.db.images import Image
from openecr.db.repositories import Repository
from openecr.deployment import Deployment
from openecr.names import Digest
from openecr.scan_targets.target import Target, TargetRefused
from openecr.services.ecr.scanning import target as scanned
from openecr.services.ecr.scanning.sboms import subject_of
from openecr.services.ecr.scanning.scan import inventory_of
from openecr.services.ecr.scanning.suppressing import gather, names_of
from openecr.services.ecr.scanning.vex_documents import VexDocuments


async def read_stored(deployment: Deployment, name: str, image_key: int) -> list[Target]:
    """Read an image, or the platform members of an index.

    Raises:
        TargetRefused: it has no file system, or its bytes are damaged.
        IndexingFailed, KmsRefused
    """
    members, repository = await deployment.database.read(partial(_members, image_key=image_key))
    if not members or repository is None:
        raise TargetRefused(f"{name} is no image that could be scanned: it has no file system")
    documents = VexDocuments(deployment)
    return [await _target(deployment, documents, repository, member, name, image_key) for member in members]


def _members(db: Connection, image_key: int) -> tuple[list[Image], Repository | None]:
    image, repository_key = image_rows.find(db, image_key), images.repository_of(db, image_key)
    repository = None if repository_key is None else repositories.find_by_key(db, repository_key)
    return ([] if image is None else scanned.members(db, image)), repository


async def _target(
    deployment: Deployment, documents: VexDocuments, repository: Repository, image: Image, name: str, asked_key: int
) -> Target:
    digest = str(Digest(image.digest))
    try:
        found = await inventory_of(deployment, image)
    except (BlobDamaged, ObjectMissing):
        raise TargetRefused(f"a layer of {digest} is damaged in the store; see openecr fsck") from None
    gathered = await gather(deployment, documents, image.key)
    registry = repository.registry
    return Target(
        name if image.key == asked_key else f"{name} ({found.architecture or digest})",
        found.inventory,
        repository=subject_of(deployment.settings, repository, image, (), "").repository,
        digest=digest,
        layers=found.layers,
        architecture=found.architecture,
        repositories=names_of(deployment.settings, registry, repository.name),
        digests=frozenset((digest, *(str(Digest(parent)) for parent in gathered.basis.parents))),
        ruled=gathered.ruled,
        attached=gathered.attached,
        dated_us=image.pushed_us,
    )
