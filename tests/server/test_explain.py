"""``openecr explain``: the decision, the statement that made it, and what would have to change."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.running import DEFAULT_ACCOUNT, OTHER_ACCOUNT, Server, running
from tests.waiting import wait_until

REPOSITORY = "explained/app"
ARN = f"arn:aws:ecr:us-east-1:{DEFAULT_ACCOUNT}:repository/{REPOSITORY}"
DEV = f"arn:aws:iam::{DEFAULT_ACCOUNT}:user/dev"
DENY = {"Sid": "NoPush", "Effect": "Deny", "Action": "ecr:PutImage", "Resource": ARN}
ALLOW = {"Effect": "Allow", "Action": ["ecr:Batch*", "ecr:PutImage"], "Resource": "*"}
INSIDE = {
    "Effect": "Allow",
    "Action": "ecr:ListImages",
    "Resource": "*",
    "Condition": {"StringEquals": {"aws:SourceVpce": "vpce-1"}},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("explain"), "--workers", "1", accounts=(OTHER_ACCOUNT,)) as started:
        started.client("ecr").create_repository(repositoryName=REPOSITORY)
        iam = started.client("iam")
        iam.create_user(UserName="dev")
        document = json.dumps({"Version": "2012-10-17", "Statement": [ALLOW, DENY, INSIDE]})
        iam.put_user_policy(UserName="dev", PolicyName="work", PolicyDocument=document)
        trust = {"Effect": "Allow", "Principal": {"AWS": DEFAULT_ACCOUNT}, "Action": "sts:AssumeRole"}
        trust_document = json.dumps({"Version": "2012-10-17", "Statement": trust})
        iam.create_role(RoleName="ci", AssumeRolePolicyDocument=trust_document)
        iam.attach_role_policy(RoleName="ci", PolicyArn="arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly")
        yield started


def explain(server: Server, *flags: str) -> tuple[int, dict[str, Any]]:
    done = server.command("explain", "--json", *flags, check=False)
    return done.returncode, json.loads(done.stdout)


def asked(principal: str, action: str, resource: str = REPOSITORY) -> tuple[str, ...]:
    return ("--principal", principal, "--action", action, "--resource", resource)


def test_an_allow_is_told_with_its_statement(server: Server) -> None:
    status, told = explain(server, *asked(DEV, "ecr:BatchGetImage"))

    assert (status, told["outcome"], told["resource"]) == (0, "allowed", ARN)
    assert (told["policy"], told["statementNumber"]) == ("inline policy work of user dev", 1)
    assert told["statement"] == ALLOW


def test_an_explicit_deny_is_told_with_its_statement_and_what_to_change(server: Server) -> None:
    done = server.command("explain", *asked(DEV, "ecr:PutImage"), check=False)

    assert done.returncode == 3
    lines = done.stdout.splitlines()
    assert lines[0] == f"DENIED   {DEV} may not ecr:PutImage on {ARN}"
    assert "with an explicit deny in an identity-based policy" in lines[1]
    assert lines[2] == "decided by  identity-based policy inline policy work of user dev, statement 2"
    assert '"Sid": "NoPush"' in done.stdout
    assert lines[-1].startswith("to allow    ")
    assert "NoPush" in lines[-1]


def test_a_missing_allow_says_where_one_is_needed(server: Server) -> None:
    status, told = explain(server, *asked(DEV, "ecr:DeleteRepository"))

    assert (status, told["outcome"]) == (3, "denied")
    assert told["reason"] == "because no identity-based policy allows the ecr:DeleteRepository action"
    assert "ecr:DeleteRepository" in told["remedy"]
    assert "statement" not in told


def test_a_condition_gets_what_it_reads(server: Server) -> None:
    without, told = explain(server, *asked(DEV, "ecr:ListImages"))
    given, _ = explain(server, *asked(DEV, "ecr:ListImages"), "--context", "aws:SourceVpce=vpce-1")

    assert (without, given) == (3, 0)
    assert "aws:sourcevpce" in told["notes"][0].lower()


def test_a_role_a_root_and_nobody_can_be_asked_about(server: Server) -> None:
    role = f"arn:aws:iam::{DEFAULT_ACCOUNT}:role/ci"
    session = f"arn:aws:sts::{DEFAULT_ACCOUNT}:assumed-role/ci/run-1"

    assert explain(server, *asked(role, "ecr:BatchGetImage"))[0] == 0
    assert explain(server, *asked(session, "ecr:PutImage"))[0] == 3
    assert explain(server, *asked(f"arn:aws:iam::{DEFAULT_ACCOUNT}:root", "ecr:PutImage"))[0] == 0
    assert explain(server, *asked(f"arn:aws:iam::{OTHER_ACCOUNT}:root", "ecr:PutImage", ARN))[0] == 3
    assert explain(server, *asked("anonymous", "ecr:BatchGetImage"))[0] == 3
    assert explain(server, *asked(DEV, "sts:AssumeRole", role))[1]["outcome"] == "denied"


def test_who_is_not_there_is_said(server: Server) -> None:
    done = server.command("explain", *asked(f"arn:aws:iam::{DEFAULT_ACCOUNT}:user/none", "ecr:PutImage"), check=False)

    assert done.returncode == 1
    assert done.stderr.strip().endswith(f"there is no user none in account {DEFAULT_ACCOUNT} here")


def test_a_request_that_was_made_is_explained(server: Server) -> None:
    with pytest.raises(ClientError) as refused:
        server.client("ecr", OTHER_ACCOUNT).list_images(registryId=DEFAULT_ACCOUNT, repositoryName=REPOSITORY)
    request_id = refused.value.response["ResponseMetadata"]["RequestId"]

    def recorded() -> Any:
        done = server.command("explain", "--json", "--request-id", request_id, check=False)
        return (done.returncode, json.loads(done.stdout)) if done.returncode == 3 else None

    _, told = wait_until(recorded, "the record is there")

    (event,) = told["events"]
    assert event["event"] == "ListImages"
    assert event["decision"]["outcome"] == "denied"
    assert event["decision"]["remedy"]
    assert event["now"]["outcome"] == "denied"
    text = server.command("explain", "--request-id", request_id, check=False).stdout
    assert "today       it would be the same" in text


def test_a_request_that_nobody_made_is_said(server: Server) -> None:
    done = server.command("explain", "--request-id", "00000000-0000-4000-8000-000000000000", check=False)

    assert done.returncode == 1
    assert "no record of the request" in done.stderr
