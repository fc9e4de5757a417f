"""When a kept row may be used, and when it must not be."""

from openecr.db.kept_rows import LEASE_SECONDS, SETTLE_SECONDS, KeptRows

ROW = (1, b"manifest")


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def renewed(time: Time, most_bytes: int = 1_000_000) -> KeptRows:
    rows = KeptRows(most_bytes, time)
    rows.renew(time.now, [])
    return rows


def test_nothing_is_used_before_the_database_was_asked() -> None:
    rows = KeptRows(1_000_000, Time())
    rows.keep("key", "scope", ROW, rows.epoch)
    assert rows.find("key") is None


def test_a_row_is_used_inside_the_lease_that_began_when_the_database_was_asked() -> None:
    time = Time()
    rows = renewed(time)
    rows.keep("key", "scope", ROW, rows.epoch)
    asked_at = time.now
    time.now += 0.3  # the answer took this long
    rows.renew(asked_at, [])
    time.now = asked_at + LEASE_SECONDS - 0.01
    assert rows.find("key") == ROW
    time.now = asked_at + LEASE_SECONDS
    assert rows.find("key") is None


def test_whoever_waits_for_a_deletion_waits_for_longer_than_any_lease() -> None:
    assert SETTLE_SECONDS > LEASE_SECONDS


def test_what_is_forgotten_goes_and_the_rest_stays() -> None:
    time = Time()
    rows = renewed(time)
    rows.keep("a", "one", ROW, rows.epoch)
    rows.keep("b", "one", ROW, rows.epoch)
    rows.keep("c", "two", ROW, rows.epoch)
    rows.renew(time.now, ["one"])
    assert [rows.find(key) for key in "abc"] == [None, None, ROW]


def test_a_read_that_began_before_its_scope_was_forgotten_is_not_kept() -> None:
    time = Time()
    rows = renewed(time)
    epoch = rows.epoch
    rows.renew(time.now, ["scope"])
    rows.keep("key", "scope", ROW, epoch)
    assert rows.find("key") is None
    rows.keep("key", "scope", ROW, rows.epoch)
    assert rows.find("key") == ROW


def test_a_read_that_began_before_too_many_scopes_were_forgotten_is_not_kept() -> None:
    time = Time()
    rows = renewed(time)
    epoch = rows.epoch
    rows.renew(time.now, ["scope"])
    rows.renew(time.now, [f"other {number}" for number in range(20_000)])
    rows.keep("key", "scope", ROW, epoch)
    assert rows.find("key") is None


def test_the_least_used_rows_go_where_there_is_no_room() -> None:
    time = Time()
    rows = renewed(time, most_bytes=10_000)
    for number in range(3):
        rows.keep(number, "scope", (b"x" * 2_500,), rows.epoch)
    assert rows.find(0) is not None
    rows.keep(3, "scope", (b"x" * 2_500,), rows.epoch)
    assert [rows.find(number) is not None for number in range(4)] == [True, False, True, True]


def test_after_a_loss_of_the_database_nothing_that_was_kept_is_used() -> None:
    time = Time()
    rows = renewed(time)
    epoch = rows.epoch
    rows.keep("key", "scope", ROW, epoch)
    rows.clear()
    rows.renew(time.now, [])
    assert rows.find("key") is None
    rows.keep("key", "scope", ROW, epoch)
    assert rows.find("key") is None
