"""Files as catalogers are given them."""

import io

from openecr.scan.cataloger import Cataloger, WantedFile
from openecr.scan.limits import LIMITS, Limits
from openecr.scan.packages import Package


def wanted(path: str, content: bytes | str, limits: Limits = LIMITS) -> WantedFile:
    """A file of a layer."""
    held = content.encode() if isinstance(content, str) else content
    return WantedFile(path, len(held), io.BytesIO(held), limits)


def read(cataloger: Cataloger, path: str, content: bytes | str) -> tuple[Package, ...]:
    """The packages that a file testifies to."""
    return cataloger.read(wanted(path, content)).packages


def versions(packages: tuple[Package, ...]) -> dict[str, str]:
    """Name → version."""
    return {package.name: package.version for package in packages}
