"""OpenID Connect providers: who may vouch for callers that have no key, a cluster or a CI service."""

import re
from typing import Any

from openecr.call import Call
from openecr.db import oidc_providers
from openecr.db.oidc_providers import OidcProvider
from openecr.errors import EntityAlreadyExists, InvalidInput, LimitExceeded, NoSuchEntity
from openecr.services.iam import arns, documents, finding, quotas, tag_rules
from openecr.services.iam.declaring import iam_operation

_URL = re.compile(r"https://([A-Za-z0-9.-]+(?::[0-9]{1,5})?(?:/[!-~]*)?)")
_ARN = re.compile(r"arn:aws:iam::([0-9]{12}):oidc-provider/(.+)")
_THUMBPRINT = re.compile(r"[0-9A-Fa-f]{40}")


@iam_operation("CreateOpenIDConnectProvider", writes=True, located=arns.provider)
def create_open_id_connect_provider(
    call: Call,
    *,
    url: str,
    client_id_list: list[str] | None = None,
    thumbprint_list: list[str] | None = None,
    tags: list[dict[str, str]] | None = None,
) -> dict[str, Any]:
    """Let an issuer of identity tokens vouch for callers, for tokens that are made out to these clients."""
    issuer = _URL.fullmatch(url)
    if issuer is None or "?" in url or "#" in url:
        raise InvalidInput(message="Invalid Open ID Connect Provider URL")
    wanted, clients = tag_rules.parse(tags), list(dict.fromkeys(client_id_list or ()))
    _require_clients(clients)
    _require_thumbprints(thumbprint_list or [])
    arn = arns.arn(call.registry().account_id, f"oidc-provider/{issuer[1]}")
    if wanted:
        call.authorize("iam:TagOpenIDConnectProvider", arn)
    account_key = finding.hold_account(call)
    there = oidc_providers.every(call.db, call.registry().account_id)
    if issuer[1] in {provider.url for provider in there}:
        raise EntityAlreadyExists(message=f"Provider with url {url} already exists.")
    quotas.require_room(len(there), quotas.OIDC_PROVIDERS_PER_ACCOUNT, "OpenIdConnectProvidersPerAccount")
    oidc_providers.insert(
        call.db,
        account_key,
        url=issuer[1],
        client_ids=clients,
        thumbprints=thumbprint_list or [],
        tags=wanted,
        now_us=call.now_us,
    )
    made: dict[str, Any] = {"OpenIDConnectProviderArn": arn}
    return made | {"Tags": tag_rules.told(wanted)} if wanted else made


@iam_operation("GetOpenIDConnectProvider", writes=False, located=arns.named("open_id_connect_provider_arn"))
def get_open_id_connect_provider(call: Call, *, open_id_connect_provider_arn: str) -> dict[str, Any]:
    """A provider; its address is told without ``https://``, as IAM does."""
    provider = require(call, open_id_connect_provider_arn)
    return {
        "Url": provider.url,
        "ClientIDList": provider.client_ids,
        "ThumbprintList": provider.thumbprints,
        "CreateDate": documents.whole_seconds(provider.created_us),
        "Tags": tag_rules.told(provider.tags),
    }


@iam_operation("ListOpenIDConnectProviders", writes=False, located=arns.anything)
def list_open_id_connect_providers(call: Call) -> dict[str, Any]:
    """The account's providers, by address."""
    account_id = call.registry().account_id
    found = oidc_providers.every(call.db, account_id)
    listed = [{"Arn": arns.arn(account_id, f"oidc-provider/{provider.url}")} for provider in found]
    return {"OpenIDConnectProviderList": listed}


@iam_operation("DeleteOpenIDConnectProvider", writes=True, located=arns.named("open_id_connect_provider_arn"))
def delete_open_id_connect_provider(call: Call, *, open_id_connect_provider_arn: str) -> dict[str, Any]:
    """Trust a provider no more; one that is not there is no error, as on IAM."""
    url = _url_of(call, open_id_connect_provider_arn)
    oidc_providers.delete(call.db, finding.hold_account(call), url)
    return {}


@iam_operation("AddClientIDToOpenIDConnectProvider", writes=True, located=arns.named("open_id_connect_provider_arn"))
def add_client_id_to_open_id_connect_provider(
    call: Call, *, open_id_connect_provider_arn: str, client_id: str
) -> dict[str, Any]:
    """Take tokens that are made out to one client more; one that is there is no error."""
    provider = require(call, open_id_connect_provider_arn)
    clients = list(dict.fromkeys([*provider.client_ids, client_id]))
    _require_clients(clients)
    oidc_providers.put_client_ids(call.db, provider.key, clients)
    return {}


@iam_operation(
    "RemoveClientIDFromOpenIDConnectProvider", writes=True, located=arns.named("open_id_connect_provider_arn")
)
def remove_client_id_from_open_id_connect_provider(
    call: Call, *, open_id_connect_provider_arn: str, client_id: str
) -> dict[str, Any]:
    """Take no more tokens that are made out to a client; one that is not there is no error."""
    provider = require(call, open_id_connect_provider_arn)
    oidc_providers.put_client_ids(call.db, provider.key, [one for one in provider.client_ids if one != client_id])
    return {}


@iam_operation("UpdateOpenIDConnectProviderThumbprint", writes=True, located=arns.named("open_id_connect_provider_arn"))
def update_open_id_connect_provider_thumbprint(
    call: Call, *, open_id_connect_provider_arn: str, thumbprint_list: list[str]
) -> dict[str, Any]:
    """Set which certificates may vouch for the issuer's address."""
    provider = require(call, open_id_connect_provider_arn)
    _require_thumbprints(thumbprint_list)
    oidc_providers.put_thumbprints(call.db, provider.key, thumbprint_list)
    return {}


def require(call: Call, arn: str) -> OidcProvider:
    """The provider of an ARN; held where the call writes.

    Raises:
        InvalidInput, NoSuchEntity: it is no provider's ARN, or there is none in the caller's account.
    """
    found = oidc_providers.find(call.db, call.registry().account_id, _url_of(call, arn), lock=call.writes)
    if found is None:
        raise NoSuchEntity(message=f"OpenIDConnect Provider not found for arn {arn}")
    return found


def _url_of(call: Call, arn: str) -> str:
    parts = _ARN.fullmatch(arn)
    if parts is None:
        raise InvalidInput(message=f"Invalid ARN: {arn}")
    if parts[1] != call.registry().account_id:
        raise NoSuchEntity(message=f"OpenIDConnect Provider not found for arn {arn}")
    return parts[2]


def _require_clients(clients: list[str]) -> None:
    if len(clients) > quotas.CLIENT_IDS_PER_PROVIDER:
        raise LimitExceeded(
            message=f"Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: {quotas.CLIENT_IDS_PER_PROVIDER}"
        )


def _require_thumbprints(thumbprints: list[str]) -> None:
    if len(thumbprints) > quotas.THUMBPRINTS_PER_PROVIDER:
        raise InvalidInput(message="Thumbprint list must contain fewer than 5 entries.")
    for thumbprint in thumbprints:
        if _THUMBPRINT.fullmatch(thumbprint) is None:
            raise InvalidInput(message=f"Thumbprint {thumbprint} is not 40 hexadecimal digits.")
