"""Users: make, tell, list, rename, delete."""

from typing import Any

from openecr.access.credentials import USER_ID, fresh_version, unique_id
from openecr.call import Call
from openecr.db import access_keys, callers, groups, identities, identity_policies, identity_tags
from openecr.db.identities import USER, Identity
from openecr.errors import DeleteConflict, EntityAlreadyExists
from openecr.services.iam import arns, boundaries, documents, finding, pages, quotas, tag_rules
from openecr.services.iam.declaring import iam_operation


@iam_operation("CreateUser", writes=True, located=arns.new(USER))
def create_user(
    call: Call,
    *,
    user_name: str,
    path: str | None = None,
    permissions_boundary: str | None = None,
    tags: list[dict[str, str]] | None = None,
) -> dict[str, Any]:
    """Make a user without keys or rights."""
    wanted = tag_rules.parse(tags)
    account_key = finding.hold_account(call)
    if wanted:
        call.authorize("iam:TagUser", arns.arn(call.registry().account_id, f"user{path or '/'}{user_name}"))
    if permissions_boundary is not None:
        boundaries.require_policy(call, permissions_boundary)
    if identities.find(call.db, call.registry().account_id, USER, user_name) is not None:
        raise EntityAlreadyExists(message=f"User with name {user_name} already exists.")
    quotas.require_room(identities.count(call.db, account_key, USER), quotas.PER_ACCOUNT[USER], "UsersPerAccount")
    key = identities.insert(
        call.db,
        account_key,
        kind=USER,
        name=user_name,
        path=path or "/",
        unique_id=unique_id(USER_ID),
        boundary_arn=permissions_boundary,
        version=fresh_version(),
        now_us=call.now_us,
    )
    assert key is not None  # noqa: S101 - the account is held and the name was free
    identity_tags.put(call.db, key, wanted)
    return {"User": told(call, finding.require(call, USER, user_name))}


@iam_operation("GetUser", writes=False, located=arns.own_user)
def get_user(call: Call, *, user_name: str | None = None) -> dict[str, Any]:
    """A user with tags and boundary; the caller where none is named."""
    return {"User": told(call, finding.require(call, USER, arns.own_name(call, user_name)))}


@iam_operation("ListUsers", writes=False, located=arns.under(USER))
def list_users(
    call: Call, *, path_prefix: str | None = None, marker: str | None = None, max_items: int | None = None
) -> dict[str, Any]:
    """The account's users under a path, by name; without tags and boundaries, as on IAM."""
    account_id, prefix = call.registry().account_id, path_prefix or "/"
    return pages.page(
        call,
        "ListUsers",
        {"prefix": prefix},
        marker,
        max_items,
        member="Users",
        start=[""],
        load=lambda position, most: identities.list_after(
            call.db, account_id, USER, path_prefix=prefix, after=str(position[0]), most=most
        ),
        position_of=lambda user: [user.name.lower()],
        told=lambda user: listed(call, user),
    )


@iam_operation("UpdateUser", writes=True, located=arns.renamed(USER))
def update_user(
    call: Call, *, user_name: str, new_path: str | None = None, new_user_name: str | None = None
) -> dict[str, Any]:
    """Rename or move a user; its id, keys and rights stay."""
    user = finding.require(call, USER, user_name)
    rename(call, user, new_user_name, new_path)
    return {}


def rename(call: Call, identity: Identity, name: str | None, path: str | None) -> None:
    """Give an identity another name or path, unless the name is another's.

    Raises:
        EntityAlreadyExists: it is.
    """
    wanted = name or identity.name
    finding.hold_account(call)
    taken = identities.find(call.db, call.registry().account_id, identity.kind, wanted)
    if taken is not None and taken.key != identity.key:
        raise EntityAlreadyExists(message=f"{identity.kind.title()} with name {wanted} already exists.")
    identities.rename(call.db, identity.key, name=wanted, path=path or identity.path)
    finding.changed(call, identity)


@iam_operation("DeleteUser", writes=True, located=arns.the(USER))
def delete_user(call: Call, *, user_name: str) -> dict[str, Any]:
    """Delete a user that holds nothing any more; the sessions that it asked for end."""
    user = finding.require(call, USER, user_name)
    identities.hold(call.db, user.key)
    require_no_policies(call, user)
    if access_keys.of_user(call.db, user.key):
        raise DeleteConflict(message="Cannot delete entity, must delete access keys first.")
    if groups.of_user_after(call.db, user.key, 0, 1):
        raise DeleteConflict(message="Cannot delete entity, must remove users from group first.")
    identities.end_sessions(call.db, user.key)
    identities.delete(call.db, user.key, user.unique_id)
    callers.forget(call.db)
    return {}


def require_no_policies(call: Call, identity: Identity) -> None:
    """Refuse to delete an identity that has policies.

    Raises:
        DeleteConflict: it has.
    """
    if identity_policies.count_attached(call.db, identity.key):
        raise DeleteConflict(message="Cannot delete entity, must detach all policies first.")
    if identity_policies.inline_names_after(call.db, identity.key, "", 1):
        raise DeleteConflict(message="Cannot delete entity, must delete policies first.")


def listed(call: Call, user: Identity) -> dict[str, Any]:
    """A user as listings tell it."""
    return {
        "Path": user.path,
        "UserName": user.name,
        "UserId": user.unique_id,
        "Arn": arns.identity_arn(call.registry().account_id, user),
        "CreateDate": documents.whole_seconds(user.created_us),
    }


def told(call: Call, user: Identity) -> dict[str, Any]:
    """A user with all that is known of it."""
    answer = listed(call, user) | boundaries.told(user)
    tags = callers.tags_of(call.db, user.key)
    return answer | {"Tags": tag_rules.told(tags)} if tags else answer
