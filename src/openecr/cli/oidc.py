"""``openecr oidc``: the keys of identity providers that cannot be asked for them."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from openecr import data_dir as directories
from openecr.access.web_identity import KeysRefused, parse_keys
from openecr.cli import options
from openecr.cli.options import CommandFailed
from openecr.composition import composed
from openecr.db import trusted_issuers
from openecr.db.connection import Connection
from openecr.settings import Settings

app = typer.Typer(help="Keys of OpenID Connect providers.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keys of OpenID Connect providers."""


@app.command()
def keys(
    provider: Annotated[str, typer.Argument(metavar="ISSUER", help="The issuer's address, as it was registered.")],
    file: Annotated[
        Path | None, typer.Option(help="The JSON Web Key Set to check its tokens with; the issuer is not asked.")
    ] = None,
    ask: Annotated[bool, typer.Option("--ask", help="Ask the issuer for its keys again.")] = False,
    account: Annotated[str | None, typer.Option(help="The provider's account.  [default: the server's]")] = None,
    data_dir: options.DataDir = None,
    config: options.ConfigFile = None,
) -> None:
    """Give the keys of a provider that servers cannot reach, or leave them to it again."""
    if (file is None) == (not ask):
        raise typer.BadParameter("give the keys with --file, or leave them to the issuer with --ask")
    settings = options.settings(config, data_dir=data_dir)
    directories.require(settings)
    text = None if file is None else file.read_text()
    try:
        count = 0 if text is None else len(parse_keys(text))
    except KeysRefused as refused:
        raise CommandFailed(f"{file} cannot be used: {refused}") from None
    url = provider.partition("://")[2] or provider
    asyncio.run(_give(settings, account or settings.account_id, url, text))
    print(f"tokens of {url} are checked with {count} given keys" if text else f"{url} is asked for its keys")


async def _give(settings: Settings, account_id: str, url: str, text: str | None) -> None:
    async with composed(settings) as deployment:

        def give(db: Connection) -> None:
            found = trusted_issuers.find(db, account_id, url)
            if found is None:
                raise CommandFailed(
                    f"account {account_id} has no provider {url}; make it first: "
                    f"aws iam create-open-id-connect-provider --url https://{url}"
                )
            trusted_issuers.give_keys(db, found.key, text)

        await deployment.database.write(give)
