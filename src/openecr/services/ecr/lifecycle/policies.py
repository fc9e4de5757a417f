"""The lifecycle policy of a repository: put, read, removed. Its runs are in ``expiry``."""

from typing import Any

from openecr.call import Call, operation
from openecr.db import lifecycle
from openecr.db.lifecycle import StoredPolicy
from openecr.db.repositories import Repository
from openecr.errors import LifecyclePolicyInvalid, LifecyclePolicyNotFound
from openecr.services.ecr.lifecycle import expiry
from openecr.services.ecr.lifecycle.policy import PolicyInvalid, Rule, parse
from openecr.services.ecr.repositories import require


@operation("PutLifecyclePolicy", writes=True)
def put_lifecycle_policy(
    call: Call, *, repository_name: str, lifecycle_policy_text: str, registry_id: str | None = None
) -> dict[str, Any]:
    """Put a policy in place of the one before, byte for byte; its first run waits for the lifecycle delay."""
    repository = require(call, repository_name, registry_id)
    accepted(lifecycle_policy_text)
    lifecycle.put_policy(call.db, repository.key, lifecycle_policy_text, call.deployment.new_id(), call.now_us)
    expiry.owe(call.db, repository.key, call.settings.lifecycle_delay * 1_000_000)
    return _told(repository, lifecycle_policy_text)


@operation("GetLifecyclePolicy", writes=False)
def get_lifecycle_policy(call: Call, *, repository_name: str, registry_id: str | None = None) -> dict[str, Any]:
    """The policy, and when it ran last: 1970 where it never did, as on ECR."""
    repository = require(call, repository_name, registry_id)
    stored = require_policy(call, repository)
    return _told(repository, stored.text) | {"lastEvaluatedAt": stored.evaluated_us // 1000 * 1000}


@operation("DeleteLifecyclePolicy", writes=True)
def delete_lifecycle_policy(call: Call, *, repository_name: str, registry_id: str | None = None) -> dict[str, Any]:
    """Remove the policy; the answer is the last that is seen of it. A run that is at it stops."""
    repository = require(call, repository_name, registry_id)
    stored = require_policy(call, repository)
    lifecycle.delete_policy(call.db, repository.key)
    return _told(repository, stored.text) | {"lastEvaluatedAt": stored.evaluated_us // 1000 * 1000}


def accepted(text: str) -> tuple[Rule, ...]:
    """The rules of a policy's text.

    Raises:
        LifecyclePolicyInvalid
    """
    try:
        return parse(text)
    except PolicyInvalid as invalid:
        raise LifecyclePolicyInvalid(why=invalid.why) from None


def require_policy(call: Call, repository: Repository) -> StoredPolicy:
    """The policy that is stored, or ECR's error."""
    stored = lifecycle.find_policy(call.db, repository.key)
    if stored is None:
        raise LifecyclePolicyNotFound(repository=repository.name, registry_id=repository.registry.account_id)
    return stored


def _told(repository: Repository, text: str) -> dict[str, Any]:
    return {
        "registryId": repository.registry.account_id,
        "repositoryName": repository.name,
        "lifecyclePolicyText": text,
    }
