"""What fsck may find: one kind a promise that does not hold."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """A promise that does not hold."""

    BLOB_MISSING = "blob-missing"
    BLOB_SIZE = "blob-size"
    BLOB_BYTES = "blob-bytes"
    BLOB_UNREADABLE = "blob-unreadable"
    BLOB_QUARANTINED = "blob-quarantined"
    BLOB_WITHOUT_DIGEST = "blob-without-digest"
    BLOB_UNHELD = "blob-unheld"
    LINK_DIGEST = "link-digest"
    LINK_SCOPE = "link-scope"
    MANIFEST_BYTES = "manifest-bytes"
    MANIFEST_FIELDS = "manifest-fields"
    IMAGE_REFERENCES = "image-references"
    IMAGE_SIZE = "image-size"
    TAG_ELSEWHERE = "tag-elsewhere"
    TRASH_MANIFEST = "trash-manifest"
    TRASH_LAYER = "trash-layer"
    UPLOAD_OBJECT = "upload-object"
    DISCARDED_IN_USE = "discarded-in-use"
    FOREIGN_KEY = "foreign-key"
    JOB_FAILED = "job-failed"


REMEDIES = {
    Kind.BLOB_MISSING: "push an image with this layer again, or put the object back and run: openecr fsck --repair",
    Kind.BLOB_SIZE: "push an image with this layer again",
    Kind.BLOB_BYTES: "push an image with this layer again",
    Kind.BLOB_UNREADABLE: "look after the disk or store that holds the layers, then run fsck again",
    Kind.BLOB_QUARANTINED: "push an image with this layer again, or look for its bytes: openecr fsck --repair",
    Kind.BLOB_WITHOUT_DIGEST: "restore the metadata from a backup",
    Kind.BLOB_UNHELD: "let collection take it: openecr fsck --repair",
    Kind.LINK_DIGEST: "delete the images that name it and push them again",
    Kind.LINK_SCOPE: "delete the images that name it and push them again",
    Kind.MANIFEST_BYTES: "delete the image by its digest and push it again",
    Kind.MANIFEST_FIELDS: "delete the image by its digest and push it again",
    Kind.IMAGE_REFERENCES: "delete the image by its digest and push it again",
    Kind.IMAGE_SIZE: "count again: openecr fsck --repair",
    Kind.TAG_ELSEWHERE: "delete the tag and push it again",
    Kind.TRASH_MANIFEST: "the deletion cannot be undone; push the image again where it is needed",
    Kind.TRASH_LAYER: "the deletion cannot be undone; push the image again where it is needed",
    Kind.UPLOAD_OBJECT: "the client has to begin the upload again",
    Kind.DISCARDED_IN_USE: "keep the object: openecr fsck --repair",
    Kind.FOREIGN_KEY: "restore the metadata from a backup",
    Kind.JOB_FAILED: "see its error: openecr jobs list; then: openecr jobs retry, or openecr jobs cancel",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One promise that does not hold: where, what was seen, and what helps."""

    kind: Kind
    where: str
    what: str
    repaired: bool = False

    @property
    def remedy(self) -> str:
        """What an operator can do."""
        return "" if self.repaired else REMEDIES[self.kind]

    def as_document(self) -> dict[str, object]:
        """For ``--json``."""
        return {
            "kind": self.kind.value,
            "where": self.where,
            "what": self.what,
            "repaired": self.repaired,
            "remedy": self.remedy,
        }
