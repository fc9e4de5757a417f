"""fsck: one pass over everything, beside servers that go on.

Rows are judged in batches, each in one snapshot. Objects are looked at outside of any transaction, and what looks wrong
is looked at a second time together with its row as it is by then.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from functools import partial

from openecr.blobs.store import ObjectMissing
from openecr.db import garbage, integrity, schema, uploads
from openecr.db.connection import Connection
from openecr.db.integrity import StoredBlob
from openecr.deployment import Deployment
from openecr.services.ecr.integrity import blobs, rows
from openecr.services.ecr.integrity.blobs import FetchElsewhere
from openecr.services.ecr.integrity.findings import Finding, Kind
from openecr.services.ecr.integrity.rows import Step

_ROWS = 500
_IMAGES = 50
_MISSING_BEFORE_DOUBT = 20
_MOST_ROUNDS = 8


class StoreAbsent(Exception):
    """No object that was looked for is there: the store is elsewhere, and nothing is quarantined."""


@dataclass(slots=True)
class Pass:
    """One pass: what it may do, how far it is."""

    deployment: Deployment
    quick: bool = False
    repairs: bool = False
    fetch_elsewhere: FetchElsewhere | None = None
    blobs: int = 0
    size_bytes: int = 0
    images: int = 0
    on_blob: Callable[[StoredBlob], None] = lambda _blob: None
    _seen_sound: bool = False
    _missing: list[tuple[StoredBlob, Finding]] = field(default_factory=list)

    async def run(self) -> AsyncGenerator[Finding]:
        """Every finding, as it is found.

        Raises:
            StoreAbsent: the first objects are all missing, as where a disk is not mounted.
        """
        database = self.deployment.database
        for table in schema.tables():
            for reference in table.references:
                for finding in await database.read(partial(rows.foreign_key, table=table, reference=reference)):
                    yield finding
        async for finding in self._images():
            yield finding
        for step in (rows.tags_step, rows.links_step, rows.trash_step):
            async for batch in self._steps(step, _IMAGES if step is rows.trash_step else _ROWS):
                for finding in batch.findings:
                    yield finding
        async for finding in self._discarded():
            yield finding
        async for finding in self._uploads():
            yield finding
        async for finding in self._blobs():
            yield finding
        for finding in await database.read(rows.jobs):
            yield finding

    async def _steps(self, step: Callable[[Connection, int, int], Step], most: int) -> AsyncIterator[Step]:
        after: int | None = 0
        while after is not None:
            found = await self.deployment.database.read(_bound(step, after, most))
            yield found
            after = found.after

    async def _images(self) -> AsyncIterator[Finding]:
        async for step in self._steps(rows.images_step, _IMAGES):
            self.images += step.looked_at
            sizes = [item for item in step.findings if item.kind is Kind.IMAGE_SIZE]
            for finding in step.findings:
                if finding not in sizes:
                    yield finding
            repaired = self.repairs and bool(step.wrong_sizes)
            if repaired:
                await self.deployment.database.write(partial(rows.recount, keys=step.wrong_sizes))
            for finding in sizes:
                yield replace(finding, repaired=repaired)
        if self.repairs:
            await self._settle_sizes()

    async def _settle_sizes(self) -> None:
        """Weigh again what the images just weighed are members of, until nothing changes."""
        for _ in range(_MOST_ROUNDS):
            changed = False
            async for step in self._steps(rows.images_step, _IMAGES):
                if step.wrong_sizes:
                    changed = True
                    await self.deployment.database.write(partial(rows.recount, keys=step.wrong_sizes))
            if not changed:
                return

    async def _discarded(self) -> AsyncIterator[Finding]:
        """Objects that are due to be deleted though a row names them."""
        database = self.deployment.database
        after, done = "", False
        while not done:
            last, wrong = await database.read(partial(integrity.discarded_in_use, after=after, most=_ROWS))
            for object_id in wrong:
                if self.repairs:
                    await database.write(partial(uploads.forget_object, object_id=object_id))
                yield Finding(
                    Kind.DISCARDED_IN_USE,
                    f"object {object_id}",
                    "it is to be deleted, and a row names it",
                    repaired=self.repairs,
                )
            after, done = last, last == after

    async def _uploads(self) -> AsyncIterator[Finding]:
        """Uploads whose object does not hold the bytes that were counted."""
        database, after, done = self.deployment.database, 0, False
        while not done:
            last, idle = await database.read(partial(integrity.idle_uploads_after, after=after, most=_ROWS))
            for upload in idle:
                if (
                    await self._holds(upload)
                    or await database.read(partial(integrity.upload, key=upload.key)) != upload
                ):
                    continue
                what = f"its object does not hold the {upload.offset_bytes} bytes that were counted"
                yield Finding(Kind.UPLOAD_OBJECT, f"upload {upload.upload_id}", what)
            after, done = last, last == after

    async def _holds(self, upload: integrity.StoredUpload) -> bool:
        try:
            async for _ in self.deployment.blobs.read(upload.object_id, upload.offset_bytes - 1, upload.offset_bytes):
                pass
        except ObjectMissing:
            return False
        return True

    async def _blobs(self) -> AsyncIterator[Finding]:
        after = 0
        while keys := await self.deployment.database.read(partial(integrity.blob_keys_after, after=after, most=_ROWS)):
            for key in keys:
                async for finding in self._blob(key):
                    yield finding
            after = keys[-1]
        for blob, finding in self._missing:
            async for told in self._damaged(blob, finding):
                yield told

    async def _blob(self, key: int) -> AsyncIterator[Finding]:
        checked = await blobs.check(self.deployment, key, hashes=not self.quick)
        if checked is None:
            return
        blob, finding = checked
        self.blobs += 1
        self.size_bytes += blob.size_bytes
        self.on_blob(blob)
        async for told in self._holding(blob):
            yield told
        if finding is None and blob.quarantined_us is None:
            self._seen_sound = True
            return
        if finding is None:
            is_readable = await blobs.is_readable(self.deployment, blob)
            looks = "looks sound" if is_readable else "cannot be read while its KMS key may not be used"
            finding = Finding(Kind.BLOB_QUARANTINED, blobs.name_of(blob), f"it is quarantined, and its object {looks}")
        if finding.kind is not Kind.BLOB_MISSING or self._seen_sound:
            async for told in self._damaged(blob, finding):
                yield told
            return
        self._missing.append((blob, finding))
        if len(self._missing) >= _MISSING_BEFORE_DOUBT:
            raise StoreAbsent(
                f"the first {len(self._missing)} layers that were looked for are all missing: "
                "see that the disk or store that holds them is there, then run fsck again"
            )

    async def _holding(self, blob: StoredBlob) -> AsyncIterator[Finding]:
        """Whether the row knows that nothing holds it, and by which digest it is found."""
        database = self.deployment.database
        if blob.unheld_us is None and not await database.read(partial(_is_held_or_gone, key=blob.key)):
            if self.repairs:
                await database.write(lambda db: garbage.note_unheld(db, blob.key, db.clock_us()))
            what = "nothing holds it, and collection does not know"
            yield Finding(Kind.BLOB_UNHELD, blobs.name_of(blob), what, repaired=self.repairs)
        if not blob.digests and blob.unheld_us is None:
            yield Finding(Kind.BLOB_WITHOUT_DIGEST, blobs.name_of(blob), "no digest leads to it")

    async def _damaged(self, blob: StoredBlob, finding: Finding) -> AsyncIterator[Finding]:
        """Quarantine, repair where that is asked, and tell."""
        if not blob.digests and blob.quarantined_us is not None:
            return  # healed: sound bytes have its place, and these stay for the operator
        is_new = await blobs.quarantine(self.deployment, blob, finding)
        if self.repairs:
            current = await self.deployment.database.read(partial(integrity.blob, key=blob.key))
            if current is not None and current.quarantined_us is not None:
                done = await blobs.repair(self.deployment, current, self.fetch_elsewhere)
                if done is not None:
                    yield replace(finding, what=f"{finding.what}; {done}", repaired=True)
                    return
        told = "quarantined now" if is_new else "quarantined before" if blob.quarantined_us is not None else ""
        yield replace(finding, what=f"{finding.what}; {told}" if told else finding.what)


async def let_go(deployment: Deployment) -> int:
    """Leave what is left of damaged blobs that sound ones took the place of to the next collection; how many."""
    count, after = 0, (-1, 0)
    while found := await deployment.database.read(partial(integrity.quarantined, after=after, most=_ROWS)):
        for _, key in found:
            count += await deployment.database.write(partial(integrity.let_go, key=key))
        after = found[-1]
    return count


def _bound(step: Callable[[Connection, int, int], Step], after: int, most: int) -> Callable[[Connection], Step]:
    return lambda db: step(db, after, most)


def _is_held_or_gone(db: Connection, key: int) -> bool:
    blob = integrity.blob(db, key)
    return blob is None or blob.unheld_us is not None or integrity.is_held(db, key)
