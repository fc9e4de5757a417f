"""Large files of other machines: fetched only where they changed, gone on with where they were cut, and checked.

What was fetched stays in a folder, with what its source said to tell it from a newer one.
"""

import base64
import hashlib
import os
import re
import shutil
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote

import orjson
import urllib3
from urllib3.exceptions import HTTPError

from openecr.remote.crc32c import crc32c_of
from openecr.remote.outgoing import Outgoing, OutgoingRefused

LARGEST_BYTES = 16 * 1024 * 1024 * 1024
_PIECE_BYTES = 256 * 1024
_ATTEMPTS = 5
"""Without a byte more than before; each waits twice as long as the one before it."""
_SPARE_BYTES = 64 * 1024 * 1024
_AWAY = frozenset((408, 425, 429, 500, 502, 503, 504))
_RANGE = re.compile(r"bytes ([0-9]{1,15})-[0-9]{1,15}/([0-9]{1,15})")


class DownloadFailed(Exception):
    """It could not be fetched; one sentence. What is there of it is gone on with next time."""


class Absent(DownloadFailed):
    """The source has no such file."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of a file that was fetched."""

    url: str
    etag: str
    last_modified: str
    size_bytes: int
    sha256: str
    fetched_us: int


@dataclass(frozen=True, slots=True)
class Fetched:
    """A whole file, as its source has it now."""

    path: Path
    kept: Kept
    changed: bool
    """Whether it had to be fetched."""


Told = Callable[[int, int | None], None]
"""(bytes that are there, bytes of the whole file where that is known)."""


class Downloads:
    """A folder of files that were fetched.

    Args:
        environment: where proxies are named.
        pause: waits between attempts, in seconds.
    """

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str],
        *,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._folder = folder
        self._outgoing = Outgoing(environment)
        self._now_us = now_us
        self._pause = pause

    def fetch(self, name: str, url: str, told: Told = lambda _done, _total: None) -> Fetched:
        """The file, fetched where the kept copy is not what the source has.

        Args:
            name: of the file in the folder; not a path.
        Raises:
            DownloadFailed, Absent
            OSError: the disk.
        """
        return _Download(self, self._folder / quote(name, safe="")).run(url, told)

    def has(self, name: str) -> bool:
        """Whether a copy was ever fetched whole."""
        return _known(self._folder / f"{quote(name, safe='')}.json") is not None

    def forget(self, keep: frozenset[str]) -> None:
        """Remove every file but those of these names."""
        kept = {quote(name, safe="") for name in keep}
        for path in self._folder.iterdir():
            if not any(path.name in (name, f"{name}.json", f"{name}.part", f"{name}.part.json") for name in kept):
                path.unlink()

    def close(self) -> None:
        """Let go of every connection."""
        self._outgoing.close()

    def now_us(self) -> int:
        """The time."""
        return self._now_us()

    def wait(self, attempt: int) -> None:
        """Before the next attempt."""
        self._pause(2.0**attempt)

    def ask(self, url: str, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        """The answer to a GET, its body still to be read."""
        try:
            return self._outgoing.ask(url, headers)
        except OutgoingRefused as refused:
            raise DownloadFailed(str(refused)) from None


class _Download:
    """One file on its way."""

    def __init__(self, downloads: Downloads, path: Path) -> None:
        self._downloads = downloads
        self._path = path
        self._about = path.with_name(f"{path.name}.json")
        self._part = path.with_name(f"{path.name}.part")
        self._about_part = path.with_name(f"{path.name}.part.json")

    def run(self, url: str, told: Told) -> Fetched:
        kept = self._whole(url)
        attempt = 0
        while True:
            before_bytes = self._part.stat().st_size if self._part.exists() else 0
            try:
                return self._ask(url, kept, told)
            except (HTTPError, OSError, _Cut) as failed:
                if isinstance(failed, OSError) and not isinstance(
                    failed, ssl.SSLError | ConnectionError | TimeoutError
                ):
                    raise
                gained = self._part.exists() and self._part.stat().st_size > before_bytes
                attempt = 0 if gained else attempt + 1
                if attempt == _ATTEMPTS or _is_untrusted(failed):
                    raise DownloadFailed(f"{url} {_why(failed)}") from None
            self._downloads.wait(attempt)

    def _whole(self, url: str) -> Kept | None:
        """What is known of the kept copy, if it is still what was fetched."""
        kept = _known(self._about)
        if kept is None or kept.url != url or not self._path.exists():
            return None
        return kept if _sha256(self._path) == kept.sha256 else None

    def _ask(self, url: str, kept: Kept | None, told: Told) -> Fetched:
        headers = {"Accept-Encoding": "identity", "User-Agent": "openecr"}
        if kept is not None:
            headers |= {"If-None-Match": kept.etag} if kept.etag else {"If-Modified-Since": kept.last_modified}
        begun, have_bytes = self._begun(url)
        if begun is not None:
            headers |= {"Range": f"bytes={have_bytes}-", "If-Range": begun.etag or begun.last_modified}
        answer = self._downloads.ask(url, headers)
        try:
            if answer.status == 304 and kept is not None:
                self._drop_part()
                return Fetched(self._path, kept, changed=False)
            if answer.status == 416 and begun is not None:
                self._drop_part()
                raise _Cut("had less than what was fetched of it before")
            if answer.status in (404, 410):
                raise Absent(f"{url} is not there ({answer.status})")
            if answer.status in _AWAY:
                raise _Cut(f"answered {answer.status}")
            if answer.status not in (200, 206):
                raise DownloadFailed(f"{url} cannot be fetched: it answered {answer.status}")
            about = self._receive(url, answer, begun, have_bytes, told)
            return self._finish(about, answer)
        finally:
            answer.close()

    def _begun(self, url: str) -> tuple[Kept | None, int]:
        """What is there of a copy that was cut, where the source can say whether it goes on with the same."""
        begun = _known(self._about_part)
        if begun is None or begun.url != url or not (begun.etag or begun.last_modified) or not self._part.exists():
            return None, 0
        have_bytes = self._part.stat().st_size
        return (begun, have_bytes) if 0 < have_bytes < begun.size_bytes else (None, 0)

    def _receive(
        self, url: str, answer: urllib3.BaseHTTPResponse, begun: Kept | None, have_bytes: int, told: Told
    ) -> Kept:
        start_bytes, total_bytes = _extent(url, answer, begun, have_bytes)
        if total_bytes is not None and total_bytes > LARGEST_BYTES:
            raise DownloadFailed(f"{url} is larger than {LARGEST_BYTES} bytes")
        if total_bytes is not None:
            free_bytes = shutil.disk_usage(self._path.parent).free
            if total_bytes - start_bytes + _SPARE_BYTES > free_bytes:
                raise DownloadFailed(
                    f"{url} has {total_bytes - start_bytes} bytes to go, and {self._path.parent} has room for "
                    f"{free_bytes}; free some there"
                )
        headers = answer.headers
        # A weak validator says that a page looks the same, not that its bytes are.
        strong = "" if headers.get("etag", "").startswith("W/") else headers.get("etag", "")
        about = Kept(url, strong, headers.get("last-modified", ""), total_bytes or 0, "", self._downloads.now_us())
        if start_bytes == 0:
            self._drop_part()
            _write(self._about_part, about)
        with self._part.open("r+b" if start_bytes else "wb") as file:
            file.truncate(start_bytes)
            file.seek(start_bytes)
            received = start_bytes
            told(received, total_bytes)
            while piece := answer.read(_PIECE_BYTES, decode_content=False):
                received += len(piece)
                if received > LARGEST_BYTES:
                    raise DownloadFailed(f"{url} is larger than {LARGEST_BYTES} bytes")
                file.write(piece)
                told(received, total_bytes)
            file.flush()
            os.fsync(file.fileno())
        if total_bytes is not None and received != total_bytes:
            raise _Cut(f"was cut after {received} of {total_bytes} bytes")
        return about

    def _finish(self, about: Kept, answer: urllib3.BaseHTTPResponse) -> Fetched:
        try:
            _require_checksums(about.url, self._part, ",".join(answer.headers.getlist("x-goog-hash")))
        except DownloadFailed:
            self._drop_part()
            raise
        kept = Kept(
            about.url,
            about.etag,
            about.last_modified,
            self._part.stat().st_size,
            _sha256(self._part),
            about.fetched_us,
        )
        # A crash between the two leaves a file that its note does not fit, so it is fetched again.
        os.replace(self._part, self._path)
        _write(self._about, kept)
        self._drop_part()
        return Fetched(self._path, kept, changed=True)

    def _drop_part(self) -> None:
        for path in (self._part, self._about_part):
            path.unlink(missing_ok=True)


class _Cut(Exception):
    """The source is away for now, or ended too early; asked again it may go on."""


def _extent(url: str, answer: urllib3.BaseHTTPResponse, begun: Kept | None, have_bytes: int) -> tuple[int, int | None]:
    """(where the body begins in the file, how long the file is)."""
    if answer.status == 200:
        length = answer.headers.get("content-length", "")
        return 0, int(length) if re.fullmatch("[0-9]{1,15}", length) else None
    found = _RANGE.fullmatch(answer.headers.get("content-range", ""))
    if found is None or begun is None or int(found[1]) != have_bytes:
        raise DownloadFailed(f"{url} answered with a part that was not asked for")
    return have_bytes, int(found[2])


def _require_checksums(url: str, path: Path, told: str) -> None:
    """Google's ``x-goog-hash``, where the source sends it (https://cloud.google.com/storage/docs/xml-api/reference-headers).

    A bulk export's own checksums, of each record in the zip, are compared when it is read.
    """
    sums = {name.strip(): value.strip() for name, _, value in (one.partition("=") for one in told.split(","))}
    wrong = False
    if "md5" in sums:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).digest()
        wrong = base64.b64encode(found).decode() != sums["md5"]
    elif "crc32c" in sums:
        wrong = base64.b64encode(crc32c_of(path).to_bytes(4, "big")).decode() != sums["crc32c"]
    if wrong:
        raise DownloadFailed(f"what {url} sent is not what its checksum says; nothing of it is used")


def _is_untrusted(failed: Exception) -> bool:
    return isinstance(failed, ssl.SSLError | urllib3.exceptions.SSLError) or isinstance(
        getattr(failed, "original_error", None), ssl.SSLError | urllib3.exceptions.SSLError
    )


def _why(failed: Exception) -> str:
    if isinstance(failed, _Cut):
        return f"cannot be fetched: it {failed}; run the command again, it goes on where it was"
    if _is_untrusted(failed):
        return "has a certificate that is not trusted; name a file of its authorities in SSL_CERT_FILE"
    if isinstance(failed, urllib3.exceptions.ProxyError):
        return "cannot be reached through the proxy; see HTTPS_PROXY, HTTP_PROXY and NO_PROXY in the environment"
    if isinstance(failed, urllib3.exceptions.ProtocolError | urllib3.exceptions.ReadTimeoutError | ConnectionError):
        return "was cut again and again; run the command again, it goes on where it was"
    return "cannot be reached; where only a proxy leads outside, name it in HTTPS_PROXY"


def _known(about: Path) -> Kept | None:
    try:
        return Kept(**orjson.loads(about.read_bytes()))
    except (FileNotFoundError, orjson.JSONDecodeError, TypeError):
        return None


def _write(about: Path, kept: Kept) -> None:
    fresh = about.with_name(f"{about.name}.new")
    fresh.write_bytes(orjson.dumps(asdict(kept)))
    os.replace(fresh, about)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
