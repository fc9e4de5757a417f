"""What the tests of the api plane share: images to push, errors to compare, pages to read."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.registry_client import OCI_MANIFEST, RegistryClient, digest_of, image_manifest
from tests.running import DEFAULT_ACCOUNT

ACCOUNT = DEFAULT_ACCOUNT
ABSENT_DIGEST = "sha256:" + "0" * 64


@dataclass(frozen=True)
class Image:
    """An image that was pushed."""

    digest: str
    manifest: bytes
    config: bytes
    layers: tuple[bytes, ...]

    @property
    def text(self) -> str:
        """The manifest as the api plane takes it."""
        return self.manifest.decode()

    @property
    def size_bytes(self) -> int:
        """What DescribeImages reports."""
        return len(self.config) + sum(len(layer) for layer in self.layers)


def make_image(about: str, *layers: bytes, **more: Any) -> Image:
    """An image that is told apart by ``about``; nothing is sent."""
    config = json.dumps({"architecture": "amd64", "os": "linux", "about": about}).encode()
    contents = layers or (f"layer of {about}".encode(),)
    manifest = image_manifest(config, *contents, **more)
    return Image(digest_of(manifest), manifest, config, contents)


def upload(docker: RegistryClient, name: str, image: Image) -> Image:
    """Upload an image's config and layers."""
    for content in (image.config, *image.layers):
        docker.push_blob(name, content)
    return image


def push(
    docker: RegistryClient, name: str, about: str, *tags: str, layers: tuple[bytes, ...] = (), **more: Any
) -> Image:
    """Push an image with any number of tags."""
    image = upload(docker, name, make_image(about, *layers, **more))
    push_manifest(docker, name, image.manifest, *tags)
    return image


def push_manifest(
    docker: RegistryClient, name: str, manifest: bytes, *tags: str, media_type: str = OCI_MANIFEST
) -> str:
    """Push a manifest by digest, with any number of tags; its digest."""
    reference = digest_of(manifest) + ("?" + "&".join(f"tag={tag}" for tag in tags) if tags else "")
    answer = docker.push_manifest(name, reference, manifest, media_type)
    assert answer.status == 201, answer
    return digest_of(manifest)


def error_of(call: Callable[..., Any], **arguments: Any) -> tuple[str, str]:
    """(code, message) of a call that must be refused with HTTP 400."""
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    answer = refused.value.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 400
    return answer["Error"]["Code"], answer["Error"]["Message"]


def refusal_of(call: Callable[..., Any], **arguments: Any) -> tuple[int, str, str]:
    """(status, code, message) of a call that must be refused."""
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    answer = refused.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"], answer["Error"]["Message"]


def members_of(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer without botocore's own member."""
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


def repository_missing(name: str, registry_id: str = ACCOUNT) -> tuple[str, str]:
    """The error of an operation on a repository that is not there."""
    return (
        "RepositoryNotFoundException",
        f"The repository with name '{name}' does not exist in the registry with id '{registry_id}'",
    )


def policy(action: str | list[str], resource: str = "*", effect: str = "Allow", **more: Any) -> str:
    """A policy document of one statement."""
    statement = {"Effect": effect, "Action": action, "Resource": resource, **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def trust(principal: Any, action: str = "sts:AssumeRole", **more: Any) -> str:
    """A trust policy of one statement."""
    statement = {"Effect": "Allow", "Principal": principal, "Action": action, **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


OWN_ACCOUNT = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
"""The principal of a trust policy that leaves who to identity policies."""


def bad_parameter(parameter: str, constraint: str) -> tuple[str, str]:
    """ECR's own refusal of a parameter."""
    return (
        "InvalidParameterException",
        f"Invalid parameter at '{parameter}' failed to satisfy constraint: '{constraint}'",
    )


def denied(principal_account: str, action: str, resource: str) -> tuple[str, str]:
    """The refusal of an administrator of another account."""
    return (
        "AccessDeniedException",
        (
            f"User: arn:aws:iam::{principal_account}:user/administrator is not authorized to perform: {action} "
            f"on resource: {resource} because no resource-based policy allows the {action} action"
        ),
    )


def arn_of(name: str, registry_id: str = ACCOUNT, region: str = "us-east-1") -> str:
    """A repository's ARN."""
    return f"arn:aws:ecr:{region}:{registry_id}:repository/{name}"


def pages_of(call: Callable[..., dict[str, Any]], member: str, **arguments: Any) -> list[list[Any]]:
    """Every page of a listing."""
    answer = call(**arguments)
    pages = [answer[member]]
    while "nextToken" in answer:
        answer = call(**arguments, nextToken=answer["nextToken"])
        pages.append(answer[member])
    return pages


def all_of(call: Callable[..., dict[str, Any]], member: str, **arguments: Any) -> list[Any]:
    """Every item of a listing."""
    return [item for page in pages_of(call, member, **arguments) for item in page]
