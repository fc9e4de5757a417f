"""U+0000, which PostgreSQL stores in no text, in every member of every operation, and in what the dkr plane takes."""

import http.client
import json
from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.model import ListShape, MapShape, Shape, StructureShape

from openecr.services.ecr.operations import OPERATIONS as ECR
from openecr.services.kms.operations import OPERATIONS as KMS
from tests.places import ON_DATABASES
from tests.registry_client import OCI_MANIFEST, RegistryClient, image_manifest
from tests.running import Server

pytestmark = ON_DATABASES

BUILT = {"ecr": ECR, "kms": KMS}
NULL = "a\u0000b"


def _plain(shape: Shape, name: str, repository: str) -> Any:
    """A value that a member may have."""
    if isinstance(shape, StructureShape):
        return {each: _plain(shape.members[each], each, repository) for each in shape.required_members}
    if isinstance(shape, ListShape):
        return [_plain(shape.member, name, repository)]
    if isinstance(shape, MapShape):
        return {}
    if shape.type_name == "string":
        known = {"repositoryName": repository, "registryId": "123456789012", "imageTag": "v1", "AliasName": "alias/a"}
        return known.get(name, shape.enum[0] if shape.enum else "a")
    return {"blob": "aaaa", "boolean": False}.get(shape.type_name, 1)


def _with_null(shape: Shape, name: str, repository: str) -> Iterator[Any]:
    """The value with one of its texts exchanged, for each of them."""
    if isinstance(shape, StructureShape):
        plain = _plain(shape, name, repository)
        for each, member in shape.members.items():
            for value in _with_null(member, each, repository):
                yield plain | {each: value}
    elif isinstance(shape, ListShape):
        for value in _with_null(shape.member, name, repository):
            yield [value]
    elif isinstance(shape, MapShape):
        yield {NULL: _plain(shape.value, name, repository)}
        for value in _with_null(shape.value, name, repository):
            yield {"key": value}
    elif shape.type_name == "string":
        yield NULL


@pytest.mark.parametrize(
    ("service", "operation"), [(service, name) for service, built in BUILT.items() for name in sorted(built)]
)
def test_no_member_of_an_operation_takes_it(server: Server, repository: str, service: str, operation: str) -> None:
    model = botocore.session.get_session().get_service_model(service)
    shape = model.operation_model(operation).input_shape
    variables = server.environment()
    key = Credentials(variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"])
    for members in _with_null(shape, "", repository) if shape is not None else ():
        request = AWSRequest(
            "POST",
            f"http://localhost:{server.port}/",
            data=json.dumps(members).encode(),
            headers={
                "X-Amz-Target": f"{model.metadata['targetPrefix']}.{operation}",
                "Content-Type": "application/x-amz-json-1.1",
            },
        )
        SigV4Auth(key, service, "us-east-1").add_auth(request)
        connection = http.client.HTTPConnection("localhost", server.port, timeout=60)
        try:
            connection.request("POST", "/", request.data, dict(request.headers))
            answer = connection.getresponse()
            document = json.loads(answer.read())
        finally:
            connection.close()
        assert (answer.status, document.get("__type")) != (500, "ServerException"), (members, document)
        assert answer.status == 400 or document.get("failures"), (members, document)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2/a%00b/tags/list"),
        ("GET", "/v2/{name}/tags/list?last=a%00b"),
        ("GET", "/v2/_catalog?last=a%00b"),
        ("GET", "/v2/{name}/manifests/a%00b"),
        ("GET", "/v2/{name}/blobs/sha256:a%00b"),
        ("GET", "/v2/{name}/blobs/uploads/a%00b"),
        ("PATCH", "/v2/{name}/blobs/uploads/a%00b"),
        ("PUT", "/v2/{name}/blobs/uploads/a%00b?digest=sha256:" + "0" * 64),
        ("DELETE", "/v2/{name}/blobs/uploads/a%00b"),
        ("POST", "/v2/{name}/blobs/uploads/?mount=sha256:" + "0" * 64 + "&from=a%00b"),
        ("GET", "/v2/{name}/referrers/sha256:" + "0" * 64 + "?artifactType=a%00b"),
        ("GET", "/layers/a%00b"),
    ],
)
def test_no_address_of_the_dkr_plane_breaks_with_it(
    docker: RegistryClient, repository: str, method: str, path: str
) -> None:
    answer = docker.request(method, path.replace("{name}", repository))
    assert answer.status < 500, answer


@pytest.mark.parametrize(
    "spoil",
    [
        lambda document: document | {"mediaType": NULL},
        lambda document: document | {"artifactType": NULL},
        lambda document: document | {"annotations": {NULL: NULL}},
        lambda document: document | {"config": document["config"] | {"mediaType": NULL}},
        lambda document: document | {"layers": [item | {"mediaType": NULL} for item in document["layers"]]},
        lambda document: document | {"layers": [item | {"urls": [NULL]} for item in document["layers"]]},
    ],
)
def test_a_manifest_with_it_is_taken_whole_or_refused(docker: RegistryClient, repository: str, spoil: Any) -> None:
    for content in (b"{}", b"layer"):
        docker.push_blob(repository, content)
    content = json.dumps(spoil(json.loads(image_manifest(b"{}", b"layer")))).encode()
    answer = docker.request("PUT", f"{docker.path(repository)}/manifests/null", content, Content_Type=OCI_MANIFEST)
    assert answer.status in (201, 400, 405), answer
    if answer.status == 201:
        pulled = docker.request("GET", f"{docker.path(repository)}/manifests/null")
        assert (pulled.status, pulled.body) == (200, content)
        assert docker.request("GET", f"{docker.path(repository)}/referrers/sha256:{'0' * 64}").status == 200
