"""What a cataloger is, and what it sees: one file of a layer. The catalogers themselves are in ``catalogers/``.

A cataloger sees one file at a time and knows nothing of other layers. It says by path (or, for binaries, by the first
bytes) which files it wants, and turns one into facts. It may raise anything that parsing raises: the engine makes a
warning of it and goes on. What it reads is hostile: it bounds what it inflates and recurses into by its ``Limits``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from openecr.scan.limits import Limits
from openecr.scan.packages import FileFacts


@dataclass(frozen=True, slots=True)
class WantedFile:
    """A file that a cataloger asked for."""

    path: str
    """Without leading ``/``, normalised."""
    size_bytes: int
    content: BinaryIO
    """Seekable, at its beginning."""
    limits: Limits

    def text(self) -> bytes:
        """The whole content.

        Raises:
            ValueError: it is larger than texts may be.
        """
        if self.size_bytes > self.limits.text_bytes:
            raise ValueError(f"larger than {self.limits.text_bytes} bytes")
        return self.content.read()


@dataclass(frozen=True, slots=True)
class Cataloger:
    """One kind of evidence: which files, and what they say.

    A file is wanted if any of the tests holds. Tests are data so that a layer's every path is tested at once.
    """

    name: str
    version: int
    """Raised whenever the same file would give other facts: inventories that are kept are then made anew."""
    read: Callable[[WantedFile], FileFacts]
    paths: tuple[str, ...] = ()
    """Whole paths, such as ``var/lib/dpkg/status``."""
    names: tuple[str, ...] = ()
    """Last components, such as ``package-lock.json``."""
    suffixes: tuple[str, ...] = ()
    """Ends of the path, such as ``.dist-info/METADATA``, ``.jar``; compared in lower case."""
    directories: tuple[str, ...] = ()
    """Every file directly in this directory, such as ``var/lib/dpkg/status.d``; with ``*`` before it those that end so:
    ``var/lib/dpkg/info/*.list``."""
    folders: tuple[str, ...] = ()
    """Every file directly in a directory of this name, wherever it is, such as ``conda-meta``."""
    magic: tuple[bytes, ...] = ()
    """First bytes of the content, such as ``\\x7fELF``."""
