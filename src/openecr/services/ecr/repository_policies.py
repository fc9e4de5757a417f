"""The policy of a repository: who else may use it (ECR user guide, "Private repository policies")."""

from typing import Any

from openecr.access.policies.document import PolicyInvalid, PolicyKind, compiled, parse
from openecr.access.policies.evaluation import NamedPolicy
from openecr.access.policies.rendering import pretty
from openecr.call import Call, operation
from openecr.db import images, repositories
from openecr.db.repositories import Repository
from openecr.errors import InvalidParameter, RepositoryPolicyNotFound
from openecr.names import repository_arn
from openecr.services.ecr import policy_principals
from openecr.services.ecr.policy_principals import PrincipalMissing
from openecr.services.ecr.repositories import require


@operation("SetRepositoryPolicy", writes=True)
def set_repository_policy(
    call: Call, *, repository_name: str, policy_text: str, registry_id: str | None = None, force: bool = False
) -> dict[str, Any]:
    """Put a policy in place of the one before; with ``force`` one that locks its caller out too."""
    repository = require(call, repository_name, registry_id)
    stored = _accepted(call, policy_text)
    if not force:
        _require_way_back(call, repository, stored)
    repositories.set_policy(call.db, repository.key, stored)
    images.forget_pulled(call.db, repository.registry, repository.name)
    return _told(call, repository, stored)


@operation("GetRepositoryPolicy", writes=False)
def get_repository_policy(call: Call, *, repository_name: str, registry_id: str | None = None) -> dict[str, Any]:
    """The policy that is set."""
    repository = require(call, repository_name, registry_id)
    return _told(call, repository, _require_policy(call, repository))


@operation("DeleteRepositoryPolicy", writes=True)
def delete_repository_policy(call: Call, *, repository_name: str, registry_id: str | None = None) -> dict[str, Any]:
    """Remove the policy; the answer is the last that is seen of it."""
    repository = require(call, repository_name, registry_id)
    stored = _require_policy(call, repository)
    repositories.set_policy(call.db, repository.key, None)
    images.forget_pulled(call.db, repository.registry, repository.name)
    return _told(call, repository, stored)


def _accepted(call: Call, text: str) -> str:
    try:
        parse(text, PolicyKind.REPOSITORY)
        return policy_principals.resolved(call.db, text)
    except PolicyInvalid as invalid:
        raise InvalidParameter(
            parameter="PolicyText", constraint="Invalid repository policy provided", why=invalid.why
        ) from None
    except PrincipalMissing:
        raise InvalidParameter(parameter="PolicyText", constraint="Principal not found") from None


def _require_way_back(call: Call, repository: Repository, stored: str) -> None:
    policy = NamedPolicy("the repository's policy", compiled(stored, PolicyKind.REPOSITORY))
    arn = repository_arn(repository.registry, repository.name)
    verdict = call.verdict("ecr:SetRepositoryPolicy", arn, trust=policy)
    if verdict.explicit:
        raise InvalidParameter(
            parameter="PolicyText",
            constraint="The policy would prevent you from setting another policy in the future; use force",
        )


def _require_policy(call: Call, repository: Repository) -> str:
    stored = repositories.policy(call.db, repository.key)
    if stored is None:
        raise RepositoryPolicyNotFound(repository=repository.name, registry_id=repository.registry.account_id)
    return stored


def _told(call: Call, repository: Repository, stored: str) -> dict[str, Any]:
    return {
        "registryId": repository.registry.account_id,
        "repositoryName": repository.name,
        "policyText": pretty(policy_principals.named(call.db, stored)),
    }
