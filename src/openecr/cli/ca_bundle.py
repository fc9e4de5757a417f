"""The file for AWS_CA_BUNDLE: what this machine trusts, and openecr's own CA."""

import ssl
from pathlib import Path

import botocore

_SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/opt/homebrew/etc/ca-certificates/cert.pem",
)


def ca_bundle(folder: Path, own_ca: Path, already_set: str | None) -> Path:
    """The bundle's path, rebuilt when one of its parts changed.

    Args:
        folder: where the bundle is kept.
        own_ca: the certificate of openecr's CA.
        already_set: the shell's AWS_CA_BUNDLE (a company's CA, say); what it trusts stays trusted.
    """
    path = folder / "bundle.pem"
    base = Path(already_set) if already_set else _system_bundle()
    if base == path or not base.is_file():
        base = _system_bundle()
    content = base.read_bytes().rstrip() + b"\n" + own_ca.read_bytes()
    if not path.exists() or path.read_bytes() != content:
        part = path.with_name(path.name + ".part")
        part.write_bytes(content)
        part.replace(path)
    return path


def _system_bundle() -> Path:
    usual = ssl.get_default_verify_paths().cafile
    for candidate in (usual, *_SYSTEM_BUNDLES):
        if candidate and Path(candidate).is_file():
            return Path(candidate)
    return Path(botocore.__file__).parent / "cacert.pem"
