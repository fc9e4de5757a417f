"""Events as EventBridge has them: written in the transaction that causes them, read in order (``openecr events``).

Shapes: Amazon ECR user guide, "Amazon ECR events and EventBridge"; EventBridge user guide, "Event structure".
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import orjson

from openecr.db import events as rows
from openecr.db.connection import Connection
from openecr.db.events import Event

ECR, INSPECTOR = "aws.ecr", "aws.inspector2"


def note(
    db: Connection,
    registry_key: int,
    detail_type: str,
    detail: Mapping[str, Any],
    now_us: int,
    *,
    resources: Sequence[str] = (),
    source: str = ECR,
) -> None:
    """Write an event down in the caller's transaction: it happens exactly if what it tells does."""
    rows.insert(
        db,
        event_id=str(uuid4()),
        registry_key=registry_key,
        source=source,
        detail_type=detail_type,
        resources=orjson.dumps(list(resources)).decode(),
        detail=orjson.dumps({name: value for name, value in detail.items() if value is not None}).decode(),
        at_us=now_us,
    )


def rendered(event: Event) -> dict[str, Any]:
    """An event in EventBridge's envelope; times are whole seconds there."""
    at = datetime.fromtimestamp(event.at_us // 1_000_000, UTC)
    return {
        "version": "0",
        "id": event.event_id,
        "detail-type": event.detail_type,
        "source": event.source,
        "account": event.account_id,
        "time": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": event.region,
        "resources": orjson.loads(event.resources),
        "detail": orjson.loads(event.detail),
    }
