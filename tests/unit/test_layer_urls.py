"""Presigned layer URLs: a right to one object, as one digest, until one instant."""

from urllib.parse import parse_qsl

from hypothesis import given
from hypothesis import strategies as st

from openecr.access import layer_urls
from openecr.keyring import Keyring
from openecr.names import Digest

REGION = "us-east-1"
KEYRING = Keyring({layer_urls.USE: {7: b"a" * 32}})
OBJECT = "12345678-1234-1234-1234-123456789012"
DIGEST = Digest.of(b"layer")


def query_of(expires_us: int = 1000, keyring: Keyring = KEYRING) -> dict[str, str]:
    return dict(parse_qsl(layer_urls.presign(keyring, OBJECT, DIGEST, expires_us, REGION).partition("?")[2]))


@given(st.binary(), st.integers(1, 2**60))
def test_a_url_allows_its_object_under_its_digest_until_its_end(content: bytes, expires_us: int) -> None:
    digest = Digest.of(content)
    path, _, query = layer_urls.presign(KEYRING, OBJECT, digest, expires_us, REGION).partition("?")
    assert path == f"/layers/{OBJECT}"
    assert layer_urls.allows(KEYRING, OBJECT, dict(parse_qsl(query)), expires_us - 1) == digest
    assert layer_urls.allows(KEYRING, OBJECT, dict(parse_qsl(query)), expires_us) is None


@given(st.sampled_from(["digest", "expires", "region", "key", "signature"]), st.text(max_size=80))
def test_no_other_value_is_allowed_in_any_parameter(name: str, value: str) -> None:
    query = query_of()
    allowed = layer_urls.allows(KEYRING, OBJECT, query | {name: value}, 0)
    assert allowed is None or _means_the_same(name, query[name], value)


def _means_the_same(name: str, ours: str, theirs: str) -> bool:
    """Another spelling of the same number is the same right."""
    return theirs == ours or (name in ("expires", "key") and int(theirs) == int(ours))


@given(st.dictionaries(st.sampled_from(["digest", "expires", "key", "signature"]), st.text(max_size=100)))
def test_any_query_is_judged_without_a_fault(query: dict[str, str]) -> None:
    assert layer_urls.allows(KEYRING, OBJECT, query, 0) is None


def test_another_object_another_key_and_another_use_are_refused() -> None:
    query = query_of()
    assert layer_urls.allows(KEYRING, OBJECT.replace("1", "2"), query, 0) is None
    assert layer_urls.allows(Keyring({layer_urls.USE: {7: b"b" * 32}}), OBJECT, query, 0) is None
    assert layer_urls.allows(Keyring({layer_urls.USE: {8: b"a" * 32}}), OBJECT, query, 0) is None
    assert layer_urls.allows(Keyring({layer_urls.USE: {}, "page-token": {7: b"a" * 32}}), OBJECT, query, 0) is None


def test_a_part_of_one_field_cannot_be_moved_into_another() -> None:
    query = query_of(expires_us=1000)
    for missing in query:
        assert (
            layer_urls.allows(KEYRING, OBJECT, {key: item for key, item in query.items() if key != missing}, 0) is None
        )
    assert layer_urls.allows(KEYRING, f"{OBJECT}\n{DIGEST}", query, 0) is None
