"""Groups: users that have policies in common."""

from typing import Any

from openecr.access.credentials import GROUP_ID, fresh_version, unique_id
from openecr.call import Call
from openecr.db import groups, identities
from openecr.db.identities import GROUP, USER, Identity
from openecr.errors import DeleteConflict, EntityAlreadyExists, NoSuchEntity
from openecr.services.iam import arns, documents, finding, pages, quotas, users
from openecr.services.iam.declaring import iam_operation


@iam_operation("CreateGroup", writes=True, located=arns.new(GROUP))
def create_group(call: Call, *, group_name: str, path: str | None = None) -> dict[str, Any]:
    """Make a group without users or policies."""
    account_key = finding.hold_account(call)
    taken = identities.find(call.db, call.registry().account_id, GROUP, group_name)
    if taken is not None:
        raise EntityAlreadyExists(message=f"Group with name {group_name} already exists.")
    quotas.require_room(identities.count(call.db, account_key, GROUP), quotas.PER_ACCOUNT[GROUP], "GroupsPerAccount")
    identities.insert(
        call.db,
        account_key,
        kind=GROUP,
        name=group_name,
        path=path or "/",
        unique_id=unique_id(GROUP_ID),
        version=fresh_version(),
        now_us=call.now_us,
    )
    return {"Group": _told(call, finding.require(call, GROUP, group_name))}


@iam_operation("GetGroup", writes=False, located=arns.the(GROUP))
def get_group(
    call: Call, *, group_name: str, marker: str | None = None, max_items: int | None = None
) -> dict[str, Any]:
    """A group and its users, in the order that the users were made."""
    group = finding.require(call, GROUP, group_name)
    listed = pages.page(
        call,
        "GetGroup",
        {"group": group.unique_id},
        marker,
        max_items,
        member="Users",
        start=[0],
        load=lambda position, most: groups.members_after(call.db, group.key, int(position[0]), most),
        position_of=lambda user: [user.key],
        told=lambda user: users.listed(call, user),
    )
    return {"Group": _told(call, group), **listed}


@iam_operation("ListGroups", writes=False, located=arns.under(GROUP))
def list_groups(
    call: Call, *, path_prefix: str | None = None, marker: str | None = None, max_items: int | None = None
) -> dict[str, Any]:
    """The account's groups under a path, by name."""
    account_id, prefix = call.registry().account_id, path_prefix or "/"
    return pages.page(
        call,
        "ListGroups",
        {"prefix": prefix},
        marker,
        max_items,
        member="Groups",
        start=[""],
        load=lambda position, most: identities.list_after(
            call.db, account_id, GROUP, path_prefix=prefix, after=str(position[0]), most=most
        ),
        position_of=lambda group: [group.name.lower()],
        told=lambda group: _told(call, group),
    )


@iam_operation("UpdateGroup", writes=True, located=arns.renamed(GROUP))
def update_group(
    call: Call, *, group_name: str, new_path: str | None = None, new_group_name: str | None = None
) -> dict[str, Any]:
    """Rename or move a group; its users and policies stay."""
    users.rename(call, finding.require(call, GROUP, group_name), new_group_name, new_path)
    return {}


@iam_operation("DeleteGroup", writes=True, located=arns.the(GROUP))
def delete_group(call: Call, *, group_name: str) -> dict[str, Any]:
    """Delete a group without users and policies."""
    group = finding.require(call, GROUP, group_name)
    identities.hold(call.db, group.key)
    if groups.members_after(call.db, group.key, 0, 1):
        raise DeleteConflict(message="Cannot delete entity, must remove users from group first.")
    users.require_no_policies(call, group)
    identities.delete(call.db, group.key, group.unique_id)
    return {}


@iam_operation("AddUserToGroup", writes=True, located=arns.the(GROUP))
def add_user_to_group(call: Call, *, group_name: str, user_name: str) -> dict[str, Any]:
    """Give a user a group's policies; one that is in the group stays so."""
    group = finding.require(call, GROUP, group_name)
    user = finding.require(call, USER, user_name)
    if groups.add(call.db, group.key, user.key):
        # Counted with the new one: the user is held, so that no other group is added meanwhile.
        in_groups = groups.of_user_after(call.db, user.key, 0, quotas.GROUPS_PER_USER + 1)
        quotas.require_room(len(in_groups) - 1, quotas.GROUPS_PER_USER, "GroupsPerUser")
        finding.changed(call, user)
    return {}


@iam_operation("RemoveUserFromGroup", writes=True, located=arns.the(GROUP))
def remove_user_from_group(call: Call, *, group_name: str, user_name: str) -> dict[str, Any]:
    """Take a group's policies from a user."""
    group = finding.require(call, GROUP, group_name)
    user = finding.require(call, USER, user_name)
    if not groups.remove(call.db, group.key, user.key):
        raise NoSuchEntity(message=f"The user with name {user_name} cannot be found in the group {group_name}.")
    finding.changed(call, user)
    return {}


@iam_operation("ListGroupsForUser", writes=False, located=arns.the(USER))
def list_groups_for_user(
    call: Call, *, user_name: str, marker: str | None = None, max_items: int | None = None
) -> dict[str, Any]:
    """The groups that a user is in, in the order that they were made."""
    user = finding.require(call, USER, user_name)
    return pages.page(
        call,
        "ListGroupsForUser",
        {"user": user.unique_id},
        marker,
        max_items,
        member="Groups",
        start=[0],
        load=lambda position, most: groups.of_user_after(call.db, user.key, int(position[0]), most),
        position_of=lambda group: [group.key],
        told=lambda group: _told(call, group),
    )


def _told(call: Call, group: Identity) -> dict[str, Any]:
    return {
        "Path": group.path,
        "GroupName": group.name,
        "GroupId": group.unique_id,
        "Arn": arns.identity_arn(call.registry().account_id, group),
        "CreateDate": documents.whole_seconds(group.created_us),
    }
