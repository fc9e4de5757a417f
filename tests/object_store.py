"""A real S3-compatible store for tests: SeaweedFS from its PyPI package, or the one that the environment names.

OPENECR_TEST_S3_ENDPOINT, _ACCESS_KEY, _SECRET_KEY and _REGION name another (Ceph's gateway, MinIO, AWS); its buckets
are made by the tests and left there.
"""

import json
import os
import shutil
import signal
import subprocess
import sysconfig
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
from botocore.config import Config

from tests.running import free_port

START_SECONDS = 180
_PORTS = (
    "s3.port",
    "s3.port.grpc",
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
)


@dataclass(frozen=True)
class ObjectStore:
    """How a store is reached."""

    endpoint: str
    access_key: str
    secret_key: str
    region: str

    @property
    def credentials(self) -> dict[str, str]:
        """The variables that openecr reads."""
        return {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}

    def client(self) -> Any:
        """A client of the store itself."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=self.region,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=Config(s3={"addressing_style": "path"}, signature_version="s3v4"),
        )

    def new_bucket(self) -> str:
        """A fresh bucket."""
        name = f"openecr-test-{uuid4().hex[:12]}"
        self.client().create_bucket(Bucket=name)
        return name

    def url(self, bucket: str, **parameters: str) -> str:
        """A location for ``--blobs``, under a prefix."""
        told = {"endpoint": self.endpoint, "region": self.region, **parameters}
        return f"s3://{bucket}/layers?" + "&".join(f"{name}={value}" for name, value in told.items())


@dataclass
class SeaweedFS:
    """One machine's SeaweedFS: master, volume server, filer and S3 gateway in one process."""

    folder: Path
    flags: tuple[str, ...] = ()
    ports: dict[str, int] = field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)
    host: str = "127.0.0.1"
    inside: tuple[str, ...] = ()
    """What starts a program on that host, where it is not this machine."""

    @property
    def store(self) -> ObjectStore:
        """How it is reached."""
        return ObjectStore(
            f"http://{self.host}:{self.ports['s3.port']}", "openecrtest", "openecrtestsecret", "us-east-1"
        )

    def start(self) -> None:
        """Start it, on the data that is there, and wait until it answers."""
        weed = Path(sysconfig.get_path("scripts")) / "weed"
        (self.folder / "data").mkdir(parents=True, exist_ok=True)
        self.ports = self.ports or {name: free_port() for name in _PORTS}
        identity = {
            "name": "test",
            "credentials": [{"accessKey": "openecrtest", "secretKey": "openecrtestsecret"}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        (self.folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
        command = [
            *self.inside,
            str(weed),
            "-logtostderr=true",
            "server",
            f"-dir={self.folder / 'data'}",
            f"-ip={self.host}",
            f"-ip.bind={self.host}",
            "-master.telemetry=false",
            "-master.electionTimeout=1s",
            "-master.heartbeatInterval=200ms",
            "-master.volumeSizeLimitMB=1024",
            "-volume.max=10000",
            "-volume.preStopSeconds=1",
            "-s3",
            f"-s3.config={self.folder / 's3.json'}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            *(f"-{name}={port}" for name, port in self.ports.items()),
            *self.flags,
        ]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            assert self.process.poll() is None, (self.folder / "log").read_text(errors="replace")[-3000:]
            try:
                self._use()
            except Exception:  # noqa: BLE001 - whatever a half-started store says
                time.sleep(0.1)
            else:
                return
        raise AssertionError(f"SeaweedFS did not answer within {START_SECONDS} s")

    def _use(self) -> None:
        """Store and read: a gateway that lists buckets may not have found its volumes yet."""
        client = self.store.client()
        if "ready" not in [found["Name"] for found in client.list_buckets()["Buckets"]]:
            client.create_bucket(Bucket="ready")
        client.put_object(Bucket="ready", Key="ready", Body=b"ready")
        client.get_object(Bucket="ready", Key="ready")["Body"].read()

    def kill(self) -> None:
        """End it at once, as a crash does."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@contextmanager
def running_store(folder: Path) -> Iterator[ObjectStore]:
    """The store that the environment names, else a SeaweedFS of its own."""
    endpoint = os.environ.get("OPENECR_TEST_S3_ENDPOINT")
    if endpoint is not None:
        named = (os.environ[f"OPENECR_TEST_S3_{name}"] for name in ("ACCESS_KEY", "SECRET_KEY", "REGION"))
        yield ObjectStore(endpoint, *named)
        return
    weed = SeaweedFS(folder)
    weed.start()
    try:
        yield weed.store
    finally:
        weed.kill()
        shutil.rmtree(folder / "data", ignore_errors=True)


def fetch(url: str, **headers: str) -> tuple[int, bytes]:
    """GET an address as a client without credentials: status and body."""
    request = urllib.request.Request(url, headers={name.replace("_", "-"): value for name, value in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
