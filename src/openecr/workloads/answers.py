"""How answers to workloads look: never kept by anyone in between."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from openecr.asgi import Scope, Send


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer."""

    status: int
    body: bytes
    content_type: bytes = b"text/plain"
    headers: tuple[tuple[bytes, bytes], ...] = ()


def said(status: int, text: str) -> Answer:
    """A sentence."""
    return Answer(status, f"{text}\n".encode())


def as_json(status: int, document: dict[str, Any]) -> Answer:
    """A document."""
    return Answer(status, orjson.dumps(document), b"application/json")


def instant(us: int) -> str:
    """An instant as the SDKs read it: ``2026-11-26T15:00:00Z``."""
    return datetime.fromtimestamp(us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def reply(send: Send, scope: Scope, answer: Answer, request_id: str) -> int:
    """Send an answer; its status."""
    headers = [
        (b"content-type", answer.content_type),
        (b"content-length", str(len(answer.body)).encode()),
        (b"cache-control", b"no-store"),
        (b"x-amzn-requestid", request_id.encode()),
        *answer.headers,
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer.body})
    return answer.status
