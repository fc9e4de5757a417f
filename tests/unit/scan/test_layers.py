"""A layer's inventory: what testifies, what is hidden, and what one bad file costs."""

import tarfile
from collections.abc import Iterator
from typing import Any

import pytest
from tests.unit.scan.archives import END, files, header, in_pieces, member, octal, padded, special, tar

from openecr.scan.cataloger import Cataloger, WantedFile
from openecr.scan.catalogers import CATALOGERS
from openecr.scan.decompression import UnreadableLayer
from openecr.scan.dispatch import Dispatch
from openecr.scan.layers import index_layer
from openecr.scan.limits import LIMITS, LimitExceeded, Limits
from openecr.scan.packages import FileFacts, LayerInventory, Package, Unread

ELF = b"\x7fELF" + bytes(60)


def lines(file: WantedFile) -> FileFacts:
    """A package a line."""
    names = file.text().decode("utf-8", "surrogateescape").split()
    return FileFacts(tuple(Package("test", name, "1", "lines") for name in names))


def elf(file: WantedFile) -> FileFacts:
    return FileFacts((Package("test", f"elf-{file.size_bytes}", "1", "elf"),))


def fails(file: WantedFile) -> FileFacts:
    kind: type[Exception] = {b"R": RecursionError, b"M": MemoryError, b"K": KeyError}.get(
        file.content.read(1), ValueError
    )
    raise kind("of a parser")


LINES = Cataloger(
    "lines",
    1,
    lines,
    paths=("etc/lines",),
    names=("lines.lock",),
    suffixes=(".d/LINES", ".lines"),
    directories=("var/lines.d", "var/ends/*.end"),
    folders=("line-meta",),
)
ELVES = Cataloger("elf", 1, elf, magic=(b"\x7fELF", b"MZ"))
FAILS = Cataloger("fails", 1, fails, names=("bad", "lines.lock"))
ALL = (LINES, ELVES)


def index(data: bytes, *catalogers: Cataloger, limits: Limits = LIMITS) -> LayerInventory:
    return index_layer(in_pieces(data), limits, catalogers or ALL)


def named(inventory: LayerInventory) -> dict[str, list[str]]:
    return {path: [package.name for package in facts.packages] for path, facts in inventory.files.items()}


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("etc/lines", True),
        ("a/etc/lines", False),
        ("lines.lock", True),
        ("a/b/lines.lock", True),
        ("a/lines.lock/x", False),
        ("x.D/lines", True),
        ("a/x.d/LINES", True),
        (".lines", True),
        ("a/B.LINES", True),
        ("a/lines", False),
        ("var/lines.d/any thing", True),
        ("var/lines.d/deep/er", False),
        ("var/ends/a.end", True),
        ("var/ends/a.list", False),
        ("a/line-meta/x", True),
        ("line-meta/x", True),
        ("line-meta/x/y", False),
        ("line-meta", False),
    ],
)
def test_paths_that_are_wanted(path: str, wanted: bool) -> None:
    assert Dispatch(ALL).by_path(path) == ((LINES,) if wanted else ())


def test_every_cataloger_is_found_by_each_of_its_own_tests() -> None:
    dispatch = Dispatch(CATALOGERS)
    for cataloger in CATALOGERS:
        for path in (*cataloger.paths, *cataloger.names, *(f"a/b{suffix}" for suffix in cataloger.suffixes)):
            assert cataloger in dispatch.by_path(path)
        for folder in (*cataloger.directories, *cataloger.folders):
            assert cataloger in dispatch.by_path(folder.replace("*", "a") if "*" in folder else f"{folder}/a")
        for magic in cataloger.magic:
            assert cataloger in dispatch.by_magic(magic + bytes(8))


def test_only_what_testifies_is_kept() -> None:
    inventory = index(
        files({"etc/lines": "a b", "bin/elf": ELF, "other.txt": "x", "lines.lock": "", "bin/short": b"\x7fE"})
    )
    assert named(inventory) == {"etc/lines": ["a", "b"], "bin/elf": ["elf-64"], "lines.lock": []}
    assert inventory.size_bytes == len(
        files({"etc/lines": "a b", "bin/elf": ELF, "other.txt": "x", "lines.lock": "", "bin/short": b"\x7fE"})
    )
    assert inventory.warnings == ()


def test_whiteouts() -> None:
    inventory = index(
        files(
            {
                "a/.wh.gone": "",
                ".wh.top": "",
                "b/.wh..wh..opq": "",
                ".wh..wh..opq": "",
                ".wh..wh.plnk/1": "",
                "a/.wh..wh.aufs": "",
                "a/.wh.": "",
            }
        )
    )
    assert inventory.whiteouts == ("a/gone", "top")
    assert inventory.opaque == ("b", "")
    assert inventory.replaced == ()


def test_what_may_stand_in_a_directorys_or_a_binarys_place() -> None:
    data = tar(
        special("link", tarfile.SYMTYPE, "/elsewhere"),
        special("etc/lines", tarfile.SYMTYPE, "../usr/lib/lines"),
        special("dev/null", tarfile.CHRTYPE),
        member("bin/script", b"#!/bin/sh", mode=0o755),
        member("README", b"x"),
        member("text.txt", b"x"),
        special("directory", tarfile.DIRTYPE),
    )
    inventory = index(data)
    assert inventory.replaced == ("link", "dev/null", "bin/script", "README")
    assert named(inventory) == {"etc/lines": []}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
def test_devices_and_links_named_like_wanted_files_are_not_read(kind: bytes) -> None:
    assert not any(facts.packages for facts in index(tar(special("etc/lines", kind, "etc/lines"))).files.values())


def test_hard_links_have_the_content_of_their_file() -> None:
    data = tar(
        member("a/lines.lock", b"x"),
        special("b/lines.lock", tarfile.LNKTYPE, "./a/lines.lock"),
        member("bin/elf", ELF),
        special("sbin/other", tarfile.LNKTYPE, "bin/elf"),
        special("c/x.txt", tarfile.LNKTYPE, "a/lines.lock"),
    )
    inventory = index(data)
    assert named(inventory) == {
        "a/lines.lock": ["x"],
        "b/lines.lock": ["x"],
        "bin/elf": ["elf-64"],
        "sbin/other": ["elf-64"],
    }
    assert inventory.warnings == ()


@pytest.mark.parametrize("link", ["etc/lines", "b/lines.lock", "nowhere", "../../etc/lines", "store/00"])
def test_hard_links_to_themselves_forward_and_nowhere_are_told(link: str) -> None:
    data = tar(member("store/00", b"x"), special("etc/lines", tarfile.LNKTYPE, link), member("b/lines.lock", b"x"))
    inventory = index(data)
    assert inventory.files["etc/lines"] == FileFacts()
    assert [warning.path for warning in inventory.warnings] == ["etc/lines"]


def test_a_file_that_comes_twice_is_the_last_one() -> None:
    assert named(index(tar(member("etc/lines", b"old"), member("etc/lines", b"new")))) == {"etc/lines": ["new"]}
    assert named(index(tar(member("etc/lines", b"old"), special("etc/lines", tarfile.DIRTYPE)))) == {}


@pytest.mark.parametrize("content", [b"R", b"M", b"K", b"V"])
def test_a_cataloger_that_raises_costs_one_warning(content: bytes) -> None:
    inventory = index(files({"bad": content, "etc/lines": "a"}), LINES, FAILS)
    assert [warning.path for warning in inventory.warnings] == ["bad"]
    assert inventory.warnings[0].reason.startswith("fails: ")
    assert named(inventory) == {"bad": [], "etc/lines": ["a"]}


def test_the_facts_of_other_catalogers_of_the_file_stay() -> None:
    inventory = index(files({"lines.lock": "a"}), FAILS, LINES)
    assert named(inventory) == {"lines.lock": ["a"]}
    assert len(inventory.warnings) == 1


def test_a_cataloger_that_reads_to_the_end_leaves_the_next_ones_beginning() -> None:
    again = Cataloger("again", 1, lines, names=("lines.lock",))
    assert named(index(files({"lines.lock": "a"}), LINES, again)) == {"lines.lock": ["a", "a"]}


def test_large_files_are_on_the_disk_without_a_name(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def sized(file: WantedFile) -> FileFacts:
        seen.append((len(file.content.read()), file.size_bytes, hasattr(file.content, "getbuffer")))
        return FileFacts()

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    index(files({"a.lines": bytes(9 << 20)}), Cataloger("sized", 1, sized, suffixes=(".lines",)))
    assert seen == [(9 << 20, 9 << 20, False)]
    assert list(tmp_path.iterdir()) == []


def test_files_larger_than_any_is_read_are_told() -> None:
    inventory = index(files({"etc/lines": b"a" * 101, "b.lines": "b"}), limits=Limits(file_bytes=100))
    assert inventory.warnings == (Unread("etc/lines", "larger than 100 bytes"),)
    assert named(inventory) == {"etc/lines": [], "b.lines": ["b"]}


def test_sparse_files_are_told_and_not_read() -> None:
    data = header(b"etc/lines", b"S", octal(3)) + padded(b"a b") + END
    inventory = index(data)
    assert inventory.warnings == (Unread("etc/lines", "sparse files are not read"),)
    assert named(inventory) == {"etc/lines": []}


@pytest.mark.parametrize("path", ["../etc/lines", "a/../etc/lines", "/../etc/lines"])
def test_paths_that_lead_out_are_told(path: str) -> None:
    inventory = index(header(path.encode(), b"0", octal(1)) + padded(b"a") + END)
    assert inventory.files == {}
    assert inventory.warnings == (Unread(path, "its path leads out of the image"),)


def test_texts_that_no_database_takes_are_made_plain() -> None:
    inventory = index(files({"etc/lines": b"caf\xe9 nul\0l"}))
    assert named(inventory) == {"etc/lines": ["caf\\udce9", "nul\\0l"]}


def test_packages_that_cannot_be_are_left_out_and_told() -> None:
    inventory = index(files({"etc/lines": "a " + "b" * 2000}))
    assert named(inventory) == {"etc/lines": ["a"]}
    assert inventory.warnings == (Unread("etc/lines", "lines: the name of a package has 2000 characters"),)


def test_warnings_are_counted_when_they_are_many() -> None:
    inventory = index(tar(*(member(f"{number}/bad", b"V") for number in range(1005))), FAILS)
    assert len(inventory.warnings) == 1001
    assert inventory.warnings[-1] == Unread("", "5 more files could not be read")


@pytest.mark.parametrize(
    ("contents", "limits", "words"),
    [
        ({"etc/lines": "a b c"}, Limits(packages=2), "more than 2 packages"),
        ({f"{number}.lines": "" for number in range(20)}, Limits(inventory_bytes=2000), "inventory is larger"),
        ({f"bin/{number}": "" for number in range(20)}, Limits(inventory_bytes=2000), "inventory is larger"),
        ({f"a/.wh.{number}": "" for number in range(20)}, Limits(inventory_bytes=2000), "inventory is larger"),
        ({f"{number}/.wh..wh..opq": "" for number in range(20)}, Limits(inventory_bytes=2000), "inventory is larger"),
        ({"etc/lines": "a " * 50}, Limits(inventory_bytes=5000), "inventory is larger"),
        ({"a": "", "b": "", "c": ""}, Limits(entries=2), "entries"),
    ],
)
def test_crowded_layers_end_at_their_limits(contents: dict[str, bytes | str], limits: Limits, words: str) -> None:
    with pytest.raises(LimitExceeded, match=words):
        index(files(contents), limits=limits)


def test_a_file_that_is_cut_is_no_warning_but_an_unreadable_layer() -> None:
    data = files({"etc/lines": "a" * 2000})
    with pytest.raises(UnreadableLayer, match="within a file"):
        index(data[:1500])


def test_a_layer_of_nothing_is_empty() -> None:
    assert index(END) == LayerInventory(size_bytes=1024)


def test_only_the_first_bytes_of_unwanted_files_are_looked_at() -> None:
    """A layer may be of large files only: none is brought together in memory."""
    taken = 0

    def layer() -> Iterator[bytes]:
        nonlocal taken
        yield header(b"model.bin", b"0", octal(1 << 30))
        for _ in range(1 << 10):
            taken += 1
            yield bytes(1 << 20)
        yield END

    assert index_layer(layer(), Limits(ratio=10**9), ALL).files == {}
    assert taken == 1 << 10
