"""Identities by name, or IAM's words for one that is not there or may not be changed."""

from openecr.access.credentials import fresh_version
from openecr.call import Call
from openecr.db import accounts, callers, identities
from openecr.db.identities import Identity
from openecr.errors import NoSuchEntity, UnmodifiableEntity

SERVICE_ROLE_PATH = "/aws-service-role/"
"""Where the roles are that only their service changes."""


def require(call: Call, kind: str, name: str) -> Identity:
    """The identity of the caller's account that has this name; held where the call writes.

    Raises:
        NoSuchEntity: there is none.
    """
    found = identities.find(call.db, call.registry().account_id, kind, name, lock=call.writes)
    if found is None:
        raise NoSuchEntity(message=f"The {kind} with name {name} cannot be found.")
    return found


def require_modifiable(call: Call, kind: str, name: str) -> Identity:
    """The identity of this name, unless only its service may change it.

    Raises:
        NoSuchEntity, UnmodifiableEntity: it is not there, or is a service-linked role.
    """
    found = require(call, kind, name)
    if found.kind == identities.ROLE and found.path.startswith(SERVICE_ROLE_PATH):
        raise UnmodifiableEntity(role=found.name)
    return found


def hold_account(call: Call) -> int:
    """The key of the caller's account, held so that what its quotas count stays."""
    key = accounts.hold(call.db, call.registry().account_id)
    assert key is not None  # noqa: S101 - the caller is of it
    return key


def changed(call: Call, identity: Identity) -> None:
    """What an identity may do is other from now on, on every server."""
    callers.changed(call.db, version=fresh_version(), principal_key=identity.key)
