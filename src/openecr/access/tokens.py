"""Registry tokens: what ``GetAuthorizationToken`` hands out and the dkr plane takes as a password.

A password is base64url JSON in the shape that ECR's has (``payload``, ``datakey``, ``version``, ``type``,
``expiration``), without padding and without a colon, because the AWS CLI splits at every colon. The payload names the
access key that asked for it, and the region that it was asked for in, and is signed; whether that key may still be used
is decided at every request.
"""

import base64
import binascii
from dataclasses import dataclass

import orjson

from openecr.errors import TokenExpired, TokenInvalid
from openecr.keyring import Keyring

USE = "registry-token"
_LONGEST_TOKEN = 8192


class NotCredentials(Exception):
    """The Authorization header holds nothing that could be a token: the client is challenged again."""


@dataclass(frozen=True, slots=True)
class RegistryToken:
    """What a token says: which access key asked for it, and until when it is good (µs UTC)."""

    access_key_id: str
    expires_us: int
    region: str = ""
    """Where it was asked for: no other region's host name takes it. Empty in those of releases that did not say."""


def issue(keyring: Keyring, access_key_id: str, expires_us: int, region: str = "") -> str:
    """The password for ``AWS`` that names this access key until then."""
    claims = _encode(orjson.dumps({"key": access_key_id, "expires_us": expires_us, "region": region}))
    key_id, signature = keyring.sign(USE, claims.encode())
    document = {
        "payload": f"{key_id}.{claims}.{_encode(signature)}",
        "datakey": "",
        "version": "2",
        "type": "DATA_KEY",
        "expiration": expires_us // 1_000_000,
    }
    return _encode(orjson.dumps(document))


def authorization_token(password: str) -> str:
    """The API's form of a password: what goes after ``Basic`` in the Authorization header."""
    return base64.b64encode(f"AWS:{password}".encode()).decode()


def read_basic(keyring: Keyring, header: str) -> RegistryToken:
    """The verified token of a Basic Authorization header; its expiry is the caller's to check.

    Raises:
        NotCredentials: the header is not Basic, or its user is not AWS.
        TokenInvalid: the token was not made by this deployment.
    """
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic" or len(encoded) > _LONGEST_TOKEN:
        raise NotCredentials
    try:
        user, separator, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except ValueError:  # no base64, no text, or characters that base64 does not have
        raise NotCredentials from None
    if user != "AWS" or not separator or not password:
        raise NotCredentials
    return _verify(keyring, password)


def require_unexpired(token: RegistryToken, now_us: int) -> None:
    """Refuse a token past its end."""
    if now_us >= token.expires_us:
        raise TokenExpired


def require_region(token: RegistryToken, region: str) -> None:
    """Refuse a token that was asked for in another region than the host name is of. To a region's ECR such a token has
    expired: so its clients are told."""
    if token.region not in ("", region):
        raise TokenExpired


def _verify(keyring: Keyring, password: str) -> RegistryToken:
    try:
        payload = orjson.loads(_decode(password))["payload"]
        key_id, claims, signature = payload.split(".")
        good = keyring.verifies(USE, int(key_id), claims.encode(), _decode(signature))
        said = orjson.loads(_decode(claims)) if good else {}
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error):
        raise TokenInvalid from None
    if not good:
        raise TokenInvalid
    return RegistryToken(said["key"], said["expires_us"], said.get("region", ""))


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
