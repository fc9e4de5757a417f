"""The keys of a deployment: a root key outside the database wraps versioned keys, one list per use.

A stolen database reveals no secret, because everything secret in it is sealed under a key that only the root key opens.
What is signed carries the id of its key, so that keys rotate with overlap: new signatures use the newest key of a use,
old ones stay good until their key is retired. A server that cannot open the keyring refuses to start.
"""

import hashlib
import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from openecr.db.connection import Connection

USES = ("registry-token", "layer-url", "page-token", "secrets")
ROOT_KEY_VARIABLE = "OPENECR_ROOT_KEY_HEX"
_NONCE_BYTES = 12


class KeyringUnusable(Exception):
    """The keyring cannot be opened; the text is one sentence with the remedy."""


@dataclass(frozen=True, slots=True)
class Keyring:
    """The opened keys, by use and id."""

    keys: Mapping[str, Mapping[int, bytes]]

    def sign(self, use: str, message: bytes) -> tuple[int, bytes]:
        """(key id, HMAC-SHA-256) of a message under the newest key of a use."""
        key_id = max(self.keys[use])
        return key_id, hmac.digest(self.keys[use][key_id], message, "sha256")

    def verifies(self, use: str, key_id: int, message: bytes, signature: bytes) -> bool:
        """Whether the signature is this deployment's for this use, compared in constant time."""
        key = self.keys[use].get(key_id)
        return key is not None and hmac.compare_digest(hmac.digest(key, message, "sha256"), signature)

    def seal(self, plain: bytes, context: str) -> bytes:
        """Encrypt a secret at rest; it opens only in the same context."""
        key_id = max(self.keys["secrets"])
        nonce = os.urandom(_NONCE_BYTES)
        sealed = AESGCM(self.keys["secrets"][key_id]).encrypt(nonce, plain, context.encode())
        return key_id.to_bytes(4, "big") + nonce + sealed

    def unseal(self, sealed: bytes, context: str) -> bytes:
        """The secret that ``seal`` closed in this context.

        Raises:
            KeyringUnusable: the bytes were changed, moved to another row, or sealed by another deployment.
        """
        key = self.keys["secrets"].get(int.from_bytes(sealed[:4], "big"))
        try:
            if key is None:
                raise InvalidTag
            nonce = sealed[4 : 4 + _NONCE_BYTES]
            return AESGCM(key).decrypt(nonce, sealed[4 + _NONCE_BYTES :], context.encode())
        except InvalidTag:
            raise KeyringUnusable("a sealed secret does not open with this deployment's keys") from None


def root_key_path(data_dir: Path) -> Path:
    """Where the root key lives when the environment does not carry it."""
    return data_dir / "root.key"


def load_root_key(data_dir: Path, environment: Mapping[str, str], *, create: bool) -> bytes:
    """The root key: from the environment (64 hex digits), else from its file, made at the first start.

    Raises:
        KeyringUnusable: there is none, it is malformed, or its file is open to others.
    """
    text = environment.get(ROOT_KEY_VARIABLE)
    path = root_key_path(data_dir)
    if text is None:
        if not path.exists():
            if not create:
                raise KeyringUnusable(f"there is no root key at {path}; restore it, or set {ROOT_KEY_VARIABLE}")
            _write_private(path, os.urandom(32).hex())
        if path.stat().st_mode & 0o077:
            raise KeyringUnusable(f"{path} is open to other users; run: chmod 600 {path}")
        text = path.read_text().strip()
    try:
        root = bytes.fromhex(text)
    except ValueError:
        root = b""
    if len(root) != 32:
        raise KeyringUnusable(f"the root key must be 64 hex digits; check {path} or {ROOT_KEY_VARIABLE}")
    return root


def create_missing_keys(db: Connection, root: bytes, now_us: int) -> None:
    """Make the first key of every use that has none; runs in the start's write transaction."""
    for use in USES:
        if db.row("SELECT 1 FROM deployment_key WHERE use = :use", use=use) is None:
            add_key(db, root, use, now_us)


def add_key(db: Connection, root: bytes, use: str, now_us: int) -> None:
    """Add a newer key of a use: from the next start of each server it signs, and the older ones still verify."""
    nonce = os.urandom(_NONCE_BYTES)
    wrapped = nonce + AESGCM(_wrapping_key(root)).encrypt(nonce, os.urandom(32), use.encode())
    db.run(
        "INSERT INTO deployment_key (use, wrapped, created_us) VALUES (:use, :wrapped, :now_us)",
        use=use,
        wrapped=wrapped,
        now_us=now_us,
    )


def open_keyring(db: Connection, root: bytes) -> Keyring:
    """Unwrap every key that is not retired.

    Raises:
        KeyringUnusable: the root key is not the one that wrapped them.
    """
    opened: dict[str, dict[int, bytes]] = {use: {} for use in USES}
    for key_id, use, wrapped in db.rows("SELECT id, use, wrapped FROM deployment_key WHERE retired_us IS NULL"):
        try:
            key = AESGCM(_wrapping_key(root)).decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], use.encode())
        except InvalidTag:
            raise KeyringUnusable(
                "the root key does not open this database's keys; give the root key that belongs to it"
            ) from None
        opened.setdefault(use, {})[key_id] = key
    return Keyring(opened)


def _wrapping_key(root: bytes) -> bytes:
    """The root key is never used directly: another use of it later cannot collide with this one."""
    return hmac.digest(root, b"openecr deployment keys", hashlib.sha256)


def _write_private(path: Path, text: str) -> None:
    """Write a file that only its owner reads, durably, or not at all."""
    part = path.with_name(path.name + ".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
