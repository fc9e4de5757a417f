"""rpm's package database in its three forms, and the list that Azure's distroless images have in its place."""

from openecr.scan.cataloger import Cataloger, WantedFile
from openecr.scan.catalogers import rpm_bdb, rpm_ndb, rpm_sqlite
from openecr.scan.catalogers.rpm_header import facts, package
from openecr.scan.packages import FileFacts

_PLACES = ("var/lib/rpm", "usr/lib/sysimage/rpm", "usr/share/rpm")
"""rpm's own, Fedora's and SUSE's, and that of ostree."""
_SQLITE, _NDB, _BDB = "rpmdb.sqlite", "Packages.db", "Packages"
_LOG = "rpmdb.sqlite-wal"
_MANIFEST = "var/lib/rpmmanifest/container-manifest-2"
_LOG_HEADER_BYTES = 32
_READERS = {_SQLITE: rpm_sqlite.headers, _NDB: rpm_ndb.headers, _BDB: rpm_bdb.headers}


def _read(file: WantedFile) -> FileFacts:
    return facts(_READERS[file.path.rpartition("/")[2]](file.content, file.size_bytes))


def _read_log(file: WantedFile) -> FileFacts:
    """Nothing.

    Raises:
        ValueError: the database was not closed, so that what was last installed or removed is in here alone.
    """
    if file.size_bytes > _LOG_HEADER_BYTES:
        raise ValueError("the rpm database was not closed; its last changes are not read")
    return FileFacts()


def _read_manifest(file: WantedFile) -> FileFacts:
    """A package a line: name, version-release, two times, vendor, two more, architecture, epoch, source rpm."""
    packages = []
    for line in file.text().decode(errors="backslashreplace").split("\n"):
        columns = line.rstrip("\r").split("\t")
        if len(columns) >= 10:
            epoch = columns[8] if columns[8].isascii() and columns[8].isdigit() and len(columns[8]) < 10 else "0"
            packages.append(package(columns[0], columns[1], int(epoch), columns[7], columns[9], vendor=columns[4]))
    return FileFacts(tuple(packages))


CATALOGERS: tuple[Cataloger, ...] = (
    Cataloger("rpm", 1, _read, paths=tuple(f"{place}/{name}" for place in _PLACES for name in _READERS)),
    Cataloger("rpm-log", 1, _read_log, paths=tuple(f"{place}/{_LOG}" for place in _PLACES)),
    Cataloger("rpm-manifest", 1, _read_manifest, paths=(_MANIFEST,)),
)
"""What is installed, with its files."""
