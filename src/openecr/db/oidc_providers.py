"""OpenID Connect providers that accounts trust to vouch for callers."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from openecr.db.connection import Connection


@dataclass(frozen=True, slots=True)
class OidcProvider:
    """A provider of an account."""

    key: int
    url: str
    """The issuer without its scheme, as ARNs and condition keys spell it."""
    client_ids_json: str
    thumbprints_json: str
    given_keys: str | None
    """A JSON Web Key Set that an operator gave, where the issuer cannot be asked."""
    tags_json: str
    created_us: int

    @property
    def client_ids(self) -> list[str]:
        """The audiences that tokens may be for."""
        found: list[str] = json.loads(self.client_ids_json)
        return found

    @property
    def thumbprints(self) -> list[str]:
        """SHA-1 of the certificates that may vouch for the issuer's address."""
        found: list[str] = json.loads(self.thumbprints_json)
        return found

    @property
    def tags(self) -> dict[str, str]:
        """The provider's tags."""
        found: dict[str, str] = json.loads(self.tags_json)
        return found


_PROVIDER = (
    "SELECT o.id, o.url, o.client_ids, o.thumbprints, o.given_keys, o.tags, o.created_us FROM account a"
    " JOIN oidc_provider o ON o.account_key = a.id WHERE a.account_id = :account_id"
)
_FIND = f"{_PROVIDER} AND o.url = :url"


def find(db: Connection, account_id: str, url: str, *, lock: bool = False) -> OidcProvider | None:
    """The provider of an issuer; locked, it changes in no other transaction."""
    row = (
        db.locked_row("o", _FIND, account_id=account_id, url=url)
        if lock
        else db.row(_FIND, account_id=account_id, url=url)
    )
    return None if row is None else OidcProvider(*row)


def every(db: Connection, account_id: str) -> list[OidcProvider]:
    """An account's providers, by address. A quota bounds them."""
    return [OidcProvider(*row) for row in db.rows(f"{_PROVIDER} ORDER BY o.url", account_id=account_id)]


def insert(
    db: Connection,
    account_key: int,
    *,
    url: str,
    client_ids: Sequence[str],
    thumbprints: Sequence[str],
    tags: Mapping[str, str],
    now_us: int,
) -> bool:
    """Add a provider; False where the account has one of this address."""
    return bool(
        db.run(
            "INSERT INTO oidc_provider (account_key, url, client_ids, thumbprints, tags, created_us)"
            " VALUES (:account_key, :url, :client_ids, :thumbprints, :tags, :now_us) ON CONFLICT DO NOTHING",
            account_key=account_key,
            url=url,
            client_ids=json.dumps(list(client_ids)),
            thumbprints=json.dumps(list(thumbprints)),
            tags=json.dumps(dict(tags)),
            now_us=now_us,
        )
    )


def put_client_ids(db: Connection, key: int, client_ids: Sequence[str]) -> None:
    """Set the audiences that tokens may be for."""
    text = json.dumps(list(client_ids))
    db.run("UPDATE oidc_provider SET client_ids = :client_ids WHERE id = :key", client_ids=text, key=key)


def put_thumbprints(db: Connection, key: int, thumbprints: Sequence[str]) -> None:
    """Set the thumbprints."""
    text = json.dumps(list(thumbprints))
    db.run("UPDATE oidc_provider SET thumbprints = :thumbprints WHERE id = :key", thumbprints=text, key=key)


def put_tags(db: Connection, key: int, tags: Mapping[str, str]) -> None:
    """Set a provider's tags."""
    db.run("UPDATE oidc_provider SET tags = :tags WHERE id = :key", tags=json.dumps(dict(tags)), key=key)


def delete(db: Connection, account_key: int, url: str) -> bool:
    """Delete a provider; False where it is not there."""
    return bool(
        db.run(
            "DELETE FROM oidc_provider WHERE account_key = :account_key AND url = :url",
            account_key=account_key,
            url=url,
        )
    )
