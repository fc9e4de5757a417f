"""Rows of the index as bytes and back: JSON lists, which say nothing twice, compressed with a dictionary of their kind.

The plain bytes are what two builds are compared by, so the same advisories give the same bytes.
"""

import hashlib
from collections.abc import Iterable, Sequence

import orjson
import zstandard

from openecr.scan.advisories import Advisory, Details, Range, Rating, Severity

ROW_BYTES = 256 * 1024 * 1024
"""What is unpacked at most: our own bytes, but they lie on a disk."""
_LEVEL = 7
_DICTIONARY_BYTES = 64 * 1024
_FEWEST_SAMPLES = 64
_KINDS = ("ECOSYSTEM", "SEMVER")
_EVENTS = ("introduced", "fixed", "last_affected", "limit")


def pack_advisory(advisory: Advisory) -> bytes:
    """All but ecosystem and package, which are the row's key."""
    ranges = [
        [_KINDS.index(one.kind), *(item for event, version in one.events for item in (_EVENTS.index(event), version))]
        for one in advisory.ranges
    ]
    return orjson.dumps(
        [
            advisory.id,
            int(advisory.severity),
            ranges,
            advisory.versions,
            advisory.aliases,
            advisory.upstream,
            advisory.modules,
        ]
    )


def pack_row(advisories: Iterable[bytes]) -> bytes:
    """The row of a package, of its packed advisories."""
    return b"[" + b",".join(advisories) + b"]"


def unpack_row(ecosystem: str, package: str, content: bytes) -> tuple[Advisory, ...]:
    """The advisories of a package."""
    return tuple(
        Advisory(
            name,
            ecosystem,
            package,
            tuple(_range(one) for one in ranges),
            tuple(versions),
            tuple(aliases),
            tuple(upstream),
            Severity(severity),
            tuple(modules),
        )
        for name, severity, ranges, versions, aliases, upstream, modules in orjson.loads(content)
    )


def _range(packed: list[int | str]) -> Range:
    events = iter(packed[1:])
    return Range(
        _KINDS[int(packed[0])],
        tuple((_EVENTS[int(kind)], str(version)) for kind, version in zip(events, events)),  # noqa: B905 - the same iterator twice
    )


def pack_details(details: Details, cves: Sequence[str]) -> bytes:
    """All but the id, which is the row's key, and what is known of exploits, which changes by the day.

    Args:
        cves: those that the record is about.
    """
    ratings = [[rating.vector, rating.version, rating.score, rating.source] for rating in details.ratings]
    return orjson.dumps(
        [
            details.summary,
            details.details,
            details.source,
            details.source_url,
            details.references,
            ratings,
            details.vendor_severity,
            details.published_us,
            details.modified_us,
            cves,
        ]
    )


def unpack_details(name: str, content: bytes) -> tuple[Details, tuple[str, ...]]:
    """What is told of a record, and the CVEs that it is about."""
    summary, text, source, source_url, references, ratings, word, published_us, modified_us, cves = orjson.loads(
        content
    )
    details = Details(
        name,
        summary,
        text,
        source,
        source_url,
        tuple(references),
        tuple(Rating(*rating) for rating in ratings),
        word,
        published_us,
        modified_us,
    )
    return details, tuple(cves)


def digest(content: bytes) -> bytes:
    """What tells two rows apart, however they are compressed."""
    return hashlib.blake2b(content, digest_size=16).digest()


def train(samples: Sequence[bytes]) -> bytes:
    """A dictionary for rows like these; empty where there are too few to learn from."""
    if len(samples) < _FEWEST_SAMPLES:
        return b""
    try:
        return zstandard.train_dictionary(_DICTIONARY_BYTES, list(samples), k=256, d=8).as_bytes()
    except zstandard.ZstdError:
        return b""


def compressor(dictionary: bytes) -> zstandard.ZstdCompressor:
    """What packs rows."""
    if not dictionary:
        return zstandard.ZstdCompressor(level=_LEVEL)
    prepared = zstandard.ZstdCompressionDict(dictionary)
    prepared.precompute_compress(level=_LEVEL)
    return zstandard.ZstdCompressor(level=_LEVEL, dict_data=prepared)


def decompressor(dictionary: bytes) -> zstandard.ZstdDecompressor:
    """What unpacks them; not for two threads at once."""
    return zstandard.ZstdDecompressor(dict_data=zstandard.ZstdCompressionDict(dictionary) if dictionary else None)
