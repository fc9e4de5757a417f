"""``openecr export`` and ``openecr import``: images as OCI image layouts, for where no network leads."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from openecr import data_dir as directories
from openecr.cli import options, progress
from openecr.composition import composed
from openecr.db import accounts
from openecr.deployment import Deployment
from openecr.errors import RegistryError
from openecr.names import RegistryName
from openecr.oci_layout.export import Exporting
from openecr.oci_layout.load import Importing
from openecr.oci_layout.names import LayoutRefused
from openecr.oci_layout.read import open_layout
from openecr.oci_layout.write import FolderWriter, TarWriter
from openecr.origin import OCI, Origin
from openecr.services.ecr.object_hold import HoldLost, held
from openecr.services.ecr.undelete import UndeleteRefused
from openecr.settings import Settings
from openecr.waist import Flow, Waist


def export(
    wanted: Annotated[list[str], typer.Argument(metavar="REPO[:tag|@digest]...", help="What to export.")],
    to: Annotated[Path, typer.Option("--to", metavar="PATH", help="A folder, or a file that ends in .tar.")],
    account: options.Account = None,
    region: options.Region = None,
    data_dir: options.DataDir = None,
    config: options.ConfigFile = None,
) -> None:
    """Write images with their members, layers, signatures and other referrers as an OCI image layout."""
    settings = options.settings(config, data_dir=data_dir, account_id=account, region=region)
    directories.require(settings)
    try:
        done = asyncio.run(_export(settings, wanted, to))
    except (LayoutRefused, UndeleteRefused) as refused:
        raise options.CommandFailed(str(refused)) from None
    except HoldLost:
        raise options.CommandFailed("the export took a pause so long that layers may be gone; run it again") from None
    except OSError as error:
        raise options.CommandFailed(f"cannot write {to} ({error.strerror}); choose another with --to") from None
    print(f"exported {done.images} images; wrote {done.blobs} layers ({done.size_bytes} bytes)")


async def _export(settings: Settings, wanted: list[str], to: Path) -> Exporting:
    async with composed(settings) as deployment:
        with progress.bar("exporting") as bar:
            writer = TarWriter(to) if to.suffix == ".tar" else FolderWriter(to)
            registry = RegistryName(settings.account_id, settings.region)
            exporting = Exporting(deployment, registry, writer, bar.advance)
            async with held(deployment):
                await exporting.run(wanted)
    return exporting


def import_(
    layout: Annotated[Path, typer.Argument(metavar="PATH", help="A folder or a .tar with an OCI image layout.")],
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="REPO", help="The repository that takes it all.  [default: what the layout says]"),
    ] = None,
    create: Annotated[bool, typer.Option("--create", help="Create repositories that are missing.")] = False,
    account: options.Account = None,
    region: options.Region = None,
    data_dir: options.DataDir = None,
    config: options.ConfigFile = None,
) -> None:
    """Push the images of an OCI image layout, as the account's administrator; what is there is not copied again."""
    settings = options.settings(config, data_dir=data_dir, account_id=account, region=region)
    directories.require(settings)
    try:
        done = asyncio.run(_import(settings, layout, to, create))
    except LayoutRefused as refused:
        raise options.CommandFailed(str(refused)) from None
    except RegistryError as error:
        raise options.CommandFailed(error.message) from None
    except OSError as error:
        raise options.CommandFailed(f"cannot read {layout} ({error.strerror}); export it again") from None
    print(
        f"imported {done.images} images and {done.tags} tags; copied {done.copied} layers ({done.copied_bytes} bytes)"
    )


async def _import(settings: Settings, layout: Path, to: str | None, create: bool) -> Importing:
    source = open_layout(layout)
    async with composed(settings) as deployment:
        with progress.bar("importing") as bar:
            flow = Flow(Waist(deployment), await _administrator(deployment))
            importing = Importing(flow, source, create, bar.advance)
            await importing.run(to)
    return importing


async def _administrator(deployment: Deployment) -> Origin:
    """A request of the account's administrator, from this command."""
    settings = deployment.settings
    key = await deployment.database.read(lambda db: accounts.administrator_key(db, settings.account_id))
    if key is None:
        raise options.CommandFailed(
            f"there is no account {settings.account_id}; make it with: openecr account create {settings.account_id}"
        )
    return Origin(
        request_id=deployment.new_id(),
        access_key_id=key.access_key_id,
        registry=RegistryName(settings.account_id, settings.region),
        base_url="",
        now_us=deployment.now_us(),
        strictness=OCI,
    )
