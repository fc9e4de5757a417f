"""Manifests: what is taken, what is refused, and that nothing but a refusal comes of any bytes."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openecr import manifest
from openecr.manifest import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    MANIFEST_TYPES,
    OCI_INDEX,
    OCI_MANIFEST,
    ManifestRefused,
    convert,
    parse,
    platform_member,
)
from openecr.names import Digest

DIGEST = str(Digest.of(b"x"))
CONFIG = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": DIGEST, "size": 1}
LAYER = {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": DIGEST, "size": 10}
IMAGE: dict[str, Any] = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": CONFIG, "layers": [LAYER]}
INDEX: dict[str, Any] = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}


def encoded(document: Any) -> bytes:
    return json.dumps(document).encode()


def is_refused(document: Any, content_type: str | None = None) -> bool:
    try:
        parse(encoded(document), content_type)
    except ManifestRefused:
        return True
    return False


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
_fields = st.sampled_from(
    ["schemaVersion", "mediaType", "config", "layers", "manifests", "subject", "artifactType", "annotations"]
)
_parts = st.sampled_from(["mediaType", "digest", "size", "platform", "urls", "data", "annotations"])
_values = _json | st.sampled_from(
    [*sorted(MANIFEST_TYPES), DIGEST, 2, -1, 2**63, "sha256:x", CONFIG, LAYER, [LAYER], []]
)


class TestAnyBytes:
    @given(st.binary(max_size=400), st.none() | st.sampled_from(sorted(MANIFEST_TYPES)) | st.text(max_size=20))
    def test_nothing_but_a_refusal_comes_of_any_bytes(self, content: bytes, content_type: str | None) -> None:
        with pytest.raises(ManifestRefused):
            parse(content, content_type)

    @given(st.dictionaries(_fields, _values), st.none() | st.sampled_from(sorted(MANIFEST_TYPES)))
    def test_nothing_but_a_refusal_or_a_manifest_comes_of_any_fields(
        self, changes: dict[str, Any], content_type: str | None
    ) -> None:
        for base in ({}, IMAGE, INDEX):
            try:
                content = json.dumps(base | changes, allow_nan=True).encode("utf-8", "surrogatepass")
                found = parse(content, content_type)
            except ManifestRefused:
                continue
            assert found.content == content
            assert found.media_type in MANIFEST_TYPES
            assert content_type in (None, found.media_type)
            assert found.is_index == (found.media_type in (OCI_INDEX, DOCKER_LIST))
            assert found.artifact_type is None or 0 < len(found.artifact_type) <= 255
            assert convert(content, found.media_type, frozenset()) is None
            convert(content, found.media_type, MANIFEST_TYPES)
            platform_member(found, "linux", "amd64")

    @given(st.dictionaries(_parts, _values))
    def test_nothing_but_a_refusal_or_a_manifest_comes_of_any_descriptor(self, changes: dict[str, Any]) -> None:
        for document in (IMAGE | {"layers": [LAYER | changes]}, INDEX | {"manifests": [CONFIG | changes]}):
            try:
                content = json.dumps(document).encode("utf-8", "surrogatepass")
                found = parse(content, None)
            except ManifestRefused:
                continue
            for item in (*found.layers, *found.members):
                assert 0 <= item.size_bytes < 2**63
                assert Digest.parse(str(item.digest)) == item.digest

    @given(st.data())
    def test_a_manifest_with_a_few_bytes_changed_is_refused_or_read(self, data: st.DataObject) -> None:
        content = bytearray(encoded(IMAGE))
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        with contextlib.suppress(ManifestRefused):
            assert parse(bytes(content), OCI_MANIFEST).content == bytes(content)


class TestTaken:
    def test_an_image_tells_what_it_needs(self) -> None:
        found = parse(encoded(IMAGE), OCI_MANIFEST)
        assert (found.is_index, [item.size_bytes for item in found.blobs]) == (False, [1, 10])

    def test_an_empty_artifact_type_is_none(self) -> None:
        assert parse(encoded(IMAGE | {"artifactType": "a/b"}), None).artifact_type == "a/b"
        assert parse(encoded(IMAGE | {"artifactType": ""}), None).artifact_type is None

    def test_the_content_type_decides_where_the_document_is_silent(self) -> None:
        silent = {key: value for key, value in IMAGE.items() if key != "mediaType"}
        assert parse(encoded(silent), DOCKER_MANIFEST).media_type == DOCKER_MANIFEST
        assert is_refused(silent, None)
        assert is_refused(silent, "text/plain")

    def test_foreign_layers_are_not_needed(self) -> None:
        foreign = LAYER | {"mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"}
        assert [item.size_bytes for item in parse(encoded(IMAGE | {"layers": [foreign]}), None).blobs] == [1]

    def test_ten_thousand_references_are_taken_and_one_more_is_not(self) -> None:
        assert not is_refused(IMAGE | {"layers": [LAYER] * 10_000})
        assert is_refused(IMAGE | {"layers": [LAYER] * 10_001})


class TestRefused:
    @pytest.mark.parametrize(
        "changes",
        [
            {"schemaVersion": 1},
            {"schemaVersion": "2"},
            {"schemaVersion": None},
            {"mediaType": 5},
            {"mediaType": OCI_INDEX},
            {"mediaType": OCI_MANIFEST + ";version=1"},
            {"manifests": []},
            {"layers": None},
            {"layers": {}},
            {"layers": [None]},
            {"layers": [LAYER | {"size": -1}]},
            {"layers": [LAYER | {"size": 2**63}]},
            {"layers": [LAYER | {"size": 1.0}]},
            {"layers": [LAYER | {"size": True}]},
            {"layers": [LAYER | {"size": "1"}]},
            {"layers": [LAYER | {"digest": "sha256:" + "A" * 64}]},
            {"layers": [LAYER | {"digest": "md5:" + "a" * 32}]},
            {"layers": [LAYER | {"mediaType": None}]},
            {"layers": [LAYER | {"mediaType": "a" * 256}]},
            {"config": None},
            {"config": []},
            {"subject": "x"},
            {"subject": []},
            {"artifactType": 1},
            {"artifactType": "a" * 256},
            {"annotations": []},
            {"annotations": {"a": 1}},
        ],
    )
    def test_a_field_that_is_not_what_it_must_be(self, changes: dict[str, Any]) -> None:
        assert not is_refused(IMAGE)
        assert is_refused(IMAGE | changes)

    @pytest.mark.parametrize("extra", [{"layers": []}, {"config": CONFIG}, {"layers": [], "config": CONFIG}])
    def test_an_index_with_an_images_fields(self, extra: dict[str, Any]) -> None:
        assert not is_refused(INDEX)
        assert is_refused(INDEX | extra)

    @pytest.mark.parametrize("content_type", sorted(MANIFEST_TYPES - {OCI_MANIFEST}))
    def test_a_media_type_that_contradicts_the_request(self, content_type: str) -> None:
        assert is_refused(IMAGE, content_type)

    def test_more_than_four_mebibytes(self) -> None:
        content = encoded(IMAGE)
        padding = manifest.MOST_BYTES - len(content)
        assert parse(content + b" " * padding, None)
        with pytest.raises(ManifestRefused):
            parse(content + b" " * (padding + 1), None)


class TestConversion:
    """Docker's schema 2 and OCI, one into the other, where a pull by tag takes only the other."""

    def test_there_and_back_is_the_same_image(self) -> None:
        made = convert(encoded(IMAGE), OCI_MANIFEST, frozenset((DOCKER_MANIFEST,)))
        assert made is not None
        content, media_type = made
        assert (media_type, json.loads(content)["mediaType"]) == (DOCKER_MANIFEST, DOCKER_MANIFEST)
        back = convert(content, DOCKER_MANIFEST, frozenset((OCI_MANIFEST,)))
        assert back is not None
        assert json.loads(back[0]) == IMAGE

    @pytest.mark.parametrize(
        "changes", [{"subject": LAYER}, {"artifactType": "a/b"}, {"layers": [LAYER | {"mediaType": "text/x"}]}]
    )
    def test_what_the_other_format_cannot_say_stays_as_it_is(self, changes: dict[str, Any]) -> None:
        assert convert(encoded(IMAGE | changes), OCI_MANIFEST, frozenset((DOCKER_MANIFEST,))) is None

    def test_an_index_is_never_converted(self) -> None:
        assert convert(encoded(INDEX), OCI_INDEX, frozenset((DOCKER_LIST,))) is None


@pytest.mark.parametrize("name", ["MANIFESTS", "Manifests", "mediatype", "LAYERS", "Subject"])
def test_a_field_spelled_in_another_case_is_refused_because_go_reads_it_as_the_field(name: str) -> None:
    assert is_refused(IMAGE | {name: []})
