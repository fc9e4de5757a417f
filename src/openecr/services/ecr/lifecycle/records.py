"""What runs of a policy leave in the audit trail: PolicyExecutionEvent, and DryRunEvent for previews.

Shape: ECR user guide, "Logging Amazon ECR actions with AWS CloudTrail", example "Image lifecycle policy action": runs
of ten images or more are several events, and an image names 100 tags at most.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from openecr.db import audit
from openecr.db.connection import Connection
from openecr.db.repositories import Repository
from openecr.events.audit_record import line_of_service_event
from openecr.names import Digest, repository_arn
from openecr.services.ecr.image_ids import Failure
from openecr.services.ecr.lifecycle.evaluation import Image, Verdict
from openecr.services.ecr.lifecycle.policy import COUNT, PULLED, PUSHED, TRANSITIONED, Rule

EXECUTION, DRY_RUN = "PolicyExecutionEvent", "DryRunEvent"
_IMAGES = 10
_TAGS = 100
_COUNT_TYPES = {
    COUNT: "Image count more than",
    PUSHED: "Since image pushed",
    PULLED: "Since image pulled",
    TRANSITIONED: "Since image transitioned",
}


@dataclass(frozen=True, slots=True)
class Run:
    """A run of a policy, or a preview."""

    event_name: str
    repository: Repository
    rules: Sequence[Rule]
    policy_id: str
    version: int
    evaluated_us: int
    """When the policy ran before; 0 where it never did."""


def note(
    db: Connection, run: Run, now_us: int, acted: Sequence[Verdict], failed: Sequence[tuple[Verdict, Failure]] = ()
) -> None:
    """Record what a run did, in the transaction that does it."""
    actions = [{"lifecycleEventImage": _image(item.image), "rulePriority": _priority(item)} for item in acted]
    failures = [
        {
            "lifecycleEventImage": _image(item.image),
            "rulePriority": _priority(item),
            "failureCode": failure.code,
            "failureReason": failure.reason,
        }
        for item, failure in failed
    ]
    arn = repository_arn(run.repository.registry, run.repository.name)
    for start in range(0, max(len(actions), len(failures)), _IMAGES):
        details = {
            "repositoryName": run.repository.name,
            "lifecycleEventPolicy": {
                "lifecycleEventRules": [_rule(rule) for rule in run.rules],
                "lastEvaluatedAt": run.evaluated_us // 1000,
                "policyVersion": run.version,
                "policyId": run.policy_id,
            },
            "lifecycleEventImageActions": actions[start : start + _IMAGES],
            "lifecycleEventFailureDetails": failures[start : start + _IMAGES],
        }
        line = line_of_service_event(run.event_name, now_us, run.repository.registry, arn, details)
        audit.note_write(db, now_us, line)


def _priority(verdict: Verdict) -> int:
    return verdict.rule.priority if verdict.rule is not None else 0


def _image(image: Image) -> dict[str, Any]:
    return {
        "digest": str(Digest(image.digest)),
        "tagStatus": "Tagged" if image.tags else "Untagged",
        "tagList": list(image.tags[:_TAGS]),
        "pushedAt": image.pushed_us // 1000,
    }


def _rule(rule: Rule) -> dict[str, Any]:
    selection: dict[str, Any] = {
        "tagStatus": rule.tag_status.capitalize(),
        "tagPrefixList": list(rule.prefixes),
        "countType": _COUNT_TYPES[rule.count_type],
        "countNumber": rule.count_number,
    }
    if rule.patterns and not rule.prefixes:
        selection["tagPatternList"] = list(rule.patterns)
    told = {"rulePriority": rule.priority, "lifecycleEventSelection": selection, "action": rule.action}
    return told if rule.description is None else told | {"description": rule.description}
