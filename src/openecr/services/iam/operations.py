"""Every operation of IAM that is built."""

from openecr.call import Operation
from openecr.services.iam import (
    access_keys,
    account,
    attachments,
    boundaries,
    groups,
    inline,
    instance_profiles,
    oidc_providers,
    policies,
    policy_versions,
    roles,
    service_linked_roles,
    simulation,
    tags,
    users,
)

_CAPABILITIES = (
    access_keys,
    account,
    attachments,
    boundaries,
    groups,
    inline,
    instance_profiles,
    oidc_providers,
    policies,
    policy_versions,
    roles,
    service_linked_roles,
    simulation,
    tags,
    users,
)

OPERATIONS: dict[str, Operation] = {
    operation.name: operation
    for capability in _CAPABILITIES
    for operation in vars(capability).values()
    if isinstance(operation, Operation)
}
