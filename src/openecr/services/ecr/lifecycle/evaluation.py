"""Which images of a repository a lifecycle policy expires or archives now, and why it keeps the others. Pure.

Source: ECR user guide, "Lifecycle policy evaluation rules"; behaviour reference, part B §1.4.

    every image is in the pool of each rule that its tags match, claimed or not: it keeps its place in the count
    the rule of the highest priority whose pool it is in claims it: no other rule acts on it
    an image that a live index names is protected until the index goes; what was pushed as a member of indexes and never
    had a tag is in no pool, and goes with the last index that names it
    what has a subject goes with its subject, once no index that stays names it
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import inf

from openecr.services.ecr.lifecycle.policy import (
    ANY,
    ARCHIVE,
    COUNT,
    EXPIRE,
    PULLED,
    STANDARD,
    TRANSITIONED,
    UNTAGGED,
    Rule,
)

DAY_US = 86_400 * 1_000_000
_LAST = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class Image:
    """What a policy may know of an image."""

    key: int
    digest: bytes
    tags: tuple[str, ...]
    pushed_us: int
    pulled_us: int | None = None
    """When it was last pulled, as recorded."""
    activated_us: int | None = None
    """When it was last restored from the archive."""
    archived_us: int | None = None
    """When it was last archived."""
    storage_class: str = STANDARD
    parents: tuple[int, ...] = ()
    """Keys of the indexes of the repository that name it."""
    was_tagged: bool = True
    """Whether it has or had a tag."""
    subject: int | None = None
    """The key of the image of the repository that it refers to."""
    is_referrer: bool = False
    """Whether it names a subject, there or not."""


class Outcome(StrEnum):
    """What becomes of an image."""

    EXPIRE = "EXPIRE"
    ARCHIVE = "TRANSITION"
    KEEP = "KEEP"


class Why(StrEnum):
    """What decided."""

    RULE = "rule"
    """The rule that claims it."""
    PROTECTED = "protected"
    """A rule selects it, and an index that stays names it."""
    MEMBER = "member"
    """It is part of indexes, and goes or stays with them."""
    REFERRER = "referrer"
    """It goes or stays with its subject."""
    UNCLAIMED = "unclaimed"
    """No rule's selection matches it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the policy says of one image."""

    image: Image
    outcome: Outcome
    why: Why
    rule: Rule | None = None
    """The rule that claims it; for members and referrers the one that takes them along."""
    position: int | None = None
    """Its place in the rule's pool, the newest is 1."""
    due_us: int | None = None
    """When the rule acts on it where nothing changes; None where that depends on other images."""


def evaluate(rules: Sequence[Rule], images: Iterable[Image], now_us: int) -> list[Verdict]:
    """A verdict for every image: those that the policy acts on first, by rule, older ones before newer.

    Args:
        rules: in order of priority, as ``policy.parse`` gives them.
        images: those that are active or archived, in any order.
    """
    field = _Field(images)
    claims: dict[int, _Claim] = {}
    for rule in rules:
        pool = field.pool(rule)
        for position, rank in enumerate(pool, start=1):
            image = field.images[rank]
            if image.key not in claims:
                claims[image.key] = _claim(rule, image, position, now_us)
    return _Fates(field, claims).verdicts()


@dataclass(frozen=True, slots=True)
class _Claim:
    """The rule that an image is claimed by, and whether it selects it now."""

    rule: Rule
    position: int
    due_us: int | None
    selected: bool


def _claim(rule: Rule, image: Image, position: int, now_us: int) -> _Claim:
    if rule.count_type == COUNT:
        return _Claim(rule, position, None, position > rule.count_number)
    due_us = _age_key_us(rule, image) + rule.count_number * DAY_US
    return _Claim(rule, position, due_us, now_us > due_us)


def _age_key_us(rule: Rule, image: Image) -> int:
    """The instant that an image's age counts from (user guide, "countType")."""
    if rule.count_type == TRANSITIONED:
        return image.archived_us or image.pushed_us
    if rule.count_type == PULLED:
        return image.pulled_us or image.activated_us or image.pushed_us
    return image.pushed_us


class _Field:
    """The images of one run: in order, newest first, and found by tag."""

    def __init__(self, images: Iterable[Image]) -> None:
        known = sorted(images, key=lambda image: (-_order_us(image), image.digest))
        self.images = known
        self.ranks = {image.key: rank for rank, image in enumerate(known)}
        judged = [rank for rank, image in enumerate(known) if not image.is_referrer and not _is_member(image)]
        self._by_class = {
            name: [rank for rank in judged if known[rank].storage_class == name] for name in (STANDARD, ARCHIVE)
        }
        self._tags = {
            name: sorted((tag, rank) for rank in ranks for tag in known[rank].tags)
            for name, ranks in self._by_class.items()
        }

    def pool(self, rule: Rule) -> list[int]:
        """The images that a rule's selection matches, newest first."""
        if rule.tag_status == ANY:
            return self._by_class[rule.storage_class]
        if rule.tag_status == UNTAGGED:
            return [rank for rank in self._by_class[rule.storage_class] if not self.images[rank].tags]
        tags = self._tags[rule.storage_class]
        found = set(_matching(rule.patterns[0], tags))
        for pattern in rule.patterns[1:]:
            found.intersection_update(_matching(pattern, tags))
        return sorted(found)


def _order_us(image: Image) -> int:
    """What images are counted by: archived ones by when they were archived, restored ones by when they came back."""
    if image.storage_class == ARCHIVE:
        return image.archived_us or image.pushed_us
    return image.activated_us or image.pushed_us


def _is_member(image: Image) -> bool:
    """Whether an image is part of indexes and of nothing else."""
    return bool(image.parents) and not image.was_tagged


def covers(pattern: str, other: str) -> bool:
    """Whether every tag that matches another pattern matches this one.

    It does where it matches the other as a text, whose wildcards only wildcards take: no tag has a ``*``.
    """
    first, *parts = pattern.split("*")
    if not parts:
        return other == first
    return other.startswith(first) and _goes_on(other, len(first), parts)


def _matching(pattern: str, tags: Sequence[tuple[str, int]]) -> Iterable[int]:
    """The ranks of the images that have a tag which matches a whole pattern; ``*`` is any number of characters."""
    first, *parts = pattern.split("*")
    start = bisect_left(tags, (first,))
    if not parts:
        return (rank for _, rank in tags[start : bisect_left(tags, (first, inf))])
    begun = tags[start : bisect_left(tags, (first + _LAST,))]
    if parts == [""]:
        return (rank for _, rank in begun)
    return (rank for tag, rank in begun if _goes_on(tag, len(first), parts))


def _goes_on(tag: str, position: int, parts: Sequence[str]) -> bool:
    """Whether a tag has the parts in this order after a position, the last of them at its end: in linear time, for the
    leftmost place of each part leaves the most room for the others."""
    for part in parts[:-1]:
        found = tag.find(part, position)
        if found < 0:
            return False
        position = found + len(part)
    return tag.endswith(parts[-1]) and len(tag) - len(parts[-1]) >= position


class _Fates:
    """What becomes of each image once the claims are known: parents first, members and referrers after them."""

    def __init__(self, field: _Field, claims: Mapping[int, _Claim]) -> None:
        self._field = field
        self._claims = claims
        self._known: dict[int, Verdict] = {}

    def verdicts(self) -> list[Verdict]:
        """Those that are acted on by rule, older before newer; then the others, newest first."""
        for image in self._field.images:
            self._judge(image)
        judged = [self._known[image.key] for image in self._field.images]
        acted = [verdict for verdict in reversed(judged) if verdict.outcome != Outcome.KEEP]
        acted.sort(key=lambda verdict: verdict.rule.priority if verdict.rule else 0)
        return acted + [verdict for verdict in judged if verdict.outcome == Outcome.KEEP]

    def _judge(self, image: Image) -> None:
        """Judge an image after those that its fate hangs on; indexes nest, so without recursion."""
        waiting = [image]
        while waiting:
            current = waiting[-1]
            if current.key in self._known:
                waiting.pop()
                continue
            before = [
                self._field.images[self._field.ranks[key]]
                for key in (*current.parents, *((current.subject,) if current.subject is not None else ()))
                if key in self._field.ranks and key not in self._known
            ]
            if before and len(waiting) <= len(self._field.images):
                waiting.extend(before)
                continue
            self._known[current.key] = self._fate(current)
            waiting.pop()

    def _fate(self, image: Image) -> Verdict:
        parents = [self._known[key] for key in image.parents if key in self._known]
        if image.is_referrer:
            subject = None if image.subject is None else self._known.get(image.subject)
            return self._along(image, Why.REFERRER, [subject, *parents] if subject is not None else [])
        if _is_member(image):
            return self._along(image, Why.MEMBER, parents)
        claim = self._claims.get(image.key)
        if claim is None:
            return Verdict(image, Outcome.KEEP, Why.UNCLAIMED)
        stays = any(parent.outcome == Outcome.KEEP for parent in parents)
        if claim.selected and stays:
            return Verdict(image, Outcome.KEEP, Why.PROTECTED, claim.rule, claim.position)
        outcome = _outcome(claim.rule) if claim.selected else Outcome.KEEP
        return Verdict(image, outcome, Why.RULE, claim.rule, claim.position, claim.due_us)

    def _along(self, image: Image, why: Why, leaders: Sequence[Verdict]) -> Verdict:
        """An image that goes once all that it belongs to goes: expired where one of them is, else archived."""
        if not leaders or any(leader.outcome == Outcome.KEEP for leader in leaders):
            return Verdict(image, Outcome.KEEP, why)
        last = next((leader for leader in leaders if leader.outcome == Outcome.ARCHIVE), leaders[0])
        return Verdict(image, last.outcome, why, last.rule)


def _outcome(rule: Rule) -> Outcome:
    return Outcome.EXPIRE if rule.action == EXPIRE else Outcome.ARCHIVE
