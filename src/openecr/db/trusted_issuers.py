"""The OpenID Connect issuers that accounts trust to name who calls, as STS sees the providers that IAM registers."""

import json
from dataclasses import dataclass

from openecr.db.connection import Connection


@dataclass(frozen=True, slots=True)
class TrustedIssuer:
    """A registered provider, and how its tokens are checked."""

    key: int
    account_id: str
    url: str
    """The issuer without its scheme, as ARNs and condition keys spell it."""
    client_ids: tuple[str, ...]
    given_keys: str | None
    """A JSON Web Key Set that an operator gave; None where the issuer is asked."""

    @property
    def arn(self) -> str:
        """What trust policies call it."""
        return f"arn:aws:iam::{self.account_id}:oidc-provider/{self.url}"


def find(db: Connection, account_id: str, url: str) -> TrustedIssuer | None:
    """The account's provider of this issuer."""
    row = db.row(
        "SELECT o.id, a.account_id, o.url, o.client_ids, o.given_keys FROM account a"
        " JOIN oidc_provider o ON o.account_key = a.id WHERE a.account_id = :account_id AND o.url = :url",
        account_id=account_id,
        url=url,
    )
    if row is None:
        return None
    key, account, spelled, client_ids, given_keys = row
    return TrustedIssuer(key, account, spelled, tuple(json.loads(client_ids)), given_keys)


def give_keys(db: Connection, provider_key: int, given_keys: str | None) -> None:
    """Use these keys instead of asking the issuer, or ask the issuer again."""
    db.run(
        "UPDATE oidc_provider SET given_keys = :given_keys WHERE id = :provider_key",
        given_keys=given_keys,
        provider_key=provider_key,
    )
