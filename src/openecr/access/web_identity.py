"""Web identity: does this token prove, with one of these keys, what its issuer says of its bearer?

    read (who claims to have issued it, with which key) → [the account's provider, its keys] → verify → WebIdentity

Pure: token, keys and time come in, an error goes out. The token says which key it was signed with and nothing else
about how it is verified: algorithms are those below, keys are the provider's own, whatever the header offers. Texts:
what STS answers (issues of aws-actions/configure-aws-credentials, aws-sdk-js, awslabs); checks: OpenID Connect Core
3.1.3.7, RFC 8725, API reference of AssumeRoleWithWebIdentity.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jwt
import orjson
from jwt.exceptions import PyJWTError

from openecr import bounded_json
from openecr.bounded_json import JsonRefused
from openecr.errors import IdentityProviderRejected, IdentityTokenExpired, IdentityTokenInvalid

ALGORITHMS = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512")
LONGEST_TOKEN = 20_000
LARGEST_KEY_SET_BYTES = 256 * 1024
MOST_KEYS = 100
SKEW_SECONDS = 300
"""How far clocks may differ (IAM User Guide, "OIDC federation": five minutes past a token's expiration)."""
_REFUSED_HEADERS = ("jwk", "jku", "x5u", "x5c", "crit", "zip", "b64")
"""A token that brings its own key, or asks for what is not done here."""
_NOT_A_JWT = "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"
_NO_KEY = (
    "Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity "
    "documentation for requirements"
)
_MOST_SUBJECT_CHARACTERS = 255
_MOST_VALUES = 100
_SESSION_TAGS = "https://aws.amazon.com/tags"
_SOURCE_IDENTITY = "https://aws.amazon.com/source_identity"

_SIGNATURES = jwt.PyJWS(algorithms=ALGORITHMS, options={"verify_signature": True, "enforce_minimum_key_length": True})

COMMON_CLAIMS = ("amr", "email")
"""Claims beside ``aud`` and ``sub`` that every provider's trust policies may ask for."""
PROVIDER_CLAIMS: Mapping[str, tuple[str, ...]] = {
    "token.actions.githubusercontent.com": (
        "actor",
        "actor_id",
        "enterprise_id",
        "environment",
        "job_workflow_ref",
        "ref",
        "repository",
        "repository_id",
        "workflow",
    ),
}
"""What AWS lets trust policies ask of these issuers beside (IAM User Guide, "Keys for AWS OIDC federation")."""


class KeysRefused(Exception):
    """A text is no usable JSON Web Key Set; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class Unverified:
    """What a token says of itself; nothing of it is proven."""

    issuer: str
    key_id: str | None
    algorithm: str


@dataclass(frozen=True, slots=True)
class WebIdentity:
    """A bearer whom a provider vouches for."""

    issuer: str
    subject: str
    audience: str
    """The client id that the token was issued to: ``azp`` where there is one, else ``aud``."""
    claims: Mapping[str, tuple[str, ...]]
    """What trust policies may ask for, by claim."""
    tags: tuple[tuple[str, str], ...] = ()
    """Session tags that the token brings, and the keys of those that are transitive."""
    transitive_tags: tuple[str, ...] = ()
    source_identity: str = ""


def read(token: str) -> Unverified:
    """What the token claims, to find its provider and key by.

    Raises:
        IdentityTokenInvalid: no signed JWT, or one that says how it wants to be verified.
    """
    if len(token) > LONGEST_TOKEN or token.count(".") != 2:
        raise IdentityTokenInvalid(message=_NOT_A_JWT)
    try:
        parts = _SIGNATURES.decode_complete(token, options={"verify_signature": False})
    except (PyJWTError, UnicodeError):
        raise IdentityTokenInvalid(message=_NOT_A_JWT) from None
    header = parts["header"]
    algorithm, key_id = header.get("alg"), header.get("kid")
    if algorithm not in ALGORITHMS:
        raise IdentityTokenInvalid(message="The token's signature algorithm is not supported")
    if any(name in header for name in _REFUSED_HEADERS):
        raise IdentityTokenInvalid(message="The token's header has parameters that are not supported")
    if key_id is not None and (not isinstance(key_id, str) or len(key_id) > 1024):
        raise IdentityTokenInvalid(message=_NOT_A_JWT)
    issuer = _document(parts["payload"]).get("iss")
    if not isinstance(issuer, str) or not issuer:
        raise IdentityTokenInvalid(message="Missing a required claim: iss")
    return Unverified(issuer, key_id, algorithm)


@lru_cache(maxsize=256)
def parse_keys(text: str) -> tuple[Mapping[str, Any], ...]:
    """The public keys of a JSON Web Key Set that signatures may be checked with; the others are left out.

    Raises:
        KeysRefused
    """
    if len(text.encode()) > LARGEST_KEY_SET_BYTES:
        raise KeysRefused(f"the key set is larger than {LARGEST_KEY_SET_BYTES} bytes")
    try:
        document = bounded_json.loads(text.encode())
    except JsonRefused as refused:
        raise KeysRefused(f"the key set {refused}") from None
    keys = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        raise KeysRefused("a key set is a JSON object with a list of keys")
    if len(keys) > MOST_KEYS:
        raise KeysRefused(f"the key set has more than {MOST_KEYS} keys")
    usable = tuple(key for key in keys if key.get("kty") in ("RSA", "EC") and key.get("use", "sig") == "sig")
    if any("d" in key for key in usable):
        raise KeysRefused("the key set has private keys; give the public ones")
    if not usable:
        raise KeysRefused("the key set has no RSA or EC key for signatures")
    return usable


def verify(
    token: str, claimed: Unverified, *, keys: str, issuer: str, client_ids: tuple[str, ...], now_seconds: int
) -> WebIdentity:
    """The bearer that the token proves.

    Args:
        claimed: what ``read`` made of the same token.
        keys: the provider's JSON Web Key Set.
        issuer: the provider's, with its scheme.
        client_ids: the audiences that the account takes tokens of this provider for.
        now_seconds: the true time, which the issuer's clock is compared with.

    Raises:
        IdentityTokenInvalid, IdentityTokenExpired, IdentityProviderRejected
    """
    claims = _signed_claims(token, _key(claimed, keys))
    if claims.get("iss") != issuer:
        raise IdentityTokenInvalid(message="The token's issuer is not its provider's")
    for required in ("aud", "sub", "exp", "iat"):
        if claims.get(required) in (None, "", []):
            raise IdentityTokenInvalid(message=f"Missing a required claim: {required}")
    _require_current(claims, now_seconds)
    audiences = _texts(claims["aud"])
    party = claims.get("azp")
    if party is not None and not isinstance(party, str):
        raise IdentityProviderRejected(message="The token's claim azp is no text")
    asked = (party,) if party else audiences
    audience = next((one for one in asked if one in client_ids), None)
    if audience is None:
        raise IdentityTokenInvalid(message="Incorrect token audience")
    subject = claims["sub"]
    if not isinstance(subject, str) or len(subject) > _MOST_SUBJECT_CHARACTERS:
        raise IdentityProviderRejected(
            message=f"The token's claim sub is no text of up to {_MOST_SUBJECT_CHARACTERS} characters"
        )
    known = {name: _texts(claims[name]) for name in _claims_asked(issuer) if name in claims}
    found = {name: values for name, values in known.items() if values}
    # Trust policies see the authorized party as the audience where there is one, and the audience itself as oaud.
    found |= {"sub": (subject,), "aud": (audience,)} | ({"oaud": audiences} if party else {})
    tags, transitive = _session_tags(claims.get(_SESSION_TAGS))
    source_identity = claims.get(_SOURCE_IDENTITY, "")
    if not isinstance(source_identity, str):
        raise IdentityProviderRejected(message=f"The token's claim {_SOURCE_IDENTITY} is no text")
    return WebIdentity(issuer, subject, audience, found, tags, transitive, source_identity)


def _claims_asked(issuer: str) -> tuple[str, ...]:
    return COMMON_CLAIMS + PROVIDER_CLAIMS.get(issuer.partition("://")[2], ())


def _key(claimed: Unverified, keys: str) -> jwt.PyJWK:
    """The one key that the token may be signed with: that of its id, which must be unique, and of its algorithm."""
    try:
        parsed = parse_keys(keys)
    except KeysRefused:
        raise IdentityTokenInvalid(message=_NO_KEY) from None
    kind = "EC" if claimed.algorithm.startswith("ES") else "RSA"
    fitting = [
        key
        for key in parsed
        if key["kty"] == kind
        and key.get("alg", claimed.algorithm) == claimed.algorithm
        and (claimed.key_id is None or key.get("kid") == claimed.key_id)
    ]
    if len(fitting) != 1:
        raise IdentityTokenInvalid(message=_NO_KEY)
    try:
        return jwt.PyJWK(dict(fitting[0]), claimed.algorithm)
    except PyJWTError:
        raise IdentityTokenInvalid(message=_NO_KEY) from None


def _signed_claims(token: str, key: jwt.PyJWK) -> dict[str, Any]:
    try:
        payload = _SIGNATURES.decode_complete(token, key.key, [key.algorithm_name])["payload"]
    except (PyJWTError, UnicodeError):
        raise IdentityTokenInvalid(message="The token's signature is not valid") from None
    return _document(payload)


def _document(payload: bytes) -> dict[str, Any]:
    try:
        document = bounded_json.loads(payload)
    except JsonRefused:
        raise IdentityTokenInvalid(message=_NOT_A_JWT) from None
    if not isinstance(document, dict):
        raise IdentityTokenInvalid(message=_NOT_A_JWT)
    return document


def _require_current(claims: Mapping[str, Any], now_seconds: int) -> None:
    times = {}
    for name in ("exp", "iat", "nbf"):
        value = claims.get(name)
        if value is None and name == "nbf":
            continue
        if isinstance(value, bool) or not isinstance(value, int):
            raise IdentityTokenInvalid(message=f"The token's claim {name} is no whole number of seconds")
        times[name] = value
    if now_seconds >= times["exp"] + SKEW_SECONDS:
        raise IdentityTokenExpired(now=now_seconds, expired=times["exp"])
    for name in ("iat", "nbf"):
        if times.get(name, 0) > now_seconds + SKEW_SECONDS:
            raise IdentityTokenInvalid(message=f"The token's claim {name} is in the future")


def _texts(value: Any) -> tuple[str, ...]:
    """A claim's values as conditions compare them; nothing for what is neither a scalar nor a list of them."""
    items = value if isinstance(value, list) else [value]
    if len(items) > _MOST_VALUES:
        raise IdentityProviderRejected(message=f"A claim of the token has more than {_MOST_VALUES} values")
    return tuple(
        orjson.dumps(item).decode() if isinstance(item, bool | int | float) else item
        for item in items
        if isinstance(item, str | bool | int | float)
    )


def _session_tags(value: Any) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """(tags, transitive keys) of the claim that brings session tags (IAM User Guide, "Passing session tags using
    AssumeRoleWithWebIdentity")."""
    if value is None:
        return (), ()
    given = value.get("principal_tags") if isinstance(value, dict) else None
    transitive = value.get("transitive_tag_keys", []) if isinstance(value, dict) else None
    if not isinstance(given, dict) or not isinstance(transitive, list):
        raise IdentityProviderRejected(message=f"The token's claim {_SESSION_TAGS} has no principal_tags")
    tags = tuple((key, values[0]) for key, values in ((key, _texts(item)) for key, item in given.items()) if values)
    return tags, tuple(key for key in transitive if isinstance(key, str))
