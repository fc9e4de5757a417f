"""What a server concludes from its looks at the shared database."""

import time
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict

from openecr.db.kept_rows import KeptRows
from openecr.db.postgres_address import each_host
from openecr.db.postgres_watch import NotPrimary, Primary, Watch


class Looked:
    """A session on a database whose clock is some way off this host's."""

    def __init__(self, offset_us: int) -> None:
        self._offset_us = offset_us
        self._rows: list[tuple[Any, ...]] = []

    def execute(self, sql: str, params: dict[str, Any]) -> "Looked":
        now_us = time.time_ns() // 1000 + self._offset_us
        self._rows = [(None, now_us, 1)] if "forgotten" in sql else [(False, 7, "00000001", 1, 1)]
        return self

    def fetchone(self) -> tuple[Any, ...]:
        return self._rows[0]

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self._rows

    def close(self) -> None:
        return


def watch(offset_us: int) -> Watch:
    return Watch(lambda: Looked(offset_us), Primary(None), KeptRows(), lambda: None)


@pytest.mark.parametrize(("offset_us", "said"), [(6_000_000, "+6.0 seconds"), (-7_000_000, "-7.0 seconds")])
def test_a_host_whose_clock_is_off_is_not_ready_and_is_told_by_how_much(offset_us: int, said: str) -> None:
    looking = watch(offset_us)
    looking.look()

    assert said in (looking.trouble() or "")


@pytest.mark.parametrize("offset_us", [0, 4_000_000, -4_000_000])
def test_a_clock_that_is_a_little_off_is_followed(offset_us: int) -> None:
    looking = watch(offset_us)
    looking.look()

    assert looking.trouble() is None
    assert abs(looking.clock_us() - time.time_ns() // 1000 - offset_us) < 1_000_000


def test_a_database_that_was_never_seen_is_trouble() -> None:
    assert watch(0).trouble() == "the database was not reached yet"


class Connection:
    """A connection to a server on a timeline."""

    def __init__(self, timeline: str) -> None:
        self._timeline = timeline

    def execute(self, sql: str, *, prepare: bool) -> "Connection":
        assert not prepare
        return self

    def fetchone(self) -> tuple[Any, ...]:
        return False, 7, self._timeline, 1, 4711


def require(primary: Primary, timeline: str) -> int:
    connection: Any = Connection(timeline)
    return primary.require(connection)


def test_what_one_process_saw_of_a_failover_holds_for_the_others_of_its_server(tmp_path: Path) -> None:
    one, other = Primary(tmp_path / "primary.json"), Primary(tmp_path / "primary.json")
    assert require(one, "00000001") == require(other, "00000001") == 4711
    require(one, "00000002")

    with pytest.raises(NotPrimary, match="older primary"):
        require(other, "00000001")


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("postgresql://u@one/d", [("one", None)]),
        ("postgresql://u@one:1,two:2/d?target_session_attrs=read-write", [("one", "1"), ("two", "2")]),
        ("postgresql://u@one,two/d", [("one", None), ("two", None)]),
        ("postgresql:///d?host=one,two&port=5433", [("one", "5433"), ("two", "5433")]),
    ],
)
def test_each_host_of_an_address_has_its_own(url: str, hosts: list[tuple[str, str | None]]) -> None:
    found = [conninfo_to_dict(address) for address in each_host(url)]

    assert [(item["host"], item.get("port") or None) for item in found] == hosts
    assert {item["dbname"] for item in found} == {"d"}
    expected = "read-write" if "target" in url else None
    assert {item.get("target_session_attrs") for item in found} == {expected}
