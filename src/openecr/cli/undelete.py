"""``openecr undelete``: take a repository, an image or a tag out of the trash."""

import asyncio
from typing import Annotated

import typer

from openecr import data_dir as directories
from openecr.cli import options
from openecr.composition import composed
from openecr.db.connection import Connection
from openecr.names import RegistryName
from openecr.services.ecr import undelete as decisions
from openecr.settings import Settings, SettingsError


def undelete(
    wanted: Annotated[str, typer.Argument(metavar="REPO[:tag|@digest]", help="What was deleted.")],
    account: options.Account = None,
    region: options.Region = None,
    new_name: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="Take a repository out under another name.")
    ] = None,
    data_dir: options.DataDir = None,
    config: options.ConfigFile = None,
) -> None:
    """Take back what was deleted last under this name; the server may run meanwhile."""
    settings = options.settings(config, data_dir=data_dir, account_id=account, region=region)
    directories.require(settings)
    try:
        asked = decisions.parse_wanted(wanted)
        if new_name is not None and (asked.tag is not None or asked.digest is not None):
            raise SettingsError("--as names a repository; leave it out to take back an image or a tag")
        done = asyncio.run(_undelete(settings, asked, new_name))
    except decisions.UndeleteRefused as refused:
        raise options.CommandFailed(str(refused)) from None
    for sentence in done:
        print(sentence)


async def _undelete(settings: Settings, asked: decisions.Wanted, new_name: str | None) -> list[str]:
    registry = RegistryName(settings.account_id, settings.region)
    async with composed(settings) as deployment:
        key = await deployment.database.read(lambda db: decisions.locate(db, registry, asked))

        def decide(db: Connection) -> list[str]:
            return decisions.undelete(
                db,
                registry,
                asked,
                key,
                now_us=db.clock_us(),
                promise_us=settings.promise_seconds * 1_000_000,
                new_name=new_name,
            )

        return await deployment.database.write(decide)
