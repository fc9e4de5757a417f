"""The registry itself: tokens, description, account settings."""

from typing import Any

from openecr.access import tokens
from openecr.call import Call, decision, no_resource, operation, without_permission
from openecr.db import registries, resource_policies
from openecr.errors import ValidationFailed
from openecr.names import RegistryName
from openecr.services.ecr.addresses import proxy_endpoint

BLOB_MOUNTING = "BLOB_MOUNTING"
IDENTICAL_PUSH = "IDENTICAL_IMMUTABLE_PUSH"
"""openecr's own: whether pushing the identical image to an immutable tag is refused as on ECR, or accepted."""
SPARSE_MANIFESTS = "SPARSE_MANIFESTS"
"""openecr's own: whether a manifest may name what its repository does not hold yet, as OCI allows and ECR does not."""

ACCOUNT_SETTINGS: dict[str, tuple[str, ...]] = {
    "BASIC_SCAN_TYPE_VERSION": ("AWS_NATIVE", "CLAIR"),
    "REGISTRY_POLICY_SCOPE": ("V2", "V1"),
    BLOB_MOUNTING: ("DISABLED", "ENABLED"),
    IDENTICAL_PUSH: ("REFUSED", "ACCEPTED"),
    SPARSE_MANIFESTS: ("DISABLED", "ENABLED"),
}
"""Name → its values, the default first."""


@operation("GetAuthorizationToken", writes=False, resources=no_resource)
def get_authorization_token(call: Call, *, registry_ids: list[str] | None = None) -> dict[str, Any]:
    """A password for Docker that names the caller's access key, for each registry asked for, else the caller's."""
    expires_us = call.now_us + call.settings.token_seconds * 1_000_000
    owner = call.caller.owner
    if call.settings.token_follows_session and owner is not None and owner.expires_us is not None:
        expires_us = min(expires_us, owner.expires_us)
    region = call.registry().region
    password = tokens.issue(call.deployment.keyring, call.caller.access_key_id, expires_us, region)
    token = tokens.authorization_token(password)
    return {
        "authorizationData": [
            {
                "authorizationToken": token,
                "expiresAt": expires_us // 1000 * 1000,
                "proxyEndpoint": proxy_endpoint(call, RegistryName(account_id, region)),
            }
            for account_id in registry_ids or [call.registry().account_id]
        ]
    }


@operation("DescribeRegistry", writes=False, resources=no_resource)
def describe_registry(call: Call) -> dict[str, Any]:
    """The caller's registry; replication has no rules until it is built."""
    return {"registryId": call.registry().account_id, "replicationConfiguration": {"rules": []}}


@operation("GetAccountSetting", writes=False, resources=no_resource)
def get_account_setting(call: Call, *, name: str) -> dict[str, Any]:
    """The value of an account setting, its default where it was never put."""
    return {"name": name, "value": account_setting(call, call.registry(), name)}


@operation("PutAccountSetting", writes=True, resources=no_resource)
def put_account_setting(call: Call, *, name: str, value: str) -> dict[str, Any]:
    """Store an account setting of the caller's registry."""
    if value not in _values(name):
        raise ValidationFailed(message=f"Invalid value '{value}' for account setting '{name}'")
    registry_key = registries.require_key(call.db, call.registry(), call.now_us)
    registries.put_setting(call.db, registry_key, name, value)
    resource_policies.forget_registry(call.db, call.registry())
    return {"name": name, "value": value}


@decision("ecr:GetAuthorizationToken", writes=False, resources=without_permission, consistent=False, event="")
def is_served(call: Call) -> bool:
    """Whether this deployment has the addressed registry's account."""
    return registries.account_exists(call.db, call.registry().account_id)


def account_setting(call: Call, registry: RegistryName, name: str) -> str:
    """A registry's setting, or its default."""
    default = _values(name)[0]
    return registries.setting(call.db, registry, name) or default


def _values(name: str) -> tuple[str, ...]:
    if name not in ACCOUNT_SETTINGS:
        raise ValidationFailed(message=f"Invalid account setting name '{name}'")
    return ACCOUNT_SETTINGS[name]
