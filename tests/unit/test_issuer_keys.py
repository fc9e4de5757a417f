"""The keys that issuers publish: found, kept, asked for again with restraint, and never where they should not be."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
from tests.identity_provider import Issuer, jwk, key_set, rsa_key, running_issuer

from openecr.errors import IdentityProviderAway
from openecr.remote import issuer_keys
from openecr.remote.issuer_keys import DISCOVERY, FetchFailed, IssuerKeys, fetch_body

ISSUER = "https://issuer.example"
T = TypeVar("T")


@dataclass
class Away:
    """The outside of a test: what it answers, and what it was asked."""

    documents: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    now: float = 0.0

    def __post_init__(self) -> None:
        self.publish("one")

    def publish(self, *key_ids: str) -> None:
        self.documents = {
            ISSUER + DISCOVERY: json.dumps({"issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys"}),
            f"{ISSUER}/keys": key_set(*(jwk(rsa_key(), key_id) for key_id in key_ids)),
        }

    def fetch(self, url: str, _loopback: bool) -> bytes:
        self.asked.append(url)
        if url not in self.documents:
            raise FetchFailed("it cannot be reached")
        return self.documents[url].encode()

    @property
    def keys(self) -> IssuerKeys:
        return IssuerKeys(self.fetch, lambda: self.now)


def run(one: Callable[[], Awaitable[T]]) -> T:
    async def awaited() -> T:
        return await one()

    return asyncio.run(awaited())


def test_keys_are_asked_for_once_and_kept_for_an_hour() -> None:
    away = Away()
    keys = away.keys

    async def find() -> list[str]:
        found = []
        for now in (0.0, 1.0, 3599.0, 3601.0):
            away.now = now
            found.append(await keys.find(ISSUER, "one", loopback=False))
        return found

    assert set(run(find)) == {away.documents[f"{ISSUER}/keys"]}
    assert away.asked == [ISSUER + DISCOVERY, f"{ISSUER}/keys"] * 2


def test_a_key_that_is_not_there_is_asked_for_again_but_not_at_every_token() -> None:
    away = Away()
    keys = away.keys

    async def find() -> None:
        await keys.find(ISSUER, "one", loopback=False)
        away.publish("one", "two")
        for now in (1.0, 29.0):
            away.now = now
            assert '"two"' not in await keys.find(ISSUER, "two", loopback=False)
        away.now = 31.0
        assert '"two"' in await keys.find(ISSUER, "two", loopback=False)
        for now in range(32, 60):
            away.now = float(now)
            await keys.find(ISSUER, f"guess {now}", loopback=False)

    run(find)
    assert len(away.asked) == 4


def test_many_who_wait_are_answered_by_one_question() -> None:
    away = Away()
    keys = away.keys

    async def find() -> list[str]:
        return await asyncio.gather(*(keys.find(ISSUER, "one", loopback=False) for _ in range(20)))

    assert len(set(run(find))) == 1
    assert len(away.asked) == 2


def test_one_who_leaves_does_not_end_what_others_wait_for() -> None:
    away = Away()
    keys = away.keys

    async def find() -> str:
        leaver = asyncio.create_task(keys.find(ISSUER, "one", loopback=False))
        waiter = asyncio.create_task(keys.find(ISSUER, "one", loopback=False))
        await asyncio.sleep(0)
        leaver.cancel()
        return await waiter

    assert run(find) == away.documents[f"{ISSUER}/keys"]


def test_an_issuer_that_is_away_is_not_asked_at_every_token() -> None:
    away = Away()
    away.documents = {}
    keys = away.keys

    async def find() -> None:
        for now in (0.0, 1.0, 4.9, 5.1):
            away.now = now
            with pytest.raises(IdentityProviderAway):
                await keys.find(ISSUER, "one", loopback=False)
        away.publish("one")
        away.now = 20.0
        await keys.find(ISSUER, "one", loopback=False)

    run(find)
    assert len(away.asked) == 4


@pytest.mark.parametrize(
    "discovery",
    [
        "",
        "[]",
        "{}",
        '{"issuer": "https://evil.example", "jwks_uri": "https://issuer.example/keys"}',
        f'{{"issuer": "{ISSUER}"}}',
        f'{{"issuer": "{ISSUER}", "jwks_uri": 7}}',
        f'{{"issuer": "{ISSUER}", "jwks_uri": "http://issuer.example/keys"}}',
        f'{{"issuer": "{ISSUER}", "jwks_uri": "file:///etc/passwd"}}',
        f'{{"issuer": "{ISSUER}", "jwks_uri": "https://user:secret@issuer.example/keys"}}',
        f'{{"issuer": "{ISSUER}", "jwks_uri": "https://[::1/keys"}}',
        f'{{"issuer": "{ISSUER}", "jwks_uri": "http://127.0.0.1/keys"}}',
    ],
)
def test_a_discovery_document_that_leads_elsewhere_is_not_followed(discovery: str) -> None:
    away = Away()
    away.documents[ISSUER + DISCOVERY] = discovery

    with pytest.raises(IdentityProviderAway):
        run(lambda: away.keys.find(ISSUER, "one", loopback=False))
    assert away.asked == [ISSUER + DISCOVERY]


def test_an_issuer_without_https_is_asked_nothing() -> None:
    away = Away()

    async def find(issuer: str, loopback: bool) -> None:
        await away.keys.find(issuer, "one", loopback=loopback)

    for issuer, loopback in (("http://issuer.example", True), ("http://127.0.0.1:1", False), ("ftp://x", True)):
        with pytest.raises(IdentityProviderAway) as refused:
            asyncio.run(find(issuer, loopback))
        assert "is not https" in refused.value.message
    assert away.asked == []


@pytest.fixture
def issuer() -> Any:
    with running_issuer("/realm") as running:
        yield running


def test_a_real_issuer_is_discovered(issuer: Issuer) -> None:
    found = run(lambda: IssuerKeys().find(issuer.url, "one", loopback=True))

    assert found == issuer.published
    assert issuer.requests == ["/realm/.well-known/openid-configuration", "/realm/keys"]


def why(url: str, *, loopback: bool = True) -> str:
    with pytest.raises(FetchFailed) as failed:
        fetch_body(url, loopback)
    return str(failed.value)


def test_this_machine_is_not_asked_unless_it_may_be(issuer: Issuer) -> None:
    assert why(f"{issuer.url}/keys", loopback=False) == "its address is this machine's own or link-local"
    assert issuer.requests == []


def test_an_answer_is_bounded_and_a_redirect_is_not_followed(issuer: Issuer) -> None:
    assert why(f"{issuer.url}/absent") == "it answered 404"
    assert why(f"{issuer.url}/moved") == "it answered 302"
    issuer.published = "x" * (issuer_keys._LARGEST_BYTES + 1)
    assert why(f"{issuer.url}/keys") == "its answer is larger than 262144 bytes"
    assert why(issuer.url.replace("http://", "https://")) in ("its certificate is not trusted", "it cannot be reached")
    assert why("http://127.0.0.1:1/keys") == "it cannot be reached"
