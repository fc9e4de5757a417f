"""Deletion of manifests, tags and blobs."""

import pytest
from tests.conformance.distribution.requests import (
    UNKNOWN_DIGEST,
)
from tests.places import ON_EVERY_PLACE
from tests.registry_client import (
    OCI_INDEX,
    OCI_MANIFEST,
    RegistryClient,
    descriptor,
    digest_of,
    image_index,
    image_manifest,
)

pytestmark = ON_EVERY_PLACE


class TestDelete:
    """Specification: "Deleting tags", "Deleting manifests"; BatchDeleteImage in the reference §3.4."""

    def test_a_tag_goes_and_the_image_stays_under_its_other_tags(self, client: RegistryClient, name: str) -> None:
        digest = client.push_image(name, "one")
        manifest = client.request("GET", f"/v2/{name}/manifests/one").body
        assert client.push_manifest(name, "two", manifest).status == 201
        assert client.request("DELETE", f"/v2/{name}/manifests/one").status == 202
        assert client.request("GET", f"/v2/{name}/manifests/one").status == 404
        assert client.request("GET", f"/v2/{name}/manifests/two").body == manifest
        assert client.request("GET", f"/v2/{name}/manifests/{digest}").body == manifest

    def test_the_last_tag_takes_the_image_as_on_ecr(self, client: RegistryClient, name: str) -> None:
        digest = client.push_image(name, "only")
        assert client.request("DELETE", f"/v2/{name}/manifests/only").status == 202
        assert client.request("GET", f"/v2/{name}/manifests/{digest}").status == 404

    def test_a_digest_takes_all_its_tags(self, client: RegistryClient, name: str) -> None:
        digest = client.push_image(name, "one")
        manifest = client.request("GET", f"/v2/{name}/manifests/one").body
        client.push_manifest(name, "two", manifest)
        assert client.request("DELETE", f"/v2/{name}/manifests/{digest}").status == 202
        for reference in ("one", "two", digest):
            assert client.request("GET", f"/v2/{name}/manifests/{reference}").status == 404
        assert client.request("GET", f"/v2/{name}/tags/list").json["tags"] == []

    @pytest.mark.parametrize("reference", ["no-such-tag", UNKNOWN_DIGEST])
    def test_what_is_not_there_cannot_be_deleted(self, client: RegistryClient, name: str, reference: str) -> None:
        answer = client.request("DELETE", f"/v2/{name}/manifests/{reference}")
        assert answer.error == (404, "MANIFEST_UNKNOWN", "Requested image not found")

    def test_a_member_stays_while_an_index_names_it(self, client: RegistryClient, name: str) -> None:
        member = client.push_image(name, "member")
        content = client.request("GET", f"/v2/{name}/manifests/member").body
        index = image_index(content)
        assert client.push_manifest(name, "index", index, OCI_INDEX).status == 201
        refused = client.request("DELETE", f"/v2/{name}/manifests/{member}")
        assert refused.error == (
            405,
            "UNSUPPORTED",
            f"Requested image referenced by manifest list: [{digest_of(index)}]",
        )
        assert client.request("DELETE", f"/v2/{name}/manifests/member").status == 202, "its tag may go"
        assert client.request("GET", f"/v2/{name}/manifests/member").status == 404
        assert client.request("GET", f"/v2/{name}/manifests/{member}").body == content
        assert client.request("DELETE", f"/v2/{name}/manifests/{digest_of(index)}").status == 202
        assert client.request("DELETE", f"/v2/{name}/manifests/{member}").status == 202

    def test_deleting_a_subject_leaves_its_referrers(self, client: RegistryClient, name: str) -> None:
        digest = client.push_image(name, "subject")
        content = client.request("GET", f"/v2/{name}/manifests/subject").body
        client.push_blob(name, b"{}")
        referrer = image_manifest(b"{}", subject=descriptor(content, OCI_MANIFEST))
        client.push_manifest(name, digest_of(referrer), referrer)
        assert client.request("DELETE", f"/v2/{name}/manifests/{digest}").status == 202
        listed = client.request("GET", f"/v2/{name}/referrers/{digest}").json["manifests"]
        assert [item["digest"] for item in listed] == [digest_of(referrer)]

    def test_a_deleted_image_may_be_pushed_again(self, client: RegistryClient, name: str) -> None:
        first = client.push_image(name, "again")
        client.request("DELETE", f"/v2/{name}/manifests/{first}")
        assert client.push_image(name, "again") == first
        assert client.request("GET", f"/v2/{name}/manifests/again").status == 200
