"""The api plane answers as the golden files say: one request each, the expected answer, and where it is known from.

The files stand in ``tests/golden/aws/<Operation>/<case>.json``; ``<any>`` masks what is random. A recorded answer of
real ECR replaces a file when someone has one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.unit.aws.conftest import Api

FOLDER = Path(__file__).parents[2] / "golden" / "aws"
CASES = sorted(str(path.relative_to(FOLDER)) for path in FOLDER.glob("*/*.json"))


@pytest.mark.parametrize("case", CASES)
def test_the_answer_is_the_golden_one(api: Api, case: str) -> None:
    golden = json.loads((FOLDER / case).read_text())
    for step in golden["given"]:
        assert api.call(step["operation"], step["members"]).status == 200

    reply = api.call(case.partition("/")[0], golden["members"])

    assert (reply.status, masked(reply.document, golden["answer"])) == (golden["status"], golden["answer"])


def masked(answer: Any, golden: Any) -> Any:
    """The answer with its random values masked where the golden file masks them."""
    if golden == "<any>":
        return "<any>" if answer else answer
    if isinstance(answer, dict) and isinstance(golden, dict):
        return {name: masked(value, golden.get(name)) for name, value in answer.items()}
    if isinstance(answer, list) and isinstance(golden, list) and len(answer) == len(golden):
        return [masked(value, expected) for value, expected in zip(answer, golden, strict=True)]
    return answer
