"""Does a statement mean this action, this resource, this principal?"""

from typing import Any

import pytest
from tests.unit.access.deciding import (
    ANONYMOUS,
    APP,
    FEDERATED,
    GITHUB,
    OURS,
    PULL,
    ROOT,
    SERVICE,
    SESSION,
    THEIR_SESSION,
    THEIR_USER,
    THEIRS,
    USER,
    WORKFLOW,
    allow,
    decide,
    deny,
    policy,
)

from openecr.access.policies.document import PolicyKind
from openecr.access.policies.evaluation import AccessRequest, PolicySet, evaluate
from openecr.access.policies.principals import Principal

ACTION = "IAM User Guide, IAM JSON policy elements: Action"
NOT_ACTION = "IAM User Guide, IAM JSON policy elements: NotAction"
RESOURCE = "IAM User Guide, IAM JSON policy elements: Resource"
NOT_RESOURCE = "IAM User Guide, IAM JSON policy elements: NotResource"
VARIABLES = "IAM User Guide, IAM policy elements: Variables and tags"
VERSION = "IAM User Guide, IAM JSON policy elements: Version"
PRINCIPAL = "IAM User Guide, AWS JSON policy elements: Principal"
NOT_PRINCIPAL = "IAM User Guide, AWS JSON policy elements: NotPrincipal"
UNIQUE = "IAM User Guide, IAM identifiers: Unique identifiers"

ACTIONS: list[tuple[str, Any, str, bool]] = [
    (ACTION, "ecr:BatchGetImage", "ecr:BatchGetImage", True),
    (ACTION, "ecr:batchgetimage", "ecr:BatchGetImage", True),
    (ACTION, "ECR:BATCHGETIMAGE", "ecr:BatchGetImage", True),
    (ACTION, "ecr:*", "ecr:BatchGetImage", True),
    (ACTION, "*", "ecr:BatchGetImage", True),
    (ACTION, "ecr:Batch*", "ecr:BatchGetImage", True),
    (ACTION, "ecr:*Image", "ecr:BatchGetImage", True),
    (ACTION, "ecr:*Image", "ecr:BatchGetImages", False),
    (ACTION, "ecr:*get*", "ecr:BatchGetImage", True),
    (ACTION, "ecr:BatchGetImag?", "ecr:BatchGetImage", True),
    (ACTION, "ecr:BatchGetImage?", "ecr:BatchGetImage", False),
    (ACTION, "ecr:Get*", "ecr:BatchGetImage", False),
    (ACTION, "s3:*", "ecr:BatchGetImage", False),
    (ACTION, "ecr-public:*", "ecr:BatchGetImage", False),
    (ACTION, "ecr:*", "ecr-public:BatchGetImage", False),
    (ACTION, ["s3:GetObject", "ecr:PutImage"], "ecr:PutImage", True),
    (ACTION, ["s3:GetObject", "ecr:PutImage"], "ecr:BatchGetImage", False),
]


@pytest.mark.parametrize(("source", "given", "asked", "taken"), ACTIONS)
def test_an_action(source: str, given: Any, asked: str, taken: bool) -> None:
    assert decide(USER, action=asked, identity=allow(given)).allowed is taken, source
    assert decide(USER, action=asked, identity=[allow("*"), deny(given)]).explicit is taken, source
    assert decide(USER, action=asked, identity=allow(not_action=given)).allowed is not taken, NOT_ACTION
    assert decide(USER, action=asked, identity=[allow("*"), deny(not_action=given)]).explicit is not taken, NOT_ACTION


ARN = "arn:aws:ecr:eu-central-1:111122223333:repository/"
RESOURCES: list[tuple[str, Any, str, bool]] = [
    (RESOURCE, "*", APP, True),
    (RESOURCE, "*", "*", True),
    (RESOURCE, APP, APP, True),
    (RESOURCE, APP, APP + "2", False),
    (RESOURCE, APP.replace("app", "App"), APP, False),
    (RESOURCE, ARN + "*", APP, True),
    (RESOURCE, ARN + "*", "*", False),
    (RESOURCE, ARN + "team/*", APP, True),
    (RESOURCE, ARN + "team/*", ARN + "team/deep/er/app", True),
    (RESOURCE, ARN + "team/*", ARN + "teams/app", False),
    (RESOURCE, ARN + "team*", ARN + "teams/app", True),
    (RESOURCE, ARN + "*/app", ARN + "a/b/c/app", True),
    (RESOURCE, ARN + "*/app", ARN + "app", False),
    (RESOURCE, ARN + "t*/a*p", APP, True),
    (RESOURCE, ARN + "t*/a*p", ARN + "team/ape", False),
    (RESOURCE, ARN + "team/ap?", APP, True),
    (RESOURCE, ARN + "team/a?", APP, False),
    (RESOURCE, ARN + "?eam/*", APP, True),
    (RESOURCE, "arn:aws:ecr:*:*:repository/team/app", APP, True),
    (RESOURCE, "arn:aws:ecr:*:111122223333:repository/*", APP, True),
    (RESOURCE, "arn:aws:ecr:*:444455556666:repository/*", APP, False),
    (RESOURCE, "arn:aws:ecr:eu-*:*:repository/*", APP, True),
    (RESOURCE, "arn:aws:ecr:us-*:*:repository/*", APP, False),
    (RESOURCE, "arn:aws:ecr:*-central-1:*:repository/*", APP, True),
    (RESOURCE, "arn:aws:ecr:eu*33:repository/team/app", APP, False),
    (RESOURCE, "arn:aws:ecr:*:repository/team/app", APP, True),
    (RESOURCE, "arn:aws:ecr:eu-central-1:*", APP, True),
    (RESOURCE, "arn:aws:ecr:*", APP, True),
    (RESOURCE, "arn:aws:s3:*", APP, False),
    (RESOURCE, "arn:aws:ecr:eu-central-1?1111*", APP, False),
    (RESOURCE, "arn:aws-cn:ecr:*:*:repository/*", APP, False),
    (RESOURCE, [ARN + "other", ARN + "team/*"], APP, True),
    (RESOURCE, [ARN + "other", ARN + "more"], APP, False),
]


@pytest.mark.parametrize(("source", "given", "asked", "meant"), RESOURCES)
def test_a_resource(source: str, given: Any, asked: str, meant: bool) -> None:
    assert decide(USER, resource=asked, identity=allow(resource=given)).allowed is meant, source
    assert decide(USER, resource=asked, identity=[allow(), deny(resource=given)]).explicit is meant, source
    assert decide(USER, resource=asked, identity=allow(not_resource=given)).allowed is not meant, NOT_RESOURCE
    refused = decide(USER, resource=asked, identity=[allow(), deny(not_resource=given)])
    assert refused.explicit is not meant, NOT_RESOURCE


CONTEXT = {"aws:username": ["team"], "aws:PrincipalTag/wild": ["*"], "aws:TagKeys": ["team", "x"]}
SUBSTITUTED: list[tuple[str, bool]] = [
    (ARN + "${aws:username}/app", True),
    (ARN + "${aws:username}/*", True),
    (ARN + "${aws:username}*", True),
    (ARN + "${aws:PrincipalTag/wild}", False),
    (ARN + "${aws:PrincipalTag/none}/app", False),
    (ARN + "*${aws:PrincipalTag/none}", False),
    (ARN + "${aws:PrincipalTag/none, 'team'}/app", True),
    (ARN + "${aws:PrincipalTag/none,'other'}/app", False),
    (ARN + "${aws:TagKeys}/app", False),
    (ARN + "${*}", False),
]


@pytest.mark.parametrize(("given", "meant"), SUBSTITUTED)
def test_a_variable_in_a_resource(given: str, meant: bool) -> None:
    assert decide(USER, context=CONTEXT, identity=allow(resource=given)).allowed is meant, VARIABLES
    assert decide(USER, context=CONTEXT, identity=[allow(), deny(resource=given)]).explicit is meant, VARIABLES
    assert decide(USER, context=CONTEXT, identity=allow(not_resource=given)).allowed is not meant, VARIABLES


def test_an_older_document_has_no_variables() -> None:
    statement = allow(resource=ARN + "${aws:username}/app")
    for version, allowed in (("2012-10-17", True), ("2008-10-17", False)):
        policies = PolicySet(identity=[policy(PolicyKind.IDENTITY, statement, version=version)])
        request = AccessRequest(USER, PULL, APP, OURS, {"aws:username": ("team",)})
        assert evaluate(request, policies).allowed is allowed, VERSION


def root(account: str) -> str:
    return f"arn:aws:iam::{account}:root"


ROLE = SESSION.role_arn
# source, the Principal, who asks, whether a Deny of the resource's policy meets them
MEANT: list[tuple[str, Any, Principal, bool]] = [
    (PRINCIPAL, "*", USER, True),
    (PRINCIPAL, "*", ANONYMOUS, True),
    (PRINCIPAL, "*", SERVICE, True),
    (PRINCIPAL, {"AWS": "*"}, THEIR_SESSION, True),
    (PRINCIPAL, {"AWS": "*"}, ANONYMOUS, True),
    (PRINCIPAL, {"AWS": OURS}, USER, True),
    (PRINCIPAL, {"AWS": OURS}, ROOT, True),
    (PRINCIPAL, {"AWS": root(OURS)}, SESSION, True),
    (PRINCIPAL, {"AWS": root(OURS)}, FEDERATED, True),
    (PRINCIPAL, {"AWS": root(OURS)}, THEIR_USER, False),
    (PRINCIPAL, {"AWS": root(OURS)}, ANONYMOUS, False),
    (PRINCIPAL, {"AWS": root(OURS)}, SERVICE, False),
    (PRINCIPAL, {"AWS": [THEIRS, OURS]}, USER, True),
    (PRINCIPAL, {"AWS": USER.arn}, USER, True),
    (PRINCIPAL, {"AWS": USER.arn}, SESSION, False),
    (PRINCIPAL, {"AWS": USER.arn.replace("dev", "Dev")}, USER, False),
    (PRINCIPAL, {"AWS": USER.arn}, ROOT, False),
    (PRINCIPAL, {"AWS": ROLE}, SESSION, True),
    (PRINCIPAL, {"AWS": ROLE}, USER, False),
    (PRINCIPAL, {"AWS": SESSION.arn}, SESSION, True),
    (PRINCIPAL, {"AWS": SESSION.arn.replace("build-7", "build-8")}, SESSION, False),
    (PRINCIPAL, {"AWS": FEDERATED.arn}, FEDERATED, True),
    (UNIQUE, {"AWS": USER.unique_id}, USER, True),
    (UNIQUE, {"AWS": SESSION.unique_id}, SESSION, True),
    (UNIQUE, {"AWS": USER.unique_id}, SESSION, False),
    (PRINCIPAL, {"Service": "replication.ecr.amazonaws.com"}, SERVICE, True),
    (PRINCIPAL, {"Service": ["ecs.amazonaws.com", "lambda.amazonaws.com"]}, SERVICE, False),
    (PRINCIPAL, {"Service": "replication.ecr.amazonaws.com"}, USER, False),
    (PRINCIPAL, {"AWS": USER.arn, "Service": "replication.ecr.amazonaws.com"}, SERVICE, True),
    (PRINCIPAL, {"Federated": GITHUB}, WORKFLOW, True),
    (PRINCIPAL, {"Federated": "accounts.google.com"}, WORKFLOW, False),
    (PRINCIPAL, {"Federated": GITHUB}, USER, False),
]


@pytest.mark.parametrize(("source", "given", "caller", "meant"), MEANT)
def test_a_principal(source: str, given: Any, caller: Principal, meant: bool) -> None:
    assert decide(caller, repository=[allow(), deny(principal=given)]).explicit is meant, source


# who is excepted, who asks, whether the Deny meets them all the same
EXCEPTED: list[tuple[Any, Principal, bool]] = [
    ({"AWS": [root(OURS), USER.arn]}, USER, False),
    ({"AWS": [root(OURS), USER.arn]}, ROOT, False),
    ({"AWS": [root(OURS), USER.arn]}, SESSION, True),
    ({"AWS": [root(OURS), USER.arn]}, THEIR_USER, True),
    ({"AWS": [root(OURS), USER.arn]}, ANONYMOUS, True),
    ({"AWS": [root(OURS), USER.arn]}, SERVICE, True),
    ({"AWS": USER.arn}, USER, True),
    ({"AWS": root(OURS)}, USER, True),
    ({"AWS": root(OURS)}, ROOT, False),
    ({"AWS": [root(OURS), ROLE, SESSION.arn]}, SESSION, False),
    ({"AWS": [root(OURS), ROLE]}, SESSION, True),
    ({"AWS": [root(OURS), SESSION.arn]}, SESSION, True),
    ({"Service": "replication.ecr.amazonaws.com"}, SERVICE, False),
    ({"Service": "replication.ecr.amazonaws.com"}, USER, True),
    ({"Federated": GITHUB}, WORKFLOW, False),
    ("*", USER, False),
]


@pytest.mark.parametrize(("given", "caller", "meant"), EXCEPTED)
def test_a_principal_that_is_excepted(given: Any, caller: Principal, meant: bool) -> None:
    assert decide(caller, repository=[allow(), deny(not_principal=given)]).explicit is meant, NOT_PRINCIPAL
