"""The principals that the policy of a repository, registry or role names: resolved when it is set, named again when it
is read.

IAM names a user or role in a stored policy by its unique id, so that one that is deleted and made again is another;
whoever is gone is shown by that id (IAM User Guide, "AWS JSON policy elements: Principal"). An account that this
deployment does not have is taken at its word: nobody can call as one of its principals.
"""

import json
import re
from collections.abc import Callable
from typing import Any

from openecr.db import accounts, identities
from openecr.db.connection import Connection

_ACCOUNT = re.compile(r"[0-9]{12}")
_IDENTITY = re.compile(r"arn:aws[a-z-]*:iam::([0-9]{12}):(user|role)(/.*?)([^/]+)")
_SESSION = re.compile(r"arn:aws[a-z-]*:sts::([0-9]{12}):assumed-role/([^/]+)/[^/]+")
_ELEMENTS = ("Principal", "NotPrincipal")
_UNIQUE_ID = re.compile(r"(?:AIDA|AROA)[A-Z0-9]+")


class PrincipalMissing(Exception):
    """The policy names a user or role that its account does not have."""

    def __init__(self, principal: str) -> None:
        self.principal = principal
        super().__init__(principal)


def resolved(db: Connection, text: str) -> str:
    """The policy's canonical text as it is stored, its users and roles by their unique ids.

    Raises:
        PrincipalMissing
    """
    return json.dumps(_each(json.loads(text), lambda value: _resolve(db, value)), ensure_ascii=False)


def named(db: Connection, stored: str) -> Any:
    """A stored policy's document with its users and roles by the ARNs that they have now."""
    return _each(json.loads(stored), lambda value: _name(db, value))


def _each(document: dict[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    """The document with every AWS principal changed; order and form of everything stay."""
    statements = document.get("Statement", [])
    listed = [statements] if isinstance(statements, dict) else statements
    made = [
        {name: _changed(value, change) if name in _ELEMENTS else value for name, value in one.items()} for one in listed
    ]
    return document | {"Statement": made[0] if isinstance(statements, dict) else made}


def _changed(principal: Any, change: Callable[[str], str]) -> Any:
    if not isinstance(principal, dict) or "AWS" not in principal:
        return principal
    value = principal["AWS"]
    return principal | {"AWS": change(value) if isinstance(value, str) else [change(one) for one in value]}


def _resolve(db: Connection, value: str) -> str:
    if _ACCOUNT.fullmatch(value):
        return f"arn:aws:iam::{value}:root"
    if _UNIQUE_ID.fullmatch(value):
        if identities.find_by_unique_id(db, value) is None:
            raise PrincipalMissing(value)
        return value
    session = _SESSION.fullmatch(value)
    if session is not None:
        if accounts.find(db, session[1]) is not None:
            _require(db, value, session[1], identities.ROLE, session[2])
        return value
    identity = _IDENTITY.fullmatch(value)
    if identity is None or accounts.find(db, identity[1]) is None:
        return value
    found = _require(db, value, identity[1], identity[2], identity[4])
    if found.path != identity[3]:
        raise PrincipalMissing(value)
    return found.unique_id


def _require(db: Connection, value: str, account_id: str, kind: str, name: str) -> identities.PrincipalRecord:
    found = identities.find_by_name(db, account_id, kind, name)
    if found is None or found.name != name:
        raise PrincipalMissing(value)
    return found


def _name(db: Connection, value: str) -> str:
    found = identities.find_by_unique_id(db, value) if _UNIQUE_ID.fullmatch(value) else None
    return value if found is None else f"arn:aws:iam::{found.account_id}:{found.kind}{found.path}{found.name}"
