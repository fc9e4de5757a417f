"""``openecr events``: what happened, as EventBridge has it: one JSON document a line, in order."""

import asyncio
import time
from functools import partial
from typing import Annotated

import orjson
import typer

from openecr import data_dir as directories
from openecr.cli import options
from openecr.cli.audit import instant
from openecr.composition import composed
from openecr.db import events as rows
from openecr.events import bus
from openecr.settings import Settings

_STEP = 500
_POLL_SECONDS = 1.0
_YOUNG_SECONDS = 60.0


def events(
    since: Annotated[str | None, typer.Option(metavar="1h|2026-03-01T10:00Z", help="Not before this.")] = None,
    detail_type: Annotated[
        list[str] | None, typer.Option("--type", metavar="TYPE", help='Such as "ECR Image Scan"; repeatable.')
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what happens from now on.")] = False,
    data_dir: options.DataDir = None,
    config: options.ConfigFile = None,
) -> None:
    """Print what happened to images, scans and findings: events as EventBridge has them, one a line."""
    since_us = 0 if since is None else instant(since, "--since")
    if follow and since is None:
        since_us = int(time.time() * 1_000_000)
    settings = options.settings(config, data_dir=data_dir)
    directories.require(settings)
    asyncio.run(_print(settings, since_us, frozenset(detail_type or ()), follow=follow))


async def _print(settings: Settings, since_us: int, types: frozenset[str], *, follow: bool) -> None:
    async with composed(settings) as deployment:
        database = deployment.database
        position = settled = await database.read(partial(rows.since, at_us=since_us))
        told: dict[int, float] = {}
        while True:
            step = await database.read(partial(rows.after, key=position, most=_STEP))
            for event in step:
                position = event.key
                if event.key not in told and (not types or event.detail_type in types):
                    print(orjson.dumps(bus.rendered(event)).decode(), flush=follow)
                told[event.key] = time.monotonic()
            if len(step) == _STEP:
                continue
            if not follow:
                return
            # A transaction may commit after one that took a later key: what is young is read again.
            for key in [key for key, at in told.items() if at < time.monotonic() - _YOUNG_SECONDS]:
                settled = max(settled, key)
                del told[key]
            await asyncio.sleep(_POLL_SECONDS)
            position = settled
