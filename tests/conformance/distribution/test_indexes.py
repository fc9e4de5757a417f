"""Indexes, also of indexes, and those with gaps."""

import json

from tests.places import ON_EVERY_PLACE
from tests.registry_client import (
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    RegistryClient,
    descriptor,
    digest_of,
    image_index,
    image_manifest,
)

pytestmark = ON_EVERY_PLACE


class TestIndexes:
    def test_an_index_and_a_nested_index_are_kept_with_their_members(self, client: RegistryClient, name: str) -> None:
        config = b"{}"
        client.push_blob(name, config)
        images = [image_manifest(config, annotations={"number": str(number)}) for number in range(3)]
        for image in images:
            assert client.push_manifest(name, digest_of(image), image).status == 201
        inner = image_index(*images[:2])
        assert client.push_manifest(name, digest_of(inner), inner, OCI_INDEX).status == 201
        outer = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": OCI_INDEX,
                "manifests": [descriptor(inner, OCI_INDEX), descriptor(images[2], OCI_MANIFEST)],
            }
        ).encode()
        assert client.push_manifest(name, "nested", outer, OCI_INDEX).status == 201
        got = client.request("GET", f"/v2/{name}/manifests/nested", Accept=OCI_INDEX)
        assert (got.body, got.headers["content-type"]) == (outer, OCI_INDEX)

    def test_an_index_may_be_empty(self, client: RegistryClient, name: str) -> None:
        assert client.push_manifest(name, "empty", image_index(), OCI_INDEX).status == 201

    def test_members_of_an_index_may_be_blobs(self, client: RegistryClient, name: str) -> None:
        """BuildKit's cache: an index whose members are layers and a config, and no image."""
        layer, config = b"cached layer", b'{"cache": true}'
        client.push_blob(name, layer)
        client.push_blob(name, config)
        cache = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": OCI_INDEX,
                "manifests": [
                    descriptor(layer, OCI_LAYER),
                    descriptor(config, "application/vnd.buildkit.cacheconfig.v0"),
                ],
            }
        ).encode()
        assert client.push_manifest(name, "cache", cache, OCI_INDEX).status == 201
        assert client.pull_blob(name, digest_of(layer)).body == layer

    def test_an_index_that_names_what_is_not_there_is_refused_with_all_of_it(
        self, client: RegistryClient, name: str
    ) -> None:
        index = image_index(b"absent one", b"absent two")
        status, code, message = client.push_manifest(name, "sparse", index, OCI_INDEX).error
        assert (status, code) == (404, "MANIFEST_BLOB_UNKNOWN")
        assert digest_of(b"absent one") in message
        assert digest_of(b"absent two") in message

    def test_a_registry_of_sparse_manifests_takes_an_index_with_gaps(
        self, client: RegistryClient, name: str, sparse: None
    ) -> None:
        client.push_blob(name, b"{}")
        later = image_manifest(b"{}", annotations={"pushed": "later"})
        index = image_index(later)
        assert client.push_manifest(name, "sparse", index, OCI_INDEX).status == 201
        assert client.request("GET", f"/v2/{name}/manifests/sparse").body == index
        assert client.request("GET", f"/v2/{name}/manifests/{digest_of(later)}").status == 404
        assert client.push_manifest(name, digest_of(later), later).status == 201
        refused = client.request("DELETE", f"/v2/{name}/manifests/{digest_of(later)}")
        assert refused.status == 405, "the gap is filled: the member is held by its index"

    def test_a_registry_of_sparse_manifests_takes_an_image_with_gaps(
        self, client: RegistryClient, name: str, sparse: None
    ) -> None:
        manifest = image_manifest(b'{"config": "later"}', b"layer that comes later")
        assert client.push_manifest(name, "sparse", manifest).status == 201
        assert client.request("HEAD", f"/v2/{name}/blobs/{digest_of(b'layer that comes later')}").status == 404
        client.push_blob(name, b"layer that comes later")
        assert client.pull_blob(name, digest_of(b"layer that comes later")).body == b"layer that comes later"
