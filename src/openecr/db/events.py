"""Events that happened, in the order in which their transactions wrote them."""

from dataclasses import dataclass

from openecr.db.connection import Connection


@dataclass(frozen=True, slots=True)
class Event:
    """An event, as EventBridge has it; texts are JSON."""

    key: int
    event_id: str
    account_id: str
    region: str
    source: str
    detail_type: str
    resources: str
    detail: str
    at_us: int


def insert(
    db: Connection,
    *,
    event_id: str,
    registry_key: int,
    source: str,
    detail_type: str,
    resources: str,
    detail: str,
    at_us: int,
) -> None:
    """Write an event down, in the transaction that causes it."""
    db.run(
        "INSERT INTO event (event_id, registry_key, source, detail_type, resources, detail, at_us)"
        " VALUES (:event_id, :registry_key, :source, :detail_type, :resources, :detail, :at_us)",
        event_id=event_id,
        registry_key=registry_key,
        source=source,
        detail_type=detail_type,
        resources=resources,
        detail=detail,
        at_us=at_us,
    )


def after(db: Connection, key: int, most: int) -> list[Event]:
    """Events after a key, in order."""
    rows = db.rows(
        "SELECT e.id, e.event_id, g.account_id, g.region, e.source, e.detail_type, e.resources, e.detail, e.at_us"
        " FROM event e JOIN registry g ON g.id = e.registry_key WHERE e.id > :key ORDER BY e.id LIMIT :most",
        key=key,
        most=most,
    )
    return [Event(*row) for row in rows]


def since(db: Connection, at_us: int) -> int:
    """The key after which events are of an instant or later."""
    found = db.row("SELECT id FROM event WHERE at_us >= :at_us ORDER BY at_us, id LIMIT 1", at_us=at_us)
    if found is not None:
        return int(found[0]) - 1
    last = db.row("SELECT id FROM event WHERE id > 0 ORDER BY id DESC LIMIT 1")
    return int(last[0]) if last else 0


def forget_before(db: Connection, at_us: int, most: int) -> int:
    """Remove up to ``most`` events that are older than an instant; how many."""
    return db.run(
        "DELETE FROM event WHERE id IN (SELECT id FROM event WHERE at_us < :at_us ORDER BY at_us LIMIT :most)",
        at_us=at_us,
        most=most,
    )
