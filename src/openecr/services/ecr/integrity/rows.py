"""Rows against rows: images against their manifests, tags, links, the trash, foreign keys. Each batch is one snapshot,
so that nothing that changes meanwhile is a finding."""

from collections.abc import Iterator
from dataclasses import dataclass

from openecr.db import images, integrity, schema
from openecr.db.connection import Connection
from openecr.db.integrity import Bound, StoredImage
from openecr.db.schema import Table
from openecr.manifest import Manifest, ManifestRefused, parse
from openecr.names import Digest
from openecr.services.ecr.integrity.findings import Finding, Kind

_MOST_DANGLING = 100
_LATE_US = 3600 * 1_000_000


@dataclass(frozen=True, slots=True)
class Step:
    """What a batch found, and where the next begins; ``after`` is None at the end."""

    after: int | None
    looked_at: int
    findings: list[Finding]
    wrong_sizes: tuple[int, ...] = ()
    """Keys of the images whose size a recount changes."""


def images_step(db: Connection, after: int, most: int) -> Step:
    """Images against their manifests and their rows."""
    batch = integrity.images_after(db, after, most)
    findings: list[Finding] = []
    wrong_sizes: list[int] = []
    for image in batch:
        bound = integrity.bound_to(db, image.key)
        findings += check_image(image, bound)
        if image.image_size_bytes != weigh(bound):
            wrong_sizes.append(image.key)
    return Step(batch[-1].key if batch else None, len(batch), findings, tuple(wrong_sizes))


def check_image(image: StoredImage, bound: list[Bound]) -> Iterator[Finding]:
    """What of an image's row does not agree with its manifest's bytes."""
    where, digest = _image_name(image), Digest(image.digest)
    if Digest.of(image.manifest, digest.algorithm) != digest:
        yield Finding(Kind.MANIFEST_BYTES, where, "the manifest's bytes do not have the image's digest")
        return
    try:
        manifest = parse(image.manifest, image.media_type)
    except ManifestRefused as refusal:
        yield Finding(Kind.MANIFEST_BYTES, where, f"the manifest cannot be read: {refusal}")
        return
    wrong = [name for name, stored, read in _fields(image, manifest) if stored != read]
    if wrong:
        yield Finding(Kind.MANIFEST_FIELDS, where, f"the row disagrees with its manifest in {', '.join(wrong)}")
    named = [(position, item.digest.stored) for position, item in enumerate((*manifest.blobs, *manifest.members))]
    if [(item.position, item.digest) for item in bound] != named:
        yield Finding(
            Kind.IMAGE_REFERENCES,
            where,
            f"the manifest names {len(named)} things, the rows {len(bound)}, and they are not the same",
        )
    elif any(item.repository_key != image.repository_key for item in bound):
        yield Finding(Kind.IMAGE_REFERENCES, where, "it is bound to what another repository holds")
    if image.image_size_bytes != weigh(bound):
        yield Finding(Kind.IMAGE_SIZE, where, f"the row says {image.image_size_bytes} bytes, a recount {weigh(bound)}")


def weigh(bound: list[Bound]) -> int:
    """What an image weighs (see ``openecr.db.images.weigh``)."""
    members = [item.size_bytes for item in bound if item.is_member]
    return max(members) if members else sum(item.size_bytes for item in bound if item.is_layer)


def _fields(image: StoredImage, manifest: Manifest) -> list[tuple[str, object, object]]:
    return [
        ("manifest size", image.manifest_size_bytes, len(image.manifest)),
        ("media type", image.media_type, manifest.media_type),
        ("artifact type", image.artifact_type, manifest.artifact_type),
        ("subject", image.subject_digest, manifest.subject.stored if manifest.subject else None),
    ]


def _image_name(image: StoredImage) -> str:
    return f"{image.account_id}.{image.region}/{image.repository_name}@{Digest(image.digest)}"


def tags_step(db: Connection, after: int, most: int) -> Step:
    """Tags whose image is another repository's."""
    last, wrong = integrity.tags_elsewhere(db, after, most)
    findings = [
        Finding(Kind.TAG_ELSEWHERE, f"tag {name} of repository {key}", f"it points at {Digest(digest)} elsewhere")
        for key, name, digest in wrong
    ]
    return Step(last if last > after else None, 0, findings)


def links_step(db: Connection, after: int, most: int) -> Step:
    """Links whose blob has not the digest, or is another registry's."""
    batch = integrity.links_after(db, after, most)
    findings: list[Finding] = []
    for link in batch:
        where = f"layer {Digest(link.digest)} of {link.repository_name}"
        if not link.has_digest:
            findings.append(Finding(Kind.LINK_DIGEST, where, "its blob does not have this digest"))
        if not link.in_scope:
            findings.append(Finding(Kind.LINK_SCOPE, where, "its blob belongs to another registry"))
    return Step(batch[-1].key if batch else None, len(batch), findings)


def trash_step(db: Connection, after: int, most: int) -> Step:
    """Deletions whose manifest or layers would not come back."""
    batch = integrity.deletions_after(db, after, most)
    findings: list[Finding] = []
    for deletion in batch:
        if deletion.digest is None or deletion.manifest is None:
            continue
        digest = Digest(deletion.digest)
        where = f"deleted image {deletion.repository_name}@{digest}"
        if Digest.of(deletion.manifest, digest.algorithm) != digest:
            findings.append(Finding(Kind.TRASH_MANIFEST, where, "the manifest's bytes do not have its digest"))
        findings += [
            Finding(Kind.TRASH_LAYER, where, f"the blob of layer {Digest(layer)} does not have this digest")
            for layer, has_digest in integrity.trashed_layers(db, deletion.key)
            if not has_digest
        ]
    return Step(batch[-1].key if batch else None, len(batch), findings)


def foreign_key(db: Connection, table: Table, reference: tuple[str, str, str]) -> list[Finding]:
    """References that name no row: a database that was changed behind its constraints."""
    return [
        Finding(
            Kind.FOREIGN_KEY, f"{table.name}.{reference[0]} of row {'/'.join(map(_told, row))}", f"no {reference[1]}"
        )
        for row in schema.dangling(db, table, reference, _MOST_DANGLING)
    ]


def _told(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def jobs(db: Connection) -> list[Finding]:
    """Work that was promised and does not happen."""
    return [
        Finding(
            Kind.JOB_FAILED, f"job {key} ({kind})", f"{'dead' if state == 'dead' else 'late'}: {error}".rstrip(": ")
        )
        for key, kind, state, error in integrity.failed_jobs(db, _LATE_US, _MOST_DANGLING)
    ]


def recount(db: Connection, keys: tuple[int, ...]) -> None:
    """Weigh images again."""
    for key in keys:
        images.weigh(db, key)
