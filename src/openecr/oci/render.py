"""Answers of the dkr plane: headers that every answer has, and errors in the distribution format."""

import orjson

from openecr.errors import RegistryError
from openecr.oci.http import Answer

VERSION_HEADER = (b"docker-distribution-api-version", b"registry/2.0")
_JSON = (b"content-type", b"application/json; charset=utf-8")


def json_answer(status: int, document: object, *headers: tuple[bytes, bytes]) -> Answer:
    """A JSON answer."""
    return Answer(status, (VERSION_HEADER, _JSON, *headers), orjson.dumps(document))


def empty(status: int, *headers: tuple[bytes, bytes]) -> Answer:
    """An answer without a body."""
    return Answer(status, (VERSION_HEADER, *headers))


def error(found: RegistryError) -> Answer:
    """An error as distribution clients read it; the message is ECR's."""
    code, status = found.oci
    return json_answer(status, {"errors": [{"code": code, "message": found.message}]})


def challenge(registry_url: str) -> Answer:
    """Ask for credentials, to the letter as ECR does: some clients parse it strictly."""
    header = f'Basic realm="{registry_url}/",service="ecr.amazonaws.com"'
    return Answer(
        401,
        (VERSION_HEADER, (b"www-authenticate", header.encode()), (b"content-type", b"text/plain; charset=utf-8")),
        b"Not Authorized\n",
    )


def not_found() -> Answer:
    """A path that the plane does not have."""
    return Answer(404, (VERSION_HEADER, (b"content-type", b"text/plain; charset=utf-8")), b"404 page not found\n")
