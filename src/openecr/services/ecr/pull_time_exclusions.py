"""Pull-time update exclusions: principals whose pulls leave ``lastRecordedPullTime`` as it is, such as scanners'.

User guide, "Pull-time update exclusions": a registry excludes up to 100 principals; it need not know them.
"""

from typing import Any

from openecr.call import Call, no_resource, operation
from openecr.db import callers, pull_time_exclusions, registries
from openecr.errors import ExclusionAlreadyExists, ExclusionNotFound, TooManyExclusions
from openecr.services.pages import page

MOST_EXCLUSIONS = 100


@operation("RegisterPullTimeUpdateExclusion", writes=True, resources=no_resource)
def register_pull_time_update_exclusion(call: Call, *, principal_arn: str) -> dict[str, Any]:
    """Note the principal's pulls no more: a user's, or those of every session of a role."""
    registry = call.registry()
    registry_key = registries.require_key(call.db, registry, call.now_us)
    registries.hold(call.db, registry_key)
    if not pull_time_exclusions.insert(call.db, registry_key, principal_arn, call.now_us):
        raise ExclusionAlreadyExists(principal=principal_arn, registry_id=registry.account_id)
    if len(pull_time_exclusions.list_after(call.db, registry_key, "", MOST_EXCLUSIONS + 1)) > MOST_EXCLUSIONS:
        raise TooManyExclusions(limit=MOST_EXCLUSIONS, registry_id=registry.account_id)
    callers.forget(call.db)
    return {"principalArn": principal_arn, "createdAt": call.now_us // 1000 * 1000}


@operation("DeregisterPullTimeUpdateExclusion", writes=True, resources=no_resource)
def deregister_pull_time_update_exclusion(call: Call, *, principal_arn: str) -> dict[str, Any]:
    """Note the principal's pulls again."""
    registry = call.registry()
    registry_key = registries.find_key(call.db, registry)
    if registry_key is None or not pull_time_exclusions.delete(call.db, registry_key, principal_arn):
        raise ExclusionNotFound(principal=principal_arn, registry_id=registry.account_id)
    callers.forget(call.db)
    return {"principalArn": principal_arn}


@operation("ListPullTimeUpdateExclusions", writes=False, resources=no_resource)
def list_pull_time_update_exclusions(
    call: Call, *, max_results: int | None = None, next_token: str | None = None
) -> dict[str, Any]:
    """The excluded principals by ARN, in pages."""
    registry_key = registries.find_key(call.db, call.registry())
    found = page(
        call,
        "ListPullTimeUpdateExclusions",
        {"registry": registry_key},
        next_token,
        max_results,
        start=[""],
        load=lambda position, most: (
            []
            if registry_key is None
            else pull_time_exclusions.list_after(call.db, registry_key, str(position[0]), most)
        ),
        position_of=lambda arn: [arn],
    )
    return {"pullTimeUpdateExclusions": found.items, "nextToken": found.next_token}
