"""The simulator decides as the server does, and says by which statement."""

import json
from typing import Any

import pytest

from tests.api.support import ACCOUNT, arn_of, policy, refusal_of
from tests.places import ON_DATABASES
from tests.running import OTHER_ACCOUNT

pytestmark = ON_DATABASES

READ_ONLY = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly"
PULL, DELETE = "ecr:BatchGetImage", "ecr:DeleteRepository"


def decisions(answer: dict[str, Any]) -> dict[tuple[str, str], str]:
    return {
        (one["EvalActionName"], one["EvalResourceName"]): one["EvalDecision"] for one in answer["EvaluationResults"]
    }


def test_policies_that_are_nowhere_stored_are_tried(iam: Any) -> None:
    allow = policy("ecr:*", arn_of("app"))
    deny = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Deny", "Action": DELETE, "Resource": "*"}],
        },
        indent=2,
    )
    arns = [arn_of("app"), arn_of("other")]

    answer = iam.simulate_custom_policy(PolicyInputList=[allow, deny], ActionNames=[PULL, DELETE], ResourceArns=arns)

    assert decisions(answer) == {
        (PULL, arns[0]): "allowed",
        (PULL, arns[1]): "implicitDeny",
        (DELETE, arns[0]): "explicitDeny",
        (DELETE, arns[1]): "explicitDeny",
    }
    (statement,) = answer["EvaluationResults"][2]["MatchedStatements"]
    assert statement == {
        "SourcePolicyId": "PolicyInputList.2",
        "SourcePolicyType": "none",
        "StartPosition": {"Line": 4, "Column": 5},
        "EndPosition": {"Line": 8, "Column": 5},
    }


def test_results_come_in_pages(iam: Any) -> None:
    asked = {"PolicyInputList": [policy("*")], "ActionNames": [PULL, DELETE], "ResourceArns": ["*", arn_of("a")]}
    first = iam.simulate_custom_policy(**asked, MaxItems=3)
    rest = iam.simulate_custom_policy(**asked, MaxItems=3, Marker=first["Marker"])

    assert [len(first["EvaluationResults"]), len(rest["EvaluationResults"])] == [3, 1]
    assert rest["IsTruncated"] is False
    assert len(decisions(first) | decisions(rest)) == 4


def test_the_context_of_a_simulation_is_what_it_is_told(iam: Any) -> None:
    bound = policy(PULL, Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}})

    def tried(*entries: dict[str, Any]) -> dict[str, Any]:
        answer = iam.simulate_custom_policy(PolicyInputList=[bound], ActionNames=[PULL], ContextEntries=list(entries))
        found: dict[str, Any] = answer["EvaluationResults"][0]
        return found

    entry = {"ContextKeyName": "aws:SourceIp", "ContextKeyType": "ip"}
    assert tried({**entry, "ContextKeyValues": ["10.1.2.3"]})["EvalDecision"] == "allowed"
    assert tried({**entry, "ContextKeyValues": ["192.0.2.1"]})["EvalDecision"] == "implicitDeny"
    assert tried()["MissingContextValues"] == ["aws:sourceip"]
    assert iam.get_context_keys_for_custom_policy(PolicyInputList=[bound])["ContextKeyNames"] == ["aws:sourceip"]


def test_boundaries_and_resource_policies_weigh_too(iam: Any) -> None:
    bounded = iam.simulate_custom_policy(
        PolicyInputList=[policy("*")],
        PermissionsBoundaryPolicyInputList=[policy("ecr:Describe*")],
        ActionNames=[PULL, "ecr:DescribeImages"],
    )["EvaluationResults"]
    allowed = [one["PermissionsBoundaryDecisionDetail"]["AllowedByPermissionsBoundary"] for one in bounded]
    assert [one["EvalDecision"] for one in bounded] == ["implicitDeny", "allowed"]
    assert allowed == [False, True]

    theirs = arn_of("app", OTHER_ACCOUNT)
    shared = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": PULL}
    asked = {"PolicyInputList": [policy("*")], "ActionNames": [PULL], "ResourceArns": [theirs]}
    assert decisions(iam.simulate_custom_policy(**asked)) == {(PULL, theirs): "implicitDeny"}
    with_policy = iam.simulate_custom_policy(**asked, ResourcePolicy=json.dumps({"Statement": [shared]}))
    assert decisions(with_policy) == {(PULL, theirs): "allowed"}


def test_the_policies_of_who_is_there_are_tried(iam: Any, name: str) -> None:
    iam.create_group(GroupName=name)
    iam.attach_group_policy(GroupName=name, PolicyArn=READ_ONLY)
    arn = iam.create_user(UserName=name, Path="/ci/")["User"]["Arn"]
    iam.add_user_to_group(GroupName=name, UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=policy("ecr:Put*", effect="Allow"))

    def tried(action: str, **more: Any) -> dict[str, Any]:
        found: dict[str, Any] = iam.simulate_principal_policy(PolicySourceArn=arn, ActionNames=[action], **more)
        return found["EvaluationResults"][0]  # type: ignore[no-any-return]

    pull, put = tried(PULL), tried("ecr:PutImage")
    assert (pull["EvalDecision"], put["EvalDecision"]) == ("allowed", "allowed")
    sources = [(one["SourcePolicyId"], one["SourcePolicyType"]) for one in pull["MatchedStatements"]]
    assert sources == [("AmazonEC2ContainerRegistryReadOnly", "aws-managed")]
    sources = [(one["SourcePolicyId"], one["SourcePolicyType"]) for one in put["MatchedStatements"]]
    assert sources == [(f"user_{name}_own", "user")]
    assert tried(DELETE)["EvalDecision"] == "implicitDeny"
    assert tried(DELETE, PolicyInputList=[policy("*")])["EvalDecision"] == "allowed"
    own = {"PolicyName": "own", "AttachmentType": "user", "AttachmentName": name}
    for action, excluded in (
        (PULL, {"PolicyType": "aws-managed"}),
        (PULL, {"PolicyArn": READ_ONLY}),
        ("ecr:PutImage", {"InlinePolicyIdentifier": own}),
    ):
        assert tried(action, PolicyExclusionList=[excluded])["EvalDecision"] == "implicitDeny"
    group = f"arn:aws:iam::{ACCOUNT}:group/{name}"
    of_group = iam.simulate_principal_policy(PolicySourceArn=group, ActionNames=[PULL])
    assert of_group["EvaluationResults"][0]["EvalDecision"] == "allowed"
    assert iam.get_context_keys_for_principal_policy(PolicySourceArn=arn)["ContextKeyNames"] == []


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"PolicyInputList": ["{"], "ActionNames": [PULL]}, "InvalidInput"),
        ({"PolicyInputList": [policy("*")], "ActionNames": ["nonsense"]}, "InvalidInput"),
        ({"PolicyInputList": [policy("*")], "ActionNames": [PULL], "CallerArn": "me"}, "InvalidInput"),
        (
            {
                "PolicyInputList": [policy("*")],
                "ActionNames": [PULL],
                "ResourceHandlingOption": "EC2-VPC-EBS",
            },
            "InvalidInput",
        ),
    ],
)
def test_what_cannot_be_simulated_is_refused(iam: Any, members: dict[str, Any], code: str) -> None:
    assert refusal_of(iam.simulate_custom_policy, **members)[:2] == (400, code)


def test_who_is_not_there_cannot_be_simulated(iam: Any, name: str) -> None:
    absent = f"arn:aws:iam::{ACCOUNT}:user/{name}"
    assert refusal_of(iam.simulate_principal_policy, PolicySourceArn=absent, ActionNames=[PULL])[1] == "NoSuchEntity"
    theirs = f"arn:aws:iam::{OTHER_ACCOUNT}:user/administrator"
    assert refusal_of(iam.simulate_principal_policy, PolicySourceArn=theirs, ActionNames=[PULL])[1] == "AccessDenied"
