"""Sessions in the database, on every engine."""

from dataclasses import replace
from typing import Any

import pytest
from tests.engines import Engine

from openecr.db import accounts, callers, identities, sessions
from openecr.db.connection import Connection
from openecr.db.sessions import NewSession

SESSION = NewSession(
    access_key_id="ASIA0",
    principal_key=0,
    sealed_secret=b"sealed",
    token_digest=bytes(32),
    name="ci",
    policies="",
    tags="",
    transitive_tags="",
    source_identity="",
    provider="",
    chained=0,
    created_us=1,
    expires_us=10,
    kept_until_us=20,
)


@pytest.fixture
def db(engine: Engine) -> Connection:
    return engine.connection()


@pytest.fixture
def role(db: Connection) -> int:
    account = accounts.insert(db, "123456789012", 1)
    key = identities.insert(
        db, account, kind="role", name="Puller", path="/ci/", unique_id="AROAX", version="1", now_us=1
    )
    assert key is not None
    return key


def fill(db: Connection, role: int, count: int, **more: Any) -> list[str]:
    made = [replace(SESSION, principal_key=role, access_key_id=f"ASIA{number}", **more) for number in range(count)]
    for session in made:
        sessions.insert(db, session)
    return [session.access_key_id for session in made]


def test_a_session_is_found_as_a_key_is(db: Connection, role: int) -> None:
    (key,) = fill(db, role, 1)

    secret, owner = callers.find_signing_secret(db, key), callers.find_key_owner(db, key)

    assert secret is not None
    assert (secret.account_id, secret.token_digest, secret.expires_us) == ("123456789012", bytes(32), 10)
    assert owner is not None
    assert (owner.kind, owner.name, owner.session_name, owner.expires_us) == ("role", "Puller", "ci", 10)
    assert sessions.account_of_key(db, key) == "123456789012"
    assert sessions.account_of_key(db, "ASIAABSENT") is None


def test_a_role_is_found_in_whatever_case_and_named_as_it_is(db: Connection, role: int) -> None:
    found = sessions.find_role(db, "123456789012", "pULLER")

    assert found is not None
    assert (found.key, found.arn) == (role, "arn:aws:iam::123456789012:role/ci/Puller")
    assert sessions.find_role(db, "999988887777", "Puller") is None


def test_sessions_are_listed_in_pages(db: Connection, role: int) -> None:
    keys = fill(db, role, 5)

    first = sessions.page(db, sessions.FIRST, 3)
    rest = sessions.page(db, first[-1].key, 3)

    assert [item.access_key_id for item in (*first, *rest)] == keys
    assert [item.access_key_id for item in sessions.page_of(db, role, first[-1].key, 3)] == keys[3:]
    assert sessions.page_of(db, role + 1, sessions.FIRST, 3) == []


def test_the_sessions_of_a_role_are_ended_step_by_step(db: Connection, role: int) -> None:
    fill(db, role, 5)

    assert [sessions.revoke_of(db, role, 3) for _ in range(3)] == [3, 2, 0]
    assert sessions.page(db, sessions.FIRST, 10) == []


def test_what_nothing_lives_of_is_due(db: Connection, role: int) -> None:
    fill(db, role, 3, kept_until_us=20)

    assert sessions.due(db, 19, 10) == []
    due = sessions.due(db, 20, 2)
    sessions.delete(db, due)

    assert len(due) == 2
    assert len(sessions.page(db, sessions.FIRST, 10)) == 1
