"""Declaring workloads, as the operator does: nothing gets credentials that was not declared here."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from openecr.db import identities, sessions, workloads
from openecr.db.connection import Connection
from openecr.services.workloads import workload_rules
from openecr.services.workloads.credentials import new_token, token_digest
from openecr.services.workloads.trust import trusts

_ROLE_ARN = re.compile(r"arn:aws:iam::([0-9]{12}):role((?:/[\x21-\x2e\x30-\x7e]+)*/)([A-Za-z0-9+=,.@_-]{1,64})")


class NotDeclared(Exception):
    """A workload cannot be declared or changed so; the text is one sentence with the remedy."""


@dataclass(frozen=True, slots=True)
class Declared:
    """What the operator hands on."""

    name: str
    role_arn: str
    networks: tuple[str, ...] = ()
    token: str | None = None
    """In the clear for this once; None for nodes."""


def declare(
    db: Connection, name: str, role_arn: str, nodes: Sequence[str], session_seconds: int, now_us: int
) -> Declared:
    """Bind a role to a new bearer token, or to networks of nodes.

    Raises:
        NotDeclared: the name is taken or none, there is no such role, it does not trust the service, or a network is
            none or another workload's.
    """
    if workload_rules.NAME.fullmatch(name) is None:
        raise NotDeclared(f"'{name}' cannot name a workload: give 2 to 64 letters, digits, dots, dashes or underscores")
    least, most = workload_rules.LEAST_SESSION_SECONDS, workload_rules.MOST_SESSION_SECONDS
    if not least <= session_seconds <= most:
        raise NotDeclared(f"a session lasts {least} to {most} seconds")
    networks = tuple(dict.fromkeys(_network(text) for text in nodes))
    service = workload_rules.NODE_SERVICE if networks else workload_rules.TASK_SERVICE
    role_id = _role_id(db, role_arn)
    key = workloads.insert(
        db, name=name, service=service, role_id=role_id, session_seconds=session_seconds, now_us=now_us
    )
    if key is None:
        raise NotDeclared(f"there is a workload {name}; delete it first, or give another name")
    _require_trust(db, name, role_arn, now_us)
    for network in networks:
        if not workloads.insert_source(db, key, network):
            raise NotDeclared(f"{network} is another workload's; openecr workload list tells whose")
    if networks:
        return Declared(name, role_arn, networks)
    return Declared(name, role_arn, token=_add_token(db, key, now_us))


def rotate(db: Connection, name: str, overlap_us: int, now_us: int) -> Declared:
    """Make a new bearer token; those until now end after the overlap.

    Raises:
        NotDeclared: there is no such workload, or it is of nodes, which have no token.
    """
    found = workloads.find_by_name(db, name)
    if found is None:
        raise NotDeclared(f"there is no workload {name}; openecr workload list tells which there are")
    if found.service == workload_rules.NODE_SERVICE:
        raise NotDeclared(f"workload {name} is of nodes, which have no token")
    workloads.lock(db, found.key)
    workloads.delete_ended_tokens(db, found.key, now_us)
    workloads.end_tokens(db, found.key, now_us + overlap_us)
    return Declared(name, found.role_arn or found.role_id, token=_add_token(db, found.key, now_us))


def withdraw(db: Connection, name: str) -> None:
    """Delete a workload, and end every session that it got, with the registry tokens of them.

    Raises:
        NotDeclared: there is no such workload.
    """
    found = workloads.find_by_name(db, name)
    if found is None:
        raise NotDeclared(f"there is no workload {name}; openecr workload list tells which there are")
    workloads.lock(db, found.key)
    for access_key_id in workloads.sessions_of(db, found.key):
        sessions.revoke(db, access_key_id)
    workloads.delete(db, found.key)


def _add_token(db: Connection, key: int, now_us: int) -> str:
    token = new_token()
    workloads.insert_token(db, key, token_digest(token), now_us)
    return token


def _network(text: str) -> str:
    try:
        return workload_rules.node_network(text)
    except workload_rules.NoNetwork as none:
        raise NotDeclared(str(none)) from None


def _role_id(db: Connection, role_arn: str) -> str:
    parts = _ROLE_ARN.fullmatch(role_arn)
    if parts is None:
        raise NotDeclared(f"'{role_arn}' is no role's ARN; give one like arn:aws:iam::123456789012:role/pull")
    found = identities.find_by_name(db, parts[1], identities.ROLE, parts[3])
    if found is None or (found.path, found.name) != (parts[2], parts[3]):
        raise NotDeclared(f"there is no role {role_arn}; aws iam list-roles tells which there are")
    return found.unique_id


def _require_trust(db: Connection, name: str, role_arn: str, now_us: int) -> None:
    made = workloads.find_by_name(db, name)
    assert made is not None  # noqa: S101 - it was just declared
    if not trusts(made, now_us):
        raise NotDeclared(
            f"{role_arn} does not trust {made.service}; allow sts:AssumeRole to that service in its trust policy "
            "(aws iam update-assume-role-policy)"
        )
