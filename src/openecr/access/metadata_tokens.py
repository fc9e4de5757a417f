"""Tokens of the instance metadata endpoint: what ``PUT /latest/api/token`` hands out (Amazon EC2 User Guide, "Use the
Instance Metadata Service to access instance metadata").

A token says only that its holder could send a PUT with a header, which a request that somebody was tricked into cannot.
It is signed, so that every server takes it, and good for the address that asked for it alone. Which role that address
has, if any, is decided at every request.
"""

import base64
import binascii

from openecr.keyring import Keyring

USE = "metadata-token"
LEAST_SECONDS, MOST_SECONDS = 1, 21_600
_LONGEST_TOKEN = 256


def issue(keyring: Keyring, source: str, expires_us: int) -> str:
    """A token for this address until then."""
    key_id, signature = keyring.sign(USE, _message(source, expires_us))
    return f"{key_id}.{expires_us}.{base64.urlsafe_b64encode(signature).decode()}"


def verifies(keyring: Keyring, token: str, source: str, now_us: int) -> bool:
    """Whether this deployment gave the token to this address, and its time is not over."""
    if len(token) > _LONGEST_TOKEN:
        return False
    try:
        key_id, expires, signature = token.split(".")
        # The parsed number is what is signed: no other spelling of it passes for the same token.
        expires_us = int(expires)
        good = keyring.verifies(USE, int(key_id), _message(source, expires_us), base64.urlsafe_b64decode(signature))
    except (ValueError, binascii.Error):
        return False
    return good and now_us < expires_us


def _message(source: str, expires_us: int) -> bytes:
    return f"{expires_us} {source}".encode()
