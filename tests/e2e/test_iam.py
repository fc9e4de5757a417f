"""IAM with boto3, every operation, and with the AWS CLI, those that people use most."""

import json
import sys
from pathlib import Path
from typing import Any

from botocore import xform_name

from tests.e2e.every_iam_operation import tell
from tests.e2e.shell import Shell
from tests.running import Server

READ_ONLY = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly"


def test_boto3_calls_every_operation(server: Server) -> None:
    client = server.client("iam")

    def call(operation: str, **parameters: Any) -> Any:
        return getattr(client, xform_name(operation))(**parameters)

    tell(call, "told-by-boto3")


def test_the_cli_makes_a_user_for_ci_that_may_read(server: Server, tmp_path: Path) -> None:
    """User, group, policy from a file, key; and the key reads and does not write."""
    own = Shell(server.environment(), tmp_path)
    command = (sys.executable, "-m", "awscli")

    def iam(*words: str) -> Any:
        printed = own.run(*command, "iam", *words, "--output", "json")
        return json.loads(printed) if printed.strip() else None

    document = tmp_path / "list.json"
    document.write_text(
        json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "ecr:List*", "Resource": "*"}})
    )
    user = iam("create-user", "--user-name", "ci", "--tags", "Key=team,Value=payments")["User"]
    assert user["Arn"] == "arn:aws:iam::123456789012:user/ci"
    iam("create-group", "--group-name", "readers")
    iam("add-user-to-group", "--group-name", "readers", "--user-name", "ci")
    iam("attach-group-policy", "--group-name", "readers", "--policy-arn", READ_ONLY)
    made = iam("create-policy", "--policy-name", "list", "--policy-document", f"file://{document}")["Policy"]
    iam("attach-user-policy", "--user-name", "ci", "--policy-arn", made["Arn"])
    told = iam("get-policy-version", "--policy-arn", made["Arn"], "--version-id", "v1")["PolicyVersion"]
    assert told["Document"] == json.loads(document.read_text())
    names = iam("list-attached-user-policies", "--user-name", "ci", "--query", "AttachedPolicies[].PolicyName")
    assert names == ["list"]
    simulated = iam(
        "simulate-principal-policy", "--policy-source-arn", user["Arn"], "--action-names", "ecr:BatchGetImage",
        "ecr:PutImage", "--query", "EvaluationResults[].EvalDecision",
    )  # fmt: skip
    assert simulated == ["allowed", "implicitDeny"]
    key = iam("create-access-key", "--user-name", "ci")["AccessKey"]

    ci = own.with_variables(AWS_ACCESS_KEY_ID=key["AccessKeyId"], AWS_SECRET_ACCESS_KEY=key["SecretAccessKey"])
    assert ci.run(*command, "ecr", "get-login-password").strip()
    assert json.loads(ci.run(*command, "ecr", "describe-repositories", "--output", "json"))["repositories"] is not None
    said = ci.fail(*command, "ecr", "create-repository", "--repository-name", "ci/not-allowed")
    assert "(AccessDeniedException)" in said
    assert "because no identity-based policy allows the ecr:CreateRepository action" in said
    said = ci.fail(*command, "iam", "list-users")
    assert "(AccessDenied)" in said

    said = own.fail(*command, "iam", "delete-user", "--user-name", "ci")
    assert "(DeleteConflict)" in said
    assert "Cannot delete entity, must detach all policies first." in said
    iam("delete-access-key", "--user-name", "ci", "--access-key-id", key["AccessKeyId"])
    said = ci.fail(*command, "ecr", "describe-repositories")
    assert "(UnrecognizedClientException)" in said
