"""The commands, put together, and how they fail: one sentence on standard error."""

import errno
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module, metadata
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from openecr.blobs.store import BlobDamaged, ObjectMissing, StoreFailed
from openecr.cli.options import CommandFailed
from openecr.db.connection import DatabaseUnusable
from openecr.errors import KmsRefused, RegistryError
from openecr.keyring import KeyringUnusable
from openecr.processes.lock import AlreadyServed
from openecr.processes.supervisor import StartFailed
from openecr.settings import SettingsError

COMMANDS = {
    "serve": "serve:serve",
    "worker": "worker:worker",
    "env": "env:env",
    "status": "status:status",
    "undelete": "undelete:undelete",
    "purge": "gc:purge",
    "gc": "gc:gc",
    "fsck": "fsck:fsck",
    "backup": "backup:backup",
    "restore": "backup:restore",
    "export": "transfer:export",
    "import": "transfer:import_",
    "migrate": "migrate:migrate",
    "usage": "usage:usage",
    "audit": "audit:audit",
    "explain": "explain:explain",
    "gate": "gate:gate",
    "vulns": "vulns:vulns",
    "scan": "scan:scan",
    "events": "events:events",
    "pull-gate": "pull_gate:app",
    "sbom": "sbom:app",
    "vex": "vex:app",
    "quota": "quota:app",
    "jobs": "jobs:app",
    "lifecycle": "lifecycle:app",
    "account": "account:app",
    "keys": "keys:app",
    "workload": "workload:app",
    "vpc": "vpc:app",
    "sessions": "sessions:app",
    "oidc": "oidc:app",
    "vulndb": "vulndb:app",
}
"""Every command by its name: the module beside this one that has it, and the function or the typer app there. A module
is loaded when its command is typed: all of them take as long as most commands run."""


class _Loading(Mapping[str, Any]):
    """The commands by name, each loaded when it is looked up."""

    def __getitem__(self, name: str) -> Any:
        module, attribute = COMMANDS[name].split(":")
        return _command(name, getattr(import_module(f"openecr.cli.{module}"), attribute))

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


def _command(name: str, found: Any) -> Any:
    if isinstance(found, typer.Typer):
        group = typer.main.get_group(found)
        group.name = name
        return group
    alone = typer.Typer(add_completion=False)
    alone.command(name)(found)
    return typer.main.get_command(alone)


class _Commands(TyperGroup):
    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes | {"commands": None})
        commands: Any = _Loading()  # click only reads it
        self.commands = commands


app = typer.Typer(
    name="openecr",
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _tell_version(wanted: bool) -> None:
    if wanted:
        print(f"openecr {metadata.version('openecr')}")
        raise typer.Exit


@app.callback()
def _openecr(
    version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Print the version, and end.")
    ] = False,
) -> None:
    """A self-hosted Elastic Container Registry: AWS CLI, SDKs, Docker and containerd use it as Amazon ECR."""


_USAGE_ERRORS: Any = typer.BadParameter.__mro__[1]
"""typer's UsageError: click's own in some of its releases, a copy of it in others."""


def run() -> int:
    """Run one command; 2 for what its user must change, 1 for what went wrong."""
    try:
        result = app(standalone_mode=False, prog_name="openecr")
    except SettingsError as error:
        return _say(str(error), 2)
    except _USAGE_ERRORS as error:
        return _say(_usage(error), 2)
    except (CommandFailed, DatabaseUnusable, KeyringUnusable, AlreadyServed, StartFailed) as error:
        return _say(str(error), 1)
    except KmsRefused as error:
        return _say(f"{error.message.rstrip('.')}; nothing under this key can be read until it is enabled again", 1)
    except RegistryError as error:
        return _say(error.message, 1)
    except StoreFailed as error:
        return _say(f"{error}; check that the store of the layers runs, and the credentials in the environment", 1)
    except (ObjectMissing, BlobDamaged) as error:
        return _say(f"the bytes of a layer are damaged or gone ({error}); find it with: openecr fsck", 1)
    except OSError as error:
        return _say(_of_the_system(error), 1)
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except typer.Exit as ended:
        return int(ended.exit_code)
    return result if isinstance(result, int) else 0


def _usage(error: Any) -> str:
    """What was typed wrong, and where the right way is told; nothing where the help was printed instead."""
    text = str(error.format_message())
    if not text or type(error).__name__ == "BadParameter" or error.ctx is None:
        return text
    return f"{text.rstrip('.')}; see: {error.ctx.command_path} --help"


def _of_the_system(error: OSError) -> str:
    where = f" {error.filename}" if error.filename else ""
    remedy = "free space there" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "check that path and its owner"
    return f"the system refused{where} ({error.strerror or error}); {remedy}, then run the command again"


def _say(text: str, status: int) -> int:
    if text:  # without a command, the help was printed instead
        print(f"openecr: {text}", file=sys.stderr)
    return status
