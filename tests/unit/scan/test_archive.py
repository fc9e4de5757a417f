"""Entries of tar archives: as tarfile has them, and within bounds where an archive lies."""

import contextlib
import io
import tarfile
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.scan.archives import (
    BLOCK,
    END,
    header,
    in_pieces,
    member,
    octal,
    padded,
    pax,
    record,
    special,
    tar,
)

from openecr.scan.archive import Archive, Kind
from openecr.scan.decompression import UnreadableLayer
from openecr.scan.limits import LIMITS, LimitExceeded, Limits

KINDS = {
    tarfile.REGTYPE: Kind.FILE,
    tarfile.AREGTYPE: Kind.FILE,
    tarfile.DIRTYPE: Kind.DIRECTORY,
    tarfile.LNKTYPE: Kind.HARD_LINK,
    tarfile.SYMTYPE: Kind.SYMBOLIC_LINK,
    tarfile.FIFOTYPE: Kind.OTHER,
    tarfile.CHRTYPE: Kind.OTHER,
    tarfile.BLKTYPE: Kind.OTHER,
}
Seen = list[tuple[str, Kind, bytes]]


def entries(data: bytes, limits: Limits = LIMITS, piece_bytes: int = 1000) -> Seen:
    archive = Archive(in_pieces(data, piece_bytes), limits)
    return [(entry.path, entry.kind, b"".join(archive.content())) for entry in archive.entries()]


def by_tarfile(data: bytes) -> Seen:
    found = []
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for info in archive:
            content = archive.extractfile(info) if info.isreg() else None
            path = "/".join(part for part in info.name.split("/") if part not in ("", "."))
            found.append((path, KINDS[info.type], content.read() if content else b""))
    return found


NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=60)
PATHS = st.lists(NAMES.filter(lambda name: name not in ("..", ".")), min_size=1, max_size=8).map("/".join)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(PATHS, st.sampled_from(sorted(KINDS)), st.binary(max_size=1500)), max_size=8),
    st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    st.integers(min_value=1, max_value=3000),
)
def test_entries_are_those_of_tarfile(members: list[tuple[str, bytes, bytes]], form: int, piece_bytes: int) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for path, kind, content in members:
            if form == tarfile.GNU_FORMAT and kind == tarfile.AREGTYPE and path.encode()[:100].endswith(b"/"):
                kind = tarfile.REGTYPE  # tarfile takes it for a directory (CVE-2025-13462)
            info, _ = special(path, kind, path if kind in (tarfile.LNKTYPE, tarfile.SYMTYPE) else "")
            info.size = len(content) if info.isreg() else 0
            try:
                archive.addfile(info, io.BytesIO(content))
            except ValueError:
                continue  # ustar has no room for it
    assert entries(out.getvalue(), piece_bytes=piece_bytes) == by_tarfile(out.getvalue())


def test_a_long_name_whose_beginning_ends_in_a_slash_is_no_directory() -> None:
    out = io.BytesIO()
    path = f"{'d' * 99}/file"
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        archive.addfile(special(path, tarfile.AREGTYPE)[0])
    assert entries(out.getvalue()) == [(path, Kind.FILE, b"")]


@settings(max_examples=300, deadline=None)
@given(st.binary(min_size=1, max_size=64), st.integers(min_value=0, max_value=4000), st.booleans())
def test_damage_is_an_error_of_ours_or_no_error(damage: bytes, at: int, repair: bool) -> None:
    data = bytearray(tar(*(member(f"d{number}/{'n' * 90}/{'m' * 90}", b"x" * 600) for number in range(3))))
    data[at : at + len(damage)] = damage
    if repair:
        block_at = at // BLOCK * BLOCK
        block = data[block_at : block_at + BLOCK]
        block[148:156] = b" " * 8
        data[block_at + 148 : block_at + 156] = b"%06o\0 " % sum(block)
    with contextlib.suppress(UnreadableLayer, LimitExceeded):
        entries(bytes(data))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=5000))
def test_any_bytes_are_an_error_of_ours_or_no_error(data: bytes) -> None:
    with contextlib.suppress(UnreadableLayer, LimitExceeded):
        entries(data)


def test_an_archive_may_end_without_its_zeros() -> None:
    assert entries(header(b"a")) == [("a", Kind.FILE, b"")]


def test_the_stream_is_read_to_its_end() -> None:
    archive = Archive(in_pieces(header(b"a") + END + bytes(5000)), LIMITS)
    assert len(list(archive.entries())) == 1
    assert archive.size_bytes == 3 * BLOCK + 5000


@pytest.mark.parametrize(
    ("path", "normal"),
    [
        ("./a/b", "a/b"),
        ("/etc//passwd", "etc/passwd"),
        ("a/./b", "a/b"),
        ("a/b/", "a/b"),
        ("a/..b/c", "a/..b/c"),
        ("./", ""),
        ("a\\..\\b", "a\\..\\b"),
        ("a/.hidden", "a/.hidden"),
    ],
)
def test_paths_are_normalised(path: str, normal: str) -> None:
    assert entries(header(path.encode()) + END)[0][0] == normal


@pytest.mark.parametrize("path", ["../etc/os-release", "a/../../etc/os-release", "..", "a/..", "/../etc/os-release"])
def test_paths_that_lead_out_are_refused(path: str) -> None:
    assert entries(header(path.encode()) + END) == [(path, Kind.REFUSED, b"")]


def test_a_path_with_a_nul_is_refused() -> None:
    data = pax(record("path", "etc/os-release\0.txt")) + header(b"x") + END
    assert entries(data)[0][1] is Kind.REFUSED


def test_bytes_that_are_no_text_make_no_surrogates() -> None:
    assert entries(header(b"caf\xe9") + END)[0][0] == "caf\\xe9"


def test_paxs_size_and_path_beat_the_headers() -> None:
    content = b"y" * 700
    data = pax(record("path", "real/name") + record("size", "700")) + header(b"other") + padded(content) + END
    assert entries(data) == [("real/name", Kind.FILE, content)]


def test_gnus_long_name_beats_paxs_as_it_does_where_layers_are_unpacked() -> None:
    long = header(b"././@LongLink", b"L", octal(5)) + padded(b"gnus\0")
    assert entries(long + pax(record("path", "paxs")) + header(b"other") + END)[0][0] == "gnus"


def test_global_headers_name_no_file() -> None:
    assert entries(pax(record("path", "elsewhere"), b"g") + header(b"here") + END)[0][0] == "here"


def test_sizes_in_base_256() -> None:
    size = b"\x80" + (3).to_bytes(11, "big")
    assert entries(header(b"a", b"0", size) + padded(b"abc") + END) == [("a", Kind.FILE, b"abc")]


def test_links_and_devices_have_no_content_whatever_they_state() -> None:
    for kind in b"123456":
        found = entries(header(b"a", bytes([kind]), octal(512)) + header(b"b") + END)
        assert [path for path, _, _ in found] == ["a", "b"]


def test_sparse_files_are_skipped() -> None:
    block = bytearray(header(b"s", b"S", octal(600)))
    block[482] = 1
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    extension = bytes(BLOCK)
    found = entries(bytes(block) + extension + padded(b"z" * 600) + header(b"b") + END)
    assert [(path, kind) for path, kind, _ in found] == [("s", Kind.SPARSE), ("b", Kind.FILE)]
    records = record("GNU.sparse.major", "1") + record("GNU.sparse.name", "real")
    found = entries(pax(records) + header(b"x", b"0", octal(600)) + padded(b"z" * 600) + END)
    assert [(path, kind) for path, kind, _ in found] == [("real", Kind.SPARSE)]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not a tar"),
        (b"x" * 511, "not a tar"),
        (b"x" * 600, "not a tar"),
        (header(b"a") + b"x" * 512, "wrong check sum"),
        (header(b"a") + b"x" * 100, "ends within a header"),
        (header(b"a", b"0", octal(1000)) + bytes(700), "ends within a file"),
        (header(b"a", b"0", b"\xff" * 12), "negative size"),
        (header(b"a", b"0", b"00000000-1\0 "), "no number"),
        (header(b"a", b"0", b"0x1f\0\0\0\0\0\0\0\0"), "no number"),
        (pax(b"99 path=a\n") + header(b"a"), "malformed"),
        (pax(b"0 path=a\n") + header(b"a"), "malformed"),
        (pax(b"-1 path=a\n") + header(b"a"), "malformed"),
        (pax(b"9 path=ab\n") + header(b"a"), "malformed"),
        (pax(b"7 path\n") + header(b"a"), "malformed"),
        (pax(record("size", "-1")) + header(b"a"), "no number"),
        (pax(record("size", "9" * 5000)) + header(b"a"), "no number"),
        (pax(record("size", "²")) + header(b"a"), "no number"),
        (header(b"x", b"x", octal(2000)) + bytes(512), "ends within a header"),
    ],
)
def test_lies_make_an_archive_unreadable(data: bytes, words: str) -> None:
    with pytest.raises(UnreadableLayer, match=words):
        entries(data)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (header(b"a", b"0", b"\x80" + b"\xff" * 11), "larger than"),
        (header(b"a", b"0", b"\xbf" + b"\xff" * 11), "larger than"),
        (pax(record("size", "9" * 20)) + header(b"a"), "larger than"),
        (header(b"L", b"L", octal((1 << 20) + 1)), "header of the archive is larger"),
        (header(b"x", b"x", octal((1 << 20) + 1)), "header of the archive is larger"),
        (pax(record("path", "a" * 4097)) + header(b"a"), "path is longer"),
        (pax(record("path", "a/" * 300 + "b")) + header(b"a"), "directories deep"),
    ],
)
def test_limits_hold(data: bytes, words: str) -> None:
    with pytest.raises(LimitExceeded, match=words):
        entries(data)


class _Counted:
    def __init__(self, block: bytes, times: int) -> None:
        self.made = 0
        self._block, self._times = block, times

    def __iter__(self) -> Iterator[bytes]:
        for _ in range(self._times):
            self.made += 1
            yield self._block


@pytest.mark.parametrize(
    "block",
    [header(b"node_modules/a/package.json") * 1000, pax(record("a", "b"), b"g") * 500],
    ids=["files", "global headers"],
)
def test_ten_million_entries_end_at_the_limit(block: bytes) -> None:
    pieces = _Counted(block, 10_000)
    with pytest.raises(LimitExceeded, match="more than 20000 entries"):
        for _ in Archive(pieces, Limits(entries=20_000)).entries():
            pass
    assert pieces.made <= 45


def test_an_endless_sparse_map_ends() -> None:
    block = bytearray(header(b"s", b"S"))
    block[482] = 1
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    pieces = _Counted(b"\1" * BLOCK * 100, 10_000)

    def archive() -> Iterator[bytes]:
        yield bytes(block)
        yield from pieces

    with pytest.raises(LimitExceeded, match="entries"):
        list(Archive(archive(), Limits(entries=1000)).entries())
    assert pieces.made <= 11


def test_a_long_file_is_not_kept() -> None:
    """Content that nobody asks for is let go piece by piece: a layer may be larger than memory."""
    size_bytes = 1 << 31
    zeros = bytes(1 << 20)

    def archive() -> Iterator[bytes]:
        yield header(b"large", b"0", octal(size_bytes))
        for _ in range(size_bytes >> 20):
            yield zeros
        yield header(b"after") + END

    assert [entry.path for entry in Archive(archive(), LIMITS).entries()] == ["large", "after"]
