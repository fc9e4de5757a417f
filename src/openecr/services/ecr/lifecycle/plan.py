"""In which order images expire, and whether a run may go on. Pure.

What belongs together goes in one transaction: an index with the members that nothing else names any more, and an image
with what refers to it, so that a run which dies in the middle leaves no member without its index and no signature
without what it signs.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from openecr.services.ecr.lifecycle.evaluation import Image, Outcome, Verdict

Unit = list[Verdict]
"""Images that go in one transaction, in this order."""


def units(verdicts: Iterable[Verdict]) -> list[Unit]:
    """The images that expire: indexes with their members first, then the others, by rule and the older ones first.

    An image of several indexes goes with the last of them.
    """
    doomed = {verdict.image.key: verdict for verdict in verdicts if verdict.outcome == Outcome.EXPIRE}
    found = _ordered(doomed, _leaders)
    left = doomed.keys() - {verdict.image.key for unit in found for verdict in unit}
    if left:
        # An index may refer to its own member: then what names goes before what is named, as deleting asks for.
        found += _ordered({key: doomed[key] for key in doomed if key in left}, lambda image: image.parents)
    return found


def _ordered(doomed: Mapping[int, Verdict], leaders: Callable[[Image], Sequence[int]]) -> list[Unit]:
    followers: dict[int, list[int]] = {}
    waits = dict.fromkeys(doomed, 0)
    for key, verdict in doomed.items():
        for leader in leaders(verdict.image):
            if leader in doomed and leader != key:
                followers.setdefault(leader, []).append(key)
                waits[key] += 1
    indexes = {parent for verdict in doomed.values() for parent in verdict.image.parents}
    leads = [key for key in doomed if waits[key] == 0]
    ordered = [key for key in leads if key in indexes] + [key for key in leads if key not in indexes]
    return [[doomed[key] for key in _together(lead, followers, waits)] for lead in ordered]


def _leaders(image: Image) -> Sequence[int]:
    """What goes before an image: the indexes that name it, and what it refers to."""
    if image.subject is None or image.subject in image.parents:
        return image.parents
    return (*image.parents, image.subject)


def _together(lead: int, followers: dict[int, list[int]], waits: dict[int, int]) -> Iterator[int]:
    """An image and all that waits for it alone by now, leaders before followers."""
    ready = [lead]
    while ready:
        key = ready.pop()
        yield key
        for follower in followers.get(key, ()):
            waits[follower] -= 1
            if waits[follower] == 0:
                ready.append(follower)


def batches(found: Sequence[Unit], most: int) -> Iterator[list[Unit]]:
    """Units for one transaction each: up to so many images, but a unit is never cut."""
    batch: list[Unit] = []
    size = 0
    for unit in found:
        if batch and size + len(unit) > most:
            yield batch
            batch, size = [], 0
        batch.append(unit)
        size += len(unit)
    if batch:
        yield batch


def brake(expiring: int, total: int, percent: int) -> str | None:
    """Why a run must not begin, a sentence; None where it may.

    Args:
        percent: the most of a repository that a run may delete; 0 for all of it.
    """
    if not percent or expiring * 100 <= total * percent:
        return None
    return (
        f"it would delete {expiring} of {total} images, more than the {percent} % that lifecycle_brake_percent allows; "
        "look with `openecr lifecycle explain`, then change the policy, or run it with `openecr lifecycle run "
        "--past-brake`"
    )
