"""The policies of repositories and registries, and the tags that conditions ask for: read at every request.

Whoever changes a repository's policy, or deletes the repository, forgets its scope; whoever changes a registry's policy
or its scope setting forgets the registry's.
"""

from dataclasses import dataclass

from openecr.db import images
from openecr.db.connection import Connection
from openecr.names import RegistryName

SCOPE_SETTING = "REGISTRY_POLICY_SCOPE"
DEFAULT_SCOPE = "V2"


@dataclass(frozen=True, slots=True)
class RepositoryAccess:
    """What a repository says of who may use it."""

    key: int
    policy: str | None


_REPOSITORY = (
    "SELECT r.id, r.policy FROM registry g JOIN repository r ON r.registry_key = g.id"
    " WHERE g.account_id = :account_id AND g.region = :region AND r.name = :name AND r.trashed_us IS NULL"
)


@dataclass(frozen=True, slots=True)
class RegistryAccess:
    """What a registry says of who may use it."""

    policy: str | None
    scope: str
    """``V2``: the policy weighs on every action; ``V1``: on replication, pull-through and creation only."""


def of_repository(db: Connection, registry: RegistryName, name: str) -> RepositoryAccess | None:
    """The repository's policy; None where there is no such repository."""
    row = db.kept_row(
        images.scope(registry, name), _REPOSITORY, account_id=registry.account_id, region=registry.region, name=name
    )
    return None if row is None else RepositoryAccess(*row)


def ask_for_repository(db: Connection, registry: RegistryName, name: str) -> None:
    """Look for a repository in the database itself, as must be done for one that is not there: nobody keeps in memory
    what is absent, and whoever may not know of a repository must not learn of it by the time that a denial takes."""
    db.row(_REPOSITORY, account_id=registry.account_id, region=registry.region, name=name)


def of_registry(db: Connection, registry: RegistryName) -> RegistryAccess:
    """The registry's policy, and its scope."""
    row = db.kept_row(
        _scope(registry),
        "SELECT g.policy, s.value FROM registry g"
        " LEFT JOIN account_setting s ON s.registry_key = g.id AND s.name = :setting"
        " WHERE g.account_id = :account_id AND g.region = :region",
        setting=SCOPE_SETTING,
        account_id=registry.account_id,
        region=registry.region,
    )
    return RegistryAccess(None, DEFAULT_SCOPE) if row is None else RegistryAccess(row[0], row[1] or DEFAULT_SCOPE)


def tags_of_repository(db: Connection, repository_key: int) -> dict[str, str]:
    """A repository's resource tags."""
    rows = db.rows("SELECT tag_key, tag_value FROM resource_tag WHERE repository_key = :key", key=repository_key)
    return dict(rows)


def forget_registry(db: Connection, registry: RegistryName) -> None:
    """What servers know of a registry's policy is false once this transaction commits."""
    db.forget(_scope(registry))


def _scope(registry: RegistryName) -> str:
    return f"registry {registry}"
