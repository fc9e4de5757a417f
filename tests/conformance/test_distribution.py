"""What the OCI distribution specification 1.1 asks of a registry, as its conformance suite checks it, and ECR's edges.

Each test names the part of the specification it is about. The suite itself is run by hand; whatever it checks has a
test here, so that no change breaks it unnoticed.
"""

import gzip
import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count, pairwise
from typing import Any
from urllib.parse import quote

import pytest
from tests.places import ON_EVERY_PLACE
from tests.registry_client import (
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    Answer,
    RegistryClient,
    descriptor,
    digest_of,
    image_index,
    image_manifest,
)
from tests.running import OTHER_ACCOUNT, Server

pytestmark = ON_EVERY_PLACE

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
EMPTY = "application/vnd.oci.empty.v1+json"
UNKNOWN_DIGEST = "sha256:" + "0" * 64
_numbers = count(1)


@pytest.fixture(scope="module")
def ecr(server: Server) -> Any:
    return server.client("ecr")


@pytest.fixture(scope="module")
def client(server: Server) -> RegistryClient:
    return RegistryClient(server.port, server.password())


def new_repository(ecr: Any) -> str:
    name = f"conformance/repository-{next(_numbers)}"
    ecr.create_repository(repositoryName=name)
    return name


@pytest.fixture
def name(ecr: Any) -> str:
    return new_repository(ecr)


@pytest.fixture
def other_name(ecr: Any) -> str:
    return new_repository(ecr)


def setting(ecr: Any, setting_name: str, value: str) -> Iterator[None]:
    before = ecr.get_account_setting(name=setting_name)["value"]
    ecr.put_account_setting(name=setting_name, value=value)
    yield
    ecr.put_account_setting(name=setting_name, value=before)


@pytest.fixture
def mounting(ecr: Any) -> Iterator[None]:
    yield from setting(ecr, "BLOB_MOUNTING", "ENABLED")


@pytest.fixture
def sparse(ecr: Any) -> Iterator[None]:
    yield from setting(ecr, "SPARSE_MANIFESTS", "ENABLED")


def sha512_of(content: bytes) -> str:
    return "sha512:" + hashlib.sha512(content).hexdigest()


def open_upload(client: RegistryClient, name: str) -> str:
    """The location of a new upload."""
    answer = client.request("POST", f"/v2/{name}/blobs/uploads/", b"")
    assert answer.status == 202, answer
    return answer.headers["location"]


def chunk(client: RegistryClient, location: str, content: bytes, first_byte: int) -> Answer:
    last_byte = first_byte + len(content) - 1
    return client.request(
        "PATCH",
        location,
        content,
        Content_Range=f"{first_byte}-{last_byte}",
        Content_Type="application/octet-stream",
        Content_Length=str(len(content)),
    )


def complete(client: RegistryClient, location: str, digest: str, content: bytes = b"", **headers: str) -> Answer:
    return client.request("PUT", f"{location}?digest={digest}", content, **headers)


def upload_status(client: RegistryClient, location: str) -> Answer:
    return client.request("GET", location)


def next_page(answer: Answer) -> str | None:
    """The target of the Link header to the next page."""
    link = answer.headers.get("link")
    if link is None:
        return None
    target, _, relation = link.partition(";")
    assert relation.strip() == 'rel="next"'
    return target.strip().removeprefix("<").removesuffix(">")


def pages(client: RegistryClient, path: str) -> list[Answer]:
    """The first page and every page after it."""
    found = [client.request("GET", path)]
    while (following := next_page(found[-1])) is not None:
        found.append(client.request("GET", following))
        assert len(found) < 100, "the pages have no end"
    return found


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


class TestMount:
    """Specification: "Mounting a blob from another repository"; ECR's rules in the reference §4.3."""

    def mount(self, client: RegistryClient, name: str, digest: str, source: str | None) -> Answer:
        origin = f"&from={quote(source, safe='')}" if source is not None else ""
        return client.request("POST", f"/v2/{name}/blobs/uploads/?mount={digest}{origin}", b"")

    def test_mounting_is_off_until_the_registry_allows_it(
        self, client: RegistryClient, name: str, other_name: str
    ) -> None:
        digest = client.push_blob(other_name, b"not mounted")
        answer = self.mount(client, name, digest, other_name)
        assert answer.status == 202
        assert client.request("HEAD", f"/v2/{name}/blobs/{digest}").status == 404
        assert complete(client, answer.headers["location"], digest, b"not mounted").status == 201

    def test_a_layer_is_mounted_from_another_repository(
        self, client: RegistryClient, name: str, other_name: str, mounting: None
    ) -> None:
        digest = client.push_blob(other_name, b"mounted")
        answer = self.mount(client, name, digest, other_name)
        assert answer.status == 201
        assert answer.headers["location"] == f"/v2/{name}/blobs/{digest}"
        assert answer.headers["docker-content-digest"] == digest
        assert client.pull_blob(name, digest).body == b"mounted"

    def test_a_layer_is_mounted_from_wherever_it_is(
        self, client: RegistryClient, name: str, other_name: str, mounting: None
    ) -> None:
        digest = client.push_blob(other_name, b"mounted from anywhere")
        assert self.mount(client, name, digest, None).status == 201
        assert client.pull_blob(name, digest).body == b"mounted from anywhere"

    def test_a_layer_that_is_nowhere_is_uploaded(
        self, client: RegistryClient, name: str, other_name: str, mounting: None
    ) -> None:
        content = b"nowhere yet"
        for source in (None, other_name, "no/such/repository", "NOT A NAME", f"{OTHER_ACCOUNT}.us-east-1/theirs"):
            answer = self.mount(client, name, digest_of(content), source)
            assert answer.status == 202
        assert complete(client, answer.headers["location"], digest_of(content), content).status == 201

    def test_what_was_mounted_stays_when_mounting_is_switched_off(
        self, ecr: Any, client: RegistryClient, name: str, other_name: str
    ) -> None:
        switched = setting(ecr, "BLOB_MOUNTING", "ENABLED")
        next(switched)
        digest = client.push_blob(other_name, b"mounted, then off")
        assert self.mount(client, name, digest, other_name).status == 201
        assert next(switched, "switched back") == "switched back"
        ecr.delete_repository(repositoryName=other_name, force=True)
        assert client.pull_blob(name, digest).body == b"mounted, then off"

    def test_a_layer_is_not_mounted_across_encryption(
        self, ecr: Any, client: RegistryClient, name: str, mounting: None
    ) -> None:
        sealed = f"conformance/sealed-{next(_numbers)}"
        ecr.create_repository(repositoryName=sealed, encryptionConfiguration={"encryptionType": "KMS"})
        digest = client.push_blob(sealed, b"under another key")
        assert self.mount(client, name, digest, sealed).status == 202
        assert self.mount(client, name, digest, None).status == 202


class TestManifests:
    """Specification: "Pushing manifests", "Pulling manifests"."""

    def push(self, client: RegistryClient, name: str, reference: str) -> tuple[bytes, Answer]:
        config, layer = b'{"config": 1}', b"a layer"
        client.push_blob(name, config)
        client.push_blob(name, layer)
        # Spaces, order and a field of nobody's: what comes back are these bytes and no others.
        manifest = (
            json.dumps(json.loads(image_manifest(config, layer)) | {"zzz": {"about": reference}}, indent=3).encode()
            + b"\n"
        )
        return manifest, client.push_manifest(name, reference, manifest)

    def test_a_manifest_comes_back_byte_for_byte_by_tag_and_by_digest(self, client: RegistryClient, name: str) -> None:
        manifest, pushed = self.push(client, name, "latest")
        digest = digest_of(manifest)
        assert pushed.status == 201, pushed
        assert pushed.headers["docker-content-digest"] == digest
        assert pushed.headers["location"] == f"/v2/{name}/manifests/{digest}"
        for reference in ("latest", digest):
            got = client.request("GET", f"/v2/{name}/manifests/{reference}", Accept=OCI_MANIFEST)
            assert (got.status, got.body) == (200, manifest)
            assert got.headers["content-type"] == OCI_MANIFEST
            assert got.headers["docker-content-digest"] == digest
            head = client.request("HEAD", f"/v2/{name}/manifests/{reference}", Accept=OCI_MANIFEST)
            assert (head.status, head.body) == (200, b"")
            for header in ("content-type", "content-length", "docker-content-digest"):
                assert head.headers[header] == got.headers[header]

    def test_a_manifest_pushed_by_digest_has_no_tag(self, client: RegistryClient, name: str) -> None:
        config, layer = b"{}", b"untagged"
        for content in (config, layer):
            client.push_blob(name, content)
        manifest = image_manifest(config, layer)
        assert client.push_manifest(name, digest_of(manifest), manifest).status == 201
        assert client.request("GET", f"/v2/{name}/manifests/{digest_of(manifest)}").body == manifest
        assert client.request("GET", f"/v2/{name}/tags/list").json["tags"] == []

    def test_a_tag_moves_and_the_old_image_stays_by_digest(self, client: RegistryClient, name: str) -> None:
        first = client.push_image(name, "moving", b"first")
        second = client.push_image(name, "moving", b"second")
        assert client.request("HEAD", f"/v2/{name}/manifests/moving").headers["docker-content-digest"] == second
        assert client.request("HEAD", f"/v2/{name}/manifests/{first}").status == 200

    def test_a_push_may_be_repeated(self, client: RegistryClient, name: str) -> None:
        first, _ = self.push(client, name, "again")
        assert client.push_manifest(name, "again", first).status == 201

    def test_a_push_by_digest_takes_tags_as_parameters(self, client: RegistryClient, name: str) -> None:
        config = b"{}"
        client.push_blob(name, config)
        manifest = image_manifest(config)
        answer = client.push_manifest(name, f"{digest_of(manifest)}?tag=one&tag=two&tag=one", manifest)
        assert answer.status == 201, answer
        assert client.request("GET", f"/v2/{name}/tags/list").json["tags"] == ["one", "two"]
        for tag in ("one", "two"):
            assert client.request("GET", f"/v2/{name}/manifests/{tag}").body == manifest

    def test_tags_as_parameters_of_a_push_by_tag_are_refused(self, client: RegistryClient, name: str) -> None:
        client.push_blob(name, b"{}")
        assert client.push_manifest(name, "a?tag=b", image_manifest(b"{}")).status == 400
        assert client.request("GET", f"/v2/{name}/tags/list").json["tags"] == []

    def test_one_bad_tag_among_the_parameters_keeps_all_from_being_set(self, client: RegistryClient, name: str) -> None:
        client.push_blob(name, b"{}")
        manifest = image_manifest(b"{}")
        assert client.push_manifest(name, f"{digest_of(manifest)}?tag=good&tag=-bad", manifest).status == 400
        assert client.request("GET", f"/v2/{name}/tags/list").json["tags"] == []
        assert client.request("HEAD", f"/v2/{name}/manifests/{digest_of(manifest)}").status == 404

    def test_a_digest_announced_in_a_header_is_checked(self, client: RegistryClient, name: str) -> None:
        client.push_blob(name, b"{}")
        manifest = image_manifest(b"{}")
        wrong = client.request(
            "PUT", f"/v2/{name}/manifests/t", manifest, Content_Type=OCI_MANIFEST, Docker_Content_Digest=UNKNOWN_DIGEST
        )
        assert (wrong.status, wrong.json["errors"][0]["code"]) == (400, "MANIFEST_INVALID")
        right = client.request(
            "PUT",
            f"/v2/{name}/manifests/t",
            manifest,
            Content_Type=OCI_MANIFEST,
            Docker_Content_Digest=digest_of(manifest),
        )
        assert right.status == 201

    def test_a_manifest_is_known_by_the_sha512_it_was_pushed_with(self, client: RegistryClient, name: str) -> None:
        config, layer = b'{"sha": 512}', b"layer under sha512"
        for content in (config, layer):
            path = f"/v2/{name}/blobs/uploads/?digest={sha512_of(content)}"
            assert client.request("POST", path, content).status == 201
        document = json.loads(image_manifest(config, layer))
        document["config"]["digest"] = sha512_of(config)
        document["layers"][0]["digest"] = sha512_of(layer)
        manifest = json.dumps(document).encode()
        answer = client.push_manifest(name, f"{sha512_of(manifest)}?tag=long", manifest)
        assert answer.status == 201, answer
        assert answer.headers["docker-content-digest"] == sha512_of(manifest)
        for reference in (sha512_of(manifest), "long"):
            got = client.request("GET", f"/v2/{name}/manifests/{reference}")
            assert got.body == manifest
            assert got.headers["docker-content-digest"] == sha512_of(manifest)

    @pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
    def test_a_manifest_pushed_under_a_wrong_digest_is_refused(
        self, client: RegistryClient, name: str, algorithm: str
    ) -> None:
        client.push_blob(name, b"{}")
        wrong = algorithm + ":" + "a" * (64 if algorithm == "sha256" else 128)
        answer = client.push_manifest(name, wrong, image_manifest(b"{}"))
        assert (answer.status, answer.json["errors"][0]["code"]) == (400, "MANIFEST_INVALID")
        assert client.request("HEAD", f"/v2/{name}/manifests/{wrong}").status == 404

    def test_docker_schema_2_is_taken_as_it_is(self, client: RegistryClient, name: str) -> None:
        config, layer = b"{}", gzip.compress(b"layer", mtime=0)
        for content in (config, layer):
            client.push_blob(name, content)
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": DOCKER_MANIFEST,
                "config": descriptor(config, "application/vnd.docker.container.image.v1+json"),
                "layers": [descriptor(layer, "application/vnd.docker.image.rootfs.diff.tar.gzip")],
            },
            indent=3,
        ).encode()
        assert client.push_manifest(name, "docker", manifest, DOCKER_MANIFEST).status == 201
        got = client.request("GET", f"/v2/{name}/manifests/docker", Accept=f"{DOCKER_MANIFEST}, {DOCKER_LIST}")
        assert (got.body, got.headers["content-type"]) == (manifest, DOCKER_MANIFEST)
        by_digest = client.request("GET", f"/v2/{name}/manifests/{digest_of(manifest)}", Accept=OCI_MANIFEST)
        assert by_digest.body == manifest, "by digest nothing is ever converted"
        converted = client.request("GET", f"/v2/{name}/manifests/docker", Accept=OCI_MANIFEST)
        assert converted.headers["content-type"] == OCI_MANIFEST
        assert converted.headers["docker-content-digest"] == digest_of(converted.body)
        assert converted.json["layers"][0] == descriptor(layer, OCI_LAYER)

    def test_a_manifest_without_a_media_type_has_the_requests(self, client: RegistryClient, name: str) -> None:
        client.push_blob(name, b"{}")
        document = json.loads(image_manifest(b"{}"))
        del document["mediaType"]
        assert client.push_manifest(name, "bare", json.dumps(document).encode()).status == 201
        assert client.request("HEAD", f"/v2/{name}/manifests/bare").headers["content-type"] == OCI_MANIFEST

    def test_an_artifact_may_have_no_layers_and_data_in_its_descriptors(
        self, client: RegistryClient, name: str
    ) -> None:
        client.push_blob(name, b"{}")
        config = descriptor(b"{}", EMPTY) | {"data": "e30="}
        document = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": "application/vnd.example.empty",
            "config": config,
            "layers": [],
            "annotations": {"org.example": "value"},
        }
        manifest = json.dumps(document).encode()
        assert client.push_manifest(name, "artifact", manifest).status == 201
        assert client.request("GET", f"/v2/{name}/manifests/artifact").body == manifest

    def test_a_non_distributable_layer_need_not_be_there(self, client: RegistryClient, name: str) -> None:
        client.push_blob(name, b"{}")
        document = json.loads(image_manifest(b"{}"))
        foreign = descriptor(b"elsewhere", "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip")
        document["layers"] = [foreign | {"urls": ["https://example.com/layer"]}]
        assert client.push_manifest(name, "foreign", json.dumps(document).encode()).status == 201


class TestIndexes:
    def test_an_index_and_a_nested_index_are_kept_with_their_members(self, client: RegistryClient, name: str) -> None:
        config = b"{}"
        client.push_blob(name, config)
        images = [image_manifest(config, annotations={"number": str(number)}) for number in range(3)]
        for image in images:
            assert client.push_manifest(name, digest_of(image), image).status == 201
        inner = image_index(*images[:2])
        assert client.push_manifest(name, digest_of(inner), inner, OCI_INDEX).status == 201
        outer = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": OCI_INDEX,
                "manifests": [descriptor(inner, OCI_INDEX), descriptor(images[2], OCI_MANIFEST)],
            }
        ).encode()
        assert client.push_manifest(name, "nested", outer, OCI_INDEX).status == 201
        got = client.request("GET", f"/v2/{name}/manifests/nested", Accept=OCI_INDEX)
        assert (got.body, got.headers["content-type"]) == (outer, OCI_INDEX)

    def test_an_index_may_be_empty(self, client: RegistryClient, name: str) -> None:
        assert client.push_manifest(name, "empty", image_index(), OCI_INDEX).status == 201

    def test_members_of_an_index_may_be_blobs(self, client: RegistryClient, name: str) -> None:
        """BuildKit's cache: an index whose members are layers and a config, and no image."""
        layer, config = b"cached layer", b'{"cache": true}'
        client.push_blob(name, layer)
        client.push_blob(name, config)
        cache = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": OCI_INDEX,
                "manifests": [
                    descriptor(layer, OCI_LAYER),
                    descriptor(config, "application/vnd.buildkit.cacheconfig.v0"),
                ],
            }
        ).encode()
        assert client.push_manifest(name, "cache", cache, OCI_INDEX).status == 201
        assert client.pull_blob(name, digest_of(layer)).body == layer

    def test_an_index_that_names_what_is_not_there_is_refused_with_all_of_it(
        self, client: RegistryClient, name: str
    ) -> None:
        index = image_index(b"absent one", b"absent two")
        status, code, message = client.push_manifest(name, "sparse", index, OCI_INDEX).error
        assert (status, code) == (404, "MANIFEST_BLOB_UNKNOWN")
        assert digest_of(b"absent one") in message
        assert digest_of(b"absent two") in message

    def test_a_registry_of_sparse_manifests_takes_an_index_with_gaps(
        self, client: RegistryClient, name: str, sparse: None
    ) -> None:
        client.push_blob(name, b"{}")
        later = image_manifest(b"{}", annotations={"pushed": "later"})
        index = image_index(later)
        assert client.push_manifest(name, "sparse", index, OCI_INDEX).status == 201
        assert client.request("GET", f"/v2/{name}/manifests/sparse").body == index
        assert client.request("GET", f"/v2/{name}/manifests/{digest_of(later)}").status == 404
        assert client.push_manifest(name, digest_of(later), later).status == 201
        refused = client.request("DELETE", f"/v2/{name}/manifests/{digest_of(later)}")
        assert refused.status == 405, "the gap is filled: the member is held by its index"

    def test_a_registry_of_sparse_manifests_takes_an_image_with_gaps(
        self, client: RegistryClient, name: str, sparse: None
    ) -> None:
        manifest = image_manifest(b'{"config": "later"}', b"layer that comes later")
        assert client.push_manifest(name, "sparse", manifest).status == 201
        assert client.request("HEAD", f"/v2/{name}/blobs/{digest_of(b'layer that comes later')}").status == 404
        client.push_blob(name, b"layer that comes later")
        assert client.pull_blob(name, digest_of(b"layer that comes later")).body == b"layer that comes later"


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


class TestTags:
    """Specification: "Listing tags"."""

    @pytest.fixture
    def tagged(self, client: RegistryClient, name: str) -> str:
        """A repository with the tags t00 to t24."""
        client.push_blob(name, b"{}")
        manifest = image_manifest(b"{}")
        tags = "&".join(f"tag=t{number:02}" for number in range(25))
        assert client.push_manifest(name, f"{digest_of(manifest)}?{tags}", manifest).status == 201
        return name

    def listed(self, client: RegistryClient, path: str) -> list[str]:
        answer = client.request("GET", path)
        assert answer.status == 200, answer
        found: list[str] = answer.json["tags"]
        return found

    def test_tags_are_listed_in_byte_order(self, client: RegistryClient, name: str) -> None:
        client.push_blob(name, b"{}")
        manifest = image_manifest(b"{}")
        tags = ["b", "a", "B", "_x", "1", "10", "2", "a.b", "a-b", "a_b"]
        query = "&".join(f"tag={tag}" for tag in tags)
        assert client.push_manifest(name, f"{digest_of(manifest)}?{query}", manifest).status == 201
        answer = client.request("GET", f"/v2/{name}/tags/list")
        assert answer.json == {"name": name, "tags": sorted(tags)}
        assert answer.headers["content-type"] == "application/json; charset=utf-8"

    @pytest.mark.parametrize("most", [1, 7, 24, 25])
    def test_pages_hold_every_tag_once(self, client: RegistryClient, tagged: str, most: int) -> None:
        found = pages(client, f"/v2/{tagged}/tags/list?n={most}")
        assert [tag for page in found for tag in page.json["tags"]] == [f"t{number:02}" for number in range(25)]
        assert len(found) == -(-25 // most)
        assert all(len(page.json["tags"]) <= most for page in found)

    def test_a_page_of_none_is_empty_and_links_nowhere(self, client: RegistryClient, tagged: str) -> None:
        answer = client.request("GET", f"/v2/{tagged}/tags/list?n=0")
        assert (answer.status, answer.json["tags"], next_page(answer)) == (200, [], None)

    def test_the_largest_page_is_a_thousand(self, client: RegistryClient, tagged: str) -> None:
        assert len(self.listed(client, f"/v2/{tagged}/tags/list?n=1000")) == 25

    @pytest.mark.parametrize("most", ["1001", "2147483648", "9223372036854775808", "9" * 12])
    def test_more_than_a_thousand_are_refused_as_ecr_does(self, client: RegistryClient, tagged: str, most: str) -> None:
        for path in (f"/v2/{tagged}/tags/list", "/v2/_catalog"):
            status, code, message = client.request("GET", f"{path}?n={most}").error
            assert (status, code) == (405, "UNSUPPORTED")
            assert message == (
                "Invalid parameter at 'maxResults' failed to satisfy constraint: "
                "'Member must have value less than or equal to 1000'"
            )

    @pytest.mark.parametrize("most", ["abc", "-1", "1.5", "", "%D9%A1", "0x10", "1e3", "+5", " 5"])
    def test_a_page_size_that_is_no_count_is_refused(self, client: RegistryClient, tagged: str, most: str) -> None:
        for path in (f"/v2/{tagged}/tags/list", "/v2/_catalog"):
            assert client.request("GET", f"{path}?n={quote(most, safe='%')}").status == 405

    @pytest.mark.parametrize(
        ("last", "expected"),
        [("t22", ["t23", "t24"]), ("t22z", ["t23", "t24"]), ("t24", []), ("zzz", []), ("", None), ("t", None)],
    )
    def test_a_listing_goes_on_after_a_tag_that_need_not_exist(
        self, client: RegistryClient, tagged: str, last: str, expected: list[str] | None
    ) -> None:
        every = [f"t{number:02}" for number in range(25)]
        assert self.listed(client, f"/v2/{tagged}/tags/list?last={last}") == (every if expected is None else expected)

    def test_a_hundred_tags_are_a_page_by_default(self, client: RegistryClient, name: str) -> None:
        client.push_blob(name, b"{}")
        for group in range(3):
            manifest = image_manifest(b"{}", annotations={"group": str(group)})
            tags = "&".join(f"tag=g{group}-{number:02}" for number in range(50))
            assert client.push_manifest(name, f"{digest_of(manifest)}?{tags}", manifest).status == 201
        found = pages(client, f"/v2/{name}/tags/list")
        assert [len(page.json["tags"]) for page in found] == [100, 50]

    def test_an_empty_repository_has_no_tags(self, client: RegistryClient, name: str) -> None:
        assert client.request("GET", f"/v2/{name}/tags/list").json == {"name": name, "tags": []}

    def test_head_tells_what_get_would(self, client: RegistryClient, tagged: str) -> None:
        got = client.request("GET", f"/v2/{tagged}/tags/list")
        head = client.request("HEAD", f"/v2/{tagged}/tags/list")
        assert (head.status, head.body) == (200, b"")
        assert head.headers["content-length"] == str(len(got.body))


class TestCatalog:
    def test_the_catalog_holds_every_repository_once_in_order(
        self, client: RegistryClient, name: str, other_name: str
    ) -> None:
        found = pages(client, "/v2/_catalog?n=1000")
        listed = [item for page in found for item in page.json["repositories"]]
        assert {name, other_name} <= set(listed)
        assert listed == sorted(set(listed))
        for most in (1, 3):
            small = pages(client, f"/v2/_catalog?n={most}&last={listed[-8]}")
            assert [item for page in small for item in page.json["repositories"]] == listed[-7:]

    def test_the_catalog_of_another_registry_pages_within_it(self, server: Server) -> None:
        theirs = server.client("ecr", OTHER_ACCOUNT)
        names = [f"theirs/of-the-catalog-{number}" for number in range(3)]
        for each in names:
            theirs.create_repository(repositoryName=each)
        client = RegistryClient(server.port, server.password(OTHER_ACCOUNT))
        found = pages(client, f"/v2/{OTHER_ACCOUNT}.us-east-1/_catalog?n=1&last=theirs/of-the")
        listed = [item for page in found for item in page.json["repositories"]]
        assert listed[:3] == names


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
