"""Presigned layer URLs: a right to read one blob until an instant, for whoever holds the URL.

    /layers/{object id}?X-Amz-Expires=..&key=..&signature=..

The signature covers the object and the instant and nothing else can be put in their place; the bytes are found by the
blob's object id, so that a URL neither names a repository nor survives the blob.
"""

import base64
import binascii
from collections.abc import Mapping

from openecr.keyring import Keyring

USE = "layer-url"


def presign(keyring: Keyring, object_id: str, expires_us: int) -> str:
    """The path and query of a URL that reads this object until then."""
    key_id, signature = keyring.sign(USE, _signed(object_id, expires_us))
    text = base64.urlsafe_b64encode(signature).rstrip(b"=").decode()
    return f"/layers/{object_id}?expires={expires_us}&key={key_id}&signature={text}"


def allows(keyring: Keyring, object_id: str, query: Mapping[str, str], now_us: int) -> bool:
    """Whether the query holds this deployment's unexpired signature for this object."""
    try:
        expires_us, key_id = int(query["expires"]), int(query["key"])
        signature = base64.b64decode(query["signature"] + "=", altchars=b"-_", validate=True)
    except (KeyError, ValueError, binascii.Error):
        return False
    return now_us < expires_us and keyring.verifies(USE, key_id, _signed(object_id, expires_us), signature)


def _signed(object_id: str, expires_us: int) -> bytes:
    return f"{object_id}\n{expires_us}".encode()
