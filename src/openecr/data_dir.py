"""The data directory: what lies where in it, and whether a disk can be trusted with it.

openecr.db         the database, with its -wal, -shm and lock files
blobs/             the layers, by opaque object id
vulndb/            copies of the vulnerability data in use, and downloads that are used again
audit/             what this machine recorded of requests and has not sealed yet
root.key           opens the keyring; keep a copy elsewhere, and not with the backups
tls/               the own CA and certificates, where --tls is on
postgres-primary.json   which PostgreSQL primary was seen last, where metadata is there
serve.lock         held by the server and every process it started; names their pids
server.json        where the running server listens
"""

import os
import re
import tempfile
from pathlib import Path

from openecr.settings import Settings, SettingsError

_MOUNTS = Path("/proc/self/mountinfo")
_OCTAL = re.compile(r"\\([0-7]{3})")

# fmt: off
UNSAFE_FILE_SYSTEMS = frozenset((
    "9p", "acfs", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs",
    "nfs4", "ocfs2", "orangefs", "panfs", "prl_fs", "smb2", "smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs",
))
# fmt: on
"""Network and shared-folder file systems: SQLite's locks and shared memory do not hold on them."""


def database_path(data_dir: Path) -> Path:
    """The embedded database."""
    return data_dir / "openecr.db"


def primary_path(data_dir: Path) -> Path:
    """Which PostgreSQL primary this server saw last."""
    return data_dir / "postgres-primary.json"


def blobs_path(data_dir: Path) -> Path:
    """The folder of the filesystem blob store."""
    return data_dir / "blobs"


def vulnerability_data_path(data_dir: Path) -> Path:
    """The folder of the vulnerability data's copies."""
    return data_dir / "vulndb"


def tls_path(data_dir: Path) -> Path:
    """The folder of the own CA and the certificates."""
    return data_dir / "tls"


def create(data_dir: Path, mounts: str | None = None) -> None:
    """Make the directory where it is missing, private to its owner, and see that it can hold a deployment.

    Raises:
        SettingsError: it cannot be written, or its file system would corrupt the database.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=data_dir):
            pass
    except NotADirectoryError:
        raise SettingsError(f"{data_dir} is not a directory; choose another with --data-dir") from None
    except FileExistsError:
        raise SettingsError(f"{data_dir} is a file; choose a directory with --data-dir") from None
    except OSError as error:
        raise SettingsError(
            f"cannot write to the data directory {data_dir} ({error.strerror}); make it writable for this user, "
            "or choose another with --data-dir"
        ) from None
    kind = unsafe_file_system(data_dir, mounts)
    if kind is not None:
        raise SettingsError(
            f"the data directory {data_dir} is on {kind}, a network or shared-folder file system, "
            "on which the database would be corrupted; choose a directory on a local disk with --data-dir"
        )


def require(settings: Settings) -> None:
    """Refuse a directory in which no embedded deployment was ever started; a database elsewhere answers for itself."""
    folder = settings.data_dir
    if settings.database is None and not database_path(folder).exists():
        raise SettingsError(f"there is no registry in {folder}; start one with: openecr serve --data-dir {folder}")


def unsafe_file_system(path: Path, mounts: str | None = None) -> str | None:
    """The type of the file system that holds the path, where it is one that SQLite cannot work on; else None."""
    if mounts is None:
        try:
            mounts = _MOUNTS.read_text()
        except OSError:
            return None  # not Linux: nothing tells
    kind = _file_system(os.path.realpath(path), mounts)
    if kind is None:
        return None
    return kind if kind in UNSAFE_FILE_SYSTEMS or _is_foreign_fuse(kind) else None


def _is_foreign_fuse(kind: str) -> bool:
    # fuseblk and fuse-overlayfs lie on a local disk; sshfs, grpcfuse, osxfs, rclone and the like do not.
    return kind == "fuse" or (kind.startswith("fuse.") and kind != "fuse.fuse-overlayfs")


def _file_system(real_path: str, mounts: str) -> str | None:
    """The type of the mount with the longest prefix; of equal ones the last, which covers the others."""
    best_length, found = -1, None
    for line in mounts.splitlines():
        before, separator, after = line.partition(" - ")
        columns = before.split(" ")
        if not separator or len(columns) < 5:
            continue
        point = _OCTAL.sub(lambda escaped: chr(int(escaped[1], 8)), columns[4])
        inside = point == "/" or real_path == point or real_path.startswith(point + "/")
        if inside and len(point) >= best_length:
            best_length, found = len(point), after.split(" ", 1)[0]
    return found
