"""The credentials that workloads get: one session of the role for all who ask, and the next when half of it is over.

The session is kept sealed in the workload's row, so that every server hands out the same; a session that was revoked,
or whose role is gone, is handed out by none.
"""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass

import orjson

from openecr.access.credentials import TEMPORARY, new_access_key
from openecr.call import Deployment
from openecr.db import callers, sessions, workloads
from openecr.db.connection import Connection
from openecr.db.sessions import NewSession
from openecr.db.workloads import Workload
from openecr.services.workloads import workload_rules
from openecr.services.workloads.trust import trusts

Find = Callable[[Connection], Workload | None]


class NoWorkload(Exception):
    """Nobody declared who asks."""


class RoleUnusable(Exception):
    """The workload's role is gone, or does not trust the workload's service any more; the text says which."""


@dataclass(frozen=True, slots=True)
class RoleCredentials:
    """A session of a workload's role, in the clear."""

    role_arn: str
    access_key_id: str
    secret_access_key: str
    session_token: str
    issued_us: int
    expires_us: int


def by_token(token: str, now_us: int) -> Find:
    """Whoever holds this bearer token."""
    digest = token_digest(token)
    return lambda db: workloads.find_by_token(db, digest, now_us)


def by_source(source: str) -> Find:
    """Whoever comes from this address; the narrowest network that was declared decides."""
    networks = workload_rules.networks_of(source)
    return lambda db: workloads.find_by_source(db, networks) if networks else None


def new_token() -> str:
    """A bearer token that nobody has."""
    return secrets.token_urlsafe(48)


def token_digest(token: str) -> bytes:
    """What is kept of a bearer token."""
    return hashlib.sha256(token.encode()).digest()


async def role_name(deployment: Deployment, find: Find) -> str:
    """The name of the role that a workload has.

    Raises:
        NoWorkload
        RoleUnusable: the role is gone.
    """
    found = await deployment.database.read(find, consistent=False)
    if found is None:
        raise NoWorkload
    if found.role_name is None:
        raise RoleUnusable("The role does not exist any more.")
    return found.role_name


async def credentials(deployment: Deployment, find: Find) -> RoleCredentials:
    """The session that is handed out to a workload now; made where there is none, or half of it is over.

    Raises:
        NoWorkload
        RoleUnusable
    """
    now_us = deployment.now_us()
    current = await deployment.database.read(lambda db: _current(db, deployment, _require(db, find), now_us))
    if current is not None:
        return current
    return await deployment.database.write(lambda db: _renewed(db, deployment, find, now_us))


def _require(db: Connection, find: Find) -> Workload:
    found = find(db)
    if found is None:
        raise NoWorkload
    if found.role_key is None:
        raise RoleUnusable("The role does not exist any more.")
    if not trusts(found.trust_policy, found.service):
        raise RoleUnusable(
            f"{found.service} cannot assume the role {found.role_name}: its trust policy does not allow it."
        )
    return found


def _current(db: Connection, deployment: Deployment, found: Workload, now_us: int) -> RoleCredentials | None:
    """The session in the workload's row, while it has half of its time and nobody revoked it."""
    if found.sealed_session is None or found.access_key_id is None or now_us >= found.renew_us:
        return None
    if callers.find_key_owner(db, found.access_key_id) is None:
        return None
    said = orjson.loads(deployment.keyring.unseal(found.sealed_session, _context(found)))
    return RoleCredentials(**said)


def _renewed(db: Connection, deployment: Deployment, find: Find, now_us: int) -> RoleCredentials:
    """Make the next session, unless another server just did."""
    workloads.lock(db, _require(db, find).key)
    found = _require(db, find)
    current = _current(db, deployment, found, now_us)
    if current is not None:
        return current
    made = _issue(db, deployment, found, now_us)
    workloads.hand_out(
        db,
        found.key,
        access_key_id=made.access_key_id,
        sealed_session=deployment.keyring.seal(orjson.dumps(made), _context(found)),
        renew_us=workload_rules.renews_at_us(now_us, found.session_seconds),
    )
    return made


def _issue(db: Connection, deployment: Deployment, found: Workload, now_us: int) -> RoleCredentials:
    assert found.role_key is not None  # noqa: S101 - required before
    assert found.role_arn is not None  # noqa: S101 - as the key
    key = new_access_key(TEMPORARY)
    token = secrets.token_urlsafe(96)
    expires_us = now_us + found.session_seconds * 1_000_000
    kept_us = (deployment.settings.token_seconds + deployment.settings.upload_expiry_seconds) * 1_000_000
    sessions.insert(
        db,
        NewSession(
            access_key_id=key.access_key_id,
            principal_key=found.role_key,
            sealed_secret=deployment.keyring.seal(key.secret_access_key.encode(), key.access_key_id),
            token_digest=hashlib.sha256(token.encode()).digest(),
            name=found.name,
            policies="",
            tags="",
            transitive_tags="",
            source_identity="",
            provider="",
            chained=0,
            created_us=now_us,
            expires_us=expires_us,
            kept_until_us=expires_us + kept_us,
        ),
    )
    workloads.insert_session(
        db, found.key, access_key_id=key.access_key_id, kept_until_us=expires_us + kept_us, now_us=now_us
    )
    return RoleCredentials(found.role_arn, key.access_key_id, key.secret_access_key, token, now_us, expires_us)


def _context(found: Workload) -> str:
    return f"session of workload {found.key}"
