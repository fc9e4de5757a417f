"""Policies of registries: how they are taken and told, and what they decide."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.support import ACCOUNT, bad_parameter, error_of
from tests.places import ON_DATABASES
from tests.running import OTHER_ACCOUNT, Server

pytestmark = ON_DATABASES

pytestmark = ON_DATABASES

OWN = f"arn:aws:ecr:*:{ACCOUNT}:repository/*"
MISSING = ("RegistryPolicyNotFoundException", f"Registry policy does not exist in the registry with id '{ACCOUNT}'")
OTHER_ROOT = {"AWS": f"arn:aws:iam::{OTHER_ACCOUNT}:root"}
INVALID = bad_parameter("PolicyText", "Invalid registry policy provided")


@pytest.fixture
def registry(ecr: Any) -> Iterator[Any]:
    """The registry without a policy, before and after."""
    yield ecr
    if error_of_get(ecr) is None:
        ecr.delete_registry_policy()
    ecr.put_account_setting(name="REGISTRY_POLICY_SCOPE", value="V2")


def error_of_get(ecr: Any) -> tuple[str, str] | None:
    try:
        ecr.get_registry_policy()
    except ecr.exceptions.RegistryPolicyNotFoundException as missing:
        return missing.response["Error"]["Code"], missing.response["Error"]["Message"]
    return None


def statement(effect: str, principal: Any, *actions: str, resource: Any = OWN) -> dict[str, Any]:
    return {"Effect": effect, "Principal": principal, "Action": list(actions), "Resource": resource}


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def test_a_registry_policy_is_put_told_and_deleted(registry: Any) -> None:
    assert error_of_get(registry) == MISSING
    assert error_of(registry.delete_registry_policy) == MISSING
    root = {"AWS": f"arn:aws:iam::{OTHER_ACCOUNT}:root"}

    put = registry.put_registry_policy(
        policyText=policy(statement("Allow", root, "ecr:CreateRepository", "ecr:ReplicateImage"))
    )

    assert put["registryId"] == ACCOUNT
    assert put["policyText"].startswith('{\n  "Version" : "2012-10-17",\n  "Statement" : [ {\n    "Effect" : "Allow"')
    assert registry.get_registry_policy()["policyText"] == put["policyText"]
    assert registry.delete_registry_policy()["policyText"] == put["policyText"]
    assert error_of_get(registry) == MISSING


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        policy(statement("Allow", "*", "ecr:ReplicateImage", resource=f"arn:aws:ecr:*:{OTHER_ACCOUNT}:repository/*")),
        policy({"Effect": "Allow", "Principal": "*", "Action": "ecr:ReplicateImage"}),
        policy({"Effect": "Allow", "Resource": OWN, "Action": "ecr:ReplicateImage"}),
        policy(statement("Allow", "*", "s3:GetObject")),
    ],
)
def test_what_is_no_registry_policy_is_refused(registry: Any, text: str) -> None:
    assert error_of(registry.put_registry_policy, policyText=text) == INVALID
    assert error_of_get(registry) == MISSING


def test_scope_v2_weighs_on_every_action_and_v1_on_three(registry: Any, repository: str) -> None:
    registry.put_registry_policy(policyText=policy(statement("Deny", "*", "ecr:ListImages", "ecr:CreateRepository")))

    assert error_of(registry.list_images, repositoryName=repository)[0] == "AccessDeniedException"
    registry.put_account_setting(name="REGISTRY_POLICY_SCOPE", value="V1")
    assert registry.list_images(repositoryName=repository)["imageIds"] == []
    assert error_of(registry.create_repository, repositoryName=f"{repository}/x")[0] == "AccessDeniedException"


def test_another_account_may_what_a_registry_policy_allows_in_every_repository(
    registry: Any, other_ecr: Any, repository: str
) -> None:
    root = {"AWS": OTHER_ACCOUNT}
    registry.put_registry_policy(policyText=policy(statement("Allow", root, "ecr:ListImages")))

    assert other_ecr.list_images(repositoryName=repository, registryId=ACCOUNT)["imageIds"] == []
    registry.delete_registry_policy()
    denied = error_of(other_ecr.list_images, repositoryName=repository, registryId=ACCOUNT)
    assert denied[1].endswith("because no resource-based policy allows the ecr:ListImages action")


@pytest.mark.parametrize("action", ["ecr:*", "ecr:PutRegistryPolicy", "ecr:Put*"])
def test_nobody_locks_a_registry_for_ever(registry: Any, action: str) -> None:
    text = policy(statement("Deny", "*", action, resource="*"))
    assert error_of(registry.put_registry_policy, policyText=text) == bad_parameter(
        "PolicyText", "The policy would prevent you from setting another policy in the future"
    )
    assert error_of_get(registry) == MISSING

    for spared in (statement("Deny", "*", action), statement("Deny", OTHER_ROOT, action, resource="*")):
        registry.put_registry_policy(policyText=policy(spared))
        registry.delete_registry_policy()


def test_a_registry_policys_principals_are_those_of_a_repositorys(registry: Any) -> None:
    def put(principal: str) -> dict[str, str]:
        return {"policyText": policy(statement("Allow", {"AWS": [principal]}, "ecr:ReplicateImage"))}

    missing = bad_parameter("PolicyText", "Principal not found")
    assert error_of(registry.put_registry_policy, **put(f"arn:aws:iam::{ACCOUNT}:user/nobody")) == missing
    assert (
        '"AWS" : [ "arn:aws:iam::444455556666:root" ]'
        in (registry.put_registry_policy(**put("444455556666"))["policyText"])
    )
    administrator = f"arn:aws:iam::{OTHER_ACCOUNT}:user/administrator"
    registry.put_registry_policy(**put(administrator))
    assert f'"AWS" : [ "{administrator}" ]' in registry.get_registry_policy()["policyText"]


def test_each_region_has_a_registry_policy_of_its_own(server: Server, registry: Any) -> None:
    registry.put_registry_policy(policyText=policy(statement("Deny", "*", "ecr:CreateRepository")))
    elsewhere = server.client("ecr", region="eu-west-1")
    assert error_of_get(elsewhere) == MISSING
