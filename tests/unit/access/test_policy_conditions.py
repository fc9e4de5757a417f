"""Does a condition hold? Each row is decided twice: under a statement that allows, and under one that denies."""

from typing import Any

import pytest
from tests.unit.access.deciding import PULL, USER, allow, decide, deny

OPERATORS = "IAM User Guide, IAM JSON policy elements: Condition operators"
MULTIPLE = "IAM User Guide, Conditions with multiple context keys or values"
SETS = "IAM User Guide, Single-valued vs. multivalued context keys"
VARIABLES = "IAM User Guide, IAM policy elements: Variables and tags"
CONDITION = "IAM User Guide, IAM JSON policy elements: Condition"

TAG, IP, TIME = "aws:PrincipalTag/team", "aws:SourceIp", "aws:CurrentTime"
AGE, ARN, KEYS = "aws:MultiFactorAuthAge", "aws:PrincipalArn", "aws:TagKeys"
TLS, USERNAME = "aws:SecureTransport", "aws:username"
CI = "arn:aws:iam::111122223333:role/ci"

# source, operator, key, the policy's values, the request's values (None: the key is absent), whether it holds
ROWS: list[tuple[str, str, str, Any, list[str] | None, bool]] = [
    (OPERATORS, "StringEquals", TAG, "red", ["red"], True),
    (OPERATORS, "StringEquals", TAG, "red", ["Red"], False),
    (OPERATORS, "StringEquals", TAG, "red", None, False),
    (OPERATORS, "StringEquals", TAG, "r*", ["red"], False),
    (OPERATORS, "StringEquals", TAG, "r*", ["r*"], True),
    (OPERATORS, "StringEquals", TAG, "", [""], True),
    (MULTIPLE, "StringEquals", TAG, ["red", "blue"], ["blue"], True),
    (MULTIPLE, "StringEquals", TAG, ["red", "blue"], ["green"], False),
    (OPERATORS, "StringNotEquals", TAG, "red", ["blue"], True),
    (OPERATORS, "StringNotEquals", TAG, "red", ["red"], False),
    (OPERATORS, "StringNotEquals", TAG, "red", None, True),
    (MULTIPLE, "StringNotEquals", TAG, ["red", "blue"], ["blue"], False),
    (MULTIPLE, "StringNotEquals", TAG, ["red", "blue"], ["green"], True),
    (OPERATORS, "StringEqualsIgnoreCase", TAG, "ReD", ["rEd"], True),
    (OPERATORS, "StringEqualsIgnoreCase", TAG, "red", ["blue"], False),
    (OPERATORS, "StringNotEqualsIgnoreCase", TAG, "red", ["RED"], False),
    (OPERATORS, "StringNotEqualsIgnoreCase", TAG, "red", ["BLUE"], True),
    (OPERATORS, "StringLike", TAG, "r*", ["red"], True),
    (OPERATORS, "StringLike", TAG, "r?d", ["red"], True),
    (OPERATORS, "StringLike", TAG, "r?d", ["reed"], False),
    (OPERATORS, "StringLike", TAG, "*", ["a:b/c"], True),
    (OPERATORS, "StringLike", TAG, "*", None, False),
    (OPERATORS, "StringLike", TAG, "a*:b*c", ["a-1/2:b:c"], True),
    (OPERATORS, "StringLike", TAG, "R*", ["red"], False),
    (OPERATORS, "StringLike", TAG, "red*ed", ["red"], False),
    (OPERATORS, "StringLike", TAG, "red*ed", ["reded"], True),
    (OPERATORS, "StringLike", TAG, "re*e*d", ["red"], False),
    (OPERATORS, "StringNotLike", TAG, "r*", ["red"], False),
    (OPERATORS, "StringNotLike", TAG, "r*", ["blue"], True),
    (OPERATORS, "StringNotLike", TAG, "r*", None, True),
    (OPERATORS, "NumericEquals", AGE, "10", ["10"], True),
    (OPERATORS, "NumericEquals", AGE, "10", ["10.0"], True),
    (OPERATORS, "NumericEquals", AGE, 10, ["10"], True),
    (OPERATORS, "NumericEquals", AGE, "10", ["ten"], False),
    (OPERATORS, "NumericEquals", AGE, "10", None, False),
    (OPERATORS, "NumericNotEquals", AGE, "10", ["11"], True),
    (OPERATORS, "NumericNotEquals", AGE, "10", ["10"], False),
    (OPERATORS, "NumericNotEquals", AGE, "10", None, True),
    (OPERATORS, "NumericLessThan", AGE, "300", ["299.5"], True),
    (OPERATORS, "NumericLessThan", AGE, "300", ["300"], False),
    (OPERATORS, "NumericLessThan", AGE, "-1", ["-2"], True),
    (OPERATORS, "NumericLessThanEquals", AGE, "300", ["300"], True),
    (OPERATORS, "NumericLessThanEquals", AGE, "300", ["301"], False),
    (OPERATORS, "NumericGreaterThan", AGE, "9", ["10"], True),
    (OPERATORS, "NumericGreaterThan", AGE, "10", ["10"], False),
    (OPERATORS, "NumericGreaterThanEquals", AGE, "10", ["10"], True),
    (OPERATORS, "NumericGreaterThanEquals", AGE, "10", ["9"], False),
    (OPERATORS, "DateEquals", TIME, "2020-01-01T00:00:00Z", ["2020-01-01T01:00:00+01:00"], True),
    (OPERATORS, "DateEquals", TIME, "2020-01-01", ["2020-01-01T00:00:00Z"], True),
    (OPERATORS, "DateEquals", TIME, "2020-01-01T00:00:00Z", ["1577836800"], True),
    (OPERATORS, "DateEquals", TIME, "2020", ["2020-01-01T00:00Z"], True),
    (OPERATORS, "DateEquals", TIME, "2020-01-01", ["yesterday"], False),
    (OPERATORS, "DateNotEquals", TIME, "2020-01-01", ["2020-01-02"], True),
    (OPERATORS, "DateNotEquals", TIME, "2020-01-01", ["2020-01-01"], False),
    (OPERATORS, "DateLessThan", TIME, "2020-01-01T00:00:01Z", ["2020-01-01T00:00:00.999Z"], True),
    (OPERATORS, "DateLessThan", TIME, "2020-01-01T00:00:01Z", ["2020-01-01T00:00:01Z"], False),
    (OPERATORS, "DateLessThanEquals", TIME, "2020-01-01T00:00:01Z", ["2020-01-01T00:00:01Z"], True),
    (OPERATORS, "DateGreaterThan", "aws:TokenIssueTime", "2020-01-01T00:00:01Z", ["2020-02-01T00:00:00Z"], True),
    (OPERATORS, "DateGreaterThan", "aws:TokenIssueTime", "2020-01-01T00:00:01Z", ["2019-12-31T23:59:59Z"], False),
    (OPERATORS, "DateGreaterThan", "aws:TokenIssueTime", "2020-01-01T00:00:01Z", None, False),
    (OPERATORS, "DateGreaterThanEquals", "aws:EpochTime", "1577836801", ["1577836801"], True),
    (OPERATORS, "DateGreaterThanEquals", "aws:EpochTime", "1577836801", ["1577836800"], False),
    (OPERATORS, "Bool", TLS, "true", ["true"], True),
    (OPERATORS, "Bool", TLS, True, ["true"], True),
    (OPERATORS, "Bool", TLS, "false", ["true"], False),
    (OPERATORS, "Bool", TLS, "False", ["false"], True),
    (OPERATORS, "Bool", TLS, "false", None, False),
    (OPERATORS, "Bool", TLS, ["true", "false"], ["false"], True),
    (OPERATORS, "BinaryEquals", "a:key", "QmluYXJ5VmFsdWVJbkJhc2U2NA==", ["QmluYXJ5VmFsdWVJbkJhc2U2NA=="], True),
    (OPERATORS, "BinaryEquals", "a:key", "QmluYXJ5VmFsdWVJbkJhc2U2NA==", ["QUJD"], False),
    (OPERATORS, "BinaryEquals", "a:key", "QUJD", None, False),
    (OPERATORS, "IpAddress", IP, "203.0.113.0/24", ["203.0.113.255"], True),
    (OPERATORS, "IpAddress", IP, "203.0.113.0/24", ["203.0.114.0"], False),
    (OPERATORS, "IpAddress", IP, "203.0.113.7", ["203.0.113.7"], True),
    (OPERATORS, "IpAddress", IP, "203.0.113.7", ["203.0.113.8"], False),
    (OPERATORS, "IpAddress", IP, ["203.0.113.0/24", "2001:DB8:1234:5678::/64"], ["2001:db8:1234:5678::9"], True),
    (OPERATORS, "IpAddress", IP, "2001:DB8:1234:5678::/64", ["2001:db8:1234:5679::9"], False),
    (OPERATORS, "IpAddress", IP, "0.0.0.0/0", ["2001:db8::1"], False),
    (OPERATORS, "IpAddress", IP, "203.0.113.0/24", ["::ffff:203.0.113.9"], True),
    (OPERATORS, "IpAddress", IP, "203.0.113.0/24", None, False),
    (OPERATORS, "IpAddress", IP, "203.0.113.0/24", ["somewhere"], False),
    (OPERATORS, "NotIpAddress", IP, "203.0.113.0/24", ["203.0.113.9"], False),
    (OPERATORS, "NotIpAddress", IP, "203.0.113.0/24", ["198.51.100.1"], True),
    (OPERATORS, "NotIpAddress", IP, "203.0.113.0/24", None, True),
    (MULTIPLE, "NotIpAddress", IP, ["203.0.113.0/24", "198.51.100.0/24"], ["198.51.100.1"], False),
    (OPERATORS, "ArnEquals", ARN, CI, [CI], True),
    (OPERATORS, "ArnEquals", ARN, "arn:aws:iam::111122223333:role/*", [CI], True),
    (OPERATORS, "ArnLike", ARN, "arn:aws:iam::*:role/c?", [CI], True),
    (OPERATORS, "ArnLike", ARN, "arn:aws:iam::111122223333:role/team/*", [CI], False),
    (OPERATORS, "ArnLike", ARN, "arn:aws:iam::*/ci", [CI], False),
    (OPERATORS, "ArnLike", ARN, "arn:aws:*:*:*:*", [CI], True),
    (OPERATORS, "ArnLike", ARN, "arn:aws:iam:*:role/ci", [CI], False),
    (OPERATORS, "ArnLike", ARN, CI, None, False),
    (OPERATORS, "ArnLike", ARN, "arn:aws:logs:*:*:log-group:*", ["arn:aws:logs:eu-west-1:1:log-group:a:b"], True),
    (OPERATORS, "ArnNotEquals", ARN, CI, [CI], False),
    (OPERATORS, "ArnNotEquals", ARN, CI, [CI + "2"], True),
    (OPERATORS, "ArnNotLike", ARN, "arn:aws:iam::*:role/*", [CI], False),
    (OPERATORS, "ArnNotLike", ARN, "arn:aws:iam::*:user/*", [CI], True),
    (OPERATORS, "ArnNotLike", ARN, CI, None, True),
    (OPERATORS, "Null", "aws:TokenIssueTime", "true", None, True),
    (OPERATORS, "Null", "aws:TokenIssueTime", "true", ["2020-01-01"], False),
    (OPERATORS, "Null", "aws:TokenIssueTime", "false", ["2020-01-01"], True),
    (OPERATORS, "Null", "aws:TokenIssueTime", "false", None, False),
    (OPERATORS, "Null", "aws:TokenIssueTime", True, None, True),
    (OPERATORS, "StringEqualsIfExists", TAG, "red", None, True),
    (OPERATORS, "StringEqualsIfExists", TAG, "red", ["blue"], False),
    (OPERATORS, "StringLikeIfExists", TAG, "r*", ["red"], True),
    (OPERATORS, "StringNotEqualsIfExists", TAG, "red", None, True),
    (OPERATORS, "StringNotEqualsIfExists", TAG, "red", ["red"], False),
    (OPERATORS, "NumericLessThanIfExists", AGE, "10", None, True),
    (OPERATORS, "NumericLessThanIfExists", AGE, "10", ["11"], False),
    (OPERATORS, "DateLessThanIfExists", TIME, "2020-01-01", None, True),
    (OPERATORS, "BoolIfExists", "aws:MultiFactorAuthPresent", "false", None, True),
    (OPERATORS, "BoolIfExists", "aws:MultiFactorAuthPresent", "false", ["true"], False),
    (OPERATORS, "IpAddressIfExists", IP, "203.0.113.0/24", None, True),
    (OPERATORS, "ArnLikeIfExists", ARN, CI, None, True),
    (OPERATORS, "BinaryEqualsIfExists", "a:key", "QUJD", None, True),
    (SETS, "ForAllValues:StringEquals", KEYS, ["a", "b"], ["a"], True),
    (SETS, "ForAllValues:StringEquals", KEYS, ["a", "b"], ["a", "b"], True),
    (SETS, "ForAllValues:StringEquals", KEYS, ["a", "b"], ["a", "c"], False),
    (SETS, "ForAllValues:StringEquals", KEYS, ["a", "b"], None, True),
    (SETS, "ForAllValues:StringEquals", KEYS, ["a", "b"], [], True),
    (SETS, "ForAllValues:StringEquals", KEYS, ["a", "b"], [""], True),
    (SETS, "ForAllValues:StringLike", KEYS, "key1*", ["key1", "key12"], True),
    (SETS, "ForAllValues:StringNotEquals", KEYS, ["a", "b"], ["c", "d"], True),
    (SETS, "ForAllValues:StringNotEquals", KEYS, ["a", "b"], ["c", "a"], False),
    (SETS, "ForAllValues:StringNotEquals", KEYS, ["a", "b"], None, True),
    (SETS, "ForAnyValue:StringEquals", KEYS, ["a", "b"], ["c", "b"], True),
    (SETS, "ForAnyValue:StringEquals", KEYS, ["a", "b"], ["c"], False),
    (SETS, "ForAnyValue:StringEquals", KEYS, ["a", "b"], None, False),
    (SETS, "ForAnyValue:StringEquals", KEYS, ["a", "b"], [], False),
    (SETS, "ForAnyValue:StringLike", KEYS, "cost*", ["owner", "cost-center"], True),
    (SETS, "ForAnyValue:StringNotEquals", KEYS, ["a", "b"], ["a", "c"], True),
    (SETS, "ForAnyValue:StringNotEquals", KEYS, ["a", "b"], ["a", "b"], False),
    (SETS, "ForAnyValue:StringNotEquals", KEYS, ["a", "b"], None, False),
    (SETS, "ForAnyValue:StringEqualsIfExists", KEYS, ["a"], None, False),
    (SETS, "ForAllValues:StringEqualsIfExists", KEYS, ["a"], ["b"], False),
    (SETS, "ForAllValues:ArnLike", "aws:SourceArn", "arn:aws:iam::*:role/*", [CI], True),
    (SETS, "ForAnyValue:NumericLessThan", AGE, "10", ["20", "5"], True),
    (CONDITION, "StringEquals", "AWS:principaltag/TEAM", "red", ["red"], True),
    (OPERATORS, "stringequals", TAG, "red", ["red"], True),
]


@pytest.mark.parametrize(("source", "operator", "key", "wanted", "held", "holds"), ROWS)
def test_a_condition(source: str, operator: str, key: str, wanted: Any, held: list[str] | None, holds: bool) -> None:
    condition = {operator: {key: wanted}}
    # The key's own spelling is the policy's; the request has it as AWS's pages write it.
    context = {} if held is None else {key: held}
    allowed = decide(USER, context=context, identity=allow(condition=condition))
    assert allowed.allowed is holds, source
    denied = decide(USER, context=context, identity=[allow(), deny(condition=condition)])
    assert denied.explicit is holds, source
    assert key.lower() in allowed.missing_keys or held


USERNAME_CONTEXT = {
    USERNAME: ["dev"],
    "aws:PrincipalTag/team": ["red"],
    "aws:PrincipalTag/star": ["*"],
    KEYS: ["a", "b"],
}

# operator, key's value in the request, the policy's value, whether it holds; all of "Variables and tags"
SUBSTITUTED: list[tuple[str, str, str, bool]] = [
    ("StringEquals", "dev", "${aws:username}", True),
    ("StringEquals", "dev", "${AWS:UserName}", True),
    ("StringEquals", "dev", "${ aws:username }", True),
    ("StringEquals", "home/dev/red", "home/${aws:username}/${aws:PrincipalTag/team}", True),
    ("StringEquals", "kim", "${aws:username}", False),
    ("StringLike", "dev/a/b", "${aws:username}/*", True),
    ("StringLike", "anything", "${aws:PrincipalTag/star}", False),
    ("StringLike", "*", "${aws:PrincipalTag/star}", True),
    ("StringLike", "anything", "${*}", False),
    ("StringLike", "*", "${*}", True),
    ("StringLike", "a?c", "a${?}c", True),
    ("StringLike", "abc", "a${?}c", False),
    ("StringEquals", "$5", "${$}5", True),
    ("StringEquals", "all", "${aws:PrincipalTag/none, 'all'}", True),
    ("StringEquals", "red", "${aws:PrincipalTag/team, 'all'}", True),
    ("StringEquals", "", "${aws:PrincipalTag/none}", False),
    ("StringEquals", "${aws:PrincipalTag/none}", "${aws:PrincipalTag/none}", False),
    ("StringNotEquals", "x", "${aws:PrincipalTag/none}", True),
    ("StringNotLike", "x", "${aws:PrincipalTag/none}*", True),
    ("StringEqualsIgnoreCase", "DEV", "${aws:username}", True),
    ("StringEqualsIgnoreCase", "home/DEV", "HOME/${aws:username}", True),
    ("StringEqualsIgnoreCase", "${BROKEN", "${broken", True),
    ("StringNotEqualsIgnoreCase", "x", "${aws:PrincipalTag/none}", True),
    ("StringEquals", "a", "${aws:TagKeys}", False),
    ("ArnLike", "arn:aws:iam::111122223333:role/dev", "arn:aws:iam::*:role/${aws:username}", True),
    ("ArnLike", "arn:aws:iam::111122223333:role/kim", "arn:aws:iam::*:role/${aws:username}", False),
    ("ArnNotLike", "arn:aws:iam::1:role/kim", "arn:aws:iam::*:role/${aws:PrincipalTag/none}", True),
    ("StringEquals", "${broken", "${broken", True),
    ("StringEquals", "${aws:username, dev}", "${aws:username, dev}", True),
    ("StringEquals", "dev", "${aws:username, dev}", False),
]


@pytest.mark.parametrize(("operator", "held", "wanted", "holds"), SUBSTITUTED)
def test_a_variable_in_a_condition(operator: str, held: str, wanted: str, holds: bool) -> None:
    context = {**USERNAME_CONTEXT, "a:value": [held]}
    verdict = decide(USER, context=context, identity=allow(condition={operator: {"a:value": wanted}}))
    assert verdict.allowed is holds, VARIABLES


def test_all_operators_and_all_keys_must_hold() -> None:
    condition = {"StringEquals": {TAG: "red", USERNAME: "dev"}, "IpAddress": {IP: "10.0.0.0/8"}}
    held = {TAG: ["red"], USERNAME: ["dev"], IP: ["10.1.1.1"]}
    assert decide(USER, context=held, identity=allow(condition=condition)).allowed, MULTIPLE
    for key, other in ((TAG, "blue"), (USERNAME, "kim"), (IP, "192.0.2.1")):
        assert not decide(USER, context={**held, key: [other]}, identity=allow(condition=condition)).allowed, MULTIPLE


def test_what_was_read_in_vain_is_told() -> None:
    verdict = decide(USER, identity=allow(PULL, condition={"Bool": {TLS: "true"}}, resource="*"))
    assert verdict.missing_keys == ("aws:securetransport",)
    assert verdict.read_context
    assert not decide(USER, identity=allow()).read_context
