"""What ``openecr scan`` and ``openecr sbom`` read: targets, vulnerability data, and how reading fails."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from openecr import data_dir as directories
from openecr.blobs.store import ObjectMissing
from openecr.cli.gate import image_key
from openecr.cli.options import CommandFailed
from openecr.composition import composed
from openecr.deployment import Deployment
from openecr.names import RegistryName
from openecr.oci_layout.names import LayoutRefused
from openecr.scan.indexing import IndexingFailed
from openecr.scan.limits import LimitExceeded
from openecr.scan.vulndb.index import Index, IndexUnusable, open_index
from openecr.scan_targets.reading import ReadTargets, local_path, read_local
from openecr.scan_targets.stored import read_stored
from openecr.scan_targets.target import TargetRefused
from openecr.services.ecr.scanning.vulnerability_data import DataDamaged, VulnerabilityData
from openecr.services.ecr.undelete import UndeleteRefused, parse_wanted
from openecr.settings import Settings

What = Annotated[
    str,
    typer.Argument(
        metavar="FOLDER|LAYOUT|TAR|REPO[:TAG|@DIGEST]",
        help="A root file system or a project, an OCI layout, a tar of one or of docker save, or an image of this "
        "deployment.",
    ),
]
Development = Annotated[
    bool, typer.Option("--development", help="Packages that lock files need only to build or test count too.")
]


@dataclass(frozen=True, slots=True)
class Reading:
    """A target that a command was given."""

    settings: Settings
    registry: RegistryName
    text: str
    development: bool

    async def targets(self, deployment: Deployment | None) -> ReadTargets:
        """What was read of it.

        Raises:
            what ``told_failures`` tells.
        """
        path = local_path(self.text)
        if path is not None:
            return await read_local(path, development=self.development)
        wanted = parse_wanted(self.text)
        if deployment is None:
            raise CommandFailed(f"there is nothing at {self.text}, and no deployment that could have such an image")
        key = await deployment.database.read(partial(image_key, registry=self.registry, wanted=wanted))
        return ReadTargets(await read_stored(deployment, self.text, key))

    @property
    def is_stored(self) -> bool:
        """Whether it means an image of the deployment."""
        return local_path(self.text) is None

    @asynccontextmanager
    async def deployment(self, *, needed: bool) -> AsyncIterator[Deployment | None]:
        """The deployment of the data directory, where it is needed."""
        async with AsyncExitStack() as stack:
            if needed:
                directories.require(self.settings)
                yield await stack.enter_async_context(composed(self.settings))
            else:
                yield None


@asynccontextmanager
async def vulnerability_index(deployment: Deployment | None, file: Path | None) -> AsyncIterator[Index]:
    """The vulnerability data of a file, or that in use in the deployment.

    Raises:
        CommandFailed: there is none.
    """
    if file is not None:
        index = open_index(file)
        try:
            yield index
        finally:
            index.close()
        return
    assert deployment is not None  # noqa: S101 - without a file the deployment is opened
    data = VulnerabilityData(deployment)
    try:
        opened = await data.current()
        if opened is None:
            raise CommandFailed(
                "there is no vulnerability data; run openecr vulndb update, or give a file with --vulndb"
            )
        yield opened.index
    finally:
        data.close()


@contextmanager
def told_failures() -> Iterator[None]:
    """What keeps a target from being read, as one sentence.

    Raises:
        CommandFailed
    """
    try:
        yield
    except (TargetRefused, LayoutRefused, UndeleteRefused, IndexUnusable, DataDamaged) as refused:
        raise CommandFailed(str(refused)) from None
    except (IndexingFailed, LimitExceeded) as failed:
        raise CommandFailed(f"it cannot be read: {failed}") from None
    except ObjectMissing:
        raise CommandFailed("the vulnerability data cannot be read; run openecr vulndb update") from None
