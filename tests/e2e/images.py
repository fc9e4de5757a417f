"""Images made without any client, for clients that pull, copy and sign."""

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

from tests.registry_client import RegistryClient, digest_of, image_index, image_manifest

BUSYBOX = Path("/bin/busybox")


def busybox_layer(hello: str) -> tuple[bytes, str]:
    """A gzipped layer with Debian's static busybox and ``/hello.txt``, and its diff id."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for name, content, mode in (("bin/busybox", BUSYBOX.read_bytes(), 0o755), ("hello.txt", hello.encode(), 0o644)):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
    content = plain.getvalue()
    return gzip.compress(content, mtime=0), "sha256:" + hashlib.sha256(content).hexdigest()


def push_busybox(registry: RegistryClient, name: str, tag: str, hello: str, architecture: str = "amd64") -> str:
    """Push an image that prints its greeting; the manifest's digest."""
    layer, diff_id = busybox_layer(hello)
    config = json.dumps(
        {
            "architecture": architecture,
            "os": "linux",
            "config": {"Cmd": ["/bin/busybox", "cat", "/hello.txt"], "Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [diff_id]},
            "history": [{"created_by": "tests"}],
        }
    ).encode()
    registry.push_blob(name, config)
    registry.push_blob(name, layer)
    answer = registry.push_manifest(name, tag, image_manifest(config, layer))
    assert answer.status == 201, answer
    return answer.headers["docker-content-digest"]


def push_two_platforms(registry: RegistryClient, name: str, tag: str) -> tuple[str, list[str]]:
    """Push an index of two images; its digest and theirs."""
    members, digests = [], []
    for architecture in ("amd64", "arm64"):
        digest = push_busybox(registry, name, f"{tag}-{architecture}", f"for {architecture}", architecture)
        manifest = registry.request("GET", f"{registry.path(name)}/manifests/{digest}").body
        members.append(manifest)
        digests.append(digest)
    document = json.loads(image_index(*members))
    for descriptor, architecture in zip(document["manifests"], ("amd64", "arm64"), strict=True):
        descriptor["platform"] = {"architecture": architecture, "os": "linux"}
    index = json.dumps(document).encode()
    answer = registry.push_manifest(name, tag, index, document["mediaType"])
    assert answer.status == 201, answer
    assert answer.headers["docker-content-digest"] == digest_of(index)
    return digest_of(index), digests
