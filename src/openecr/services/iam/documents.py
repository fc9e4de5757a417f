"""Policy documents: what is taken, how long it may be, how it is told."""

from urllib.parse import quote

from openecr.access.policies.document import PolicyInvalid, PolicyKind, parse
from openecr.bounded_json import JsonRefused, loads
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
        MalformedPolicyDocument: why not, in IAM's words where they are known.
    """
    _parse(document, PolicyKind.IDENTITY)


def require_trust_policy(document: str) -> None:
    """Refuse what does not say who may assume a role.

    Raises:
        MalformedPolicyDocument: why not, in IAM's words where they are known.
    """
    _parse(document, PolicyKind.TRUST)


def _parse(document: str, kind: PolicyKind) -> None:
    try:
        parse(document, kind)
    except PolicyInvalid as invalid:
        message = _known_fault(document, kind) or f"Syntax errors in policy. ({invalid.why})"
        raise MalformedPolicyDocument(message=message) from None


_FAULTS = {
    PolicyKind.IDENTITY: (
        (("Action", "NotAction"), True, "Policy statement must contain actions."),
        (("Resource", "NotResource"), True, "Policy statement must contain resources."),
        (("Principal", "NotPrincipal"), False, "Policy document should not specify a principal."),
    ),
    PolicyKind.TRUST: (
        (("Principal", "NotPrincipal"), True, "Missing required field Principal"),
        (("Action", "NotAction"), True, "Missing required field Action"),
        (("Resource", "NotResource"), False, "Has prohibited field Resource"),
    ),
}
"""What a statement of a kind must (True) or must not have one of, and IAM's words where it is not so."""


def _known_fault(document: str, kind: PolicyKind) -> str | None:
    """IAM's words for what is wrong with a refused document; None where they are not known."""
    try:
        read = loads(document.encode())
    except JsonRefused:
        return "Syntax errors in policy."
    listed = read.get("Statement") if isinstance(read, dict) else None
    statements = listed if isinstance(listed, list) else [listed]
    for statement in statements:
        if not isinstance(statement, dict):
            return "Syntax errors in policy."
        for elements, wanted, told in _FAULTS[kind]:
            if any(element in statement for element in elements) is not wanted:
                return told
    return None
