"""One OSV record → what the index keeps of it (https://ossf.github.io/osv-schema/)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

import orjson

from openecr.scan import record_ids, records
from openecr.scan.advisories import Advisory, Details, Range, Rating, Severity
from openecr.scan.names import normalise
from openecr.scan.severity import rate

MOST_OPENERS = 500_000
MOST_COMMAS = 2_000_000
"""Values cost many times their bytes once parsed. The largest real records, of kernels, have a tenth of this."""
_ID_CHARACTERS = 200
_NAME_CHARACTERS = 1000
_VERSION_CHARACTERS = 500
_SUMMARY_CHARACTERS = 300
_DETAILS_CHARACTERS = 1000
_URL_CHARACTERS = 1000
_REFERENCES = 10
_ALIASES = 1000
_PRINTABLE = re.compile(r"[^\x00-\x20\x7f](?:[^\x00-\x1f\x7f]*[^\x00-\x20\x7f])?")
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)  # noqa: UP017 - datetime.UTC is no type's member in every stub
_EVENTS = frozenset({"introduced", "fixed", "last_affected", "limit"})


class RecordRefused(Exception):
    """It is no OSV record, or is larger or stranger than records are; the message says how."""


@dataclass(frozen=True, slots=True)
class Record:
    """What the index keeps of a record."""

    id: str
    modified_us: int
    """0 where it says none that can be read."""
    withdrawn: bool
    advisories: tuple[Advisory, ...]
    details: Details
    aliases: tuple[str, ...]
    upstream: tuple[str, ...]


def read(content: bytes) -> Record:
    """A record.

    Raises:
        RecordRefused
    """
    if content.count(b"[") + content.count(b"{") > MOST_OPENERS or content.count(b",") > MOST_COMMAS:
        raise RecordRefused("holds more values than a record may")
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError:
        raise RecordRefused("is not valid JSON") from None
    if not isinstance(document, dict):
        raise RecordRefused("is no OSV record: not an object")
    name = document.get("id")
    if not isinstance(name, str) or len(name) > _ID_CHARACTERS or not _PRINTABLE.fullmatch(name):
        raise RecordRefused("is no OSV record: it has no usable id")
    if not isinstance(document.get("modified"), str):
        raise RecordRefused(f"{name} does not say when it was modified")
    withdrawn = bool(document.get("withdrawn"))
    entries = () if withdrawn else _entries(name, document)
    upstream = records.upstream(document)[:_ALIASES]
    aliases = tuple(alias for alias in _texts(document.get("aliases"))[:_ALIASES] if alias != name)
    ratings = _Ratings(document)
    advisories = _advisories(name, entries, aliases, upstream, document, ratings)
    return Record(
        name,
        _us(document["modified"]) or 0,
        withdrawn,
        advisories,
        _details(name, document, ratings),
        aliases,
        upstream,
    )


def _entries(name: str, document: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """What is affected, once its form is known to be what the schema says."""
    affected = document.get("affected")
    if affected is None:
        return ()
    if not isinstance(affected, list):
        raise RecordRefused(f"{name}: affected is no list")
    for entry in affected:
        ranges = entry.get("ranges") if isinstance(entry, dict) else 0
        if not isinstance(ranges, list | None) or not isinstance(entry.get("versions"), list | None):
            raise RecordRefused(f"{name}: an entry of affected is not of the schema's form")
        if not all(isinstance(one, dict) and isinstance(one.get("events"), list | None) for one in ranges or ()):
            raise RecordRefused(f"{name}: a range is not of the schema's form")
    return tuple(entry for entry in affected if records.concerns(document, entry))


class _Ratings:
    """A record's ratings; entries that say nothing of their own share one reading of its vectors."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._known: dict[bytes, tuple[Severity, tuple[Rating, ...]]] = {}

    def of(self, entry: Mapping[str, Any]) -> tuple[Severity, tuple[Rating, ...]]:
        package = entry.get("package")
        ecosystem = package.get("ecosystem") if isinstance(package, dict) else None
        own = [ecosystem, *(entry.get(name) for name in ("severity", "database_specific"))]
        # What Go, SUSE and Ubuntu have in ecosystem_specific is long, and says nothing of severity.
        specific = entry.get("ecosystem_specific")
        own += [specific.get("urgency"), specific.get("severity")] if isinstance(specific, dict) else []
        key = orjson.dumps(own)
        if key not in self._known:
            self._known[key] = rate(self._document, entry)
        return self._known[key]

    def of_record(self) -> tuple[Rating, ...]:
        """Of the record itself, else of the first entry that has any: details are one for all its packages."""
        own = rate(self._document, {})[1]
        return own or next((ratings for _, ratings in self._known.values() if ratings), ())


def _advisories(
    name: str,
    entries: tuple[Mapping[str, Any], ...],
    aliases: tuple[str, ...],
    upstream: tuple[str, ...],
    document: Mapping[str, Any],
    ratings: _Ratings,
) -> tuple[Advisory, ...]:
    """One for each package, severity and module: entries that differ in their versions alone are joined."""
    joined: dict[tuple[str, str, Severity, tuple[str, ...]], tuple[dict[Range, None], dict[str, None]]] = {}
    for entry in entries:
        ecosystem, package = (_name(name, entry["package"].get(part)) for part in ("ecosystem", "name"))
        ranges, versions = _ranges(name, entry), _versions(name, entry)
        if not ranges and not versions:
            continue
        key = (ecosystem, normalise(ecosystem, package), ratings.of(entry)[0], records.modules(document, entry))
        known_ranges, known_versions = joined.setdefault(key, ({}, {}))
        known_ranges.update(dict.fromkeys(ranges))
        known_versions.update(dict.fromkeys(versions))
    return tuple(
        Advisory(name, ecosystem, package, tuple(ranges), tuple(versions), aliases, upstream, severity, modules)
        for (ecosystem, package, severity, modules), (ranges, versions) in joined.items()
    )


def _name(record: str, text: object) -> str:
    if not isinstance(text, str) or len(text) > _NAME_CHARACTERS or not _PRINTABLE.fullmatch(text.strip()):
        raise RecordRefused(f"{record}: a package or ecosystem has no usable name")
    return text.strip()


def _ranges(record: str, entry: Mapping[str, Any]) -> tuple[Range, ...]:
    found = []
    for one in entry.get("ranges") or ():
        if one.get("type") not in ("ECOSYSTEM", "SEMVER"):
            continue
        events: list[tuple[str, str]] = []
        for event in one.get("events") or ():
            if not isinstance(event, dict):
                raise RecordRefused(f"{record}: an event is no object")
            events += [(kind, _version(record, text)) for kind, text in event.items() if kind in _EVENTS]
        if events:
            found.append(Range(one["type"], tuple(events)))
    return tuple(found)


def _versions(record: str, entry: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(_version(record, text) for text in entry.get("versions") or ())


def _version(record: str, text: object) -> str:
    if not isinstance(text, str) or len(text) > _VERSION_CHARACTERS:
        raise RecordRefused(f"{record}: a version is no text, or too long")
    return text


def _details(name: str, document: Mapping[str, Any], ratings: _Ratings) -> Details:
    references = _references(document)
    summary = _cut(document.get("summary"), _SUMMARY_CHARACTERS)
    details = _cut(document.get("details"), _DETAILS_CHARACTERS)
    return Details(
        id=name,
        summary=summary,
        details="" if details == summary else details,
        source=record_ids.source(name),
        source_url=_page(name, references),
        references=tuple(url for _, url in references),
        ratings=ratings.of_record(),
        vendor_severity=_vendor_word(document),
        published_us=_us(document.get("published")),
        modified_us=_us(document.get("modified")),
    )


def _references(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    found: dict[str, str] = {}
    entries = document.get("references")
    for entry in entries if isinstance(entries, list) else ():
        url = entry.get("url") if isinstance(entry, dict) else None
        if isinstance(url, str) and url.startswith(("https://", "http://")) and len(url) <= _URL_CHARACTERS:
            found.setdefault(url, str(entry.get("type")))
            if len(found) == _REFERENCES:
                break
    return [(kind, url) for url, kind in found.items()]


def _page(name: str, references: list[tuple[str, str]]) -> str:
    """Where a human reads about the record: its source's own page."""
    cve = record_ids.cve_of(name)
    prefix = name.partition("-")[0]
    if prefix in ("DEBIAN", "DSA", "DLA"):
        return f"https://security-tracker.debian.org/tracker/{cve or name}"
    if prefix == "UBUNTU" and cve:
        return f"https://ubuntu.com/security/{cve}"
    if name == cve:
        return f"https://nvd.nist.gov/vuln/detail/{cve}"
    if prefix == "GHSA":
        return f"https://github.com/advisories/{name}"
    advisory = next((url for kind, url in references if kind == "ADVISORY"), None)
    return advisory or (references[0][1] if references else "")


def _vendor_word(document: Mapping[str, Any]) -> str:
    """The word, not the number, in which the source says how bad it is: Ubuntu's priority, GHSA's severity."""
    severity = document.get("severity")
    for entry in severity if isinstance(severity, list) else ():
        if isinstance(entry, dict) and not str(entry.get("type")).startswith("CVSS_"):
            return _cut(entry.get("score"), 50)
    specific = document.get("database_specific")
    own = _cut(specific.get("severity"), 50) if isinstance(specific, dict) else ""
    if own:
        return own
    affected = document.get("affected")
    for entry in affected if isinstance(affected, list) else ():
        specific = entry.get("ecosystem_specific") if isinstance(entry, dict) else None
        if isinstance(specific, dict) and isinstance(specific.get("urgency"), str):
            return _cut(specific["urgency"], 50)
    return ""


def _cut(text: object, characters: int) -> str:
    if not isinstance(text, str):
        return ""
    text = text.strip()
    return text if len(text) <= characters else text[: characters - 1].rstrip() + "…"


def _texts(value: object) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _us(text: object) -> int | None:
    """An instant of RFC 3339; None where it is none, or from before there were computers ("0001-01-01")."""
    if not isinstance(text, str) or len(text) > 40:
        return None
    try:
        found = datetime.fromisoformat(text)
        instant_us = (found if found.tzinfo else found.replace(tzinfo=_EPOCH.tzinfo)) - _EPOCH
    except (ValueError, OverflowError):
        return None
    microseconds = instant_us // timedelta(microseconds=1)
    return microseconds if microseconds > 0 else None
