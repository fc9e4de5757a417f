"""What every decision may use, and what it may ask for outside of its transaction."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Protocol

from openecr.access.authorization import Authorizer
from openecr.access.known_networks import KnownNetworks
from openecr.access.networks import Asked, Way
from openecr.asgi import Receive
from openecr.blobs.store import BlobStore
from openecr.db.connection import Database
from openecr.encryption import KeyService, LocalKeys, open_store
from openecr.errors import NotReachable, Unanswered
from openecr.events.auditing import NO_AUDIT, Auditing
from openecr.keyring import Keyring
from openecr.remote.issuer_keys import IssuerKeys
from openecr.settings import Settings
from openecr.waiting_room import WaitingRoom


@dataclass(frozen=True, slots=True)
class Deployment:
    """What every decision may use, composed once by ``app``."""

    settings: Settings
    database: Database
    blobs: BlobStore
    keyring: Keyring
    now_us: Callable[[], int]
    """The rules' clock, µs UTC: the host's, moved by ``--clock`` where the data directory has one."""
    wall_us: Callable[[], int]
    """The true clock, µs UTC, for what other machines check too: presigned URLs."""
    new_id: Callable[[], str]
    """A fresh opaque id (uuid4 text) for uploads and leases."""
    new_object_id: Callable[[str], str]
    """A fresh id for an object of a registry in this region; it says which store the object is in."""
    note_pull: Callable[[int, int], None]
    """(image key, now_us): remember that an image was pulled; flushed in batches, so a pull writes no row."""
    note_key_use: Callable[[str, str, str, int], None] = field(default=lambda _key_id, _service, _region, _now_us: None)
    """(access key id, service, region, now_us): remember that a key was used; flushed in batches, as pulls are."""
    networks: KnownNetworks = field(default_factory=KnownNetworks)
    """The declared VPCs, as this process knows them."""
    waiting_room: WaitingRoom = field(default_factory=lambda: WaitingRoom(0))
    """Where requests stay that get no answer."""
    authorizer: Authorizer = field(default_factory=Authorizer)
    """Who may do what, with what this process compiled before."""
    issuer_keys: IssuerKeys = field(default_factory=IssuerKeys)
    """The keys of identity providers, asked for on this process's account."""
    audit: Auditing = NO_AUDIT
    """Where what requests did is recorded."""

    @property
    def kms_keys(self) -> KeyService:
        """Whoever holds the KMS keys: openecr's own KMS."""
        return LocalKeys(self.database, self.keyring)

    async def way(self, asked: Asked, receive: Receive) -> Way:
        """By which way a request came; the first thing that a plane asks.

        Raises:
            NotReachable, Unanswered: by none, told at once or after the request was held.
            DatabaseAway
        """
        found = await self.networks.way(self.database, asked)
        if isinstance(found, Way):
            return found
        if self.settings.vpc_refusals == "explain":
            raise NotReachable(reason=found.reason)
        await self.waiting_room.hold(receive)
        raise Unanswered

    async def store_of(self, data_key: bytes | None) -> BlobStore:
        """The store to read and write one object with, by the wrapped data key of its row; to delete, use ``blobs``.

        Raises:
            KmsRefused: the object's KMS key is disabled, pending deletion, or not there.
        """
        return await open_store(self.blobs, self.keyring, self.kms_keys, data_key)


class Effect(Hashable, Protocol):
    """Something outside the transaction that a decision needs; equal effects are performed once a request."""

    async def perform(self, deployment: Deployment) -> Any:
        """Do it and return what the decision asked for."""
        ...


class Needs(Exception):
    """A decision stops here until the effect has been performed."""

    def __init__(self, effect: Effect) -> None:
        self.effect = effect
        super().__init__(effect)
