"""The ARNs of IAM's resources, and which of them an operation acts on (Service Authorization Reference, "Actions,
resources, and condition keys for AWS Identity and Access Management").

What is stored is named with its stored path; what is not there, with the name that was asked for, so that a denial says
nothing of what exists.
"""

from collections.abc import Mapping
from typing import Any

from openecr.call import Call, Located
from openecr.db import access_keys, identities, instance_profiles
from openecr.db.identities import GROUP, ROLE, USER
from openecr.errors import ValidationFailed

NAME_OF = {USER: "user_name", GROUP: "group_name", ROLE: "role_name"}
"""The argument that names an identity of a kind."""


def arn(account_id: str, resource: str) -> str:
    """The ARN of ``user/name``, ``role/path/name``, ``oidc-provider/...``."""
    return f"arn:aws:iam::{account_id}:{resource}"


def identity_arn(account_id: str, identity: identities.Identity) -> str:
    """A user's, group's or role's ARN."""
    return arn(account_id, f"{identity.kind}{identity.path}{identity.name}")


def own_name(call: Call, user_name: str | None) -> str:
    """The user that is named, else the one who calls.

    Raises:
        ValidationFailed: nobody is named, and the caller is no user.
    """
    if user_name is not None:
        return user_name
    if call.caller.known.kind != USER:
        raise ValidationFailed(message="Must specify userName when calling with non-User credentials")
    return call.caller.known.name


def stored(call: Call, kind: str, name: str) -> str:
    """The ARN of an identity by its name."""
    account_id = call.registry().account_id
    found = identities.find(call.db, account_id, kind, name)
    return arn(account_id, f"{kind}/{name}") if found is None else identity_arn(account_id, found)


def the(kind: str) -> Located:
    """The identity that the arguments name."""

    def located(call: Call, arguments: Mapping[str, Any]) -> list[str]:
        return [stored(call, kind, str(arguments[NAME_OF[kind]]))]

    return located


def new(kind: str, named: str | None = None) -> Located:
    """What is about to be made, at the path and under the name that it will have."""

    def located(call: Call, arguments: Mapping[str, Any]) -> list[str]:
        name = arguments[named or NAME_OF[kind]]
        return [arn(call.registry().account_id, f"{kind}{arguments.get('path') or '/'}{name}")]

    return located


def renamed(kind: str) -> Located:
    """The identity that the arguments name, and what it is to become: both must be allowed."""

    def located(call: Call, arguments: Mapping[str, Any]) -> list[str]:
        account_id, name = call.registry().account_id, str(arguments[NAME_OF[kind]])
        found = identities.find(call.db, account_id, kind, name)
        path = arguments.get("new_path") or ("/" if found is None else found.path)
        to_be = arguments.get(f"new_{NAME_OF[kind]}") or (name if found is None else found.name)
        current = stored(call, kind, name)
        becoming = arn(account_id, f"{kind}{path}{to_be}")
        return [current] if becoming == current else [current, becoming]

    return located


def under(kind: str) -> Located:
    """Everything of a kind under the path that the arguments ask for."""

    def located(call: Call, arguments: Mapping[str, Any]) -> list[str]:
        return [arn(call.registry().account_id, f"{kind}{arguments.get('path_prefix') or '/'}")]

    return located


def named(argument: str) -> Located:
    """What an argument names by its ARN."""

    def located(_call: Call, arguments: Mapping[str, Any]) -> list[str]:
        return [str(arguments[argument])]

    return located


def own_user(call: Call, arguments: Mapping[str, Any]) -> list[str]:
    """The user that the arguments name, else the caller."""
    return [stored(call, USER, own_name(call, arguments.get("user_name")))]


def key_owner(call: Call, arguments: Mapping[str, Any]) -> list[str]:
    """The user of the account that has an access key."""
    account_id = call.registry().account_id
    owner = access_keys.owner_of(call.db, account_id, str(arguments["access_key_id"]))
    return ["*"] if owner is None else [arn(account_id, f"user{owner[0]}{owner[1]}")]


def provider(call: Call, arguments: Mapping[str, Any]) -> list[str]:
    """The OIDC provider of the address that the arguments give."""
    url = str(arguments["url"]).removeprefix("https://")
    return [arn(call.registry().account_id, f"oidc-provider/{url}")]


def instance_profile(call: Call, arguments: Mapping[str, Any]) -> list[str]:
    """The instance profile that the arguments name."""
    account_id, name = call.registry().account_id, str(arguments["instance_profile_name"])
    found = instance_profiles.find(call.db, account_id, name)
    return [
        arn(account_id, f"instance-profile/{name}" if found is None else f"instance-profile{found.path}{found.name}")
    ]


def anything(_call: Call, _arguments: Mapping[str, Any]) -> list[str]:
    """For actions without a resource type."""
    return ["*"]
