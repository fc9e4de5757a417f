"""Service-linked roles of ECR: made for it, changed by nobody (ECR user guide, "Using service-linked roles")."""

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from openecr.access import aws_managed
from openecr.call import Call
from openecr.db import identities, identity_policies
from openecr.db.identities import ROLE
from openecr.errors import EntityAlreadyExists, InvalidInput, NoSuchEntity
from openecr.services.iam import arns, finding, roles
from openecr.services.iam.declaring import iam_operation

_TASK = re.compile(r"task(/aws-service-role/[a-z.]+/)([\w+=,.@-]+)/[0-9a-f-]{36}")


@dataclass(frozen=True, slots=True)
class _Linked:
    """What a service's role is called, and what it may do."""

    name: str
    policy: str


_LINKED = {
    "replication.ecr.amazonaws.com": _Linked("AWSServiceRoleForECRReplication", "ECRReplicationServiceRolePolicy"),
    "pullthroughcache.ecr.amazonaws.com": _Linked(
        "AWSServiceRoleForECRPullThroughCache", "AWSECRPullThroughCache_ServiceRolePolicy"
    ),
    "ecr.amazonaws.com": _Linked("AWSServiceRoleForECRTemplate", "ECRTemplateServiceRolePolicy"),
}


def _located(call: Call, arguments: Mapping[str, Any]) -> list[str]:
    service = str(arguments["aws_service_name"])
    name = _LINKED[service].name if service in _LINKED else "*"
    return [arns.arn(call.registry().account_id, f"role{finding.SERVICE_ROLE_PATH}{service}/{name}")]


@iam_operation("CreateServiceLinkedRole", writes=True, located=_located)
def create_service_linked_role(
    call: Call, *, aws_service_name: str, description: str | None = None, custom_suffix: str | None = None
) -> dict[str, Any]:
    """Make the role that one of ECR's services works with."""
    linked = _LINKED.get(aws_service_name)
    if linked is None:
        raise InvalidInput(message=f"openecr has no service {aws_service_name} that a role could be linked to")
    if custom_suffix is not None:
        raise InvalidInput(message=f"Custom suffix is not allowed for {aws_service_name}")
    statement = {"Effect": "Allow", "Principal": {"Service": aws_service_name}, "Action": "sts:AssumeRole"}
    try:
        made = roles.make(
            call,
            name=linked.name,
            path=f"{finding.SERVICE_ROLE_PATH}{aws_service_name}/",
            trust_policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
            description=description or "",
        )
    except EntityAlreadyExists:
        said = f"Service role name {linked.name} has been taken in this account, please try a different suffix."
        raise InvalidInput(message=said) from None
    policy_arn = f"{aws_managed.PREFIX}{aws_managed.SERVICE_ROLE_FOLDER}{linked.policy}"
    identities.attach_policy(call.db, made.key, policy_arn=policy_arn, policy_key=None, now_us=call.now_us)
    return {"Role": roles.listed(call, made)}


@iam_operation("DeleteServiceLinkedRole", writes=True, located=arns.the(ROLE))
def delete_service_linked_role(call: Call, *, role_name: str) -> dict[str, Any]:
    """Delete a service-linked role, at once; AWS takes a while."""
    role = finding.require(call, ROLE, role_name)
    if not role.path.startswith(finding.SERVICE_ROLE_PATH):
        raise NoSuchEntity(message=f"The role with name {role_name} cannot be found.")
    for policy_arn in identity_policies.attached_after(call.db, role.key, "", 1):
        identity_policies.detach(call.db, role.key, policy_arn)
    roles.delete(call, role)
    return {"DeletionTaskId": f"task{role.path}{role.name}/{uuid.uuid4()}"}


@iam_operation("GetServiceLinkedRoleDeletionStatus", writes=False, located=arns.anything)
def get_service_linked_role_deletion_status(call: Call, *, deletion_task_id: str) -> dict[str, Any]:
    """Whether a deletion is done: it is, unless the role was never deleted or made again since."""
    task = _TASK.fullmatch(deletion_task_id)
    if task is None or identities.find(call.db, call.registry().account_id, ROLE, task[2]) is not None:
        raise NoSuchEntity(message=f"The deletion task with id {deletion_task_id} cannot be found.")
    return {"Status": "SUCCEEDED"}
