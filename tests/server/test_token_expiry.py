"""A registry token's end, on a server whose tokens live two seconds."""

from pathlib import Path

import pytest

from tests.registry_client import RegistryClient, digest_of
from tests.running import running
from tests.waiting import wait_until


def test_an_upload_that_was_begun_in_time_is_finished_after_its_tokens_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENECR_TOKEN_SECONDS", "2")
    content = b"a layer whose upload outlives its token"
    with running(tmp_path, "--workers", "1") as server:
        server.client("ecr").create_repository(repositoryName="long/push")
        client = RegistryClient(server.port, server.password())
        location = client.request("POST", "/v2/long/push/blobs/uploads/").headers["location"]

        wait_until(lambda: client.request("GET", "/v2/").status == 403, "the token ended")

        assert client.request("GET", "/v2/").error == (
            403,
            "DENIED",
            "Your authorization token has expired. Reauthenticate and try again.",
        )
        assert client.request("POST", "/v2/long/push/blobs/uploads/").status == 403
        assert client.request("PATCH", location, content).status == 202
        assert client.request("PUT", f"{location}?digest={digest_of(content)}", Content_Length="0").status == 201
