"""What a decision costs: ten policies of ten statements, weighed anew, and remembered. In this process, no server."""

import gc
import json
import time
from collections.abc import Callable
from typing import Any

from bench.measurement import Bench, Gate, Row
from openecr.access.policies.document import PolicyKind, parse
from openecr.access.policies.evaluation import (
    AccessRequest,
    DecisionCache,
    NamedPolicy,
    PolicySet,
    Principal,
    evaluate,
)

_ACCOUNT = "111122223333"
_CALLER = Principal("user", f"arn:aws:iam::{_ACCOUNT}:user/dev", _ACCOUNT, unique_id="AIDACKCEVSQ6C2EXAMPLE")
_APP = f"arn:aws:ecr:eu-central-1:{_ACCOUNT}:repository/team/app"
_CONTEXT = {
    "aws:username": ("dev",),
    "aws:sourceip": ("10.1.2.3",),
    "aws:securetransport": ("true",),
    "aws:principaltag/team": ("team",),
    "aws:resourcetag/team": ("team",),
}
_PULL = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"]


def _usual(number: int) -> dict[str, Any]:
    """A statement as people write them: most are about other actions or repositories."""
    return {
        "Effect": "Allow",
        "Action": _PULL if number % 2 else ["ecr:Put*", "ecr:*Layer*"],
        "Resource": f"arn:aws:ecr:*:{_ACCOUNT}:repository/team-{number}/*",
    }


def _demanding(number: int) -> dict[str, Any]:
    """A statement that must be read to its end: its action and resource match, and all its conditions but the last."""
    return {
        "Effect": "Allow",
        "Action": "ecr:*",
        "Resource": f"arn:aws:ecr:*:{_ACCOUNT}:repository/${{aws:PrincipalTag/team}}/*",
        "Condition": {
            "IpAddress": {"aws:SourceIp": ["192.0.2.0/24", "10.0.0.0/8"]},
            "Bool": {"aws:SecureTransport": "true"},
            "StringLike": {"aws:username": [f"svc-{number}-*"]},
        },
    }


def _policies(statement: Callable[[int], dict[str, Any]], last: dict[str, Any]) -> PolicySet:
    """Ten policies of ten statements; the hundredth one allows."""
    statements = [statement(number) for number in range(99)] + [last]
    return PolicySet(
        identity=[
            NamedPolicy(
                f"arn:aws:iam::{_ACCOUNT}:policy/p{first}",
                parse(
                    json.dumps({"Version": "2012-10-17", "Statement": statements[first : first + 10]}),
                    PolicyKind.IDENTITY,
                ),
            )
            for first in range(0, 100, 10)
        ]
    )


def _microseconds(act: Callable[[], object], times: int) -> float:
    """One call of many in a row; the collector of garbage stays on, as it is in a server.

    In CPU time, which a decision is nothing but: what else runs on the machine makes no difference.
    """
    gc.collect()
    began = time.process_time()
    for _ in range(times):
        act()
    return (time.process_time() - began) / times * 1e6


class PolicyDecisions:
    """How long a request waits for the policies."""

    name = "policy-decisions"
    by_default = True

    def run(self, bench: Bench) -> list[Row]:
        request = AccessRequest(_CALLER, "ecr:BatchGetImage", _APP, _ACCOUNT, _CONTEXT)
        allowing = {"Effect": "Allow", "Action": "ecr:BatchGetImage", "Resource": _APP}
        usual, demanding = _policies(_usual, allowing), _policies(_demanding, allowing)
        cache = DecisionCache()
        measured: dict[str, Callable[[], object]] = {
            "usual": lambda: evaluate(request, usual),
            "demanding": lambda: evaluate(request, demanding),
            "cached": lambda: cache.decide(("tables", 7), request, lambda: usual),
        }
        assert evaluate(request, usual).allowed
        assert evaluate(request, demanding).allowed
        taken: dict[str, list[float]] = {key: [] for key in measured}
        for _ in range(bench.scale.rounds):
            for key, act in measured.items():
                taken[key].append(_microseconds(act, 100_000 if key == "cached" else 2_000))
        note = "no peer: docker-registry has no policies"
        return [
            Row("decision, 10 policies of 10 statements", "CPU-µs", taken["usual"], [], _at_most(500), note),
            Row("the same, every statement read to its end", "CPU-µs", taken["demanding"], [], _at_most(500), note),
            Row("decision that read no context, again", "CPU-µs", taken["cached"], [], _at_most(5), note),
        ]


def _at_most(microseconds: float) -> Gate:
    return Gate(microseconds, "at most", on="value")
