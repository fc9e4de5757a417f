"""The api plane over a real waist and an embedded database, called as a signing client calls it."""

import asyncio
import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from openecr.access.aws_managed import ADMINISTRATOR_ACCESS
from openecr.aws.plane import ApiPlane
from openecr.blobs.memory import MemoryStore
from openecr.call import Operation
from openecr.db import accounts, identities
from openecr.db.connection import Connection
from openecr.db.migrations import migrate
from openecr.db.sqlite import SqliteDatabase
from openecr.deployment import Deployment
from openecr.keyring import Keyring, create_missing_keys, open_keyring
from openecr.services.ec2.operations import OPERATIONS as EC2
from openecr.services.ecr.operations import OPERATIONS as ECR
from openecr.services.iam.operations import OPERATIONS as IAM
from openecr.services.kms.operations import OPERATIONS as KMS
from openecr.services.sts.operations import OPERATIONS as STS
from openecr.settings import Settings
from openecr.waist import Waist

ACCOUNT = "123456789012"
ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
HOST = "localhost:5050"
TARGETS = {"ecr": "AmazonEC2ContainerRegistry_V20150921", "ecr-public": "SpencerFrontendService", "kms": "TrentService"}


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it went over the wire."""

    status: int
    headers: dict[str, str]
    body: bytes
    chunks_taken: int

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def error(self) -> tuple[int, str, str]:
        """(status, code, message) of a JSON error."""
        return self.status, self.document["__type"], self.document["message"]


@dataclass
class Api:
    """A client of the plane. Every part of a request can be exchanged after it was signed."""

    deployment: Deployment
    services: dict[str, dict[str, Operation]] = field(
        default_factory=lambda: {
            "ecr": dict(ECR),
            "iam": dict(IAM),
            "sts": dict(STS),
            "kms": dict(KMS),
            "ec2": dict(EC2),
        }
    )
    now: float | None = None
    """The server's wall clock, where it is not the client's."""

    def call(
        self, operation: str, members: Mapping[str, Any] | None = None, service: str = "ecr", **signing: Any
    ) -> Reply:
        """One signed request of the JSON protocol."""
        target = {"X-Amz-Target": f"{TARGETS[service]}.{operation}"}
        return self.send(json.dumps(members or {}).encode(), target, service, **signing)

    def query(self, form: str, service: str = "sts", **signing: Any) -> Reply:
        """One signed request of the query protocol."""
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        return self.send(form.encode(), headers, service, **signing)

    def send(
        self,
        body: bytes,
        headers: dict[str, str],
        service: str,
        *,
        region: str = "us-east-1",
        key: str = ACCESS_KEY,
        secret: str = SECRET,
        token: str | None = None,
        altered: Callable[[dict[str, Any]], None] = lambda scope: None,
        sent: bytes | None = None,
    ) -> Reply:
        """Sign, alter what is said, and send."""
        headers = {"Content-Type": "application/x-amz-json-1.1"} | headers
        request = AWSRequest("POST", f"http://{HOST}/", data=body, headers=headers)
        SigV4Auth(Credentials(key, secret, token), service, region).add_auth(request)
        received = {"host": HOST, "content-length": str(len(body)), **dict(request.headers.items())}
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/",
            "raw_path": b"/",
            "query_string": b"",
            "headers": [(name.lower().encode(), value.encode()) for name, value in received.items()],
            "openecr.base_url": f"http://{HOST}",
        }
        altered(scope)
        return self.receive(scope, body if sent is None else sent)

    def receive(self, scope: dict[str, Any], body: bytes) -> Reply:
        """Hand the plane a request as a server would."""
        plane = ApiPlane(Waist(self.deployment), self.services, wall_clock=lambda: self.now or time.time())
        return asyncio.run(_exchange(plane, scope, body))


async def _exchange(plane: ApiPlane, scope: dict[str, Any], body: bytes) -> Reply:
    sent: list[Any] = []
    taken = 0

    async def receive() -> dict[str, Any]:
        nonlocal taken
        taken += 1
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    status = await plane(scope, receive, send)
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    assert status == sent[0]["status"]
    return Reply(status, headers, sent[1]["body"], taken)


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    path = tmp_path / "openecr.db"
    migrate(path)

    def prepare(db: Connection) -> Keyring:
        create_missing_keys(db, bytes(32), 0)
        opened = open_keyring(db, bytes(32))
        account = accounts.insert(db, ACCOUNT, 0)
        principal = identities.insert(
            db, account, kind="user", name="admin", unique_id="AIDAEXAMPLE", version="1", now_us=0
        )
        assert principal is not None
        identities.attach_policy(db, principal, policy_arn=ADMINISTRATOR_ACCESS, policy_key=None, now_us=0)
        sealed = opened.seal(SECRET.encode(), ACCESS_KEY)
        identities.insert_access_key(db, principal, access_key_id=ACCESS_KEY, sealed_secret=sealed, now_us=0)
        return opened

    async def write() -> Keyring:
        database = SqliteDatabase(path)
        try:
            return await database.write(prepare)
        finally:
            await database.close()

    return asyncio.run(write())


@pytest.fixture
def api(tmp_path: Path, keyring: Keyring) -> Iterator[Api]:
    database = SqliteDatabase(tmp_path / "openecr.db")
    deployment = Deployment(
        settings=Settings(data_dir=tmp_path),
        database=database,
        blobs=MemoryStore(),
        keyring=keyring,
        now_us=lambda: 1_705_072_146_000_000,
        wall_us=lambda: 1_705_072_146_000_000,
        new_id=lambda: str(uuid.uuid4()),
        new_object_id=lambda _region: str(uuid.uuid4()),
        note_pull=lambda _image, _now: None,
    )
    yield Api(deployment)
    asyncio.run(database.close())
