"""What a key is called by: its id, its ARN, an alias, an alias's ARN; and which key that is."""

import re
from collections.abc import Mapping
from typing import Any

from openecr.call import Call
from openecr.db import kms
from openecr.errors import KeyNotFound
from openecr.names import RegistryName, partition_of

ALIAS = re.compile(r"alias/[a-zA-Z0-9/_-]{1,250}")
AWS_ALIAS = "alias/aws/"
_ARN = re.compile(r"arn:(aws[a-z-]*):kms:([a-z0-9-]+):([0-9]{12}):((?:key|alias)/.+)")
_KEY_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def arn(owner: RegistryName, resource: str) -> str:
    """The ARN of ``key/...`` or ``alias/...`` in an account and region."""
    return f"arn:{partition_of(owner.region)}:kms:{owner.region}:{owner.account_id}:{resource}"


def key_id_of(key_arn: str) -> str:
    """The id in a key's ARN."""
    return key_arn.rpartition("/")[2]


def named_arn(owner: RegistryName, name: str) -> str:
    """The ARN of what a name says: an ARN as it is, a key id or alias of an account and region."""
    if name.startswith("arn:"):
        return name
    return arn(owner, name if name.startswith("alias/") else f"key/{name}")


def key_resource(registry: RegistryName, arguments: Mapping[str, Any]) -> list[str]:
    """The ARN of the key that the arguments name."""
    return [named_arn(registry, arguments.get("key_id") or arguments.get("target_key_id") or "*")]


def meant(call: Call, name: str) -> str:
    """The ARN that policies are asked about: the key's where an alias names one, since no policy speaks of keys by
    their aliases (KMS developer guide, "Using aliases to control access to KMS keys")."""
    full = named_arn(call.registry(), name)
    parts = _ARN.fullmatch(full)
    if parts is None or not parts[4].startswith("alias/"):
        return full
    found = kms.find_by_alias(call.db, RegistryName(parts[3], parts[2]), parts[4])
    return full if found is None else found.arn


def find(call: Call, name: str, *, aliases: bool) -> kms.Key:
    """The key of a name; one that is named directly by a call that writes is held, so that its state stays.

    Args:
        aliases: whether an alias or its ARN will do; most operations take a key id or a key's ARN only.
    Raises:
        KeyNotFound: in KMS's words for an id, an ARN, an alias, another region's ARN and what is none of them.
    """
    owner = call.registry()
    full = named_arn(owner, name)
    parts = _ARN.fullmatch(full)
    if parts is None:
        raise KeyNotFound(message=f"Invalid keyId '{name}'")
    if parts[2] != owner.region or parts[1] != partition_of(owner.region):
        raise KeyNotFound(message=f"Invalid arn {parts[2]}")
    resource = parts[4]
    if resource.startswith("alias/"):
        if not aliases or not ALIAS.fullmatch(resource):
            raise KeyNotFound(message=f"Invalid keyId '{name}'")
        found = kms.find_by_alias(call.db, RegistryName(parts[3], parts[2]), resource)
        if found is None:
            raise KeyNotFound(message=f"Alias {full} is not found.")
        return found
    if not _KEY_ID.fullmatch(resource.removeprefix("key/")):
        raise KeyNotFound(message=f"Invalid keyId '{name}'")
    found = kms.find(call.db, full, lock=call.writes and not aliases)
    if found is None:
        raise KeyNotFound(message=f"Key '{full}' does not exist")
    return found
