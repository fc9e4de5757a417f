"""What the parent tells a child on its standard input, and how: one JSON line."""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from openecr.settings import Settings


@dataclass(frozen=True, slots=True)
class Startup:
    """Everything a child needs to begin."""

    settings: Settings
    base_url: str
    log_format: str
    parent_pid: int
    listeners: tuple[int, ...] = ()
    certificate: Path | None = None
    certificate_key: Path | None = None

    def to_line(self) -> bytes:
        """The line for the child; settings hold no secrets."""
        return json.dumps(asdict(self), default=str).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> "Startup":
        """What the parent said."""
        said: dict[str, Any] = json.loads(line)
        settings = said.pop("settings")
        for item in fields(Settings):
            value = settings[item.name]
            if isinstance(value, list):
                settings[item.name] = tuple(value)
            elif value is not None and item.type in (Path, Path | None):
                settings[item.name] = Path(value)
        certificate, key = said.pop("certificate"), said.pop("certificate_key")
        return cls(
            settings=Settings(**settings),
            listeners=tuple(said.pop("listeners")),
            certificate=Path(certificate) if certificate else None,
            certificate_key=Path(key) if key else None,
            **said,
        )
