"""The secrets behind access keys, and the signing keys derived from them.

A signing key holds for one secret, day, region and service; clients send thousands of requests under one, so the
derived keys are kept. They are found by the sealed secret's bytes: a key that was rotated or sealed anew is another.
"""

from collections import OrderedDict

from openecr.access import sigv4
from openecr.db.callers import SigningSecret
from openecr.keyring import Keyring

_MOST_KEPT = 4096


class SigningKeys:
    """The signing keys that were derived lately, the least recently used forgotten first."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self._kept: OrderedDict[tuple[str, bytes, str], bytes] = OrderedDict()

    def key(self, signer: SigningSecret, claim: sigv4.Claim) -> bytes:
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
