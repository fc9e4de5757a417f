"""Options that commands share."""

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from openecr.keyring import ROOT_KEY_VARIABLE
from openecr.settings import Settings, default_data_dir, load


class CommandFailed(Exception):
    """A command cannot do what it was asked; the text is one sentence with the remedy."""


DataDir = Annotated[
    Path | None,
    typer.Option(help="Where database, layers, keys and the server's address live.", show_default=False),
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="Settings file (TOML); the environment and flags win over it.")
]
LogFormat = Annotated[
    str | None, typer.Option(help="json or text; text when standard error is a terminal.", metavar="json|text")
]


def directory(data_dir: Path | None) -> Path:
    """The data directory of a command that needs no other setting: flag, environment, default."""
    chosen = data_dir or os.environ.get("OPENECR_DATA_DIR") or default_data_dir()
    return Path(chosen).expanduser().absolute()


def settings(config: Path | None, **flags: Any) -> Settings:
    """The settings of a server; the data directory as an absolute path, because it is shown and handed on."""
    environment = {name: value for name, value in os.environ.items() if name != ROOT_KEY_VARIABLE}
    flags = {name: value for name, value in flags.items() if not (value is None or value is False or value == ())}
    loaded = load(flags, environment, config)
    return load({**asdict(loaded), "data_dir": loaded.data_dir.expanduser().absolute()}, {})


def log_format(chosen: str | None) -> str:
    """How logs look."""
    if chosen is None:
        return "text" if sys.stderr.isatty() else "json"
    if chosen not in ("json", "text"):
        raise typer.BadParameter("the log format is json or text", param_hint="--log-format")
    return chosen
