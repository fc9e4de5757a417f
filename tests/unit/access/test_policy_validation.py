"""Which documents are taken, and what is said about the others."""

import json
from typing import Any

import pytest
from tests.unit.access.deciding import OURS, Statement, allow, deny, document

from openecr.access.policies.document import PolicyInvalid, PolicyKind, Position, compiled, parse

GRAMMAR = "IAM User Guide, Grammar of the IAM JSON policy language"
IDENTITY, TRUST = PolicyKind.IDENTITY, PolicyKind.TRUST
REPOSITORY, REGISTRY, ENDPOINT = PolicyKind.REPOSITORY, PolicyKind.REGISTRY, PolicyKind.ENDPOINT
SYNTAX = "Syntax errors in policy."
ANY = allow(resource="*")
TO_ANY = allow(principal="*")
ASSUME = allow("sts:AssumeRole", principal={"AWS": OURS})
USER, ROLE = f"arn:aws:iam::{OURS}:user/team/dev", f"arn:aws:iam::{OURS}:role/ci"

TAKEN: list[tuple[PolicyKind, Any]] = [
    (IDENTITY, ANY),
    (PolicyKind.BOUNDARY, ANY),
    (PolicyKind.SESSION, ANY),
    (IDENTITY, {**ANY, "Sid": ""}),
    (IDENTITY, {**ANY, "Sid": "Pull7"}),
    (IDENTITY, allow(not_action=["iam:*", "sts:*"], not_resource="arn:aws:iam::*:role/x")),
    (IDENTITY, allow("ecr:*", resource=["arn:aws:ecr:*:*:repository/*", "arn:aws:ec2:*"])),
    (IDENTITY, {**ANY, "Condition": {}}),
    (IDENTITY, {**ANY, "Condition": {"StringEquals": {}}}),
    (IDENTITY, {**ANY, "Condition": {"NumericLessThan": {"aws:MultiFactorAuthAge": 300}}}),
    (IDENTITY, {**ANY, "Condition": {"Bool": {"aws:SecureTransport": True}}}),
    (IDENTITY, {**ANY, "Condition": {"StringLike": {"localhost:5050:sub": ["a", "b"]}}}),
    (IDENTITY, {**ANY, "Condition": {"ForAnyValue:StringEquals": {"aws:TagKeys": []}}}),
    (TRUST, ASSUME),
    (TRUST, allow(["sts:AssumeRole", "sts:TagSession"], principal={"Service": "ecs-tasks.amazonaws.com"})),
    (TRUST, allow("sts:AssumeRoleWithWebIdentity", principal={"Federated": "accounts.google.com"})),
    (REPOSITORY, TO_ANY),
    (REPOSITORY, {**TO_ANY, "Sid": "new statement"}),
    (REPOSITORY, allow("*", principal={"AWS": [OURS, USER, ROLE, "AIDACKCEVSQ6C2EXAMPLE"]})),
    (REPOSITORY, allow("ECR:*", principal={"AWS": f"arn:aws:sts::{OURS}:assumed-role/ci/build@7"})),
    (REPOSITORY, deny("ecr:*", not_principal={"AWS": f"arn:aws-cn:iam::{OURS}:root"})),
    (REGISTRY, allow("ecr:ReplicateImage", principal={"AWS": OURS}, resource=f"arn:aws:ecr:*:{OURS}:repository/*")),
    (ENDPOINT, allow("*", principal="*", resource="*")),
]


@pytest.mark.parametrize(("kind", "statement"), TAKEN)
def test_what_is_taken(kind: PolicyKind, statement: Statement) -> None:
    for version in ("2008-10-17", "2012-10-17"):
        assert parse(document(statement, version=version), kind).version == version, GRAMMAR
    assert parse(json.dumps({"Id": "x", "Statement": statement}), kind).version == "2008-10-17", GRAMMAR


# kind, the statement, how what is said begins, what it names besides
REFUSED: list[tuple[PolicyKind, Any, str, str]] = [
    (IDENTITY, {**ANY, "Principal": "*"}, "Policy document should not specify a principal.", "statement 1"),
    (IDENTITY, {**ANY, "NotPrincipal": "*"}, "Policy document should not specify a principal.", ""),
    (PolicyKind.SESSION, {**ANY, "Principal": "*"}, "Policy document should not specify a principal.", ""),
    (IDENTITY, allow(), "Policy statement must contain resources.", "statement 1"),
    (IDENTITY, allow(resource=[]), "Policy statement must contain resources.", ""),
    (IDENTITY, {"Effect": "Allow", "Resource": "*"}, "Policy statement must contain actions.", ""),
    (IDENTITY, allow([], resource="*"), "Policy statement must contain actions.", ""),
    (IDENTITY, allow("", resource="*"), "Actions/Conditions must be prefaced by a vendor", ""),
    (IDENTITY, allow("PutImage", resource="*"), "Actions/Conditions must be prefaced by a vendor", "PutImage"),
    (IDENTITY, allow("e*r:PutImage", resource="*"), "Vendor e*r is not valid", ""),
    (IDENTITY, allow("ecr:", resource="*"), SYNTAX, "ecr:"),
    (IDENTITY, allow("ecr:Put:Image", resource="*"), SYNTAX, "ecr:Put:Image"),
    (IDENTITY, allow("ecr:Put Image", resource="*"), SYNTAX, ""),
    (IDENTITY, allow(1, resource="*"), SYNTAX, "Action"),
    (IDENTITY, allow(None, resource="*"), SYNTAX, "Action"),
    (IDENTITY, allow([["ecr:*"]], resource="*"), SYNTAX, "Action"),
    (IDENTITY, {**ANY, "NotAction": "ecr:*", "Action": "ecr:*"}, SYNTAX, "both"),
    (IDENTITY, {**ANY, "NotResource": "*"}, SYNTAX, "both"),
    (IDENTITY, allow(resource="team/app"), 'Resource team/app must be in ARN format or "*".', ""),
    (IDENTITY, allow(resource="arn:aws:ecr:x"), 'Resource arn:aws:ecr:x must be in ARN format or "*".', ""),
    (IDENTITY, allow(resource="arn:aws:*:::x"), "Resource vendor must be fully qualified", ""),
    (IDENTITY, {**ANY, "Effect": "allow"}, SYNTAX, "Effect"),
    (IDENTITY, {**ANY, "Effect": None}, SYNTAX, "Effect"),
    (IDENTITY, {"Action": "ecr:*", "Resource": "*"}, SYNTAX, "Effect"),
    (IDENTITY, {**ANY, "Actions": "ecr:*"}, SYNTAX, "Actions"),
    (IDENTITY, {**ANY, "action": "ecr:*"}, SYNTAX, "action"),
    (IDENTITY, {**ANY, "Sid": "a b"}, "Statement IDs (SID) must be alpha-numeric.", ""),
    (IDENTITY, {**ANY, "Sid": 7}, SYNTAX, "Sid"),
    (IDENTITY, {**ANY, "Condition": []}, SYNTAX, "Condition"),
    (IDENTITY, {**ANY, "Condition": {"StringEquals": "x"}}, SYNTAX, "StringEquals"),
    (IDENTITY, {**ANY, "Condition": {"StringIs": {"a:b": "c"}}}, SYNTAX, "StringIs"),
    (IDENTITY, {**ANY, "Condition": {"StringIs": {}}}, SYNTAX, "StringIs"),
    (IDENTITY, {**ANY, "Condition": {"NullIfExists": {"a:b": "true"}}}, SYNTAX, "NullIfExists"),
    (IDENTITY, {**ANY, "Condition": {"ForSome:StringEquals": {"a:b": "c"}}}, SYNTAX, "ForSome"),
    (IDENTITY, {**ANY, "Condition": {"StringEquals": {"SourceIp": "c"}}}, "Actions/Conditions must be", "SourceIp"),
    (IDENTITY, {**ANY, "Condition": {"StringEquals": {"a:b": {"c": "d"}}}}, SYNTAX, "a:b"),
    (IDENTITY, {**ANY, "Condition": {"StringEquals": {"a:b": None}}}, SYNTAX, "a:b"),
    (IDENTITY, {**ANY, "Condition": {"DateLessThan": {"a:b": "01T"}}}, "The policy failed legacy parsing", "01T"),
    (IDENTITY, {**ANY, "Condition": {"DateLessThan": {"a:b": "2020-13-01"}}}, "The policy failed legacy", ""),
    (IDENTITY, {**ANY, "Condition": {"NumericEquals": {"a:b": "ten"}}}, "The policy failed legacy parsing", "ten"),
    (IDENTITY, {**ANY, "Condition": {"NumericEquals": {"a:b": "--1"}}}, "The policy failed legacy parsing", ""),
    (IDENTITY, {**ANY, "Condition": {"IpAddress": {"a:b": "10.0.0.0/33"}}}, "The policy failed legacy", ""),
    (IDENTITY, {**ANY, "Condition": {"Bool": {"a:b": "yes"}}}, "The policy failed legacy parsing", "yes"),
    (IDENTITY, {**ANY, "Condition": {"Null": {"a:b": "x"}}}, "The policy failed legacy parsing", ""),
    (IDENTITY, {**ANY, "Condition": {"BinaryEquals": {"a:b": "?"}}}, "The policy failed legacy parsing", ""),
    (TRUST, {**ASSUME, "Resource": "*"}, "Has prohibited field Resource", ""),
    (TRUST, {**ASSUME, "NotResource": "*"}, "Has prohibited field NotResource", ""),
    (TRUST, allow("sts:AssumeRole"), "Missing required field Principal", ""),
    (TRUST, allow("ecr:*", principal="*"), "AssumeRole policy may only specify STS AssumeRole actions.", ""),
    (TRUST, allow("*", principal="*"), "AssumeRole policy may only specify STS AssumeRole actions.", ""),
    (REPOSITORY, {**TO_ANY, "Resource": "*"}, "Has prohibited field Resource", ""),
    (REPOSITORY, allow(), "Missing required field Principal", ""),
    (REPOSITORY, allow("s3:*", principal="*"), SYNTAX, "s3:*"),
    (REPOSITORY, {**TO_ANY, "NotPrincipal": "*"}, SYNTAX, ""),
    (REPOSITORY, allow(not_principal="*"), "Allow with NotPrincipal is not allowed.", ""),
    (REPOSITORY, allow(principal=OURS), "Invalid principal in policy", ""),
    (REPOSITORY, allow(principal=None), "Invalid principal in policy", ""),
    (REPOSITORY, allow(principal={}), "Invalid principal in policy", ""),
    (REPOSITORY, allow(principal={"AWS": []}), "Invalid principal in policy", ""),
    (REPOSITORY, allow(principal={"Group": "x"}), "Invalid principal in policy", "Group"),
    (REPOSITORY, allow(principal={"AWS": "12345"}), 'Invalid principal in policy: "AWS":"12345"', ""),
    (REPOSITORY, allow(principal={"AWS": 123456789012}), 'Invalid principal in policy: "AWS"', ""),
    (REPOSITORY, allow(principal={"AWS": f"arn:aws:iam::{OURS}:user/*"}), "Invalid principal in policy", ""),
    (REPOSITORY, allow(principal={"AWS": "arn:aws:iam::*:root"}), "Invalid principal in policy", ""),
    (REPOSITORY, allow(principal={"AWS": f"arn:aws:iam::{OURS}:group/x"}), "Invalid principal in policy", ""),
    (REPOSITORY, allow(principal={"AWS": f"arn:aws:sts::{OURS}:assumed-role/ci/*"}), "Invalid principal", ""),
    (REPOSITORY, allow(principal={"AWS": f"arn:aws:iam::{OURS}:user/dév"}), "Invalid principal in policy", ""),
    (REPOSITORY, allow(principal={"AWS": "١" * 12}), "Invalid principal in policy", ""),
    (REPOSITORY, allow(principal={"Service": "*"}), 'Invalid principal in policy: "SERVICE":"*"', ""),
    (REPOSITORY, allow(principal={"Service": "ecs.example.com"}), "Invalid principal in policy", ""),
    (REPOSITORY, {**TO_ANY, "Sid": "ä"}, SYNTAX, "Sid"),
    (REGISTRY, allow(principal="*"), "Policy statement must contain resources.", ""),
    (REGISTRY, allow(resource="*"), "Missing required field Principal", ""),
    (ENDPOINT, allow(resource="*"), "Missing required field Principal", ""),
]


@pytest.mark.parametrize(("kind", "statement", "said", "besides"), REFUSED)
def test_what_is_refused(kind: PolicyKind, statement: Any, said: str, besides: str) -> None:
    with pytest.raises(PolicyInvalid) as refused:
        parse(document(statement), kind)
    assert refused.value.said.startswith(said), refused.value.why
    assert besides in refused.value.why
    assert refused.value.why.startswith(refused.value.said)


TEXT = document(ANY)
BROKEN: list[tuple[str, str]] = [
    ("", "not valid JSON"),
    ("{", "not valid JSON"),
    (TEXT + "x", "not valid JSON"),
    ("[]", "not a JSON object"),
    ('"*"', "not a JSON object"),
    ("{}", "Statement"),
    ('{"Statement": []}', "Statement"),
    ('{"Statement": "x"}', "Statement"),
    ('{"Statement": [1]}', "statement 1"),
    ('{"Version": "2012-10-18", "Statement": []}', "2012-10-17 or greater"),
    ('{"Version": 1, "Statement": []}', "2012-10-17 or greater"),
    ('{"Statements": []}', "Statements"),
    ('{"Id": 1, "Statement": []}', "Id"),
    (TEXT.replace('"Effect"', '"Effect": "Deny", "Effect"'), '"Effect" is there twice'),
    (TEXT.replace('"Version"', '"Version": "2012-10-17", "Version"'), '"Version" is there twice'),
    (TEXT.replace('"Allow"', "NaN"), "not valid JSON"),
    (TEXT.replace('"Allow"', "[" * 100 + "]" * 100), "nested deeper"),
    (TEXT.replace('"Allow"', "[" * 100_000), "not valid JSON"),
    (TEXT.replace('"Allow"', "1" * 300), "Effect"),
    (TEXT.replace('"Allow"', "1" * 5000), "not valid JSON"),
    (TEXT.replace("Allow", "\ud800"), "not valid JSON"),
    (TEXT.replace("Allow", "\\ud800"), "not valid JSON"),
]


@pytest.mark.parametrize(("text", "why"), BROKEN)
def test_a_text_that_is_no_policy(text: str, why: str) -> None:
    for kind in PolicyKind:
        with pytest.raises(PolicyInvalid) as refused:
            parse(text, kind)
        assert why in refused.value.why or kind is not IDENTITY


def test_sids_are_unique_where_iam_keeps_the_policy() -> None:
    same = {**ANY, "Sid": "A"}
    with pytest.raises(PolicyInvalid, match="must be unique"):
        parse(document(same, same), IDENTITY)
    parse(document({**ANY, "Sid": ""}, {**ANY, "Sid": ""}, ANY), IDENTITY)
    own = {**TO_ANY, "Sid": "A"}
    assert len(parse(document(own, own), REPOSITORY).statements) == 2


def test_a_refusal_stays_a_sentence() -> None:
    with pytest.raises(PolicyInvalid) as refused:
        parse(document({**ANY, "x\n" * 5000: "y"}), IDENTITY)
    assert len(refused.value.why) < 400
    assert "\n" not in refused.value.why


@pytest.mark.parametrize("many", [True, False])
@pytest.mark.parametrize("indent", [None, 2])
def test_where_a_statement_stands(many: bool, indent: int | None) -> None:
    tricky = {**ANY, "Condition": {"StringEquals": {"a:b": '}{"Statement": [{'}}}
    statements = [tricky, {**ANY, "Sid": "Second"}] if many else tricky
    text = json.dumps({"Id": "{", "Statement": statements, "Version": "2012-10-17"}, indent=indent)
    lines = text.split("\n")
    for statement in parse(text, IDENTITY).statements:
        start, end = statement.start, statement.end
        cut = lines[start.line - 1 : end.line]
        cut[-1] = cut[-1][: end.column]
        cut[0] = cut[0][start.column - 1 :]
        found = json.loads("\n".join(cut))
        assert found == (statements[statement.index] if isinstance(statements, list) else statements)


def test_the_first_character_is_at_one() -> None:
    statement = parse('{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}', IDENTITY).statements[0]
    assert (statement.start, statement.end) == (Position(1, 14), Position(1, 59))


def test_a_policy_says_what_it_depends_on() -> None:
    statement = allow(
        resource="arn:aws:ecr:*:*:repository/${aws:PrincipalTag/Team}/*",
        condition={"StringEquals": {"ecr:ResourceTag/env": "${aws:RequestTag/env, 'x'}"}},
    )
    found = parse(document(statement), IDENTITY)
    assert found.depends_on == {"aws:principaltag/team", "ecr:resourcetag/env", "aws:requesttag/env"}
    assert found.reads_resource_tags
    assert not parse(document(ANY), IDENTITY).reads_resource_tags
    assert parse(document(statement, version="2008-10-17"), IDENTITY).depends_on == {"ecr:resourcetag/env"}


def test_a_variable_can_be_true() -> None:
    statement = {**ANY, "Condition": {"Bool": {"aws:SecureTransport": "${aws:PrincipalTag/tls}"}}}
    assert parse(document(statement), IDENTITY).depends_on == {"aws:securetransport", "aws:principaltag/tls"}
    with pytest.raises(PolicyInvalid, match="legacy parsing"):
        parse(document(statement, version="2008-10-17"), IDENTITY)


def test_a_text_is_compiled_once() -> None:
    assert compiled(TEXT, IDENTITY) is compiled(TEXT, IDENTITY)
    with pytest.raises(PolicyInvalid):
        compiled("{}", IDENTITY)
