"""Rows that tests put into a database without a server."""

from openecr.db import registries, repositories
from openecr.db.connection import Connection
from openecr.db.repositories import Repository
from openecr.names import RegistryName

REGISTRY = RegistryName("123456789012", "us-east-1")


def make_repository(
    db: Connection, name: str = "app", *, now_us: int = 1, encryption_type: str = "AES256", kms_key: str | None = None
) -> Repository:
    """A repository as one is made without any settings, in ``REGISTRY``."""
    repositories.insert(
        db,
        registry_key=registries.require_key(db, REGISTRY, now_us),
        name=name,
        now_us=now_us,
        tag_mutability="MUTABLE",
        mutability_filters="[]",
        scan_on_push=False,
        encryption_type=encryption_type,
        kms_key=kms_key,
    )
    found = repositories.find(db, REGISTRY, name)
    assert found is not None
    return found
