"""Debian's package database, and its kin: distroless's ``status.d``, OpenWrt's opkg.

dpkg(1), deb-control(5); distroless keeps one stanza a file and no ``Status`` field.
"""

import re
from collections.abc import Iterator

from openecr.scan.cataloger import Cataloger, WantedFile
from openecr.scan.packages import FileFacts, Package

_STATUS = ("var/lib/dpkg/status", "usr/lib/opkg/status", "var/lib/opkg/status")
_STATUS_D = "var/lib/dpkg/status.d"
_LISTS = "var/lib/dpkg/info/*.list"
_SUMS = ".md5sums"
_WANTED = frozenset({"package", "status", "version", "architecture", "source"})
_SOURCE = re.compile(r"([^\s(]+)\s*(?:\(([^)\s]+)\))?")
_BLANK = re.compile(r"\n[ \t\r]*\n")


def _read(file: WantedFile) -> FileFacts:
    if file.path.endswith(_SUMS):
        return FileFacts(owned_paths=tuple(_summed(file.text())))
    single = file.path not in _STATUS
    text = file.text().decode(errors="backslashreplace")
    return FileFacts(tuple(found for stanza in _BLANK.split(text) if (found := _package(stanza, single=single))))


def _package(stanza: str, *, single: bool) -> Package | None:
    """The package of a stanza; None where it is not, or no longer, installed."""
    fields = {}
    for line in stanza.split("\n"):
        key, colon, value = line.partition(":")
        if colon and (key := key.lower()) in _WANTED:
            fields[key] = value.strip()
    state = fields.get("status", "").split()
    if state[2:3] != ["installed"] and (state or not single):
        return None
    name, version = fields.get("package", ""), fields.get("version", "")
    if not name or not version:
        return None
    source = _SOURCE.fullmatch(fields.get("source", ""))
    return Package(
        ecosystem="dpkg",
        name=name,
        version=version,
        kind="dpkg",
        architecture=fields.get("architecture", ""),
        source_name=source[1] if source else "",
        source_version=(source[2] or version) if source else "",
    )


def _summed(text: bytes) -> Iterator[str]:
    """The paths of a list of check sums."""
    for line in text.decode(errors="backslashreplace").split("\n"):
        _, _, path = line.partition("  ")
        if path:
            yield path.strip().removeprefix("./").lstrip("/")


def _read_list(file: WantedFile) -> FileFacts:
    """The files of one installed package, among their directories."""
    lines = file.text().decode(errors="backslashreplace").split("\n")
    directories = {line.rpartition("/")[0] for line in lines}
    owned_paths = (line[1:] for line in lines if line[:1] == "/" and line != "/." and line not in directories)
    return FileFacts(owned_paths=tuple(owned_paths))


CATALOGERS: tuple[Cataloger, ...] = (
    Cataloger("dpkg", 1, _read, paths=_STATUS, directories=(_STATUS_D,)),
    Cataloger("dpkg-files", 1, _read_list, directories=(_LISTS,)),
)
"""What is installed, and which files that put there."""
