"""Pushes and pulls of manifests."""

import gzip
import json

import pytest
from tests.conformance.distribution.requests import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    EMPTY,
    UNKNOWN_DIGEST,
    sha512_of,
)
from tests.places import ON_EVERY_PLACE
from tests.registry_client import (
    OCI_LAYER,
    OCI_MANIFEST,
    Answer,
    RegistryClient,
    descriptor,
    digest_of,
    image_manifest,
)

pytestmark = ON_EVERY_PLACE


class TestManifests:
    """Specification: "Pushing manifests", "Pulling manifests"."""

    def push(self, client: RegistryClient, name: str, reference: str) -> tuple[bytes, Answer]:
        config, layer = b'{"config": 1}', b"a layer"
        client.push_blob(name, config)
        client.push_blob(name, layer)
        # Spaces, order and a field of nobody's: what comes back are these bytes and no others.
        manifest = (
            json.dumps(json.loads(image_manifest(config, layer)) | {"zzz": {"about": reference}}, indent=3).encode()
            + b"\n"
        )
        return manifest, client.push_manifest(name, reference, manifest)

    def test_a_manifest_comes_back_byte_for_byte_by_tag_and_by_digest(self, client: RegistryClient, name: str) -> None:
        manifest, pushed = self.push(client, name, "latest")
        digest = digest_of(manifest)
        assert pushed.status == 201, pushed
        assert pushed.headers["docker-content-digest"] == digest
        assert pushed.headers["location"] == f"/v2/{name}/manifests/{digest}"
        for reference in ("latest", digest):
            got = client.request("GET", f"/v2/{name}/manifests/{reference}", Accept=OCI_MANIFEST)
            assert (got.status, got.body) == (200, manifest)
            assert got.headers["content-type"] == OCI_MANIFEST
            assert got.headers["docker-content-digest"] == digest
            head = client.request("HEAD", f"/v2/{name}/manifests/{reference}", Accept=OCI_MANIFEST)
            assert (head.status, head.body) == (200, b"")
            for header in ("content-type", "content-length", "docker-content-digest"):
                assert head.headers[header] == got.headers[header]

    def test_a_manifest_pushed_by_digest_has_no_tag(self, client: RegistryClient, name: str) -> None:
        config, layer = b"{}", b"untagged"
        for content in (config, layer):
            client.push_blob(name, content)
        manifest = image_manifest(config, layer)
        assert client.push_manifest(name, digest_of(manifest), manifest).status == 201
        assert client.request("GET", f"/v2/{name}/manifests/{digest_of(manifest)}").body == manifest
        assert client.request("GET", f"/v2/{name}/tags/list").json["tags"] == []

    def test_a_tag_moves_and_the_old_image_stays_by_digest(self, client: RegistryClient, name: str) -> None:
        first = client.push_image(name, "moving", b"first")
        second = client.push_image(name, "moving", b"second")
        assert client.request("HEAD", f"/v2/{name}/manifests/moving").headers["docker-content-digest"] == second
        assert client.request("HEAD", f"/v2/{name}/manifests/{first}").status == 200

    def test_a_push_may_be_repeated(self, client: RegistryClient, name: str) -> None:
        first, _ = self.push(client, name, "again")
        assert client.push_manifest(name, "again", first).status == 201

    def test_a_push_by_digest_takes_tags_as_parameters(self, client: RegistryClient, name: str) -> None:
        config = b"{}"
        client.push_blob(name, config)
        manifest = image_manifest(config)
        answer = client.push_manifest(name, f"{digest_of(manifest)}?tag=one&tag=two&tag=one", manifest)
        assert answer.status == 201, answer
        assert client.request("GET", f"/v2/{name}/tags/list").json["tags"] == ["one", "two"]
        for tag in ("one", "two"):
            assert client.request("GET", f"/v2/{name}/manifests/{tag}").body == manifest

    def test_tags_as_parameters_of_a_push_by_tag_are_refused(self, client: RegistryClient, name: str) -> None:
        client.push_blob(name, b"{}")
        assert client.push_manifest(name, "a?tag=b", image_manifest(b"{}")).status == 400
        assert client.request("GET", f"/v2/{name}/tags/list").json["tags"] == []

    def test_one_bad_tag_among_the_parameters_keeps_all_from_being_set(self, client: RegistryClient, name: str) -> None:
        client.push_blob(name, b"{}")
        manifest = image_manifest(b"{}")
        assert client.push_manifest(name, f"{digest_of(manifest)}?tag=good&tag=-bad", manifest).status == 400
        assert client.request("GET", f"/v2/{name}/tags/list").json["tags"] == []
        assert client.request("HEAD", f"/v2/{name}/manifests/{digest_of(manifest)}").status == 404

    def test_a_digest_announced_in_a_header_is_checked(self, client: RegistryClient, name: str) -> None:
        client.push_blob(name, b"{}")
        manifest = image_manifest(b"{}")
        wrong = client.request(
            "PUT", f"/v2/{name}/manifests/t", manifest, Content_Type=OCI_MANIFEST, Docker_Content_Digest=UNKNOWN_DIGEST
        )
        assert (wrong.status, wrong.json["errors"][0]["code"]) == (400, "MANIFEST_INVALID")
        right = client.request(
            "PUT",
            f"/v2/{name}/manifests/t",
            manifest,
            Content_Type=OCI_MANIFEST,
            Docker_Content_Digest=digest_of(manifest),
        )
        assert right.status == 201

    def test_a_manifest_is_known_by_the_sha512_it_was_pushed_with(self, client: RegistryClient, name: str) -> None:
        config, layer = b'{"sha": 512}', b"layer under sha512"
        for content in (config, layer):
            path = f"/v2/{name}/blobs/uploads/?digest={sha512_of(content)}"
            assert client.request("POST", path, content).status == 201
        document = json.loads(image_manifest(config, layer))
        document["config"]["digest"] = sha512_of(config)
        document["layers"][0]["digest"] = sha512_of(layer)
        manifest = json.dumps(document).encode()
        answer = client.push_manifest(name, f"{sha512_of(manifest)}?tag=long", manifest)
        assert answer.status == 201, answer
        assert answer.headers["docker-content-digest"] == sha512_of(manifest)
        for reference in (sha512_of(manifest), "long"):
            got = client.request("GET", f"/v2/{name}/manifests/{reference}")
            assert got.body == manifest
            assert got.headers["docker-content-digest"] == sha512_of(manifest)

    @pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
    def test_a_manifest_pushed_under_a_wrong_digest_is_refused(
        self, client: RegistryClient, name: str, algorithm: str
    ) -> None:
        client.push_blob(name, b"{}")
        wrong = algorithm + ":" + "a" * (64 if algorithm == "sha256" else 128)
        answer = client.push_manifest(name, wrong, image_manifest(b"{}"))
        assert (answer.status, answer.json["errors"][0]["code"]) == (400, "MANIFEST_INVALID")
        assert client.request("HEAD", f"/v2/{name}/manifests/{wrong}").status == 404

    def test_docker_schema_2_is_taken_as_it_is(self, client: RegistryClient, name: str) -> None:
        config, layer = b"{}", gzip.compress(b"layer", mtime=0)
        for content in (config, layer):
            client.push_blob(name, content)
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": DOCKER_MANIFEST,
                "config": descriptor(config, "application/vnd.docker.container.image.v1+json"),
                "layers": [descriptor(layer, "application/vnd.docker.image.rootfs.diff.tar.gzip")],
            },
            indent=3,
        ).encode()
        assert client.push_manifest(name, "docker", manifest, DOCKER_MANIFEST).status == 201
        got = client.request("GET", f"/v2/{name}/manifests/docker", Accept=f"{DOCKER_MANIFEST}, {DOCKER_LIST}")
        assert (got.body, got.headers["content-type"]) == (manifest, DOCKER_MANIFEST)
        by_digest = client.request("GET", f"/v2/{name}/manifests/{digest_of(manifest)}", Accept=OCI_MANIFEST)
        assert by_digest.body == manifest, "by digest nothing is ever converted"
        converted = client.request("GET", f"/v2/{name}/manifests/docker", Accept=OCI_MANIFEST)
        assert converted.headers["content-type"] == OCI_MANIFEST
        assert converted.headers["docker-content-digest"] == digest_of(converted.body)
        assert converted.json["layers"][0] == descriptor(layer, OCI_LAYER)

    def test_a_manifest_without_a_media_type_has_the_requests(self, client: RegistryClient, name: str) -> None:
        client.push_blob(name, b"{}")
        document = json.loads(image_manifest(b"{}"))
        del document["mediaType"]
        assert client.push_manifest(name, "bare", json.dumps(document).encode()).status == 201
        assert client.request("HEAD", f"/v2/{name}/manifests/bare").headers["content-type"] == OCI_MANIFEST

    def test_an_artifact_may_have_no_layers_and_data_in_its_descriptors(
        self, client: RegistryClient, name: str
    ) -> None:
        client.push_blob(name, b"{}")
        config = descriptor(b"{}", EMPTY) | {"data": "e30="}
        document = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": "application/vnd.example.empty",
            "config": config,
            "layers": [],
            "annotations": {"org.example": "value"},
        }
        manifest = json.dumps(document).encode()
        assert client.push_manifest(name, "artifact", manifest).status == 201
        assert client.request("GET", f"/v2/{name}/manifests/artifact").body == manifest

    def test_a_non_distributable_layer_need_not_be_there(self, client: RegistryClient, name: str) -> None:
        client.push_blob(name, b"{}")
        document = json.loads(image_manifest(b"{}"))
        foreign = descriptor(b"elsewhere", "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip")
        document["layers"] = [foreign | {"urls": ["https://example.com/layer"]}]
        assert client.push_manifest(name, "foreign", json.dumps(document).encode()).status == 201
