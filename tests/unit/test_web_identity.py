"""Web identity tokens: what proves its bearer, and everything that must not."""

import hashlib
import hmac
import json
import time
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm
from tests.identity_provider import AUDIENCE, SUBJECT, Issuer, ec_key, jwk, key_set, part, rsa_key

from openecr.access import web_identity
from openecr.access.web_identity import KeysRefused, WebIdentity
from openecr.errors import IdentityProviderRejected, IdentityTokenExpired, IdentityTokenInvalid, RegistryError

GITHUB = Issuer("https://token.actions.githubusercontent.com")
NO_KEY = (
    "Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity "
    "documentation for requirements"
)
NOT_A_JWT = "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"
BAD_SIGNATURE = "The token's signature is not valid"


def verified(token: str, *, keys: str = "", client_ids: tuple[str, ...] = (AUDIENCE,), at: float = 0) -> WebIdentity:
    return web_identity.verify(
        token,
        web_identity.read(token),
        keys=keys or GITHUB.published,
        issuer=GITHUB.url,
        client_ids=client_ids,
        now_seconds=int(at or time.time()),
    )


def refusal(token: str, **more: Any) -> str:
    with pytest.raises(IdentityTokenInvalid) as refused:
        verified(token, **more)
    return refused.value.message


def test_a_token_that_its_issuer_signed_proves_its_bearer() -> None:
    found = verified(GITHUB.token(repository="octo/app", actor="mona", unlisted="x"))

    assert (found.subject, found.audience, found.issuer) == (SUBJECT, AUDIENCE, GITHUB.url)
    assert found.claims == {
        "sub": (SUBJECT,),
        "aud": (AUDIENCE,),
        "repository": ("octo/app",),
        "actor": ("mona",),
    }


@pytest.mark.parametrize("algorithm", web_identity.ALGORITHMS)
def test_every_algorithm_that_is_offered_works(algorithm: str) -> None:
    curves = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
    key = ec_key(curves[algorithm]) if algorithm in curves else rsa_key()

    token = GITHUB.token(key=key, algorithm=algorithm)

    assert verified(token, keys=key_set(jwk(key, "one"))).subject == SUBJECT


def test_the_authorized_party_is_the_audience_where_there_is_one() -> None:
    found = verified(GITHUB.token(azp=AUDIENCE, aud=["else", "more"]))

    assert (found.claims["aud"], found.claims["oaud"]) == ((AUDIENCE,), ("else", "more"))
    assert refusal(GITHUB.token(azp="else", aud=AUDIENCE)) == "Incorrect token audience"


def test_one_of_several_audiences_is_enough() -> None:
    assert verified(GITHUB.token(aud=["first", AUDIENCE])).audience == AUDIENCE


def test_session_tags_and_source_identity_come_with_the_token() -> None:
    tags = {"principal_tags": {"team": ["web"], "cost": ["7"]}, "transitive_tag_keys": ["team"]}
    claims: dict[str, Any] = {
        "https://aws.amazon.com/tags": tags,
        "https://aws.amazon.com/source_identity": "mona",
    }

    found = verified(GITHUB.token(**claims))

    assert (dict(found.tags), found.transitive_tags, found.source_identity) == (
        {"team": "web", "cost": "7"},
        ("team",),
        "mona",
    )


def test_a_token_is_good_for_five_minutes_after_its_end_and_no_longer() -> None:
    token = GITHUB.token(exp=1_000_000_000, iat=999_999_000, nbf=None)

    assert verified(token, at=1_000_000_299).subject == SUBJECT
    with pytest.raises(IdentityTokenExpired) as expired:
        verified(token, at=1_000_000_300)
    assert expired.value.message == (
        "Token expired: current date/time 1000000300 must be before the expiration date/time 1000000000"
    )


@pytest.mark.parametrize("claim", ["iat", "nbf"])
def test_a_token_from_the_future_is_refused(claim: str) -> None:
    claims: dict[str, Any] = {claim: int(time.time()) + 400}

    assert refusal(GITHUB.token(**claims)) == f"The token's claim {claim} is in the future"


@pytest.mark.parametrize("claim", ["aud", "sub", "exp", "iat"])
def test_a_required_claim_that_lacks_is_named(claim: str) -> None:
    claims: dict[str, Any] = {claim: None}

    assert refusal(GITHUB.token(**claims)) == f"Missing a required claim: {claim}"


@pytest.mark.parametrize("value", ["1e9", 1e12, True, [1], {"at": 1}])
def test_a_time_that_is_no_number_of_seconds_is_refused(value: Any) -> None:
    payload = part(GITHUB.claims(exp=value))
    token = signed(part({"alg": "RS256", "kid": "one"}), payload)

    assert refusal(token) == "The token's claim exp is no whole number of seconds"


def signed(header: str, payload: str) -> str:
    """A token of parts that no library would make, with a right RS256 signature."""
    algorithm = RSAAlgorithm(RSAAlgorithm.SHA256)
    return f"{header}.{payload}.{part(algorithm.sign(f'{header}.{payload}'.encode(), rsa_key()))}"


@pytest.mark.parametrize("audience", ["other", ["other"], [], "", {"a": 1}, AUDIENCE.upper()])
def test_another_audience_is_refused(audience: Any) -> None:
    expected = "Missing a required claim: aud" if audience in ([], "") else "Incorrect token audience"
    assert refusal(GITHUB.token(aud=audience)) == expected


@pytest.mark.parametrize(
    "issuer", ["https://token.actions.githubusercontent.com/", "https://evil.example", "HTTPS://x", GITHUB.name]
)
def test_the_issuer_must_be_the_provider_to_the_letter(issuer: str) -> None:
    assert refusal(GITHUB.token(iss=issuer)) == "The token's issuer is not its provider's"


# Algorithm confusion.


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "", "HS256", "HS512", "EdDSA", "RS1", "ES256K"])
def test_an_algorithm_outside_the_list_is_refused_before_any_key_is_asked(algorithm: str) -> None:
    for signature in ("", "AAAA"):
        token = f"{part({'alg': algorithm, 'kid': 'one'})}.{part(GITHUB.claims())}.{signature}"
        with pytest.raises(IdentityTokenInvalid):
            web_identity.read(token)


def test_the_public_key_is_no_shared_secret() -> None:
    public = rsa_key().public_key()
    texts = [
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        json.dumps(jwk(rsa_key(), "one")).encode(),
    ]
    for secret in texts:
        content = f"{part({'alg': 'HS256', 'kid': 'one'})}.{part(GITHUB.claims())}"
        token = f"{content}.{part(hmac.new(secret, content.encode(), hashlib.sha256).digest())}"
        assert refusal(token) == "The token's signature algorithm is not supported"


def test_a_symmetric_key_in_the_key_set_is_never_used() -> None:
    keys = key_set(jwk(rsa_key(), "one"), {"kty": "oct", "kid": "two", "k": part(b"secret" * 8), "alg": "RS256"})

    assert refusal(GITHUB.token(headers={"kid": "two"}), keys=keys) == NO_KEY


def test_a_key_for_one_algorithm_checks_no_other() -> None:
    keys = key_set(jwk(rsa_key(), "one", alg="RS512"))

    assert refusal(GITHUB.token(algorithm="RS256"), keys=keys) == NO_KEY


def test_a_key_on_another_curve_checks_nothing() -> None:
    token = GITHUB.token(key=ec_key("P-256"), algorithm="ES256")

    assert refusal(token, keys=key_set(jwk(ec_key("P-384"), "one"))) in (NO_KEY, BAD_SIGNATURE)


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_a_short_rsa_key_proves_nothing() -> None:
    short = rsa_key(7, 1024)

    assert refusal(GITHUB.token(key=short), keys=key_set(jwk(short, "one"))) == BAD_SIGNATURE


def test_a_key_for_encryption_checks_no_signature() -> None:
    keys = key_set(jwk(rsa_key(), "one", use="enc"), jwk(rsa_key(1), "two"))

    assert refusal(GITHUB.token(), keys=keys) == NO_KEY


@pytest.mark.parametrize("header", ["jwk", "jku", "x5u", "x5c", "crit", "zip", "b64"])
def test_a_token_does_not_bring_its_own_key(header: str) -> None:
    attacker = rsa_key(9)
    values: dict[str, Any] = {
        "jwk": jwk(attacker, "one"),
        "jku": "https://evil.example/keys",
        "x5u": "https://evil.example/chain",
        "x5c": ["MIIB"],
        "crit": ["exp"],
        "zip": "DEF",
        "b64": True,
    }
    token = signed(part({"alg": "RS256", "kid": "one", header: values[header]}), part(GITHUB.claims()))

    with pytest.raises(IdentityTokenInvalid):
        web_identity.read(token)


# Key ids.


@pytest.mark.parametrize("key_id", ["two", "", "../../dev/null", "' OR 1=1 --", "one\x00", "ONE"])
def test_a_key_that_the_provider_does_not_have_is_not_looked_for_elsewhere(key_id: str) -> None:
    assert refusal(GITHUB.token(headers={"kid": key_id})) == NO_KEY


@pytest.mark.parametrize("key_id", [7, ["one"], {"kid": "one"}, "x" * 2000])
def test_a_key_id_that_is_no_short_text_is_refused(key_id: Any) -> None:
    token = signed(part({"alg": "RS256", "kid": key_id}), part(GITHUB.claims()))

    with pytest.raises(IdentityTokenInvalid):
        web_identity.read(token)


def test_a_token_without_a_key_id_needs_a_provider_with_one_key() -> None:
    token = GITHUB.token(headers={"kid": None})

    assert verified(token).subject == SUBJECT
    assert refusal(token, keys=key_set(jwk(rsa_key(1), "two"), jwk(rsa_key(), "one"))) == NO_KEY


def test_two_keys_of_one_id_prove_nothing() -> None:
    assert refusal(GITHUB.token(), keys=key_set(jwk(rsa_key(1), "one"), jwk(rsa_key(), "one"))) == NO_KEY


def test_another_key_under_a_known_id_is_refused() -> None:
    assert refusal(GITHUB.token(key=rsa_key(1))) == BAD_SIGNATURE


# Tampering.


def test_a_changed_token_is_refused() -> None:
    header, payload, signature = GITHUB.token().split(".")
    other = part(GITHUB.claims(sub="repo:evil/app:ref:refs/heads/main"))

    assert refusal(f"{header}.{other}.{signature}") == BAD_SIGNATURE
    assert refusal(f"{part({'alg': 'RS384', 'kid': 'one'})}.{payload}.{signature}") == BAD_SIGNATURE
    assert refusal(f"{part({'alg': 'PS256', 'kid': 'one'})}.{payload}.{signature}") == BAD_SIGNATURE
    for truncated in (signature[:-8], signature[:-2], ""):
        assert refusal(f"{header}.{payload}.{truncated}") in (BAD_SIGNATURE, NOT_A_JWT)


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c",
        "a.b.c.d.e",
        "not a token",
        "é.é.é",
        "\ud800.a.b",
        f"{part([1])}.{part({})}.AAAA",
        f"{part({'alg': 'RS256'})}.{part([1])}.AAAA",
        f"{part({'alg': 'RS256'})}.{part(b'{')}.AAAA",
        f"{part({'alg': ['RS256']})}.{part({'iss': 'x'})}.AAAA",
    ],
)
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(IdentityTokenInvalid):
        web_identity.read(token)


def test_a_giant_token_is_refused_unread() -> None:
    assert refusal(GITHUB.token(sub="x" * 30_000)) == NOT_A_JWT


def test_a_deeply_nested_token_is_refused() -> None:
    nested = b"[" * 5_000 + b"]" * 5_000

    for token in (
        signed(part({"alg": "RS256", "kid": "one"}), part(b'{"iss":"x","a":' + nested + b"}")),
        signed(part(b'{"alg":"RS256","a":' + nested + b"}"), part(GITHUB.claims())),
    ):
        with pytest.raises(IdentityTokenInvalid):
            web_identity.read(token)


@pytest.mark.parametrize("subject", ["x" * 256, 7, ["a"], {"a": "b"}])
def test_a_subject_that_is_no_text_of_reasonable_length_is_rejected(subject: Any) -> None:
    token = signed(part({"alg": "RS256", "kid": "one"}), part(GITHUB.claims(sub=subject)))

    with pytest.raises(IdentityProviderRejected):
        verified(token)


@pytest.mark.parametrize("tags", [[], "x", {"principal_tags": 7}, {"principal_tags": {}, "transitive_tag_keys": "a"}])
def test_session_tags_of_a_wrong_shape_are_rejected(tags: Any) -> None:
    with pytest.raises(IdentityProviderRejected):
        verified(GITHUB.token(**{"https://aws.amazon.com/tags": tags}))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"keys": {}}',
        '{"keys": [7]}',
        '{"keys": []}',
        key_set({"kty": "oct", "k": "AAAA"}),
        key_set(*[jwk(rsa_key(), str(number)) for number in range(101)]),
        key_set(jwk(rsa_key(), "one", d="AAAA")),
        '{"keys": [' + " " * 300_000 + "]}",
    ],
)
def test_what_is_no_usable_key_set_is_refused(text: str) -> None:
    with pytest.raises(KeysRefused):
        web_identity.parse_keys(text)


def test_nothing_of_a_token_is_in_any_error() -> None:
    token = GITHUB.token(key=rsa_key(1))
    with pytest.raises(RegistryError) as refused:
        verified(token)
    assert not any(piece in str(refused.value) for piece in token.split("."))


def test_a_key_that_cannot_be_one_is_no_key() -> None:
    keys = key_set({"kty": "RSA", "kid": "one", "n": "AQAB", "e": "AQAB"}, {"kty": "EC", "kid": "one", "crv": "P-1"})

    assert refusal(GITHUB.token(), keys=keys) in (NO_KEY, BAD_SIGNATURE)
    assert refusal(GITHUB.token(key=ec_key(), algorithm="ES256"), keys=keys) == NO_KEY
