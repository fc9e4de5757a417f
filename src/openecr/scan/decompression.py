"""A compressed layer's bytes, bounded: gzip, zstd or neither, told by the first bytes, whatever its media type says."""

import os
from collections.abc import Iterable, Iterator
from typing import IO, cast

import zstandard
from isal import igzip_lib

from openecr.scan.limits import LimitExceeded, Limits

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_CORRUPT: type[Exception] = igzip_lib.error  # type: ignore[assignment]
_ZSTD_SKIPPABLE = b"\x2a\x4d\x18"
"""After a byte 0x50 … 0x5f (RFC 8878, 3.1.2)."""
_ZSTD_WINDOW_BYTES = 128 << 20
_PIECE_BYTES = 1 << 18
_STEP_BYTES = 1 << 16
_SMALL_STEP_BYTES = 1 << 12
"""What is fed after a small member: estargz has one for each file, and what a member leaves over is copied."""


class UnreadableLayer(Exception):
    """A layer is no archive that can be read: truncated, corrupt, or of an unknown form; the message is for the scan's
    description."""


class _Source:
    """The compressed chunks, read in sizes of the reader's choice, and counted."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._chunk = b""
        self._at = 0
        self._ending = b""
        self.taken_bytes = 0

    def read(self, size_bytes: int) -> bytes:
        """At most so many bytes; none at the end."""
        while self._at >= len(self._chunk):
            chunk = next(self._chunks, None)
            if chunk is None:
                piece, self._ending = self._ending[:1], self._ending[1:]
                return piece
            self._chunk, self._at = chunk, 0
            self.taken_bytes += len(chunk)
        piece = self._chunk[self._at : self._at + size_bytes]
        self._at += len(piece)
        return piece

    def first(self, size_bytes: int) -> bytes:
        """The first bytes, which are read again; fewer where there are no more."""
        head = b""
        while len(head) < size_bytes and (more := self.read(_STEP_BYTES)):
            head += more
        self._chunk, self._at = head + self._chunk[self._at :], 0
        return head[:size_bytes]

    def end_with(self, ending: bytes) -> None:
        """Have more bytes follow the last chunk; one by one, because libzstd takes a whole frame after one that was cut
        within its header for that frame."""
        self._ending = ending


def decompressed(chunks: Iterable[bytes], limits: Limits) -> Iterator[bytes]:
    """The uncompressed bytes in pieces of at most some 100 KiB; the whole stream is read, with its check sums.

    Raises:
        UnreadableLayer: the stream is empty, corrupt or ends early.
        LimitExceeded: more comes out than is read of a layer, or far more than went in.
    """
    source = _Source(chunks)
    head = source.first(4)
    if not head:
        raise UnreadableLayer("the layer is empty")
    if head.startswith(_GZIP):
        pieces = _gunzipped(source, limits)
    elif head == _ZSTD or (head[1:] == _ZSTD_SKIPPABLE and head[0] & 0xF0 == 0x50):
        pieces = _unzstd(source)
    else:
        pieces = iter(lambda: source.read(_PIECE_BYTES), b"")
    out_bytes = 0
    for piece in pieces:
        out_bytes += len(piece)
        if out_bytes > limits.layer_bytes:
            raise LimitExceeded(f"the layer is larger than {limits.layer_bytes} bytes uncompressed")
        if out_bytes > limits.ratio_from_bytes and out_bytes > limits.ratio * source.taken_bytes:
            raise LimitExceeded(f"the layer is more than {limits.ratio} times as large uncompressed as compressed")
        yield piece


def _gunzipped(source: _Source, limits: Limits) -> Iterator[bytes]:
    """Member after member (pigz, estargz), and zeros after the last, as gzip(1) takes them.

    An endless row of empty members puts nothing out, so they are counted as entries.
    """
    rest = b""
    step_bytes = _STEP_BYTES
    for _ in range(limits.entries):
        member = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
        before_bytes = source.taken_bytes
        while not member.eof:
            if member.needs_input and not rest:
                rest = source.read(step_bytes)
                if not rest:
                    raise UnreadableLayer("the gzip stream ends early")
            try:
                piece = member.decompress(rest, _PIECE_BYTES)
            except _CORRUPT as error:
                raise UnreadableLayer(f"the gzip stream is corrupt: {error}") from error
            rest = b""
            if piece:
                yield piece
        rest = member.unused_data.lstrip(b"\0")
        step_bytes = _STEP_BYTES if source.taken_bytes - before_bytes > _STEP_BYTES else _SMALL_STEP_BYTES
        while len(rest) < len(_GZIP) and (more := source.read(step_bytes)):
            rest = (rest + more).lstrip(b"\0")
        if not rest:
            return
        if not rest.startswith(_GZIP):
            raise UnreadableLayer("something that is no gzip member follows the gzip stream")
    raise LimitExceeded(f"the layer has more than {limits.entries} gzip members")


def _unzstd(source: _Source) -> Iterator[bytes]:
    """Frame after frame, those that are to be skipped too (zstd:chunked).

    The library does not tell a stream that ends early from one that ends. So a frame of our own follows the layer: only
    where the layer's last frame was whole does its content come out last; taken for the content of a frame that was
    cut, it would come out compressed, and so be another.
    """
    ending = os.urandom(8) * 16
    source.end_with(zstandard.ZstdCompressor().compress(ending))
    reader = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES).stream_reader(
        cast("IO[bytes]", source), read_size=_STEP_BYTES, read_across_frames=True
    )
    held = b""
    try:
        while piece := reader.read(_PIECE_BYTES):
            held += piece
            if len(held) > len(ending):
                yield held[: -len(ending)]
                held = held[-len(ending) :]
    except zstandard.ZstdError as error:
        raise UnreadableLayer(f"the zstd stream is corrupt or ends early: {error}") from error
    if held != ending:
        raise UnreadableLayer("the zstd stream ends early")
