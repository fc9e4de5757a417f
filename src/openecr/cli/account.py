"""``openecr account``: make and list accounts, say what organization they belong to."""

import asyncio
import re
import time
from datetime import UTC, datetime
from typing import Annotated

import typer

from openecr import data_dir as directories
from openecr.access.credentials import AccessKey
from openecr.cli import options
from openecr.composition import composed
from openecr.db import accounts, callers
from openecr.db.connection import Connection
from openecr.names import ACCOUNT_ID
from openecr.processes.prepare import create_account
from openecr.settings import Settings, SettingsError

app = typer.Typer(help="Make and list accounts.", no_args_is_help=True)
_ORGANIZATION = re.compile(r"o-[a-z0-9]{10,32}")
_NONE = "none"


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
    """List the accounts, when they were made, and their organizations."""
    settings = options.settings(config, data_dir=data_dir)
    directories.require(settings)
    for found in asyncio.run(_every(settings)):
        made = datetime.fromtimestamp(found.created_us / 1_000_000, UTC)
        print(f"{found.account_id}  {made:%Y-%m-%d %H:%M:%S} UTC  {found.organization_id or '-'}")


@app.command("set-organization")
def set_organization(
    account_id: Annotated[str, typer.Argument(help="The account's 12 digits.")],
    organization_id: Annotated[str, typer.Argument(help="The organization, like o-abc1234567, or none.")],
    data_dir: options.DataDir = None,
    config: options.ConfigFile = None,
) -> None:
    """Say what aws:PrincipalOrgID is for an account's users and roles; it holds at once on every server."""
    if organization_id != _NONE and _ORGANIZATION.fullmatch(organization_id) is None:
        raise SettingsError(
            f"organization id '{organization_id}' is not o- and 10 to 32 small letters and digits; "
            f"give one like o-abc1234567, or {_NONE}"
        )
    settings = options.settings(config, data_dir=data_dir)
    directories.require(settings)

    async def write() -> bool:
        async with composed(settings) as deployment:

            def change(db: Connection) -> bool:
                # Servers know an account's organization together with its identities.
                callers.forget(db)
                return accounts.set_organization(db, account_id, None if organization_id == _NONE else organization_id)

            return await deployment.database.write(change)

    if not asyncio.run(write()):
        raise SettingsError(f"there is no account {account_id}; make it with: openecr account create {account_id}")


async def _every(settings: Settings) -> list[accounts.Account]:
    async with composed(settings) as deployment:
        return await deployment.database.read(accounts.every)
