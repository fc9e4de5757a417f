"""Random signed requests on the api plane, built from the service model: good ones, and broken ones."""

import base64
import http.client
import json
from dataclasses import dataclass
from typing import Any

import botocore.session
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.model import ListShape, MapShape, Shape, StructureShape
from hypothesis import given
from hypothesis import strategies as st

from openecr.services.kms import operations as kms
from tests.fuzz.conftest import FUZZED
from tests.registry_client import RegistryClient, digest_of, image_index, image_manifest
from tests.running import DEFAULT_ACCOUNT, OTHER_ACCOUNT, Server

NAME = "fuzzed/by-the-api"
CANARY = "canary-of-the-api-plane"
SERVICES = {name: botocore.session.get_session().get_service_model(name) for name in ("ecr", "kms")}
OPERATIONS = sorted(
    {(service, operation) for service, model in SERVICES.items() for operation in model.operation_names}
    - {("ecr", "DeleteRepository")}
)
"""All but the one that would take away what the others work on; it is tried on names of its own."""
BUILT = [("kms", name) for name in sorted(kms.OPERATIONS)]
"""Of KMS most is not built: what is gets a share of its own."""


@dataclass(frozen=True)
class Signer:
    """One account's administrator."""

    port: int
    key: str
    secret: str

    def send(self, service: str, operation: str, body: bytes) -> tuple[int, bytes]:
        """One signed request."""
        headers = {
            "Host": f"localhost:{self.port}",
            "X-Amz-Target": f"{SERVICES[service].metadata['targetPrefix']}.{operation}",
            "Content-Type": "application/x-amz-json-1.1",
        }
        request = AWSRequest("POST", f"http://localhost:{self.port}/", data=body, headers=headers)
        SigV4Auth(Credentials(self.key, self.secret), service, "us-east-1").add_auth(request)
        connection = http.client.HTTPConnection("localhost", self.port, timeout=60)
        try:
            connection.request("POST", "/", body, dict(request.headers))
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def signers(fuzzed: Server) -> dict[str, Signer]:
    ecr = fuzzed.client("ecr")
    for name in (NAME, CANARY):
        ecr.create_repository(repositoryName=name)
    client = RegistryClient(fuzzed.port, fuzzed.password())
    client.push_image(NAME, "latest", b"layer")
    client.push_blob(NAME, b"{}")
    client.push_image(CANARY, CANARY)
    fuzzed.client("kms").create_key(Description=CANARY)
    found = {}
    for account_id in (DEFAULT_ACCOUNT, OTHER_ACCOUNT):
        variables = fuzzed.environment(account_id)
        found[account_id] = Signer(fuzzed.port, variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"])
    return found


_anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_known_texts = st.sampled_from(
    [
        NAME,
        "latest",
        DEFAULT_ACCOUNT,
        OTHER_ACCOUNT,
        digest_of(b"layer"),
        digest_of(b"{}"),
        "sha256:" + "0" * 64,
        "12345678-1234-1234-1234-123456789012",
        f"arn:aws:ecr:us-east-1:{DEFAULT_ACCOUNT}:repository/{NAME}",
        image_manifest(b"{}", b"layer").decode(),
        image_index().decode(),
        "alias/aws/ecr",
        "alias/fuzzed",
        f"arn:aws:kms:us-east-1:{DEFAULT_ACCOUNT}:alias/aws/ecr",
        f"arn:aws:kms:us-east-1:{DEFAULT_ACCOUNT}:key/12345678-1234-1234-1234-123456789012",
        "BLOB_MOUNTING",
        "ENABLED",
        "",
        "a" * 400,
        "\u0000",
        "é",
    ]
)


def values(shape: Shape) -> st.SearchStrategy[Any]:
    """Values of a shape, and now and then values of none."""
    if isinstance(shape, StructureShape):
        members = {name: values(member) for name, member in shape.members.items()}
        required = {name: members[name] for name in shape.required_members}
        optional = {name: each for name, each in members.items() if name not in required}
        return st.fixed_dictionaries(required, optional=optional)
    if isinstance(shape, ListShape):
        return st.lists(values(shape.member), max_size=3)
    if isinstance(shape, MapShape):
        return st.dictionaries(st.text(max_size=5), values(shape.value), max_size=2)
    if shape.type_name == "string":
        return st.sampled_from(shape.enum) if shape.enum else _known_texts | st.text(max_size=12)
    if shape.type_name in ("integer", "long"):
        return st.sampled_from([0, 1, 5, 100, 1000, 1001, -1, 2**31, 2**63 - 1, 2**63, 2**64])
    if shape.type_name == "boolean":
        return st.booleans()
    if shape.type_name == "blob":
        return st.binary(max_size=50).map(lambda content: base64.b64encode(content).decode())
    return st.integers(0, 2**32)


Operation = tuple[str, str]
"""A service, and the name of one of its operations."""


def _input_of(operation: Operation) -> st.SearchStrategy[tuple[Operation, Any]]:
    shape = SERVICES[operation[0]].operation_model(operation[1]).input_shape
    return st.tuples(st.just(operation), values(shape) if shape is not None else st.just({}))


_names = st.text(st.characters(min_codepoint=33, max_codepoint=126))
_operations = st.sampled_from(OPERATIONS) | st.sampled_from(BUILT)
_requests = _operations.flatmap(_input_of)


def _spoiled(document: Any, data: st.DataObject) -> Any:
    """The document with one of its values exchanged for anything."""
    if isinstance(document, dict) and document and data.draw(st.booleans()):
        name = data.draw(st.sampled_from(sorted(document)))
        return {**document, name: _spoiled(document[name], data)}
    if isinstance(document, list) and document and data.draw(st.booleans()):
        return [_spoiled(document[0], data), *document[1:]]
    return data.draw(_anything)


def _assert_answered(signer: Signer, account_id: str, operation: Operation, body: bytes) -> None:
    status, answer = signer.send(*operation, body)
    assert status in (200, 400), (operation, body, answer)
    document = json.loads(answer)
    assert status == 200 or document["__type"] != "ServerException", (operation, body, answer)
    if account_id != DEFAULT_ACCOUNT:
        assert CANARY.encode() not in answer


@FUZZED
@given(st.sampled_from([DEFAULT_ACCOUNT, OTHER_ACCOUNT]), _requests)
def test_a_request_of_any_operation_is_answered(
    signers: dict[str, Signer], account_id: str, request_: tuple[Operation, Any]
) -> None:
    operation, members = request_
    body = json.dumps(members, ensure_ascii=False).encode("utf-8", "surrogatepass")
    _assert_answered(signers[account_id], account_id, operation, body)


@FUZZED
@given(st.sampled_from([DEFAULT_ACCOUNT, OTHER_ACCOUNT]), _requests, st.data())
def test_a_broken_request_is_answered(
    signers: dict[str, Signer], account_id: str, request_: tuple[Operation, Any], data: st.DataObject
) -> None:
    operation, members = request_
    body = json.dumps(_spoiled(members, data)).encode()
    _assert_answered(signers[account_id], account_id, operation, body)


@FUZZED
@given(
    _operations | st.tuples(st.sampled_from(["ecr", "kms"]), _names),
    st.binary(max_size=200),
)
def test_a_body_of_any_bytes_is_answered(signers: dict[str, Signer], operation: Operation, body: bytes) -> None:
    _assert_answered(signers[OTHER_ACCOUNT], OTHER_ACCOUNT, operation, body)


@FUZZED
@given(st.text(max_size=20) | st.sampled_from(["fuzzed/gone", CANARY, f"{OTHER_ACCOUNT}.us-east-1/x"]), st.booleans())
def test_another_account_deletes_nothing(signers: dict[str, Signer], name: str, force: bool) -> None:
    body = json.dumps({"repositoryName": name, "registryId": DEFAULT_ACCOUNT, "force": force}).encode()
    status, _ = signers[OTHER_ACCOUNT].send("ecr", "DeleteRepository", body)
    assert status == 400
