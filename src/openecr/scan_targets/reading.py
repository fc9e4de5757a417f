"""A target as it is written on the command line → what was read of it."""

from dataclasses import dataclass
from pathlib import Path

from openecr.oci_layout.names import INDEX, MARKER
from openecr.oci_layout.read import FolderSource, Source, TarSource
from openecr.scan.indexing import Indexer
from openecr.scan_targets.docker_save import SavedImages
from openecr.scan_targets.folder import read_folder
from openecr.scan_targets.layouts import LayoutReading
from openecr.scan_targets.target import Target, TargetRefused


def local_path(text: str) -> Path | None:
    """The file or folder that a text means; None where it means an image of the deployment.

    Whatever exists is meant as a path; so is what begins as one.
    """
    path = Path(text).expanduser()
    return path if path.exists() or text.startswith(("/", "./", "../", "~")) or text in (".", "..") else None


@dataclass(frozen=True, slots=True)
class ReadTargets:
    """What was read, and what was left out of it."""

    targets: list[Target]
    left_out: tuple[str, ...] = ()
    """Images that a layout's index names, and the layout does not hold."""


async def read_local(path: Path, *, development: bool) -> ReadTargets:
    """Read a folder, a layout, or a tar of either kind of saved images.

    Args:
        development: packages that are needed only to build or test are told too.
    Raises:
        TargetRefused: it is none of these.
        LayoutRefused, IndexingFailed, LimitExceeded, OSError
    """
    opened = _opened(path)
    async with Indexer() as indexer:
        if isinstance(opened, Path):
            return ReadTargets([await read_folder(opened, indexer, development=development)])
        if isinstance(opened, SavedImages):
            return ReadTargets(await opened.read(indexer, development=development))
        return await _layout(LayoutReading(opened, indexer, development))


def _opened(path: Path) -> Path | SavedImages | Source:
    """A folder as it is, or what is in a layout or a tar."""
    if path.is_dir():
        layout = FolderSource(path)
        is_layout = (path / MARKER).is_file() and layout.size_bytes(INDEX) is not None
        return layout if is_layout else path
    if not path.is_file():
        raise TargetRefused(f"there is nothing at {path}; give a folder, an OCI layout, a tar, or REPO:TAG")
    saved = SavedImages(path)
    if saved.is_layout:
        return TarSource(path)
    if saved.is_saved:
        return saved
    raise TargetRefused(f"{path} is neither an OCI layout nor of docker save; for a root file system give a folder")


async def _layout(reading: LayoutReading) -> ReadTargets:
    targets = await reading.run()
    if not targets:
        left_out = f"; it names {', '.join(reading.left_out[:3])}" if reading.left_out else ""
        raise TargetRefused(f"the layout holds no image that could be scanned{left_out}")
    return ReadTargets(targets, tuple(reading.left_out))
