"""What a policy may know of a repository's images, as a document: written at one place and moment, judged at another.

    {"format": 1, "repository": "123456789012.us-east-1/app", "recordedAt": "…", "images": [{"digest", "tags", …}],
     "layers": [size in bytes, or 0 where another repository holds the layer too]}

An image names its layers by their place in ``layers``, and its indexes and subject by digest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from openecr.db.connection import Database
from openecr.db.repositories import Repository
from openecr.names import Digest
from openecr.services.ecr.lifecycle import report
from openecr.services.ecr.lifecycle.evaluation import Image, Outcome, evaluate
from openecr.services.ecr.lifecycle.lint import lint
from openecr.services.ecr.lifecycle.loading import load
from openecr.services.ecr.lifecycle.policy import ARCHIVE, STANDARD, Rule
from openecr.services.ecr.lifecycle.report import Report

FORMAT = 1
_INSTANTS = {
    "pushed": "pushedAt",
    "pulled": "lastRecordedPullTime",
    "activated": "lastActivatedAt",
    "archived": "lastArchivedAt",
}


class RecordingRefused(Exception):
    """A document is no recording; the text is one sentence."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A repository as it was recorded."""

    recorded_us: int
    images: list[Image]
    layers: dict[int, tuple[int, ...]]
    """Image key → places of its layers."""
    layer_bytes: Sequence[int]
    total: int


async def record(database: Database, repository: Repository, now_us: int) -> dict[str, Any]:
    """The recording of a repository."""
    loaded = await load(database, repository.key)
    digests = {image.key: str(Digest(image.digest)) for image in loaded.images}
    named: dict[int, list[int]] = {}
    places: dict[int, int] = {}
    async for image_key, blob_key in report.named_blobs(database, repository.key):
        named.setdefault(image_key, []).append(places.setdefault(blob_key, len(places)))
    sizes = await report.own_bytes(database, repository.key, list(places))
    # What is being restored is judged by no rule, and keeps its layers.
    for kept in (place for key, held in named.items() if key not in digests for place in held):
        sizes[kept] = 0
    return {
        "format": FORMAT,
        "repository": f"{repository.registry}/{repository.name}",
        "recordedAt": _told(now_us),
        "total": loaded.total,
        "images": [_written(image, digests, named.get(image.key, [])) for image in loaded.images],
        "layers": sizes,
    }


def _written(image: Image, digests: Mapping[int, str], layers: Sequence[int]) -> dict[str, Any]:
    document: dict[str, Any] = {
        "digest": str(Digest(image.digest)),
        "tags": list(image.tags),
        "storageClass": image.storage_class,
        "wasTagged": image.was_tagged,
        "isReferrer": image.is_referrer,
        "subject": digests.get(image.subject) if image.subject is not None else None,
        "indexes": [digests[key] for key in image.parents if key in digests],
        "layers": list(layers),
    }
    for name, member in _INSTANTS.items():
        instant_us = getattr(image, f"{name}_us")
        document[member] = None if instant_us is None else _told(instant_us)
    return document


def read(document: Any) -> Recording:
    """A recording from its document.

    Raises:
        RecordingRefused
    """
    try:
        if document["format"] != FORMAT:
            raise RecordingRefused(f"the recording has format {document['format']}; this openecr reads {FORMAT}")
        keys = {item["digest"]: number for number, item in enumerate(document["images"])}
        images = [_read(item, number, keys) for number, item in enumerate(document["images"])]
        layers = {number: tuple(item["layers"]) for number, item in enumerate(document["images"])}
        sizes = [int(size) for size in document["layers"]]
        if any(not 0 <= place < len(sizes) for places in layers.values() for place in places):
            raise RecordingRefused("the recording names layers that it does not list")
        return Recording(_instant(document["recordedAt"]) or 0, images, layers, sizes, int(document["total"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RecordingRefused(
            f"that is no recording of a repository ({error!r}); make one with: openecr lifecycle record REPOSITORY"
        ) from None


def _read(item: Mapping[str, Any], number: int, keys: Mapping[str, int]) -> Image:
    digest = Digest.parse(item["digest"])
    if digest is None or item["storageClass"] not in (STANDARD, ARCHIVE):
        raise ValueError(item["digest"])
    instants = {f"{name}_us": _instant(item[member]) for name, member in _INSTANTS.items()}
    pushed_us = instants.pop("pushed_us")
    if pushed_us is None:
        raise ValueError("pushedAt")
    return Image(
        key=number,
        digest=digest.stored,
        tags=tuple(sorted(str(tag) for tag in item["tags"])),
        pushed_us=pushed_us,
        storage_class=item["storageClass"],
        parents=tuple(sorted(keys[index] for index in item["indexes"])),
        was_tagged=bool(item["wasTagged"]),
        subject=None if item["subject"] is None else keys[item["subject"]],
        is_referrer=bool(item["isReferrer"]),
        **instants,
    )


def judged(recording: Recording, rules: Sequence[Rule], now_us: int) -> Report:
    """What a policy says of a recorded repository at an instant."""
    verdicts = evaluate(rules, recording.images, now_us)
    doomed = {verdict.image.key for verdict in verdicts if verdict.outcome == Outcome.EXPIRE}
    staying = {place for key, places in recording.layers.items() if key not in doomed for place in places}
    going = {place for key in doomed for place in recording.layers[key]} - staying
    freed_bytes = sum(recording.layer_bytes[place] for place in going)
    return Report(now_us, verdicts, freed_bytes, recording.total, lint(rules, verdicts))


def _told(instant_us: int) -> str:
    return datetime.fromtimestamp(instant_us / 1_000_000, UTC).isoformat(timespec="microseconds")


def _instant(text: Any) -> int | None:
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    return round(moment.timestamp() * 1_000_000)
