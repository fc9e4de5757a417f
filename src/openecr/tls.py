"""openecr's own certification authority, and the server certificate for every name that is served.

The authority lives in ``tls/`` of the data directory. The certificate is made anew when the served names change, when
the authority does, or a month before it ends. Keys are EC P-256 in PKCS#8, which is what the server reads; an
operator's own key in another PEM form is converted.
"""

import datetime
import ipaddress
import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import botocore.session
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from openecr import data_dir
from openecr.settings import Settings, SettingsError

LEAF_DAYS = 396
"""Clients refuse leaf certificates that are good for more than 398 days."""
RENEW_DAYS = 30
_CA_DAYS = 3650
_CLOCK_SLACK = datetime.timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Certificate:
    """What the listener presents."""

    chain: Path
    private_key: Path
    own_ca: Path | None
    """The authority that clients must trust, where it is openecr's own."""
    renewed: bool


def prepare(settings: Settings, now: datetime.datetime) -> Certificate | None:
    """The certificate to serve with, made or renewed where needed; None without TLS.

    Raises:
        SettingsError: the operator's certificate or key cannot be used.
    """
    if settings.tls_cert is not None and settings.tls_key is not None:
        return _given(settings, settings.tls_cert, settings.tls_key)
    if not settings.tls:
        return None
    return ensure(data_dir.tls_path(settings.data_dir), served_names(settings), now)


def served_names(settings: Settings) -> list[str]:
    """Every host name and address under which the server answers."""
    names = ["localhost", "127.0.0.1", "::1"]
    if settings.host is not None:
        names.append(settings.host)
    if settings.url is not None:
        names.append(urlsplit(settings.url).hostname or "localhost")
    if settings.domain is not None:
        names += _aws_shaped_names(settings.domain, settings.region)
    return list(dict.fromkeys(names))


def _aws_shaped_names(domain: str, own_region: str) -> list[str]:
    names = [f"sts.{domain}", f"iam.{domain}"]
    # A VPC endpoint's own name; for every region there would be more names than a handshake should carry.
    names += [f"*.{service}.{own_region}.vpce.{domain}" for service in ("api.ecr", "dkr.ecr", "ec2", "kms", "sts")]
    for region in _regions(domain, own_region):
        names += [
            f"*.dkr.ecr.{region}.{domain}",
            f"api.ecr.{region}.{domain}",
            f"sts.{region}.{domain}",
            f"ec2.{region}.{domain}",
            f"kms.{region}.{domain}",
            f"prod-{region}-starport-layer-bucket.s3.{region}.{domain}",
        ]
        if domain == "amazonaws.com":
            names += [
                f"*.dkr.ecr-fips.{region}.{domain}",
                f"api.ecr-fips.{region}.{domain}",
                f"ecr-fips.{region}.{domain}",
                f"ecr.{region}.api.aws",
                f"ecr-fips.{region}.api.aws",
                f"*.dkr-ecr.{region}.on.aws",
                f"*.dkr-ecr-fips.{region}.on.aws",
            ]
    return names


def _regions(domain: str, own_region: str) -> list[str]:
    """The regions of ECR whose names can lie under the domain: China's never lie under amazonaws.com."""
    session = botocore.session.get_session()
    partitions = ["aws", "aws-us-gov"] if domain == "amazonaws.com" else ["aws", "aws-us-gov", "aws-cn"]
    known = {region for partition in partitions for region in session.get_available_regions("ecr", partition)}
    return sorted({own_region} | {region for region in known if "fips" not in region})


def ensure(folder: Path, names: list[str], now: datetime.datetime) -> Certificate:
    """A certificate of the own authority for exactly these names, with at least a month left."""
    folder.mkdir(mode=0o700, exist_ok=True)
    authority, authority_key = _ensure_authority(folder, now)
    chain, key = folder / "server.pem", folder / "server.key"
    renewed = not _is_good(chain, key, authority, names, now)
    if renewed:
        _issue(chain, key, names, authority, authority_key, now)
    return Certificate(chain, key, folder / "ca.pem", renewed)


def _ensure_authority(folder: Path, now: datetime.datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    path, key_path = folder / "ca.pem", folder / "ca.key"
    if path.exists():
        try:
            key = serialization.load_pem_private_key(key_path.read_bytes(), None)
            authority = x509.load_pem_x509_certificate(path.read_bytes())
        except (OSError, ValueError) as error:
            raise SettingsError(
                f"cannot read openecr's own CA in {folder} ({error}); "
                "restore ca.pem and ca.key, or remove both for a new one"
            ) from None
        if isinstance(key, ec.EllipticCurvePrivateKey) and key.public_key() == authority.public_key():
            return authority, key
        raise SettingsError(f"ca.key in {folder} is not the key of ca.pem; restore both, or remove both for a new CA")
    key = ec.generate_private_key(ec.SECP256R1())
    # The date tells the authorities of several installations apart in a trust store.
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"openecr CA {now:%Y-%m-%d %H:%M:%S}")])
    public = key.public_key()
    authority = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SLACK)
        .not_valid_after(now + datetime.timedelta(days=_CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write(key_path, _pkcs8(key), mode=0o600)
    _write(path, authority.public_bytes(serialization.Encoding.PEM), mode=0o644)
    return authority, key


def _issue(
    chain: Path,
    key_path: Path,
    names: list[str],
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    now: datetime.datetime,
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key()
    end = min(now + datetime.timedelta(days=LEAF_DAYS), authority.not_valid_after_utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "openecr")]))
        .issuer_name(authority.subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SLACK)
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    _write(key_path, _pkcs8(key), mode=0o600)
    _write(chain, certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)


def _is_good(
    chain: Path, key_path: Path, authority: x509.Certificate, names: list[str], now: datetime.datetime
) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(chain.read_bytes())
        certificate.verify_directly_issued_by(authority)
        key = serialization.load_pem_private_key(key_path.read_bytes(), None)
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    if key.public_key() != certificate.public_key():
        return False  # the machine went down between the two writes
    left = certificate.not_valid_after_utc - now
    return left > datetime.timedelta(days=RENEW_DAYS) and set(found) == {_general_name(name) for name in names}


def _given(settings: Settings, chain: Path, key: Path) -> Certificate:
    """An operator's own certificate, with its key in the form that the server reads."""
    try:
        pem = key.read_bytes()
        chain.read_bytes()
    except OSError as error:
        raise SettingsError(f"cannot read {error.filename}: {error.strerror}; check --tls-cert and --tls-key") from None
    used = key
    if b"-----BEGIN PRIVATE KEY-----" not in pem:
        try:
            parsed = serialization.load_pem_private_key(pem, None)
        except (TypeError, ValueError):
            raise SettingsError(f"{key} holds no PEM key without a password; give an unencrypted one") from None
        folder = data_dir.tls_path(settings.data_dir)
        folder.mkdir(mode=0o700, exist_ok=True)
        used = folder / "given.key"
        _write(used, _pkcs8(parsed), mode=0o600)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(chain, used)
    except ssl.SSLError as error:
        raise SettingsError(f"{key} is not the key of {chain}, or one is no PEM file ({error.reason})") from None
    return Certificate(chain, used, None, renewed=False)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name.lower())


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pkcs8(key: PrivateKeyTypes) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, content: bytes, *, mode: int) -> None:
    """Replace a file whole, never open to others on the way."""
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
