"""What a layout's files and annotations are called."""

import re
from typing import Any

from openecr.names import Digest, is_image_tag, is_repository_name

MARKER = "oci-layout"
INDEX = "index.json"
MARKER_TEXT = b'{"imageLayoutVersion": "1.0.0"}\n'
REF_NAME = "org.opencontainers.image.ref.name"
REPOSITORY = "io.openecr.repository"
CONTAINERD_NAME = "io.containerd.image.name"
_REFERENCE = re.compile(r"(?P<repository>[^:@]+)(?::(?P<tag>[^:@/]+))?")


class LayoutRefused(Exception):
    """A layout cannot be written, or is none that openecr reads; the text is one sentence with the remedy."""


def blob_name(digest: Digest) -> str:
    """The name of a blob in a layout: only from a digest that was parsed."""
    return f"blobs/{digest.algorithm}/{digest.stored[1:].hex()}"


def target_of(descriptor: dict[str, Any], into: str | None) -> tuple[str, str | None]:
    """(repository, tag or None) that a descriptor of ``index.json`` means.

    Args:
        into: the repository that the operator names; it wins.
    Raises:
        LayoutRefused: nothing says which repository, or the name cannot be one.
    """
    annotations = descriptor.get("annotations")
    said = annotations if isinstance(annotations, dict) else {}
    ref_name, full = said.get(REF_NAME), said.get(CONTAINERD_NAME)
    repository = into or said.get(REPOSITORY)
    tag = None
    for text in (ref_name, full):
        if not isinstance(text, str):
            continue
        if is_image_tag(text) and text is ref_name:
            tag = tag or text
            continue
        found = _REFERENCE.fullmatch(_without_host(text))
        if found is not None:
            repository = repository or found["repository"]
            tag = tag or found["tag"]
    if not isinstance(repository, str):
        raise LayoutRefused("the layout does not say which repository its images belong to; name one with --to")
    if not is_repository_name(repository):
        raise LayoutRefused(f"'{repository[:100]}' cannot be a repository's name; name another with --to")
    if tag is not None and not is_image_tag(tag):
        raise LayoutRefused(f"'{tag[:100]}' cannot be a tag; take it out of index.json")
    return repository, tag


def _without_host(text: str) -> str:
    """A reference without the registry's host, as Docker tells one: a dot, a port, or localhost."""
    first, slash, rest = text.partition("/")
    return rest if slash and ("." in first or ":" in first or first == "localhost") else text
