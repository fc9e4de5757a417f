"""A package's header in an rpm database (rpm's docs/manual/format_header.md): an index of tags, and their data."""

import struct
from collections.abc import Iterator

from openecr.scan.packages import FileFacts, Package
from openecr.scan.vendors import has_advisories_on

_INDEX_ENTRIES = 65536
_DATA_BYTES = 256 << 20
_ENTRY = struct.Struct(">IIiI")
_INT32, _STRING, _STRINGS, _I18N = 4, 6, 8, 9

_NAME, _VERSION, _RELEASE, _EPOCH, _VENDOR, _LICENSE = 1000, 1001, 1002, 1003, 1011, 1014
_ARCH, _SOURCE_RPM, _DIR_INDEXES, _BASE_NAMES, _DIR_NAMES, _MODULARITY = 1022, 1044, 1116, 1117, 1118, 5096
_KEYS_OF_REPOSITORIES = "gpg-pubkey"


class _Header:
    """A header's tags.

    Raises:
        ValueError: the index does not fit the blob.
    """

    def __init__(self, blob: bytes) -> None:
        if len(blob) < 8:
            raise ValueError("an rpm header is cut short")
        entries, data_bytes = struct.unpack_from(">II", blob)
        if entries > _INDEX_ENTRIES or data_bytes > _DATA_BYTES or 8 + 16 * entries + data_bytes > len(blob):
            raise ValueError("an rpm header states sizes that do not fit")
        self._data = blob[8 + 16 * entries : 8 + 16 * entries + data_bytes]
        self._tags = {
            tag: (kind, offset, count)
            for tag, kind, offset, count in _ENTRY.iter_unpack(blob[8 : 8 + 16 * entries])
            if 0 <= offset < data_bytes
        }

    def text(self, tag: int) -> str:
        """A string, or the first of several; empty where there is none."""
        return next(iter(self.texts(tag, at_most=1)), "")

    def texts(self, tag: int, at_most: int = 1 << 24) -> list[str]:
        """Strings, each ending with a NUL."""
        kind, offset, count = self._tags.get(tag, (0, 0, 0))
        if kind not in (_STRING, _STRINGS, _I18N):
            return []
        found = self._data[offset:].split(b"\0", min(count, at_most))[: min(count, at_most)]
        return [text.decode(errors="backslashreplace") for text in found]

    def numbers(self, tag: int) -> tuple[int, ...]:
        """Numbers of 32 bits."""
        kind, offset, count = self._tags.get(tag, (0, 0, 0))
        if kind != _INT32 or offset + 4 * count > len(self._data):
            return ()
        return struct.unpack_from(f">{count}I", self._data, offset)


def facts(blobs: Iterator[bytes]) -> FileFacts:
    """What the headers of a database testify to. Keys of repositories are kept as packages there, and are none."""
    packages: list[Package] = []
    owned_paths: list[str] = []
    for blob in blobs:
        header = _Header(blob)
        name = header.text(_NAME)
        if name and name != _KEYS_OF_REPOSITORIES:
            packages.append(_package(name, header))
            owned_paths += _files(header) if has_advisories_on(packages[-1].vendor) else ()
    return FileFacts(tuple(packages), tuple(owned_paths))


def _package(name: str, header: _Header) -> Package:
    epoch = next(iter(header.numbers(_EPOCH)), 0)
    version_release = f"{header.text(_VERSION)}-{header.text(_RELEASE)}"
    license_text = header.text(_LICENSE)
    return package(
        name,
        version_release,
        epoch,
        header.text(_ARCH),
        header.text(_SOURCE_RPM),
        vendor=header.text(_VENDOR),
        module=":".join(header.text(_MODULARITY).split(":")[:2]),
        licenses=(license_text,) if license_text else (),
    )


def package(
    name: str,
    version_release: str,
    epoch: int,
    architecture: str,
    source_rpm: str,
    *,
    vendor: str = "",
    module: str = "",
    licenses: tuple[str, ...] = (),
) -> Package:
    """A package of an rpm database. A source rpm's file name is ``name-version-release.src.rpm``."""
    source = source_rpm.removesuffix(".src.rpm").removesuffix(".nosrc.rpm").rsplit("-", 2)
    return Package(
        ecosystem="rpm",
        name=name,
        version=f"{epoch}:{version_release}" if epoch else version_release,
        kind="rpm",
        architecture=architecture,
        source_name=source[0] if len(source) == 3 else "",
        source_version="-".join(source[1:]) if len(source) == 3 else "",
        module=module,
        vendor=vendor,
        licenses=licenses,
    )


def _files(header: _Header) -> Iterator[str]:
    directories = [name.strip("/") for name in header.texts(_DIR_NAMES)]
    for name, index in zip(header.texts(_BASE_NAMES), header.numbers(_DIR_INDEXES), strict=False):
        if index < len(directories):
            yield f"{directories[index]}/{name}" if directories[index] else name
