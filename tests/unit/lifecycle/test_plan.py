"""Which images go together, in which order, and what the brake stops."""

from openecr.services.ecr.lifecycle.evaluation import DAY_US, Image, Outcome, Verdict, Why, evaluate
from openecr.services.ecr.lifecycle.plan import batches, brake, units
from openecr.services.ecr.lifecycle.policy import Rule

NOW_US = 1_800_000_000_000_000
EVERYTHING = Rule(1, None, "any", (), (), "standard", "sinceImagePushed", 1, "expire", None)


def image(key: int, age_days: int, **more: object) -> Image:
    return Image(key, bytes([key]), (), NOW_US - age_days * DAY_US, **more)  # type: ignore[arg-type]


def keys(images: list[Image]) -> list[list[int]]:
    return [[item.image.key for item in unit] for unit in units(evaluate((EVERYTHING,), images, NOW_US))]


def test_indexes_go_first_with_their_members_and_what_refers_to_them() -> None:
    plain, index = image(1, 9), image(2, 8)
    member = image(3, 8, parents=(2,), was_tagged=False)
    signature = image(4, 7, subject=3, is_referrer=True)

    assert keys([plain, index, member, signature]) == [[2, 3, 4], [1]]


def test_a_member_of_two_indexes_goes_with_the_last_of_them() -> None:
    older, newer = image(1, 9), image(2, 8)
    shared = image(3, 9, parents=(1, 2), was_tagged=False)

    assert keys([older, newer, shared]) == [[1], [2, 3]]


def test_indexes_of_indexes_go_whole() -> None:
    outer, inner = image(1, 9), image(2, 9, parents=(1,), was_tagged=False)
    member = image(3, 9, parents=(1, 2), was_tagged=False)

    assert keys([outer, inner, member]) == [[1, 2, 3]]


def test_an_index_that_refers_to_its_own_member_goes_before_it() -> None:
    index = image(1, 8, subject=2, is_referrer=True)
    member = image(2, 9, parents=(1,), was_tagged=False)
    doomed = [Verdict(item, Outcome.EXPIRE, Why.RULE, EVERYTHING) for item in (member, index)]

    assert [[item.image.key for item in unit] for unit in units(doomed)] == [[1, 2]]


def test_a_unit_is_never_cut() -> None:
    verdicts = evaluate((EVERYTHING,), [image(key, 9) for key in range(5)], NOW_US)
    large = verdicts[:3]

    assert list(batches([large, [verdicts[3]], [verdicts[4]]], 2)) == [[large], [[verdicts[3]], [verdicts[4]]]]


def test_the_brake_stops_what_is_above_its_share() -> None:
    assert brake(5, 10, 50) is None
    assert brake(10, 10, 0) is None
    stopped = brake(6, 10, 50)
    assert stopped is not None
    assert stopped.startswith("it would delete 6 of 10 images, more than the 50 % that lifecycle_brake_percent allows")
