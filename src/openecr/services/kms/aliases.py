"""Aliases: names that an account gives to its keys."""

from typing import Any

from openecr.call import Call, no_resource, operation
from openecr.db import kms
from openecr.db.kms import AWS_MANAGED, PENDING_DELETION, Alias
from openecr.errors import AccessDenied, AliasExists, AliasNameInvalid, KeyStateInvalid
from openecr.services.kms import key_names, pages

_DEFAULT_ALIASES = 50


@operation("CreateAlias", writes=True, action="kms:CreateAlias", resources=key_names.key_resource)
def create_alias(call: Call, *, alias_name: str, target_key_id: str) -> dict[str, Any]:
    """Give a key of the account a name."""
    if not key_names.ALIAS.fullmatch(alias_name):
        raise AliasNameInvalid(message=f"Alias must start with the prefix 'alias/'. Got '{alias_name}'")
    if alias_name.startswith(key_names.AWS_ALIAS):
        raise AliasNameInvalid(message=f"The prefix '{key_names.AWS_ALIAS}' is reserved for AWS managed keys")
    owner = call.registry()
    arn = key_names.arn(owner, alias_name)
    call.authorize("kms:CreateAlias", arn)
    key = key_names.find(call, target_key_id, aliases=False)
    if key.manager == AWS_MANAGED:
        reason = "because no resource-based policy allows the kms:CreateAlias action"
        raise AccessDenied(principal=call.caller.arn, action="kms:CreateAlias", resource=key.arn, reason=reason)
    if key.state == PENDING_DELETION:
        raise KeyStateInvalid(message=f"{key.arn} is pending deletion.")
    if not kms.insert_alias(call.db, owner, alias_name, key.key, call.now_us):
        raise AliasExists(arn=arn)
    return {}


@operation("ListAliases", writes=False, action="kms:ListAliases", resources=no_resource)
def list_aliases(
    call: Call, *, key_id: str | None = None, limit: int | None = None, marker: str | None = None
) -> dict[str, Any]:
    """The aliases of the account in this region, or of one key, by name."""
    owner = call.registry()
    key = None
    if key_id is not None:
        call.authorize("kms:ListAliases", key_names.named_arn(owner, key_id))
        key = key_names.find(call, key_id, aliases=False)

    def load(position: list[str | int], most: int) -> list[Alias]:
        after = str(position[0])
        if key is not None:
            return kms.aliases_of(call.db, key.key, after, most)
        return kms.aliases_after(call.db, owner, after, most)

    listed = pages.page(
        call,
        "ListAliases",
        {"owner": str(owner), "key": key.arn if key else None},
        marker,
        limit or _DEFAULT_ALIASES,
        start=[""],
        load=load,
        position_of=lambda alias: [alias.name],
    )
    found = [
        {
            "AliasName": alias.name,
            "AliasArn": key_names.arn(owner, alias.name),
            "TargetKeyId": key_names.key_id_of(alias.key_arn),
            "CreationDate": alias.created_us // 1000 * 1000,
            "LastUpdatedDate": alias.created_us // 1000 * 1000,
        }
        for alias in listed.items
    ]
    return {"Aliases": found, "NextMarker": listed.next_token, "Truncated": listed.next_token is not None}
