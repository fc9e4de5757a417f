"""``openecr sessions``: who has temporary credentials, and ending them."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from typing import Annotated

import orjson
import typer

from openecr import data_dir as directories
from openecr.cli import options, tables
from openecr.cli.options import CommandFailed
from openecr.composition import composed
from openecr.db import identities, sessions
from openecr.db.sessions import ListedSession
from openecr.deployment import Deployment
from openecr.settings import Settings

app = typer.Typer(help="List and end temporary credentials.", no_args_is_help=True)
_PAGE = 500
Role = Annotated[str | None, typer.Option(help="Those of this role.", metavar="NAME")]
User = Annotated[str | None, typer.Option(help="Those that this user made of its own keys.", metavar="NAME")]
Account = Annotated[str | None, typer.Option(help="The role's or user's account.  [default: the server's]")]


@app.command("list")
def list_sessions(
    role: Role = None,
    user: User = None,
    account: Account = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    data_dir: options.DataDir = None,
    config: options.ConfigFile = None,
) -> None:
    """List sessions whose credentials are good, or registry tokens of which may be."""
    settings = options.settings(config, data_dir=data_dir)
    directories.require(settings)
    found, now_us = asyncio.run(
        _listed(settings, _who(role, user), account or settings.account_id, account is not None)
    )
    if as_json:
        print(orjson.dumps([_document(item) for item in found], option=orjson.OPT_INDENT_2).decode())
        return
    table = tables.table("session", "of", "name", "made", "credentials", "registry tokens until")
    for item in found:
        state = "until " + _text(item.expires_us) if item.expires_us > now_us else "ended"
        of = f"{item.account_id} {item.kind}/{item.principal}"
        table.add_row(item.access_key_id, of, item.name, _text(item.created_us), state, _text(item.kept_until_us))
    tables.show(table)


@app.command()
def revoke(
    role: Role = None,
    user: User = None,
    session: Annotated[str | None, typer.Option(help="The one with this access key id.", metavar="ASIA...")] = None,
    account: Account = None,
    data_dir: options.DataDir = None,
    config: options.ConfigFile = None,
) -> None:
    """End sessions and the registry tokens of them, on every server, before the command ends."""
    if [role, user, session].count(None) != 2:
        raise typer.BadParameter("say whose sessions with one of --role, --user and --session")
    settings = options.settings(config, data_dir=data_dir)
    directories.require(settings)
    if session is not None:
        asyncio.run(_revoke_one(settings, session))
        print(f"session {session} is ended")
        return
    kind, name = _who(role, user) or ("", "")
    count = asyncio.run(_revoke_all(settings, kind, name, account or settings.account_id))
    print(f"{count} sessions of {kind} {name} are ended")


def _who(role: str | None, user: str | None) -> tuple[str, str] | None:
    if role is not None and user is not None:
        raise typer.BadParameter("--role and --user exclude each other; give one")
    if role is not None:
        return identities.ROLE, role
    return None if user is None else (identities.USER, user)


async def _listed(
    settings: Settings, who: tuple[str, str] | None, account_id: str, only_account: bool
) -> tuple[list[ListedSession], int]:
    async with composed(settings) as deployment:
        principal_key = None if who is None else await _principal(deployment, account_id, *who)
        found = [
            item
            async for item in _pages(deployment, principal_key)
            if not only_account or item.account_id == account_id
        ]
        return found, deployment.now_us()


async def _pages(deployment: Deployment, principal_key: int | None) -> AsyncIterator[ListedSession]:
    after_key = sessions.FIRST
    while True:
        if principal_key is None:
            read = partial(sessions.page, after_key=after_key, most=_PAGE)
        else:
            read = partial(sessions.page_of, principal_key=principal_key, after_key=after_key, most=_PAGE)
        found = await deployment.database.read(read)
        for item in found:
            yield item
        if len(found) < _PAGE:
            return
        after_key = found[-1].key


async def _principal(deployment: Deployment, account_id: str, kind: str, name: str) -> int:
    found = await deployment.database.read(lambda db: identities.find_by_name(db, account_id, kind, name))
    if found is None:
        raise CommandFailed(f"account {account_id} has no {kind} {name}; give its name, not its ARN, and --account")
    return found.key


async def _revoke_one(settings: Settings, access_key_id: str) -> None:
    async with composed(settings) as deployment:
        if not await deployment.database.write(lambda db: sessions.revoke(db, access_key_id)):
            raise CommandFailed(f"there is no session {access_key_id}; see: openecr sessions list")


async def _revoke_all(settings: Settings, kind: str, name: str, account_id: str) -> int:
    async with composed(settings) as deployment:
        key = await _principal(deployment, account_id, kind, name)
        count = 0
        while ended := await deployment.database.write(lambda db: sessions.revoke_of(db, key, _PAGE)):
            count += ended
        return count


def _text(us: int) -> str:
    return datetime.fromtimestamp(us / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _document(item: ListedSession) -> dict[str, str]:
    return {
        "accessKeyId": item.access_key_id,
        "account": item.account_id,
        item.kind: item.principal,
        "name": item.name,
        "sourceIdentity": item.source_identity,
        "provider": item.provider,
        "createdAt": _text(item.created_us),
        "expiresAt": _text(item.expires_us),
        "registryTokensUntil": _text(item.kept_until_us),
    }
