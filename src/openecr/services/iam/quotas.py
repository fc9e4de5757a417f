"""IAM's quotas (IAM User Guide, "IAM and AWS STS quotas"), and its words for one that is used up."""

from openecr.db.identities import GROUP, ROLE, USER
from openecr.errors import LimitExceeded

PER_ACCOUNT = {USER: 5000, GROUP: 300, ROLE: 1000}
POLICIES_PER_ACCOUNT = 1500
INSTANCE_PROFILES_PER_ACCOUNT = 1000
OIDC_PROVIDERS_PER_ACCOUNT = 100
ACCESS_KEYS_PER_USER = 2
GROUPS_PER_USER = 10
ATTACHED_POLICIES = 10
POLICY_VERSIONS = 5
POLICY_CHARACTERS = 6144
TRUST_CHARACTERS = 2048
INLINE_CHARACTERS = {USER: 2048, GROUP: 5120, ROLE: 10240}
CLIENT_IDS_PER_PROVIDER = 100
THUMBPRINTS_PER_PROVIDER = 5
TAGS = 50


def require_room(used: int, most: int, name: str) -> None:
    """Refuse one more of what a quota bounds.

    Raises:
        LimitExceeded: as many are there as may be.
    """
    if used >= most:
        raise LimitExceeded(message=f"Cannot exceed quota for {name}: {most}")
