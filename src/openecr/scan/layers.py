"""A layer's inventory: what its files testify to, and what it hides of the layers below.

Whiteouts are those of the OCI image specification (layer.md, 'Whiteouts'); names that begin with ``.wh..wh.`` and are
not the opaque one are AUFS's own.
"""

import io
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import BinaryIO

from openecr.scan.archive import Archive, Entry, Kind
from openecr.scan.cataloger import Cataloger, WantedFile
from openecr.scan.catalogers import CATALOGERS
from openecr.scan.decompression import decompressed
from openecr.scan.dispatch import Dispatch
from openecr.scan.facts import bounded
from openecr.scan.limits import LIMITS, LimitExceeded, Limits
from openecr.scan.packages import FileFacts, LayerInventory, Unread

_IN_MEMORY_BYTES = 8 << 20
_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_AUFS = ".wh..wh."
_WARNINGS = 1000
_NOTHING = FileFacts()


def index_layer(
    chunks: Iterable[bytes], limits: Limits = LIMITS, catalogers: Sequence[Cataloger] = CATALOGERS
) -> LayerInventory:
    """Read a compressed layer once, from its chunks, in this process; for hostile ones see ``Indexer``.

    Raises:
        UnreadableLayer: no archive, or one that is truncated or corrupt.
        LimitExceeded: it is larger, deeper or more crowded than is read.
    """
    return _Reading(Archive(decompressed(chunks, limits), limits), limits, Dispatch(catalogers)).inventory()


class _Reading:
    """One layer as far as it has been read."""

    def __init__(self, archive: Archive, limits: Limits, dispatch: Dispatch) -> None:
        self._archive = archive
        self._limits = limits
        self._dispatch = dispatch
        self._files: dict[str, FileFacts] = {}
        self._readers: dict[str, tuple[Cataloger, ...]] = {}
        self._whiteouts: dict[str, None] = {}
        self._opaque: dict[str, None] = {}
        self._replaced: dict[str, None] = {}
        self._warnings: list[Unread] = []
        self._warnings_left_out = 0
        self._packages = 0
        self._kept_bytes = 0

    def inventory(self) -> LayerInventory:
        """Read to the end."""
        for entry in self._archive.entries():
            if entry.kind is Kind.DIRECTORY:
                if entry.path in self._files:
                    del self._files[entry.path], self._readers[entry.path]
            elif entry.kind is Kind.REFUSED:
                self._warn(entry.path, "its path leads out of the image")
            elif _WHITEOUT in entry.path and (name := entry.path.rpartition("/")[2]).startswith(_WHITEOUT):
                self._hide(entry.path, name)
            elif not entry.path.startswith(_AUFS):
                self._see(entry)
        if self._warnings_left_out:
            self._warnings.append(Unread("", f"{self._warnings_left_out} more files could not be read"))
        return LayerInventory(
            self._files,
            tuple(self._whiteouts),
            tuple(self._opaque),
            tuple(self._replaced),
            tuple(self._warnings),
            self._archive.size_bytes,
        )

    def _hide(self, path: str, name: str) -> None:
        directory = path[: -len(name)]
        if name == _OPAQUE:
            self._keep(directory)
            self._opaque[directory.rstrip("/")] = None
        elif not name.startswith(_AUFS) and name != _WHITEOUT:
            self._keep(path)
            self._whiteouts[directory + name[len(_WHITEOUT) :]] = None

    def _see(self, entry: Entry) -> None:
        """Take in an entry that is no directory."""
        wanting = self._dispatch.by_path(entry.path)
        if entry.kind is Kind.FILE:
            if entry.size_bytes:
                magic = self._dispatch.by_magic(self._archive.head(self._dispatch.magic_bytes))
                wanting = tuple(dict.fromkeys((*wanting, *magic))) if magic else wanting
            if wanting:
                self._set(entry.path, self._read(entry, wanting), wanting)
            elif entry.executable or "." not in entry.path.rpartition("/")[2]:
                self._replace(entry.path)
        elif entry.kind is Kind.HARD_LINK:
            self._link(entry, wanting)
        elif wanting:
            if entry.kind is Kind.SPARSE:
                self._warn(entry.path, "sparse files are not read")
            self._set(entry.path, _NOTHING, ())
        else:
            self._replace(entry.path)

    def _link(self, entry: Entry, wanting: tuple[Cataloger, ...]) -> None:
        """Take in a hard link, whose file came before it in this layer."""
        readers = self._readers.get(entry.link, ())
        by_magic = any(cataloger.magic for cataloger in readers)
        if wanting and not set(wanting) <= set(readers):
            self._warn(entry.path, f"a hard link to {entry.link}, whose content was not kept")
            self._set(entry.path, _NOTHING, ())
        elif readers and (wanting or by_magic):
            self._set(entry.path, self._files.get(entry.link, _NOTHING), readers)
        else:
            self._replace(entry.path)

    def _read(self, entry: Entry, wanting: Sequence[Cataloger]) -> FileFacts:
        """What a file testifies to; nothing of a cataloger that raises, which costs a warning."""
        if entry.size_bytes > self._limits.file_bytes:
            self._warn(entry.path, f"larger than {self._limits.file_bytes} bytes")
            return _NOTHING
        found: list[FileFacts] = []
        with self._content(entry) as content:
            for cataloger in wanting:
                try:
                    content.seek(0)
                    facts = cataloger.read(WantedFile(entry.path, entry.size_bytes, content, self._limits))
                    for inner in facts.unread:
                        self._warn(entry.path, f"{cataloger.name}: {inner.path or 'in it'}: {inner.reason}")
                    facts, left_out = bounded(facts)
                    found.append(facts)
                    if left_out:
                        self._warn(entry.path, f"{cataloger.name}: {left_out}")
                except Exception as error:  # noqa: BLE001 - parsers of hostile bytes raise whatever there is
                    self._warn(entry.path, f"{cataloger.name}: {_told(error)}")
        facts = _joined(found)
        self._packages += len(facts.packages)
        if self._packages > self._limits.packages:
            raise LimitExceeded(f"the layer has more than {self._limits.packages} packages")
        return facts

    def _content(self, entry: Entry) -> BinaryIO:
        """The content as a file: in memory, or on the disk without a name."""
        if entry.size_bytes <= _IN_MEMORY_BYTES:
            return io.BytesIO(b"".join(self._archive.content()))
        file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
        try:
            for piece in self._archive.content():
                file.write(piece)
        except BaseException:
            file.close()
            raise
        return file

    def _set(self, path: str, facts: FileFacts, readers: tuple[Cataloger, ...]) -> None:
        self._keep(path)
        if facts is not _NOTHING:
            for package in facts.packages:
                self._count(200 + len(package.name) + len(package.version) + len(package.inner_path))
            self._count(sum(map(len, facts.owned_paths)))
        self._files[path] = facts
        self._readers[path] = readers

    def _replace(self, path: str) -> None:
        self._keep(path)
        self._replaced[path] = None

    def _keep(self, path: str) -> None:
        self._count(100 + len(path))

    def _count(self, size_bytes: int) -> None:
        self._kept_bytes += size_bytes
        if self._kept_bytes > self._limits.inventory_bytes:
            raise LimitExceeded(f"the layer's inventory is larger than {self._limits.inventory_bytes} bytes")

    def _warn(self, path: str, reason: str) -> None:
        if len(self._warnings) < _WARNINGS:
            self._warnings.append(Unread(path, reason[:500]))
        else:
            self._warnings_left_out += 1


def _told(error: Exception) -> str:
    """An error in words; a parser's own are sentences, others say little without their names."""
    if isinstance(error, ValueError) and str(error):
        return str(error)
    return f"{type(error).__name__}: {error}".removesuffix(": ")


def _joined(found: Sequence[FileFacts]) -> FileFacts:
    """The facts of several catalogers of one file."""
    facts = [one for one in found if one != _NOTHING]
    if len(facts) < 2:
        return facts[0] if facts else _NOTHING
    joined = facts[0]
    for more in facts[1:]:
        joined = replace(
            joined,
            packages=joined.packages + more.packages,
            owned_paths=joined.owned_paths + more.owned_paths,
            distribution=joined.distribution or more.distribution,
        )
    return joined
