"""Roles: make, tell, list, change, delete; who may assume them."""

from collections.abc import Mapping
from typing import Any

from openecr.access.credentials import ROLE_ID, fresh_version, unique_id
from openecr.call import Call
from openecr.db import access_keys, callers, identities, identity_tags, instance_profiles
from openecr.db.identities import ROLE, Identity
from openecr.errors import DeleteConflict, EntityAlreadyExists, InvalidInput
from openecr.services.iam import arns, boundaries, documents, finding, pages, quotas, tag_rules, users
from openecr.services.iam.declaring import iam_operation

_DEFAULT_SESSION_SECONDS = 3600


@iam_operation("CreateRole", writes=True, located=arns.new(ROLE))
def create_role(
    call: Call,
    *,
    role_name: str,
    assume_role_policy_document: str,
    path: str | None = None,
    description: str | None = None,
    max_session_duration: int | None = None,
    permissions_boundary: str | None = None,
    tags: list[dict[str, str]] | None = None,
) -> dict[str, Any]:
    """Make a role that those may assume whom its trust policy names."""
    wanted = tag_rules.parse(tags)
    if (path or "/").startswith(finding.SERVICE_ROLE_PATH):
        raise InvalidInput(message=f"The path {path} is reserved for service-linked roles.")
    if wanted:
        call.authorize("iam:TagRole", arns.arn(call.registry().account_id, f"role{path or '/'}{role_name}"))
    if permissions_boundary is not None:
        boundaries.require_policy(call, permissions_boundary)
    made = make(
        call,
        name=role_name,
        path=path or "/",
        trust_policy=_trust(call, assume_role_policy_document),
        description=description or "",
        session_seconds=max_session_duration or _DEFAULT_SESSION_SECONDS,
        boundary_arn=permissions_boundary,
        tags=wanted,
    )
    return {"Role": told(call, made)}


def make(
    call: Call,
    *,
    name: str,
    path: str,
    trust_policy: str,
    description: str,
    session_seconds: int = _DEFAULT_SESSION_SECONDS,
    boundary_arn: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> Identity:
    """Store a new role.

    Raises:
        EntityAlreadyExists, LimitExceeded: the name is taken, or the account has as many roles as it may.
    """
    account_key = finding.hold_account(call)
    if identities.find(call.db, call.registry().account_id, ROLE, name) is not None:
        raise EntityAlreadyExists(message=f"Role with name {name} already exists.")
    quotas.require_room(identities.count(call.db, account_key, ROLE), quotas.PER_ACCOUNT[ROLE], "RolesPerAccount")
    key = identities.insert(
        call.db,
        account_key,
        kind=ROLE,
        name=name,
        path=path,
        unique_id=unique_id(ROLE_ID),
        description=description,
        boundary_arn=boundary_arn,
        trust_policy=trust_policy,
        session_seconds=session_seconds,
        version=fresh_version(),
        now_us=call.now_us,
    )
    assert key is not None  # noqa: S101 - the account is held and the name was free
    identity_tags.put(call.db, key, tags or {})
    return finding.require(call, ROLE, name)


@iam_operation("GetRole", writes=False, located=arns.the(ROLE))
def get_role(call: Call, *, role_name: str) -> dict[str, Any]:
    """A role with its trust policy, tags, boundary, and when it was last used."""
    return {"Role": told(call, finding.require(call, ROLE, role_name))}


@iam_operation("ListRoles", writes=False, located=arns.under(ROLE))
def list_roles(
    call: Call, *, path_prefix: str | None = None, marker: str | None = None, max_items: int | None = None
) -> dict[str, Any]:
    """The account's roles under a path, by name; without tags and boundaries, as on IAM."""
    account_id, prefix = call.registry().account_id, path_prefix or "/"
    return pages.page(
        call,
        "ListRoles",
        {"prefix": prefix},
        marker,
        max_items,
        member="Roles",
        start=[""],
        load=lambda position, most: identities.list_after(
            call.db, account_id, ROLE, path_prefix=prefix, after=str(position[0]), most=most
        ),
        position_of=lambda role: [role.name.lower()],
        told=lambda role: listed(call, role),
    )


@iam_operation("UpdateRole", writes=True, located=arns.the(ROLE))
def update_role(
    call: Call, *, role_name: str, description: str | None = None, max_session_duration: int | None = None
) -> dict[str, Any]:
    """Set a role's description, and how long its sessions may last: an hour where that is left out, as on IAM."""
    role = finding.require_modifiable(call, ROLE, role_name)
    identities.describe(
        call.db,
        role.key,
        description=role.description if description is None else description,
        session_seconds=max_session_duration or _DEFAULT_SESSION_SECONDS,
    )
    return {}


@iam_operation("UpdateRoleDescription", writes=True, located=arns.the(ROLE))
def update_role_description(call: Call, *, role_name: str, description: str) -> dict[str, Any]:
    """Set a role's description."""
    role = finding.require_modifiable(call, ROLE, role_name)
    identities.describe(call.db, role.key, description=description, session_seconds=role.session_seconds)
    return {"Role": told(call, finding.require(call, ROLE, role_name))}


@iam_operation("UpdateAssumeRolePolicy", writes=True, located=arns.the(ROLE))
def update_assume_role_policy(call: Call, *, role_name: str, policy_document: str) -> dict[str, Any]:
    """Say anew who may assume a role; sessions that are open go on."""
    role = finding.require_modifiable(call, ROLE, role_name)
    identities.set_trust(call.db, role.key, _trust(call, policy_document))
    finding.changed(call, role)
    return {}


@iam_operation("DeleteRole", writes=True, located=arns.the(ROLE))
def delete_role(call: Call, *, role_name: str) -> dict[str, Any]:
    """Delete a role that holds nothing any more; its sessions end."""
    delete(call, finding.require_modifiable(call, ROLE, role_name))
    return {}


def delete(call: Call, role: Identity) -> None:
    """Delete a role, its tags and its sessions.

    Raises:
        DeleteConflict: it has policies, or is in an instance profile.
    """
    identities.hold(call.db, role.key)
    if instance_profiles.of_role_after(call.db, role.key, 0, 1):
        raise DeleteConflict(message="Cannot delete entity, must remove roles from instance profile first.")
    users.require_no_policies(call, role)
    identities.end_sessions(call.db, role.key)
    identities.delete(call.db, role.key, role.unique_id)
    callers.forget(call.db)


def _trust(call: Call, document: str) -> str:
    """A trust policy as it is stored."""
    stored = documents.resolved_trust_policy(call.db, document)
    quotas.require_room(documents.characters(document) - 1, quotas.TRUST_CHARACTERS, "ACLSizePerRole")
    return stored


def listed(call: Call, role: Identity) -> dict[str, Any]:
    """A role as listings tell it."""
    answer = {
        "Path": role.path,
        "RoleName": role.name,
        "RoleId": role.unique_id,
        "Arn": arns.identity_arn(call.registry().account_id, role),
        "CreateDate": documents.whole_seconds(role.created_us),
        "AssumeRolePolicyDocument": documents.told_trust_policy(call.db, role.trust_policy or "{}"),
        "MaxSessionDuration": role.session_seconds,
    }
    return answer | {"Description": role.description} if role.description else answer


def told(call: Call, role: Identity) -> dict[str, Any]:
    """A role with all that is known of it."""
    answer = listed(call, role) | boundaries.told(role)
    use = access_keys.last_use(call.db, role.unique_id)
    answer["RoleLastUsed"] = (
        {} if use is None else {"LastUsedDate": documents.whole_seconds(use.used_us), "Region": use.region}
    )
    tags = callers.tags_of(call.db, role.key)
    return answer | {"Tags": tag_rules.told(tags)} if tags else answer
