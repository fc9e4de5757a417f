"""Records that speak of the same vulnerability, and the name that it goes by.

Aliases are symmetric and transitive, upstream is neither: https://ossf.github.io/osv-schema/#aliases-field.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from openecr.scan.advisories import Advisory
from openecr.scan.record_ids import cve_of, is_cve


def vulnerabilities(advisories: Sequence[Advisory]) -> dict[str, tuple[str, ...]]:
    """Name of each vulnerability → ids of the records on it.

    A record that names several CVEs speaks of each. Of the others, those that an alias joins are one; two that name
    different CVEs are never one, whatever chain of aliases leads from one to the other: such chains are wrong.
    """
    named: dict[str, set[str]] = {}
    cves = {advisory.id: _cves(advisory) for advisory in advisories}
    for record_id, mine in cves.items():
        for cve in mine:
            named.setdefault(cve, set()).add(record_id)
    if not all(cves.values()):
        for name, ids in _joined_by_aliases(advisories, cves):
            named.setdefault(name, set()).update(ids)
    return {name: tuple(sorted(ids)) for name, ids in named.items()}


def _joined_by_aliases(
    advisories: Sequence[Advisory], cves: Mapping[str, tuple[str, ...]]
) -> Iterator[tuple[str, list[str]]]:
    """The records that name no CVE: to the one that they are led to, or among themselves, by the first id of theirs."""
    joined = _Joined()
    known = sorted((advisory for advisory in advisories if len(cves[advisory.id]) < 2), key=lambda one: one.id)
    for advisory in known:
        for cve in cves[advisory.id]:
            joined.join(advisory.id, cve)
    for advisory in known:
        for other in _others(advisory):
            joined.join(advisory.id, other)
    nameless = {advisory.id for advisory in known if not cves[advisory.id]}
    for group in joined.groups(nameless):
        ids = sorted(nameless.intersection(group))
        yield next((member for member in group if is_cve(member)), ids[0]), ids


def _cves(advisory: Advisory) -> tuple[str, ...]:
    """By its id alone where that is a CVE's; else those upstream; else those that it is an alias of."""
    own = cve_of(advisory.id)
    if own:
        return (own,)
    return tuple(filter(is_cve, dict.fromkeys(advisory.upstream))) or tuple(
        filter(is_cve, dict.fromkeys(advisory.aliases))
    )


def _others(advisory: Advisory) -> Iterable[str]:
    """Aliases that are no CVE, and what is upstream and none: "EUVD-…" beside a CVE, or a distribution's "GHSA-…"."""
    yield from (name for name in (*advisory.aliases, *advisory.upstream) if not is_cve(name))


class _Joined:
    """Union and find over ids, in which no set comes to hold two CVEs."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}
        self._cve: dict[str, str] = {}

    def join(self, a: str, b: str) -> None:
        """Put both into one set, unless it would hold two CVEs."""
        first, second = self._root(a), self._root(b)
        if first == second:
            return
        one, other = self._cve.get(first), self._cve.get(second)
        if one and other and one != other:
            return
        self._parent[second] = first
        if other:
            self._cve[first] = other

    def groups(self, ids: Iterable[str]) -> list[list[str]]:
        """The sets that these ids are in, whole."""
        wanted = {self._root(one) for one in ids}
        sets: dict[str, list[str]] = {}
        for member in list(self._parent):
            root = self._root(member)
            if root in wanted:
                sets.setdefault(root, []).append(member)
        return list(sets.values())

    def _root(self, member: str) -> str:
        if member not in self._parent:
            self._parent[member] = member
            if is_cve(member):
                self._cve[member] = member
        while self._parent[member] != member:
            self._parent[member] = member = self._parent[self._parent[member]]
        return member
