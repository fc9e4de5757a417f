"""ListImageReferrers."""

from typing import Any

import pytest

from tests.api.support import (
    ABSENT_DIGEST,
    ACCOUNT,
    Image,
    all_of,
    arn_of,
    denied,
    error_of,
    members_of,
    pages_of,
    push,
    repository_missing,
)
from tests.places import ON_EVERY_PLACE
from tests.registry_client import OCI_CONFIG, OCI_MANIFEST, RegistryClient, descriptor
from tests.running import OTHER_ACCOUNT

pytestmark = ON_EVERY_PLACE

SIGNATURE, SBOM = "application/vnd.example.signature", "application/vnd.example.sbom"


def referrers(ecr: Any, name: str, digest: str, **more: Any) -> dict[str, Any]:
    return members_of(ecr.list_image_referrers(repositoryName=name, subjectId={"imageDigest": digest}, **more))


def refer(docker: RegistryClient, name: str, subject: Image, about: str, **more: Any) -> Image:
    return push(docker, name, about, subject=descriptor(subject.manifest, OCI_MANIFEST), **more)


def test_a_referrer_is_a_descriptor_with_its_type_and_annotations(
    ecr: Any, docker: RegistryClient, repository: str
) -> None:
    subject = push(docker, repository, "subject", "v1")
    made = refer(docker, repository, subject, "signed", artifactType=SIGNATURE, annotations={"by": "me"})

    assert referrers(ecr, repository, subject.digest) == {
        "referrers": [
            {
                "digest": made.digest,
                "mediaType": OCI_MANIFEST,
                "artifactType": SIGNATURE,
                "size": len(made.manifest),
                "annotations": {"by": "me"},
                "artifactStatus": "ACTIVE",
            }
        ]
    }


def test_without_an_artifact_type_the_configs_type_stands(ecr: Any, docker: RegistryClient, repository: str) -> None:
    subject = push(docker, repository, "subject", "v1")
    refer(docker, repository, subject, "plain")

    found = referrers(ecr, repository, subject.digest)["referrers"][0]

    assert found["artifactType"] == OCI_CONFIG
    assert "annotations" not in found


def test_the_filter_by_type_holds_across_pages(ecr: Any, docker: RegistryClient, repository: str) -> None:
    subject = push(docker, repository, "subject", "v1")
    signatures = [refer(docker, repository, subject, f"s{number}", artifactType=SIGNATURE) for number in range(5)]
    for number in range(5):
        refer(docker, repository, subject, f"b{number}", artifactType=SBOM)

    arguments: dict[str, Any] = {
        "repositoryName": repository,
        "subjectId": {"imageDigest": subject.digest},
        "filter": {"artifactTypes": [SIGNATURE]},
    }
    pages = pages_of(ecr.list_image_referrers, "referrers", **arguments, maxResults=2)

    assert [item["digest"] for page in pages for item in page] == sorted(image.digest for image in signatures)
    assert [len(page) for page in pages] == [2, 2, 1]


@pytest.mark.parametrize(("status", "count"), [("ACTIVE", 1), ("ARCHIVED", 0), ("ANY", 1)])
def test_the_filter_by_status(ecr: Any, docker: RegistryClient, repository: str, status: str, count: int) -> None:
    subject = push(docker, repository, "subject", "v1")
    refer(docker, repository, subject, "signed")

    found = referrers(ecr, repository, subject.digest, filter={"artifactStatus": status})

    assert len(found["referrers"]) == count


def test_twenty_a_page_when_nothing_is_asked(ecr: Any, docker: RegistryClient, repository: str) -> None:
    subject = push(docker, repository, "subject", "v1")
    made = [refer(docker, repository, subject, f"r{number}") for number in range(21)]
    arguments = {"repositoryName": repository, "subjectId": {"imageDigest": subject.digest}}

    assert [len(page) for page in pages_of(ecr.list_image_referrers, "referrers", **arguments)] == [20, 1]
    found = all_of(ecr.list_image_referrers, "referrers", **arguments, maxResults=50)
    assert {item["digest"] for item in found} == {image.digest for image in made}


def test_a_token_holds_for_its_subject_and_filter(ecr: Any, docker: RegistryClient, repository: str) -> None:
    subject = push(docker, repository, "subject", "v1")
    for number in range(2):
        refer(docker, repository, subject, f"r{number}")
    token = referrers(ecr, repository, subject.digest, maxResults=1)["nextToken"]

    for digest, more in ((ABSENT_DIGEST, {}), (subject.digest, {"filter": {"artifactTypes": [SBOM]}})):
        code, message = error_of(
            ecr.list_image_referrers,
            repositoryName=repository,
            subjectId={"imageDigest": digest},
            nextToken=token,
            **more,
        )
        assert (code, "nextToken" in message) == ("InvalidParameterException", True)


def test_more_than_fifty_a_page_are_refused(unchecked: Any, repository: str) -> None:
    code, message = error_of(
        unchecked.list_image_referrers,
        repositoryName=repository,
        subjectId={"imageDigest": ABSENT_DIGEST},
        maxResults=51,
    )

    assert (code, message) == (
        "ValidationException",
        (
            "1 validation error detected: Value '51' at 'maxResults' failed to satisfy constraint: "
            "Member must have value less than or equal to 50"
        ),
    )


def test_an_unknown_subject_has_no_referrers(ecr: Any, repository: str) -> None:
    assert referrers(ecr, repository, ABSENT_DIGEST) == {"referrers": []}


def test_a_referrer_may_come_before_its_subject(ecr: Any, docker: RegistryClient, repository: str) -> None:
    about = {"mediaType": OCI_MANIFEST, "digest": ABSENT_DIGEST, "size": 1}
    made = push(docker, repository, "early", subject=about)

    assert referrers(ecr, repository, ABSENT_DIGEST)["referrers"][0]["digest"] == made.digest


def test_both_planes_list_the_same(ecr: Any, docker: RegistryClient, repository: str) -> None:
    subject = push(docker, repository, "subject", "v1")
    for number in range(3):
        refer(docker, repository, subject, f"r{number}", artifactType=SIGNATURE)

    by_api = [
        {name: value for name, value in item.items() if name != "artifactStatus"}
        for item in referrers(ecr, repository, subject.digest)["referrers"]
    ]
    by_docker = docker.request("GET", f"{docker.path(repository)}/referrers/{subject.digest}").json["manifests"]

    assert by_api == by_docker


def test_a_missing_repository(ecr: Any, repository_name: str) -> None:
    for digest in (ABSENT_DIGEST, "sha256:abc"):
        assert error_of(
            ecr.list_image_referrers, repositoryName=repository_name, subjectId={"imageDigest": digest}
        ) == repository_missing(repository_name)


def test_another_account_needs_the_right_to_get_images(other_ecr: Any, repository: str) -> None:
    assert error_of(
        other_ecr.list_image_referrers,
        registryId=ACCOUNT,
        repositoryName=repository,
        subjectId={"imageDigest": ABSENT_DIGEST},
    ) == denied(OTHER_ACCOUNT, "ecr:BatchGetImage", arn_of(repository))
