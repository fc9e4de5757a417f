"""Signatures: botocore signs, openecr verifies, and whoever alters a byte is refused."""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from openecr.access import sigv4
from openecr.access.sigv4 import Received
from openecr.errors import IncompleteSignature, InvalidSignature, MissingAuthenticationToken

KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
BODY = b'{"repositoryName": "team/app"}'
TARGET = "AmazonEC2ContainerRegistry_V20150921.CreateRepository"
REGIONS = frozenset({"us-east-1"})
MISMATCH = "The request signature we calculated does not match the signature you provided."


def signed(
    *, query: str = "", headers: dict[str, str] | None = None, path: str = "/", host: str = "localhost:5050"
) -> Received:
    """A request that botocore signed, as a server receives it."""
    given = {"X-Amz-Target": TARGET, "Content-Type": "application/x-amz-json-1.1"} | (headers or {})
    url = f"http://{host}{path}" + (f"?{query}" if query else "")
    request = AWSRequest("POST", url, data=BODY, headers=given)
    SigV4Auth(Credentials(KEY, SECRET), "ecr", "us-east-1").add_auth(request)
    received = sigv4.headers_of((name.encode(), value.encode()) for name, value in request.headers.items())
    return Received("POST", path.encode(), query.encode(), received, host.encode())


def presigned(expires: int = 3600) -> Received:
    """A request that botocore presigned; its body is in the query."""
    url = "https://sts.us-east-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15"
    request = AWSRequest("POST", url)
    SigV4QueryAuth(Credentials(KEY, SECRET), "sts", "us-east-1", expires=expires).add_auth(request)
    query = request.url.partition("?")[2]
    return Received("POST", b"/", query.encode(), {}, b"sts.us-east-1.amazonaws.com")


def verify(received: Received, body: bytes = BODY, secret: str = SECRET) -> None:
    claim = sigv4.parse(received)
    key = sigv4.signing_key(secret.encode(), claim)
    sigv4.verify(received, claim, key, hashlib.sha256(body).hexdigest())


def with_header(name: str, *values: bytes) -> Callable[[Received], Received]:
    return lambda received: replace(received, headers=dict(received.headers) | {name: list(values)})


def with_authorization(old: str, new: str) -> Callable[[Received], Received]:
    def alter(received: Received) -> Received:
        header = received.headers["authorization"][0].decode()
        assert old in header
        return with_header("authorization", header.replace(old, new).encode())(received)

    return alter


def at(received: Received, offset_seconds: float) -> None:
    """Check the date as a server does whose clock is off from the signer's."""
    claim = sigv4.parse(received)
    made = datetime.strptime(claim.date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    sigv4.require_current(claim, made + offset_seconds, 5)


def test_what_botocore_signs_is_accepted() -> None:
    verify(signed())


@pytest.mark.parametrize(
    "query", ["b=2&a=1", "a=1&a=0", "a", "a=", "x=%2F%20~", "a=b%3Dc", "%C3%A9=%E5%90%8D", "A=1&a=2&B=3"]
)
def test_queries_are_canonical_in_any_order(query: str) -> None:
    received = signed(query="&".join(sorted(query.split("&"))))

    verify(replace(received, raw_query=query.encode()))


@pytest.mark.parametrize("path", ["/", "//", "/a//b", "/a/./b/../c/", "/a%20b", "/%E5%90%8D"])
def test_paths_are_normalized_and_encoded_twice(path: str) -> None:
    verify(signed(path=path))


def test_whitespace_in_headers_is_folded() -> None:
    verify(signed(headers={"X-Amz-Meta-Note": "  a   b  "}))


def test_headers_that_repeat_are_signed_in_their_order() -> None:
    received = with_header("x-amz-meta-note", b"a", b" b  c ")(signed(headers={"X-Amz-Meta-Note": "a,b c"}))

    verify(received)


@pytest.mark.parametrize("host", ["localhost:5050", "registry.example.com", "[::1]:5050"])
def test_the_host_is_the_one_that_was_signed(host: str) -> None:
    verify(signed(host=host))


def test_a_default_port_may_be_spelled_or_not() -> None:
    verify(replace(signed(host="registry.example.com"), host=b"registry.example.com:80"))


def test_the_canonical_request_is_told_so_that_a_wrong_proxy_can_be_found() -> None:
    with pytest.raises(InvalidSignature, match="host:other:5050"):
        verify(replace(signed(), host=b"other:5050"))


@pytest.mark.parametrize(
    "alter",
    [
        lambda received: replace(received, method="PUT"),
        lambda received: replace(received, raw_path=b"/x"),
        lambda received: replace(received, raw_query=b"a=1"),
        lambda received: replace(received, host=b"evil.example"),
        with_header("x-amz-target", b"AmazonEC2ContainerRegistry_V20150921.DeleteRepository"),
        with_header("x-amz-target", TARGET.encode(), b"Another.Target"),
        with_header("x-amz-date", b"20200101T000000Z"),
        with_header("content-type", b"text/plain"),
        with_authorization("us-east-1", "eu-west-1"),
        with_authorization("/ecr/", "/sts/"),
        with_authorization("content-type;", ""),
        with_authorization("host;", ""),
        with_authorization(";x-amz-target", ""),
        with_authorization(";x-amz-date", ""),
        with_authorization("Signature=", "Signature=0"),
        with_authorization("Signature=", "Signature=é"),
    ],
)
def test_an_altered_request_is_refused(alter: Callable[[Received], Received]) -> None:
    with pytest.raises(InvalidSignature):
        verify(alter(signed()))


def test_another_body_is_refused() -> None:
    with pytest.raises(InvalidSignature, match=MISMATCH):
        verify(signed(), body=BODY + b" ")


def test_another_secret_is_refused() -> None:
    with pytest.raises(InvalidSignature, match=MISMATCH):
        verify(signed(), secret="guess")


def test_the_hash_that_is_announced_must_be_the_bodys() -> None:
    verify(signed(headers={"X-Amz-Content-Sha256": hashlib.sha256(BODY).hexdigest()}))
    with pytest.raises(InvalidSignature, match=MISMATCH):
        verify(with_header("x-amz-content-sha256", b"0" * 64)(signed()))


@pytest.mark.parametrize("word", ["UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"])
def test_an_unsigned_body_is_refused(word: str) -> None:
    with pytest.raises(InvalidSignature, match=MISMATCH):
        verify(signed(headers={"X-Amz-Content-Sha256": word}))


def resigned_without(name: str) -> Received:
    """A request whose signature is right and leaves one header out."""
    received = signed()
    claim = sigv4.parse(received)
    kept = tuple(header for header in claim.signed_headers if header != name)
    short = replace(claim, signed_headers=kept)
    canonical = sigv4.canonical_request(received, short, received.host, hashlib.sha256(BODY).hexdigest())
    key = sigv4.signing_key(SECRET.encode(), short)
    signature = hmac.digest(key, sigv4.string_to_sign(short, canonical), "sha256").hex()
    header = f"AWS4-HMAC-SHA256 Credential={KEY}/{claim.scope}, SignedHeaders={';'.join(kept)}, Signature={signature}"
    return with_header("authorization", header.encode())(received)


def test_the_host_must_be_signed() -> None:
    with pytest.raises(InvalidSignature, match="'Host' or ':authority' must be a 'SignedHeader'"):
        verify(resigned_without("host"))


@pytest.mark.parametrize("name", ["x-amz-target", "x-amz-date"])
def test_target_and_date_must_be_signed(name: str) -> None:
    with pytest.raises(InvalidSignature, match=f"'{name}' must be a 'SignedHeader'"):
        verify(resigned_without(name))


def test_other_headers_may_be_left_out() -> None:
    verify(with_header("x-amz-cf-id", b"added by a proxy")(resigned_without("content-type")))


@given(st.integers(0, 63), st.sampled_from("0123456789abcdef"))
def test_no_other_signature_passes(position: int, digit: str) -> None:
    received = signed()
    header = received.headers["authorization"][0].decode()
    start, _, signature = header.rpartition("=")
    forged = signature[:position] + digit + signature[position + 1 :]
    altered = with_header("authorization", f"{start}={forged}".encode())(received)

    if forged == signature:
        verify(altered)
    else:
        with pytest.raises(InvalidSignature, match=MISMATCH):
            verify(altered)


def test_a_presigned_request_is_accepted() -> None:
    verify(presigned(), body=b"")


def test_a_presigned_request_covers_its_query() -> None:
    received = presigned()

    with pytest.raises(InvalidSignature, match=MISMATCH):
        verify(replace(received, raw_query=received.raw_query.replace(b"GetCallerIdentity", b"AssumeRole")), body=b"")


def test_a_presigned_request_takes_no_body_beside() -> None:
    with pytest.raises(InvalidSignature, match=MISMATCH):
        verify(presigned(), body=b"Action=AssumeRole")


def test_a_presigned_request_lives_as_long_as_it_says() -> None:
    at(presigned(expires=60), 59)
    with pytest.raises(InvalidSignature, match="Signature expired: "):
        at(presigned(expires=60), 60)


def test_a_presigned_life_is_a_week_at_most() -> None:
    with pytest.raises(IncompleteSignature):
        sigv4.parse(presigned(expires=604_801))


def test_a_presigned_parameter_that_repeats_is_none() -> None:
    received = presigned()

    with pytest.raises(IncompleteSignature):
        sigv4.parse(replace(received, raw_query=received.raw_query + b"&X-Amz-Date=20200101T000000Z"))


def test_no_signature_at_all_is_told() -> None:
    with pytest.raises(MissingAuthenticationToken, match="Missing Authentication Token"):
        sigv4.parse(Received("POST", b"/", b"", {}, b"localhost"))


def test_only_the_parts_that_are_missing_are_named() -> None:
    headers = {"authorization": [b"AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request"]}

    with pytest.raises(IncompleteSignature) as refused:
        sigv4.parse(Received("POST", b"/", b"", headers, b"localhost"))

    told = (
        "Authorization header requires 'Signature' parameter. "
        "Authorization header requires 'SignedHeaders' parameter. "
        "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "
        "(Hashed with SHA-256 and encoded with Base64) Authorization="
    )
    assert refused.value.message.startswith(told)
    assert len(refused.value.message) == len(told) + 44


@pytest.mark.parametrize("header", [b"Basic dXNlcjpwYXNz", b"Bearer abc", b"AWS4-ECDSA-P256-SHA256 x", b""])
def test_another_scheme_is_told(header: bytes) -> None:
    with pytest.raises(IncompleteSignature):
        sigv4.parse(Received("POST", b"/", b"", {"authorization": [header]}, b"localhost"))


@pytest.mark.parametrize(
    "date", ["now", "20260101", "20261301T000000Z", "２０２６0101T000000Z", "2026-01-01T00:00:00Z"]
)
def test_a_date_that_is_none_is_told(date: str) -> None:
    with pytest.raises(IncompleteSignature, match="Date must be in ISO-8601 'basic format'"):
        sigv4.parse(with_header("x-amz-date", date.encode())(signed()))


def test_a_date_header_of_http_counts_where_there_is_no_other() -> None:
    received = signed()
    headers = {name: values for name, values in received.headers.items() if name != "x-amz-date"}
    headers["date"] = [b"Thu, 01 Jan 2026 00:00:00 GMT"]

    assert sigv4.parse(replace(received, headers=headers)).date == "20260101T000000Z"


def test_five_minutes_either_way_are_good() -> None:
    at(signed(), 300)
    at(signed(), -300)


def test_the_past_is_told_with_the_window() -> None:
    with pytest.raises(InvalidSignature, match=r"Signature expired: \w+Z is now earlier than \w+Z \(\w+Z - 5 min\.\)"):
        at(signed(), 301)


def test_the_future_is_told_with_the_window() -> None:
    with pytest.raises(
        InvalidSignature, match=r"Signature not yet current: \w+Z is still later than \w+Z \(\w+Z \+ 5 min\.\)"
    ):
        at(signed(), -301)


def test_the_day_of_the_scope_is_the_dates() -> None:
    claim = replace(sigv4.parse(signed()), scope_date="20200101")

    with pytest.raises(InvalidSignature, match="Date in Credential scope does not match"):
        sigv4.require_current(claim, 0, 5)


def test_a_scope_must_be_of_a_region_and_the_service() -> None:
    claim = sigv4.parse(signed())

    sigv4.require_scope(claim, "ecr", REGIONS)
    with pytest.raises(InvalidSignature, match="valid region"):
        sigv4.require_scope(claim, "ecr", frozenset())
    with pytest.raises(InvalidSignature, match="correct service: 'sts'"):
        sigv4.require_scope(claim, "sts", REGIONS)


@pytest.mark.parametrize("credential", ["a", "a/b/c/d", "a/b/c/d/e/f"])
def test_a_credential_has_five_elements(credential: str) -> None:
    received = with_authorization(sigv4.parse(signed()).scope, "x")(signed())
    header = received.headers["authorization"][0].replace(f"{KEY}/x".encode(), credential.encode())

    with pytest.raises(IncompleteSignature, match="exactly 5 slash-delimited elements"):
        sigv4.parse(with_header("authorization", header)(received))


def test_a_credential_ends_in_the_terminator() -> None:
    with pytest.raises(InvalidSignature, match="valid terminator"):
        sigv4.parse(with_authorization("aws4_request", "aws5_request")(signed()))


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_no_header_or_query_makes_the_parser_fall(header: bytes, query: bytes) -> None:
    with pytest.raises((MissingAuthenticationToken, IncompleteSignature, InvalidSignature)):
        sigv4.parse(Received("POST", b"/", query, {"authorization": [header]}, b"localhost"))
    with pytest.raises((MissingAuthenticationToken, IncompleteSignature, InvalidSignature)):
        sigv4.parse(Received("POST", b"/", b"X-Amz-Algorithm=AWS4-HMAC-SHA256&" + query, {}, b"localhost"))
