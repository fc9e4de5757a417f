"""``openecr account``: make and list accounts."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Annotated

import typer

from openecr import data_dir as directories
from openecr.access.credentials import AccessKey
from openecr.app import composed
from openecr.cli import options
from openecr.db import accounts
from openecr.db.connection import Connection
from openecr.names import ACCOUNT_ID
from openecr.processes.prepare import create_account
from openecr.settings import Settings, SettingsError

app = typer.Typer(help="Make and list accounts.", no_args_is_help=True)


@app.command()
def create(
    account_id: Annotated[str, typer.Argument(help="The account's 12 digits.")],
    data_dir: options.DataDir = None,
    config: options.ConfigFile = None,
) -> None:
    """Make an account, and print its administrator's access key."""
    if ACCOUNT_ID.fullmatch(account_id) is None:
        raise SettingsError(f"account id '{account_id}' is not 12 digits; give one like 999988887777")
    settings = options.settings(config, data_dir=data_dir)
    directories.require(settings)

    async def write() -> AccessKey:
        async with composed(settings) as deployment:

            def make(db: Connection) -> AccessKey:
                if accounts.find(db, account_id) is not None:
                    raise SettingsError(
                        f"account {account_id} exists; its key is shown by: openecr env --account {account_id}"
                    )
                return create_account(db, deployment.keyring, account_id, time.time_ns() // 1000)

            return await deployment.database.write(make)

    made = asyncio.run(write())
    print(f"account            {account_id}")
    print(f"access key id      {made.access_key_id}")
    print(f"secret access key  {made.secret_access_key}")


@app.command("list")
def list_accounts(data_dir: options.DataDir = None, config: options.ConfigFile = None) -> None:
    """List the accounts and when they were made."""
    settings = options.settings(config, data_dir=data_dir)
    directories.require(settings)
    for found in asyncio.run(_every(settings)):
        made = datetime.fromtimestamp(found.created_us / 1_000_000, UTC)
        print(f"{found.account_id}  {made:%Y-%m-%d %H:%M:%S} UTC")


async def _every(settings: Settings) -> list[accounts.Account]:
    async with composed(settings) as deployment:
        return await deployment.database.read(accounts.every)
