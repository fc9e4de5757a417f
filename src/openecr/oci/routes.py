"""Paths of the dkr plane, read once into a route. Pure.

Repository names may contain the words of the routes, so a path is read from its end. Segments are decoded one by one: a
percent-encoded slash never makes a segment of its own.
"""

from dataclasses import dataclass
from urllib.parse import unquote


@dataclass(frozen=True, slots=True)
class Route:
    """A route's noun, the repository's name, and the rest of the path."""

    noun: str
    """root, catalog, manifest, blob, uploads, upload, tags, referrers"""
    name: str = ""
    reference: str = ""


def read(path: str) -> Route | None:
    """The route of a raw path, or None where the plane has none."""
    if path in ("/v2", "/v2/"):
        return Route("root")
    if path == "/v2/_catalog":
        return Route("catalog")
    parts = path.removeprefix("/v2/").split("/")
    if "%" in path:
        parts = [unquote(part) for part in parts]
        if any("/" in part or "\0" in part for part in parts):
            return None
    match parts:
        case [*name, "manifests", reference] if name and reference:
            return Route("manifest", "/".join(name), reference)
        case [*name, "blobs", "uploads"] if name:
            return Route("uploads", "/".join(name))
        case [*name, "blobs", "uploads", ""] if name:
            return Route("uploads", "/".join(name))
        case [*name, "blobs", "uploads", upload_id] if name:
            return Route("upload", "/".join(name), upload_id)
        case [*name, "blobs", digest] if name and digest:
            return Route("blob", "/".join(name), digest)
        case [*name, "tags", "list"] if name:
            return Route("tags", "/".join(name))
        case [*name, "referrers", digest] if name and digest:
            return Route("referrers", "/".join(name), digest)
    return None
