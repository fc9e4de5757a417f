"""Resource tags of repositories."""

from collections.abc import Sequence
from typing import Any

from openecr.call import Call, operation
from openecr.db import repositories
from openecr.db.repositories import Repository
from openecr.errors import InvalidParameter, InvalidTagParameter, RepositoryNotFound, TooManyTags
from openecr.names import parse_repository_arn

MOST_TAGS = 50


def parse(tags: Sequence[dict[str, str]]) -> list[tuple[str, str]]:
    """(key, value) pairs, refused where AWS reserves or repeats a key."""
    pairs = [(tag["Key"], tag.get("Value", "")) for tag in tags]
    for key, value in pairs:
        if key.lower().startswith("aws:"):
            raise InvalidTagParameter(message=f"The tag key '{key}' is reserved")
        if not 1 <= len(key) <= 128 or len(value) > 256:
            raise InvalidTagParameter(message=f"The tag key '{key}' or its value is too long")
    if len({key for key, _ in pairs}) != len(pairs):
        raise InvalidTagParameter(message="The tag keys of one request must be unique")
    return pairs


def put(call: Call, repository: Repository, tags: Sequence[tuple[str, str]]) -> None:
    """Add or overwrite tags, up to the quota."""
    repositories.put_resource_tags(call.db, repository.key, tags)
    if len(repositories.resource_tags(call.db, repository.key)) > MOST_TAGS:
        raise TooManyTags


@operation("TagResource", writes=True)
def tag_resource(call: Call, *, resource_arn: str, tags: list[dict[str, str]]) -> dict[str, Any]:
    """Add tags to a repository, or overwrite them by key."""
    put(call, _require_by_arn(call, resource_arn), parse(tags))
    return {}


@operation("UntagResource", writes=True)
def untag_resource(call: Call, *, resource_arn: str, tag_keys: list[str]) -> dict[str, Any]:
    """Remove tags by key; a key that is not there is no error."""
    repositories.delete_resource_tags(call.db, _require_by_arn(call, resource_arn).key, tag_keys)
    return {}


@operation("ListTagsForResource", writes=False)
def list_tags_for_resource(call: Call, *, resource_arn: str) -> dict[str, Any]:
    """The tags of a repository."""
    tags = repositories.resource_tags(call.db, _require_by_arn(call, resource_arn).key)
    return {"tags": [{"Key": key, "Value": value} for key, value in tags]}


def _require_by_arn(call: Call, resource_arn: str) -> Repository:
    named = parse_repository_arn(resource_arn)
    if named is None or named[0].region != call.registry().region:
        raise InvalidParameter(parameter="resourceArn", constraint="Invalid ARN")
    registry, name = named
    found = repositories.find(call.db, registry, name, lock=call.writes)
    if found is None:
        raise RepositoryNotFound(repository=name, registry_id=registry.account_id)
    return found
