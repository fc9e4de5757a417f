"""Making sessions: fresh credentials, and the row that they are checked against on every server."""

import base64
import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from openecr.access.credentials import TEMPORARY, new_access_key
from openecr.call import Call
from openecr.db import sessions
from openecr.db.sessions import NewSession

_TOKEN_BYTES = 96


@dataclass(frozen=True, slots=True)
class SessionTerms:
    """What a session is, beside whose it is and how long it lasts."""

    name: str = ""
    """A role session's name; empty for a user's own session."""
    policies: Sequence[tuple[str, str]] = ()
    """(name, document) of the policies that narrow it."""
    tags: Mapping[str, str] = field(default_factory=dict)
    transitive_tags: Sequence[str] = ()
    source_identity: str = ""
    provider: str = ""
    """The OIDC provider that vouched for the caller."""
    is_chained: bool = False
    least_token_characters: int = 0


@dataclass(frozen=True, slots=True)
class Issued:
    """The credentials of a session, in the clear for this once."""

    access_key_id: str
    secret_access_key: str
    session_token: str
    expires_us: int

    @property
    def answer(self) -> dict[str, Any]:
        """STS's shape ``Credentials``."""
        return {
            "AccessKeyId": self.access_key_id,
            "SecretAccessKey": self.secret_access_key,
            "SessionToken": self.session_token,
            "Expiration": self.expires_us,
        }


def issue(call: Call, principal_key: int, seconds: int, terms: SessionTerms) -> Issued:
    """Make a session of a role or user. Whether the caller may have it was decided before."""
    made = new_access_key(TEMPORARY)
    token = _new_token(terms.least_token_characters)
    expires_us = call.now_us + seconds * 1_000_000
    sessions.insert(
        call.db,
        NewSession(
            access_key_id=made.access_key_id,
            principal_key=principal_key,
            sealed_secret=call.deployment.keyring.seal(made.secret_access_key.encode(), made.access_key_id),
            token_digest=token_digest(token),
            name=terms.name,
            policies=_json(list(terms.policies)) if terms.policies else "",
            tags=_json(dict(terms.tags)) if terms.tags else "",
            transitive_tags=_json(list(terms.transitive_tags)) if terms.transitive_tags else "",
            source_identity=terms.source_identity,
            provider=terms.provider,
            chained=int(terms.is_chained),
            created_us=call.now_us,
            expires_us=expires_us,
            kept_until_us=expires_us + _registry_token_us(call),
        ),
    )
    return Issued(made.access_key_id, made.secret_access_key, token, expires_us)


def token_digest(session_token: str) -> bytes:
    """What is kept of a session token."""
    return hashlib.sha256(session_token.encode()).digest()


def _registry_token_us(call: Call) -> int:
    """How long a registry token that was asked for at a session's last moment, and an upload under it, may go on."""
    return (call.settings.token_seconds + call.settings.upload_expiry_seconds) * 1_000_000


def _new_token(least_characters: int) -> str:
    size = max(_TOKEN_BYTES, (least_characters + 3) // 4 * 3)
    return base64.b64encode(secrets.token_bytes(size)).decode()


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
