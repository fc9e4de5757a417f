"""``openecr account``: make and list accounts."""

import asyncio
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from openecr import data_dir as directories
from openecr.cli import options
from openecr.db import accounts
from openecr.db.connection import Connection
from openecr.db.sqlite import SqliteDatabase
from openecr.keyring import load_root_key, open_keyring
from openecr.names import ACCOUNT_ID
from openecr.processes.prepare import AccessKey, create_account
from openecr.settings import SettingsError

app = typer.Typer(help="Make and list accounts.", no_args_is_help=True)


@app.command()
def create(
    account_id: Annotated[str, typer.Argument(help="The account's 12 digits.")], data_dir: options.DataDir = None
) -> None:
    """Make an account, and print its administrator's access key."""
    if ACCOUNT_ID.fullmatch(account_id) is None:
        raise SettingsError(f"account id '{account_id}' is not 12 digits; give one like 999988887777")
    folder = options.directory(data_dir)
    directories.require(folder)
    root = load_root_key(folder, os.environ, create=False)

    def make(db: Connection) -> AccessKey:
        if accounts.find(db, account_id) is not None:
            raise SettingsError(f"account {account_id} exists; its key is shown by: openecr env --account {account_id}")
        return create_account(db, open_keyring(db, root), account_id, time.time_ns() // 1000)

    async def write() -> AccessKey:
        database = SqliteDatabase(directories.database_path(folder))
        try:
            return await database.write(make)
        finally:
            await database.close()

    made = asyncio.run(write())
    print(f"account            {account_id}")
    print(f"access key id      {made.access_key_id}")
    print(f"secret access key  {made.secret_access_key}")


@app.command("list")
def list_accounts(data_dir: options.DataDir = None) -> None:
    """List the accounts and when they were made."""
    folder = options.directory(data_dir)
    directories.require(folder)
    for found in asyncio.run(_every(folder)):
        made = datetime.fromtimestamp(found.created_us / 1_000_000, UTC)
        print(f"{found.account_id}  {made:%Y-%m-%d %H:%M:%S} UTC")


async def _every(folder: Path) -> list[accounts.Account]:
    database = SqliteDatabase(directories.database_path(folder))
    try:
        return database.read(accounts.every)
    finally:
        await database.close()
