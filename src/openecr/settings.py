"""What an operator can set: one frozen dataclass, from defaults, file, environment and flags, in that order.

Every field says where it is declared what it does; a setting that is unknown, or that would do nothing, is refused when
the server starts. Parsed once, passed down, never imported as state.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import Any, get_args, get_origin
from urllib.parse import parse_qsl, urlsplit

DAY_SECONDS = 86_400


class SettingsError(Exception):
    """A setting cannot be used; the text is one sentence with the remedy."""


def default_data_dir() -> Path:
    """Where openecr keeps its data when nobody says otherwise."""
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "openecr"


def without_secrets(url: str) -> str:
    """An address as it may be shown: without its password, and without parameters that carry one."""
    before, at, after = url.rpartition("@")
    if at:
        scheme, slashes, user = before.rpartition("://")
        user, colon, _ = user.partition(":")
        url = f"{scheme}{slashes}{user}{colon and ':***'}@{after}"
    place, mark, query = url.partition("?")
    if not mark:
        return url
    shown = (f"{name}={'***' if 'pass' in name.lower() else value}" for name, value in parse_qsl(query))
    return f"{place}?{'&'.join(shown)}"


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a deployment's servers."""

    data_dir: Path = field(default_factory=default_data_dir)
    """Where the database, the layers, the keyring and the server's address file live."""
    database: str | None = None
    """``postgresql://user@host/name``: the metadata of many servers; without it SQLite in the data directory."""
    database_connections: int = 8
    """Connections that each process holds to a PostgreSQL database."""
    blobs: str | None = None
    """Where layers are: ``s3://bucket/prefix?endpoint=...`` or ``file:///folder``; without it the data directory."""
    region_blobs: tuple[str, ...] = ()
    """Regions with a store of their own for new layers: ``eu-west-1=s3://bucket/prefix?endpoint=...``."""
    host: str | None = None
    """Address to listen on; without it 127.0.0.1 and ::1 only."""
    port: int = 5050
    """TCP port to listen on."""
    workers: int = 2
    """Server processes that share the port and the data directory."""
    url: str | None = None
    """The address that clients use when it is not the listener's own (behind a proxy): ``https://registry.example.com``."""
    domain: str | None = None
    """Serve ``{account}.dkr.ecr.{region}.{domain}`` host names, and put them in answers."""
    tls: bool = False
    """Serve TLS with a certificate from openecr's own CA in the data directory."""
    tls_cert: Path | None = None
    """Serve TLS with this certificate chain (PEM) instead."""
    tls_key: Path | None = None
    """The key of ``tls_cert`` (PEM)."""
    account_id: str = "123456789012"
    """The default account: the one that plain host names address."""
    region: str = "us-east-1"
    """The default region."""
    trusted_proxies: tuple[str, ...] = ()
    """Networks (CIDR) whose Host and X-Forwarded-* headers count."""
    metadata_listen: tuple[str, ...] = ()
    """Where nodes get their role's credentials, as from EC2's instance metadata: ``169.254.169.254:80``; without it
    nowhere. Nothing else is served there, and never over TLS."""
    metadata_hop_limit: int = 1
    """How many hops answers there travel (1 to 64); 1 reaches no container behind a bridge."""
    vpc_listeners: tuple[str, ...] = ()
    """Further addresses to listen on, so that VPCs whose networks overlap can be told apart: ``openecr vpc declare
    --listener``."""
    vpc_refusals: str = "timeout"
    """What a request gets that no way of its VPC leads to: ``timeout``, as on AWS, or ``explain``: a 403 with why."""
    vpc_timeout_seconds: int = 120
    """How long such a request is held without an answer."""
    clock: str | None = None
    """Offset of the rules' clock (``+181d``), for a data directory that was created with one."""
    upload_expiry_seconds: int = DAY_SECONDS
    """An upload that nobody continues for this long is gone."""
    promise_seconds: int = DAY_SECONDS
    """How long a layer that a client was told of stays, though no image names it yet."""
    trash_days: int = 7
    """How long what was deleted can be taken back; 0 leaves it to the next collection."""
    lifecycle_delay: int = 3600
    """How long after a lifecycle policy is put it runs first, in seconds: time for a preview, or a second thought."""
    lifecycle_brake_percent: int = 0
    """A run of a lifecycle policy that would delete more than this share of a repository's images stops; 0 lets all."""
    vulndb_max_age_days: int = 7
    """A scan with vulnerability data older than this many days says so, and the gate refuses it; 0 for any age."""
    event_days: int = 7
    """How long what happened can be read with ``openecr events``."""
    scrub_days: int = 30
    """Every layer is read again, and compared with its digests, within this many days; 0 leaves that to ``fsck``."""
    disk_reserve_bytes: int | None = None
    """Room to keep free under the layers: below it a collection empties the trash early, oldest first; 0 never does.
    Without it 1 GiB, or a twentieth of the file system where that is less."""
    images_per_repository: int = 100_000
    """How many images a repository may hold."""
    repositories_per_registry: int = 100_000
    """How many repositories a registry may hold."""
    archive_restore_seconds: int = 60
    """How long an image takes back from the archive; up to 20 minutes on ECR. Pushed again, it is back at once."""
    gb_month_price: float = 0.10
    """What `openecr usage` reckons for a GB (2^30 bytes) stored for a month, in USD."""
    layer_url_seconds: int = 3600
    """Life of a presigned layer URL."""
    token_seconds: int = 43_200
    """Life of a registry token; 12 hours on ECR."""
    token_follows_session: bool = False
    """A registry token that temporary credentials ask for ends with them; without it, and on ECR, it lasts as any."""
    oidc_loopback: bool = False
    """Ask identity providers on this machine for their keys too, by plain http where that is their address."""
    vulndb_url: str = "https://osv-vulnerabilities.storage.googleapis.com"
    """Where ``openecr vulndb update`` gets vulnerability data: an address that has OSV's ``<ecosystem>/all.zip``."""
    vulndb_ecosystems: tuple[str, ...] = ()
    """Which ecosystems it gets, by OSV's names: ``Debian,Alpine,PyPI``; without it all that packages are found of."""
    vulndb_epss_url: str | None = None
    """Where it gets EPSS's scores of how likely a vulnerability is exploited (CSV, or that in gzip)."""
    vulndb_kev_url: str | None = None
    """Where it gets CISA's catalogue of vulnerabilities that are known to be exploited (JSON)."""
    encryption: str = "on"
    """``on``: openecr encrypts layers; ``storage``: the disk does, and openecr only what is under a KMS key."""
    body_budget_bytes: int = 64 * 1024 * 1024
    """Room for api-plane bodies that one worker holds at once; beyond it requests wait, then are throttled."""
    access_log: bool = True
    """One line per request in the log."""
    audit_days: int = 90
    """How long the records of requests that ``openecr audit`` shows are kept."""

    def __post_init__(self) -> None:
        """Refuse values that cannot work, each with its remedy."""
        if not 1 <= self.port <= 65535:
            raise SettingsError(f"port {self.port} is not a TCP port; give one from 1 to 65535")
        if self.database is not None and not self.database.startswith(("postgresql://", "postgres://")):
            raise SettingsError(
                f"'{without_secrets(self.database)}' is no database; "
                "give postgresql://user@host/name, or none for SQLite"
            )
        if not 1 <= self.database_connections <= 200:
            raise SettingsError("database_connections is from 1 to 200")
        if self.workers < 1:
            raise SettingsError("workers must be at least 1")
        if bool(self.tls_cert) != bool(self.tls_key):
            raise SettingsError("--tls-cert and --tls-key belong together; give both")
        if self.tls and self.tls_cert:
            raise SettingsError("--tls makes openecr's own certificate; leave it out when you give --tls-cert")
        if not (self.account_id.isascii() and self.account_id.isdigit() and len(self.account_id) == 12):
            raise SettingsError(f"account id '{self.account_id}' is not 12 digits")
        if self.url is not None:
            parts = urlsplit(self.url)
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
                raise SettingsError(f"--url {self.url} must be http(s)://host[:port], without a path")
        if self.vpc_refusals not in ("timeout", "explain"):
            raise SettingsError(f"vpc_refusals is timeout or explain, not '{self.vpc_refusals}'")
        if self.vpc_timeout_seconds < 1:
            raise SettingsError("vpc_timeout_seconds must be at least 1")
        for listener in self.vpc_listeners:
            try:
                ip_address(listener)
            except ValueError:
                raise SettingsError(f"--vpc-listener {listener} is no address; give one of this machine's") from None
        for name in ("vulndb_url", "vulndb_epss_url", "vulndb_kev_url"):
            _require_address(name, getattr(self, name))
        for ecosystem in self.vulndb_ecosystems:
            if ":" in ecosystem or "/" in ecosystem:
                raise SettingsError(f"vulndb_ecosystems has '{ecosystem}'; give ecosystems without a release: Debian")
        if self.encryption not in ("on", "storage"):
            raise SettingsError(f"encryption is on or storage, not '{self.encryption}'")
        if self.trash_days < 0:
            raise SettingsError("trash_days is a number of days, 0 for none")
        if self.lifecycle_delay < 0:
            raise SettingsError("lifecycle_delay is a number of seconds, 0 for none")
        if not 0 <= self.lifecycle_brake_percent <= 100:
            raise SettingsError("lifecycle_brake_percent is from 0, which stops nothing, to 100")
        if self.scrub_days < 0:
            raise SettingsError("scrub_days is a number of days, 0 for no scrub")
        if self.vulndb_max_age_days < 0:
            raise SettingsError("vulndb_max_age_days is a number of days, 0 for any age")
        if self.event_days < 1:
            raise SettingsError("event_days is a number of days, at least 1")
        if self.audit_days < 1:
            raise SettingsError("audit_days is a number of days, at least 1")
        if self.images_per_repository < 1 or self.repositories_per_registry < 1:
            raise SettingsError("images_per_repository and repositories_per_registry must be at least 1")
        if self.archive_restore_seconds < 0:
            raise SettingsError("archive_restore_seconds is a number of seconds, 0 for none")
        if self.disk_reserve_bytes is not None and self.disk_reserve_bytes < 0:
            raise SettingsError("disk_reserve_bytes is a number of bytes, 0 for none")
        if not 0 <= self.gb_month_price < float("inf"):
            raise SettingsError("gb_month_price is a price in USD, 0 for none")
        for network in self.trusted_proxies:
            try:
                ip_network(network)
            except ValueError as error:
                raise SettingsError(f"--trusted-proxy {network} is no network: {error}") from None

        if not 1 <= self.metadata_hop_limit <= 64:
            raise SettingsError("metadata_hop_limit is from 1 to 64")
        if self.metadata_hop_limit != 1 and not self.metadata_listen:
            raise SettingsError("metadata_hop_limit does nothing without metadata_listen; give both")
        for place in self.metadata_listen:
            metadata_address(place)

    @property
    def serves_tls(self) -> bool:
        """Whether the listener itself speaks TLS."""
        return self.tls or self.tls_cert is not None


def _require_address(name: str, url: str | None) -> None:
    """An http(s) address, or none.

    Raises:
        SettingsError
    """
    if url is None:
        return
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.username is None
    except ValueError:
        usable = False
    if not usable:
        raise SettingsError(f"{name} '{without_secrets(url)}' must be http(s)://host/path, without a user")


def metadata_address(text: str) -> tuple[str, int]:
    """(address, port) of one place of ``metadata_listen``.

    Raises:
        SettingsError: it is no address and port, or every address.
    """
    host, _, port = text.rpartition(":")
    found: IPv4Address | IPv6Address | None
    try:
        found = ip_address(host.removeprefix("[").removesuffix("]"))
        number = int(port)
    except ValueError:
        found, number = None, 0
    if found is None or found.is_unspecified or not 1 <= number <= 65535:
        raise SettingsError(f"metadata_listen '{text}' is not one address and a port; give it like 169.254.169.254:80")
    return str(found), number


ENVIRONMENT_PREFIX = "OPENECR_"


def load(flags: Mapping[str, Any], environment: Mapping[str, str], file: Path | None = None) -> Settings:
    """Settings from defaults, file, environment and flags (those that are not None), in rising order."""
    known = {item.name: item.type for item in fields(Settings)}
    merged: dict[str, Any] = {}
    if file is not None:
        try:
            merged.update(tomllib.loads(file.read_text()))
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise SettingsError(f"cannot read the settings file {file}: {error}") from None
    for name, text in environment.items():
        if name.startswith(ENVIRONMENT_PREFIX):
            merged[name.removeprefix(ENVIRONMENT_PREFIX).lower()] = text
    merged.update({name: value for name, value in flags.items() if value is not None})
    unknown = sorted(set(merged) - set(known))
    if unknown:
        raise SettingsError(f"unknown setting '{unknown[0]}'; the settings are {', '.join(sorted(known))}")
    return Settings(**{name: _read(name, known[name], value) for name, value in merged.items()})


def _read(name: str, declared: Any, value: Any) -> Any:
    """A value in its declared type; texts come from the environment."""
    options = [option for option in get_args(declared) if option is not type(None)] or [declared]
    wanted = options[0] if get_origin(declared) is not tuple else tuple
    if wanted is tuple:
        items = value.split(",") if isinstance(value, str) else value
        return tuple(item.strip() for item in items if item.strip())
    if wanted is bool and isinstance(value, str):
        if value.lower() not in ("1", "0", "true", "false", "yes", "no", "on", "off"):
            raise SettingsError(f"{name} is on or off, not '{value}'")
        return value.lower() in ("1", "true", "yes", "on")
    try:
        return wanted(value)
    except (TypeError, ValueError):
        raise SettingsError(f"{name} cannot be '{value}'; it takes {wanted.__name__}") from None
