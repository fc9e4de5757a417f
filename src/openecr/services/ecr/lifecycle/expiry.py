"""Policies run: a job per repository, owed in the transaction that puts the policy, and again after each run.

A run plans from bounded reads and applies in bounded transactions. Each transaction holds the repository, asks whether
the policy is still the one that was planned by, and judges no image by what is not true any more: one that was tagged,
pushed, untagged or restored since stays. A run that dies is planned anew by the next.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import structlog

from openecr.db import images, jobs, lifecycle, repositories
from openecr.db.connection import Connection, Database
from openecr.db.lifecycle import StoredPolicy
from openecr.db.repositories import Repository
from openecr.deployment import Deployment
from openecr.jobs.queue import DEFAULT_QUEUE, enqueue
from openecr.jobs.worker import TerminalError
from openecr.names import Digest
from openecr.services.ecr import storage_classes
from openecr.services.ecr.image_deletion import Deleting, delete
from openecr.services.ecr.image_ids import Failure, ImageId
from openecr.services.ecr.lifecycle import plan, records
from openecr.services.ecr.lifecycle.evaluation import Outcome, Verdict, Why, evaluate
from openecr.services.ecr.lifecycle.loading import Loaded, load
from openecr.services.ecr.lifecycle.plan import Unit
from openecr.services.ecr.lifecycle.policy import PULLED, parse

KIND = "expire-images"
EVERY_US = 12 * 3600 * 1_000_000
"""From the end of a run to the next: ECR promises effects within 24 hours."""
_AGAIN_US = 6 * 3600 * 1_000_000
"""The least time to a run that nothing owed: what failed for good rests, and who undeletes a repository may look."""
DELETED_BY = "ecr.amazonaws.com"
_STATUSES = {"standard": "ACTIVE", "archive": "ARCHIVED"}
_BATCH = 20
_REST = 12
"""Times as long as a step took."""
_STEP = 500
_FAILURES = 100

log = structlog.get_logger("openecr.lifecycle")


def job_key(repository_key: int) -> str:
    """The key of a repository's runs: one at a time."""
    return f"{KIND}:{repository_key}"


def owe(db: Connection, repository_key: int, delay_us: int) -> None:
    """Owe the next run after a delay, in place of the one that waits."""
    if not jobs.set_due(db, DEFAULT_QUEUE, job_key(repository_key), db.clock_us() + delay_us):
        enqueue(db, KIND, {"repository": repository_key}, key=job_key(repository_key), delay_us=delay_us)


async def owe_all(database: Database) -> int:
    """Owe the runs that nothing owes: of repositories that left the trash, and after runs that failed; how many."""
    owed = 0
    after = 0
    while step := await database.read(partial(lifecycle.policies_after, repository_key=after, most=_STEP)):
        after = step[-1].repository_key
        lacking = await database.read(partial(_not_owed, policies=step))
        for policy in lacking:
            await database.write(partial(_owe_again, policy=policy))
        owed += len(lacking)
    return owed


def _not_owed(db: Connection, policies: Sequence[StoredPolicy]) -> list[StoredPolicy]:
    return [
        policy
        for policy in policies
        if policy.stopped_us is None and not jobs.is_owed(db, DEFAULT_QUEUE, job_key(policy.repository_key))
    ]


def _owe_again(db: Connection, policy: StoredPolicy) -> None:
    if _not_owed(db, [policy]):
        since_us = db.clock_us() - max(policy.evaluated_us, policy.put_us)
        owe(db, policy.repository_key, max(EVERY_US - since_us, _AGAIN_US))


@dataclass(frozen=True, slots=True)
class _Run:
    """A run: the policy that it goes by, and what was true of the images when it was planned."""

    policy: StoredPolicy
    repository: Repository
    loaded: Loaded
    record: records.Run


@dataclass(frozen=True, slots=True)
class Expired:
    """What a run did."""

    images: int = 0
    survivors: int = 0
    """Images that were planned to go and are not what they were."""
    archived: int = 0
    """With the members of indexes that came along; referrers follow by a job of their own."""
    superseded: bool = False
    """Whether the policy was put again, or went, so that the run stopped."""

    def plus(self, other: "Expired") -> "Expired":
        """Both together."""
        return Expired(
            self.images + other.images,
            self.survivors + other.survivors,
            self.archived + other.archived,
            self.superseded or other.superseded,
        )


async def run(deployment: Deployment, repository_key: int) -> Expired:
    """Run the policy of a repository once; without one, nothing happens.

    Raises:
        TerminalError: the safety brake.
    """
    database = deployment.database
    found = await database.read(partial(_found, repository_key=repository_key))
    if found is None:
        return Expired()
    policy, repository = found
    rules = parse(policy.text)
    loaded = await load(database, repository_key)
    verdicts = await asyncio.to_thread(evaluate, rules, loaded.images, deployment.now_us())
    record = records.Run(records.EXECUTION, repository, rules, policy.policy_id, policy.version, policy.evaluated_us)
    planned = _Run(policy, repository, loaded, record)
    units = plan.units(verdicts)
    await _require_unbraked(deployment, planned, sum(map(len, units)))
    archiving = [item for item in verdicts if item.outcome == Outcome.ARCHIVE and item.why == Why.RULE]
    done = await _apply(database, planned, units, archiving)
    if not done.superseded:
        protected = [item for item in verdicts if item.why == Why.PROTECTED and item.outcome == Outcome.KEEP]
        await database.write(partial(_finish, run=planned, expired=done.images, protected=protected[:_FAILURES]))
    return done


def _found(db: Connection, repository_key: int) -> tuple[StoredPolicy, Repository] | None:
    policy, repository = lifecycle.find_policy(db, repository_key), repositories.find_by_key(db, repository_key)
    return None if policy is None or repository is None else (policy, repository)


async def _require_unbraked(deployment: Deployment, run: _Run, expiring: int) -> None:
    policy = run.policy
    why = plan.brake(expiring, run.loaded.total, deployment.settings.lifecycle_brake_percent)
    if why is None or policy.unbraked:
        return
    await deployment.database.write(
        lambda db: lifecycle.note_stopped(db, policy.key, policy.version, db.clock_us(), why)
    )
    sentence = f"the lifecycle policy of {run.repository.name} in registry {run.repository.registry} is stopped: {why}"
    log.warning("lifecycle_stopped", repository=run.repository.name, registry=str(run.repository.registry), why=why)
    raise TerminalError(sentence)


async def _apply(database: Database, run: _Run, units: Sequence[Unit], archiving: Sequence[Verdict]) -> Expired:
    steps: list[Callable[[Connection], Expired]] = [
        partial(_expire, run=run, units=batch) for batch in plan.batches(units, _BATCH)
    ]
    steps += [
        partial(_archive, run=run, verdicts=archiving[start : start + _BATCH])
        for start in range(0, len(archiving), _BATCH)
    ]
    total = Expired()
    for step in steps:
        began = time.monotonic()
        total = total.plus(await database.write(step))
        if total.superseded:
            break
        # Nobody waits for an expiry; those who pull beside it do: it works in small steps, a thirteenth of the time.
        await asyncio.sleep(_REST * (time.monotonic() - began))
    return total


def _held(db: Connection, run: _Run) -> Repository | None:
    """The repository, held, where its policy is still the one that was planned by."""
    repository = repositories.find_by_key(db, run.repository.key, lock=True)
    policy = lifecycle.find_policy(db, run.repository.key)
    if policy is None or (policy.key, policy.version) != (run.policy.key, run.policy.version):
        return None
    return repository


def _expire(db: Connection, run: _Run, units: Sequence[Unit]) -> Expired:
    """Expire what is still as it was judged."""
    repository = _held(db, run)
    if repository is None:
        return Expired(superseded=True)
    gone: list[Verdict] = []
    failed: list[tuple[Verdict, Failure]] = []
    survivors: set[int] = set()
    for verdict in (item for unit in units for item in unit):
        if verdict.image.subject in survivors or not _is_as_judged(db, run, verdict):
            survivors.add(verdict.image.key)
            continue
        outcome = _delete(db, repository, verdict)
        if isinstance(outcome, Failure):
            survivors.add(verdict.image.key)
            failed.append((verdict, outcome))
        else:
            gone.append(verdict)
    records.note(db, run.record, db.clock_us(), gone, failed)
    return Expired(len(gone), len(survivors))


def _archive(db: Connection, run: _Run, verdicts: Sequence[Verdict]) -> Expired:
    """Archive what is still as it was judged; members that nothing else needs come along."""
    repository = _held(db, run)
    if repository is None:
        return Expired(superseded=True)
    as_judged = [item for item in verdicts if _is_as_judged(db, run, item)]
    now_us = db.clock_us()
    done = storage_classes.archive(db, repository, [item.image.key for item in as_judged], now_us)
    acted = [item for item in as_judged if item.image.key in set(done.archived)]
    failed = [(item, _protection(db, item)) for item in as_judged if item.image.key in done.refused]
    records.note(db, run.record, now_us, acted, failed)
    return Expired(archived=len(done.archived), survivors=len(verdicts) - len(acted))


def _is_as_judged(db: Connection, run: _Run, verdict: Verdict) -> bool:
    """Whether an image has the tags, push, storage class and, where that counts, pull that it was judged by."""
    judged = verdict.image
    found = images.find(db, run.repository.key, judged.digest)
    if found is None or (found.key, found.pushed_us) != (judged.key, judged.pushed_us):
        return False
    if (found.archived_us, found.activated_us) != (judged.archived_us, judged.activated_us):
        return False
    if verdict.rule is not None and verdict.rule.count_type == PULLED and found.pulled_us != judged.pulled_us:
        return False
    if found.status != _STATUSES[judged.storage_class] or bool(found.ever_tagged) != judged.was_tagged:
        return False
    tags = images.tags_with_moves(db, found.key)
    moved_us = max((moved for _, moved in tags), default=None)
    return tuple(tag for tag, _ in tags) == judged.tags and moved_us == run.loaded.moved_us.get(judged.key)


def _delete(db: Connection, repository: Repository, verdict: Verdict) -> Failure | None:
    """Delete an image as BatchDeleteImage does by digest: it refuses what an index names that stayed."""
    priority = verdict.rule.priority if verdict.rule is not None else 0
    work = Deleting(db, repository, db.clock_us(), DELETED_BY, f"lifecycle policy, rule {priority}")
    digest = Digest(verdict.image.digest)
    outcome = delete(work, ImageId({"imageDigest": str(digest)}, digest, None))
    return outcome if isinstance(outcome, Failure) else None


def _finish(db: Connection, run: _Run, expired: int, protected: Sequence[Verdict]) -> None:
    """The run ended: say when, and owe the next."""
    now_us = db.clock_us()
    if not lifecycle.note_evaluated(db, run.policy.key, run.policy.version, now_us, expired):
        return
    failed = [(item, _protection(db, item)) for item in protected]
    records.note(db, run.record, now_us, [], failed)
    if jobs.due_us_of(db, DEFAULT_QUEUE, job_key(run.repository.key)) is None:
        owe(db, run.repository.key, EVERY_US)


def _protection(db: Connection, verdict: Verdict) -> Failure:
    """What ECR's record says of an image that a rule selects and an index names."""
    asked = {"imageDigest": str(Digest(verdict.image.digest))}
    named = ", ".join(str(Digest(parent)) for parent in images.parents_of(db, verdict.image.key))
    return Failure(asked, "ImageReferencedByManifestList", f"Requested image referenced by manifest list: [{named}]")
