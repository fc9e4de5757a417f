"""Write a profile for the AWS CLI and the SDKs; everything else in their files stays byte for byte."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from openecr.cli.environment import SERVED_SERVICES, Access
from openecr.cli.options import CommandFailed

MARK = "# written by openecr env --profile"
_NAME = re.compile(r"[A-Za-z0-9_.@/+-]+")
_HEADER = re.compile(rb"^[ \t]*\[([^\]\r\n]*)\]")


def write(name: str, access: Access, environment: Mapping[str, str]) -> list[Path]:
    """Write or renew the profile; the files written.

    Raises:
        CommandFailed: somebody else wrote a profile of this name.
    """
    if _NAME.fullmatch(name) is None:
        raise CommandFailed(f"'{name}' is no name for a profile; use letters, digits and ._-")
    config = _file(environment, "AWS_CONFIG_FILE", "config")
    credentials = _file(environment, "AWS_SHARED_CREDENTIALS_FILE", "credentials")
    section = "default" if name == "default" else f"profile {name}"
    services = f"services openecr-{name}"
    endpoints = "".join(
        f"{service.replace('-', '_')} =\n  endpoint_url = {access.url}\n" for service in SERVED_SERVICES
    )
    trust = f"ca_bundle = {access.ca_bundle}\n" if access.ca_bundle else ""
    written = {
        config: {
            section: f"region = {access.region}\nservices = openecr-{name}\n{trust}",
            services: endpoints,
        },
        credentials: {
            name: f"aws_access_key_id = {access.key.access_key_id}\n"
            f"aws_secret_access_key = {access.key.secret_access_key}\n"
        },
    }
    # Both are made before either is written: a refusal leaves both as they were.
    contents = {path: _merge(path, name, sections) for path, sections in written.items()}
    for path, content in contents.items():
        _replace(path, content)
    return list(contents)


def _file(environment: Mapping[str, str], variable: str, usual: str) -> Path:
    path = Path(environment.get(variable) or Path.home() / ".aws" / usual).expanduser()
    return path.resolve()  # a link in the place of the file stays a link


def _merge(path: Path, profile: str, sections: Mapping[str, str]) -> bytes:
    """The file with these sections in it: in the place of our earlier ones, else at the end."""
    text = path.read_bytes() if path.exists() else b""
    for header, body in sections.items():
        ours = f"[{header}]\n{MARK}\n{body}".encode()
        found = _section(text, header)
        if found is None:
            gap = b"" if not text or text.endswith(b"\n\n") else b"\n" if text.endswith(b"\n") else b"\n\n"
            text += gap + ours
            continue
        start, end = found
        if MARK.encode() not in text[start:end]:
            raise CommandFailed(
                f"{path} has a [{header}] that openecr did not write; choose another name than {profile}, or remove it"
            )
        text = text[:start] + ours + (b"\n" if end < len(text) else b"") + text[end:]
    return text


def _section(text: bytes, header: str) -> tuple[int, int] | None:
    """Where a section begins and ends."""
    start, position = None, 0
    for line in text.splitlines(keepends=True):
        found = _HEADER.match(line)
        if found is not None:
            if start is not None:
                return start, position
            if b" ".join(found[1].replace(b'"', b"").split()) == header.encode():
                start = position
        position += len(line)
    return None if start is None else (start, position)


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    part = path.with_name(f".{path.name}.openecr-part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
