"""A repository that was written down is judged as it was, and a document that is none is refused."""

from typing import Any

import pytest

from openecr.services.ecr.lifecycle.policies import accepted
from openecr.services.ecr.lifecycle.recording import RecordingRefused, judged, read

POLICY = """{"rules": [{"rulePriority": 1, "action": {"type": "expire"},
    "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1}}]}"""
DAY_US = 86_400 * 1_000_000


def image(number: int, *layers: int, **more: Any) -> dict[str, Any]:
    return {
        "digest": f"sha256:{number:064x}",
        "tags": [f"v{number}"],
        "storageClass": "standard",
        "wasTagged": True,
        "isReferrer": False,
        "subject": None,
        "indexes": [],
        "layers": list(layers),
        "pushedAt": f"2026-03-{number:02d}T10:00:00+00:00",
        "lastRecordedPullTime": None,
        "lastActivatedAt": None,
        "lastArchivedAt": None,
        **more,
    }


def recording(*images: dict[str, Any], layers: list[int]) -> dict[str, Any]:
    return {
        "format": 1,
        "repository": "123456789012.us-east-1/app",
        "recordedAt": "2026-04-01T00:00:00+00:00",
        "total": len(images),
        "images": list(images),
        "layers": layers,
    }


def test_bytes_are_freed_that_no_image_which_stays_names_nor_another_repository() -> None:
    known = read(recording(image(1, 0, 1, 2), image(2, 1), layers=[500, 70, 0]))

    found = judged(known, accepted(POLICY), known.recorded_us)

    assert [verdict.image.tags for verdict in found.expiring] == [("v1",)]
    assert found.freed_bytes == 500


def test_members_and_referrers_go_with_what_they_belong_to() -> None:
    index = image(2)
    member = image(1, tags=[], wasTagged=False, indexes=[index["digest"]])
    referrer = image(3, tags=[], wasTagged=False, isReferrer=True, subject=index["digest"])
    known = read(recording(index, member, referrer, image(4), layers=[]))

    found = judged(known, accepted(POLICY), known.recorded_us)

    assert {verdict.image.key for verdict in found.expiring} == {0, 1, 2}


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"format": 1},
        {**recording(layers=[]), "images": [{}]},
        recording(image(1, 3), layers=[500]),
        recording(image(1, digest="sha256:no"), layers=[]),
        recording(image(1, subject="sha256:" + "f" * 64), layers=[]),
        recording(image(1, pushedAt=None), layers=[]),
        recording(image(1, pushedAt="yesterday"), layers=[]),
        recording(image(1, storageClass="cold"), layers=[]),
    ],
    ids=str,
)
def test_what_is_no_recording_is_refused(document: Any) -> None:
    with pytest.raises(RecordingRefused):
        read(document)


def test_a_recording_of_another_format_says_so() -> None:
    with pytest.raises(RecordingRefused, match="the recording has format 2; this openecr reads 1"):
        read({**recording(layers=[]), "format": 2})
