"""Policy documents: what is taken, how long it may be, how it is told."""

from urllib.parse import quote

from openecr.errors import MalformedPolicyDocument

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
        MalformedPolicyDocument: why not, in IAM's words.
    """
    _parse(document)


def require_trust_policy(document: str) -> None:
    """Refuse what does not say who may assume a role.

    Raises:
        MalformedPolicyDocument: why not, in IAM's words.
    """
    _parse(document)


def _parse(document: str) -> None:
    import json

    try:
        if not isinstance(json.loads(document), dict):
            raise ValueError
    except (ValueError, RecursionError):
        raise MalformedPolicyDocument(message="Syntax errors in policy.") from None
