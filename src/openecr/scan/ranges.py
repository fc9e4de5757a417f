"""Whether a version lies in what a record says is affected, and which one ends it.

OSV's algorithm: https://ossf.github.io/osv-schema/#evaluation.
"""

from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

from packaging.version import Version

from openecr.scan.advisories import Advisory, Range
from openecr.scan.names import family
from openecr.scan.versions import Key, compare, key

_VERSION_CHARACTERS = 256
_PRECEDENCE = {"introduced": 0, "last_affected": 1, "fixed": 2}


@dataclass(frozen=True, slots=True)
class Verdict:
    """That a version is affected."""

    fixed_version: str | None
    """The least version on from there that is not; None where the record knows none on this branch."""


@dataclass(frozen=True, slots=True)
class _Event:
    kind: str
    version: str
    key: Key | None
    """None is before every version: ``introduced`` of ``0``, and ``fixed`` of ``0``, which says "never affected"."""


def verdict(advisory: Advisory, version: str) -> Verdict | None:
    """Whether the version is affected: by any range, or because it is listed. None: it is not."""
    fixes = [fix for fix in (_in_range(advisory.ecosystem, span, version) for span in advisory.ranges) if fix]
    if fixes:
        return Verdict(_least_unaffected(advisory, fixes))
    return Verdict(None) if _is_listed(advisory, version) else None


def _in_range(ecosystem: str, span: Range, version: str) -> tuple[str | None] | None:
    """None: outside. Else what ends the branch that it is in, if a fix does."""
    events, limits = _sorted(ecosystem, span)
    mine = key(ecosystem, version, span.kind)
    if limits and all(limit is not None and mine >= limit for limit in limits):
        return None
    affected = False
    for event in events:
        reached = event.key is None or event.key <= mine
        match event.kind:
            case "introduced" if reached:
                affected = True
            case "fixed" if reached:
                affected = False
            case "last_affected" if event.key is None or event.key < mine:
                affected = False
            case "fixed" if affected:
                return (event.version,)
            case "last_affected" if affected:
                return (None,)
    return (None,) if affected else None


@lru_cache(maxsize=1 << 15)
def _sorted(ecosystem: str, span: Range) -> tuple[tuple[_Event, ...], tuple[Key | None, ...]]:
    """Events in the order of their versions, and the limits; a limit of None is the one that nothing reaches."""
    events = [
        _Event(
            kind, version, None if version == "0" and kind != "last_affected" else key(ecosystem, version, span.kind)
        )
        for kind, version in span.events
        if kind in _PRECEDENCE
    ]
    events.sort(key=lambda event: (event.key is not None, event.key or (), _PRECEDENCE[event.kind]))
    limits = tuple(
        None if version == "*" else key(ecosystem, version, span.kind)
        for kind, version in span.events
        if kind == "limit"
    )
    return tuple(events), limits


def _least_unaffected(advisory: Advisory, fixes: list[tuple[str | None]]) -> str | None:
    """The least of the fixes that lies in no other range of the record, where ranges overlap."""
    if len(fixes) == 1:
        return fixes[0][0]
    known = sorted((fix for (fix,) in fixes if fix is not None), key=lambda fix: key(advisory.ecosystem, fix))
    for fix in known:
        if not any(_in_range(advisory.ecosystem, span, fix) for span in advisory.ranges):
            return fix
    return None


def _is_listed(advisory: Advisory, version: str) -> bool:
    """In a usual spelling; where there are no ranges to rely on, in any that the ecosystem takes for the same."""
    if not advisory.versions:
        return False
    if not _spellings(family(advisory.ecosystem), version).isdisjoint(advisory.versions):
        return True
    if advisory.ranges:
        return False
    return any(compare(advisory.ecosystem, listed, version) == 0 for listed in advisory.versions)


@lru_cache(maxsize=1 << 12)
def _spellings(name: str, version: str) -> frozenset[str]:
    bare = version.removeprefix("v")
    spelled = {version, bare, f"v{bare}"}
    if name == "PyPI":
        with suppress(ValueError):
            spelled.add(str(Version(version[:_VERSION_CHARACTERS])))
    return frozenset(spelled)
