"""Options that commands share."""

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from openecr.keyring import ROOT_KEY_VARIABLE
from openecr.processes import address
from openecr.settings import Settings, load

_NO_SETTINGS = frozenset((ROOT_KEY_VARIABLE, "OPENECR_ENDPOINT", "OPENECR_HOSTS", "OPENECR_CA", "OPENECR_CACHE"))
"""Variables that begin as settings do: the last four are the credential helpers' (docs/workloads.md), whose users run
commands in the same shell."""


class CommandFailed(Exception):
    """A command cannot do what it was asked; the text is one sentence with the remedy."""


DataDir = Annotated[
    Path | None,
    typer.Option(help="Where database, layers, keys and the server's address live.", show_default=False),
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="Settings file (TOML); the environment and flags win over it.")
]
Account = Annotated[str | None, typer.Option(help="The registry's account.  [default: the server's]")]
Region = Annotated[str | None, typer.Option(help="The registry's region.  [default: the server's]")]
LogFormat = Annotated[
    str | None, typer.Option(help="json or text; text when standard error is a terminal.", metavar="json|text")
]


def settings(config: Path | None, **flags: Any) -> Settings:
    """The settings of a server or a command.

    The data directory is absolute, because it is shown and handed on. Where nobody says where metadata and layers are,
    a command beside a running server takes what that server uses.
    """
    environment = {name: value for name, value in os.environ.items() if name not in _NO_SETTINGS}
    flags = {name: value for name, value in flags.items() if not (value is None or value is False or value == ())}
    loaded = load(flags, environment, config)
    folder = loaded.data_dir.expanduser().absolute()
    running = address.find(folder)
    stores = running.stores if running is not None else {}
    return load({**asdict(loaded), **stores, **address.stores_of(loaded), "data_dir": folder}, {})


def log_format(chosen: str | None) -> str:
    """How logs look."""
    if chosen is None:
        return "text" if sys.stderr.isatty() else "json"
    if chosen not in ("json", "text"):
        raise typer.BadParameter("the log format is json or text", param_hint="--log-format")
    return chosen
