"""The secrets behind access keys, and the signing keys derived from them.

A signing key holds for one secret, day, region and service; clients send thousands of requests under one, so the
derived keys are kept. They are found by the sealed secret's bytes: a key that was rotated or sealed anew is another.
"""

from collections import OrderedDict
from dataclasses import dataclass

from openecr.access import sigv4
from openecr.db.connection import Connection
from openecr.keyring import Keyring

_MOST_KEPT = 4096

_FIND = """
    SELECT k.sealed_secret, a.account_id
    FROM access_key k JOIN principal p ON p.id = k.principal_key JOIN account a ON a.id = p.account_key
    WHERE k.access_key_id = :access_key_id AND k.active = 1
"""


@dataclass(frozen=True, slots=True)
class Signer:
    """An active access key: whose account it is, and its secret, sealed."""

    access_key_id: str
    account_id: str
    sealed_secret: bytes


def find_signer(db: Connection, access_key_id: str) -> Signer | None:
    """The active access key of this id."""
    found = db.row(_FIND, access_key_id=access_key_id)
    return None if found is None else Signer(access_key_id, found[1], bytes(found[0]))


class SigningKeys:
    """The signing keys that were derived lately, the least recently used forgotten first."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self._kept: OrderedDict[tuple[str, bytes, str], bytes] = OrderedDict()

    def key(self, signer: Signer, claim: sigv4.Claim) -> bytes:
        """The key that signs for this signer in the claim's scope."""
        name = (signer.access_key_id, signer.sealed_secret, claim.scope)
        kept = self._kept.get(name)
        if kept is None:
            secret = self._keyring.unseal(signer.sealed_secret, signer.access_key_id)
            kept = self._kept[name] = sigv4.signing_key(secret, claim)
            if len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(name)
        return kept
