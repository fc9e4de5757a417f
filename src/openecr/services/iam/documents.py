"""Policy documents: what is taken, how long it may be, how it is told."""

import json
from urllib.parse import quote

from openecr.access.policies.document import PolicyInvalid, PolicyKind, parse
from openecr.db.connection import Connection
from openecr.errors import MalformedPolicyDocument
from openecr.services.ecr import policy_principals

_WHITE = str.maketrans("", "", " \t\r\n")


def characters(document: str) -> int:
    """A document's length as quotas count it: without white space."""
    return len(document.translate(_WHITE))


def told(document: str) -> str:
    """A document as IAM's answers have it: percent-encoded (IAM API reference, RFC 3986)."""
    return quote(document, safe="")


def whole_seconds(instant_us: int) -> int:
    """An instant as IAM tells it: without a fraction."""
    return instant_us // 1_000_000 * 1_000_000


def require_identity_policy(document: str) -> None:
    """Refuse what is no policy for a user, group or role.

    Raises:
        MalformedPolicyDocument: why not, in IAM's words, and where.
    """
    _parse(document, PolicyKind.IDENTITY)


def resolved_trust_policy(db: Connection, document: str) -> str:
    """What says who may assume a role, as it is stored: its users and roles by their unique ids.

    Raises:
        MalformedPolicyDocument: why it does not, in IAM's words, and where.
    """
    _parse(document, PolicyKind.TRUST)
    try:
        return policy_principals.resolved(db, document)
    except policy_principals.PrincipalMissing as missing:
        said = f'Invalid principal in policy: "AWS":"{missing.principal}"'
        raise MalformedPolicyDocument(message=said) from None


def told_trust_policy(db: Connection, stored: str) -> str:
    """A stored trust policy as IAM's answers have it, its users and roles by the ARNs that they have now."""
    return told(json.dumps(policy_principals.named(db, stored), ensure_ascii=False))


def _parse(document: str, kind: PolicyKind) -> None:
    try:
        parse(document, kind)
    except PolicyInvalid as invalid:
        raise MalformedPolicyDocument(message=invalid.why) from None
