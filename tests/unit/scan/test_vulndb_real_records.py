"""The real records beside the project: every one is read, and what is known to be in them is found."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.shared_data import shared

from openecr.scan.vulndb.archives import records_of
from openecr.scan.vulndb.building import Builder, Built
from openecr.scan.vulndb.index import Index, open_index

NOW_US = 1_800_000_000_000_000

# The list of what was looked for when the records were collected: (CVE or id, ecosystem, package, fixed version).
KNOWN = [
    ("CVE-2021-44228", "Maven", "org.apache.logging.log4j:log4j-core", "2.15.0"),
    ("CVE-2021-23337", "npm", "lodash", "4.17.21"),
    ("CVE-2022-42889", "Maven", "org.apache.commons:commons-text", "1.10.0"),
    ("CVE-2022-22965", "Maven", "org.springframework:spring-beans", "5.3.18"),
    ("CVE-2023-30861", "PyPI", "flask", "2.2.5"),
    ("CVE-2023-30861", "PyPI", "flask", "2.3.2"),
    ("CVE-2020-14343", "PyPI", "pyyaml", "5.4"),
    ("CVE-2023-4863", "PyPI", "pillow", "10.0.1"),
    ("CVE-2022-37434", "Debian:11", "zlib", "1:1.2.11.dfsg-2+deb11u2"),
    ("CVE-2023-0286", "Debian:12", "openssl", "3.0.8-1"),
    ("CVE-2023-4911", "Debian:12", "glibc", "2.36-9+deb12u3"),
    ("CVE-2024-3094", "Alpine:v3.20", "xz", "5.6.1-r2"),
    ("CVE-2022-37434", "Alpine:v3.17", "zlib", "1.2.12-r2"),
    ("CVE-2014-6271", "Ubuntu:14.04:LTS", "bash", "4.3-7ubuntu1.1"),
    ("CVE-2022-0778", "Ubuntu:20.04:LTS", "openssl", "1.1.1f-1ubuntu2.12"),
    ("CVE-2023-39325", "Go", "golang.org/x/net", "0.17.0"),
    ("RUSTSEC-2020-0071", "crates.io", "time", "0.2.23"),
    ("CVE-2022-30122", "RubyGems", "rack", "2.2.3.1"),
    ("CVE-2022-24894", "Packagist", "symfony/http-kernel", "4.4.50"),
    ("GHSA-5crp-9r3c-p9vr", "NuGet", "newtonsoft.json", "13.0.1"),
    ("CVE-2022-0778", "AlmaLinux:8", "openssl", "1:1.1.1k-6.el8_5"),
]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    real, folder = shared("vulndb"), tmp_path_factory.mktemp("real")
    builder = Builder(folder / "real.index")
    for raw in records_of(real, scratch=folder):
        builder.add(raw)
    assert builder.read.reasons == ["ghsa-single.json: is no OSV record: not an object"]
    assert builder.read.records == 89803
    finished = builder.finish(built_us=NOW_US)
    builder.close()
    return finished


@pytest.fixture(scope="module")
def index(built: Built) -> Iterator[Index]:
    opened = open_index(built.path, sha256_hex=built.sha256)
    yield opened
    opened.close()


@pytest.mark.parametrize(("name", "ecosystem", "package", "fixed"), KNOWN)
def test_what_is_known_to_be_there_is_found(index: Index, name: str, ecosystem: str, package: str, fixed: str) -> None:
    said = [
        advisory
        for advisory in index.advisories(ecosystem, package)
        if name in (advisory.id, *advisory.aliases, *advisory.upstream)
    ]
    versions = {version for one in said for span in one.ranges for kind, version in span.events if kind == "fixed"}
    assert fixed in versions
    assert name in index.details((name,))


def test_the_whole_is_described_and_small(built: Built) -> None:
    described = built.description
    assert described.records + described.withdrawn == 89091  # 712 stand in two folders
    assert described.ecosystems["Debian:12"] > 3000
    assert {"Alpine:edge", "Ubuntu:Pro:20.04:LTS", "BellSoft Hardened Containers:25"} <= set(described.ecosystems)
    assert {share.license for share in described.sources if share.source == "Ubuntu Security"} == {"CC-BY-SA-4.0"}
    assert built.size_bytes < 40_000_000


def test_nothing_is_left_beside_the_file(built: Built) -> None:
    assert [path.name for path in Path(built.path.parent).iterdir()] == ["real.index"]
