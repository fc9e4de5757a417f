"""``openecr keys``: the keys that sign, seal and wrap, and the root key that wraps them; all while servers run."""

import asyncio
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from openecr import data_dir as directories
from openecr.cli import options
from openecr.cli.options import CommandFailed
from openecr.composition import composed
from openecr.db.connection import Connection, Database
from openecr.keyring import (
    ROOT_KEY_VARIABLE,
    SIGNS_AFTER_US,
    USES,
    add_wrapped,
    load_root_keys,
    opening_root,
    rewrap,
    root_key_path,
    write_root_keys,
)
from openecr.settings import Settings

app = typer.Typer(help="List and rotate the keys of the deployment.", no_args_is_help=True)


@app.command("list")
def list_keys(data_dir: options.DataDir = None, config: options.ConfigFile = None) -> None:
    """Say which keys there are, and which of each use signs now."""
    settings = _settings(config, data_dir)
    for line in asyncio.run(_listed(settings)):
        print(line)


@app.command("rotate")
def rotate(
    use: Annotated[str, typer.Argument(metavar="|".join(USES), help="What the key is for.")],
    data_dir: options.DataDir = None,
    config: options.ConfigFile = None,
) -> None:
    """Make a newer key of a use: it is used from now on, and what the older ones signed or sealed stays good."""
    if use not in USES:
        raise typer.BadParameter(f"the uses are {', '.join(USES)}")
    settings = _settings(config, data_dir)
    key_id = asyncio.run(_rotated(settings, use))
    print(f"made key {key_id} for {use}; servers use it in {SIGNS_AFTER_US // 1_000_000} seconds, without a restart")


@app.command("rotate-root")
def rotate_root(data_dir: options.DataDir = None, config: options.ConfigFile = None) -> None:
    """Wrap every key under a new root key, written where the old one is, or printed where a variable carries it."""
    settings = _settings(config, data_dir)
    if ROOT_KEY_VARIABLE in os.environ:
        asyncio.run(_rotate_variable(settings))
    else:
        asyncio.run(_rotate_file(settings))


def _settings(config: Path | None, data_dir: Path | None) -> Settings:
    settings = options.settings(config, data_dir=data_dir)
    directories.require(settings)
    return settings


async def _listed(settings: Settings) -> list[str]:
    async with composed(settings) as deployment:
        rows = await deployment.database.read(
            lambda db: db.rows("SELECT id, use, created_us, retired_us FROM deployment_key ORDER BY use, id")
        )
        lines = []
        for key_id, use, created_us, retired_us in rows:
            current = use in deployment.keyring.keys and deployment.keyring.current(use)[0] == key_id
            state = "retired" if retired_us is not None else "in use" if current else "verifies and opens"
            made = datetime.fromtimestamp(created_us / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
            lines.append(f"{use:<16} {key_id:>4}  made {made}  {state}")
        return lines


async def _rotated(settings: Settings, use: str) -> int:
    roots = load_root_keys(settings.data_dir, os.environ, create=False)
    async with composed(settings) as deployment:
        return await deployment.database.write(lambda db: add_wrapped(db, roots, use, db.clock_us()))


async def _rotate_file(settings: Settings) -> None:
    """Two root keys lie in the file while the keys are wrapped anew: whenever this ends, one of them opens them."""
    with _alone(settings.data_dir):
        async with composed(settings) as deployment:
            roots = load_root_keys(settings.data_dir, os.environ, create=False)
            new_root = await _new_root(deployment.database, roots)
            write_root_keys(settings.data_dir, [new_root, *(root for root in roots if root != new_root)])
            count = await _rewrapped(deployment.database, roots, new_root)
            write_root_keys(settings.data_dir, [new_root])
    print(
        f"wrapped {count} keys under a new root key, which is in {root_key_path(settings.data_dir)}: keep a copy of it"
    )
    print("servers that run go on; a server on another machine needs this file before it starts again")


async def _rotate_variable(settings: Settings) -> None:
    with _alone(settings.data_dir):
        async with composed(settings) as deployment:
            roots = load_root_keys(settings.data_dir, os.environ, create=False)
            new_root = await _new_root(deployment.database, roots)
            if new_root not in roots:
                print(f"{ROOT_KEY_VARIABLE}={new_root.hex()}", flush=True)
            count = await _rewrapped(deployment.database, roots, new_root)
    print(f"wrapped {count} keys under the new root key; servers that run go on")
    print(f"every server needs the new {ROOT_KEY_VARIABLE} before it, or a worker of it, starts again")


async def _new_root(database: Database, roots: tuple[bytes, ...]) -> bytes:
    """The key to wrap under: a first one that was put before the one that opens the keys, else a new one."""
    opening = await database.read(lambda db: opening_root(db, *roots))
    return roots[0] if roots[0] != opening else os.urandom(32)


async def _rewrapped(database: Database, roots: tuple[bytes, ...], new_root: bytes) -> int:
    def wrap(db: Connection) -> int:
        return rewrap(db, roots, new_root)

    return await database.write(wrap)


@contextmanager
def _alone(data_dir: Path) -> Iterator[None]:
    """One rotation at a time in a data directory: two would each leave a file that lacks the other's key."""
    folder = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise CommandFailed("another rotation of the root key is under way; wait for its end") from None
    finally:
        os.close(folder)
