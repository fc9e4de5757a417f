"""Random requests on the dkr and layers planes: no fault, no hang, and nothing told to who may not know it."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.conftest import FUZZED
from tests.oci.wire import Wire
from tests.registry_client import (
    OCI_INDEX,
    OCI_MANIFEST,
    RegistryClient,
    descriptor,
    digest_of,
    image_index,
    image_manifest,
)
from tests.running import DEFAULT_ACCOUNT, OTHER_ACCOUNT, Server

NAME = "fuzzed/public-knowledge"
CANARY = "canary-that-only-its-owner-knows"
UPLOAD = "12345678-1234-1234-1234-123456789012"


@dataclass(frozen=True)
class Known:
    """Who asks, and what there is to ask for."""

    wire: Wire
    owner: str
    stranger: str
    upload_id: str


@pytest.fixture(scope="module")
def known(fuzzed: Server) -> Iterator[Known]:
    ecr = fuzzed.client("ecr")
    for name in (NAME, CANARY):
        ecr.create_repository(repositoryName=name)
    owner = RegistryClient(fuzzed.port, fuzzed.password())
    owner.push_image(NAME, "latest", b"layer")
    owner.push_blob(NAME, b"{}")
    owner.push_image(NAME, CANARY)
    owner.push_image(CANARY, CANARY)
    location = owner.request("POST", f"/v2/{NAME}/blobs/uploads/", b"").headers["location"]
    yield Known(
        Wire(fuzzed.port),
        _basic(owner.password or ""),
        _basic(fuzzed.password(OTHER_ACCOUNT)),
        location.rsplit("/", 1)[1],
    )
    assert owner.request("GET", f"/v2/{CANARY}/manifests/{CANARY}").status == 200


def _basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"AWS:{password}".encode()).decode()


_odd = st.text(st.characters(min_codepoint=33, max_codepoint=255, exclude_characters="?#"), max_size=20)
_digests = st.sampled_from([digest_of(b"layer"), digest_of(b"{}"), "sha256:" + "0" * 64, "sha512:" + "0" * 128, "x:y"])
_segments = st.one_of(
    st.sampled_from(
        ["v2", "", ".", "..", "_catalog", "manifests", "blobs", "uploads", "tags", "list", "referrers", "latest"]
    ),
    st.sampled_from(
        [UPLOAD, "UPLOAD", "%2f", "%00", "%", "%zz", "%ff", f"{OTHER_ACCOUNT}.us-east-1", "layers", "livez"]
    ),
    _digests,
    _odd,
)
_shaped = st.one_of(
    st.builds("/v2/{}/manifests/{}".format, st.just(NAME), st.sampled_from(["latest", "new"]) | _digests | _odd),
    st.builds("/v2/{}/blobs/{}".format, st.just(NAME), _digests | _odd),
    st.builds("/v2/{}/blobs/uploads/{}".format, st.just(NAME), st.sampled_from(["", "UPLOAD", UPLOAD]) | _odd),
    st.builds("/v2/{}/referrers/{}".format, st.just(NAME), _digests | _odd),
    st.builds("/v2/{}/tags/list".format, st.just(NAME) | _odd),
    st.builds("/layers/{}".format, st.just(UPLOAD) | _odd),
    st.sampled_from(["/v2/", "/v2/_catalog", "/", "*", "/livez", "/readyz", "/console/"]),
)
_paths = _shaped | st.lists(_segments, max_size=7).map(lambda parts: "/" + "/".join(parts))
_parameters = st.sampled_from(
    ["n", "last", "digest", "mount", "from", "tag", "artifactType", "next", "expires", "key", "signature", "X-Amz-Date"]
)
_texts = _digests | _odd | st.sampled_from(["0", "1", "1000", "1001", "-1", "2147483648", NAME, "9" * 40, "%ff", "%00"])
_queries = st.lists(st.tuples(_parameters, _texts), max_size=4).map(
    lambda pairs: "&".join(f"{name}={value}" for name, value in pairs)
)
_headers = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "Accept",
                "Content-Type",
                "Content-Range",
                "Range",
                "Docker-Content-Digest",
                "X-Forwarded-Host",
                "X-Forwarded-Proto",
                "X-Forwarded-For",
                "Expect",
                "X-Amz-Target",
                "Cookie",
                "If-Range",
                "Content-Encoding",
            ]
        ),
        st.sampled_from(
            [
                OCI_MANIFEST,
                OCI_INDEX,
                "*/*",
                "bytes=0-1",
                "0-1",
                "bytes 5-1/*",
                "0-999999999999999999",
                "100-continue",
                "gzip",
                "AmazonEC2ContainerRegistry_V20150921.ListImages",
            ]
        )
        | st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=30),
    ),
    max_size=4,
)
_bodies = st.one_of(
    st.just(b""),
    st.binary(max_size=200),
    st.sampled_from(
        [
            image_manifest(b"{}"),
            image_manifest(b"{}", b"layer"),
            image_manifest(b"absent"),
            image_index(),
            image_manifest(b"{}", subject=descriptor(b"x", OCI_MANIFEST)),
            b"{",
            b"[" * 1000,
            b'"\\' * 1000,
        ]
    ),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.dictionaries(st.sampled_from(["mediaType", "layers", "config", "manifests"]), inner, max_size=4)
            | st.lists(inner, max_size=3)
        ),
        max_leaves=8,
    ).map(lambda document: json.dumps(document).encode()),
)
_methods = st.sampled_from(["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
_hosts = st.sampled_from(
    [
        "localhost",
        "",
        "evil.example",
        f"{DEFAULT_ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com",
        f"{OTHER_ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com",
        "000000000000.dkr.ecr.us-east-1.amazonaws.com",
        "public.ecr.aws",
        "[::1",
        "[::1]:x",
        "a" * 300,
    ]
)
_who = st.sampled_from(["owner", "stranger", "nobody", "garbage"])


@FUZZED
@given(_who, _methods, _hosts, _paths, _queries, _headers, _bodies, st.booleans())
def test_a_random_request_is_answered_and_tells_nothing(
    known: Known,
    who: str,
    method: str,
    host: str,
    path: str,
    query: str,
    headers: list[tuple[str, str]],
    body: bytes,
    chunked: bool,
) -> None:
    credentials = {"owner": known.owner, "stranger": known.stranger, "garbage": "Basic QVdTOmU="}.get(who)
    lines = [
        f"{method} {path.replace('UPLOAD', known.upload_id)}{'?' if query else ''}{query} HTTP/1.1",
        f"Host: {host}",
    ]
    lines += [f"Authorization: {credentials}"] if credentials else []
    lines += [f"{name}: {value}" for name, value in headers]
    if chunked:
        lines.append("Transfer-Encoding: chunked")
        body = (f"{len(body):x}\r\n".encode() + body + b"\r\n" if body else b"") + b"0\r\n\r\n"
    else:
        lines.append(f"Content-Length: {len(body)}")
    request = "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1") + body
    answer = known.wire.exchange(request)
    if answer is None:
        return  # no HTTP: the server closed
    assert answer.status < 500, (request, answer)
    if who != "owner":
        seen = answer.body + repr(answer.headers).encode()
        assert CANARY.encode() not in seen
        assert answer.status >= 400 or answer.status == 100 or _is_open(path, method, host), (request, answer)


def _is_open(path: str, method: str, host: str) -> bool:
    """What another account may do with the default registry or with its own: ask who it is, and read its own."""
    theirs = OTHER_ACCOUNT in path or OTHER_ACCOUNT in host
    return path in ("/v2/", "/v2", "/livez", "/readyz") or theirs


@FUZZED
@given(st.binary(max_size=300))
def test_random_bytes_are_cut_or_answered(known: Known, content: bytes) -> None:
    with known.wire.connect() as connection:
        connection.sendall(content)
    answer = known.wire.exchange(b"GET /v2/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert answer is not None
    assert answer.status == 401


def test_the_helpers_say_what_they_are_for(known: Known) -> None:
    """The owner is let in and the stranger is not, or the fuzz above would prove nothing."""

    def status(credentials: str) -> Any:
        request = f"GET /v2/{NAME}/tags/list HTTP/1.1\r\nHost: localhost\r\nAuthorization: {credentials}\r\n\r\n"
        answer = known.wire.exchange(request.encode())
        return answer.status if answer else None

    assert (status(known.owner), status(known.stranger)) == (200, 403)
