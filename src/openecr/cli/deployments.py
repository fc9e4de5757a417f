"""How commands come to a deployment: the one of their settings, beside servers that may run meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from openecr import data_dir as directories
from openecr.cli import options
from openecr.composition import composed
from openecr.deployment import Deployment
from openecr.names import RegistryName
from openecr.settings import Settings

T = TypeVar("T")


def run(settings: Settings, work: Callable[[Deployment], Awaitable[T]]) -> T:
    """Do some work on the deployment, and let go of it."""
    directories.require(settings)

    async def composed_run() -> T:
        async with composed(settings) as deployment:
            return await work(deployment)

    return asyncio.run(composed_run())


def registry_of(
    config: Path | None, data_dir: Path | None, account: str | None, region: str | None
) -> tuple[Settings, RegistryName]:
    """The settings, and the registry that a command means: the server's own where it names none."""
    settings = options.settings(config, data_dir=data_dir)
    directories.require(settings)
    return settings, RegistryName(account or settings.account_id, region or settings.region)
