"""The programs that the bench runs: Debian's docker-registry and wrk, and curl.

What is not installed is fetched with apt as a package file and unpacked below ``bench/.tools``: so no service is
started and no port is taken, and it works without root wherever apt knows its package lists.
"""

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

_UNPACKED = Path(__file__).parent / ".tools"


class ToolMissingError(Exception):
    """A program is missing and could not be fetched; the text says what to install."""


@cache
def find_tool(name: str) -> str:
    """The path of a program, fetched from Debian (package of the same name) when it is not installed."""
    found = shutil.which(name)
    if found:
        return found
    unpacked = _UNPACKED / "usr" / "bin" / name
    if not unpacked.exists():
        _fetch(name)
    if not unpacked.exists():
        raise ToolMissingError(f"{name} is missing and apt could not fetch it; install it: apt-get install {name}")
    return str(unpacked)


def _fetch(package: str) -> None:
    """Download a Debian package and unpack it."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise ToolMissingError(
            f"{package} is missing, and this is no Debian system: install it and run the bench again"
        )
    _UNPACKED.mkdir(exist_ok=True)
    if not _download(package) and os.geteuid() == 0:
        subprocess.run(["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300", "update"], check=False)
        _download(package)
    for archive in _UNPACKED.glob(f"{package}_*.deb"):
        subprocess.run(["dpkg-deb", "-x", str(archive), str(_UNPACKED)], check=True)


def _download(package: str) -> bool:
    command = ["apt-get", "-qq", "download", package]
    return subprocess.run(command, cwd=_UNPACKED, check=False, capture_output=True).returncode == 0


def version_of(name: str) -> str:
    """The first line that a program says about its version."""
    done = subprocess.run([find_tool(name), "--version"], check=False, capture_output=True, text=True)
    lines = (done.stdout or done.stderr).splitlines()
    return lines[0].strip() if lines else "unknown"
