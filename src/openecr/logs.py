"""Structured logs on standard error, as JSON lines or as text, never with a secret in them.

Everything that happens seldom goes through structlog. The line per request goes through ``AccessLog``, which costs the
serving loop a few microseconds: lines are gathered and written by a thread, many at once.
"""

import asyncio
import logging
import os
import sys
import time
from collections.abc import Callable, MutableMapping
from typing import Any, NamedTuple

import orjson
import structlog

FLUSH_SECONDS = 0.1
_MOST_WAITING_BYTES = 8 * 1024 * 1024
_ATOMIC_BYTES = 4096
"""A pipe keeps a write of this size in one piece, so that the lines of several workers do not mix (POSIX PIPE_BUF)."""
_SECRET_KEYS = ("secret", "password", "authorization", "token", "signature")

_text = False


def configure(log_format: str, level: int = logging.INFO) -> None:
    """Send every log of this process to standard error, as ``json`` or ``text``."""
    global _text
    _text = log_format == "text"
    renderer: Any = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()) if _text else _render_json
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time" if not _text else "timestamp"),
        hide_secrets,
    ]
    if not _text:
        shared.append(structlog.processors.format_exc_info)
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(level, logging.WARNING))


def hide_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Blank every value whose name says that it is a secret."""
    for key in event:
        if any(word in key.lower() for word in _SECRET_KEYS):
            event[key] = "[hidden]"
    return event


def _render_json(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    return orjson.dumps(dict(event), default=str, option=orjson.OPT_NON_STR_KEYS).decode()


class _Request(NamedTuple):
    method: str
    path: str
    status: int
    duration_us: int
    request_id: str
    source: str
    principal: str
    bytes_sent: int | None


class AccessLog:
    """One line per request. Used on one event loop; what waits is written within about a tenth of a second."""

    def __init__(self, *, write: Callable[[bytes], None] | None = None, text: bool | None = None) -> None:
        self._write_out = write or _write_to_stderr
        self._line = _text_line if (_text if text is None else text) else _json_line
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._dropped = 0
        self._scheduled = False

    def write(
        self,
        *,
        method: str,
        path: str,
        status: int,
        duration_us: int,
        request_id: str,
        source: str = "",
        principal: str = "",
        bytes_sent: int | None = None,
    ) -> None:
        """Note a finished request. A query string is never written: presigned URLs carry their right in it."""
        if self._waiting_bytes > _MOST_WAITING_BYTES:
            self._dropped += 1  # whoever reads the log has stopped; serving goes on
            return
        path = path.partition("?")[0]
        line = self._line(_Request(method, path, status, duration_us, request_id, source, principal, bytes_sent))
        self._waiting.append(line)
        self._waiting_bytes += len(line)
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._flush_in_thread)

    def flush(self) -> None:
        """Write what waits, now: at the end of the process."""
        self._write_lines(self._take())

    def _take(self) -> list[bytes]:
        lines, self._waiting = self._waiting, []
        self._waiting_bytes = 0
        if self._dropped:
            lines.append(_encode({"level": "warning", "event": "log lines dropped", "count": self._dropped}))
            self._dropped = 0
        return lines

    def _write_lines(self, lines: list[bytes]) -> None:
        for piece in _pieces(lines):
            self._write_out(piece)

    def _flush_in_thread(self) -> None:
        # The schedule stays taken until the thread is done: with a log that blocks, one thread waits, not many.
        loop = asyncio.get_running_loop()
        loop.run_in_executor(None, self._write_lines, self._take()).add_done_callback(self._flushed)

    def _flushed(self, _done: "asyncio.Future[None]") -> None:
        self._scheduled = bool(self._waiting)
        if self._scheduled:
            asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._flush_in_thread)


def _pieces(lines: list[bytes]) -> list[bytes]:
    """The lines, joined to pieces that a pipe keeps whole."""
    pieces: list[bytes] = []
    piece: list[bytes] = []
    size = 0
    for line in lines:
        if piece and size + len(line) > _ATOMIC_BYTES:
            pieces.append(b"".join(piece))
            piece, size = [], 0
        piece.append(line)
        size += len(line)
    if piece:
        pieces.append(b"".join(piece))
    return pieces


def _json_line(request: _Request) -> bytes:
    method, path, status, duration_us, request_id, source, principal, bytes_sent = request
    document = {
        "time": _now(),
        "level": "info",
        "event": "request",
        "method": method,
        "path": path,
        "status": status,
        "duration_us": duration_us,
        "request_id": request_id,
        "source": source,
    }
    if principal:
        document["principal"] = principal
    if bytes_sent is not None:
        document["bytes_sent"] = bytes_sent
    return _encode(document)


def _text_line(request: _Request) -> bytes:
    size = "-" if request.bytes_sent is None else f"{request.bytes_sent}B"
    line = (
        f"{_now()} {request.method} {request.path} {request.status} {size} {request.duration_us / 1000:.1f}ms "
        f"{request.principal or '-'} {request.source or '-'} {request.request_id}"
    )
    # A path may carry what moves a terminal's cursor or begins a line of its own.
    return (line if line.isprintable() else ascii(line)[1:-1]).encode() + b"\n"


def _encode(document: dict[str, Any]) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)


_second = (0, "")


def _now() -> str:
    """The instant in ISO form; the text of the running second is kept, for it is the same for thousands of lines."""
    global _second
    nanoseconds = time.time_ns()
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    if _second[0] != seconds:
        _second = (seconds, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)))
    return f"{_second[1]}.{rest // 1_000_000:03d}Z"


def _write_to_stderr(piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        try:
            view = view[os.write(2, view) :]
        except OSError:
            return  # a log that is gone must not stop the server
