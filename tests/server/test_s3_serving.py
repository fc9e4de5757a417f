"""A server whose layers are in an S3-compatible store."""

import json
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from openecr.tls import ensure
from tests.embedded import execute
from tests.faults.processes import children
from tests.object_store import ObjectStore, SeaweedFS, fetch
from tests.registry_client import RegistryClient, digest_of
from tests.running import Server, environment, openecr, running
from tests.server.tls_relay import tls_relay

MIB = 1024 * 1024
LAYER = os.urandom(20 * MIB + 77)


@pytest.fixture(scope="module")
def s3_server(object_store: ObjectStore, bucket: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two workers, the default store in one bucket, and a region whose own store does not redirect."""
    flags = (
        "--workers=2",
        "--encryption=storage",
        f"--blobs={object_store.url(bucket)}",
        f"--region-blobs=eu-west-1={object_store.url(bucket, redirect='off')}",
        f"--region-blobs=eu-west-3={tmp_path_factory.mktemp('paris').as_uri()}",
    )
    with running(tmp_path_factory.mktemp("s3"), *flags, variables=object_store.credentials) as started:
        yield started


def client_of(server: Server, name: str, region: str = "us-east-1") -> RegistryClient:
    server.client("ecr", region=region).create_repository(repositoryName=name)
    prefix = "" if region == "us-east-1" else f"/123456789012.{region}"
    password = server.password()
    return RegistryClient(server.port, password, prefix=prefix)


def object_id_of(server: Server, digest: str) -> str:
    stored = "SELECT b.object_id FROM blob b JOIN blob_digest d ON d.blob_key = b.id WHERE hex(d.digest) LIKE ?"
    ((object_id,),) = execute(server.data_dir, stored, (f"%{digest.removeprefix('sha256:').upper()}",))
    return str(object_id)


def test_an_image_is_pushed_and_pulled_and_its_bytes_never_pass_openecr(
    s3_server: Server, object_store: ObjectStore, bucket: str
) -> None:
    client = client_of(s3_server, "pulled")
    client.push_image("pulled", "v1", LAYER, b"small")
    for layer in (LAYER, b"small"):
        answer = client.request("GET", f"/v2/pulled/blobs/{digest_of(layer)}")
        location = answer.headers["location"]
        assert answer.status == 307
        assert location.startswith(f"{object_store.endpoint}/{bucket}/layers/")
        assert fetch(location) == (200, layer)
        assert fetch(location, Range="bytes=1-3") == (206, layer[1:4])


def test_a_chunked_upload_goes_on_on_whichever_worker(s3_server: Server) -> None:
    client = client_of(s3_server, "chunks")
    location = client.request("POST", "/v2/chunks/blobs/uploads/").headers["location"]
    for start in range(0, len(LAYER), 3 * MIB):
        chunk = LAYER[start : start + 3 * MIB]
        answer = client.request("PATCH", location, chunk, Content_Range=f"{start}-{start + len(chunk) - 1}")
        assert answer.status == 202, answer
    assert client.request("PUT", f"{location}?digest={digest_of(LAYER)}", b"").status == 201
    assert client.pull_blob("chunks", digest_of(LAYER)).body == LAYER


def test_a_part_of_the_wrong_length_keeps_nothing_and_the_upload_goes_on(s3_server: Server) -> None:
    client = client_of(s3_server, "lengths")
    location = client.request("POST", "/v2/lengths/blobs/uploads/").headers["location"]
    wrong = os.urandom(10 * MIB)
    refused = client.request("PATCH", location, iter([wrong]), Content_Range=f"0-{11 * MIB - 1}")
    assert refused.status == 416, refused
    assert client.request("PATCH", location, b"right", Content_Range="0-4").status == 202
    assert client.request("PATCH", location, b" way", Content_Range="5-8").status == 202
    assert client.request("PUT", f"{location}?digest={digest_of(b'right way')}", b"").status == 201
    assert client.pull_blob("lengths", digest_of(b"right way")).body == b"right way"


class TestWhereAClientIsSent:
    """The table of docs/storage.md, row by row, for GET and for GetDownloadUrlForLayer."""

    @staticmethod
    def locations(server: Server, name: str, digest: str, region: str = "us-east-1") -> list[str]:
        prefix = "" if region == "us-east-1" else f"/123456789012.{region}"
        client = RegistryClient(server.port, server.password(), prefix=prefix)
        redirect = client.request("GET", f"{client.path(name)}/blobs/{digest}")
        assert redirect.status == 307
        download = server.client("ecr", region=region).get_download_url_for_layer(
            repositoryName=name, layerDigest=digest
        )
        return [redirect.headers["location"], download["downloadUrl"]]

    def pushed(self, server: Server, name: str, content: bytes, region: str = "us-east-1") -> str:
        return client_of(server, name, region).push_blob(name, content)

    def test_a_store_that_redirects(self, s3_server: Server, object_store: ObjectStore) -> None:
        digest = self.pushed(s3_server, "sent/on", b"redirected")
        for location in self.locations(s3_server, "sent/on", digest):
            assert location.startswith(object_store.endpoint)
            assert fetch(location) == (200, b"redirected")

    @pytest.mark.parametrize("region", ["eu-west-1", "eu-west-3"])
    def test_a_store_that_does_not_redirect_or_is_a_folder(self, s3_server: Server, region: str) -> None:
        content = b"through openecr, " + region.encode()
        digest = self.pushed(s3_server, "sent/off", content, region)
        path, url = self.locations(s3_server, "sent/off", digest, region)
        assert path.startswith(f"/layers/{region}.")
        assert url.startswith(f"{s3_server.url}/layers/{region}.")
        assert fetch(s3_server.url + path) == fetch(url) == (200, content)
        assert fetch(url, Range="bytes=8-14") == (206, b"openecr")
        assert object_id_of(s3_server, digest).startswith(f"{region}.")

    def test_a_head_is_answered_by_openecr(self, s3_server: Server) -> None:
        digest = self.pushed(s3_server, "sent/head", b"asked for")
        client = RegistryClient(s3_server.port, s3_server.password())
        answer = client.request("HEAD", f"/v2/sent/head/blobs/{digest}")
        assert (answer.status, answer.headers["content-length"]) == (200, "9")

    @pytest.mark.parametrize("says", ["nothing", "store"])
    def test_encryption_on_sends_clients_only_to_a_store_that_encrypts(
        self, object_store: ObjectStore, bucket: str, tmp_path: Path, says: str
    ) -> None:
        url = object_store.url(bucket) if says == "nothing" else object_store.url(bucket, sse="store")
        with running(tmp_path, "--workers=1", f"--blobs={url}", variables=object_store.credentials) as server:
            digest = self.pushed(server, "sent/sealed", b"sealed")
            places = [urlsplit(location).netloc for location in self.locations(server, "sent/sealed", digest)]
            at_store = urlsplit(object_store.endpoint).netloc
            assert [place == at_store for place in places] == [says == "store"] * 2
            assert RegistryClient(server.port, server.password()).pull_blob("sent/sealed", digest).body == b"sealed"

    def test_a_public_endpoint(self, object_store: ObjectStore, bucket: str, tmp_path: Path) -> None:
        url = object_store.url(bucket, public_endpoint="https://layers.example.com")
        flags = ("--workers=1", "--encryption=storage", f"--blobs={url}")
        with running(tmp_path, *flags, variables=object_store.credentials) as server:
            digest = self.pushed(server, "sent/public", b"public")
            for location in self.locations(server, "sent/public", digest):
                assert urlsplit(location)[:2] == ("https", "layers.example.com")


def test_a_layer_of_a_gigabyte_is_pushed_in_bounded_memory(s3_server: Server) -> None:
    client = client_of(s3_server, "large")
    piece = os.urandom(MIB)

    def peaks() -> dict[int, int]:
        """Peak resident size by worker, in MiB."""
        found = {}
        for pid, role in children(s3_server).items():
            if role == "worker":
                Path(f"/proc/{pid}/clear_refs").write_text("5")
                status = Path(f"/proc/{pid}/status").read_text()
                found[pid] = int(status.partition("VmRSS:")[2].split()[0]) // 1024
        return found

    before = peaks()
    location = client.request("POST", "/v2/large/blobs/uploads/").headers["location"]
    answer = client.request("PATCH", location, (piece for _ in range(1024)))
    assert answer.status == 202, answer
    for pid, resident in before.items():
        peak = int(Path(f"/proc/{pid}/status").read_text().partition("VmHWM:")[2].split()[0]) // 1024
        assert peak - resident < 96, f"worker {pid} grew from {resident} to {peak} MiB"
    client.request("DELETE", location)


def test_commands_beside_the_server_find_its_stores_and_status_names_them(
    s3_server: Server, object_store: ObjectStore, bucket: str
) -> None:
    said = json.loads(openecr("status", "--data-dir", str(s3_server.data_dir), "--json").stdout)
    assert said["layers"]["default"] == f"s3://{bucket}/layers"
    assert set(said["layers"]) == {"default", "eu-west-1", "eu-west-3"}
    collected = openecr("gc", "--data-dir", str(s3_server.data_dir), env=environment() | dict(object_store.credentials))
    assert "gave back" in collected.stdout
    assert object_store.secret_key not in (s3_server.data_dir / "server.json").read_text()
    assert object_store.secret_key not in s3_server.log()


def refusal(store: ObjectStore, folder: Path, url: str, **variables: str) -> str:
    """What ``serve`` says when it must not start."""
    done = openecr(
        "serve",
        "--data-dir",
        str(folder),
        "--blobs",
        url,
        check=False,
        env=environment() | dict(store.credentials) | variables,
    )
    assert done.returncode != 0
    return done.stderr


def test_a_server_with_wrong_credentials_does_not_start(object_store: ObjectStore, bucket: str, tmp_path: Path) -> None:
    said = refusal(object_store, tmp_path, object_store.url(bucket), AWS_SECRET_ACCESS_KEY="wrong")
    assert "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in said
    assert "Traceback" not in said


def test_a_server_without_its_layers_does_not_start_and_gc_does_not_run(
    object_store: ObjectStore, bucket: str, tmp_path: Path
) -> None:
    with running(tmp_path, "--workers=1", f"--blobs={object_store.url(bucket)}", variables=object_store.credentials):
        pass
    other = refusal(object_store, tmp_path, object_store.url(object_store.new_bucket()))
    assert "is not where this deployment's layers are" in other
    for command in ("serve", "gc"):
        forgotten = openecr(command, "--data-dir", str(tmp_path), check=False)
        assert forgotten.returncode != 0
        assert f"{tmp_path}/blobs is not where this deployment's layers are" in forgotten.stderr


def test_a_store_is_trusted_by_its_ca_and_by_no_other(object_store: ObjectStore, bucket: str, tmp_path: Path) -> None:
    good = ensure(tmp_path / "good", ["localhost", "127.0.0.1"], datetime.now(UTC))
    other = ensure(tmp_path / "other", ["localhost"], datetime.now(UTC))
    with tls_relay(good.chain, good.private_key, object_store.endpoint) as port:
        trusted = f"s3://{bucket}/layers?endpoint=https://127.0.0.1:{port}&region={object_store.region}&ca="
        said = refusal(object_store, tmp_path / "refused", f"{trusted}{other.own_ca}")
        assert "is not trusted" in said
        assert "ca= in the URL" in said
        (tmp_path / "data").mkdir()
        flags = ("--workers=1", "--encryption=storage", f"--blobs={trusted}{good.own_ca}")
        with running(tmp_path / "data", *flags, variables=object_store.credentials) as server:
            client = client_of(server, "tls")
            client.push_blob("tls", LAYER)
            answer = client.request("GET", f"/v2/tls/blobs/{digest_of(LAYER)}")
            assert answer.headers["location"].startswith(f"https://127.0.0.1:{port}/{bucket}/layers/")


def test_a_store_that_is_killed_loses_no_layer_that_was_acknowledged(tmp_path: Path) -> None:
    weed = SeaweedFS(tmp_path / "store")
    weed.start()
    url = weed.store.url(weed.store.new_bucket(), redirect="off")
    acknowledged: dict[str, bytes] = {}
    refused: list[int] = []
    some = threading.Event()

    def push(client: RegistryClient) -> None:
        while not refused:
            content = os.urandom(12 * MIB)
            answer = client.request("POST", f"/v2/killed/blobs/uploads/?digest={digest_of(content)}", content)
            if answer.status == 201:
                acknowledged[digest_of(content)] = content
                some.set()
            else:
                refused.append(answer.status)
                assert answer.headers["x-amzn-requestid"] in answer.body.decode()

    (tmp_path / "data").mkdir()
    try:
        with running(tmp_path / "data", "--workers=2", f"--blobs={url}", variables=weed.store.credentials) as server:
            client = client_of(server, "killed")
            pushing = [threading.Thread(target=push, args=(client,)) for _ in range(2)]
            for thread in pushing:
                thread.start()
            assert some.wait(60)
            weed.kill()
            for thread in pushing:
                thread.join()
            assert set(refused) == {500}
            known = next(iter(acknowledged))
            assert client.pull_blob("killed", known).status == 503
            weed.start()
            for digest, content in acknowledged.items():
                pulled = client.pull_blob("killed", digest)
                assert (pulled.status, pulled.body == content) == (200, True)
            again = os.urandom(12 * MIB)
            client.push_blob("killed", again)
            assert client.pull_blob("killed", digest_of(again)).body == again
    finally:
        weed.kill()
