"""The course's blocks on sharing across accounts: who they name may pull, with unmodified AWS CLI and Docker."""

import json
from pathlib import Path

import pytest

from tests.e2e.course.conftest import BLOCKS
from tests.e2e.machine import REGION, REGISTRY, Machine
from tests.e2e.shell import TOOLS

PULL = ["ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage", "ecr:BatchCheckLayerAvailability"]
DEPLOYMENT = "999988887777"
VARIABLES = (f"REGION={REGION}", f"REGISTRY={REGISTRY}")


@pytest.fixture(scope="module")
def builder(untrusting: Machine) -> Machine:
    """The machine in the hands of the account that builds, logged in."""
    untrusting.trust()
    untrusting.run(TOOLS / "base-image.sh", "tiny")
    untrusting.run("env", *VARIABLES, BLOCKS / "login.sh")
    return untrusting


@pytest.fixture(scope="module")
def deployer(builder: Machine) -> Machine:
    """The same machine in the hands of the account that deploys, logged in at the registry of the other."""
    there = builder.as_account(DEPLOYMENT)
    assert "Login Succeeded" in there.run("env", *VARIABLES, BLOCKS / "login.sh")
    return there


def push(builder: Machine, name: str) -> str:
    """Push an image, and forget it here; its name."""
    remote = f"{REGISTRY}/{name}:v1"
    builder.run("aws", "ecr", "create-repository", "--repository-name", name)
    builder.run("docker", "tag", "busybox", remote)
    builder.run("docker", "push", remote)
    builder.run("docker", "rmi", remote)
    return remote


def test_the_deployment_account_pulls_once_the_policy_is_applied(
    builder: Machine, deployer: Machine, tmp_path: Path
) -> None:
    name = "kubedojo/shared"
    remote = push(builder, name)
    sentence = (
        f"User: arn:aws:iam::{DEPLOYMENT}:user/administrator is not authorized to perform: ecr:BatchGetImage on "
        f"resource: arn:aws:ecr:{REGION}:123456789012:repository/{name} because no resource-based policy allows the "
        "ecr:BatchGetImage action"
    )
    assert sentence in deployer.fail("docker", "pull", remote)

    printed = builder.run("env", *VARIABLES, BLOCKS / "repo-policy.sh", name, folder=tmp_path)
    applied = json.loads(printed)
    assert applied == json.loads((tmp_path / "repo-policy.json").read_text())

    assert "Digest: sha256:" in deployer.run("docker", "pull", remote)
    assert deployer.run("docker", "run", "--rm", remote, "echo", "pulled") == "pulled\n"
    assert f"denied: User: arn:aws:iam::{DEPLOYMENT}:user/administrator" in deployer.fail("docker", "push", remote)
    deployer.run("docker", "rmi", remote)

    at_builders = ("--registry-id", "123456789012", "--repository-name", name)
    got = json.loads(deployer.run("aws", "ecr", "batch-get-image", *at_builders, "--image-ids", "imageTag=v1"))
    assert got["images"][0]["registryId"] == "123456789012"
    assert "AccessDeniedException" in deployer.fail("aws", "ecr", "describe-images", *at_builders)

    builder.run("aws", "ecr", "delete-repository-policy", "--repository-name", name)
    assert sentence in deployer.fail("docker", "pull", remote)


def test_accounts_that_are_not_here_may_be_named(builder: Machine) -> None:
    if "myapp/api" not in builder.run("aws", "ecr", "describe-repositories"):
        builder.run("aws", "ecr", "create-repository", "--repository-name", "myapp/api")
    set_policy = json.loads(builder.run("env", *VARIABLES, BLOCKS / "cross-account.sh"))
    assert (set_policy["registryId"], set_policy["repositoryName"]) == ("123456789012", "myapp/api")
    statement = json.loads(set_policy["policyText"])["Statement"][0]
    assert statement["Principal"] == {"AWS": ["arn:aws:iam::987654321098:root", "arn:aws:iam::111222333444:root"]}
    assert statement["Action"] == PULL


def test_the_destination_account_accepts_replication(builder: Machine) -> None:
    destination = builder.as_account("987654321098")
    put = json.loads(destination.run("env", *VARIABLES, BLOCKS / "registry-policy.sh"))
    assert put["registryId"] == "987654321098"
    assert json.loads(destination.run("aws", "ecr", "get-registry-policy"))["policyText"] == put["policyText"]
    said = builder.fail("env", *VARIABLES, BLOCKS / "registry-policy.sh")
    assert "Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Invalid registry policy provided'" in said
