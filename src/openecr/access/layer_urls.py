"""Presigned layer URLs: a right to read one blob until an instant, for whoever holds the URL.

    /layers/{object id}?digest=..&expires=..&region=..&key=..&signature=..

The signature covers the object, the digest it is served under, the instant and the registry's region, and nothing else
can be put in their place; the bytes are found by the blob's object id, so that a URL neither names a repository nor
survives the blob.
"""

import base64
import binascii
from collections.abc import Mapping

from openecr.keyring import Keyring
from openecr.names import Digest

USE = "layer-url"


def presign(keyring: Keyring, object_id: str, digest: Digest, expires_us: int, region: str) -> str:
    """The path and query of a URL that reads this object, as this digest, until then."""
    key_id, signature = keyring.sign(USE, _signed(object_id, str(digest), expires_us, region))
    told = f"digest={digest}&expires={expires_us}&region={region}&key={key_id}"
    return f"/layers/{object_id}?{told}&signature={_text(signature)}"


def allows(keyring: Keyring, object_id: str, query: Mapping[str, str], now_us: int) -> Digest | None:
    """The digest to serve the object under, where the query holds this deployment's unexpired signature for it."""
    try:
        expires_us, key_id = int(query["expires"]), int(query["key"])
        signature = base64.b64decode(query["signature"] + "=", altchars=b"-_", validate=True)
        canonical = _text(signature) == query["signature"]
        digest = Digest.parse(query["digest"])
    except (KeyError, ValueError, binascii.Error):
        return None
    if digest is None or not canonical or now_us >= expires_us:
        return None
    good = keyring.verifies(
        USE, key_id, _signed(object_id, str(digest), expires_us, query.get("region", "")), signature
    )
    return digest if good else None


def _signed(object_id: str, digest: str, expires_us: int, region: str) -> bytes:
    return f"{object_id}\n{digest}\n{expires_us}\n{region}".encode()


def _text(signature: bytes) -> str:
    """A signature's one spelling; base64 has several for bytes that do not fill its last character."""
    return base64.urlsafe_b64encode(signature).rstrip(b"=").decode()
