"""What a policy would do now, without doing it: started by a client, made by a job, read in pages.

StartLifecyclePolicyPreview → IN_PROGRESS ──job──→ COMPLETE ──a day──→ EXPIRED
                                   └── the job is dead → FAILED
"""

import asyncio
from functools import partial
from typing import Any

from openecr.call import Call, operation
from openecr.db import images, jobs, lifecycle, repositories
from openecr.db.connection import Connection
from openecr.db.lifecycle import Preview, Result
from openecr.db.repositories import Repository
from openecr.deployment import Deployment
from openecr.errors import (
    ConflictingParameters,
    LifecyclePolicyPreviewInProgress,
    LifecyclePolicyPreviewNotFound,
)
from openecr.jobs.queue import DEFAULT_QUEUE, enqueue
from openecr.names import Digest
from openecr.services.ecr import image_ids as ids
from openecr.services.ecr.lifecycle import records
from openecr.services.ecr.lifecycle.evaluation import DAY_US, Outcome, Verdict, evaluate
from openecr.services.ecr.lifecycle.loading import load
from openecr.services.ecr.lifecycle.policies import accepted, require_policy
from openecr.services.ecr.lifecycle.policy import parse
from openecr.services.ecr.repositories import require
from openecr.services.pages import page

KIND = "preview-lifecycle"
_BATCH = 500
_KEPT_US = DAY_US
"""How long a preview is COMPLETE; ECR's own time is not documented."""


@operation("StartLifecyclePolicyPreview", writes=True)
def start_lifecycle_policy_preview(
    call: Call, *, repository_name: str, lifecycle_policy_text: str | None = None, registry_id: str | None = None
) -> dict[str, Any]:
    """Owe a preview of the given policy, or of the stored one."""
    repository = require(call, repository_name, registry_id)
    if lifecycle_policy_text is None:
        text = require_policy(call, repository).text
    else:
        accepted(lifecycle_policy_text)
        text = lifecycle_policy_text
    last = lifecycle.find_preview(call.db, repository.key)
    if last is not None and _status(call, last) == "IN_PROGRESS":
        raise LifecyclePolicyPreviewInProgress(repository=repository.name, registry_id=repository.registry.account_id)
    lifecycle.start_preview(call.db, repository.key, text, call.now_us)
    enqueue(call.db, KIND, {"repository": repository.key}, key=_job_key(repository.key))
    return _told(repository, text, "IN_PROGRESS")


@operation("GetLifecyclePolicyPreview", writes=False)
def get_lifecycle_policy_preview(
    call: Call,
    *,
    repository_name: str,
    registry_id: str | None = None,
    image_ids: list[dict[str, str]] | None = None,
    next_token: str | None = None,
    max_results: int | None = None,
    filter: dict[str, str] | None = None,  # noqa: A002 - the model's name
) -> dict[str, Any]:
    """The last preview: its status, and once it is complete what the policy would act on, by rule, the oldest first."""
    if image_ids is not None and (next_token is not None or max_results is not None):
        raise ConflictingParameters(
            message="Invalid parameter: 'imageIds' cannot be used together with 'nextToken' or 'maxResults'"
        )
    repository = require(call, repository_name, registry_id)
    preview = lifecycle.find_preview(call.db, repository.key)
    if preview is None:
        raise LifecyclePolicyPreviewNotFound(repository=repository.name, registry_id=repository.registry.account_id)
    status = _status(call, preview)
    answer = _told(repository, preview.text, status)
    if preview.finished_us is None:
        return answer | {"previewResults": [], "summary": {"expiringImageTotalCount": 0}}
    answer["summary"] = _summary(preview)
    tag_status = (filter or {}).get("tagStatus", "ANY")
    tagged = None if tag_status == "ANY" else tag_status == "TAGGED"
    if image_ids is not None:
        found = _of_images(call, repository, preview, image_ids, tagged)
        return answer | {"previewResults": [_render(item) for item in found]}
    listed = page(
        call,
        "GetLifecyclePolicyPreview",
        {"preview": preview.key, "run": preview.run, "filter": filter},
        next_token,
        max_results,
        start=[-1],
        load=lambda position, most: lifecycle.results_after(call.db, preview, int(position[0]), most, tagged=tagged),
        position_of=lambda item: [item.position],
    )
    return answer | {"previewResults": [_render(item) for item in listed.items], "nextToken": listed.next_token}


def _status(call: Call, preview: Preview) -> str:
    if preview.finished_us is None:
        owed = jobs.is_owed(call.db, DEFAULT_QUEUE, _job_key(preview.repository_key))
        return "IN_PROGRESS" if owed else "FAILED"
    return "COMPLETE" if call.now_us <= preview.finished_us + _KEPT_US else "EXPIRED"


def _job_key(repository_key: int) -> str:
    return f"{KIND}:{repository_key}"


def _of_images(
    call: Call, repository: Repository, preview: Preview, asked: list[dict[str, str]], tagged: bool | None
) -> list[Result]:
    """The results for the images asked for, each once; a tag means the image that has it now."""
    found: dict[int, Result] = {}
    for item in asked:
        wanted = ids.parse(item)
        if isinstance(wanted, ids.Failure):
            continue
        digest = wanted.digest.stored if wanted.digest is not None else None
        if wanted.tag is not None:
            image = images.find_tagged(call.db, repository.key, wanted.tag)
            if image is None or digest not in (None, image.digest):
                continue
            digest = image.digest
        result = None if digest is None else lifecycle.result_of(call.db, preview, digest)
        if result is not None and tagged in (None, bool(result.tags)):
            found[result.position] = result
    return [found[position] for position in sorted(found)]


def _told(repository: Repository, text: str, status: str) -> dict[str, Any]:
    return {
        "registryId": repository.registry.account_id,
        "repositoryName": repository.name,
        "lifecyclePolicyText": text,
        "status": status,
    }


def _summary(preview: Preview) -> dict[str, Any]:
    told: dict[str, Any] = {"expiringImageTotalCount": preview.expiring}
    if preview.transitioning:
        told["transitioningImageTotalCounts"] = [
            {"targetStorageClass": "ARCHIVE", "imageTotalCount": preview.transitioning}
        ]
    return told


def _render(result: Result) -> dict[str, Any]:
    action = {"type": result.action}
    if result.action == Outcome.ARCHIVE:
        action["targetStorageClass"] = "ARCHIVE"
    return {
        "imageTags": list(result.tags),
        "imageDigest": str(Digest(result.digest)),
        "imagePushedAt": result.pushed_us // 1_000_000 * 1_000_000,
        "action": action,
        "appliedRulePriority": result.priority,
        "storageClass": result.storage_class.upper(),
    }


async def make(deployment: Deployment, repository_key: int) -> None:
    """The job: evaluate, and write down what the policy would act on; a job that begins again begins from nothing."""
    database = deployment.database
    preview = await database.read(lambda db: lifecycle.find_preview(db, repository_key))
    repository = await database.read(lambda db: repositories.find_by_key(db, repository_key))
    if repository is None or preview is None or preview.finished_us is not None:
        return
    while await database.write(partial(lifecycle.delete_results, preview_key=preview.key, most=_BATCH)):
        pass
    loaded = await load(database, repository_key)
    rules = parse(preview.text)
    verdicts = await asyncio.to_thread(evaluate, rules, loaded.images, deployment.now_us())
    acted = [item for item in verdicts if item.outcome != Outcome.KEEP]
    run = await database.read(partial(_run, repository=repository, preview=preview))
    for start in range(0, len(acted), _BATCH):
        step = acted[start : start + _BATCH]
        await database.write(partial(_write_down, preview=preview, run=run, start=start, acted=step))
    transitioning = sum(item.outcome == Outcome.ARCHIVE for item in acted)
    expiring = len(acted) - transitioning
    await database.write(partial(_finish, preview=preview, expiring=expiring, transitioning=transitioning))


def _run(db: Connection, repository: Repository, preview: Preview) -> records.Run:
    stored = lifecycle.find_policy(db, repository.key)
    rules = parse(preview.text)
    if stored is None or stored.text != preview.text:
        return records.Run(records.DRY_RUN, repository, rules, "", 0, 0)
    return records.Run(records.DRY_RUN, repository, rules, stored.policy_id, stored.version, stored.evaluated_us)


def _write_down(db: Connection, preview: Preview, run: records.Run, start: int, acted: list[Verdict]) -> None:
    lifecycle.insert_results(db, preview, [_result(start + number, item) for number, item in enumerate(acted)])
    records.note(db, run, db.clock_us(), acted)


def _finish(db: Connection, preview: Preview, expiring: int, transitioning: int) -> None:
    lifecycle.finish_preview(db, preview, db.clock_us(), expiring, transitioning)


def _result(position: int, verdict: Verdict) -> Result:
    image = verdict.image
    return Result(
        position=position,
        digest=image.digest,
        tags=image.tags,
        pushed_us=image.pushed_us,
        storage_class=image.storage_class,
        priority=verdict.rule.priority if verdict.rule is not None else 0,
        action=verdict.outcome.value,
    )
