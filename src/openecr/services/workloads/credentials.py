"""The credentials that workloads get: one session of the role for all who ask, and the next when half of it is over.

The session is kept sealed in the workload's row, so that every server hands out the same; a session that was revoked,
or whose role is gone, is handed out by none. Nobody signs these requests: a read decides first, and only who may have
credentials that are not there yet costs a write, which decides again.
"""

import hashlib
import secrets
from dataclasses import dataclass
from typing import Protocol

import orjson

from openecr.call import Call, Decision, decision, without_permission
from openecr.db import callers, workloads
from openecr.db.connection import Connection
from openecr.db.workloads import Workload
from openecr.origin import Origin
from openecr.services.sts.issuing import SessionTerms, issue
from openecr.services.workloads import workload_rules
from openecr.services.workloads.trust import trusts

_ACTION = "sts:AssumeRole"


class NoWorkload(Exception):
    """Nobody declared who asks."""


class RoleUnusable(Exception):
    """The workload's role is gone, or does not trust the workload's service any more; the text says which."""


class Bearer(Protocol):
    """Who asks, by what it has."""

    def find(self, db: Connection, now_us: int) -> Workload | None:
        """The workload that was declared for it."""
        ...


@dataclass(frozen=True, slots=True)
class TokenBearer:
    """Whoever holds a bearer token."""

    digest: bytes

    def find(self, db: Connection, now_us: int) -> Workload | None:
        """The token's workload, while the token has not ended."""
        return workloads.find_by_token(db, self.digest, now_us)


@dataclass(frozen=True, slots=True)
class Node:
    """Whoever comes from an address."""

    source: str

    def find(self, db: Connection, _now_us: int) -> Workload | None:
        """The workload of the narrowest declared network that the address is in."""
        networks = workload_rules.networks_of(self.source)
        return workloads.find_by_source(db, networks) if networks else None


@dataclass(frozen=True, slots=True)
class RoleCredentials:
    """A session of a workload's role, in the clear."""

    role_arn: str
    access_key_id: str
    secret_access_key: str
    session_token: str
    issued_us: int
    expires_us: int


def new_token() -> str:
    """A bearer token that nobody has."""
    return secrets.token_urlsafe(48)


def token_digest(token: str) -> bytes:
    """What is kept of a bearer token."""
    return hashlib.sha256(token.encode()).digest()


class Run(Protocol):
    """The waist's way to run a decision."""

    async def __call__(
        self, step: Decision[RoleCredentials | None], origin: Origin, /, *, bearer: Bearer
    ) -> RoleCredentials | None:
        """Run it."""
        ...


async def credentials(run: Run, origin: Origin, bearer: Bearer) -> RoleCredentials:
    """The session that is handed out to a workload now; made where there is none, or half of it is over.

    Raises:
        NoWorkload
        RoleUnusable
    """
    given = await run(handed_out, origin, bearer=bearer) or await run(renewed, origin, bearer=bearer)
    assert given is not None  # noqa: S101 - a session was made
    return given


@decision(_ACTION, writes=False, resources=without_permission, anonymous=True, event="")
def role_name(call: Call, *, bearer: Bearer) -> str | None:
    """The name of a workload's role; None where the role is gone.

    Raises:
        NoWorkload
    """
    found = bearer.find(call.db, call.now_us)
    if found is None:
        raise NoWorkload
    return found.role_name


@decision(_ACTION, writes=False, resources=without_permission, anonymous=True)
def handed_out(call: Call, *, bearer: Bearer) -> RoleCredentials | None:
    """The workload's session, while it has half of its time and nobody revoked it.

    Raises:
        NoWorkload
        RoleUnusable
    """
    return _current(call, _assumable(call, bearer))


@decision(_ACTION, writes=True, resources=without_permission, anonymous=True)
def renewed(call: Call, *, bearer: Bearer) -> RoleCredentials | None:
    """The workload's next session, unless another server just made it.

    Raises:
        NoWorkload
        RoleUnusable
    """
    workloads.lock(call.db, _assumable(call, bearer).key)
    found = _assumable(call, bearer)
    return _current(call, found) or _next(call, found)


def _assumable(call: Call, bearer: Bearer) -> Workload:
    found = bearer.find(call.db, call.now_us)
    if found is None:
        raise NoWorkload
    if found.role_arn is None:
        raise RoleUnusable("The role does not exist any more.")
    if not trusts(found, call.now_us):
        raise RoleUnusable(f"The trust policy of role {found.role_name} does not let {found.service} assume it.")
    return found


def _current(call: Call, found: Workload) -> RoleCredentials | None:
    if found.sealed_session is None or found.access_key_id is None or call.now_us >= found.renew_us:
        return None
    if callers.find_key_owner(call.db, found.access_key_id) is None:
        return None
    return RoleCredentials(**orjson.loads(call.deployment.keyring.unseal(found.sealed_session, _context(found))))


def _next(call: Call, found: Workload) -> RoleCredentials:
    assert found.role_key is not None  # noqa: S101 - the role is there
    assert found.role_arn is not None  # noqa: S101 - and has its ARN
    issued = issue(call, found.role_key, found.session_seconds, SessionTerms(name=found.name))
    made = RoleCredentials(
        role_arn=found.role_arn,
        access_key_id=issued.access_key_id,
        secret_access_key=issued.secret_access_key,
        session_token=issued.session_token,
        issued_us=call.now_us,
        expires_us=issued.expires_us,
    )
    workloads.insert_session(call.db, found.key, issued.access_key_id)
    workloads.hand_out(
        call.db,
        found.key,
        access_key_id=issued.access_key_id,
        sealed_session=call.deployment.keyring.seal(orjson.dumps(made), _context(found)),
        renew_us=workload_rules.renews_at_us(call.now_us, found.session_seconds),
    )
    return made


def _context(found: Workload) -> str:
    return f"session of workload {found.key}"
