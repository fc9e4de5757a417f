"""Signature Version 4, the server's side: does this request carry the signature of that secret?

    parse (where it claims to come from) → scope and date → [secret of the key id] → signature over what was received

Pure: headers, query, host, secret and time come in, an error goes out. The header form and the query (presigned) form
are read. The signature must cover the host, the date and the target, so that none of the three can be exchanged; other
unsigned ``x-amz-`` headers are tolerated, for proxies add some. Texts and the order of checks: behaviour reference
§1.3; the canonical form: IAM User Guide, "Create a signed AWS API request".
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import quote, unquote_to_bytes

from botocore.utils import normalize_url_path

from openecr.errors import IncompleteSignature, InvalidSignature, MissingAuthenticationToken

ALGORITHM = "AWS4-HMAC-SHA256"
TERMINATOR = "aws4_request"
MOST_PRESIGNED_SECONDS = 604_800
_ISO_BASIC = "%Y%m%dT%H%M%SZ"
_MUST_BE_SIGNED = ("x-amz-date", "x-amz-security-token", "x-amz-target")
_DATE = re.compile("[0-9]{8}T[0-9]{6}Z")
_SHA256_HEX = re.compile("[0-9a-f]{64}")
_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)

Headers = Mapping[str, list[bytes]]


@dataclass(frozen=True, slots=True)
class Received:
    """What a signature may cover, as it came over the wire; ``host`` is the name that the client signed."""

    method: str
    raw_path: bytes
    raw_query: bytes
    headers: Headers
    host: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """What a request says of its own signature; nothing of it is proven yet."""

    access_key_id: str
    scope_date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str
    date: str
    session_token: str | None
    expires_seconds: int | None
    """Life of a presigned request; None in the header form."""

    @property
    def scope(self) -> str:
        """The credential scope that the signing key is derived for."""
        return f"{self.scope_date}/{self.region}/{self.service}/{TERMINATOR}"


def headers_of(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, list[bytes]]:
    """Received headers by lower-case name; a name that repeats keeps every value, in order."""
    found: dict[str, list[bytes]] = {}
    for name, value in raw:
        found.setdefault(name.decode("latin-1").lower(), []).append(value)
    return found


def parse(received: Received) -> Claim:
    """The claim in the Authorization header, else in the query.

    Raises:
        MissingAuthenticationToken: there is neither.
        IncompleteSignature: a part is missing or cannot be read.
    """
    if "authorization" in received.headers:
        return _from_header(received)
    query = _query_values(received.raw_query)
    if "X-Amz-Algorithm" in query or "X-Amz-Signature" in query:
        return _from_query(query)
    raise MissingAuthenticationToken


def require_scope(claim: Claim, service: str, regions: frozenset[str]) -> None:
    """Refuse a claim whose credential is scoped to another service or to a region that is not served."""
    if claim.region not in regions:
        raise InvalidSignature(message="Credential should be scoped to a valid region. ")
    if claim.service != service:
        raise InvalidSignature(message=f"Credential should be scoped to correct service: '{service}'. ")


def require_current(claim: Claim, now_seconds: float, skew_minutes: int) -> None:
    """Refuse a claim made too long ago or too far ahead, by the true clock; presigned ones live as long as they say."""
    signed = _parse_date(claim.date)
    now = int(now_seconds)
    skew = skew_minutes * 60
    if claim.date[:8] != claim.scope_date:
        raise InvalidSignature(
            message="Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{claim.scope_date}' != '{claim.date[:8]}', from '{claim.date}'."
        )
    if signed > now + skew:
        raise InvalidSignature(
            message=f"Signature not yet current: {claim.date} is still later than {_basic(now + skew)} "
            f"({_basic(now)} + {skew_minutes} min.)"
        )
    if claim.expires_seconds is not None:
        if now >= signed + claim.expires_seconds:
            ended = _basic(signed + claim.expires_seconds)
            raise InvalidSignature(message=f"Signature expired: {ended} is now earlier than {_basic(now)}")
    elif signed < now - skew:
        raise InvalidSignature(
            message=f"Signature expired: {claim.date} is now earlier than {_basic(now - skew)} "
            f"({_basic(now)} - {skew_minutes} min.)"
        )


def signing_key(secret: bytes, claim: Claim) -> bytes:
    """The key that a secret derives for the claim's scope; good for a day, so callers may keep it."""
    key = b"AWS4" + secret
    for part in (claim.scope_date, claim.region, claim.service, TERMINATOR):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def verify(received: Received, claim: Claim, key: bytes, payload_sha256: str) -> None:
    """Refuse the request unless its signature is the one that this signing key makes over what was received.

    Raises:
        InvalidSignature: a byte of the signed parts differs, the body is not the one announced, or the signature
            leaves out what it must cover.
    """
    if "host" not in claim.signed_headers:
        raise InvalidSignature(message="'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
    for name in _MUST_BE_SIGNED:
        if name in received.headers and name not in claim.signed_headers:
            raise InvalidSignature(message=f"'{name}' must be a 'SignedHeader' in the AWS Authorization.")
    announced = received.headers.get("x-amz-content-sha256")
    if announced is not None and announced != [payload_sha256.encode()]:
        raise InvalidSignature(message=_MISMATCH)
    for host in _spellings(received.host):
        to_sign = string_to_sign(claim, canonical_request(received, claim, host, payload_sha256))
        expected = hmac.digest(key, to_sign, "sha256").hex()
        if hmac.compare_digest(expected.encode(), claim.signature.encode()):
            return
    canonical = canonical_request(received, claim, received.host, payload_sha256)
    raise InvalidSignature(
        message=f"{_MISMATCH}\n\nThe Canonical String for this request should have been\n"
        f"'{canonical.decode('utf-8', 'replace')}'\n\nThe String-to-Sign should have been\n"
        f"'{string_to_sign(claim, canonical).decode()}'\n"
    )


def canonical_request(received: Received, claim: Claim, host: bytes, payload_sha256: str) -> bytes:
    """The text whose hash is signed."""
    lines = [
        received.method.encode(),
        quote(normalize_url_path(received.raw_path.decode("latin-1")), safe="/~").encode(),
        _canonical_query(received.raw_query, presigned=claim.expires_seconds is not None),
    ]
    for name in sorted(claim.signed_headers):
        values = [host] if name == "host" else received.headers.get(name, [])
        folded = b",".join(b" ".join(value.split()) for value in values)
        lines.append(name.encode() + b":" + folded)
    lines += [b"", ";".join(claim.signed_headers).encode(), payload_sha256.encode()]
    return b"\n".join(lines)


def string_to_sign(claim: Claim, canonical: bytes) -> bytes:
    """Algorithm, date, scope and the hash of the canonical request."""
    return "\n".join((ALGORITHM, claim.date, claim.scope, hashlib.sha256(canonical).hexdigest())).encode()


def _from_header(received: Received) -> Claim:
    values = received.headers["authorization"]
    header = values[0].decode("latin-1").strip()
    algorithm, _, rest = header.partition(" ")
    if len(values) != 1 or algorithm != ALGORITHM:
        raise IncompleteSignature(message=f"Unsupported AWS 'algorithm': '{algorithm[:64]}'.")
    parts = {name.strip(): value.strip() for name, _, value in (part.partition("=") for part in rest.split(","))}
    date = _date_of(received.headers)
    lacking = [
        f"Authorization header requires '{name}' parameter."
        for name in ("Credential", "Signature", "SignedHeaders")
        if not parts.get(name)
    ]
    if date is None:
        lacking.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    if lacking or date is None:
        told = base64.b64encode(hashlib.sha256(values[0]).digest()).decode()
        raise IncompleteSignature(
            message=f"{' '.join(lacking)} (Hashed with SHA-256 and encoded with Base64) Authorization={told}"
        )
    tokens = received.headers.get("x-amz-security-token")
    return _claim(
        parts["Credential"],
        parts["SignedHeaders"],
        parts["Signature"],
        date,
        session_token=None if tokens is None else b",".join(tokens).decode("latin-1"),
        expires_seconds=None,
    )


def _from_query(query: Mapping[str, str]) -> Claim:
    if query.get("X-Amz-Algorithm") != ALGORITHM:
        raise IncompleteSignature(message=f"Unsupported AWS 'algorithm': '{query.get('X-Amz-Algorithm', '')[:64]}'.")
    wanted = ("X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date", "X-Amz-Expires")
    lacking = [name for name in wanted if not query.get(name)]
    if lacking:
        raise IncompleteSignature(
            message=" ".join(f"AWS query-string parameters must include '{name}'." for name in lacking)
        )
    life = query["X-Amz-Expires"]
    if not (life.isascii() and life.isdigit() and len(life) <= 6 and int(life) <= MOST_PRESIGNED_SECONDS):
        raise IncompleteSignature(message=f"X-Amz-Expires must be from 0 to {MOST_PRESIGNED_SECONDS} seconds")
    return _claim(
        query["X-Amz-Credential"],
        query["X-Amz-SignedHeaders"],
        query["X-Amz-Signature"],
        query["X-Amz-Date"],
        session_token=query.get("X-Amz-Security-Token"),
        expires_seconds=int(life),
    )


def _claim(
    credential: str,
    signed_headers: str,
    signature: str,
    date: str,
    *,
    session_token: str | None,
    expires_seconds: int | None,
) -> Claim:
    elements = credential.split("/")
    if len(elements) != 5:
        raise IncompleteSignature(
            message="Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
            f"got '{credential[:256]}'"
        )
    if elements[4] != TERMINATOR:
        raise InvalidSignature(
            message=f"Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{elements[4][:64]}'."
        )
    if _SHA256_HEX.fullmatch(signature) is None:
        raise InvalidSignature(message=_MISMATCH)
    _parse_date(date)
    return Claim(
        access_key_id=elements[0],
        scope_date=elements[1],
        region=elements[2],
        service=elements[3],
        signed_headers=tuple(signed_headers.lower().split(";")),
        signature=signature,
        date=date,
        session_token=session_token,
        expires_seconds=expires_seconds,
    )


def _date_of(headers: Headers) -> str | None:
    """The signing date in basic ISO form: ``X-Amz-Date``, else ``Date`` in either form."""
    given = headers.get("x-amz-date") or headers.get("date")
    if given is None:
        return None
    text = given[0].decode("latin-1").strip()
    if "x-amz-date" in headers:
        return text
    try:
        return parsedate_to_datetime(text).astimezone(UTC).strftime(_ISO_BASIC)
    except (ValueError, OverflowError):
        return text


def _parse_date(text: str) -> int:
    try:
        if _DATE.fullmatch(text) is None:
            raise ValueError(text)
        return int(datetime.fromisoformat(text).timestamp())
    except ValueError:
        raise IncompleteSignature(
            message=f"Date must be in ISO-8601 'basic format'. Got '{text[:64]}'. "
            "See http://en.wikipedia.org/wiki/ISO_8601"
        ) from None


def _basic(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime(_ISO_BASIC)


def _pairs(raw_query: bytes) -> list[tuple[bytes, bytes]]:
    """The query's names and values with percent signs undone; a plus stays a plus, as signers encode it."""
    if not raw_query:
        return []
    split = (pair.partition(b"=") for pair in raw_query.split(b"&") if pair)
    return [(unquote_to_bytes(name), unquote_to_bytes(value)) for name, _, value in split]


def _query_values(raw_query: bytes) -> dict[str, str]:
    """The signature's own parameters; one that repeats is no parameter at all."""
    found: dict[str, str] = {}
    for name, value in _pairs(raw_query):
        if name.startswith(b"X-Amz-"):
            known = name.decode("latin-1")
            found[known] = "" if known in found else value.decode("latin-1")
    return found


def _canonical_query(raw_query: bytes, *, presigned: bool) -> bytes:
    """Names and values encoded anew and sorted; a presigned signature does not cover itself."""
    encoded = sorted(
        (quote(name, safe="-_.~"), quote(value, safe="-_.~"))
        for name, value in _pairs(raw_query)
        if not (presigned and name == b"X-Amz-Signature")
    )
    return "&".join(f"{name}={value}" for name, value in encoded).encode()


def _spellings(host: bytes) -> tuple[bytes, ...]:
    """The host as received, and without a default port, which some signers leave out of what they sign."""
    for port in (b":443", b":80"):
        if host.endswith(port):
            return host, host.removesuffix(port)
    return (host,)
