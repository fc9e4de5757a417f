"""Whether a version is affected, and from which version on it is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openecr.scan.advisories import Advisory, Range
from openecr.scan.ranges import Verdict, verdict


def advisory(*spans: str, ecosystem: str = "npm", kind: str = "SEMVER", versions: str = "") -> Advisory:
    """``introduced 1 fixed 2`` is a range."""
    ranges = []
    for span in spans:
        words = span.split()
        ranges.append(Range(kind, tuple(zip(words[::2], words[1::2], strict=True))))
    return Advisory("X-1", ecosystem, "n", tuple(ranges), tuple(versions.split()))


@pytest.mark.parametrize(
    ("spans", "version", "expected"),
    [
        (["introduced 0 fixed 1.5"], "1.4.9", Verdict("1.5")),
        (["introduced 0 fixed 1.5"], "1.5.0", None),
        (["introduced 0 fixed 1.5"], "1.5.0-rc.1", Verdict("1.5")),
        (["introduced 0 fixed 1.5"], "0.0.0-alpha", Verdict("1.5")),
        (["introduced 1.0 fixed 1.5"], "0.9", None),
        (["introduced 1.0 fixed 1.5"], "1.0", Verdict("1.5")),
        (["introduced 0"], "99", Verdict(None)),
        (["introduced 0 last_affected 1.5"], "1.5", Verdict(None)),
        (["introduced 0 last_affected 1.5"], "1.5.1", None),
        (["fixed 1.5"], "1.0", None),
        ([], "1.0", None),
        # never affected
        (["introduced 0 fixed 0"], "1.0", None),
        (["introduced 0 fixed 0"], "0.0.0-alpha", None),
        # branches in one range, in any order
        (["introduced 1.0 fixed 1.5 introduced 2.0 fixed 2.3"], "1.2", Verdict("1.5")),
        (["introduced 2.0 fixed 2.3 introduced 1.0 fixed 1.5"], "1.2", Verdict("1.5")),
        (["fixed 2.3 introduced 2.0 fixed 1.5 introduced 1.0"], "2.2.9", Verdict("2.3")),
        (["introduced 1.0 fixed 1.5 introduced 2.0 fixed 2.3"], "1.9", None),
        # no fix of another branch
        (["introduced 1.0 last_affected 1.9 introduced 3.0 fixed 3.1"], "1.2", Verdict(None)),
        (["introduced 1.0 last_affected 1.9", "introduced 3.0 fixed 3.1"], "1.2", Verdict(None)),
        (["introduced 1.0", "introduced 3.0 fixed 3.1"], "1.2", Verdict(None)),
        # branches in ranges of their own
        (["introduced 1.0 fixed 1.5", "introduced 2.0 fixed 2.3"], "2.0", Verdict("2.3")),
        # ranges that overlap: a fix of one that the other affects is none
        (["introduced 1.0 fixed 1.5", "introduced 1.0 fixed 1.8"], "1.2", Verdict("1.8")),
        (["introduced 1.0 fixed 1.5", "introduced 1.0"], "1.2", Verdict(None)),
        (["introduced 1.0 fixed 1.5", "introduced 1.4 fixed 1.4.5"], "1.4.1", Verdict("1.5")),
        # affected again at the very version that fixes the branch before
        (["introduced 1.0 fixed 2.0 introduced 2.0 fixed 3.0"], "2.0", None),
        (["introduced 1.0 last_affected 2.0 introduced 2.0 fixed 3.0"], "2.0", Verdict(None)),
        # limits
        (["introduced 1.0 limit 2.0"], "1.5", Verdict(None)),
        (["introduced 1.0 limit 2.0"], "2.0", None),
        (["introduced 1.0 limit 2.0 limit 3.0"], "2.5", Verdict(None)),
        (["introduced 1.0 limit *"], "99", Verdict(None)),
        (["introduced 1.0 limit 2.0 limit *"], "99", Verdict(None)),
    ],
)
def test_a_version_in_ranges(spans: list[str], version: str, expected: Verdict | None) -> None:
    assert verdict(advisory(*spans), version) == expected


def test_listed_versions_are_affected_beside_those_in_ranges() -> None:
    both = advisory("introduced 1.0 fixed 1.5", versions="0.7 0.8")
    assert verdict(both, "0.7") == Verdict(None)
    assert verdict(both, "1.2") == Verdict("1.5")
    assert verdict(both, "0.9") is None


@pytest.mark.parametrize(
    ("ecosystem", "listed", "version"),
    [("PyPI", "2.0rc1", "2.0-RC.1"), ("Packagist", "v0.7", "0.7"), ("npm", "0.7.0", "v0.7.0"), ("PyPI", "x", "x")],
)
def test_listed_versions_are_read_in_usual_spellings(ecosystem: str, listed: str, version: str) -> None:
    made = advisory("introduced 9.0 fixed 9.5", ecosystem=ecosystem, kind="ECOSYSTEM", versions=listed)
    assert verdict(made, version) == Verdict(None)


def test_a_list_alone_is_read_in_any_spelling() -> None:
    listed = advisory(ecosystem="PyPI", versions="1.0 2.0rc1")
    assert verdict(listed, "1.0.0") == Verdict(None)
    assert verdict(listed, "2.0-RC.1") == Verdict(None)
    assert verdict(listed, "2.0") is None


def test_semver_ranges_are_read_by_semver_in_other_ecosystems() -> None:
    span = "introduced 0 fixed 1.0.0"
    assert verdict(advisory(span, ecosystem="Packagist", kind="ECOSYSTEM"), "1.0") == Verdict("1.0.0")
    assert verdict(advisory(span, ecosystem="Packagist", kind="SEMVER"), "1.0") is None


@pytest.mark.parametrize(
    ("ecosystem", "span", "version", "affected"),
    [
        # apk: a fix that was a candidate (aquasecurity/trivy 245, quay/clair 852)
        ("Alpine:v3.19", "introduced 0 fixed 1.6_rc1-r0", "1.6-r0", False),
        ("Alpine:v3.19", "introduced 0 fixed 1.6-r0", "1.6_rc1-r0", True),
        # Go: pseudo-versions are before the release that they lead to, and in order of time (trivy 1132)
        ("Go", "introduced 0 fixed 0.0.0-20220314234659-1baeb1ce4c0b", "v0.0.0-20220411220226-7b82a4e95df4", False),
        ("Go", "introduced 0 fixed 0.0.0-20220314234659-1baeb1ce4c0b", "v0.0.0-20210921155107-089bfa567519", True),
        ("Go", "introduced 0 fixed 0.17.0", "v0.0.0-20210921155107-089bfa567519", True),
        ("Go", "introduced 1.20.0-0 fixed 1.20.3", "1.20rc1", True),
        # rpm: an epoch on one side only is 0 on the other
        ("AlmaLinux:8", "introduced 0 fixed 1:1.1.1k-6.el8_5", "1.1.1k-7.el8_5", True),
        ("AlmaLinux:8", "introduced 0 fixed 0:2.17.0-1", "2.17.0-1", False),
        ("AlmaLinux:8", "introduced 0 fixed 1.1.1k-6.el8", "1:1.0-1.el8", False),
        # Debian: pre-releases of 0 are after introduced 0
        ("Debian:12", "introduced 0 fixed 1.0", "0~20200923.3-2", True),
        ("Debian:12", "introduced 0 fixed 1.6-5+deb12u1", "1.6-5", True),
        ("Maven", "introduced 0 fixed 2.15.0", "2.15.0-rc1", True),
        ("Maven", "introduced 0 fixed 5.3.18", "5.3.18.RELEASE", False),
        ("PyPI", "introduced 0 fixed 2.0", "2.0.post1", False),
    ],
)
def test_known_faults_of_other_scanners(ecosystem: str, span: str, version: str, affected: bool) -> None:
    kind = "SEMVER" if ecosystem == "Go" else "ECOSYSTEM"
    assert (verdict(advisory(span, ecosystem=ecosystem, kind=kind), version) is not None) is affected


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(("introduced", "fixed", "last_affected")), st.integers(0, 9).map(lambda number: f"{number}")
    ),
    max_size=6,
)


@given(st.lists(EVENTS.map(tuple), max_size=3), st.integers(0, 9))
def test_a_fix_is_later_and_not_affected_itself(spans: list[tuple[tuple[str, str], ...]], version: int) -> None:
    made = Advisory("X-1", "npm", "n", tuple(Range("SEMVER", span) for span in spans))
    found = verdict(made, str(version))
    if found and found.fixed_version is not None:
        assert int(found.fixed_version) > version
    reordered = Advisory("X-1", "npm", "n", tuple(Range("SEMVER", span[::-1]) for span in reversed(spans)))
    assert verdict(reordered, str(version)) == found
