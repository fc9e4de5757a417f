"""Large files of other machines: fetched where they changed, gone on with where they were cut, never trusted."""

import base64
import datetime
import hashlib
import re
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from tests.serving import serving

from openecr import tls
from openecr.remote.crc32c import crc32c
from openecr.remote.downloads import Absent, DownloadFailed, Downloads

CONTENT = hashlib.shake_128(b"content").digest(1_000_000)
OTHER = hashlib.shake_128(b"other").digest(900_000)


@dataclass
class Source:
    """An HTTP server with one file, as Google's store serves it."""

    content: bytes = CONTENT
    etag: str | None = '"one"'
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: list[int] = field(default_factory=list)
    """How many bytes of a body are sent before the connection ends; one for each answer, then none."""
    status: list[int] = field(default_factory=list)
    """Answered in place of the file; one for each request, then none."""
    location: str = ""
    asked: list[dict[str, str]] = field(default_factory=list)
    url: str = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        asked = {name.lower(): value for name, value in handler.headers.items()} | {"target": handler.path}
        self.asked.append(asked)
        status = self.status.pop(0) if self.status else 0
        if status:
            self._send(handler, status, b"", {"Location": self.location} if self.location else {})
        elif self.etag is not None and asked.get("if-none-match") == self.etag:
            self._send(handler, 304, b"", {})
        else:
            start = re.fullmatch("bytes=([0-9]+)-", asked.get("range", ""))
            if start and asked.get("if-range", self.etag) == self.etag:
                body = self.content[int(start[1]) :]
                extent = f"bytes {start[1]}-{len(self.content) - 1}/{len(self.content)}"
                self._send(handler, 206, body, {"Content-Range": extent})
            else:
                self._send(handler, 200, self.content, {})

    def _send(self, handler: BaseHTTPRequestHandler, status: int, body: bytes, more: dict[str, str]) -> None:
        handler.send_response(status)
        if self.etag is not None:
            handler.send_header("ETag", self.etag)
        for name, value in (self.headers | more).items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if body and self.cut_after:
            handler.wfile.write(body[: self.cut_after.pop(0)])
            handler.wfile.flush()
            handler.connection.close()
        else:
            handler.wfile.write(body)


@pytest.fixture
def source() -> Iterator[Source]:
    made = Source()
    with serving(made.answer) as port:
        made.url = f"http://127.0.0.1:{port}/PyPI/all.zip"
        yield made


@pytest.fixture
def downloads(tmp_path: Path) -> Iterator[Downloads]:
    made = Downloads(tmp_path, {}, pause=lambda _seconds: None)
    yield made
    made.close()


def goog(content: bytes, *algorithms: str) -> dict[str, str]:
    sums = {
        "md5": hashlib.md5(content).digest(),
        "crc32c": crc32c(content).to_bytes(4, "big"),
    }
    return {"x-goog-hash": ",".join(f"{name}={base64.b64encode(sums[name]).decode()}" for name in algorithms)}


def failing(downloads: Downloads, url: str) -> str:
    with pytest.raises(DownloadFailed) as failed:
        downloads.fetch("PyPI.zip", url)
    return str(failed.value)


def test_what_did_not_change_is_not_fetched_again(source: Source, downloads: Downloads) -> None:
    first = downloads.fetch("PyPI.zip", source.url)
    second = downloads.fetch("PyPI.zip", source.url)
    source.content, source.etag = OTHER, '"two"'
    third = downloads.fetch("PyPI.zip", source.url)

    assert [one.changed for one in (first, second, third)] == [True, False, True]
    assert third.path.read_bytes() == OTHER
    assert third.kept.sha256 == hashlib.sha256(OTHER).hexdigest()
    assert [asked.get("if-none-match") for asked in source.asked] == [None, '"one"', '"one"']


def test_a_source_without_etags_is_asked_by_date(source: Source, downloads: Downloads) -> None:
    source.etag, source.headers = None, {"Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
    downloads.fetch("PyPI.zip", source.url)
    source.status = [304]

    assert not downloads.fetch("PyPI.zip", source.url).changed
    assert source.asked[1]["if-modified-since"] == "Thu, 01 Jan 2026 00:00:00 GMT"


@pytest.mark.parametrize("harm", ["changed", "cut", "gone", "note", "elsewhere"])
def test_a_copy_that_is_not_what_was_fetched_is_fetched_again(
    source: Source, downloads: Downloads, tmp_path: Path, harm: str
) -> None:
    path = downloads.fetch("PyPI.zip", source.url).path
    url = source.url
    match harm:
        case "changed":
            path.write_bytes(b"\x00" + CONTENT[1:])
        case "cut":
            path.write_bytes(CONTENT[:-1])
        case "gone":
            path.unlink()
        case "note":
            (tmp_path / "PyPI.zip.json").write_text("{")
        case "elsewhere":
            url += "?other"

    again = downloads.fetch("PyPI.zip", url)
    assert again.changed
    assert again.path.read_bytes() == CONTENT
    assert "if-none-match" not in source.asked[1]


def test_what_is_cut_is_gone_on_with_where_it_was(source: Source, downloads: Downloads) -> None:
    source.headers = goog(CONTENT, "crc32c", "md5")
    source.cut_after = [300_000, 400_000]
    told: list[tuple[int, int | None]] = []

    fetched = downloads.fetch("PyPI.zip", source.url, lambda done, total: told.append((done, total)))

    assert fetched.path.read_bytes() == CONTENT
    starts = [int(asked["range"][6:-1]) for asked in source.asked[1:]]
    assert len(starts) == 2
    assert 0 < starts[0] < starts[1]
    assert told[-1] == (1_000_000, 1_000_000)
    assert sum(len(CONTENT) - start for start in [0, *starts]) < 2_700_000


def test_the_next_run_goes_on_where_the_last_one_ended(source: Source, downloads: Downloads, tmp_path: Path) -> None:
    source.cut_after = [500_000]
    source.status = [0, 503, 503, 503, 503, 503]
    assert "goes on where it was" in failing(downloads, source.url)
    assert not (tmp_path / "PyPI.zip").exists()

    fetched = Downloads(tmp_path, {}).fetch("PyPI.zip", source.url)

    assert fetched.path.read_bytes() == CONTENT
    assert int(source.asked[-1]["range"][6:-1]) > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["PyPI.zip", "PyPI.zip.json"]


def test_a_file_that_changed_meanwhile_is_not_glued_to_the_old_beginning(
    source: Source, downloads: Downloads, tmp_path: Path
) -> None:
    source.cut_after = [500_000]
    source.status = [0, 503, 503, 503, 503, 503]
    failing(downloads, source.url)
    source.content, source.etag = OTHER, '"two"'

    assert Downloads(tmp_path, {}).fetch("PyPI.zip", source.url).path.read_bytes() == OTHER


def test_a_source_that_is_away_for_a_moment_is_asked_again(source: Source, downloads: Downloads) -> None:
    source.status = [503, 429, 500]
    assert downloads.fetch("PyPI.zip", source.url).path.read_bytes() == CONTENT
    source.status = [503] * 9
    assert "it answered 503" in failing(downloads, source.url)
    assert len(source.asked) == 4 + 5


@pytest.mark.parametrize("algorithm", ["md5", "crc32c"])
def test_a_wrong_checksum_is_refused_and_the_old_copy_stays(
    source: Source, downloads: Downloads, tmp_path: Path, algorithm: str
) -> None:
    source.headers = goog(CONTENT, algorithm)
    downloads.fetch("PyPI.zip", source.url)
    source.content, source.etag = OTHER, '"two"'

    assert "is not what its checksum says" in failing(downloads, source.url)
    assert (tmp_path / "PyPI.zip").read_bytes() == CONTENT
    assert sorted(path.name for path in tmp_path.iterdir()) == ["PyPI.zip", "PyPI.zip.json"]


def test_a_cut_that_a_source_does_not_admit_is_found_by_its_checksum(source: Source, downloads: Downloads) -> None:
    source.headers, source.content = goog(CONTENT, "md5"), CONTENT[:-1]
    assert "is not what its checksum says" in failing(downloads, source.url)


@pytest.mark.parametrize(
    ("status", "why"), [(403, "it answered 403"), (400, "it answered 400"), (204, "it answered 204")]
)
def test_another_answer_is_told(source: Source, downloads: Downloads, status: int, why: str) -> None:
    source.status = [status]
    assert why in failing(downloads, source.url)
    assert len(source.asked) == 1


def test_what_is_not_there_is_told_apart(source: Source, downloads: Downloads) -> None:
    source.status = [404]
    with pytest.raises(Absent):
        downloads.fetch("PyPI.zip", source.url)
    assert not downloads.has("PyPI.zip")
    downloads.fetch("PyPI.zip", source.url)
    assert downloads.has("PyPI.zip")


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data",
        "https://127.0.0.1/x",
        "http://localhost:1/x",
        "file:///etc/passwd",
        "",
    ],
)
def test_a_redirect_to_another_place_is_not_followed(source: Source, downloads: Downloads, location: str) -> None:
    source.status, source.location = [302] * 9, location
    told = failing(downloads, source.url)
    assert "sends to another place" in told or "without an end" in told
    assert {asked["target"] for asked in source.asked} == {"/PyPI/all.zip"}


def test_a_redirect_within_the_place_is_followed(source: Source, downloads: Downloads) -> None:
    source.status, source.location = [302], "/dated/all.zip"
    assert downloads.fetch("PyPI.zip", source.url).path.read_bytes() == CONTENT
    assert source.asked[1]["target"] == "/dated/all.zip"


def test_a_part_that_was_not_asked_for_is_not_taken(source: Source, downloads: Downloads, tmp_path: Path) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(206)
        handler.send_header("Content-Range", "bytes 5-9/10")
        handler.send_header("Content-Length", "5")
        handler.end_headers()
        handler.wfile.write(b"56789")

    with serving(answer) as port:
        assert "not asked for" in failing(downloads, f"http://127.0.0.1:{port}/x")


def test_a_file_for_which_there_is_no_room_is_not_begun(
    source: Source, downloads: Downloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openecr.remote.downloads._SPARE_BYTES", 1 << 60)
    assert "has room for" in failing(downloads, source.url)


def test_a_file_larger_than_any_is_not_fetched(
    source: Source, downloads: Downloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openecr.remote.downloads.LARGEST_BYTES", 999_999)
    assert "is larger than 999999 bytes" in failing(downloads, source.url)


def test_a_name_is_no_path(source: Source, downloads: Downloads, tmp_path: Path) -> None:
    assert downloads.fetch("../../a b/c", source.url).path.parent == tmp_path
    downloads.fetch("Rocky Linux.zip", source.url)
    downloads.forget(frozenset({"Rocky Linux.zip"}))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Rocky%20Linux.zip", "Rocky%20Linux.zip.json"]


def test_a_proxy_is_asked_and_told_its_credentials_unless_the_host_needs_none(source: Source, tmp_path: Path) -> None:
    proxied: list[tuple[str, str | None]] = []

    def forward(handler: BaseHTTPRequestHandler) -> None:
        proxied.append((handler.path, handler.headers.get("proxy-authorization")))
        source.answer(handler)

    with serving(forward) as port:
        environment = {"HTTP_PROXY": "http://127.0.0.1:1", "http_proxy": f"user:p%40ss@127.0.0.1:{port}"}
        fetched = Downloads(tmp_path, environment).fetch("a", "http://osv.invalid/PyPI/all.zip")
        assert fetched.path.read_bytes() == CONTENT
        basic = base64.b64encode(b"user:p@ss").decode()
        assert proxied == [("http://osv.invalid/PyPI/all.zip", f"Basic {basic}")]

        Downloads(tmp_path, environment | {"NO_PROXY": "127.0.0.1,example.com"}).fetch("b", source.url)
        assert len(proxied) == 1


def test_a_proxy_that_is_none_is_told(source: Source, tmp_path: Path) -> None:
    pause: Callable[[float], None] = lambda _seconds: None  # noqa: E731
    away = Downloads(tmp_path, {"HTTP_PROXY": "http://127.0.0.1:1"}, pause=pause)
    assert "through the proxy" in failing(away, source.url)
    odd = Downloads(tmp_path, {"ALL_PROXY": "socks5://127.0.0.1:1"}, pause=pause)
    assert "a proxy is http://host:port" in failing(odd, source.url)


def test_a_private_authority_is_trusted_where_it_is_named(
    downloads: Downloads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "tls"
    certificate = tls.ensure(folder, ["localhost"], datetime.datetime.now(datetime.UTC))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.chain, certificate.private_key)
    with serving(Source().answer, context) as port:
        url = f"https://localhost:{port}/PyPI/all.zip"
        assert "name a file of its authorities in SSL_CERT_FILE" in failing(downloads, url)

        monkeypatch.setenv("SSL_CERT_FILE", str(folder / "ca.pem"))
        assert Downloads(tmp_path, {}).fetch("a", url).path.read_bytes() == CONTENT


def test_castagnolis_checksum() -> None:
    """RFC 3720 B.4 has the vectors."""
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E
    assert crc32c(b"6789", crc32c(b"12345")) == 0xE3069283
