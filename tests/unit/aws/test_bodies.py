"""Bodies are read under a budget; who stalls or asks too much loses its place."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from openecr.asgi import Receive
from openecr.aws import bodies
from openecr.aws.bodies import Bodies, Budget, ClientLeft
from openecr.errors import RequestTimedOut, RequestTooLarge, Throttled

MIB = 1024 * 1024


def pieces(*parts: bytes) -> Callable[[], Awaitable[dict[str, Any]]]:
    left = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    left[-1]["more_body"] = False

    async def receive() -> dict[str, Any]:
        return left.pop(0)

    return receive


async def leave() -> dict[str, Any]:
    return {"type": "http.disconnect"}


async def stall() -> dict[str, Any]:
    await asyncio.Event().wait()
    raise AssertionError


async def read(receive: Receive, announced: int | None) -> tuple[bytes, str]:
    async with Bodies(64 * MIB).read(receive, announced) as body:
        return body.content, body.sha256


def test_a_body_is_joined_and_hashed() -> None:
    assert asyncio.run(read(pieces(b"ab", b"", b"c"), 3)) == (b"abc", hashlib.sha256(b"abc").hexdigest())


def test_a_body_without_a_length_is_read() -> None:
    assert asyncio.run(read(pieces(b"abc"), None))[0] == b"abc"


def test_a_body_is_not_longer_than_announced() -> None:
    with pytest.raises(RequestTooLarge):
        asyncio.run(read(pieces(b"ab", b"c"), 2))


def test_a_body_over_the_limit_is_refused_unread() -> None:
    with pytest.raises(RequestTooLarge):
        asyncio.run(read(stall, 32 * MIB + 1))


def test_a_client_that_leaves_is_not_answered() -> None:
    with pytest.raises(ClientLeft):
        asyncio.run(read(leave, 5))


def test_a_client_that_stalls_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "STALL_SECONDS", 0.01)

    with pytest.raises(RequestTimedOut):
        asyncio.run(read(stall, 5))


def test_room_is_given_back_whatever_happens() -> None:
    async def fail_then_read() -> int:
        budget = Budget(10)
        with pytest.raises(ValueError, match="no"):
            async with budget.hold(10):
                raise ValueError("no")
        return budget.free_bytes

    assert asyncio.run(fail_then_read()) == 10


def test_a_body_waits_for_room_in_its_turn() -> None:
    async def three() -> list[str]:
        budget, order, gate = Budget(10), [], asyncio.Event()

        async def one(name: str, size: int) -> None:
            async with budget.hold(size):
                order.append(name)
                await gate.wait()

        tasks = [asyncio.create_task(one(name, size)) for name, size in (("a", 8), ("b", 8), ("c", 1))]
        await asyncio.sleep(0)
        assert order == ["a"]  # c would fit, but b came first
        gate.set()
        await asyncio.gather(*tasks)
        assert budget.free_bytes == 10
        return order

    assert asyncio.run(three()) == ["a", "b", "c"]


def test_who_waits_too_long_is_throttled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "WAIT_SECONDS", 0.01)

    async def two() -> int:
        budget = Budget(10)
        async with budget.hold(10):
            with pytest.raises(Throttled):
                async with budget.hold(1):
                    raise AssertionError
        return budget.free_bytes

    assert asyncio.run(two()) == 10


def test_who_gives_up_waiting_leaves_no_trace() -> None:
    async def cancelled() -> int:
        budget = Budget(10)

        async def wait() -> None:
            async with budget.hold(5):
                raise AssertionError

        async with budget.hold(10):
            waiting = asyncio.create_task(wait())
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        async with budget.hold(10):
            return budget.free_bytes

    assert asyncio.run(cancelled()) == 0


def test_large_bodies_leave_room_for_small_ones() -> None:
    async def full() -> bytes:
        shared = Bodies(64 * MIB)
        async with (
            shared.read(pieces(bytes(30 * MIB)), 30 * MIB),
            shared.read(pieces(bytes(26 * MIB)), 26 * MIB),
            shared.read(pieces(b"{}"), 2) as body,
        ):
            return body.content

    assert asyncio.run(full()) == b"{}"
