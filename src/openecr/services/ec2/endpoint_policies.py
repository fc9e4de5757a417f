"""VPC endpoint policies: what may be asked through an endpoint, by whom."""

from openecr.access.policies.document import PolicyInvalid, PolicyKind, compiled
from openecr.services.ec2 import refusals

_MOST_CHARACTERS = 20_480
"""Longer policies are refused (VPC user guide, "Endpoint policies")."""
FULL_ACCESS = '{"Statement":[{"Action":"*","Effect":"Allow","Principal":"*","Resource":"*"}]}'
"""What an endpoint without a policy of its own has (VPC user guide, "Default endpoint policy")."""


def require(text: str | None) -> str | None:
    """A policy's text as it is kept; None where it is the default.

    Raises:
        InvalidPolicy: it is no policy of an endpoint.
    """
    if text is None or not text.strip():
        return None
    if len(text) > _MOST_CHARACTERS:
        raise refusals.InvalidPolicy(message=f"The policy is longer than {_MOST_CHARACTERS} characters")
    try:
        compiled(text, PolicyKind.ENDPOINT)
    except PolicyInvalid as invalid:
        raise refusals.InvalidPolicy(message=f"The policy document is invalid: {invalid.why}") from None
    return text
