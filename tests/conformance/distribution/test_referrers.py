"""Referrers of a subject."""

import json
from typing import Any
from urllib.parse import quote

from tests.conformance.distribution.requests import (
    EMPTY,
    UNKNOWN_DIGEST,
    pages,
)
from tests.places import ON_EVERY_PLACE
from tests.registry_client import (
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
    Answer,
    RegistryClient,
    descriptor,
    digest_of,
    image_index,
    image_manifest,
)

pytestmark = ON_EVERY_PLACE


class TestReferrers:
    """Specification: "Listing referrers"."""

    def refer(self, client: RegistryClient, name: str, subject: bytes, kind: str, **more: Any) -> tuple[str, Answer]:
        client.push_blob(name, b"{}")
        document = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": kind,
            "config": descriptor(b"{}", EMPTY),
            "layers": [],
            "subject": descriptor(subject, OCI_MANIFEST),
            **more,
        }
        manifest = json.dumps(document).encode()
        answer = client.push_manifest(name, digest_of(manifest), manifest)
        assert answer.status == 201, answer
        return digest_of(manifest), answer

    def test_a_push_with_a_subject_says_that_it_was_understood(self, client: RegistryClient, name: str) -> None:
        _, answer = self.refer(client, name, b"a subject that is not there", "application/vnd.example")
        assert answer.headers["oci-subject"] == digest_of(b"a subject that is not there")

    def test_referrers_are_listed_as_descriptors(self, client: RegistryClient, name: str) -> None:
        subject = b"subject"
        signature, _ = self.refer(client, name, subject, "application/signature", annotations={"by": "me"})
        bill, _ = self.refer(client, name, subject, "application/sbom")
        answer = client.request("GET", f"/v2/{name}/referrers/{digest_of(subject)}")
        assert (answer.status, answer.headers["content-type"]) == (200, OCI_INDEX)
        assert (answer.json["schemaVersion"], answer.json["mediaType"]) == (2, OCI_INDEX)
        listed = {item["digest"]: item for item in answer.json["manifests"]}
        assert set(listed) == {signature, bill}
        assert listed[signature]["artifactType"] == "application/signature"
        assert listed[signature]["annotations"] == {"by": "me"}
        assert "annotations" not in listed[bill]
        size = len(client.request("GET", f"/v2/{name}/manifests/{bill}").body)
        assert (listed[bill]["mediaType"], listed[bill]["size"]) == (OCI_MANIFEST, size)

    def test_the_type_of_an_image_that_refers_is_its_configs(self, client: RegistryClient, name: str) -> None:
        client.push_blob(name, b"{}")
        manifest = image_manifest(b"{}", subject=descriptor(b"subject", OCI_MANIFEST))
        assert client.push_manifest(name, digest_of(manifest), manifest).status == 201
        listed = client.request("GET", f"/v2/{name}/referrers/{digest_of(b'subject')}").json["manifests"]
        assert [item["artifactType"] for item in listed] == [OCI_CONFIG]

    def test_an_index_refers_too(self, client: RegistryClient, name: str) -> None:
        index = image_index(artifactType="application/list", subject=descriptor(b"subject", OCI_MANIFEST))
        assert client.push_manifest(name, digest_of(index), index, OCI_INDEX).headers["oci-subject"]
        listed = client.request("GET", f"/v2/{name}/referrers/{digest_of(b'subject')}").json["manifests"]
        assert [(item["mediaType"], item["artifactType"]) for item in listed] == [(OCI_INDEX, "application/list")]

    def test_referrers_are_filtered_by_artifact_type(self, client: RegistryClient, name: str) -> None:
        signature, _ = self.refer(client, name, b"subject", "application/signature")
        self.refer(client, name, b"subject", "application/sbom")
        path = f"/v2/{name}/referrers/{digest_of(b'subject')}"
        answer = client.request("GET", f"{path}?artifactType={quote('application/signature', safe='')}")
        assert [item["digest"] for item in answer.json["manifests"]] == [signature]
        assert answer.headers["oci-filters-applied"] == "artifactType"
        none = client.request("GET", f"{path}?artifactType=application/none")
        assert none.json["manifests"] == []
        assert "oci-filters-applied" not in client.request("GET", path).headers

    def test_a_digest_that_nothing_refers_to_has_an_empty_list(self, client: RegistryClient, name: str) -> None:
        answer = client.request("GET", f"/v2/{name}/referrers/{UNKNOWN_DIGEST}")
        assert (answer.status, answer.json["manifests"]) == (200, [])

    def test_a_referrer_that_is_deleted_is_not_listed(self, client: RegistryClient, name: str) -> None:
        digest, _ = self.refer(client, name, b"subject", "application/signature")
        assert client.request("DELETE", f"/v2/{name}/manifests/{digest}").status == 202
        path = f"/v2/{name}/referrers/{digest_of(b'subject')}"
        assert client.request("GET", path).json["manifests"] == []

    def test_more_referrers_than_a_page_are_listed_page_by_page(self, client: RegistryClient, name: str) -> None:
        kinds = ("application/even", "application/odd")
        pushed: dict[str, set[str]] = {kind: set() for kind in kinds}
        for number in range(230):
            kind = kinds[number % 2]
            digest, _ = self.refer(client, name, b"subject", kind, annotations={"number": str(number)})
            pushed[kind].add(digest)
        path = f"/v2/{name}/referrers/{digest_of(b'subject')}"
        for query, expected in (
            ("", pushed[kinds[0]] | pushed[kinds[1]]),
            (f"?artifactType={kinds[0]}", pushed[kinds[0]]),
            (f"?artifactType={kinds[0]}&artifactType={kinds[1]}", pushed[kinds[0]] | pushed[kinds[1]]),
        ):
            found = pages(client, path + query)
            listed = [item["digest"] for page in found for item in page.json["manifests"]]
            assert len(found) > 1
            assert sorted(listed) == sorted(expected)
