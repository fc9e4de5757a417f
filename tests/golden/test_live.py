"""Requests to a running server and ECR's answers, on the wire, with images behind them; compared member by member.

``live/<Operation>/<case>.json`` holds ``source`` (where the answer is known from), ``given`` (what is there before),
``input``, ``status`` and ``answer``. In texts, ``<account>``, ``<name>``, ``<registry>`` and the like stand for what
differs from run to run; a whole text such as ``<second>`` stands for any value of that form.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.api.support import ACCOUNT, Image, make_image, push_manifest, upload
from tests.places import ON_DATABASES
from tests.registry_client import OCI_INDEX, RegistryClient, digest_of, image_index
from tests.running import Server

pytestmark = ON_DATABASES

CASES = sorted((Path(__file__).parent / "live").glob("*/*.json"))
TARGET = "AmazonEC2ContainerRegistry_V20150921"

FORMS: dict[str, Callable[[Any], bool]] = {
    "<second>": lambda value: isinstance(value, int | float) and value > 1.7e9 and value == int(value),
    "<instant>": lambda value: isinstance(value, int | float) and value > 1.7e9,
    "<text>": lambda value: isinstance(value, str) and value != "",
    "<url>": lambda value: isinstance(value, str) and value.startswith("http://"),
    "<keyarn>": lambda value: re.fullmatch(rf"arn:aws:kms:us-east-1:{ACCOUNT}:key/[0-9a-f-]{{36}}", value) is not None,
    "<uuid>": lambda value: re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", value) is not None,
}


class Wire:
    """Signed requests of the JSON protocol, without an SDK's view of them."""

    def __init__(self, server: Server) -> None:
        variables = server.environment()
        self._url = f"{server.url}/"
        self._credentials = Credentials(variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"])
        self._pool = urllib3.PoolManager(retries=False)

    def call(self, operation: str, members: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """(status, body) of one request."""
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"{TARGET}.{operation}"}
        request = AWSRequest("POST", self._url, data=json.dumps(members).encode(), headers=headers)
        SigV4Auth(self._credentials, "ecr", "us-east-1").add_auth(request)
        prepared = request.prepare()
        answer = self._pool.request("POST", self._url, body=prepared.body, headers=dict(prepared.headers.items()))
        assert answer.headers["content-type"] == "application/x-amz-json-1.1"
        assert FORMS["<uuid>"](answer.headers["x-amzn-requestid"])
        return answer.status, json.loads(answer.data)


@pytest.fixture(scope="session")
def wire(server: Server) -> Wire:
    return Wire(server)


@pytest.fixture(scope="session")
def docker(server: Server) -> RegistryClient:
    return RegistryClient(server.port, server.password())


def image_names(about: str) -> dict[str, Any]:
    """What the cases call the parts of an image."""
    image = make_image(about)
    index = image_index(image.manifest)
    return {
        f"<manifest:{about}>": image.text,
        f"<digest:{about}>": image.digest,
        f"<config:{about}>": digest_of(image.config),
        f"<layer:{about}>": digest_of(image.layers[0]),
        f"<layersize:{about}>": len(image.layers[0]),
        f"<size:{about}>": image.size_bytes,
        f"<index:{about}>": index.decode(),
        f"<indexdigest:{about}>": digest_of(index),
    }


def fill(value: Any, names: dict[str, Any]) -> Any:
    """A value with the names of this run."""
    if isinstance(value, dict):
        return {key: fill(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [fill(item, names) for item in value]
    if not isinstance(value, str) or value in FORMS:
        return value
    if value in names:
        return names[value]
    return re.sub(r"<[a-z]+(?::[a-z]+)?>", lambda found: str(names[found[0]]), value)


def masked(actual: Any, expected: Any) -> Any:
    """The actual value, with the form's name where the value has the form that is expected there."""
    if isinstance(expected, str) and expected in FORMS:
        return expected if FORMS[expected](actual) else actual
    if isinstance(expected, dict) and isinstance(actual, dict):
        return {key: masked(item, expected.get(key)) for key, item in actual.items()}
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        return [masked(item, wanted) for item, wanted in zip(actual, expected, strict=True)]
    return actual


def prepare(step: dict[str, Any], wire: Wire, docker: RegistryClient, name: str, names: dict[str, Any]) -> None:
    """Bring about one thing that the case takes as given."""
    if "operation" in step:
        status, answer = wire.call(step["operation"], fill(step["input"], names))
        assert status == 200, answer
        names.update({f"<{kept}>": answer[member] for kept, member in step.get("keep", {}).items()})
        return
    image: Image = make_image(step.get("push") or step.get("upload") or step["push_index"])
    if "push_index" in step:
        push_manifest(docker, name, image_index(image.manifest), *step["tags"], media_type=OCI_INDEX)
        return
    upload(docker, name, image)
    if "push" in step:
        push_manifest(docker, name, image.manifest, *step["tags"])


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_an_answer_is_ecrs(
    path: Path, wire: Wire, docker: RegistryClient, server: Server, repository_name: str
) -> None:
    case = json.loads(path.read_text())
    names: dict[str, Any] = {"<account>": ACCOUNT, "<name>": repository_name, "<registry>": server.host}
    names |= image_names("one") | image_names("two")
    for step in case["given"]:
        prepare(step, wire, docker, repository_name, names)

    status, answer = wire.call(path.parent.name, fill(case["input"], names))

    expected = fill(case["answer"], names)
    assert (status, masked(answer, expected)) == (case["status"], expected)


def test_every_case_names_its_source() -> None:
    assert [path.name for path in CASES if not json.loads(path.read_text())["source"]] == []
    assert len(CASES) >= 60
