"""Which objects openecr encrypts, and how their data keys are wrapped: envelope encryption.

Each object has a data key of its own, made before its first byte and kept on its row, wrapped:

    AES256      under a versioned service key of the keyring
    KMS         by the service that holds the repository's KMS key
    KMS_DSSE    by that service, and then under the service key: two keys of two keepers, and both must open

What is wrapped says how, and under which key and version. ``KeyService`` is the seam: openecr's own KMS (``LocalKeys``)
is behind it, and an external one goes there too.
"""

import os
from dataclasses import dataclass
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from openecr.blobs.encrypted import CIPHER, KEY_BYTES, EncryptedStore
from openecr.blobs.store import BlobStore
from openecr.db import kms
from openecr.db.connection import Database
from openecr.errors import KmsRefused
from openecr.keyring import BLOB_DATA_KEY, Keyring
from openecr.settings import Settings

AES256, KMS, KMS_DSSE = "AES256", "KMS", "KMS_DSSE"
PLAIN = "none"
"""The cipher of an object that is stored as it is."""
_CONTEXT = "data key of a layer"
_BY_SERVICE, _BY_KMS, _BY_BOTH = b"\x01", b"\x02", b"\x03"
_NONCE_BYTES = 12


class KeyService(Protocol):
    """Whoever holds KMS keys: they never leave it, it wraps and unwraps under them while they are enabled."""

    async def wrap(self, key_arn: str, plain: bytes) -> bytes:
        """Encrypt a few bytes under a key.

        Raises:
            KmsRefused: the key is disabled, pending deletion, or not there.
        """
        ...

    async def unwrap(self, key_arn: str, wrapped: bytes) -> bytes:
        """What ``wrap`` encrypted under this key.

        Raises:
            KmsRefused: the key is disabled, pending deletion, or not there.
        """
        ...


@dataclass(frozen=True, slots=True)
class LocalKeys:
    """openecr's own KMS: a key's material is in the database, sealed under the keyring."""

    database: Database
    keyring: Keyring

    async def wrap(self, key_arn: str, plain: bytes) -> bytes:
        """Encrypt under the key's material."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + (await self._cipher(key_arn)).encrypt(nonce, plain, key_arn.encode())

    async def unwrap(self, key_arn: str, wrapped: bytes) -> bytes:
        """Decrypt with the key's material."""
        cipher = await self._cipher(key_arn)
        return cipher.decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], key_arn.encode())

    async def _cipher(self, key_arn: str) -> AESGCM:
        state, sealed = await self.database.read(lambda db: kms.material(db, key_arn)) or (None, None)
        require_usable(key_arn, state)
        assert sealed is not None  # noqa: S101 - a key that is enabled has its material
        return AESGCM(self.keyring.unseal(sealed, key_arn))


@dataclass(frozen=True, slots=True)
class DataKey:
    """An object's cipher, and its data key, wrapped; no key where the object is stored as it is."""

    cipher: str
    wrapped: bytes | None

    @classmethod
    def stored(cls, wrapped: bytes | None) -> "DataKey":
        """The data key of a row."""
        return cls(PLAIN if wrapped is None else CIPHER, wrapped)


NO_KEY = DataKey(PLAIN, None)


def encrypts(settings: Settings, store: BlobStore, encryption_type: str, object_id: str) -> bool:
    """Whether openecr encrypts an object of a repository itself, rather than the disk or the object store.

    Under a KMS key always: nobody else could honour that the key is disabled. AES256 may be handed on by the setting
    (``encryption: storage``), and is where the store encrypts what it holds, so that clients can be sent to it.
    """
    return encryption_type != AES256 or (settings.encryption == "on" and not store.encrypts(object_id))


def wrap_under_service_key(keyring: Keyring, plain: bytes | None = None) -> DataKey:
    """A data key, made where none is given, wrapped for AES256."""
    plain = os.urandom(KEY_BYTES) if plain is None else plain
    return DataKey(CIPHER, _BY_SERVICE + keyring.seal(plain, _CONTEXT, BLOB_DATA_KEY))


async def wrap_under_kms_key(keyring: Keyring, keys: KeyService, encryption_type: str, key_arn: str) -> DataKey:
    """A new data key, wrapped for KMS or KMS_DSSE.

    Raises:
        KmsRefused: the key may not be used.
    """
    named = len(key_arn.encode()).to_bytes(2, "big") + key_arn.encode()
    wrapped = named + await keys.wrap(key_arn, os.urandom(KEY_BYTES))
    if encryption_type == KMS_DSSE:
        return DataKey(CIPHER, _BY_BOTH + keyring.seal(wrapped, _CONTEXT, BLOB_DATA_KEY))
    return DataKey(CIPHER, _BY_KMS + wrapped)


async def open_store(store: BlobStore, keyring: Keyring, keys: KeyService, wrapped: bytes | None) -> BlobStore:
    """The store to read and write an object with, by its row's wrapped data key.

    Raises:
        KmsRefused: the data key is wrapped under a KMS key that may not be used.
        KeyringUnusable, InvalidTag: the row was changed, or is another deployment's.
    """
    return store if wrapped is None else EncryptedStore(store, await _unwrap(keyring, keys, wrapped))


async def _unwrap(keyring: Keyring, keys: KeyService, wrapped: bytes) -> bytes:
    kind, wrapped = wrapped[:1], wrapped[1:]
    if kind in (_BY_SERVICE, _BY_BOTH):
        wrapped = keyring.unseal(wrapped, _CONTEXT, BLOB_DATA_KEY)
    if kind == _BY_SERVICE:
        return wrapped
    if kind not in (_BY_KMS, _BY_BOTH):
        raise InvalidTag
    ends = 2 + int.from_bytes(wrapped[:2], "big")
    return await keys.unwrap(wrapped[2:ends].decode(), wrapped[ends:])


def key_arn_of(encryption_key: str) -> str | None:
    """The ARN of the KMS key in the text that blobs are deduplicated by; None where that is AES256."""
    return encryption_key.partition(":")[2] or None


def require_usable(key_arn: str, state: str | None) -> None:
    """Refuse a KMS key that may not be used now, in KMS's words.

    Raises:
        KmsRefused
    """
    if state == kms.ENABLED:
        return
    if state == kms.DISABLED:
        raise KmsRefused(kms_error="DisabledException", message=f"{key_arn} is disabled.")
    if state == kms.PENDING_DELETION:
        raise KmsRefused(kms_error="KMSInvalidStateException", message=f"{key_arn} is pending deletion.")
    raise KmsRefused(kms_error="NotFoundException", message=f"Key '{key_arn}' does not exist")
