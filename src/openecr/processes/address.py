"""Where the running server listens, left in the data directory for the other commands."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from openecr.processes import lock
from openecr.settings import Settings


@dataclass(frozen=True, slots=True)
class RunningServer:
    """What ``server.json`` says."""

    url: str
    pid: int
    started_us: int
    account_id: str
    region: str
    workers: int
    own_ca: str | None
    """The certificate of the own CA, where the server uses it."""
    stores: dict[str, Any] = field(default_factory=dict)
    """The settings that say where metadata and layers are, where they are not in the data directory."""


def address_path(data_dir: Path) -> Path:
    """The address file."""
    return data_dir / "server.json"


def leave(data_dir: Path, server: RunningServer) -> None:
    """Write the address, whole or not at all."""
    path = address_path(data_dir)
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)  # one that is left there would keep its own mode
    part.touch(mode=0o600)  # the address of a database may carry a password
    part.write_text(json.dumps(asdict(server), indent=2) + "\n")
    os.replace(part, path)


def remove(data_dir: Path) -> None:
    """The server ends."""
    address_path(data_dir).unlink(missing_ok=True)


def find(data_dir: Path) -> RunningServer | None:
    """The server that runs on the data directory; an address left by one that was killed counts as none."""
    try:
        found = RunningServer(**json.loads(address_path(data_dir).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return found if lock.is_held(data_dir) else None


STORES = ("database", "blobs", "region_blobs", "encryption")
"""The settings that say where metadata and layers are, and who encrypts them."""
_USUAL = Settings()


def stores_of(settings: Settings) -> dict[str, Any]:
    """Those of them that are not as usual."""
    return {name: value for name in STORES if (value := getattr(settings, name)) != getattr(_USUAL, name)}


def base_url(settings: Settings) -> str:
    """How answers name this server while no domain is set: ``--url``, else the listener's own name."""
    if settings.url is not None:
        return settings.url.rstrip("/")
    scheme, usual = ("https", 443) if settings.serves_tls else ("http", 80)
    everywhere = settings.host in (None, "0.0.0.0", "::", "127.0.0.1", "::1")  # noqa: S104 - compared, not bound
    host = "localhost" if everywhere or settings.host is None else settings.host
    name = f"[{host}]" if ":" in host else host
    return f"{scheme}://{name}" if settings.port == usual else f"{scheme}://{name}:{settings.port}"
