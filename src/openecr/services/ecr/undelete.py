"""Take a repository, an image or a tag out of the trash. No operation of the API: ``openecr undelete`` runs these.

Nothing that lives is changed: a name, a tag or an image that was made again meanwhile stays as it is, and is told.
"""

from dataclasses import dataclass, field

from openecr.db import images, layers, registries, repositories, trash
from openecr.db.connection import Connection
from openecr.db.images import Reference
from openecr.db.repositories import Repository
from openecr.db.trash import Trashed
from openecr.manifest import Descriptor, Manifest, parse
from openecr.names import Digest, RegistryName, is_image_tag, is_repository_name
from openecr.services.ecr import storage_classes
from openecr.services.ecr.images import store
from openecr.services.ecr.registry import SPARSE_MANIFESTS
from openecr.services.ecr.scanning import requests as scan_requests
from openecr.services.ecr.scanning import suppression_requests

_STEP = 500
_NEWEST = (2**63 - 1, 2**63 - 1)


class UndeleteRefused(Exception):
    """It cannot be taken out of the trash; the text is one sentence with the remedy."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to take out: a repository, or in it the image of a tag or digest."""

    repository_name: str
    tag: str | None = None
    digest: Digest | None = None

    def __str__(self) -> str:
        """As it is written on the command line."""
        if self.tag is not None:
            return f"{self.repository_name}:{self.tag}"
        return self.repository_name if self.digest is None else f"{self.repository_name}@{self.digest}"


@dataclass(frozen=True, slots=True)
class _Work:
    """One undeletion in its transaction: where, when, and what was done so far, a sentence each."""

    db: Connection
    repository: Repository
    now_us: int
    promised_until_us: int
    done: list[str] = field(default_factory=list)


def parse_wanted(text: str) -> Wanted:
    """Read ``REPO``, ``REPO:tag`` or ``REPO@digest``.

    Raises:
        UndeleteRefused: it is none of these.
    """
    name, at, digest_text = text.partition("@")
    name, colon, tag = name.partition(":") if not at else (name, "", "")
    digest = Digest.parse(digest_text) if at else None
    bad_part = (at and digest is None) or (colon and not is_image_tag(tag))
    if bad_part or not is_repository_name(name):
        raise UndeleteRefused(
            f"'{text}' is not REPO, REPO:tag or REPO@digest; give the repository's name without the registry's host"
        )
    return Wanted(name, tag if colon else None, digest)


def locate(db: Connection, registry: RegistryName, wanted: Wanted) -> int:
    """The key of the newest deletion of what is wanted: a read, because a long trash is walked for a tag.

    Raises:
        UndeleteRefused: the trash does not have it.
    """
    registry_key = registries.find_key(db, registry)
    found: int | None = None
    if registry_key is not None and wanted.tag is not None:
        found = _newest_of_tag(db, registry_key, wanted.repository_name, wanted.tag)
    elif registry_key is not None and wanted.digest is not None:
        found = trash.newest_image(db, registry_key, wanted.repository_name, wanted.digest.stored)
    elif registry_key is not None:
        found = trash.newest_repository(db, registry_key, wanted.repository_name)
    if found is None:
        raise UndeleteRefused(
            f"the trash of registry {registry} has no {wanted}; "
            "check the name, and --account and --region where it is another registry's"
        )
    return found


def undelete(
    db: Connection,
    registry: RegistryName,
    wanted: Wanted,
    trash_key: int,
    *,
    now_us: int,
    promise_us: int,
    new_name: str | None = None,
) -> list[str]:
    """Take one deletion out of the trash.

    Args:
        trash_key: what ``locate`` found.
        promise_us: how long a layer that is linked again stays without an image that names it.
        new_name: the name that a repository gets; its own without it.
    Returns:
        What was done, a sentence each.
    Raises:
        UndeleteRefused: something that lives is in the way, or something that is needed is gone.
    """
    trashed = trash.find(db, trash_key)
    if trashed is None:
        raise UndeleteRefused(f"{wanted} left the trash a moment ago; look at what is there, then try again")
    if trashed.kind == trash.REPOSITORY:
        return _undelete_repository(db, registry, trashed, new_name or trashed.repository_name)
    repository = repositories.find(db, registry, trashed.repository_name, lock=True)
    if repository is None:
        raise UndeleteRefused(
            f"the repository {trashed.repository_name} does not exist; take it out of the trash with "
            f"`openecr undelete {trashed.repository_name}`, or create it, and try again"
        )
    work = _Work(db, repository, now_us, now_us + promise_us)
    if trashed.kind == trash.TAG:
        _undelete_tag(work, trashed)
    else:
        _undelete_image(work, trashed)
    return work.done


def _newest_of_tag(db: Connection, registry_key: int, repository_name: str, tag: str) -> int | None:
    before = _NEWEST
    while step := trash.tags_before(db, registry_key, repository_name, before, _STEP):
        for _, key, tags in step:
            if tag in tags:
                return key
        before = step[-1][:2]
    return None


def _undelete_repository(db: Connection, registry: RegistryName, trashed: Trashed, name: str) -> list[str]:
    if not is_repository_name(name):
        raise UndeleteRefused(f"'{name}' cannot be a repository's name; give another with --as")
    if not repositories.restore(db, trashed.document["repositoryKey"], name):
        raise UndeleteRefused(
            f"a repository {name} exists in registry {registry}; "
            f"take the deleted one out under another name: openecr undelete {trashed.repository_name} --as NAME"
        )
    suppression_requests.owe_for_repository(db, trashed.document["repositoryKey"])
    scan_requests.owe_again(db, trashed.document["repositoryKey"])
    trash.delete(db, trashed.key)
    return [f"repository {name} is back, with all that it held"]


def _undelete_tag(work: _Work, trashed: Trashed) -> None:
    """Point the tag at its image again, which may have to come out of the trash first."""
    name, tag, digest = trashed.repository_name, trashed.tags[0], _digest(trashed)
    holder = images.find_tagged(work.db, work.repository.key, tag)
    if holder is not None:
        raise UndeleteRefused(
            f"the tag {tag} of {name} points at {Digest(holder.digest)} now; delete that tag first, "
            f"or push {digest} again under another tag"
        )
    image = images.find(work.db, work.repository.key, digest.stored)
    image_key = image.key if image is not None else _image_from_trash(work, digest)
    if image_key is None:
        raise UndeleteRefused(f"the image {digest} of the tag {tag} is not in the trash of {name}; push it again")
    _point_tags(work, (tag,), image_key)
    trash.delete(work.db, trashed.key)


def _undelete_image(work: _Work, trashed: Trashed) -> int:
    """Bring back an image with what it names and the tags that are still free; its key."""
    digest = _digest(trashed)
    image = images.find(work.db, work.repository.key, digest.stored)
    if image is not None:
        image_key = image.key
        work.done.append(f"image {digest} was pushed again meanwhile, and stays")
    else:
        image_key = _store(work, trashed, digest)
        work.done.append(f"image {digest} is back")
    _point_tags(work, trashed.tags, image_key)
    trash.delete(work.db, trashed.key)
    return image_key


def _store(work: _Work, trashed: Trashed, digest: Digest) -> int:
    assert trashed.manifest is not None  # noqa: S101 - a trashed image keeps its manifest
    manifest = parse(trashed.manifest, trashed.document["mediaType"])
    image_key = store(
        work.db,
        work.repository.key,
        digest,
        manifest,
        _references(work, trashed, manifest),
        pushed_us=trashed.document["pushedUs"],
        ever_tagged=bool(trashed.document["everTagged"]),
    )
    # What was found went with the image: one that is back without a scan would be refused by gates and waiters.
    if storage_classes.put_back(work.db, work.repository, image_key, trashed.document, work.now_us):
        scan_requests.owe_on_push(work.db, work.repository, image_key, manifest, work.now_us)
    return image_key


def _references(work: _Work, trashed: Trashed, manifest: Manifest) -> list[Reference]:
    """What the manifest names, bound to what the repository holds or the trash gives back."""
    kept = {digest: blob_key for digest, blob_key, _ in trash.layers_of(work.db, trashed.key)}
    references: list[Reference] = []
    for position, item in enumerate((*manifest.blobs, *manifest.members)):
        child_key = layer_key = None
        if item.digest.stored in kept:
            layer_key = _link(work, item.digest, kept[item.digest.stored])
        elif manifest.is_index:
            child_key = _member(work, item)
        references.append(Reference(position, item.digest.stored, item.media_type, layer_key, child_key))
    missing = [str(Digest(item.digest)) for item in references if item.layer_key is None and item.child_key is None]
    if missing and _setting(work, SPARSE_MANIFESTS) != "ENABLED":
        raise UndeleteRefused(
            f"{_digest(trashed)} names {', '.join(missing)}, which {work.repository.name} and its trash do not have; "
            "push what is missing, then try again"
        )
    return references


def _link(work: _Work, digest: Digest, blob_key: int) -> int:
    """Link a layer's bytes into the repository again, with a promise like a layer that was just pushed."""
    repository = work.repository
    if layers.scope_of(work.db, blob_key) != (repository.registry_key, repository.encryption_key):
        blob = layers.find_blob(work.db, repository.registry_key, repository.encryption_key, digest.stored)
        if blob is None:
            raise UndeleteRefused(
                f"the repository {repository.name} was made again with another encryption, so that it cannot take the "
                f"layer {digest} from the trash; push the image again"
            )
        blob_key = blob.key
    key = layers.link(
        work.db,
        repository.key,
        digest.stored,
        blob_key,
        promised_until_us=work.promised_until_us,
        now_us=work.now_us,
    )
    images.fill_gaps(work.db, repository.key, digest.stored, layer_key=key)
    return key


def _member(work: _Work, item: Descriptor) -> int | None:
    """The key of an index's member: the image that is there, or the one in the trash."""
    image = images.find(work.db, work.repository.key, item.digest.stored)
    return image.key if image is not None else _image_from_trash(work, item.digest)


def _image_from_trash(work: _Work, digest: Digest) -> int | None:
    repository = work.repository
    key = trash.newest_image(work.db, repository.registry_key, repository.name, digest.stored)
    trashed = trash.find(work.db, key) if key is not None else None
    return None if trashed is None else _undelete_image(work, trashed)


def _point_tags(work: _Work, tags: tuple[str, ...], image_key: int) -> None:
    """Give an image its tags back, where nothing has them by now."""
    for tag in tags:
        holder = images.find_tagged(work.db, work.repository.key, tag)
        if holder is None:
            images.set_tag(work.db, work.repository.key, tag, image_key, work.now_us)
            work.done.append(f"tag {tag} points at it again")
        elif holder.key != image_key:
            work.done.append(f"tag {tag} stays at {Digest(holder.digest)}, to which it was pushed meanwhile")


def _setting(work: _Work, name: str) -> str | None:
    return registries.setting(work.db, work.repository.registry, name)


def _digest(trashed: Trashed) -> Digest:
    assert trashed.digest is not None  # noqa: S101 - only a repository's deletion has none
    return Digest(trashed.digest)
