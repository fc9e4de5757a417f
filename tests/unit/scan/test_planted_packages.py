"""Whole images with planted packages, against real records: each vulnerable one is found with its fix and severity, and
nothing is said of it once it is fixed; basic scanning sees the system's alone.

The images are layers that the tests write: a Debian with Python, Node, an Alpine, a distroless root, programs of Go and
Rust, archives in archives, a Ruby and a PHP application.
"""

import io
import json
import tarfile
import zlib
from collections.abc import Callable, Mapping
from functools import lru_cache

import pytest
from tests.go_build_infos import inline
from tests.osv_records import RecordsIndex, of_zip
from tests.shared_data import shared
from tests.unit.scan.zip_archives import archive
from tests.written_executables import elf

from openecr.scan.advisories import Severity
from openecr.scan.findings import Finding
from openecr.scan.layers import index_layer
from openecr.scan.match_keys import match_key
from openecr.scan.matching import match
from openecr.scan.packages import DISTRIBUTION_KINDS
from openecr.scan.squash import squash

Files = Mapping[str, bytes | str]
Planted = Mapping[str, tuple[str, str]]
"""Package → the version below the fix, and the fixed one."""

RECORDS = {
    "Debian": ("DEBIAN-CVE-2022-37434", "DEBIAN-CVE-2023-0286"),
    "Alpine": ("ALPINE-CVE-2022-37434", "ALPINE-CVE-2023-0286"),
    "PyPI": ("PYSEC-2023-62", "PYSEC-2021-142"),
    "npm": ("GHSA-35jh-r3h4-6jhm",),
    "Maven": ("GHSA-jfh8-c2jp-5v3q", "GHSA-599f-7c49-w659"),
    "Go": ("GO-2023-2102",),
    "crates.io": ("RUSTSEC-2020-0071",),
    "RubyGems": ("RUBYSEC-rack-CVE-2022-30122",),
    "Packagist": ("FOP-symfony-http-kernel-CVE-2022-24894",),
}


@lru_cache(maxsize=1)
def index() -> RecordsIndex:
    folder = shared("vulndb")
    return RecordsIndex(
        record for ecosystem, ids in RECORDS.items() for record in of_zip(folder / ecosystem / "all.zip", ids)
    )


def layer(files: Files) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:gz") as writing:
        for path, content in files.items():
            raw = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(raw), 0o755
            writing.addfile(member, io.BytesIO(raw))
    return written.getvalue()


def found(*layers: Files, basic: bool = False) -> dict[str, Finding]:
    """Findings by name; of basic scanning, or of all."""
    inventory = squash([index_layer([layer(files)]) for files in layers])
    assert inventory.warnings == ()
    return {
        finding.name: finding
        for installed in inventory.packages
        if not basic or installed.package.ecosystem in DISTRIBUTION_KINDS
        for key in match_key(installed, inventory.distribution)
        for finding in match(key, index())
    }


def debian(versions: Mapping[str, str], *, distroless: bool = False) -> Files:
    stanza = "Package: {binary}\n{status}Architecture: amd64\nSource: {source}\nVersion: {version}\n"
    binaries = {"zlib": "zlib1g", "openssl": "libssl1.1"}
    status = "" if distroless else "Status: install ok installed\n"
    stanzas = {
        binaries[source]: stanza.format(binary=binaries[source], status=status, source=source, version=version)
        for source, version in versions.items()
    }
    os_release = 'ID=debian\nVERSION_ID="11"\nPRETTY_NAME="Debian GNU/Linux 11 (bullseye)"\n'
    if distroless:
        return {"usr/lib/os-release": os_release} | {
            f"var/lib/dpkg/status.d/{name}": text for name, text in stanzas.items()
        }
    return {"etc/os-release": os_release, "var/lib/dpkg/status": "\n".join(stanzas.values())}


def alpine(versions: Mapping[str, str]) -> Files:
    blocks = [
        f"P:{'libcrypto3' if name == 'openssl' else name}\nV:{version}\nA:x86_64\no:{name}\n"
        for name, version in versions.items()
    ]
    return {"etc/os-release": "ID=alpine\nVERSION_ID=3.17.2\n", "lib/apk/db/installed": "\n".join(blocks)}


def python(versions: Mapping[str, str]) -> Files:
    folder = "usr/local/lib/python3.11/site-packages"
    return {
        f"{folder}/{name}-{version}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        for name, version in versions.items()
    }


def node(versions: Mapping[str, str]) -> Files:
    return {
        f"app/node_modules/{name}/package.json": json.dumps({"name": name, "version": version})
        for name, version in versions.items()
    }


def java(versions: Mapping[str, str]) -> Files:
    """Each jar in a war in an ear."""
    jars = {
        f"WEB-INF/lib/{name.partition(':')[2]}-{version}.jar": {
            f"META-INF/maven/{name.replace(':', '/')}/pom.properties": (
                f"groupId={name.partition(':')[0]}\nartifactId={name.partition(':')[2]}\nversion={version}\n"
            )
        }
        for name, version in versions.items()
    }
    return {"srv/app.ear": archive({"app.war": jars})}


def go(versions: Mapping[str, str]) -> Files:
    lines = "path\texample.com/serve\nmod\texample.com/serve\t(devel)\n"
    lines += "".join(f"dep\t{name}\t{version}\th1:aaaa=\n" for name, version in versions.items())
    return {"usr/local/bin/serve": elf({".go.buildinfo": inline("go1.22.5", lines)})}


def rust(versions: Mapping[str, str]) -> Files:
    crates = [{"name": name, "version": version, "source": "crates.io"} for name, version in versions.items()]
    return {"usr/local/bin/tool": elf({".dep-v0": zlib.compress(json.dumps({"packages": crates}).encode())})}


def ruby(versions: Mapping[str, str]) -> Files:
    return {
        f"usr/local/bundle/specifications/{name}-{version}.gemspec": (
            f'Gem::Specification.new do |s|\n  s.name = "{name}".freeze\n  s.version = "{version}"\nend\n'
        )
        for name, version in versions.items()
    }


def php(versions: Mapping[str, str]) -> Files:
    packages = [{"name": name, "version": version} for name, version in versions.items()]
    return {"srv/vendor/composer/installed.json": json.dumps({"packages": packages, "dev": False})}


IMAGES: dict[str, tuple[Callable[[Mapping[str, str]], Files], Planted, dict[str, tuple[Severity | None, str]]]] = {
    "debian": (
        debian,
        {
            "zlib": ("1:1.2.11.dfsg-2+deb11u1", "1:1.2.11.dfsg-2+deb11u2"),
            "openssl": ("1.1.1n-0+deb11u3", "1.1.1n-0+deb11u4"),
        },
        {
            "CVE-2022-37434": (None, "1:1.2.11.dfsg-2+deb11u2"),
            "CVE-2023-0286": (None, "1.1.1n-0+deb11u4"),
        },
    ),
    "distroless": (
        lambda versions: debian(versions, distroless=True),
        {"openssl": ("1.1.1n-0+deb11u3", "1.1.1n-0+deb11u4")},
        {"CVE-2023-0286": (None, "1.1.1n-0+deb11u4")},
    ),
    "alpine": (
        alpine,
        {"zlib": ("1.2.12-r1", "1.2.12-r2"), "openssl": ("3.0.7-r2", "3.0.8-r0")},
        {"CVE-2022-37434": (None, "1.2.12-r2"), "CVE-2023-0286": (None, "3.0.8-r0")},
    ),
    "python": (
        python,
        {"Flask": ("2.2.4", "2.2.5"), "PyYAML": ("5.3.1", "5.4")},
        {"CVE-2023-30861": (None, "2.2.5"), "CVE-2020-14343": (None, "5.4")},
    ),
    "node": (node, {"lodash": ("4.17.20", "4.17.21")}, {"CVE-2021-23337": (Severity.HIGH, "4.17.21")}),
    "java": (
        java,
        {
            "org.apache.logging.log4j:log4j-core": ("2.14.1", "2.17.1"),
            "org.apache.commons:commons-text": ("1.9", "1.10.0"),
        },
        {"CVE-2021-44228": (Severity.CRITICAL, "2.15.0"), "CVE-2022-42889": (Severity.CRITICAL, "1.10.0")},
    ),
    "go": (go, {"golang.org/x/net": ("v0.16.0", "v0.17.0")}, {"CVE-2023-39325": (None, "0.17.0")}),
    "rust": (rust, {"time": ("0.2.22", "0.2.23")}, {"RUSTSEC-2020-0071": (None, "0.2.23")}),
    "ruby": (ruby, {"rack": ("2.2.3", "2.2.3.1")}, {"CVE-2022-30122": (None, "2.2.3.1")}),
    "php": (php, {"symfony/http-kernel": ("v4.4.49", "v4.4.50")}, {"CVE-2022-24894": (None, "4.4.50")}),
}
OF_SYSTEMS = ("debian", "distroless", "alpine")


@pytest.mark.parametrize("name", IMAGES)
def test_what_is_planted_is_found_with_its_fix_and_severity(name: str) -> None:
    files, planted, expected = IMAGES[name]

    findings = found(files({package: below for package, (below, _) in planted.items()}))

    for vulnerability, (severity, fixed) in expected.items():
        finding = next(one for one in findings.values() if vulnerability in (one.name, one.advisory, *one.related))
        assert finding.fixed_version == fixed
        assert severity in (None, finding.severity)


@pytest.mark.parametrize("name", IMAGES)
def test_nothing_is_said_of_what_is_fixed(name: str) -> None:
    files, planted, expected = IMAGES[name]

    findings = found(files({package: fixed for package, (_, fixed) in planted.items()}))

    told = {alias for one in findings.values() for alias in (one.name, one.advisory, *one.related)}
    assert not told & expected.keys()


def test_basic_scanning_sees_the_systems_packages_alone() -> None:
    vulnerable = {
        name: files({package: below for package, (below, _) in planted.items()})
        for name, (files, planted, _) in IMAGES.items()
        if name not in ("distroless", "alpine")
    }
    layers = [vulnerable.pop("debian"), *vulnerable.values()]

    everything, basic = found(*layers), found(*layers, basic=True)

    assert set(basic) == {"CVE-2022-37434", "CVE-2023-0286"}
    assert set(basic) < set(everything)
    assert len(everything) >= 10
