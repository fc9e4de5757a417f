"""``s3://bucket/prefix?endpoint=…``: where an S3 store is and how it is spoken to. No secret is part of it.

Credentials come from where AWS's tools look for them: the variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a
profile of ~/.aws/credentials.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from openecr.settings import SettingsError, without_secrets

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"(?:[A-Za-z0-9!_.*'()-]+/)*")
_DOTS = re.compile(r"(?:^|/)\.{1,2}(?:/|$)")
_KEYS = (
    "addressing",
    "ca",
    "credentials",
    "endpoint",
    "profile",
    "public_endpoint",
    "redirect",
    "region",
    "sse",
    "sse_kms_key",
)


@dataclass(frozen=True, slots=True)
class S3Location:
    """A bucket, a prefix in it, and how to reach it."""

    bucket: str
    prefix: str
    """Empty, or ending with a slash."""
    endpoint: str | None
    """The store's address; AWS's own of the region without it."""
    region: str
    public_endpoint: str | None
    """The address that presigned URLs name, where clients reach the store by another than openecr does."""
    redirect: bool
    """Whether clients are sent to the store for layers that it holds as they must get them."""
    sse: str | None
    """Server-side encryption to ask for; ``store`` where the bucket encrypts without being asked."""
    sse_kms_key: str | None
    addressing: str
    """Whether the bucket is in the path or in the host name."""
    ca: str | None
    """A CA bundle (PEM); AWS_CA_BUNDLE, then the system's, without it."""
    profile: str | None
    instance_credentials: bool
    """Whether the machine's own role may be asked for (its metadata address)."""

    @property
    def name(self) -> str:
        """The location without parameters, for messages."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    @property
    def encrypts(self) -> bool:
        """Whether objects are encrypted by the store: where its operator says so, and on AWS, which does so by itself
        (S3 user guide, "Amazon S3 now automatically encrypts all new objects")."""
        return self.sse is not None or self.endpoint is None

    @property
    def secure(self) -> bool:
        """Whether openecr speaks TLS with the store."""
        return self.endpoint is None or self.endpoint.startswith("https://")


def parse(url: str) -> S3Location:
    """Read the URL.

    Raises:
        SettingsError: one sentence with the remedy.
    """
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None:
        raise SettingsError(
            "an s3:// URL holds no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile="
        )
    bucket = parts.netloc
    if parts.scheme != "s3" or _BUCKET.fullmatch(bucket) is None:
        raise SettingsError(
            f"'{without_secrets(url)}' names no bucket; write it like s3://bucket/prefix?endpoint=https://s3.example.com"
        )
    prefix = unquote(parts.path).strip("/")
    prefix = prefix + "/" if prefix else ""
    if _PREFIX.fullmatch(prefix) is None or _DOTS.search(prefix) is not None or len(prefix) > 512:
        raise SettingsError(f"the prefix '{prefix}' of {bucket} must be letters, digits, '-', '_', '.' and '/'")
    given: dict[str, str] = {}
    for key, value in parse_qsl(parts.query, keep_blank_values=True):
        if key not in _KEYS:
            raise SettingsError(f"'{key}' is no parameter of an s3:// URL; they are {', '.join(_KEYS)}")
        if key in given or not value:
            raise SettingsError(f"the parameter '{key}' of {bucket} needs one value")
        given[key] = value
    _check(given)
    return S3Location(
        bucket=bucket,
        prefix=prefix,
        endpoint=_endpoint(given, "endpoint"),
        region=given.get("region", "us-east-1"),
        public_endpoint=_endpoint(given, "public_endpoint"),
        redirect=given.get("redirect", "on") == "on",
        sse=given.get("sse"),
        sse_kms_key=given.get("sse_kms_key"),
        addressing=given.get("addressing", "path" if "endpoint" in given else "virtual"),
        ca=given.get("ca"),
        profile=given.get("profile"),
        instance_credentials="credentials" in given,
    )


def _check(given: dict[str, str]) -> None:
    choices = {
        "redirect": ("on", "off"),
        "sse": ("AES256", "aws:kms", "store"),
        "addressing": ("path", "virtual"),
        "credentials": ("instance",),
    }
    for key, allowed in choices.items():
        if key in given and given[key] not in allowed:
            raise SettingsError(f"{key}={given[key]}: it is {' or '.join(allowed)}")
    if "sse_kms_key" in given and given.get("sse") != "aws:kms":
        raise SettingsError("sse_kms_key= needs sse=aws:kms")
    if "public_endpoint" in given and given.get("redirect") == "off":
        raise SettingsError("public_endpoint= does nothing with redirect=off; leave one out")
    if "ca" in given and not Path(given["ca"]).is_file():
        raise SettingsError(f"ca={given['ca']}: there is no such file; give a CA bundle (PEM)")


def _endpoint(given: dict[str, str], key: str) -> str | None:
    if key not in given:
        return None
    parts = urlsplit(given[key])
    if parts.username is not None:
        raise SettingsError(f"{key}= holds no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/") or parts.query:
        raise SettingsError(f"{key}={without_secrets(given[key])} must be http(s)://host[:port], without a path")
    return f"{parts.scheme}://{parts.netloc}"
