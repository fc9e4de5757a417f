"""Uploads of blobs, whole and in chunks, and what every answer has."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from tests.conformance.distribution.requests import (
    chunk,
    complete,
    open_upload,
    sha512_of,
    upload_status,
)
from tests.places import ON_EVERY_PLACE
from tests.registry_client import (
    RegistryClient,
    digest_of,
)

pytestmark = ON_EVERY_PLACE


class TestBase:
    def test_the_version_check_answers_200_and_names_the_api_version(self, client: RegistryClient) -> None:
        answer = client.request("GET", "/v2/")
        assert (answer.status, answer.body) == (200, b"")
        assert answer.headers["docker-distribution-api-version"] == "registry/2.0"

    def test_every_answer_names_its_request(self, client: RegistryClient, name: str) -> None:
        paths = ("/v2/", f"/v2/{name}/tags/list", f"/v2/{name}/manifests/none", "/v2/nothing")
        ids = [client.request("GET", path).headers["x-amzn-requestid"] for path in paths]
        assert len(set(ids)) == len(paths)


class TestBlobPush:
    """Specification: "Pushing blobs"."""

    def assert_served(self, client: RegistryClient, name: str, digest: str, content: bytes) -> None:
        head = client.request("HEAD", f"/v2/{name}/blobs/{digest}")
        assert (head.status, head.headers["content-length"]) == (200, str(len(content)))
        assert head.headers["docker-content-digest"] == digest
        pulled = client.pull_blob(name, digest)
        assert (pulled.status, pulled.body) == (200, content)
        assert pulled.headers["docker-content-digest"] == digest

    def test_post_then_put_uploads_monolithically(self, client: RegistryClient, name: str) -> None:
        content = b"post, then put"
        location = open_upload(client, name)
        answer = complete(client, location, digest_of(content), content, Content_Type="application/octet-stream")
        assert answer.status == 201, answer
        assert answer.headers["location"] == f"/v2/{name}/blobs/{digest_of(content)}"
        assert answer.headers["docker-content-digest"] == digest_of(content)
        self.assert_served(client, name, digest_of(content), content)

    def test_a_single_post_uploads_monolithically(self, client: RegistryClient, name: str) -> None:
        content = b"one post"
        path = f"/v2/{name}/blobs/uploads/?digest={digest_of(content)}"
        answer = client.request("POST", path, content, Content_Type="application/octet-stream")
        assert answer.status == 201, answer
        assert answer.headers["location"] == f"/v2/{name}/blobs/{digest_of(content)}"
        self.assert_served(client, name, digest_of(content), content)

    def test_the_uploads_path_is_taken_without_its_last_slash(self, client: RegistryClient, name: str) -> None:
        content = b"no slash"
        path = f"/v2/{name}/blobs/uploads?digest={digest_of(content)}"
        assert client.request("POST", path, content).status == 201

    def test_a_location_may_be_continued_with_parameters_of_its_own(self, client: RegistryClient, name: str) -> None:
        content = b"parameters"
        location = open_upload(client, name)
        assert client.request("PUT", f"{location}?state=x&digest={digest_of(content)}", content).status == 201

    def test_a_streamed_patch_needs_neither_length_nor_range(self, client: RegistryClient, name: str) -> None:
        pieces = [bytes([number]) * 70_000 for number in range(9)]
        content = b"".join(pieces)
        location = open_upload(client, name)
        patched = client.request("PATCH", location, iter(pieces))  # http.client sends an iterator in chunks
        assert patched.status == 202, patched
        assert patched.headers["range"] == f"0-{len(content) - 1}"
        answer = complete(client, patched.headers["location"], digest_of(content))
        assert answer.status == 201, answer
        self.assert_served(client, name, digest_of(content), content)

    def test_chunks_in_order_make_the_blob(self, client: RegistryClient, name: str) -> None:
        content = bytes(range(256)) * 10
        borders = [0, 1, 1000, 2559, len(content)]
        location = open_upload(client, name)
        for start, end in pairwise(borders):
            answer = chunk(client, location, content[start:end], start)
            assert (answer.status, answer.headers["range"]) == (202, f"0-{end - 1}")
            location = answer.headers["location"]
        assert complete(client, location, digest_of(content)).status == 201
        self.assert_served(client, name, digest_of(content), content)

    def test_the_last_chunk_may_come_with_the_put(self, client: RegistryClient, name: str) -> None:
        content = b"first chunk, last chunk"
        location = chunk(client, open_upload(client, name), content[:11], 0).headers["location"]
        answer = complete(client, location, digest_of(content), content[11:], Content_Range=f"11-{len(content) - 1}")
        assert answer.status == 201, answer
        self.assert_served(client, name, digest_of(content), content)

    @pytest.mark.parametrize("first_byte", [0, 4, 6, 1000])
    def test_a_chunk_out_of_order_is_refused_and_changes_nothing(
        self, client: RegistryClient, name: str, first_byte: int
    ) -> None:
        content = b"12345the rest"
        location = chunk(client, open_upload(client, name), content[:5], 0).headers["location"]
        assert chunk(client, location, b"xxx", first_byte).status == 416
        assert upload_status(client, location).headers["range"] == "0-4"
        assert chunk(client, location, content[5:], 5).status == 202
        assert complete(client, location, digest_of(content)).status == 201

    def test_a_last_chunk_out_of_order_is_refused_and_the_upload_goes_on(
        self, client: RegistryClient, name: str
    ) -> None:
        content = b"12345the rest"
        location = chunk(client, open_upload(client, name), content[:5], 0).headers["location"]
        refused = complete(client, location, digest_of(content), content[5:], Content_Range="6-13")
        assert refused.status == 416
        assert complete(client, location, digest_of(content), content[5:]).status == 201

    @pytest.mark.parametrize("spelled", ["4-0", "abc", "0-", "-4", "0-4-5", "bytes=0-4", "0-3", "0-5"])
    def test_a_content_range_that_lies_or_says_nothing_is_refused(
        self, client: RegistryClient, name: str, spelled: str
    ) -> None:
        location = open_upload(client, name)
        assert client.request("PATCH", location, b"12345", Content_Range=spelled).status == 416
        assert upload_status(client, location).headers["range"] == "0-0"

    @pytest.mark.parametrize("sent", [b"123", b"1234567"], ids=["shorter", "longer"])
    def test_a_streamed_chunk_that_is_not_as_long_as_its_range_keeps_nothing(
        self, client: RegistryClient, name: str, sent: bytes
    ) -> None:
        location = open_upload(client, name)
        assert client.request("PATCH", location, iter([sent]), Content_Range="0-4").status == 416
        assert upload_status(client, location).headers["range"] == "0-0"
        assert chunk(client, location, b"12345", 0).status == 202
        assert complete(client, location, digest_of(b"12345")).status == 201

    def test_an_upload_is_resumed_from_its_status(self, client: RegistryClient, name: str) -> None:
        content = b"begun here, resumed there"
        location = open_upload(client, name)
        chunk(client, location, content[:10], 0)
        status = upload_status(client, location)
        assert (status.status, status.headers["range"], status.body) == (204, "0-9", b"")
        continued = chunk(client, status.headers["location"], content[10:], 10)
        assert continued.status == 202
        assert complete(client, continued.headers["location"], digest_of(content)).status == 201
        self.assert_served(client, name, digest_of(content), content)

    def test_a_cancelled_upload_is_gone(self, client: RegistryClient, name: str) -> None:
        location = open_upload(client, name)
        chunk(client, location, b"some bytes", 0)
        assert client.request("DELETE", location).status == 204
        assert upload_status(client, location).status == 404
        assert chunk(client, location, b"more", 10).status == 404
        assert complete(client, location, digest_of(b"some bytes")).status == 404
        assert client.request("DELETE", location).status == 404

    def test_a_completed_upload_is_gone(self, client: RegistryClient, name: str) -> None:
        location = open_upload(client, name)
        assert complete(client, location, digest_of(b"x"), b"x").status == 201
        assert upload_status(client, location).status == 404

    def test_a_wrong_digest_is_refused_and_no_blob_appears(self, client: RegistryClient, name: str) -> None:
        promised = digest_of(b"what was promised")
        assert complete(client, open_upload(client, name), promised, b"what came").status == 400
        assert client.request("HEAD", f"/v2/{name}/blobs/{promised}").status == 404
        assert client.request("HEAD", f"/v2/{name}/blobs/{digest_of(b'what came')}").status == 404

    def test_a_blob_that_is_there_may_be_pushed_again(self, client: RegistryClient, name: str) -> None:
        for _ in range(3):
            client.push_blob(name, b"pushed thrice")
        self.assert_served(client, name, digest_of(b"pushed thrice"), b"pushed thrice")

    @pytest.mark.parametrize("how", ["post", "put", "patch"])
    def test_an_empty_blob_is_a_blob(self, client: RegistryClient, name: str, how: str) -> None:
        digest = digest_of(b"")
        if how == "post":
            answer = client.request("POST", f"/v2/{name}/blobs/uploads/?digest={digest}", b"")
        else:
            location = open_upload(client, name)
            if how == "patch":
                assert client.request("PATCH", location, b"").status == 202
            answer = complete(client, location, digest)
        assert answer.status == 201, answer
        self.assert_served(client, name, digest, b"")

    @pytest.mark.parametrize("how", ["post", "put", "chunks"])
    def test_a_blob_is_pushed_and_pulled_by_sha512(self, client: RegistryClient, name: str, how: str) -> None:
        content = f"sha512 by {how}".encode()
        digest = sha512_of(content)
        if how == "post":
            answer = client.request("POST", f"/v2/{name}/blobs/uploads/?digest={digest}", content)
        else:
            location = open_upload(client, name)
            if how == "chunks":
                chunk(client, location, content[:4], 0)
                chunk(client, location, content[4:], 4)
            answer = complete(client, location, digest, b"" if how == "chunks" else content)
        assert answer.status == 201, answer
        assert answer.headers["docker-content-digest"] == digest
        self.assert_served(client, name, digest, content)

    def test_a_wrong_sha512_is_refused(self, client: RegistryClient, name: str) -> None:
        assert complete(client, open_upload(client, name), sha512_of(b"other"), b"bytes").status == 400

    def test_uploads_of_one_layer_at_once_do_not_disturb_each_other(self, client: RegistryClient, name: str) -> None:
        content = b"the same layer from everyone" * 1000
        locations = [open_upload(client, name) for _ in range(8)]
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda where: complete(client, where, digest_of(content), content), locations))
        assert [answer.status for answer in answers] == [201] * 8

    def test_a_blob_cannot_be_deleted_by_itself(self, client: RegistryClient, name: str) -> None:
        digest = client.push_blob(name, b"stays")
        assert client.request("DELETE", f"/v2/{name}/blobs/{digest}").error == (
            405,
            "UNSUPPORTED",
            "The operation is unsupported.",
        )
        self.assert_served(client, name, digest, b"stays")
