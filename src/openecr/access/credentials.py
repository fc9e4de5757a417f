"""Fresh names and secrets, in the forms that AWS's have (IAM User Guide, "IAM identifiers")."""

import base64
import secrets
from dataclasses import dataclass

USER_ID, ROLE_ID, GROUP_ID, POLICY_ID, INSTANCE_PROFILE_ID = "AIDA", "AROA", "AGPA", "ANPA", "AIPA"
LONG_TERM, TEMPORARY = "AKIA", "ASIA"


@dataclass(frozen=True, slots=True)
class AccessKey:
    """An access key in the clear."""

    access_key_id: str
    secret_access_key: str


def unique_id(prefix: str) -> str:
    """An id that no other identity or policy ever has."""
    return prefix + _base32(17)


def new_access_key(prefix: str = LONG_TERM) -> AccessKey:
    """A key that nobody has."""
    return AccessKey(prefix + _base32(16), base64.b64encode(secrets.token_bytes(30)).decode())


def fresh_version() -> str:
    """A text that no identity had as its access version, in this database or in one that it was restored from."""
    return secrets.token_urlsafe(12)


def _base32(length: int) -> str:
    return base64.b32encode(secrets.token_bytes(length)).decode()[:length]
