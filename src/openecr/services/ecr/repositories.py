"""Repositories: make, describe, configure, delete."""

from typing import Any

import orjson

from openecr.call import Call, decision, operation
from openecr.db import images, registries, repositories, trash
from openecr.db.repositories import Repository
from openecr.encryption import AES256, require_usable
from openecr.errors import (
    ConflictingParameters,
    InvalidParameter,
    RepositoryAlreadyExists,
    RepositoryNotEmpty,
    RepositoryNotFound,
)
from openecr.names import RegistryName, repository_arn
from openecr.services.ecr import quotas, resource_tags
from openecr.services.ecr.addresses import repository_uri
from openecr.services.ecr.mutability_rules import MODES, MOST_WILDCARDS
from openecr.services.kms.for_ecr import key_for_repository, require_deletable
from openecr.services.pages import Names, page


def require(
    call: Call, repository_name: str, registry_id: str | None = None, *, lock: bool | None = None
) -> Repository:
    """The repository, or ECR's error.

    Args:
        lock: whether decisions on this repository wait for each other: where they write, unless said otherwise.
    """
    registry = call.registry(registry_id)
    found = repositories.find(call.db, registry, repository_name, lock=call.writes if lock is None else lock)
    if found is None:
        raise RepositoryNotFound(repository=repository_name, registry_id=registry.account_id)
    return found


def require_with_key(
    call: Call, repository_name: str, registry_id: str | None = None, *, lock: bool | None = None
) -> Repository:
    """The repository, whose layers may be read and written now: its KMS key, where it has one, is enabled.

    Raises:
        RepositoryNotFound, KmsRefused
    """
    repository = require(call, repository_name, registry_id, lock=lock)
    if repository.kms_key is not None:
        require_usable(repository.kms_key, repository.kms_state)
    return repository


@operation("CreateRepository", writes=True)
def create_repository(
    call: Call,
    *,
    repository_name: str,
    registry_id: str | None = None,
    tags: list[dict[str, str]] | None = None,
    image_tag_mutability: str | None = None,
    image_tag_mutability_exclusion_filters: list[dict[str, str]] | None = None,
    image_scanning_configuration: dict[str, Any] | None = None,
    encryption_configuration: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Make an empty repository with its settings; all or nothing."""
    registry = call.registry(registry_id)
    mode = image_tag_mutability or "MUTABLE"
    filters = _mutability_filters(mode, image_tag_mutability_exclusion_filters)
    encryption_type, kms_key = _encryption(call, registry, encryption_configuration)
    wanted_tags = resource_tags.parse(tags or [])
    if wanted_tags:
        call.authorize("ecr:TagResource", repository_arn(registry, repository_name))
    registry_key = registries.require_key(call.db, registry, call.now_us)
    if repositories.find(call.db, registry, repository_name) is None:
        quotas.require_room_for_repository(call, registry, registry_key, repository_name)
    made = repositories.insert(
        call.db,
        registry_key=registry_key,
        name=repository_name,
        now_us=call.now_us,
        tag_mutability=mode,
        mutability_filters=filters,
        scan_on_push=bool((image_scanning_configuration or {}).get("scanOnPush", False)),
        encryption_type=encryption_type,
        kms_key=kms_key,
    )
    if not made:
        raise RepositoryAlreadyExists(repository=repository_name, registry_id=registry.account_id)
    repository = require(call, repository_name, registry_id)
    resource_tags.put(call, repository, wanted_tags)
    return {"repository": render(call, repository)}


@operation("DescribeRepositories", writes=False, resources=lambda registry, arguments: _described(registry, arguments))
def describe_repositories(
    call: Call,
    *,
    registry_id: str | None = None,
    repository_names: list[str] | None = None,
    next_token: str | None = None,
    max_results: int | None = None,
) -> dict[str, Any]:
    """The repositories named, in the order asked, or all by name in pages."""
    if repository_names is not None:
        if next_token is not None or max_results is not None:
            raise ConflictingParameters(
                message="Invalid parameter: 'repositoryNames' cannot be used together with 'nextToken' or 'maxResults'"
            )
        found = [require(call, name, registry_id) for name in repository_names]
        return {"repositories": [render(call, repository) for repository in found]}
    registry = call.registry(registry_id)
    listed = page(
        call,
        "DescribeRepositories",
        {"registry": str(registry)},
        next_token,
        max_results,
        start=[""],
        load=lambda position, most: repositories.list_after(call.db, registry, str(position[0]), most),
        position_of=lambda repository: [repository.name],
    )
    return {"repositories": [render(call, repository) for repository in listed.items], "nextToken": listed.next_token}


@operation("DeleteRepository", writes=True)
def delete_repository(
    call: Call, *, repository_name: str, registry_id: str | None = None, force: bool = False
) -> dict[str, Any]:
    """Move a repository, and with ``force`` its images, to the trash; one row, however many images it holds."""
    repository = require(call, repository_name, registry_id)
    if not force and not images.is_empty(call.db, repository.key):
        raise RepositoryNotEmpty(repository=repository.name, registry_id=repository.registry.account_id)
    if repository.kms_key is not None:
        require_deletable(call, repository.kms_key)
    answer = {"repository": render(call, repository)}
    trash.put(
        call.db,
        registry_key=repository.registry_key,
        repository_name=repository.name,
        kind=trash.REPOSITORY,
        digest=None,
        tags=(),
        document={"repositoryKey": repository.key},
        manifest=None,
        layers=(),
        deleted_us=call.now_us,
        deleted_by=call.caller.arn,
        reason="DeleteRepository",
    )
    repositories.move_to_trash(call.db, repository.key, call.now_us)
    images.forget_pulled(call.db, repository.registry, repository.name)
    return answer


@operation("PutImageTagMutability", writes=True)
def put_image_tag_mutability(
    call: Call,
    *,
    repository_name: str,
    image_tag_mutability: str,
    registry_id: str | None = None,
    image_tag_mutability_exclusion_filters: list[dict[str, str]] | None = None,
) -> dict[str, Any]:
    """Replace the mode and its filters; tags that exist stay where they are."""
    repository = require(call, repository_name, registry_id)
    filters = _mutability_filters(image_tag_mutability, image_tag_mutability_exclusion_filters)
    repositories.set_mutability(call.db, repository.key, image_tag_mutability, filters)
    return {
        "registryId": repository.registry.account_id,
        "repositoryName": repository.name,
        "imageTagMutability": image_tag_mutability,
        "imageTagMutabilityExclusionFilters": _render_filters(filters),
    }


@decision("ecr:DescribeRepositories", writes=False)
def catalog(call: Call, *, after: str, most: int, registry_id: str | None = None) -> Names:
    """``GET /v2/_catalog``: up to ``most`` repositories of a registry by name, after a name."""
    found = repositories.list_after(call.db, call.registry(registry_id), after, most + 1)
    return Names([repository.name for repository in found[:most]], len(found) > most)


def render(call: Call, repository: Repository) -> dict[str, Any]:
    """A repository in the model's shape."""
    encryption: dict[str, Any] = {"encryptionType": repository.encryption_type}
    if repository.kms_key is not None:
        encryption["kmsKey"] = repository.kms_key
    return {
        "repositoryArn": repository_arn(repository.registry, repository.name),
        "registryId": repository.registry.account_id,
        "repositoryName": repository.name,
        "repositoryUri": repository_uri(call, repository.registry, repository.name),
        "createdAt": repository.created_us // 1_000_000 * 1_000_000,
        "imageTagMutability": repository.tag_mutability,
        "imageTagMutabilityExclusionFilters": _render_filters(repository.mutability_filters),
        "imageScanningConfiguration": {"scanOnPush": repository.scan_on_push},
        "encryptionConfiguration": encryption,
    }


def mutability_filters(repository: Repository) -> list[str]:
    """The wildcards that except tags from the repository's mode."""
    return [str(item) for item in orjson.loads(repository.mutability_filters)]


def _described(registry: RegistryName, arguments: Any) -> list[str]:
    owner = RegistryName(arguments.get("registry_id") or registry.account_id, registry.region)
    return [repository_arn(owner, name) for name in arguments.get("repository_names") or ["*"]]


def _mutability_filters(mode: str, given: list[dict[str, str]] | None) -> str:
    """The stored form of the filters, refused where they and the mode do not belong together."""
    parameter = "imageTagMutabilityExclusionFilters"
    if mode not in MODES:
        raise InvalidParameter(
            parameter="imageTagMutability", constraint=f"Member must satisfy enum value set: [{', '.join(MODES)}]"
        )
    if mode.endswith("_WITH_EXCLUSION") != bool(given):
        raise InvalidParameter(
            parameter=parameter,
            constraint=f"ImageTagMutabilityExclusionFilters can't be null when imageTagMutability is set as {mode}",
        )
    wildcards = [item["filter"] for item in given or []]
    if any(wildcard.count("*") > MOST_WILDCARDS for wildcard in wildcards):
        raise InvalidParameter(parameter=parameter, constraint=f"Member must have at most {MOST_WILDCARDS} wildcards")
    return orjson.dumps(wildcards).decode()


def _render_filters(stored: str) -> list[dict[str, str]] | None:
    wildcards = orjson.loads(stored)
    return [{"filterType": "WILDCARD", "filter": wildcard} for wildcard in wildcards] or None


def _encryption(call: Call, registry: RegistryName, given: dict[str, str] | None) -> tuple[str, str | None]:
    """(type, key ARN or None) of a new repository; a KMS type without a key means the key that AWS manages."""
    encryption_type = (given or {}).get("encryptionType", AES256)
    key = (given or {}).get("kmsKey")
    if encryption_type != AES256:
        return encryption_type, key_for_repository(call, registry, key)
    if key is not None:
        raise InvalidParameter(
            parameter="encryptionConfiguration", constraint="kmsKey can't be set when encryptionType is AES256"
        )
    return encryption_type, None
