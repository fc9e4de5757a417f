"""Who a proven access key belongs to, as the database has it now."""

from dataclasses import dataclass

from openecr.access.policies.evaluation import Principal
from openecr.db import callers
from openecr.db.callers import KeyOwner
from openecr.db.connection import Connection


@dataclass(frozen=True, slots=True)
class Caller:
    """The principal behind a request."""

    owner: KeyOwner | None
    """None for whoever proved nothing: few operations take such a caller."""

    @property
    def is_anonymous(self) -> bool:
        """Whether nobody is known to ask."""
        return self.owner is None

    @property
    def known(self) -> KeyOwner:
        """The principal; only where an operation does not take anonymous callers."""
        assert self.owner is not None  # noqa: S101 - authorization refuses the others first
        return self.owner

    @property
    def account_id(self) -> str:
        """The principal's account; empty for an anonymous caller."""
        return "" if self.owner is None else self.owner.account_id

    @property
    def principal_key(self) -> int:
        """The principal's row."""
        return self.known.principal_key

    @property
    def access_key_id(self) -> str:
        """The key that was proven; empty for an anonymous caller."""
        return "" if self.owner is None else self.owner.access_key_id

    def credentials_take(self, action: str) -> bool:
        """Whether credentials of this kind may be used for an action at all, whatever policies say: not those of
        GetSessionToken for IAM, nor for most of STS (STS API reference, GetSessionToken)."""
        owner = self.owner
        if owner is None or owner.session_key is None or owner.kind == "role":
            return True
        return not action.startswith("iam:") and action != "sts:GetAccessKeyInfo"

    @property
    def user_id(self) -> str:
        """What GetCallerIdentity calls UserId, and policies ``aws:userid`` (IAM User Guide, "Principal key values")."""
        owner = self.known
        if owner.kind == "root":
            return owner.account_id
        return f"{owner.unique_id}:{owner.session_name}" if owner.kind == "role" else owner.unique_id

    @property
    def role_arn(self) -> str:
        """The role whose session this is; empty for other callers."""
        owner = self.owner
        if owner is None or owner.kind != "role":
            return ""
        return f"arn:aws:iam::{owner.account_id}:role{owner.path}{owner.name}"

    @property
    def arn(self) -> str:
        """The principal's ARN: that of a role's session names the session; empty for an anonymous caller."""
        owner = self.owner
        if owner is None:
            return ""
        if owner.kind == "root":
            return f"arn:aws:iam::{owner.account_id}:root"
        if owner.kind == "role":
            return f"arn:aws:sts::{owner.account_id}:assumed-role/{owner.name}/{owner.session_name}"
        return f"arn:aws:iam::{owner.account_id}:{owner.kind}{owner.path}{owner.name}"

    @property
    def principal_arn(self) -> str:
        """The ARN of the identity itself: a session's role, else the caller's own."""
        return self.role_arn or self.arn

    @property
    def principal(self) -> Principal:
        """The caller as policies see it."""
        owner = self.owner
        if owner is None:
            return Principal(arn="", account_id="", kind="anonymous")
        return Principal(
            arn=self.arn,
            account_id=owner.account_id,
            kind=owner.kind,  # type: ignore[arg-type]
            role_arn=self.role_arn,
            unique_id=owner.unique_id,
        )


ANONYMOUS = Caller(None)
"""Whoever proved nothing."""


def find_caller(db: Connection, access_key_id: str) -> Caller | None:
    """The principal whose active access key or session this is."""
    owner = callers.find_key_owner(db, access_key_id)
    return None if owner is None else Caller(owner)
