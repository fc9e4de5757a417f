"""An OpenID Connect provider for tests: real keys, real tokens, and where asked a real HTTP server."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

AUDIENCE = "sts.amazonaws.com"
SUBJECT = "repo:octo/app:ref:refs/heads/main"


@cache
def rsa_key(number: int = 0, bits: int = 2048) -> rsa.RSAPrivateKey:
    """A key of its own for each number; made once a test run."""
    assert number >= 0
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@cache
def ec_key(curve: str = "P-256") -> ec.EllipticCurvePrivateKey:
    """A key on a curve."""
    curves: dict[str, ec.EllipticCurve] = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}
    return ec.generate_private_key(curves[curve])


def jwk(key: Any, key_id: str | None, **more: Any) -> dict[str, Any]:
    """The public half of a key as a JSON Web Key."""
    algorithm: Any = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
    document: dict[str, Any] = algorithm.to_jwk(key.public_key(), as_dict=True)
    document.pop("key_ops", None)
    return document | ({} if key_id is None else {"kid": key_id}) | {"use": "sig"} | more


def key_set(*keys: dict[str, Any]) -> str:
    """A JSON Web Key Set."""
    return json.dumps({"keys": list(keys)})


def part(value: Any) -> str:
    """One part of a token, as it is or as JSON."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@dataclass
class Issuer:
    """Who issues tokens; ``published`` is what its key set address answers."""

    url: str
    published: str = ""
    discovery: dict[str, Any] = field(default_factory=dict)
    """Members of the discovery document beside the true ones, or in their place."""
    requests: list[str] = field(default_factory=list)
    """The paths that were asked for."""

    def __post_init__(self) -> None:
        if not self.published:
            self.published = key_set(jwk(rsa_key(), "one"))

    @property
    def name(self) -> str:
        """The issuer without its scheme."""
        return self.url.partition("://")[2]

    def claims(self, **more: Any) -> dict[str, Any]:
        """Claims that are right now; None takes one away."""
        now = int(time.time())
        right = {"iss": self.url, "aud": AUDIENCE, "sub": SUBJECT, "iat": now, "nbf": now, "exp": now + 600}
        return {name: value for name, value in (right | more).items() if value is not None}

    def token(
        self,
        *,
        key: Any = None,
        algorithm: str = "RS256",
        headers: dict[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """A signed token."""
        told = {"kid": "one"} | (headers or {})
        told = {name: value for name, value in told.items() if value is not None}
        return jwt.encode(self.claims(**claims), key or rsa_key(), algorithm=algorithm, headers=told)


@contextmanager
def running_issuer(path: str = "") -> Iterator[Issuer]:
    """An issuer on a port of this machine, by plain HTTP."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            issuer.requests.append(self.path)
            documents = {
                f"{path}/.well-known/openid-configuration": json.dumps(
                    {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys"} | issuer.discovery
                ),
                f"{path}/keys": issuer.published,
            }
            body = documents.get(self.path, "").encode()
            if self.path == f"{path}/moved":
                self.send_response(302)
                self.send_header("Location", f"{issuer.url}/keys")
            else:
                self.send_response(200 if self.path in documents else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        issuer = Issuer(f"http://127.0.0.1:{server.server_port}{path}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield issuer
        finally:
            server.shutdown()
            thread.join()
