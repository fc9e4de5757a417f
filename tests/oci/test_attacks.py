"""What attackers try on the dkr and layers planes, with the CVE class; each fails when its defence is taken out."""

import base64
import json
import socket
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest

from openecr.access import layer_urls, tokens
from openecr.db.connection import Connection
from openecr.names import Digest
from tests.oci.insider import Insider
from tests.oci.test_errors import EVERY_ROUTE, EXPIRED, NOWHERE, ROUTES, UPLOAD, Route
from tests.oci.wire import Wire, read_answer
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
from tests.running import DEFAULT_ACCOUNT, OTHER_ACCOUNT, Server

pytestmark = ON_EVERY_PLACE

MIB = 1024 * 1024
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"


@pytest.fixture(scope="session")
def wire(server: Server) -> Wire:
    return Wire(server.port)


def authorization(client: RegistryClient) -> str:
    return "Basic " + base64.b64encode(f"AWS:{client.password}".encode()).decode()


def head(client: RegistryClient, method: str, path: str, *lines: str) -> bytes:
    """A request's head, spelled out."""
    text = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Authorization: {authorization(client)}", *lines, "", ""]
    return "\r\n".join(text).encode("latin-1")


class TestTypeConfusion:
    """CVE-2021-41190: one document that is an image to one client and an index to another."""

    BOTH = {  # noqa: RUF012 - never changed
        "schemaVersion": 2,
        "config": descriptor(b"{}", OCI_CONFIG),
        "layers": [descriptor(b"layer", OCI_LAYER)],
        "manifests": [],
    }

    @pytest.mark.parametrize("media_type", [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST])
    @pytest.mark.parametrize("says_so", [True, False])
    @pytest.mark.parametrize("without", [None, "config", "layers"])
    def test_a_document_with_the_fields_of_both_kinds_is_refused(
        self, registry: RegistryClient, repository: str, media_type: str, says_so: bool, without: str | None
    ) -> None:
        for content in (b"{}", b"layer"):
            registry.push_blob(repository, content)
        document = {key: value for key, value in self.BOTH.items() if key != without}
        if says_so:
            document["mediaType"] = media_type
        answer = registry.push_manifest(repository, "confused", json.dumps(document).encode(), media_type)
        assert answer.status == 405
        assert registry.request("GET", f"/v2/{repository}/manifests/confused").status == 404

    @pytest.mark.parametrize("said", [OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST])
    def test_a_media_type_that_contradicts_the_request_is_refused(
        self, registry: RegistryClient, repository: str, said: str
    ) -> None:
        registry.push_blob(repository, b"{}")
        assert registry.push_manifest(repository, "t", image_manifest(b"{}"), said).status == 405
        assert registry.push_manifest(repository, "t", image_index(), OCI_MANIFEST).status == 405

    def test_an_index_that_calls_itself_an_image_is_refused_whatever_the_request_says(
        self, registry: RegistryClient, repository: str
    ) -> None:
        document = json.loads(image_index()) | {"mediaType": OCI_MANIFEST}
        for content_type in (OCI_MANIFEST, OCI_INDEX, "application/json", ""):
            answer = registry.push_manifest(repository, "t", json.dumps(document).encode(), content_type)
            assert answer.status == 405


class TestBounds:
    """CVE-2017-11468, CVE-2023-2253: what a request may make the server hold."""

    def test_a_manifest_without_a_length_is_refused_as_soon_as_it_is_too_long(
        self, wire: Wire, registry: RegistryClient, repository: str
    ) -> None:
        path = f"/v2/{repository}/manifests/long"
        with wire.connect() as connection:
            connection.sendall(
                head(registry, "PUT", path, f"Content-Type: {OCI_MANIFEST}", "Transfer-Encoding: chunked")
            )
            piece = b" " * MIB
            for _ in range(4):
                connection.sendall(f"{MIB:x}\r\n".encode() + piece + b"\r\n")
            connection.sendall(b"1\r\n \r\n")  # one byte over; the body has no end
            answer = read_answer(connection)
        assert answer is not None
        assert answer.error[:2] == (413, "SIZE_INVALID")

    @pytest.mark.parametrize(
        "content",
        [
            b'{"a":' * 100 + b"1" + b"}" * 100,
            b"[" * 2 * MIB,
            b'{"annotations": ' + b'{"a":' * 64 + b"1" + b"}" * 65,
            b'"' + b'\\"' * MIB,
            b'{"a":"' + b"\\\\" * MIB,
            b'["' * MIB,
            b"[[]," * MIB,
            b'"' * 4 * MIB,
        ],
        ids=["nested", "openers", "65 deep", "escaped quotes", "backslashes", "quoted openers", "lists", "quotes"],
    )
    def test_a_manifest_made_to_cost_is_refused_while_others_push(
        self, registry: RegistryClient, repository: str, content: bytes
    ) -> None:
        """The depth check was once quadratic in escaped quotes without an end, on the thread that writes."""
        answer = registry.push_manifest(repository, "costly", content[: 4 * MIB])
        assert answer.status == 405
        assert registry.push_image(repository, "cheap")

    def test_a_manifest_may_nest_as_deep_as_the_limit(self, registry: RegistryClient, repository: str) -> None:
        registry.push_blob(repository, b"{}")
        for depth, status in ((63, 201), (64, 405)):  # the document itself is one level more
            document = json.loads(image_manifest(b"{}"))
            document["deep"] = json.loads("[" * depth + "]" * depth)
            assert registry.push_manifest(repository, "deep", json.dumps(document).encode()).status == status

    @pytest.mark.parametrize("size", [8_000, 65_536, 300_000])
    def test_enormous_headers_are_answered_or_cut_and_the_server_goes_on(
        self, wire: Wire, registry: RegistryClient, size: int
    ) -> None:
        for line in (f"X-Filler: {'a' * size}", f"Accept: {'a/b,' * (size // 4)}", f"Cookie: {'c=1;' * (size // 4)}"):
            answer = wire.exchange(head(registry, "GET", "/v2/", line, "Connection: close"))
            assert answer is None or answer.status in (200, 400, 431)
        assert registry.request("GET", "/v2/").status == 200

    def test_a_thousand_header_lines_are_answered_or_cut(self, wire: Wire, registry: RegistryClient) -> None:
        lines = [f"X-{number}: {number}" for number in range(1000)]
        answer = wire.exchange(head(registry, "GET", "/v2/", *lines, "Connection: close"))
        assert answer is None or answer.status in (200, 400, 431)
        assert registry.request("GET", "/v2/").status == 200

    def test_bodies_that_never_come_keep_nobody_waiting(
        self, wire: Wire, registry: RegistryClient, repository: str
    ) -> None:
        stalled: list[socket.socket] = []
        try:
            for number in range(40):
                connection = wire.connect()
                path = f"/v2/{repository}/manifests/slow-{number}"
                connection.sendall(head(registry, "PUT", path, f"Content-Type: {OCI_MANIFEST}", "Content-Length: 1000"))
                connection.sendall(b"{")
                stalled.append(connection)
            assert registry.push_image(repository, "meanwhile")
            assert registry.request("GET", f"/v2/{repository}/manifests/meanwhile").status == 200
        finally:
            for connection in stalled:
                connection.close()
        assert registry.request("GET", f"/v2/{repository}/tags/list").json["tags"] == ["meanwhile"]


class TestCutRequests:
    """A body that is not whole never becomes a blob or a manifest, whatever its digest."""

    def cut(self, wire: Wire, request: bytes) -> Answer | None:
        """Send, and end the sending side; the server's answer, or None once it has closed."""
        with wire.connect() as connection:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            return read_answer(connection)

    @pytest.mark.parametrize(
        ("framing", "body"),
        [
            ("Content-Length: 11", b"1234567890"),
            ("Transfer-Encoding: chunked", b"a\r\n1234567890\r\n"),
            ("Transfer-Encoding: chunked", b"b\r\n1234567890"),
            ("Transfer-Encoding: chunked", b"a\r\n1234567890\r\nzz\r\n"),
            ("Transfer-Encoding: chunked", b"a\r\n1234567890\r\n0\r\n"),
        ],
    )
    def test_a_put_that_is_cut_completes_nothing(
        self, wire: Wire, registry: RegistryClient, repository: str, framing: str, body: bytes
    ) -> None:
        content = b"1234567890"
        location = registry.request("POST", f"/v2/{repository}/blobs/uploads/", b"").headers["location"]
        answer = self.cut(wire, head(registry, "PUT", f"{location}?digest={digest_of(content)}", framing) + body)
        assert answer is None or answer.status >= 400
        # An append waits until the cut request has let go of the upload; that it works says that the upload is open.
        appended = registry.request("PATCH", location, iter([b""]))
        assert appended.status == 202
        assert registry.request("HEAD", f"/v2/{repository}/blobs/{digest_of(content)}").status == 404

    def test_a_single_post_that_is_cut_leaves_no_blob(
        self, wire: Wire, registry: RegistryClient, repository: str
    ) -> None:
        path = f"/v2/{repository}/blobs/uploads/?digest={digest_of(b'1234567890')}"
        answer = self.cut(wire, head(registry, "POST", path, "Content-Length: 11") + b"1234567890")
        assert answer is None or answer.status >= 400
        assert registry.request("HEAD", f"/v2/{repository}/blobs/{digest_of(b'1234567890')}").status == 404

    def test_a_manifest_that_is_cut_moves_no_tag(self, wire: Wire, registry: RegistryClient, repository: str) -> None:
        registry.push_blob(repository, b"{}")
        manifest = image_manifest(b"{}")
        lines = (f"Content-Type: {OCI_MANIFEST}", f"Content-Length: {len(manifest) + 1}")
        answer = self.cut(wire, head(registry, "PUT", f"/v2/{repository}/manifests/cut", *lines) + manifest)
        assert answer is None or answer.status >= 400
        assert registry.request("GET", f"/v2/{repository}/manifests/cut").status == 404

    def test_what_came_of_a_cut_chunk_is_kept_and_continued(
        self, wire: Wire, registry: RegistryClient, repository: str
    ) -> None:
        content = b"x" * 100_000 + b"y" * 100_000
        location = registry.request("POST", f"/v2/{repository}/blobs/uploads/", b"").headers["location"]
        self.cut(wire, head(registry, "PATCH", location, f"Content-Length: {len(content)}") + content[:150_000])
        kept = registry.request("PATCH", location, iter([b""]))
        said = int(kept.headers["range"].removeprefix("0-"))
        start = said + 1 if said else 0
        assert start <= 150_000
        rest = registry.request("PUT", f"{location}?digest={digest_of(content)}", content[start:])
        assert rest.status == 201
        assert registry.pull_blob(repository, digest_of(content)).body == content

    @pytest.mark.parametrize(
        "lines",
        [
            ("Content-Length: -1",),
            ("Content-Length: 1", "Content-Length: 2"),
            ("Content-Length: abc",),
            ("Content-Length: 99999999999999999999999",),
            ("Content-Length: 4", "Transfer-Encoding: chunked"),
            ("Transfer-Encoding: chunked, identity",),
            ("Transfer-Encoding: \x0bchunked",),
        ],
    )
    def test_framing_that_two_servers_could_read_in_two_ways_hides_no_request(
        self, wire: Wire, registry: RegistryClient, repository: str, lines: tuple[str, ...]
    ) -> None:
        """Request smuggling: the hidden request would delete the image."""
        digest = registry.push_image(repository, "target")
        hidden = head(registry, "DELETE", f"/v2/{repository}/manifests/{digest}", "Connection: close")
        request = head(registry, "PUT", f"/v2/{repository}/manifests/outer", *lines)
        answer = wire.exchange(request + b"0\r\n\r\n" + hidden)
        assert answer is None or answer.status >= 400
        assert registry.request("HEAD", f"/v2/{repository}/manifests/{digest}").status == 200


class TestCrossRepository:
    """CVE-2026-35172, CVE-2024-39897: a blob is there where it is linked, and nowhere else."""

    def test_a_layer_is_not_there_in_a_repository_that_never_had_it(
        self, registry: RegistryClient, repository: str, other_repository: str
    ) -> None:
        digest = registry.push_blob(other_repository, b"theirs alone")
        for method in ("GET", "HEAD"):
            assert registry.request(method, f"/v2/{repository}/blobs/{digest}").status == 404
        manifest = image_manifest(b"theirs alone")
        assert registry.push_manifest(repository, "stolen", manifest).status == 404

    def test_a_layer_that_was_deleted_here_is_not_served_because_it_is_there(
        self, insider: Insider, registry: RegistryClient, repository: str, other_repository: str
    ) -> None:
        layer = b"in both repositories"
        digests = [registry.push_image(name, "image", layer) for name in (repository, other_repository)]
        assert registry.request("DELETE", f"/v2/{repository}/manifests/{digests[0]}").status == 202
        insider.write(lambda db: _end_promises(db, repository))
        assert registry.request("HEAD", f"/v2/{other_repository}/blobs/{digest_of(layer)}").status == 200
        for method in ("GET", "HEAD"):
            assert registry.request(method, f"/v2/{repository}/blobs/{digest_of(layer)}").status == 404

    def test_a_repository_that_is_made_again_has_nothing_of_the_old_one(
        self, ecr: Any, registry: RegistryClient, repository: str
    ) -> None:
        digest = registry.push_image(repository, "image", b"of the old one")
        location = registry.request("POST", f"/v2/{repository}/blobs/uploads/", b"").headers["location"]
        ecr.delete_repository(repositoryName=repository, force=True)
        ecr.create_repository(repositoryName=repository)
        assert registry.request("GET", f"/v2/{repository}/manifests/{digest}").status == 404
        assert registry.request("GET", f"/v2/{repository}/manifests/image").status == 404
        assert registry.request("GET", f"/v2/{repository}/blobs/{digest_of(b'of the old one')}").status == 404
        assert registry.request("GET", location).status == 404

    def test_a_layer_of_another_account_is_never_mounted(
        self, server: Server, ecr: Any, stranger: RegistryClient
    ) -> None:
        theirs = server.client("ecr", OTHER_ACCOUNT)
        theirs.create_repository(repositoryName="mine/target")
        theirs.put_account_setting(name="BLOB_MOUNTING", value="ENABLED")
        ecr.create_repository(repositoryName="secret/source")
        owner = RegistryClient(server.port, server.password())
        digest = owner.push_blob("secret/source", b"a secret of another account")
        target = f"/v2/{OTHER_ACCOUNT}.us-east-1/mine/target"
        for origin in ("&from=secret/source", f"&from={DEFAULT_ACCOUNT}.us-east-1/secret/source", ""):
            assert stranger.request("POST", f"{target}/blobs/uploads/?mount={digest}{origin}", b"").status == 202
        assert stranger.request("HEAD", f"{target}/blobs/{digest}").status == 404


def _end_promises(db: Connection, repository_name: str) -> None:
    db.run(
        "UPDATE layer SET promised_until_us = 0 WHERE repository_key IN (SELECT id FROM repository WHERE name = :name)",
        name=repository_name,
    )


class TestPaths:
    """CVE-2024-3727, CVE-2020-29662: paths that mean something else to somebody."""

    @pytest.mark.parametrize(
        "reference",
        [
            "sha256:../../../../etc/passwd",
            "sha256:..%2f..%2froot.key",
            "sha256:%2e%2e%2froot.key",
            "..",
            "%2e%2e",
            "sha256:" + "a" * 63 + "/",
            "sha256:" + "a" * 63 + "%00",
            "\\..\\root.key",
        ],
    )
    def test_a_digest_is_never_a_path(
        self, wire: Wire, registry: RegistryClient, repository: str, reference: str
    ) -> None:
        for noun in ("blobs", "manifests", "referrers", "blobs/uploads"):
            for method in ("GET", "HEAD", "DELETE"):
                request = head(registry, method, f"/v2/{repository}/{noun}/{reference}", "Connection: close")
                answer = wire.exchange(request)
                assert answer is not None
                assert answer.status in (400, 404, 405)

    MANGLINGS: tuple[tuple[str, Callable[[str], str]], ...] = (
        ("as it is", lambda path: path),
        ("double slash in front", lambda path: "/" + path),
        ("double slash within", lambda path: path.replace("/v2/", "/v2//", 1)),
        ("double slash after the name", lambda path: path.replace("name", "name/", 1)),
        ("encoded slash", lambda path: path.replace("/v2/", "/v2%2f", 1)),
        ("encoded slash in the name", lambda path: path.replace("some/name", "some%2Fname")),
        ("encoded letters", lambda path: path.replace("/v2/", "/%76%32/", 1)),
        ("upper case", lambda path: path.replace("/v2/", "/V2/", 1)),
        ("upper case noun", lambda path: path.replace("blobs", "Blobs").replace("manifests", "MANIFESTS")),
        ("dots", lambda path: path.replace("/v2/", "/v2/./", 1)),
        ("up and down", lambda path: "/v2/../v2/" + path.removeprefix("/v2/")),
        ("out of health", lambda path: "/livez/.." + path),
        ("out of layers", lambda path: "/layers/.." + path),
        ("semicolon", lambda path: path.replace("/v2/", "/v2;x/", 1)),
        ("fragment", lambda path: path + "%23"),
        ("absolute form", lambda path: "http://localhost" + path),
        ("another registry", lambda path: path.replace("/v2/", f"/v2/{OTHER_ACCOUNT}.us-east-1/", 1)),
        ("public", lambda path: path.replace("/v2/", "/v2/public.ecr.aws/", 1)),
    )

    @pytest.mark.parametrize("mangle", [pytest.param(mangle, id=name.replace(" ", "-")) for name, mangle in MANGLINGS])
    def test_nobody_gets_in_without_credentials_however_a_path_is_spelled(
        self, server: Server, wire: Wire, registry: RegistryClient, ecr: Any, mangle: Callable[[str], str]
    ) -> None:
        name = "some/name"
        if not ecr.describe_repositories()["repositories"] or name not in _names(ecr):
            ecr.create_repository(repositoryName=name)
        registry.push_image(name, "latest")
        hosts = (
            "localhost",
            f"{DEFAULT_ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com",
            "public.ecr.aws",
            "evil.example",
            "",
        )
        paths = ["/v2/", "/v2/_catalog", *(route.path.format(name=name) for route in ROUTES)]
        for host in hosts:
            for path in paths:
                for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"):
                    lines = (
                        f"{method} {mangle(path)} HTTP/1.1",
                        f"Host: {host}",
                        "Content-Length: 0",
                        "Connection: close",
                    )
                    request = "\r\n".join((*lines, "", ""))
                    answer = wire.exchange(request.encode())
                    assert answer is None or answer.status in (400, 401, 403, 404, 405), (request, answer)
                    assert answer is None or (b"latest" not in answer.body and b"sha256" not in answer.body)
        assert registry.request("HEAD", f"/v2/{name}/manifests/latest").status == 200


def _names(ecr: Any) -> set[str]:
    pages = ecr.get_paginator("describe_repositories").paginate()
    return {item["repositoryName"] for page in pages for item in page["repositories"]}


class TestTokens:
    def parts(self, client: RegistryClient) -> tuple[dict[str, Any], list[str]]:
        assert client.password is not None
        document = json.loads(_decode(client.password))
        return document, document["payload"].split(".")

    def refused(self, server: Server, document: Any) -> bool:
        password = base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()
        answer = RegistryClient(server.port, password).request("GET", "/v2/")
        return answer.status == 403 and answer.error[1:] == ("DENIED", "Your Authorization Token is invalid.")

    def test_a_token_altered_in_any_byte_of_claims_or_signature_is_refused(
        self, server: Server, registry: RegistryClient
    ) -> None:
        document, (key_id, claims, signature) = self.parts(registry)
        for part in (1, 2):
            original = _decode((claims, signature)[part - 1])
            for position in range(len(original)):
                changed = bytearray(original)
                changed[position] ^= 1
                spelled = [key_id, claims, signature]
                spelled[part] = base64.urlsafe_b64encode(bytes(changed)).rstrip(b"=").decode()
                assert self.refused(server, document | {"payload": ".".join(spelled)})

    def test_a_token_with_another_key_id_or_none_is_refused(self, server: Server, registry: RegistryClient) -> None:
        document, (key_id, claims, signature) = self.parts(registry)
        ids = ["0", "-1", "", "x", "9" * 300, "1e3", " ", *(str(int(key_id) + step) for step in (1, 2, 3, 100))]
        for other in ids:
            assert self.refused(server, document | {"payload": f"{other}.{claims}.{signature}"})

    def test_claims_without_a_signature_are_refused(self, server: Server, registry: RegistryClient) -> None:
        document, (key_id, claims, signature) = self.parts(registry)
        for payload in (f"{key_id}.{claims}.", f"{key_id}.{claims}", claims, f"{key_id}..{signature}", ".."):
            assert self.refused(server, document | {"payload": payload})

    def test_a_truncated_token_is_refused(self, server: Server, registry: RegistryClient) -> None:
        assert registry.password is not None
        for length in range(1, len(registry.password) - 1, 5):
            answer = RegistryClient(server.port, registry.password[:length]).request("GET", "/v2/")
            assert answer.status == 403

    def test_what_was_signed_for_another_use_is_no_token(self, server: Server, insider: Insider) -> None:
        claims = json.dumps({"key": insider.access_key(DEFAULT_ACCOUNT), "expires_us": 2**60}).encode()
        text = base64.urlsafe_b64encode(claims).rstrip(b"=").decode()
        for use in insider.keyring.keys:
            if use != tokens.USE:
                key_id, signature = insider.keyring.sign(use, text.encode())
                spelled = base64.urlsafe_b64encode(signature).rstrip(b"=").decode()
                assert self.refused(server, {"payload": f"{key_id}.{text}.{spelled}"})


class TestRegions:
    """A region's own host name serves that region's tokens and URLs alone, as there is an ECR a region on AWS."""

    HERE, ELSEWHERE = "us-east-1", "eu-west-1"

    @pytest.fixture
    def elsewhere(self, server: Server) -> RegistryClient:
        """With a token that was asked for in another region."""
        data = server.client("ecr", region="eu-west-1").get_authorization_token()["authorizationData"][0]
        password = base64.b64decode(data["authorizationToken"]).decode().removeprefix("AWS:")
        return RegistryClient(server.port, password)

    @pytest.mark.parametrize("name", ["{}.dkr.ecr.{}.amazonaws.com", "{}.dkr-ecr.{}.on.aws", "{}.dkr.ecr.{}.ecr.test"])
    def test_a_token_of_another_region_is_refused_at_a_regions_own_name(
        self, registry: RegistryClient, elsewhere: RegistryClient, repository: str, name: str
    ) -> None:
        registry.push_image(repository, "v1")
        here, there = (name.format(DEFAULT_ACCOUNT, region) for region in (self.HERE, self.ELSEWHERE))
        for path in ("/v2/", f"/v2/{repository}/manifests/v1", f"/v2/{repository}/tags/list", "/v2/_catalog"):
            assert registry.request("GET", path, Host=here).status == 200
            assert elsewhere.request("GET", path, Host=here).error == (403, "DENIED", EXPIRED)
            assert registry.request("GET", path, Host=there).error == (403, "DENIED", EXPIRED)
        assert elsewhere.request("POST", f"/v2/{repository}/blobs/uploads/", b"", Host=here).status == 403
        assert elsewhere.request("GET", "/v2/", Host=there).status == 200
        # On one plain host a token serves what its principal may reach, whatever region the path addresses.
        assert elsewhere.request("GET", f"/v2/{repository}/manifests/v1").status == 200
        assert registry.request("GET", f"/v2/{DEFAULT_ACCOUNT}.{self.ELSEWHERE}/_catalog").status == 200

    def test_a_layers_url_is_refused_at_another_regions_bucket(
        self, registry: RegistryClient, anonymous: RegistryClient, repository: str
    ) -> None:
        """There another endpoint's policy would decide."""
        digest = registry.push_blob(repository, b"of here")
        url = registry.request("GET", f"/v2/{repository}/blobs/{digest}").headers["location"]
        bucket = "prod-{0}-starport-layer-bucket.s3.{0}.amazonaws.com"
        assert anonymous.request("GET", url, Host=bucket.format(self.HERE)).body == b"of here"
        assert anonymous.request("GET", url, Host=bucket.format(self.ELSEWHERE)).status == 403


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class TestLayerUrls:
    @pytest.fixture
    def signed(self, registry: RegistryClient, repository: str) -> str:
        """The path and query of a layer of 'its own bytes'."""
        digest = registry.push_blob(repository, b"its own bytes")
        return registry.request("GET", f"/v2/{repository}/blobs/{digest}").headers["location"]

    def denied(self, client: RegistryClient, path: str, query: dict[str, str]) -> bool:
        answer = client.request("GET", f"{path}?{urlencode(query)}")
        return answer.status == 403 and b"its own bytes" not in answer.body

    def test_a_url_altered_anywhere_is_refused(self, anonymous: RegistryClient, signed: str) -> None:
        path, _, text = signed.partition("?")
        query = dict(parse_qsl(text))
        assert anonymous.request("GET", signed).body == b"its own bytes"
        for name, value in query.items():
            for other in ("", "0", value[:-1], value + "0", value[:-2] + "00", NOWHERE, str(2**63), "é", "9" * 5000):
                assert other == value or self.denied(anonymous, path, query | {name: other})
            assert self.denied(anonymous, path, {key: item for key, item in query.items() if key != name})
            assert self.denied(anonymous, path, {**query, name.upper(): value, name: "x"})

    def test_a_url_is_good_for_its_own_blob_alone(
        self, registry: RegistryClient, anonymous: RegistryClient, repository: str, signed: str
    ) -> None:
        digest = registry.push_blob(repository, b"other bytes")
        other = registry.request("GET", f"/v2/{repository}/blobs/{digest}").headers["location"]
        path, _, text = signed.partition("?")
        other_path, _, other_text = other.partition("?")
        assert anonymous.request("GET", f"{path}?{other_text}").status == 403
        assert anonymous.request("GET", f"{other_path}?{text}").status == 403
        mixed = dict(parse_qsl(text)) | {"digest": digest}
        assert self.denied(anonymous, path, mixed)

    def test_a_url_ends(self, insider: Insider, anonymous: RegistryClient, signed: str) -> None:
        object_id = signed.partition("?")[0].rsplit("/", 1)[1]
        digest = Digest.of(b"its own bytes")
        for expires_us, status in ((2**60, 200), (1, 403), (0, 403), (-1, 403)):
            url = layer_urls.presign(insider.keyring, object_id, digest, expires_us, "us-east-1")
            assert anonymous.request("GET", url).status == status

    def test_a_url_does_not_outlive_its_blobs_row(self, insider: Insider, anonymous: RegistryClient) -> None:
        url = layer_urls.presign(insider.keyring, UPLOAD, Digest.of(b""), 2**60, "us-east-1")
        assert anonymous.request("GET", url).status == 404

    @pytest.mark.parametrize(
        "object_id", ["..", "../root.key", "..%2froot.key", "%2e%2e", "", "a" * 5000, "openecr.db"]
    )
    def test_an_object_id_is_never_a_path_even_when_signed(
        self, insider: Insider, anonymous: RegistryClient, object_id: str
    ) -> None:
        url = layer_urls.presign(insider.keyring, object_id.rsplit("/", 1)[-1], Digest.of(b""), 2**60, "us-east-1")
        query = url.partition("?")[2]
        assert anonymous.request("GET", f"/layers/{object_id}?{query}").status == 403


class TestNames:
    """Host and X-Forwarded-* decide nothing about how answers name the server, unless a trusted proxy sent them."""

    LIES = (
        {"Host": "evil.example"},
        {"X_Forwarded_Host": "evil.example"},
        {"X_Forwarded_Proto": "https"},
        {"X_Forwarded_For": "127.0.0.1", "X_Forwarded_Host": "evil.example", "X_Forwarded_Proto": "https"},
        {"Forwarded": "host=evil.example;proto=https"},
        {"X_Forwarded_Host": f"{OTHER_ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com"},
        {"X_Original_Url": "/livez", "X_Rewrite_Url": "/livez"},
    )

    @pytest.mark.parametrize("lie", LIES)
    def test_no_header_puts_a_name_into_an_answer(
        self, server: Server, registry: RegistryClient, anonymous: RegistryClient, repository: str, lie: dict[str, str]
    ) -> None:
        digest = registry.push_blob(repository, b"x")
        challenge = anonymous.request("GET", "/v2/", **lie)
        assert challenge.headers["www-authenticate"] == f'Basic realm="{server.url}/",service="ecr.amazonaws.com"'
        for method, path in (
            ("POST", f"/v2/{repository}/blobs/uploads/"),
            ("GET", f"/v2/{repository}/blobs/{digest}"),
            ("GET", "/v2/_catalog?n=1"),
        ):
            answer = registry.request(method, path, b"" if method == "POST" else None, **lie)
            assert answer.status in (200, 202, 307)
            told = answer.headers.get("location", "") + answer.headers.get("link", "")
            assert told.lstrip("<").startswith("/")
            assert "evil" not in told

    def test_a_host_name_addresses_and_the_caller_decides_nothing(
        self, registry: RegistryClient, stranger: RegistryClient, repository: str
    ) -> None:
        theirs = f"{OTHER_ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com"
        path = f"/v2/{repository}/tags/list"
        assert registry.request("GET", path, Host=theirs).status == 403
        assert stranger.request("GET", path, Host=theirs).error[1] == "NAME_UNKNOWN"
        assert stranger.request("GET", path, X_Forwarded_Host=theirs).status == 403

    def test_a_download_url_and_an_endpoint_are_the_servers_own(
        self, server: Server, ecr: Any, registry: RegistryClient, repository: str
    ) -> None:
        digest = registry.push_blob(repository, b"x")

        def lie(request: Any, **_: Any) -> None:
            request.headers["X-Forwarded-Host"] = "evil.example"
            request.headers["X-Forwarded-Proto"] = "https"

        liar = server.client("ecr")
        liar.meta.events.register("before-send.ecr", lie)
        url = liar.get_download_url_for_layer(repositoryName=repository, layerDigest=digest)["downloadUrl"]
        assert url.startswith(f"{server.url}/layers/")
        endpoint = liar.get_authorization_token()["authorizationData"][0]["proxyEndpoint"]
        assert endpoint == server.url


class TestDisclosure:
    """CVE-2020-13794, CVE-2019-19030: who may not, learns nothing of what is there."""

    @pytest.mark.parametrize("route", EVERY_ROUTE)
    @pytest.mark.parametrize("who", ["stranger", "powerless"])
    def test_what_is_there_and_what_is_not_look_alike(
        self, request: pytest.FixtureRequest, registry: RegistryClient, repository: str, route: Route, who: str
    ) -> None:
        client: RegistryClient = request.getfixturevalue(who)
        registry.push_image(repository, "latest", b"x")
        missing = repository[:-1] + ("x" if repository[-1] != "x" else "y")
        for method in {route.method, "HEAD"} if route.method == "GET" else {route.method}:
            asked = Route(method, route.path, route.action, route.body)
            there, absent = asked.send(client, repository), asked.send(client, missing)
            assert there.status == absent.status
            assert there.status == 403 or (method, there.status) == ("HEAD", 405)
            assert _seen(there, repository) == _seen(absent, missing)

    def test_the_layers_of_others_are_not_told_by_digest(
        self, registry: RegistryClient, stranger: RegistryClient, powerless: RegistryClient, repository: str
    ) -> None:
        there, absent = registry.push_blob(repository, b"of the owner"), NOWHERE
        for client in (stranger, powerless):
            for path in ("blobs/{}", "manifests/{}", "referrers/{}", "blobs/uploads/?mount={}"):
                method = "POST" if "mount" in path else "GET"
                answers = [
                    client.request(method, f"/v2/{repository}/{path.format(digest)}", b"" if method == "POST" else None)
                    for digest in (there, absent)
                ]
                assert _seen(answers[0], there) == _seen(answers[1], absent)

    def test_uploads_of_others_are_not_told(
        self, registry: RegistryClient, stranger: RegistryClient, repository: str
    ) -> None:
        location = registry.request("POST", f"/v2/{repository}/blobs/uploads/", b"").headers["location"]
        there, absent = location.rsplit("/", 1)[1], UPLOAD
        for method in ("GET", "PATCH", "DELETE"):
            answers = [
                stranger.request(method, f"/v2/{repository}/blobs/uploads/{upload_id}", b"")
                for upload_id in (there, absent)
            ]
            assert _seen(answers[0], there) == _seen(answers[1], absent)


def _seen(answer: Answer, name: str) -> tuple[int, dict[str, str], bytes]:
    """What a client sees, but for the request's id, the time and the name that it asked for. Whether the connection
    goes on says whether the body had come by the time of the answer."""
    left_out = ("x-amzn-requestid", "date", "connection")
    headers = {key: value for key, value in answer.headers.items() if key not in left_out}
    return answer.status, headers, answer.body.replace(name.encode(), b"NAME")


class TestSecrets:
    """CVE-2025-48374: what the log and the database hold."""

    def test_no_secret_is_in_the_log_or_in_the_database(
        self, server: Server, insider: Insider, registry: RegistryClient, repository: str
    ) -> None:
        environment = server.environment()
        secret = environment["AWS_SECRET_ACCESS_KEY"]
        digest = registry.push_blob(repository, b"canary")
        location = registry.request("GET", f"/v2/{repository}/blobs/{digest}").headers["location"]
        signature = dict(parse_qsl(location.partition("?")[2]))["signature"]
        assert registry.password is not None
        canaries = [secret, signature, registry.password, authorization(registry).removeprefix("Basic ")]
        root_key = (server.data_dir / "root.key").read_text().strip()
        RegistryClient(server.port, None).request("GET", location)
        RegistryClient(server.port, None).request("GET", location + "x")
        RegistryClient(server.port, registry.password + "x").request("GET", "/v2/")
        RegistryClient(server.port, secret).request("GET", "/v2/")
        registry.request("GET", "/v2/no/such/tags/list", X_Secret=secret)
        registry.request("PUT", f"/v2/{repository}/manifests/t", secret.encode(), Content_Type=OCI_MANIFEST)
        server.client("ecr").describe_repositories(maxResults=1)
        log = server.log()
        for canary in (*canaries, root_key):
            assert canary not in log
        data = b"".join(path.read_bytes() for path in server.data_dir.glob("openecr.db*") if path.is_file())
        keys = [key for by_id in insider.keyring.keys.values() for key in by_id.values()]
        for bytes_ in (*(canary.encode() for canary in (*canaries, root_key)), bytes.fromhex(root_key), *keys):
            assert bytes_ not in data
            assert base64.b64encode(bytes_) not in data

    def test_the_root_key_is_its_owners_alone(self, server: Server) -> None:
        assert (server.data_dir / "root.key").stat().st_mode & 0o077 == 0


class TestImmutabilityRace:
    def test_one_of_many_pushes_to_an_immutable_tag_wins(
        self, ecr: Any, registry: RegistryClient, repository: str
    ) -> None:
        """CVE-2026-31801: over two workers; the tag never moves again."""
        ecr.put_image_tag_mutability(repositoryName=repository, imageTagMutability="IMMUTABLE")
        registry.push_blob(repository, b"{}")
        manifests = [image_manifest(b"{}", annotations={"number": str(number)}) for number in range(50)]
        statuses: list[int] = []
        barrier = threading.Barrier(len(manifests))

        def push(manifest: bytes) -> None:
            barrier.wait()
            statuses.append(registry.push_manifest(repository, "v1", manifest).status)

        threads = [threading.Thread(target=push, args=(manifest,)) for manifest in manifests]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(statuses) == [201] + [400] * 49
        kept = registry.request("GET", f"/v2/{repository}/manifests/v1").body
        assert kept in manifests
        assert (
            sum(
                registry.request("HEAD", f"/v2/{repository}/manifests/{digest_of(each)}").status == 200
                for each in manifests
            )
            == 1
        )
