"""Logs: complete lines, and no secret in them."""

import asyncio
import json

import pytest
import structlog

from openecr import logs
from openecr.logs import AccessLog, hide_secrets


def note(log: AccessLog, path: str = "/v2/", **more: object) -> None:
    log.write(method="GET", path=path, status=200, duration_us=42, request_id="id-1", source="127.0.0.1", **more)  # type: ignore[arg-type]


def test_lines_are_written_soon_and_whole() -> None:
    pieces: list[bytes] = []

    async def serve() -> None:
        written = asyncio.Event()
        loop = asyncio.get_running_loop()

        def write(piece: bytes) -> None:
            pieces.append(piece)
            if b'"/v2/99"' in piece:
                loop.call_soon_threadsafe(written.set)

        log = AccessLog(write=write, text=False)
        for number in range(100):
            note(log, f"/v2/{number}")
        await asyncio.wait_for(written.wait(), 10)
        note(log, "/v2/last")
        log.flush()

    asyncio.run(serve())
    assert all(len(piece) <= 4096 and piece.endswith(b"\n") for piece in pieces)
    paths = [json.loads(line)["path"] for line in b"".join(pieces).splitlines()]
    assert paths == [*(f"/v2/{number}" for number in range(100)), "/v2/last"]


def test_presigned_query_is_not_logged() -> None:
    pieces: list[bytes] = []

    async def serve() -> None:
        log = AccessLog(write=pieces.append, text=False)
        note(log, "/layers/0b1c?expires=1&key=1&signature=c2VjcmV0")
        log.flush()

    asyncio.run(serve())
    assert b"signature" not in b"".join(pieces)
    assert json.loads(pieces[0])["path"] == "/layers/0b1c"


def test_text_line_cannot_be_forged_by_a_path() -> None:
    pieces: list[bytes] = []

    async def serve() -> None:
        log = AccessLog(write=pieces.append, text=True)
        note(log, "/v2/\n2026-01-01 GET /forged\x1b[2J")
        log.flush()

    asyncio.run(serve())
    assert b"".join(pieces).count(b"\n") == 1
    assert b"\x1b" not in pieces[0]


def test_log_that_nobody_reads_costs_bounded_memory_and_tells_what_it_dropped() -> None:
    pieces: list[bytes] = []

    async def serve() -> None:
        log = AccessLog(write=pieces.append, text=False)
        for _ in range(2100):
            note(log, "/" + "x" * 5000)
        log.flush()

    asyncio.run(serve())
    assert sum(map(len, pieces)) < 9 * 1024 * 1024
    last = json.loads(b"".join(pieces).splitlines()[-1])
    assert last["event"] == "log lines dropped"
    assert last["count"] > 0


def test_secrets_are_hidden_by_name() -> None:
    event = hide_secrets(None, "info", {"event": "x", "secret_access_key": "s", "Authorization": "Basic s", "pid": 1})
    assert event == {"event": "x", "secret_access_key": "[hidden]", "Authorization": "[hidden]", "pid": 1}


def test_json_log_is_one_document_a_line(capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure("json")
    try:
        structlog.get_logger("test").warning("something", request_id="id-1", password="p")
        line = json.loads(capfd.readouterr().err)
    finally:
        structlog.reset_defaults()
    assert (line["event"], line["level"], line["request_id"], line["password"]) == (
        "something",
        "warning",
        "id-1",
        "[hidden]",
    )
