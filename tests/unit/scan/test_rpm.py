"""rpm's databases: three forms, one list of packages; what is broken is an error, and never a loop."""

import contextlib
import random
import struct
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from tests.unit.scan.rpm_databases import bdb, header, ndb, package, sqlite

from openecr.scan.cataloger import WantedFile
from openecr.scan.catalogers import CATALOGERS
from openecr.scan.limits import LIMITS
from openecr.scan.packages import FileFacts, Package

READ = {path: cataloger.read for cataloger in CATALOGERS for path in cataloger.paths}
SQLITE, NDB, BDB = "var/lib/rpm/rpmdb.sqlite", "usr/lib/sysimage/rpm/Packages.db", "var/lib/rpm/Packages"

HEADERS = [
    package("gpg-pubkey", "deadbeef"),
    package(
        "openssl-libs",
        "3.0.7",
        "27.el9",
        epoch=1,
        source="openssl-3.0.7-27.el9.src.rpm",
        paths=["/usr/lib64/libssl.so.3", "/usr/lib64/libcrypto.so.3", "/README"],
    ),
    package(
        "nodejs",
        "18.19.0",
        "1.module+el8",
        module="nodejs:18:8090020231215:e79d",
        paths=[f"/usr/lib/node_modules/npm/{number}.js" for number in range(3000)],
    ),
    package("bash"),
]
DATABASES: dict[str, Callable[[Path, list[bytes]], bytes]] = {
    SQLITE: lambda directory, headers: sqlite(directory, headers),
    NDB: lambda _, headers: ndb(headers),
    BDB: lambda _, headers: bdb(headers),
}


def facts(path: str, content: bytes) -> FileFacts:
    return READ[path](WantedFile(path, len(content), BytesIO(content), LIMITS))


def check(found: FileFacts) -> None:
    assert found.packages == (
        Package(
            "rpm",
            "openssl-libs",
            "1:3.0.7-27.el9",
            "rpm",
            architecture="x86_64",
            source_name="openssl",
            source_version="3.0.7-27.el9",
            vendor="AlmaLinux",
            licenses=("MIT",),
        ),
        Package(
            "rpm",
            "nodejs",
            "18.19.0-1.module+el8",
            "rpm",
            architecture="x86_64",
            source_name="nodejs",
            source_version="18.19.0-1.module+el8",
            module="nodejs:18",
            vendor="AlmaLinux",
            licenses=("MIT",),
        ),
        Package(
            "rpm",
            "bash",
            "1.0-1.el9",
            "rpm",
            architecture="x86_64",
            source_name="bash",
            source_version="1.0-1.el9",
            vendor="AlmaLinux",
            licenses=("MIT",),
        ),
    )
    assert found.owned_paths[:3] == ("usr/lib64/libssl.so.3", "usr/lib64/libcrypto.so.3", "README")
    assert len(found.owned_paths) == 3003


@pytest.mark.parametrize("path", DATABASES)
def test_each_form_holds_the_same(path: str, tmp_path: Path) -> None:
    check(facts(path, DATABASES[path](tmp_path, HEADERS)))


@pytest.mark.parametrize("page_bytes", [512, 1024, 8192, 65536])
def test_sqlite_pages_of_every_size(page_bytes: int, tmp_path: Path) -> None:
    check(facts(SQLITE, sqlite(tmp_path, HEADERS, page_bytes=page_bytes)))


@pytest.mark.parametrize("page_bytes", [512, 65536 // 2])
def test_berkeley_pages_of_both_orders(page_bytes: int) -> None:
    check(facts(BDB, bdb(HEADERS, order=">", page_bytes=page_bytes)))


def test_many_packages_in_a_deep_tree(tmp_path: Path) -> None:
    headers = [package(f"p{number}", paths=[f"/usr/share/p{number}/{'f' * (number % 700)}"]) for number in range(3000)]
    deleted = ["DELETE FROM Packages WHERE hnum % 3 = 0", "INSERT INTO Name VALUES ('a', 1)"]
    found = facts(SQLITE, sqlite(tmp_path, headers, page_bytes=512, statements=deleted))
    assert [one.name for one in found.packages] == [f"p{number}" for number in range(3000) if (number + 1) % 3]


def test_nothing_of_a_schema_is_executed(tmp_path: Path) -> None:
    """A view in the table's place would be asked by a SQL engine, and may not end."""
    endless = (
        "CREATE VIEW Packages AS WITH RECURSIVE endless(hnum, blob) AS "
        "(SELECT 1, x'00' UNION ALL SELECT hnum + 1, blob FROM endless) SELECT * FROM endless"
    )
    content = sqlite(tmp_path, [], statements=["DROP TABLE Packages", endless])
    with pytest.raises(ValueError, match="no table Packages"):
        facts(SQLITE, content)


def test_pages_that_lead_in_circles_end(tmp_path: Path) -> None:
    headers = [package(f"p{number}") for number in range(200)]
    content = bytearray(sqlite(tmp_path, headers, page_bytes=512))
    interior = next(at for at in range(512, len(content), 512) if content[at] == 5)
    struct.pack_into(">I", content, interior + 8, interior // 512 + 1)
    with pytest.raises(ValueError, match="circles"):
        facts(SQLITE, bytes(content))

    chain = bytearray(bdb(HEADERS))
    struct.pack_into("<I", chain, 4 * 4096 + 16, 4)
    with pytest.raises(ValueError, match="circles"):
        facts(BDB, bytes(chain))


def test_a_chain_of_overflow_pages_that_are_shared_ends() -> None:
    """Each item of a page may lead to the same chain, and so read the database a thousand times."""
    content = bytearray(bdb([HEADERS[2]] * 5))
    items = struct.unpack_from("<H", content, 4096 + 20)[0]
    offsets = struct.unpack_from(f"<{items}H", content, 4096 + 26)
    for number in range(3, items, 2):
        struct.pack_into("<I", content, 4096 + offsets[number] + 4, 2)
    with pytest.raises(ValueError, match="circles"):
        facts(BDB, bytes(content))


def test_slots_that_share_a_blob_end() -> None:
    content = bytearray(ndb(HEADERS))
    large = content[32 + 2 * 16 : 32 + 3 * 16]
    for number in range(254):
        content[32 + number * 16 : 48 + number * 16] = large
    with pytest.raises(ValueError, match="larger than it is"):
        facts(NDB, bytes(content))


@pytest.mark.parametrize(
    ("path", "content", "words"),
    [
        (SQLITE, b"", "not a SQLite"),
        (SQLITE, b"SQLite format 3\0" + bytes(100), "page size"),
        (NDB, b"RpmP", "not an ndb"),
        (NDB, b"RpmQ" + bytes(4096), "not an ndb"),
        (NDB, struct.pack("<4sIII", b"RpmP", 0, 1, 4_000_000_000), "number of slots"),
        (NDB, ndb(HEADERS)[:3000], "cut short"),
        (NDB, ndb(HEADERS)[:4100], "leads"),
        (BDB, bytes(4096), "not a Berkeley"),
        (BDB, bdb(HEADERS)[:5000], "cut short"),
    ],
)
def test_broken_databases_are_errors(path: str, content: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        facts(path, content)


@pytest.mark.parametrize("path", DATABASES)
def test_damage_anywhere_is_an_error_or_no_error(path: str, tmp_path: Path) -> None:
    """The engine makes a warning of any exception; what must not be is a loop, or memory without bound."""
    good = DATABASES[path](tmp_path, HEADERS[:2])
    chance = random.Random(7)
    for _ in range(300):
        content = bytearray(good)
        for _ in range(chance.randrange(1, 6)):
            content[chance.randrange(len(content))] = chance.choice([0, 1, 0x7F, 0xFF, chance.randrange(256)])
        with contextlib.suppress(ValueError, IndexError, struct.error):
            facts(path, bytes(content))


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"\0" * 7,
        struct.pack(">II", 65537, 0) + bytes(65537 * 16),
        struct.pack(">II", 1, 1 << 31) + bytes(16),
        struct.pack(">II", 100, 100),
    ],
)
def test_headers_that_state_too_much_are_errors(blob: bytes) -> None:
    with pytest.raises(ValueError, match="rpm header"):
        facts(NDB, ndb([blob]))


def test_tags_of_other_kinds_and_offsets_beyond_are_passed_over() -> None:
    data = header(
        {
            1000: "a",
            1001: "1",
            1002: "1",
            1003: "no number",
            1116: [0, 99, 4_000_000_000],
            1117: ["x", "y", "z"],
            1118: ["/d/"],
        }
    )
    beyond = struct.pack(">IIiI", 1014, 6, 1 << 30, 1)
    entries, size = struct.unpack_from(">II", data)
    found = facts(NDB, ndb([struct.pack(">II", entries + 1, size) + beyond + data[8:]]))
    assert [one.version for one in found.packages] == ["1-1"]
    assert found.owned_paths == ("d/x",)


def test_a_database_that_was_not_closed_is_told() -> None:
    path = "var/lib/rpm/rpmdb.sqlite-wal"
    assert facts(path, b"") == FileFacts()
    with pytest.raises(ValueError, match="not closed"):
        facts(path, bytes(4152))


def test_the_manifest_of_azures_distroless_images() -> None:
    line = "openssl-libs\t1.1.1k-21.cm2\t1\t2\tMicrosoft\t(none)\t3\tx86_64\t{}\topenssl-1.1.1k-21.cm2.src.rpm\n"
    content = (line.format("0") + line.format("²") + line.format("2") + "short\tline\n").encode()
    found = facts("var/lib/rpmmanifest/container-manifest-2", content).packages
    assert [(one.name, one.version, one.source_name) for one in found] == [
        ("openssl-libs", "1.1.1k-21.cm2", "openssl"),
        ("openssl-libs", "1.1.1k-21.cm2", "openssl"),
        ("openssl-libs", "2:1.1.1k-21.cm2", "openssl"),
    ]
