"""The commands, put together, and how they fail: one sentence on standard error."""

import errno
import sys
from importlib import metadata
from typing import Annotated, Any

import typer

from openecr.blobs.store import BlobDamaged, ObjectMissing, StoreFailed
from openecr.cli import (
    account,
    audit,
    backup,
    env,
    events,
    explain,
    fsck,
    gate,
    gc,
    jobs,
    keys,
    lifecycle,
    migrate,
    oidc,
    pull_gate,
    quota,
    sbom,
    scan,
    serve,
    sessions,
    status,
    transfer,
    undelete,
    usage,
    vex,
    vpc,
    vulndb,
    vulns,
    worker,
    workload,
)
from openecr.cli.options import CommandFailed
from openecr.db.connection import DatabaseUnusable
from openecr.errors import KmsRefused, RegistryError
from openecr.keyring import KeyringUnusable
from openecr.processes.lock import AlreadyServed
from openecr.processes.supervisor import StartFailed
from openecr.settings import SettingsError

app = typer.Typer(
    name="openecr",
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


app.command("serve")(serve.serve)
app.command("worker")(worker.worker)
app.command("env")(env.env)
app.command("status")(status.status)
app.command("undelete")(undelete.undelete)
app.command("purge")(gc.purge)
app.command("gc")(gc.gc)
app.command("fsck")(fsck.fsck)
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
app.command("export")(transfer.export)
app.command("import")(transfer.import_)
app.command("migrate")(migrate.migrate)
app.command("usage")(usage.usage)
app.command("audit")(audit.audit)
app.command("explain")(explain.explain)
app.command("gate")(gate.gate)
app.command("vulns")(vulns.vulns)
app.command("scan")(scan.scan)
app.command("events")(events.events)
app.add_typer(pull_gate.app, name="pull-gate")
app.add_typer(sbom.app, name="sbom")
app.add_typer(vex.app, name="vex")
app.add_typer(quota.app, name="quota")
app.add_typer(jobs.app, name="jobs")
app.add_typer(lifecycle.app, name="lifecycle")
app.add_typer(account.app, name="account")
app.add_typer(keys.app, name="keys")
app.add_typer(workload.app, name="workload")
app.add_typer(vpc.app, name="vpc")
app.add_typer(sessions.app, name="sessions")
app.add_typer(oidc.app, name="oidc")
app.add_typer(vulndb.app, name="vulndb")

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
