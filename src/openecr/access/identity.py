"""Who a proven access key belongs to, as the database has it now."""

from dataclasses import dataclass

from openecr.access.aws_managed import ADMINISTRATOR_ACCESS
from openecr.db import callers
from openecr.db.callers import KeyOwner
from openecr.db.connection import Connection


@dataclass(frozen=True, slots=True)
class Caller:
    """The principal behind a request."""

    owner: KeyOwner
    is_administrator: bool = False

    @property
    def account_id(self) -> str:
        """The principal's account."""
        return self.owner.account_id

    @property
    def principal_key(self) -> int:
        """The principal's row."""
        return self.owner.principal_key

    @property
    def access_key_id(self) -> str:
        """The key that was proven."""
        return self.owner.access_key_id

    @property
    def unique_id(self) -> str:
        """The id that stays when the principal is renamed (``AIDA...``)."""
        return self.owner.unique_id

    @property
    def administrator(self) -> bool:
        """Whether the principal may do everything in its account."""
        return self.is_administrator

    @property
    def arn(self) -> str:
        """The principal's ARN."""
        return f"arn:aws:iam::{self.owner.account_id}:{self.owner.kind}/{self.owner.name}"


def find_caller(db: Connection, access_key_id: str) -> Caller | None:
    """The principal whose active access key this is."""
    owner = callers.find_key_owner(db, access_key_id)
    if owner is None:
        return None
    policies = callers.policies_of(db, owner.principal_key)
    return Caller(owner, any(policy.name == ADMINISTRATOR_ACCESS for policy in policies))
