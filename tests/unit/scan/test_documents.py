"""Documents of images: what is read, and that hostile ones cost no more than their bytes."""

import time
from typing import Any

import pytest

from openecr.scan.documents import (
    DocumentRefused,
    json_document,
    toml_document,
    xml_root,
    yaml_document,
    yaml_documents,
)

_DEEP = 100_000


class TestJson:
    @pytest.mark.parametrize(
        ("content", "document"),
        [
            (b'{"a": [1, 2]}', {"a": [1, 2]}),
            (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        ],
    )
    def test_a_document_is_read(self, content: bytes, document: Any) -> None:
        assert json_document(content) == document

    @pytest.mark.parametrize(
        ("content", "document"),
        [
            (b'{"a": [1, 2, ], "b": {"c": 1,\n} ,\n}', {"a": [1, 2], "b": {"c": 1}}),
            (b'{"a": "x,]", // no\n "b": /* ,} */ "c\\",}", }', {"a": "x,]", "b": 'c",}'}),
            (b'{"a": "\\\\", }', {"a": "\\"}),
            (b"[1, /* kept open */ ]", [1]),
        ],
    )
    def test_a_lenient_one_may_have_commas_and_comments(self, content: bytes, document: Any) -> None:
        assert json_document(content, lenient=True) == document

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"{",
            b"[1,]",
            b'"\xff"',
            b"[" * _DEEP,
            b"[" * _DEEP + b"]" * _DEEP,
            b"[" + b"[]," * 3_000_000 + b"[]]",
            b'{"a": ' * 2000 + b"1" + b"}" * 2000,
        ],
        ids=["empty", "open", "comma", "no UTF-8", "deep", "deep and closed", "crowded", "deep mappings"],
    )
    def test_what_is_none_is_refused(self, content: bytes) -> None:
        with pytest.raises(DocumentRefused):
            json_document(content)

    def test_an_unclosed_text_ends_a_lenient_document(self) -> None:
        with pytest.raises(DocumentRefused):
            json_document(b'{"a": "\\', lenient=True)


class TestYaml:
    def test_versions_stay_texts(self) -> None:
        assert yaml_document(b"a: 1.10\nb: [true, 0x1f, 2020-01-01, ~]\n'c': {d: e}\n") == {
            "a": "1.10",
            "b": ["true", "0x1f", "2020-01-01", "~"],
            "c": {"d": "e"},
        }

    def test_every_document_is_read(self) -> None:
        assert yaml_documents(b"a: 1\n---\n- b\n") == [{"a": "1"}, ["b"]]
        assert yaml_document(b"") is None

    def test_aliases_multiply_nothing(self) -> None:
        laughs = b"a: &a [x, x, x]\n" + b"".join(
            b"%c: &%c [*%c, *%c, *%c]\n" % (name, name, name - 1, name - 1, name - 1) for name in range(0x62, 0x7B)
        )
        assert yaml_document(laughs)["z"] == ["", "", ""]

    def test_keys_that_are_no_texts_do_no_harm(self) -> None:
        assert yaml_document(b"? [a, b]\n: c\nd: e\n")["d"] == "e"

    def test_no_object_is_made(self) -> None:
        assert yaml_document(b"a: !!python/object/apply:os.system [x]\n") == {"a": ["x"]}

    @pytest.mark.parametrize(
        "content",
        [
            b"[" * _DEEP,
            b"[" * 1000 + b"]" * 1000,
            b"- " * _DEEP,
            b"a: [",
            b"\xff\xfe",
            b"x: " + b"a" * (9 << 20),
            b"- a\n" * 1_100_000,
        ],
        ids=["deep", "deep and closed", "deep blocks", "open", "no UTF-8", "long", "crowded"],
    )
    def test_what_is_hostile_is_refused(self, content: bytes) -> None:
        began = time.monotonic()
        with pytest.raises(DocumentRefused):
            yaml_document(content)
        assert time.monotonic() - began < 30


class TestToml:
    def test_a_document_is_read(self) -> None:
        assert toml_document(b'\xef\xbb\xbf[[package]]\nname = "a"\n') == {"package": [{"name": "a"}]}

    @pytest.mark.parametrize(
        "content",
        [
            b"a = " + b"[" * _DEEP,
            b"a" + b".a" * 200_000 + b" = 1",
            b"a = " + b"9" * 10_000,
            b"a = " + b"[" + b"[]," * 600_000 + b"]",
            b"a =",
            b"\xff",
            b"#" * (9 << 20),
        ],
        ids=["deep", "dotted", "a long number", "crowded", "open", "no UTF-8", "long"],
    )
    def test_what_is_hostile_is_refused(self, content: bytes) -> None:
        began = time.monotonic()
        with pytest.raises(DocumentRefused):
            toml_document(content)
        assert time.monotonic() - began < 30


class TestXml:
    def test_an_element_is_read(self) -> None:
        root = xml_root('<?xml version="1.0" encoding="utf-16"?><a><b>é</b></a>'.encode("utf-16"))
        assert [child.text for child in root] == ["é"]

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"<a>",
            b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
            b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
            b"<a>&b;</a>",
            b'<?xml version="1.0" encoding="no-such"?><a/>',
            b"<a>" + b"<b/>" * 2_100_000 + b"</a>",
        ],
        ids=["empty", "open", "entities", "outside", "undefined", "encoding", "crowded"],
    )
    def test_what_is_hostile_is_refused(self, content: bytes) -> None:
        with pytest.raises(DocumentRefused):
            xml_root(content)

    def test_depth_alone_does_no_harm(self) -> None:
        assert len(xml_root(b"<a>" * 200_000 + b"</a>" * 200_000)) == 1
