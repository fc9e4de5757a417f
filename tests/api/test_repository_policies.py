"""Policies of repositories: how they are taken, told, refused, and what they decide within an account."""

import json
from typing import Any

import pytest

from tests.api.support import ACCOUNT, arn_of, bad_parameter, error_of, repository_missing
from tests.registry_client import RegistryClient
from tests.running import OTHER_ACCOUNT

PULL = ["ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage", "ecr:BatchCheckLayerAvailability"]


def policy(*statements: dict[str, Any], version: str = "2012-10-17") -> str:
    return json.dumps({"Version": version, "Statement": list(statements)})


def allow(principal: Any, *actions: str, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": principal, "Action": list(actions), **more}


def deny(principal: Any, *actions: str, **more: Any) -> dict[str, Any]:
    return allow(principal, *actions, **more) | {"Effect": "Deny"}


INVALID = bad_parameter("PolicyText", "Invalid repository policy provided")


def test_a_policy_is_told_as_ecr_prints_it(ecr: Any, repository: str) -> None:
    text = policy(allow({"AWS": [OTHER_ACCOUNT, "arn:aws:iam::999988887777:root"]}, *PULL, Sid="Allow pulls"))

    answer = ecr.set_repository_policy(repositoryName=repository, policyText=text)

    assert (answer["registryId"], answer["repositoryName"]) == (ACCOUNT, repository)
    assert answer["policyText"] == (
        '{\n  "Version" : "2012-10-17",\n  "Statement" : [ {\n    "Effect" : "Allow",\n    "Principal" : {\n'
        f'      "AWS" : [ "arn:aws:iam::{OTHER_ACCOUNT}:root", "arn:aws:iam::999988887777:root" ]\n    }},\n'
        '    "Action" : [ "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage", "ecr:BatchCheckLayerAvailability" ],\n'
        '    "Sid" : "Allow pulls"\n  } ]\n}'
    )
    assert ecr.get_repository_policy(repositoryName=repository)["policyText"] == answer["policyText"]


def test_deleting_a_policy_tells_it_a_last_time(ecr: Any, repository: str) -> None:
    told = ecr.set_repository_policy(repositoryName=repository, policyText=policy(allow("*", "ecr:ListImages")))
    missing = (
        "RepositoryPolicyNotFoundException",
        (
            f"Repository policy does not exist for the repository with name '{repository}' in the registry with id "
            f"'{ACCOUNT}'"
        ),
    )

    assert ecr.delete_repository_policy(repositoryName=repository)["policyText"] == told["policyText"]
    assert error_of(ecr.get_repository_policy, repositoryName=repository) == missing
    assert error_of(ecr.delete_repository_policy, repositoryName=repository) == missing


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "{}",
        policy(),
        policy(allow("*", "ecr:ListImages", Resource="*")),
        policy({"Effect": "Allow", "Action": "ecr:ListImages"}),
        policy(allow("*", "ecr:ListImages", Unknown="x")),
        policy(allow("*", "ecr:ListImages"), version="2020-01-01"),
        policy(allow("*", "s3:GetObject")),
        policy(allow({"AWS": "arn:aws:iam::123456789012:user/*"}, "ecr:ListImages")),
        policy(allow("*", "ecr:ListImages", Condition={"StringMatches": {"aws:SourceVpce": "x"}})),
    ],
)
def test_what_is_no_repository_policy_is_refused_and_changes_nothing(ecr: Any, repository: str, text: str) -> None:
    before = ecr.set_repository_policy(repositoryName=repository, policyText=policy(allow("*", "ecr:ListImages")))

    assert error_of(ecr.set_repository_policy, repositoryName=repository, policyText=text) == INVALID
    assert ecr.get_repository_policy(repositoryName=repository)["policyText"] == before["policyText"]


def test_a_principal_of_an_account_that_is_here_must_be_there(ecr: Any, repository: str) -> None:
    def named(arn: str) -> dict[str, str]:
        return {"repositoryName": repository, "policyText": policy(allow({"AWS": arn}, *PULL))}

    missing = bad_parameter("PolicyText", "Principal not found")
    assert error_of(ecr.set_repository_policy, **named(f"arn:aws:iam::{ACCOUNT}:user/nobody")) == missing
    assert error_of(ecr.set_repository_policy, **named(f"arn:aws:iam::{ACCOUNT}:role/nothing")) == missing
    there = f"arn:aws:iam::{ACCOUNT}:user/administrator"
    assert there in ecr.set_repository_policy(**named(there))["policyText"]
    ecr.set_repository_policy(**named("arn:aws:iam::555566667777:user/elsewhere"))


def test_a_policy_that_locks_its_caller_out_takes_force(ecr: Any, repository: str) -> None:
    text = policy(deny("*", "ecr:SetRepositoryPolicy"))

    assert error_of(ecr.set_repository_policy, repositoryName=repository, policyText=text) == bad_parameter(
        "PolicyText", "The policy would prevent you from setting another policy in the future; use force"
    )
    ecr.set_repository_policy(repositoryName=repository, policyText=text, force=True)
    code, message = error_of(ecr.set_repository_policy, repositoryName=repository, policyText=text)
    assert code == "AccessDeniedException"
    assert message.endswith("with an explicit deny in a resource-based policy")
    ecr.delete_repository_policy(repositoryName=repository)


def test_a_deny_holds_against_the_administrator_on_both_planes(
    ecr: Any, docker: RegistryClient, repository: str
) -> None:
    ecr.set_repository_policy(repositoryName=repository, policyText=policy(deny("*", "ecr:BatchGetImage")))
    told = (
        f"User: arn:aws:iam::{ACCOUNT}:user/administrator is not authorized to perform: ecr:BatchGetImage "
        f"on resource: {arn_of(repository)} with an explicit deny in a resource-based policy"
    )

    assert error_of(ecr.batch_get_image, repositoryName=repository, imageIds=[{"imageTag": "v1"}]) == (
        "AccessDeniedException",
        told,
    )
    answer = docker.request("GET", f"{docker.path(repository)}/manifests/v1")
    assert answer.status == 403
    assert told in json.loads(answer.body)["errors"][0]["message"]


def test_a_deny_may_ask_for_tags_of_the_repository(ecr: Any, repository: str) -> None:
    condition = {"StringEquals": {"ecr:ResourceTag/stage": "prod"}}
    ecr.set_repository_policy(
        repositoryName=repository, policyText=policy(deny("*", "ecr:ListImages", Condition=condition))
    )

    assert ecr.list_images(repositoryName=repository)["imageIds"] == []
    ecr.tag_resource(resourceArn=arn_of(repository), tags=[{"Key": "stage", "Value": "prod"}])
    assert error_of(ecr.list_images, repositoryName=repository)[0] == "AccessDeniedException"


def test_another_account_may_what_its_policies_and_the_repositorys_both_allow(
    ecr: Any, other_ecr: Any, repository: str
) -> None:
    asked = {"repositoryName": repository, "registryId": ACCOUNT}
    code, message = error_of(other_ecr.list_images, **asked)
    assert (code, message.rpartition(" because ")[2]) == (
        "AccessDeniedException",
        "no resource-based policy allows the ecr:ListImages action",
    )

    root = {"AWS": f"arn:aws:iam::{OTHER_ACCOUNT}:root"}
    ecr.set_repository_policy(repositoryName=repository, policyText=policy(allow(root, "ecr:ListImages")))
    assert other_ecr.list_images(**asked)["imageIds"] == []
    assert error_of(other_ecr.describe_images, **asked)[0] == "AccessDeniedException"

    ecr.delete_repository_policy(repositoryName=repository)
    assert error_of(other_ecr.list_images, **asked)[0] == "AccessDeniedException"


def test_what_another_account_may_not_see_it_cannot_tell_from_what_is_not_there(
    ecr: Any, other_ecr: Any, repository: str
) -> None:
    there = error_of(other_ecr.describe_images, repositoryName=repository, registryId=ACCOUNT)
    absent = error_of(other_ecr.describe_images, repositoryName=f"{repository}-not", registryId=ACCOUNT)

    assert (there[0], there[1].replace(repository, "X")) == (absent[0], absent[1].replace(f"{repository}-not", "X"))


def test_a_policy_of_a_missing_repository(ecr: Any) -> None:
    text = policy(allow("*", "ecr:ListImages"))

    assert error_of(ecr.set_repository_policy, repositoryName="not-there", policyText=text) == repository_missing(
        "not-there"
    )


def test_a_policy_goes_with_its_repository(ecr: Any, repository: str) -> None:
    ecr.set_repository_policy(repositoryName=repository, policyText=policy(deny("*", "ecr:ListImages")))
    ecr.delete_repository(repositoryName=repository)
    ecr.create_repository(repositoryName=repository)

    assert ecr.list_images(repositoryName=repository)["imageIds"] == []
    assert error_of(ecr.get_repository_policy, repositoryName=repository)[0] == "RepositoryPolicyNotFoundException"
