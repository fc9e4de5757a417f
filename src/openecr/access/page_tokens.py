"""Page tokens: where a listing goes on, signed, so that no client can point it elsewhere.

A token holds for one operation, for the parameters it was issued for, and until an instant; it carries the position
of the last item and nothing of the items themselves. It is opaque, not secret: base64url of a JSON list and its
signature under the deployment's ``page-token`` keys, so that every server and every restart reads it.
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from openecr.errors import InvalidParameter
from openecr.keyring import Keyring

USE = "page-token"
_LONGEST_TOKEN = 8192
_SIGNATURE_BYTES = 32
_KEY_ID_BYTES = 4


def issue(
    keyring: Keyring, operation: str, filters: Mapping[str, object], position: list[str | int], expires_us: int
) -> str:
    """The token that continues this operation, with these parameters, after this position, until then."""
    body = orjson.dumps([expires_us, position])
    key_id, signature = keyring.sign(USE, _signed(operation, filters, body))
    return _encode(key_id.to_bytes(_KEY_ID_BYTES, "big") + signature + body)


def read(keyring: Keyring, operation: str, filters: Mapping[str, object], token: str, now_us: int) -> list[str | int]:
    """The position in a token that this deployment issued for this operation and these parameters.

    Raises:
        InvalidParameter: the token is altered, expired, another deployment's, or for something else (reference §3.2).
    """
    raw = _decode(token)
    signature_ends = _KEY_ID_BYTES + _SIGNATURE_BYTES
    key_id, signature = int.from_bytes(raw[:_KEY_ID_BYTES], "big"), raw[_KEY_ID_BYTES:signature_ends]
    body = raw[signature_ends:]
    if not keyring.verifies(USE, key_id, _signed(operation, filters, body), signature):
        raise _refusal()
    expires_us, position = orjson.loads(body)
    if now_us >= expires_us:
        raise _refusal()
    return list(position)


def _signed(operation: str, filters: Mapping[str, object], body: bytes) -> bytes:
    """What a signature covers: the hash of the parameters stands for them, so that tokens stay short."""
    bound: list[Any] = [operation, dict(filters)]
    return hashlib.sha256(orjson.dumps(bound, option=orjson.OPT_SORT_KEYS)).digest() + body


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(token: str) -> bytes:
    if len(token) > _LONGEST_TOKEN:
        raise _refusal()
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise _refusal() from None
    if _encode(raw) != token:
        raise _refusal()  # spare bits of base64 spell one token in several ways; only one is ours
    return raw


def _refusal() -> InvalidParameter:
    return InvalidParameter(parameter="nextToken", constraint="Invalid token")
