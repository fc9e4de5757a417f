"""Blobs that are mounted from another repository."""

from typing import Any
from urllib.parse import quote

from tests.conformance.distribution.requests import (
    complete,
    numbers,
    setting,
)
from tests.places import ON_EVERY_PLACE
from tests.registry_client import (
    Answer,
    RegistryClient,
    digest_of,
)
from tests.running import OTHER_ACCOUNT

pytestmark = ON_EVERY_PLACE


class TestMount:
    """Specification: "Mounting a blob from another repository"; ECR's rules in the reference §4.3."""

    def mount(self, client: RegistryClient, name: str, digest: str, source: str | None) -> Answer:
        origin = f"&from={quote(source, safe='')}" if source is not None else ""
        return client.request("POST", f"/v2/{name}/blobs/uploads/?mount={digest}{origin}", b"")

    def test_mounting_is_off_until_the_registry_allows_it(
        self, client: RegistryClient, name: str, other_name: str
    ) -> None:
        digest = client.push_blob(other_name, b"not mounted")
        answer = self.mount(client, name, digest, other_name)
        assert answer.status == 202
        assert client.request("HEAD", f"/v2/{name}/blobs/{digest}").status == 404
        assert complete(client, answer.headers["location"], digest, b"not mounted").status == 201

    def test_a_layer_is_mounted_from_another_repository(
        self, client: RegistryClient, name: str, other_name: str, mounting: None
    ) -> None:
        digest = client.push_blob(other_name, b"mounted")
        answer = self.mount(client, name, digest, other_name)
        assert answer.status == 201
        assert answer.headers["location"] == f"/v2/{name}/blobs/{digest}"
        assert answer.headers["docker-content-digest"] == digest
        assert client.pull_blob(name, digest).body == b"mounted"

    def test_a_layer_is_mounted_from_wherever_it_is(
        self, client: RegistryClient, name: str, other_name: str, mounting: None
    ) -> None:
        digest = client.push_blob(other_name, b"mounted from anywhere")
        assert self.mount(client, name, digest, None).status == 201
        assert client.pull_blob(name, digest).body == b"mounted from anywhere"

    def test_a_layer_that_is_nowhere_is_uploaded(
        self, client: RegistryClient, name: str, other_name: str, mounting: None
    ) -> None:
        content = b"nowhere yet"
        for source in (None, other_name, "no/such/repository", "NOT A NAME", f"{OTHER_ACCOUNT}.us-east-1/theirs"):
            answer = self.mount(client, name, digest_of(content), source)
            assert answer.status == 202
        assert complete(client, answer.headers["location"], digest_of(content), content).status == 201

    def test_what_was_mounted_stays_when_mounting_is_switched_off(
        self, ecr: Any, client: RegistryClient, name: str, other_name: str
    ) -> None:
        switched = setting(ecr, "BLOB_MOUNTING", "ENABLED")
        next(switched)
        digest = client.push_blob(other_name, b"mounted, then off")
        assert self.mount(client, name, digest, other_name).status == 201
        assert next(switched, "switched back") == "switched back"
        ecr.delete_repository(repositoryName=other_name, force=True)
        assert client.pull_blob(name, digest).body == b"mounted, then off"

    def test_a_layer_is_not_mounted_across_encryption(
        self, ecr: Any, client: RegistryClient, name: str, mounting: None
    ) -> None:
        sealed = f"conformance/sealed-{next(numbers)}"
        ecr.create_repository(repositoryName=sealed, encryptionConfiguration={"encryptionType": "KMS"})
        digest = client.push_blob(sealed, b"under another key")
        assert self.mount(client, name, digest, sealed).status == 202
        assert self.mount(client, name, digest, None).status == 202
