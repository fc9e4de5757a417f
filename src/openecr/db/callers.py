"""Who a proven access key belongs to, and what that principal's policies are: read at every request.

Everything here is kept under one scope: whoever changes an identity, its policies, a key or a session forgets it with
``forget``, so that no server goes on with what was taken away (design §7). Such changes are rare beside requests.
"""

import json
from dataclasses import dataclass

from openecr.db.connection import Connection

_SCOPE = "identities"


def forget(db: Connection) -> None:
    """What servers know of identities is false once this transaction commits."""
    db.forget(_SCOPE)


@dataclass(frozen=True, slots=True)
class SigningSecret:
    """An active access key, or a session's: whose account it is, and its secret, sealed."""

    access_key_id: str
    account_id: str
    sealed_secret: bytes
    token_digest: bytes | None
    """SHA-256 of the session token that must come with it; None for a long-term key."""
    expires_us: int | None
    """When the session's credentials end; None for a long-term key."""


_OF_SESSION = "ASIA"
"""What the ids of temporary credentials begin with, so that one table is asked."""
_SIGNER = (
    "SELECT k.access_key_id, a.account_id, k.sealed_secret, NULL, NULL FROM access_key k"
    " JOIN principal p ON p.id = k.principal_key JOIN account a ON a.id = p.account_key"
    " WHERE k.access_key_id = :access_key_id AND k.active = 1"
)
_SESSION_SIGNER = (
    "SELECT s.access_key_id, a.account_id, s.sealed_secret, s.token_digest, s.expires_us FROM session s"
    " JOIN principal p ON p.id = s.principal_key JOIN account a ON a.id = p.account_key"
    " WHERE s.access_key_id = :access_key_id"
)


def find_signing_secret(db: Connection, access_key_id: str) -> SigningSecret | None:
    """The active access key of this id, to check a signature with."""
    sql = _SESSION_SIGNER if access_key_id.startswith(_OF_SESSION) else _SIGNER
    row = db.kept_row(_SCOPE, sql, access_key_id=access_key_id)
    return None if row is None else SigningSecret(*row)


@dataclass(frozen=True, slots=True)
class KeyOwner:
    """The principal that an access key belongs to, and the session that it is of."""

    principal_key: int
    access_key_id: str
    account_id: str
    organization_id: str | None
    kind: str
    """``user``, ``role`` or ``root``."""
    name: str
    path: str
    unique_id: str
    access_version: str
    """Another text whenever what the principal may do was changed."""
    issued_us: int
    """When the key or session was made."""
    session_key: int | None
    """The session's row; None for a long-term key, as everything below."""
    session_name: str | None
    expires_us: int | None
    source_identity: str | None
    provider: str | None
    """The OIDC provider that vouched for the session's caller; empty where none did."""
    has_policies: int | None
    """1 where the session has policies of its own."""
    session_tags: str | None
    """JSON: {tag: value}."""
    chained: int | None
    """1 where the session was assumed with another role's session."""
    pull_time_excluded: int = 0
    """1 where some registry does not note the principal's pulls; which one, is asked then alone."""


_KEY_OWNER = (
    "SELECT p.id, k.access_key_id, a.account_id, a.organization_id, p.kind, p.name, p.path, p.unique_id,"
    " p.access_version, k.created_us, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,"
    " p.pull_time_excluded"
    " FROM access_key k JOIN principal p ON p.id = k.principal_key JOIN account a ON a.id = p.account_key"
    " WHERE k.access_key_id = :access_key_id AND k.active = 1"
)
_SESSION_OWNER = (
    "SELECT p.id, s.access_key_id, a.account_id, a.organization_id, p.kind, p.name, p.path, p.unique_id,"
    " p.access_version, s.created_us, s.id, s.name, s.expires_us, s.source_identity, s.provider,"
    " CASE WHEN s.policies = '' THEN 0 ELSE 1 END, s.tags, s.chained,"
    " p.pull_time_excluded"
    " FROM session s JOIN principal p ON p.id = s.principal_key JOIN account a ON a.id = p.account_key"
    " WHERE s.access_key_id = :access_key_id"
)


def find_key_owner(db: Connection, access_key_id: str) -> KeyOwner | None:
    """The principal behind an active access key or a session that was not revoked, whether or not its credentials
    have expired: a registry token may outlive them. Asked at every request, so that a deleted key ends at once."""
    sql = _SESSION_OWNER if access_key_id.startswith(_OF_SESSION) else _KEY_OWNER
    row = db.kept_row(_SCOPE, sql, access_key_id=access_key_id)
    return None if row is None else KeyOwner(*row)


_NAMED_OWNER = (
    "SELECT p.id, '', a.account_id, a.organization_id, p.kind, p.name, p.path, p.unique_id, p.access_version,"
    " p.created_us, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL"
    " FROM account a JOIN principal p ON p.account_key = a.id"
    " WHERE a.account_id = :account_id AND p.kind = :kind AND p.folded = :folded"
)
_NAMED_SESSION = (
    "SELECT p.id, s.access_key_id, a.account_id, a.organization_id, p.kind, p.name, p.path, p.unique_id,"
    " p.access_version, s.created_us, s.id, s.name, s.expires_us, s.source_identity, s.provider,"
    " CASE WHEN s.policies = '' THEN 0 ELSE 1 END, s.tags, s.chained"
    " FROM session s JOIN principal p ON p.id = s.principal_key JOIN account a ON a.id = p.account_key"
    " WHERE s.principal_key = :principal_key AND s.name = :session_name ORDER BY s.id DESC LIMIT 1"
)


def find_owner_by_name(db: Connection, account_id: str, kind: str, name: str) -> KeyOwner | None:
    """A user or role as if it asked itself: for explanations, which prove nothing."""
    row = db.row(_NAMED_OWNER, account_id=account_id, kind=kind, folded=name.lower())
    return None if row is None else KeyOwner(*row)


def find_owner_by_session(db: Connection, principal_key: int, session_name: str) -> KeyOwner | None:
    """The newest session of a role that has this name."""
    row = db.row(_NAMED_SESSION, principal_key=principal_key, session_name=session_name)
    return None if row is None else KeyOwner(*row)


def trust_policy_of(db: Connection, principal_key: int) -> str | None:
    """A role's trust policy."""
    row = db.row("SELECT trust_policy FROM principal WHERE id = :key", key=principal_key)
    return None if row is None else row[0]


@dataclass(frozen=True, slots=True)
class PolicyText:
    """A policy that weighs on a principal."""

    type: str
    """``identity`` or ``boundary``."""
    name: str
    """The ARN of a managed policy, else words: ``inline policy pull of user dev``."""
    document: str | None
    """None for a policy of AWS, whose text is not in the database."""


_OWNERS = "(SELECT :principal_key UNION ALL SELECT group_key FROM group_member WHERE principal_key = :principal_key)"
_POLICIES = (
    "SELECT 'identity', t.policy_arn, v.document FROM attached_policy t"
    " LEFT JOIN managed_policy m ON m.id = t.policy_key"
    " LEFT JOIN managed_policy_version v ON v.policy_key = m.id AND v.version = m.default_version"
    f" WHERE t.principal_key IN {_OWNERS}"
    " UNION ALL"
    " SELECT 'identity', 'inline policy ' || i.name || ' of ' || p.kind || ' ' || p.name, i.document"
    f" FROM inline_policy i JOIN principal p ON p.id = i.principal_key WHERE i.principal_key IN {_OWNERS}"
    " UNION ALL"
    " SELECT 'boundary', p.boundary_arn, v.document FROM principal p"
    " LEFT JOIN managed_policy m ON m.arn = p.boundary_arn"
    " LEFT JOIN managed_policy_version v ON v.policy_key = m.id AND v.version = m.default_version"
    " WHERE p.id = :principal_key AND p.boundary_arn IS NOT NULL"
)


def policies_of(db: Connection, principal_key: int) -> list[PolicyText]:
    """Every policy of a user or role: its own, its groups', its boundary. IAM's quotas bound them."""
    return [PolicyText(*row) for row in db.rows(_POLICIES, principal_key=principal_key)]


def tags_of(db: Connection, principal_key: int) -> dict[str, str]:
    """A principal's own tags."""
    rows = db.rows(
        "SELECT tag_key, tag_value FROM identity_tag WHERE principal_key = :principal_key", principal_key=principal_key
    )
    return dict(rows)


def session_policies(db: Connection, session_key: int) -> list[tuple[str, str]]:
    """(name, document) of a session's own policies."""
    row = db.row("SELECT policies FROM session WHERE id = :session_key", session_key=session_key)
    return [] if row is None or not row[0] else [(name, document) for name, document in json.loads(row[0])]


def changed(db: Connection, *, version: str, principal_key: int) -> None:
    """What an identity may do is other from now on; a group's members' too.

    Args:
        version: a fresh text.
    """
    db.run(
        "UPDATE principal SET access_version = :version WHERE id IN (SELECT :principal_key"
        " UNION ALL SELECT principal_key FROM group_member WHERE group_key = :principal_key)",
        version=version,
        principal_key=principal_key,
    )
    forget(db)


def policy_changed(db: Connection, *, version: str, policy_arn: str) -> None:
    """What everyone may do whom a managed policy weighs on is other from now on: those that it is attached to, members
    of such groups, those whose boundary it is."""
    db.run(
        "UPDATE principal SET access_version = :version WHERE id IN ("
        "SELECT id FROM principal WHERE boundary_arn = :policy_arn"
        " UNION ALL SELECT principal_key FROM attached_policy WHERE policy_arn = :policy_arn"
        " UNION ALL SELECT m.principal_key FROM attached_policy t"
        " JOIN group_member m ON m.group_key = t.principal_key WHERE t.policy_arn = :policy_arn)",
        version=version,
        policy_arn=policy_arn,
    )
    forget(db)
