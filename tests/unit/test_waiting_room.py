"""Held requests: until the client leaves, the time is over, or the server ends; never more than so many."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from openecr.waiting_room import WaitingRoom

LONG_SECONDS = 600.0


class Client:
    """What a held request receives: bodies until it leaves."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.left = asyncio.Event()
        self.sent: list[dict[str, Any]] = [{"type": "http.request", "body": b"x"}, {"type": "http.request"}]

    async def receive(self) -> dict[str, Any]:
        self.asked.set()
        if self.sent:
            return self.sent.pop(0)
        await self.left.wait()
        return {"type": "http.disconnect"}


def run(scene: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scene, 30))


async def started(room: WaitingRoom, client: Client) -> "asyncio.Task[None]":
    held = asyncio.create_task(room.hold(client.receive))
    await client.asked.wait()
    return held


def test_a_request_is_held_until_its_client_leaves_whatever_it_sends() -> None:
    async def scene() -> None:
        room, client = WaitingRoom(LONG_SECONDS), Client()
        held = await started(room, client)
        assert not held.done()
        client.left.set()
        await held
        assert (room.held, client.sent) == (0, [])

    run(scene())


def test_a_request_is_held_no_longer_than_the_time() -> None:
    async def scene() -> None:
        await WaitingRoom(0.01).hold(Client().receive)

    run(scene())


def test_all_are_let_go_when_the_server_ends_and_nobody_is_held_after() -> None:
    async def scene() -> None:
        room = WaitingRoom(LONG_SECONDS)
        held = [await started(room, Client()) for _ in range(2)]
        assert room.held == 2
        room.close()
        await asyncio.gather(*held)
        await room.hold(Client().receive)
        assert room.held == 0

    run(scene())


def test_who_finds_the_room_full_is_not_held() -> None:
    async def scene() -> None:
        room = WaitingRoom(LONG_SECONDS, most=1)
        held = await started(room, Client())
        await room.hold(Client().receive)
        assert room.held == 1
        assert not held.done()
        room.close()
        await held

    run(scene())


def test_a_request_that_is_cut_frees_its_place() -> None:
    async def scene() -> None:
        room = WaitingRoom(LONG_SECONDS)
        held = await started(room, Client())
        held.cancel()
        await asyncio.gather(held, return_exceptions=True)
        assert room.held == 0

    run(scene())
