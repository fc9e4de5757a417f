"""VPCs, each in one row: what is in it is a document that ``access/vpcs.py`` reads.

Every request is decided by all of them, so servers keep them compiled and ask only for their version: whoever changes
one calls ``changed`` in the same transaction, after ``lock``, which lets one at a time compare networks.
"""

from dataclasses import dataclass

from openecr.db import deployment
from openecr.db.connection import Connection

_SCOPE = "networks"
_VERSION = "networks_version"
_STEP = 100


@dataclass(frozen=True, slots=True)
class VpcRow:
    """A VPC as it is stored."""

    key: int
    vpc_id: str
    account_id: str
    region: str
    document: str
    created_us: int


_COLUMNS = "id, vpc_id, account_id, region, document, created_us"


def version(db: Connection) -> str:
    """Another text whenever a VPC was changed; empty while there never was one."""
    row = db.kept_row(_SCOPE, "SELECT COALESCE((SELECT value FROM deployment WHERE name = :name), '')", name=_VERSION)
    return "" if row is None else str(row[0])


def lock(db: Connection) -> None:
    """Wait until nobody else changes a VPC; held until this transaction ends."""
    deployment.lock(db)


def changed(db: Connection, fresh_version: str) -> None:
    """What servers keep of networks is false once this transaction commits.

    Args:
        fresh_version: a text that was never the version before.
    """
    deployment.put(db, _VERSION, fresh_version)
    db.forget(_SCOPE)


def every(db: Connection) -> list[VpcRow]:
    """All of them: an operator's few, and no account has more than its quota."""
    found: list[VpcRow] = []
    after = 0
    while True:
        rows = db.rows(f"SELECT {_COLUMNS} FROM vpc WHERE id > :after ORDER BY id LIMIT {_STEP}", after=after)
        found += [VpcRow(*row) for row in rows]
        if len(rows) < _STEP:
            return found
        after = rows[-1][0]


def of_owner(db: Connection, account_id: str, region: str) -> list[VpcRow]:
    """Those of an account in a region, by id; as many as its quota allows."""
    rows = db.rows(
        f"SELECT {_COLUMNS} FROM vpc WHERE account_id = :account_id AND region = :region ORDER BY vpc_id",
        account_id=account_id,
        region=region,
    )
    return [VpcRow(*row) for row in rows]


def find(db: Connection, vpc_id: str) -> VpcRow | None:
    """The VPC of this id, whoever owns it."""
    row = db.row(f"SELECT {_COLUMNS} FROM vpc WHERE vpc_id = :vpc_id", vpc_id=vpc_id)
    return None if row is None else VpcRow(*row)


def insert(db: Connection, *, vpc_id: str, account_id: str, region: str, document: str, now_us: int) -> None:
    """Store a new one."""
    db.run(
        "INSERT INTO vpc (vpc_id, account_id, region, document, created_us)"
        " VALUES (:vpc_id, :account_id, :region, :document, :now_us)",
        vpc_id=vpc_id,
        account_id=account_id,
        region=region,
        document=document,
        now_us=now_us,
    )


def update(db: Connection, vpc_id: str, document: str) -> None:
    """Store what is in one now."""
    db.run("UPDATE vpc SET document = :document WHERE vpc_id = :vpc_id", vpc_id=vpc_id, document=document)


def delete(db: Connection, vpc_id: str) -> None:
    """Remove one with all that is in it."""
    db.run("DELETE FROM vpc WHERE vpc_id = :vpc_id", vpc_id=vpc_id)
