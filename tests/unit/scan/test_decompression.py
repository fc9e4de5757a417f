"""A compressed layer's bytes: every form, every way to end early, and no more than is allowed."""

import gzip
import random
from collections.abc import Callable, Iterator
from itertools import islice

import pytest
import zstandard
from tests.unit.scan.archives import gzipped, in_pieces

from openecr.scan.decompression import UnreadableLayer, decompressed
from openecr.scan.limits import LIMITS, LimitExceeded, Limits

CONTENT = random.Random(1).randbytes(300_000) + bytes(300_000)
ZSTD = zstandard.compress(CONTENT)
SKIPPABLE = b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"aside"
CHECKED = zstandard.ZstdCompressor(write_checksum=True).compress(CONTENT)
STREAMED = b"".join(zstandard.ZstdCompressor().read_to_iter(CONTENT))


def read(data: bytes, limits: Limits = LIMITS) -> bytes:
    return b"".join(decompressed(in_pieces(data), limits))


@pytest.mark.parametrize(
    "data",
    [
        CONTENT,
        gzip.compress(CONTENT),
        gzipped([CONTENT[at : at + 777] for at in range(0, len(CONTENT), 777)]),
        gzip.compress(CONTENT) + bytes(10_000),
        gzipped([CONTENT[:1], b"", CONTENT[1:]]),
        ZSTD,
        STREAMED,
        SKIPPABLE + ZSTD + SKIPPABLE,
        zstandard.compress(CONTENT[:5000]) + zstandard.compress(CONTENT[5000:]),
    ],
    ids=["plain", "gzip", "members", "padding", "empty-member", "zstd", "streamed", "skippable", "frames"],
)
def test_every_form_is_told_by_its_first_bytes(data: bytes) -> None:
    assert read(data) == CONTENT


@pytest.mark.parametrize("size_bytes", [1, 7, 1000])
def test_pieces_may_be_of_any_size(size_bytes: int) -> None:
    small = gzip.compress(CONTENT[:4000]) + bytes(600)
    assert b"".join(decompressed(in_pieces(small, size_bytes), LIMITS)) == CONTENT[:4000]
    assert b"".join(decompressed([b"", *in_pieces(ZSTD, size_bytes), b""], LIMITS)) == CONTENT


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (gzip.compress(CONTENT)[:-1], "gzip stream ends early"),
        (gzip.compress(CONTENT)[:5000], "gzip stream ends early"),
        (gzip.compress(CONTENT)[:3], "gzip stream ends early"),
        (gzip.compress(CONTENT) + b"rubbish", "no gzip member follows"),
        (ZSTD[:-1], "zstd"),
        (ZSTD[: len(ZSTD) // 2], "zstd"),
        (STREAMED[:-2], "zstd"),
        (ZSTD + b"rubbish", "zstd"),
        (CHECKED[:200] + b"\xff" * 64 + CHECKED[264:], "zstd"),
    ],
)
def test_what_ends_early_or_is_corrupt_is_unreadable(data: bytes, words: str) -> None:
    with pytest.raises(UnreadableLayer, match=words):
        read(data)


def test_every_cut_of_a_zstd_stream_is_noticed() -> None:
    raw = CONTENT[:300] + b"abc" * 1000
    for checksum in (False, True):
        data = b"".join(zstandard.ZstdCompressor(write_checksum=checksum).read_to_iter(raw))
        assert read(data) == raw
        for length in range(4, len(data)):
            with pytest.raises(UnreadableLayer):
                read(data[:length])


def test_a_wrong_check_sum_is_noticed() -> None:
    data = bytearray(gzip.compress(CONTENT))
    data[-8] ^= 1
    with pytest.raises(UnreadableLayer, match="corrupt"):
        read(bytes(data))


def _bomb(compressor: Callable[[bytes], bytes]) -> bytes:
    return b"".join(compressor(bytes(32 << 20)) for _ in range(4))


@pytest.mark.parametrize("compressor", [lambda raw: gzip.compress(raw, 9), zstandard.compress], ids=["gzip", "zstd"])
def test_bombs_end_at_the_ratio(compressor: Callable[[bytes], bytes]) -> None:
    limits = Limits(ratio=500, ratio_from_bytes=8 << 20)
    with pytest.raises(LimitExceeded, match="500 times"):
        for _ in decompressed([_bomb(compressor)], limits):
            pass


def test_bombs_end_at_the_size() -> None:
    out_bytes = 0
    pieces = decompressed([_bomb(zstandard.compress)], Limits(layer_bytes=1_000_000))
    for piece in islice(pieces, 3):
        out_bytes += len(piece)
    assert out_bytes <= 1_000_000
    with pytest.raises(LimitExceeded, match="larger than 1000000 bytes"):
        next(pieces)


def test_an_endless_row_of_empty_members_ends() -> None:
    empty = gzip.compress(b"")

    def endless() -> Iterator[bytes]:
        while True:
            yield empty * 100

    with pytest.raises(LimitExceeded, match="1000 gzip members"):
        list(decompressed(endless(), Limits(entries=1000)))


def test_a_zstd_window_larger_than_any_layers_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=28)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    data = compressor.compress(bytes(100)) + compressor.flush()
    with pytest.raises(UnreadableLayer, match="zstd"):
        read(data)
