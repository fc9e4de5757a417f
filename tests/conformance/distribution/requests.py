"""Requests that several of these tests make, and how their answers are read."""

import hashlib
from collections.abc import Iterator
from itertools import count
from typing import Any

from tests.registry_client import (
    Answer,
    RegistryClient,
)

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
EMPTY = "application/vnd.oci.empty.v1+json"
UNKNOWN_DIGEST = "sha256:" + "0" * 64
numbers = count(1)


def new_repository(ecr: Any) -> str:
    name = f"conformance/repository-{next(numbers)}"
    ecr.create_repository(repositoryName=name)
    return name


def setting(ecr: Any, setting_name: str, value: str) -> Iterator[None]:
    before = ecr.get_account_setting(name=setting_name)["value"]
    ecr.put_account_setting(name=setting_name, value=value)
    yield
    ecr.put_account_setting(name=setting_name, value=before)


def sha512_of(content: bytes) -> str:
    return "sha512:" + hashlib.sha512(content).hexdigest()


def open_upload(client: RegistryClient, name: str) -> str:
    """The location of a new upload."""
    answer = client.request("POST", f"/v2/{name}/blobs/uploads/", b"")
    assert answer.status == 202, answer
    return answer.headers["location"]


def chunk(client: RegistryClient, location: str, content: bytes, first_byte: int) -> Answer:
    last_byte = first_byte + len(content) - 1
    return client.request(
        "PATCH",
        location,
        content,
        Content_Range=f"{first_byte}-{last_byte}",
        Content_Type="application/octet-stream",
        Content_Length=str(len(content)),
    )


def complete(client: RegistryClient, location: str, digest: str, content: bytes = b"", **headers: str) -> Answer:
    return client.request("PUT", f"{location}?digest={digest}", content, **headers)


def upload_status(client: RegistryClient, location: str) -> Answer:
    return client.request("GET", location)


def next_page(answer: Answer) -> str | None:
    """The target of the Link header to the next page."""
    link = answer.headers.get("link")
    if link is None:
        return None
    target, _, relation = link.partition(";")
    assert relation.strip() == 'rel="next"'
    return target.strip().removeprefix("<").removesuffix(">")


def pages(client: RegistryClient, path: str) -> list[Answer]:
    """The first page and every page after it."""
    found = [client.request("GET", path)]
    while (following := next_page(found[-1])) is not None:
        found.append(client.request("GET", following))
        assert len(found) < 100, "the pages have no end"
    return found
