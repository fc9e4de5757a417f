"""Pulls of blobs, whole and in ranges."""

import pytest
from tests.conformance.distribution.requests import (
    UNKNOWN_DIGEST,
)
from tests.places import ON_EVERY_PLACE
from tests.registry_client import (
    Answer,
    RegistryClient,
)

pytestmark = ON_EVERY_PLACE


class TestBlobPull:
    """Specification: "Pulling blobs"; RFC 9110 §14 for ranges."""

    CONTENT = bytes(range(200)) * 5

    @pytest.fixture
    def layer_path(self, client: RegistryClient, name: str) -> str:
        """The presigned path of a layer."""
        digest = client.push_blob(name, self.CONTENT)
        answer = client.request("GET", f"/v2/{name}/blobs/{digest}")
        assert answer.status == 307
        return answer.headers["location"]

    def fetch(self, client: RegistryClient, path: str, wanted: str | None = None, method: str = "GET") -> Answer:
        anonymous = RegistryClient(client.port, None)
        return anonymous.request(method, path, **({"Range": wanted} if wanted is not None else {}))

    def test_the_whole_layer_says_that_ranges_are_taken(self, client: RegistryClient, layer_path: str) -> None:
        answer = self.fetch(client, layer_path)
        assert (answer.status, answer.body) == (200, self.CONTENT)
        assert answer.headers["accept-ranges"] == "bytes"
        assert answer.headers["content-length"] == "1000"

    @pytest.mark.parametrize(
        ("wanted", "start", "end"),
        [
            ("bytes=0-0", 0, 1),
            ("bytes=0-499", 0, 500),
            ("bytes=500-999", 500, 1000),
            ("bytes=999-999", 999, 1000),
            ("bytes=0-999", 0, 1000),
            ("bytes=0-1000", 0, 1000),
            ("bytes=500-", 500, 1000),
            ("bytes=0-", 0, 1000),
            ("bytes=999-123456789", 999, 1000),
            ("bytes=-1", 999, 1000),
            ("bytes=-1000", 0, 1000),
            ("bytes=-5000", 0, 1000),
        ],
    )
    def test_a_range_is_served_to_the_byte(
        self, client: RegistryClient, layer_path: str, wanted: str, start: int, end: int
    ) -> None:
        answer = self.fetch(client, layer_path, wanted)
        assert (answer.status, answer.body) == (206, self.CONTENT[start:end])
        assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/1000"
        assert answer.headers["content-length"] == str(end - start)
        head = self.fetch(client, layer_path, wanted, "HEAD")
        assert (head.body, head.headers["content-length"]) == (b"", str(end - start))

    @pytest.mark.parametrize("wanted", ["bytes=1000-", "bytes=1000-1000", "bytes=5-4", "bytes=-0", "bytes=123456789-"])
    def test_a_range_that_cannot_be_had_is_416_with_the_size(
        self, client: RegistryClient, layer_path: str, wanted: str
    ) -> None:
        answer = self.fetch(client, layer_path, wanted)
        assert (answer.status, answer.headers["content-range"]) == (416, "bytes */1000")
        assert b"<Code>InvalidRange</Code>" in answer.body

    @pytest.mark.parametrize(
        "wanted", ["bytes=0-1,5-6", "bytes=-", "lines=0-5", "bytes 0-5", "0-5", "bytes=a-b", "bytes=0-" + "9" * 40]
    )
    def test_a_range_of_another_form_is_as_good_as_none(
        self, client: RegistryClient, layer_path: str, wanted: str
    ) -> None:
        answer = self.fetch(client, layer_path, wanted)
        assert (answer.status, answer.body) == (200, self.CONTENT)

    def test_head_of_a_blob_tells_its_size_without_a_redirect(self, client: RegistryClient, name: str) -> None:
        digest = client.push_blob(name, b"looked at")
        answer = client.request("HEAD", f"/v2/{name}/blobs/{digest}")
        assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "9")
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["docker-content-digest"] == digest

    def test_what_is_not_there_has_no_body_for_head(self, client: RegistryClient, name: str) -> None:
        for path in (f"/v2/{name}/blobs/{UNKNOWN_DIGEST}", f"/v2/{name}/manifests/none"):
            answer = client.request("HEAD", path)
            assert (answer.status, answer.body) == (404, b"")
