"""Which distribution an image is of, by os-release and its elders."""

from openecr.scan.cataloger import Cataloger, WantedFile
from openecr.scan.distribution import PRECEDENCE, distribution_of
from openecr.scan.packages import FileFacts

_TEXT_BYTES = 1 << 16


def _read(file: WantedFile) -> FileFacts:
    text = file.content.read(_TEXT_BYTES).decode(errors="backslashreplace")
    return FileFacts(distribution=distribution_of(file.path, text))


CATALOGERS: tuple[Cataloger, ...] = (Cataloger("os-release", 1, _read, paths=PRECEDENCE),)
"""Every file that tells of it; which one is believed is decided where all layers are known."""
