"""The keys of a deployment: a root key outside the database wraps versioned keys, one list per use.

A stolen database reveals no secret, because everything secret in it is sealed under a key that only the root key opens.
What is signed or wrapped carries the id of its key, so that keys rotate with overlap: the newest key of a use signs,
older ones stay good until they are retired. A server that cannot open the keyring refuses to start.

A running server reads the table again every few seconds (``renew``), and a new key signs only once every server has had
the time to read it: nobody meets a signature of a key that is unknown. The root key rotates while servers run: what
they opened stays open, and where the root key lies there may be two, the newer first, of which one opens the table.
"""

import hashlib
import hmac
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from openecr.blobs.filesystem import sync_folder
from openecr.db import deployment
from openecr.db.connection import Connection

BLOB_DATA_KEY = "blob-data-key"
"""Wraps the data keys of layers: what ECR calls AES256."""
USES = ("registry-token", "layer-url", "page-token", "metadata-token", "secrets", BLOB_DATA_KEY)
ROOT_KEY_VARIABLE = "OPENECR_ROOT_KEY_HEX"
RENEW_SECONDS = 5.0
"""How often a running server reads the table of keys again."""
SIGNS_AFTER_US = 15_000_000
"""How old a key is before it signs or wraps, unless it is its use's only one."""
_NONCE_BYTES = 12


class KeyringUnusable(Exception):
    """The keyring cannot be opened; the text is one sentence with the remedy."""


@dataclass(slots=True)
class Keyring:
    """The opened keys, by use and id."""

    keys: Mapping[str, Mapping[int, bytes]]
    newest: Mapping[str, int] = field(default_factory=dict)
    """The key of each use that signs, wraps and seals now; the one with the highest id where it is not said."""

    def current(self, use: str) -> tuple[int, bytes]:
        """(key id, key) that signs, wraps and seals for a use now."""
        keys = self.keys[use]
        key_id = self.newest.get(use) or max(keys)
        return key_id, keys[key_id]

    def sign(self, use: str, message: bytes) -> tuple[int, bytes]:
        """(key id, HMAC-SHA-256) of a message under the current key of a use."""
        key_id, key = self.current(use)
        return key_id, hmac.digest(key, message, "sha256")

    def verifies(self, use: str, key_id: int, message: bytes, signature: bytes) -> bool:
        """Whether the signature is this deployment's for this use, compared in constant time."""
        key = self.keys[use].get(key_id)
        return key is not None and hmac.compare_digest(hmac.digest(key, message, "sha256"), signature)

    def seal(self, plain: bytes, context: str, use: str = "secrets") -> bytes:
        """Encrypt a secret at rest; it opens only in the same context and use."""
        key_id, key = self.current(use)
        nonce = os.urandom(_NONCE_BYTES)
        return key_id.to_bytes(4, "big") + nonce + AESGCM(key).encrypt(nonce, plain, context.encode())

    def unseal(self, sealed: bytes, context: str, use: str = "secrets") -> bytes:
        """The secret that ``seal`` closed in this context.

        Raises:
            KeyringUnusable: the bytes were changed, moved to another row, or sealed by another deployment.
        """
        key = self.keys[use].get(int.from_bytes(sealed[:4], "big"))
        try:
            if key is None:
                raise InvalidTag
            nonce = sealed[4 : 4 + _NONCE_BYTES]
            return AESGCM(key).decrypt(nonce, sealed[4 + _NONCE_BYTES :], context.encode())
        except (InvalidTag, ValueError):
            raise KeyringUnusable("a sealed secret does not open with this deployment's keys") from None


def root_key_path(data_dir: Path) -> Path:
    """Where the root key lives when the environment does not carry it."""
    return data_dir / "root.key"


def load_root_keys(data_dir: Path, environment: Mapping[str, str], *, create: bool) -> tuple[bytes, ...]:
    """The root key: from the environment, else from its file, made at the first start.

    While it rotates there are two, the newer first: on two lines of the file, or separated by a comma in the variable.

    Raises:
        KeyringUnusable: there is none, one is malformed, or the file is open to others.
    """
    text = environment.get(ROOT_KEY_VARIABLE)
    path = root_key_path(data_dir)
    if text is not None:
        texts = text.split(",")
    else:
        if not path.exists():
            if not create:
                raise KeyringUnusable(f"there is no root key at {path}; restore it, or set {ROOT_KEY_VARIABLE}")
            write_root_keys(data_dir, [os.urandom(32)])
        if path.stat().st_mode & 0o077:
            raise KeyringUnusable(f"{path} is open to other users; run: chmod 600 {path}")
        texts = path.read_text().split()
    try:
        roots = tuple(bytes.fromhex(each.strip()) for each in texts)
    except ValueError:
        roots = ()
    if not roots or any(len(root) != 32 for root in roots):
        raise KeyringUnusable(f"the root key must be 64 hex digits; check {path} or {ROOT_KEY_VARIABLE}")
    return roots


def write_root_keys(data_dir: Path, roots: Sequence[bytes]) -> None:
    """Put the root key, or a newer and an older one, into the file of its owner alone: durably, or not at all."""
    _write_private(root_key_path(data_dir), "\n".join(root.hex() for root in roots))


def create_missing_keys(db: Connection, root: bytes, now_us: int) -> None:
    """Make the first key of every use that has none; runs in the start's write transaction."""
    for use in USES:
        if db.row("SELECT 1 FROM deployment_key WHERE use = :use", use=use) is None:
            add_key(db, root, use, now_us)


def add_wrapped(db: Connection, roots: Sequence[bytes], use: str, now_us: int) -> int:
    """Add a newer key of a use, wrapped as the others are.

    Locks the deployment: a rotation of the root key that runs at the same time would pass it over.

    Raises:
        KeyringUnusable: none of the root keys opens the others, as where one was rotated just before.
    """
    deployment.lock(db)
    return add_key(db, opening_root(db, *roots), use, now_us)


def add_key(db: Connection, root: bytes, use: str, now_us: int) -> int:
    """Add a newer key of a use, which signs once every running server has read it; the older ones still verify."""
    found = db.row(
        "INSERT INTO deployment_key (use, wrapped, created_us) VALUES (:use, :wrapped, :now_us) RETURNING id",
        use=use,
        wrapped=_wrap(root, use, os.urandom(32)),
        now_us=now_us,
    )
    assert found is not None  # noqa: S101 - RETURNING answers with the row
    return int(found[0])


def opening_root(db: Connection, *roots: bytes) -> bytes:
    """Which of the root keys opens this database's keys; the first where there are no keys yet.

    Raises:
        KeyringUnusable: none does.
    """
    found = db.row("SELECT use, wrapped FROM deployment_key ORDER BY id LIMIT 1")
    return roots[0] if found is None else _unwrap(roots, found[0], found[1])[0]


def open_keyring(db: Connection, *roots: bytes) -> Keyring:
    """Unwrap every key that is not retired.

    Raises:
        KeyringUnusable: none of the root keys is the one that wrapped them.
    """
    opened = Keyring({})
    renew(opened, db, lambda: roots)
    return opened


def renew(keyring: Keyring, db: Connection, load_roots: Callable[[], Sequence[bytes]]) -> None:
    """Bring an opened keyring up to the table: new keys are opened, retired ones forgotten.

    Keys that are open stay open whatever wraps them now; the root keys are asked for only where there are new ones.

    Raises:
        KeyringUnusable: there are new keys, and none of the root keys wrapped them; the keyring is as it was.
    """
    opened: dict[str, dict[int, bytes]] = {use: {} for use in USES}
    newest: dict[str, int] = {}
    signs_since_us = db.clock_us() - SIGNS_AFTER_US
    rows = db.rows("SELECT id, use, wrapped, created_us FROM deployment_key WHERE retired_us IS NULL ORDER BY id")
    for key_id, use, wrapped, created_us in rows:
        known = keyring.keys.get(use, {}).get(key_id)
        opened.setdefault(use, {})[key_id] = known or _unwrap(load_roots(), use, wrapped)[1]
        if use not in newest or created_us <= signs_since_us:
            newest[use] = key_id
    keyring.keys, keyring.newest = opened, newest


def rewrap(db: Connection, roots: Sequence[bytes], new_root: bytes) -> int:
    """Wrap every key, retired ones too, under a new root key; how many. Runs in one write transaction, and locks the
    deployment: a key that was added meanwhile would open with neither root key.

    Raises:
        KeyringUnusable: a key opens with none of the root keys.
    """
    deployment.lock(db)
    rows = db.rows("SELECT id, use, wrapped FROM deployment_key ORDER BY id")
    for key_id, use, old in rows:
        wrapped = _wrap(new_root, use, _unwrap(roots, use, old)[1])
        db.run("UPDATE deployment_key SET wrapped = :wrapped WHERE id = :id", wrapped=wrapped, id=key_id)
    return len(rows)


def _wrap(root: bytes, use: str, key: bytes) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(_wrapping_key(root)).encrypt(nonce, key, use.encode())


def _unwrap(roots: Sequence[bytes], use: str, wrapped: bytes) -> tuple[bytes, bytes]:
    """(the root key that opens it, the key)."""
    for root in roots:
        try:
            key = AESGCM(_wrapping_key(root)).decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], use.encode())
        except InvalidTag:
            continue
        return root, key
    raise KeyringUnusable("the root key does not open this database's keys; give the one that its other servers have")


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
    sync_folder(path.parent)
