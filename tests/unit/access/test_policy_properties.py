"""What holds for all policies and requests: denials win, allows only add, order is nothing, no text costs much."""

import json
import re
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.access.deciding import (
    ANONYMOUS,
    OURS,
    SERVICE,
    SESSION,
    THEIR_ROOT,
    THEIR_SESSION,
    THEIR_USER,
    THEIRS,
    USER,
    allow,
    decide,
    deny,
    document,
    policy,
)

from openecr.access.policies.context import Reading
from openecr.access.policies.document import PolicyInvalid, PolicyKind, parse
from openecr.access.policies.evaluation import AccessRequest, PolicySet, evaluate
from openecr.access.policies.matching import Patterns, resource_patterns

KINDS = ("identity", "boundary", "session", "repository", "registry", "endpoint")
callers = st.sampled_from([USER, SESSION, THEIR_USER, THEIR_SESSION, THEIR_ROOT, ANONYMOUS, SERVICE])
actions = st.sampled_from(["ecr:BatchGetImage", "ecr:Batch*", "ecr:*", "*", "ecr:PutImage"])
resources = st.sampled_from(
    ["*", f"arn:aws:ecr:*:{OURS}:repository/*", f"arn:aws:ecr:*:{OURS}:repository/${{aws:username}}/*", "arn:aws:s3:*"]
)
principals = st.sampled_from(
    ["*", {"AWS": OURS}, {"AWS": [THEIRS]}, {"AWS": USER.arn}, {"AWS": SESSION.role_arn}, {"AWS": THEIR_USER.arn}]
)
conditions = st.sampled_from(
    [{}, {}, {"StringEquals": {"a:b": "c"}}, {"Null": {"a:b": "true"}}, {"StringNotLike": {"a:b": "${aws:username}*"}}]
)
contexts = st.fixed_dictionaries(
    {}, optional={"a:b": st.just(["c"]), "aws:username": st.sampled_from([["team"], ["c"]])}
)
statements = st.builds(
    lambda effect, action, resource, principal, condition: effect(
        action, resource=resource, principal=principal, condition=condition
    ),
    st.sampled_from([allow, allow, deny]),
    actions,
    resources,
    principals,
    conditions,
)


def fitting(kind: str, statement: dict[str, Any]) -> dict[str, Any]:
    """The statement without what a policy of this kind may not say."""
    unwanted = {"identity": "Principal", "boundary": "Principal", "session": "Principal", "repository": "Resource"}
    return {name: value for name, value in statement.items() if name != unwanted.get(kind)}


policies = st.dictionaries(st.sampled_from(KINDS), st.lists(statements, min_size=1, max_size=4)).map(
    lambda drawn: {kind: [fitting(kind, each) for each in several] for kind, several in drawn.items()}
)
EVERYTHING = {"action": "*", "resource": "*", "principal": "*"}


@given(callers, policies, contexts, st.sampled_from(KINDS))
def test_an_explicit_deny_always_wins(caller: Any, given_ones: Any, context: Any, kind: str) -> None:
    if not caller.has_identity or caller.kind == "root":
        kind = "repository"
    denying = {**given_ones, kind: [*given_ones.get(kind, []), fitting(kind, deny("*", resource="*", principal="*"))]}
    verdict = decide(caller, context=context, **denying)
    assert verdict.explicit
    assert not verdict.allowed
    assert verdict.reason.startswith("with an explicit deny in ")


@given(callers, policies, contexts, statements, st.sampled_from(KINDS))
def test_an_allow_never_takes_access_away(caller: Any, given_ones: Any, context: Any, more: Any, kind: str) -> None:
    if kind not in given_ones and kind not in ("identity", "repository", "registry"):
        return  # a limit that was not there takes away what it does not allow
    more = fitting(kind, {**more, "Effect": "Allow"})
    before = decide(caller, context=context, **given_ones)
    after = decide(caller, context=context, **{**given_ones, kind: [*given_ones.get(kind, []), more]})
    assert after.allowed >= before.allowed


@given(callers, policies, contexts, st.randoms())
def test_order_is_nothing(caller: Any, given_ones: Any, context: Any, random: Any) -> None:
    shuffled = {kind: random.sample(several, len(several)) for kind, several in given_ones.items()}
    one, other = decide(caller, context=context, **given_ones), decide(caller, context=context, **shuffled)
    assert (one.allowed, one.reason, one.missing_keys) == (other.allowed, other.reason, other.missing_keys)


@given(callers, st.lists(statements, max_size=6), contexts)
def test_statements_may_stand_in_one_policy_or_in_many(caller: Any, several: Any, context: Any) -> None:
    drawn = [fitting("identity", each) for each in several]
    held = {key: tuple(values) for key, values in context.items()}
    asked = AccessRequest(caller, "ecr:BatchGetImage", f"arn:aws:ecr:x:{OURS}:repository/team/app", OURS, held)
    apart = [policy(PolicyKind.IDENTITY, each) for each in drawn]
    together = [policy(PolicyKind.IDENTITY, *drawn)] if drawn else []
    one, other = evaluate(asked, PolicySet(identity=apart)), evaluate(asked, PolicySet(identity=together))
    assert (one.allowed, one.reason) == (other.allowed, other.reason)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["*", "ecr:*"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["AWS", "Service", "StringEquals", "Null", "a:b", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)
names = [
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
    "x",
]


@given(
    st.dictionaries(st.sampled_from(names), json_values, max_size=5),
    st.sampled_from([{}, allow(resource="*"), allow(principal="*")]),
    st.sampled_from(list(PolicyKind)),
)
def test_any_document_is_taken_or_refused(members: Any, base: Any, kind: PolicyKind) -> None:
    _parsed(json.dumps({"Version": "2012-10-17", "Statement": [{**base, **members}]}), kind)


@given(st.text(), st.sampled_from(list(PolicyKind)))
def test_any_text_is_taken_or_refused(text: str, kind: PolicyKind) -> None:
    _parsed(text, kind)


@given(st.data(), st.sampled_from(list(PolicyKind)))
def test_any_damaged_text_is_taken_or_refused(data: st.DataObject, kind: PolicyKind) -> None:
    text = document(allow(resource="*", condition={"StringLike": {"a:b": ["${aws:username}", "x"]}}))
    at = data.draw(st.integers(0, len(text) - 1))
    _parsed(text[:at] + data.draw(st.text(max_size=3)) + text[at + data.draw(st.integers(0, 3)) :], kind)


def _parsed(text: str, kind: PolicyKind) -> None:
    try:
        parse(text, kind)
    except PolicyInvalid as refused:
        assert refused.why  # noqa: PT017 - that it is refused is not what is tested


shapes = st.text(alphabet="ab:*?", max_size=10)
texts = st.text(alphabet="ab:", max_size=12)


@settings(max_examples=500)
@given(shapes, texts)
def test_wildcards_match_what_their_regular_expression_does(shape: str, text: str) -> None:
    oracle = "".join({"*": ".*", "?": "."}.get(each, re.escape(each)) for each in shape)
    found = Patterns([shape], wildcards=True, variables=False).match(text, Reading({}))
    assert found == (re.fullmatch(oracle, text, re.DOTALL) is not None)


@settings(max_examples=500)
@given(shapes, texts)
def test_wildcards_of_resources_stay_in_their_segment_unless_they_end_it(shape: str, text: str) -> None:
    shape = re.sub(r"\*+", "*", shape)
    oracle = re.sub(r"\*(?=:|$)|\*|\?", lambda found: _oracle(found, shape), shape)
    found = resource_patterns([shape], variables=False).match(text, Reading({}))
    assert found == (re.fullmatch(oracle, text, re.DOTALL) is not None)


def _oracle(found: re.Match[str], shape: str) -> str:
    if found[0] == "?":
        return "[^:]"
    return ".*" if shape[found.end() :][:1] in ("", ":") else "[^:]*"


@pytest.mark.parametrize("text", ["a" * 2000, "ab" * 1000, "a:" * 1000])
@pytest.mark.parametrize(
    "shape", ["a*" * 3000 + "b", "*a?" * 2000 + "c", "*" * 10_000, "?" * 2001, "*a" * 900 + ":*b", "a" * 10_000 + "*"]
)
def test_no_pattern_makes_a_match_slow(shape: str, text: str) -> None:
    fixed, resource = Patterns([shape], wildcards=True, variables=False), resource_patterns([shape], variables=False)
    began = time.process_time()
    fixed.match(text, Reading({}))
    resource.match(text, Reading({}))
    assert time.process_time() - began < 0.25


@pytest.mark.parametrize(
    "filling", ["${" * 5000, "${aws:username" * 700, "${a" * 3000 + "}", "*?" * 5000, "${a:b}" * 1600]
)
def test_no_text_makes_parsing_or_deciding_slow(filling: str) -> None:
    statement = allow(resource=f"arn:aws:ecr:*:*:repository/{filling}", condition={"StringLike": {"a:b": filling}})
    began = time.process_time()
    decide(USER, context={"a:b": ["x" * 256], "aws:username": ["y"]}, identity=statement)
    assert time.process_time() - began < 0.25
