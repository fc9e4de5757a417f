"""The file system under the layers, and the room to keep free on it."""

import os
from dataclasses import dataclass
from pathlib import Path

_GIB = 2**30


@dataclass(frozen=True, slots=True)
class Disk:
    """A file system that can fill."""

    folder: Path
    reserve: int | None
    """Bytes to keep free; None for 1 GiB, or a twentieth of the file system where that is less."""

    def free_bytes(self) -> int:
        """What may still be written here."""
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def reserve_bytes(self) -> int:
        """What should stay free."""
        if self.reserve is not None:
            return self.reserve
        found = os.statvfs(self.folder)
        return min(_GIB, found.f_blocks * found.f_frsize // 20)

    def shortage_bytes(self) -> int:
        """What is missing to the room that should stay free; none or less where there is enough."""
        return self.reserve_bytes() - self.free_bytes()
