"""Who a proven access key belongs to, as the database has it now."""

from dataclasses import dataclass

from openecr.db.connection import Connection


@dataclass(frozen=True, slots=True)
class Caller:
    """The principal behind a request."""

    principal_key: int
    access_key_id: str
    account_id: str
    kind: str
    name: str
    unique_id: str
    administrator: int
    """1 where the principal may do everything in its account."""

    @property
    def arn(self) -> str:
        """The principal's ARN."""
        return f"arn:aws:iam::{self.account_id}:{self.kind}/{self.name}"


_FIND = """
    SELECT p.id, k.access_key_id, a.account_id, p.kind, p.name, p.unique_id, p.administrator
    FROM access_key k JOIN principal p ON p.id = k.principal_key JOIN account a ON a.id = p.account_key
    WHERE k.access_key_id = :access_key_id AND k.active = 1
"""


def find_caller(db: Connection, access_key_id: str) -> Caller | None:
    """The principal whose active access key this is."""
    found = db.row(_FIND, access_key_id=access_key_id)
    return None if found is None else Caller(*found)
