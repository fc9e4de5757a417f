"""Records become an index file; two of them are compared; damage is told."""

import json
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import apsw
import pytest
from tests.vulnerability_records import record

from openecr.scan.advisories import Advisory, AdvisoryIndex, Range, Severity
from openecr.scan.vulndb.archives import RawRecord
from openecr.scan.vulndb.building import Builder, BuildRefused, Built, restamp
from openecr.scan.vulndb.differences import differences
from openecr.scan.vulndb.index import Index, IndexUnusable, open_index

NOW_US = 1_800_000_000_000_000
FLASK = ("PyPI", "flask")


def build(
    target: Path,
    *records: dict[str, Any],
    epss: Iterable[tuple[str, float]] | None = None,
    exploited: frozenset[str] | None = None,
) -> Built:
    builder = Builder(target)
    try:
        for one in records:
            builder.add(RawRecord(str(one.get("id")), json.dumps(one).encode()))
        builder.know_exploits(epss, exploited)
        return builder.finish(built_us=NOW_US)
    finally:
        builder.close()


def opened(target: Path, *records: dict[str, Any], **more: Any) -> Index:
    built = build(target, *records, **more)
    return open_index(built.path, sha256_hex=built.sha256)


def test_the_index_is_what_matching_asks(tmp_path: Path) -> None:
    records = [
        record("GHSA-1", "Flask", aliases=["CVE-2026-1000"], summary="one"),
        record("PYSEC-1", "flask", aliases=["CVE-2026-1000", "GHSA-1"]),
        record("DEBIAN-CVE-2026-1000", "flask", "Debian:12", upstream=["CVE-2026-1000"]),
    ]
    index: AdvisoryIndex = opened(tmp_path / "a", *records)

    assert index.ecosystems == {"PyPI", "Debian:12"}
    assert index.built_us == NOW_US
    assert [one.id for one in index.advisories(*FLASK)] == ["GHSA-1", "PYSEC-1"]
    assert index.advisories("Debian:12", "flask") == (
        Advisory(
            "DEBIAN-CVE-2026-1000",
            "Debian:12",
            "flask",
            (Range("ECOSYSTEM", (("introduced", "0"), ("fixed", "2.0"))),),
            upstream=("CVE-2026-1000",),
            severity=Severity.UNDEFINED,
        ),
    )
    assert index.advisories("Debian:11", "flask") == ()
    assert index.advisories("PyPI", "Flask") == ()


def test_every_kind_of_range_comes_back_as_it_went_in(tmp_path: Path) -> None:
    affected = {
        "package": {"ecosystem": "npm", "name": "@a/b"},
        "ranges": [
            {"type": "SEMVER", "events": [{"introduced": "1"}, {"last_affected": "2"}, {"limit": "*"}]},
            {"type": "GIT", "events": [{"introduced": "0"}]},
        ],
        "versions": ["1.0", "1.1"],
    }
    index = opened(tmp_path / "a", record("GHSA-1") | {"affected": [affected]})

    (found,) = index.advisories("npm", "@a/b")
    assert found.ranges == (Range("SEMVER", (("introduced", "1"), ("last_affected", "2"), ("limit", "*"))),)
    assert found.versions == ("1.0", "1.1")


def test_the_newest_copy_of_a_record_counts_wherever_it_stands(tmp_path: Path) -> None:
    old = record("GHSA-1", fixed="1", modified="2026-01-01T00:00:00Z")
    new = record("GHSA-1", "django", fixed="2", modified="2026-01-02T00:00:00Z")
    for number, records in enumerate([(old, new), (new, old), (new, old, new)]):
        index = opened(tmp_path / str(number), *records)
        assert index.advisories(*FLASK) == ()
        assert [one.id for one in index.advisories("PyPI", "django")] == ["GHSA-1"]
        assert index.description.records == 1
        assert index.description.ecosystems == {"PyPI": 1}


def test_a_withdrawn_record_takes_back_what_an_older_copy_says(tmp_path: Path) -> None:
    said = record("GHSA-1", aliases=["CVE-2026-1000"], modified="2026-01-01T00:00:00Z")
    taken_back = record("GHSA-1", withdrawn="2026-02-01T00:00:00Z", modified="2026-02-01T00:00:00Z")
    index = opened(tmp_path / "a", taken_back, said, record("GHSA-2"))

    assert [one.id for one in index.advisories(*FLASK)] == ["GHSA-2"]
    assert index.details(("GHSA-1", "CVE-2026-1000")) == {}
    assert index.withdrawn(("GHSA-1", "GHSA-2", "GHSA-3")) == {"GHSA-1"}
    assert index.description.withdrawn == 1


def test_a_cve_is_told_of_by_the_best_record_and_completed_by_others(tmp_path: Path) -> None:
    vector = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"
    rated = [{"type": "CVSS_V3", "score": vector}]
    commits: dict[str, Any] = {"affected": [{"ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}]}]}
    index = opened(
        tmp_path / "a",
        record("PYSEC-1", aliases=["CVE-2026-1000"], details="words"),
        record("UBUNTU-CVE-2026-1000", "flask", "Ubuntu:24.04:LTS", upstream=["CVE-2026-1000"], severity=rated),
        record("CVE-2026-2000", summary="NVD's", **commits),
        record("GHSA-2", aliases=["CVE-2026-2000"], summary="GitHub's", severity=rated),
        record("ALSA-2026:1", "kernel", "AlmaLinux:9", related=["CVE-2026-3000", "CVE-2026-3001"], summary="many"),
    )

    told = index.details(("CVE-2026-1000", "CVE-2026-2000", "CVE-2026-3000", "CVE-2026-9999", "GHSA-2", "GHSA-9"))

    assert sorted(told) == ["CVE-2026-1000", "CVE-2026-2000", "CVE-2026-3000", "GHSA-2"]
    assert (told["CVE-2026-1000"].id, told["CVE-2026-1000"].details) == ("PYSEC-1", "words")
    assert [rating.vector for rating in told["CVE-2026-1000"].ratings] == [vector]
    assert (told["CVE-2026-2000"].id, told["CVE-2026-2000"].summary) == ("CVE-2026-2000", "NVD's")
    assert [rating.score for rating in told["CVE-2026-2000"].ratings] == [9.8]
    assert told["CVE-2026-3000"].id == "ALSA-2026:1"


def test_exploits_are_told_by_cve_and_by_the_records_of_it(tmp_path: Path) -> None:
    index = opened(
        tmp_path / "a",
        record("GHSA-1", aliases=["CVE-2026-1000"]),
        record("GHSA-2", aliases=["CVE-2026-2000"]),
        record("ALSA-2026:1", "kernel", "AlmaLinux:9", related=["CVE-2026-3000", "CVE-2026-3001"]),
        epss=[("CVE-2026-1000", 0.5), ("CVE-2026-7777", 0.9), ("CVE-2026-3000", 0.25)],
        exploited=frozenset({"CVE-2026-2000", "CVE-2026-3000", "CVE-2026-8888"}),
    )

    told = index.details(("GHSA-1", "CVE-2026-1000", "GHSA-2", "CVE-2026-3000", "ALSA-2026:1"))

    assert {name: (details.epss, details.exploited) for name, details in told.items()} == {
        "GHSA-1": (0.5, False),
        "CVE-2026-1000": (0.5, False),
        "GHSA-2": (None, True),
        "CVE-2026-3000": (0.25, True),
        "ALSA-2026:1": (None, False),  # of several; each of its CVEs is told by itself
    }
    assert {share.source for share in index.description.sources} >= {
        "Exploit Prediction Scoring System",
        "CISA Known Exploited Vulnerabilities",
    }


def test_only_packages_whose_advisories_differ_are_told(tmp_path: Path) -> None:
    same = [record("GHSA-1", name, aliases=["CVE-2026-1000"]) | {"id": f"GHSA-{name}"} for name in ("a", "b", "c")]
    old = opened(tmp_path / "old", *same, record("GHSA-9", "gone"), record("GHSA-8", "fix", fixed="1"))
    new = opened(
        tmp_path / "new",
        same[0] | {"summary": "other words, another time", "modified": "2026-03-01T00:00:00Z"},
        same[1] | {"database_specific": {"severity": "HIGH"}},
        same[2],
        record("GHSA-9", "gone", withdrawn="2026-02-01T00:00:00Z"),
        record("GHSA-8", "fix", fixed="2"),
        record("GHSA-7", "fix", "npm"),
    )

    assert list(differences(old, new)) == [("PyPI", "b"), ("PyPI", "fix"), ("PyPI", "gone"), ("npm", "fix")]
    assert list(differences(new, old)) == list(differences(old, new))
    assert list(differences(old, old)) == []


def test_many_packages_are_compared_in_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openecr.scan.vulndb.index._STEP", 3)
    names = [f"p{number}" for number in range(10)] + ["é", "Z", "z\U0001f600", "～"]
    old = opened(tmp_path / "old", *(record(f"GHSA-{name}", name) for name in names))
    new = opened(tmp_path / "new", *(record(f"GHSA-{name}", name) for name in names[1:]), record("GHSA-x", "p3"))

    assert list(differences(old, new)) == [("PyPI", "p0"), ("PyPI", "p3")]


def test_the_same_records_make_the_same_rows_in_whatever_order_they_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openecr.scan.vulndb.staging._RUN_ROWS", 7)
    records = [record(f"GHSA-{number}", f"p{number % 7}") for number in range(100)]
    old = opened(tmp_path / "old", *records)
    new = opened(tmp_path / "new", *reversed(records))

    assert list(old.rows()) == list(new.rows())
    assert len(old.advisories("PyPI", "p0")) == 15


def test_nothing_to_speak_of_is_no_index(tmp_path: Path) -> None:
    with pytest.raises(BuildRefused):
        build(tmp_path / "a")
    with pytest.raises(BuildRefused):
        build(tmp_path / "a", record("GHSA-1", withdrawn="2026-01-01T00:00:00Z"))
    assert list(tmp_path.iterdir()) == []


def test_data_is_as_old_as_its_newest_record_and_never_from_the_future(tmp_path: Path) -> None:
    index = opened(
        tmp_path / "a",
        record("GHSA-1", modified="2026-01-02T03:04:05Z"),
        record("GHSA-2", modified="2099-01-01T00:00:00Z"),
    )
    assert index.data_us == 1_767_323_045_000_000


def test_a_build_is_given_a_new_time_and_nothing_else(tmp_path: Path) -> None:
    built = build(tmp_path / "old", record("GHSA-1"))
    again = restamp(built.path, tmp_path / "new", built.description, built_us=NOW_US + 5, data_us=NOW_US + 4)

    old, new = open_index(built.path), open_index(again.path, sha256_hex=again.sha256)
    assert (new.built_us, new.data_us) == (NOW_US + 5, NOW_US + 4)
    assert old.built_us == NOW_US
    assert list(differences(old, new)) == []
    assert new.advisories(*FLASK) == old.advisories(*FLASK)


def test_what_is_no_index_is_told(tmp_path: Path) -> None:
    built = build(tmp_path / "a", record("GHSA-1"))
    with pytest.raises(IndexUnusable, match="not what was published"):
        open_index(built.path, sha256_hex="0" * 64)
    with pytest.raises(FileNotFoundError):
        open_index(tmp_path / "absent")
    for name, content in (("empty", b""), ("text", b"text " * 5000), ("cut", built.path.read_bytes()[:9000])):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(IndexUnusable, match="make it anew"):
            open_index(path)
    connection = apsw.Connection(str(built.path))
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(IndexUnusable, match="of another openecr"):
        open_index(built.path)


def test_a_damaged_row_is_told_and_never_read_as_no_advisory(tmp_path: Path) -> None:
    built = build(tmp_path / "a", record("GHSA-1"))
    connection = apsw.Connection(str(built.path))
    connection.execute("UPDATE package SET advisories = ?; UPDATE detail SET content = ?", (b"junk", b"junk"))
    connection.close()

    index = open_index(built.path)
    with pytest.raises(IndexUnusable, match="is damaged"):
        index.advisories(*FLASK)
    with pytest.raises(IndexUnusable, match="is damaged"):
        index.details(("GHSA-1",))


def test_many_threads_share_an_index(tmp_path: Path) -> None:
    names = [f"p{number}" for number in range(200)]
    index = opened(tmp_path / "a", *(record(f"GHSA-{name}", name) for name in names))
    wrong: list[str] = []

    def ask() -> None:
        try:
            for name in names * 5:
                if [one.id for one in index.advisories("PyPI", name)] != [f"GHSA-{name}"]:
                    wrong.append(name)
                if index.details((f"GHSA-{name}",))[f"GHSA-{name}"].id != f"GHSA-{name}":
                    wrong.append(name)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test tells it
            wrong.append(repr(error))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_an_index_that_is_closed_holds_no_file(tmp_path: Path) -> None:
    index = opened(tmp_path / "a", record("GHSA-1"))
    descriptors = Path("/proc/self/fd")
    index.advisories(*FLASK)
    index.close()
    with pytest.raises(apsw.ConnectionClosedError):
        index.advisories("PyPI", "other")
    if descriptors.exists():
        assert str(tmp_path / "a") not in {str(link.resolve()) for link in descriptors.iterdir()}
