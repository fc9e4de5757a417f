"""A plain client of the dkr plane for tests: every request is spelled out, nothing is retried or followed."""

import base64
import contextlib
import hashlib
import http.client
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass(frozen=True)
class Answer:
    """Status, headers by lower-case name, and body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)

    @property
    def error(self) -> tuple[int, str, str]:
        """(status, code, message) of an error answer."""
        first = self.json["errors"][0]
        return self.status, first["code"], first["message"]


@dataclass
class RegistryClient:
    """One client; a new connection per request unless ``connection`` is set."""

    port: int
    password: str | None
    host: str = "localhost"
    prefix: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    timeout_seconds: float = 120
    source: str | None = None
    """The address to come from, where it matters."""

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Send one request; header names take underscores for dashes."""
        source = (self.source, 0) if self.source is not None else None
        connection = http.client.HTTPConnection(self.host, self.port, self.timeout_seconds, source)
        sent = dict(self.headers)
        if self.password is not None:
            sent["Authorization"] = "Basic " + base64.b64encode(f"AWS:{self.password}".encode()).decode()
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            # A server that refuses answers before it has read all, and closes: clients read on, as urllib3 and Go do.
            with contextlib.suppress(BrokenPipeError):
                connection.request(method, path, body=body, headers=sent)
            received = connection.getresponse()
            names = {name.lower(): value for name, value in received.getheaders()}
            return Answer(received.status, names, received.read())
        finally:
            connection.close()

    def path(self, name: str) -> str:
        """The path of a repository."""
        return f"/v2{self.prefix}/{name}"

    def push_blob(self, name: str, content: bytes) -> str:
        """Upload a blob whole; its digest."""
        digest = digest_of(content)
        answer = self.request("POST", f"{self.path(name)}/blobs/uploads/?digest={digest}", content)
        assert answer.status == 201, answer
        return digest

    def push_manifest(self, name: str, reference: str, manifest: bytes, media_type: str = OCI_MANIFEST) -> Answer:
        """PUT a manifest."""
        return self.request("PUT", f"{self.path(name)}/manifests/{reference}", manifest, Content_Type=media_type)

    def push_image(self, name: str, tag: str, *layers: bytes) -> str:
        """Push a small image; the manifest's digest."""
        config = json.dumps({"architecture": "amd64", "os": "linux", "about": tag}).encode()
        manifest = image_manifest(config, *(layers or (b"layer of " + tag.encode(),)))
        for content in (config, *(layers or (b"layer of " + tag.encode(),))):
            self.push_blob(name, content)
        answer = self.push_manifest(name, tag, manifest)
        assert answer.status == 201, answer
        return answer.headers["docker-content-digest"]

    def pull_blob(self, name: str, digest: str) -> Answer:
        """GET a blob and follow the redirect by hand, without credentials."""
        answer = self.request("GET", f"{self.path(name)}/blobs/{digest}")
        return self.follow(answer) if answer.status == 307 else answer

    def follow(self, answer: Answer, **headers: str) -> Answer:
        """GET where an answer sends its client, on this server or another."""
        there = urlsplit(answer.headers["location"])
        anonymous = RegistryClient(there.port or self.port, None, there.hostname or self.host, source=self.source)
        return anonymous.request("GET", f"{there.path}?{there.query}", **headers)


def digest_of(content: bytes) -> str:
    """The sha256 digest of some bytes."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def descriptor(content: bytes, media_type: str, **more: Any) -> dict[str, Any]:
    """An OCI descriptor of some bytes."""
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content), **more}


def image_manifest(config: bytes, *layers: bytes, **more: Any) -> bytes:
    """An OCI image manifest."""
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(config, OCI_CONFIG),
        "layers": [descriptor(layer, OCI_LAYER) for layer in layers],
        **more,
    }
    return json.dumps(document).encode()


def image_index(*manifests: bytes, **more: Any) -> bytes:
    """An OCI index of image manifests."""
    members = [descriptor(manifest, OCI_MANIFEST) for manifest in manifests]
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": members, **more}).encode()
