"""``openecr scan`` and ``openecr sbom`` of folders, layouts and tars, without a server: what passes, what does not, and
that nothing unknown ever does."""

import gzip
import hashlib
import io
import json
import os
import socket
import subprocess
import tarfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.registry_client import OCI_INDEX, OCI_MANIFEST, descriptor, digest_of, image_manifest
from tests.running import openecr
from tests.scanned_images import BASE, FIXED_ROOT, HIGH, OLD_ROOT, Record, debian, jar, node, record
from tests.vex_makers import openvex, statement

OCI_LAYOUT = b'{"imageLayoutVersion": "1.0.0"}'
Scan = Callable[..., "subprocess.CompletedProcess[str]"]
HIGHS: tuple[Record, ...] = tuple(
    record(f"GHSA-high-{number}", "npm", "brittle", vector=HIGH, aliases=[f"CVE-2026-4000{number}"])
    for number in range(6)
)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Vulnerability data in a file, as a pipeline gets it."""
    return built(tmp_path_factory.mktemp("data"), *BASE, *HIGHS)


def built(folder: Path, *records: Record) -> Path:
    (folder / "records").mkdir()
    for item in records:
        (folder / "records" / f"{item['id']}.json").write_text(json.dumps(item))
    file = folder / "index"
    openecr("vulndb", "import", str(folder / "records"), "--output", str(file), "--data-dir", str(folder / "work"))
    return file


@pytest.fixture
def scan(index: Path, tmp_path: Path) -> Scan:
    """The command, with the data of this file, in a data directory without a deployment."""

    def run(target: Path, *flags: str, command: str = "scan", data: Path = index) -> "subprocess.CompletedProcess[str]":
        told = ("--vulndb", str(data)) if command == "scan" else ()
        return openecr(command, str(target), *told, *flags, "--data-dir", str(tmp_path / "none"), check=False)

    return run


def unpacked(folder: Path, *layers: bytes) -> Path:
    """A root file system of these layers."""
    folder.mkdir(exist_ok=True)
    for content in layers:
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(content))) as archive:
            archive.extractall(folder, filter="data")
    return folder


def project(folder: Path, **versions: str) -> Path:
    """A project whose lock file names npm packages."""
    folder.mkdir(exist_ok=True)
    packages = {f"node_modules/{name}": {"version": version} for name, version in versions.items()}
    lock = {"name": "app", "lockfileVersion": 3, "packages": {"": {"name": "app"}, **packages}}
    (folder / "package-lock.json").write_text(json.dumps(lock))
    return folder


class Layout:
    """An OCI image layout on the disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "blobs" / "sha256").mkdir(parents=True)
        (folder / "oci-layout").write_bytes(OCI_LAYOUT)

    def blob(self, content: bytes) -> bytes:
        self.path(content).write_bytes(content)
        return content

    def path(self, content: bytes) -> Path:
        return self.folder / "blobs" / "sha256" / hashlib.sha256(content).hexdigest()

    def image(self, *layers: bytes, architecture: str = "amd64", config: bytes = b"", **more: Any) -> bytes:
        content = self.blob(config or json.dumps({"architecture": architecture, "os": "linux"}).encode())
        for layer in layers:
            self.blob(layer)
        return self.blob(image_manifest(content, *layers, **more))

    def roots(self, *manifests: tuple[bytes, str], **annotations: str) -> "Layout":
        listed = [descriptor(content, kind, annotations=annotations) for content, kind in manifests]
        (self.folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": listed}))
        return self

    def tar(self, path: Path) -> Path:
        with tarfile.open(path, "w") as archive:
            archive.add(self.folder, ".")
        return path


def docker_save(path: Path, layers: Mapping[str, bytes | str], *, names: list[str] | None = None) -> Path:
    """A tar as docker save wrote them; a layer that is a text is a link to another."""
    config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}).encode()
    listed = [{"Config": "c.json", "RepoTags": ["team/app:v1"], "Layers": names or list(layers)}]
    with tarfile.open(path, "w") as archive:
        for name, content in {"c.json": config, "manifest.json": json.dumps(listed).encode(), **layers}.items():
            member = tarfile.TarInfo(name)
            if isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content
                archive.addfile(member)
            else:
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return path


def document(done: "subprocess.CompletedProcess[str]") -> Any:
    return json.loads(done.stdout)


def found(told: Any) -> set[tuple[str, str]]:
    return {(item["name"], item["package"]) for item in told["findings"]}


OLD = {
    ("CVE-2026-10001", "zlib"),
    ("CVE-2026-10002", "openssl"),
    ("CVE-2026-10003", "openssl"),
    ("CVE-2026-10004", "openssl"),
    ("CVE-2026-10005", "bash"),
    ("CVE-2026-10006", "bash"),
}
LEFTISH = {("CVE-2026-20001", "leftish"), ("CVE-2026-20002", "leftish")}


def test_a_root_file_system(scan: Scan, tmp_path: Path) -> None:
    root = unpacked(tmp_path / "root", debian(**OLD_ROOT), node(leftish="4.0.0"))
    (root / "opt").mkdir()
    (root / "opt" / "logs.jar").write_bytes(jar("org.example", "logs", "2.0"))

    done = scan(root, "--json")

    told = document(done)
    assert done.returncode == 3
    assert found(told) == OLD | LEFTISH | {("CVE-2026-20005", "org.example:logs")}
    assert told["counts"]["CRITICAL"] == 2
    assert told["images"][0]["distribution"] == "Debian 12"
    zlib = next(item for item in told["findings"] if item["package"] == "zlib")
    assert zlib["places"][0]["path"] == "var/lib/dpkg/status"
    assert zlib["places"][0]["purl"].startswith("pkg:deb/debian/zlib@1:1.2.13.dfsg-1")
    assert zlib["fixedVersion"] is None


def test_a_project(scan: Scan, tmp_path: Path) -> None:
    done = scan(project(tmp_path / "app", leftish="4.0.0", absent="1.0.0"))

    assert done.returncode == 0, done.stderr
    assert "HIGH       CVE-2026-20001   leftish 4.0.0   4.17.21    package-lock.json" in done.stdout
    assert done.stdout.endswith(f"{tmp_path / 'app'} passes: 1 HIGH, 1 MEDIUM\n")


def test_what_is_fixed_is_clean(scan: Scan, tmp_path: Path) -> None:
    done = scan(unpacked(tmp_path / "root", debian(**FIXED_ROOT), node(leftish="99.0.0")), "--max-high", "0", "--json")

    told = document(done)
    assert found(told) == {("CVE-2026-20002", "leftish")}
    assert (done.returncode, told["passes"], told["gaps"]) == (0, True, [])


@pytest.mark.parametrize(("most", "status"), [("5", 3), ("6", 0)])
def test_thresholds_are_counted(scan: Scan, tmp_path: Path, most: str, status: int) -> None:
    done = scan(project(tmp_path / "app", brittle="1.0.0"), "--max-high", most)

    assert done.returncode == status
    assert ("6 HIGH findings, at most 5 are allowed" in done.stdout) == bool(status)


def test_a_layout_in_a_folder_and_in_a_tar(scan: Scan, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    whiteout = unpacked_whiteout("app/node_modules/leftish/package.json")
    manifest = layout.image(debian(**OLD_ROOT), node(leftish="4.0.0", brittle="1.0.0"), whiteout)
    layout.roots((manifest, OCI_MANIFEST), **{"org.opencontainers.image.ref.name": "v1"})

    for target in (layout.folder, layout.tar(tmp_path / "layout.tar")):
        told = document(scan(target, "--json"))
        assert found(told) == OLD | {(f"CVE-2026-4000{number}", "brittle") for number in range(6)}
        assert told["images"] == [
            {"name": "v1", "digest": digest_of(manifest), "distribution": "Debian 12", "packages": 4}
        ]
        brittle = next(item for item in told["findings"] if item["package"] == "brittle")
        assert brittle["places"][0]["layer"] == digest_of(node(leftish="4.0.0", brittle="1.0.0"))


def unpacked_whiteout(path: str) -> bytes:
    folder, _, name = path.rpartition("/")
    return layer_of({f"{folder}/.wh.{name}": b""})


def layer_of(files: Mapping[str, bytes]) -> bytes:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return gzip.compress(plain.getvalue(), mtime=0)


def test_an_index_is_its_platforms_without_attestations_and_what_is_not_there_is_told(
    scan: Scan, tmp_path: Path
) -> None:
    layout = Layout(tmp_path / "layout")
    first = layout.image(debian(**FIXED_ROOT))
    second = layout.image(debian(**OLD_ROOT), architecture="arm64")
    attestation = layout.image(b"{}", architecture="unknown")
    absent = image_manifest(b"{}", b"not here")
    members = [
        descriptor(content, OCI_MANIFEST, platform={"os": system, "architecture": name})
        for content, system, name in (
            (first, "linux", "amd64"),
            (second, "linux", "arm64"),
            (absent, "linux", "s390x"),
            (attestation, "unknown", "unknown"),
        )
    ]
    index = layout.blob(json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": members}).encode())
    layout.roots((index, OCI_INDEX))

    told = document(scan(layout.folder, "--json"))

    assert found(told) == OLD
    assert [item["digest"] for item in told["images"]] == [digest_of(first), digest_of(second)]
    assert told["notThere"] == [f"{digest_of(absent)} (linux/s390x)"]
    done = scan(layout.folder, command="sbom")
    assert done.returncode == 1
    assert "an SBOM is of one image, and these are 2" in done.stderr


def test_docker_save_with_links_between_layers(scan: Scan, tmp_path: Path) -> None:
    root = gzip.decompress(debian(**OLD_ROOT))
    packages = gzip.decompress(node(leftish="4.0.0"))
    saved = docker_save(
        tmp_path / "saved.tar", {"a/layer.tar": root, "b/layer.tar": packages, "c/layer.tar": "../b/layer.tar"}
    )

    told = document(scan(saved, "--json"))

    assert found(told) == OLD | LEFTISH
    assert told["images"][0]["name"] == "team/app:v1"


def test_vex_suppresses_by_package_and_by_image(scan: Scan, tmp_path: Path) -> None:
    root = unpacked(tmp_path / "root", debian(**OLD_ROOT))
    file = tmp_path / "vex.json"
    file.write_text(openvex(statement("CVE-2026-10001", "pkg:deb/debian/zlib", impact_statement="no\x1b[31mred")))

    done = scan(root, "--vex", str(file))

    assert done.returncode == 0, done.stdout
    assert "\x1b" not in done.stdout
    assert r"not_affected: vulnerable_code_not_in_execute_path: no\x1b[31mred" in done.stdout
    told = document(scan(root, "--vex", str(file), "--json"))
    (zlib,) = [item for item in told["findings"] if item["package"] == "zlib"]
    assert zlib["suppressed"]["source"] == "https://example.com/vex/1 by Example"
    assert "CRITICAL" not in told["counts"]
    results = document(scan(root, "--vex", str(file), "--sarif"))["runs"][0]["results"]
    assert [item["ruleId"] for item in results if "suppressions" in item] == ["CVE-2026-10001"]


def test_sarif(scan: Scan, tmp_path: Path) -> None:
    done = scan(project(tmp_path / "app", leftish="4.0.0"), "--sarif")

    (run,) = document(done)["runs"]
    assert done.returncode == 0
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["CVE-2026-20001", "CVE-2026-20002"]
    assert [(item["ruleId"], item["level"]) for item in run["results"]] == [
        ("CVE-2026-20001", "error"),
        ("CVE-2026-20002", "warning"),
    ]
    location = run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]
    assert location == {"uri": "package-lock.json"}
    assert run["invocations"][0]["executionSuccessful"] is True


# What is unknown never passes.


def test_a_folder_without_packages_does_not_pass(scan: Scan, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    for flags in ((), ("--accept-gaps",)):
        done = scan(tmp_path / "empty", *flags)
        assert (done.returncode, "there is nothing to judge" in done.stdout) == (3, True), done.stderr


@pytest.mark.parametrize(
    ("os_release", "why"),
    [
        ('ID=example\nPRETTY_NAME="Example 1"\n', "there is no vulnerability data for Example 1"),
        ("", "there is no vulnerability data for a distribution that no os-release names"),
    ],
)
def test_a_distribution_that_is_not_known_does_not_pass(scan: Scan, tmp_path: Path, os_release: str, why: str) -> None:
    root = unpacked(tmp_path / "root", debian(**FIXED_ROOT))
    (root / "etc" / "os-release").write_text(os_release)

    done = scan(root, "--accept-gaps")

    assert (done.returncode, why in done.stdout) == (3, True), done.stdout + done.stderr


def test_ecosystems_without_data_are_a_gap(scan: Scan, tmp_path: Path) -> None:
    root = unpacked(tmp_path / "root", node(leftish="99.0.0"))
    (root / "Cargo.lock").write_text(
        'version = 3\n[[package]]\nname = "a"\nversion = "1.0.0"\n'
        'source = "registry+https://github.com/rust-lang/crates.io-index"\n'
    )
    (root / "Podfile.lock").write_text("PODS:\n  - Alamofire (5.8.0)\n\nDEPENDENCIES:\n  - Alamofire\n")

    done = scan(root)

    assert done.returncode == 3
    assert "There is no vulnerability data for CocoaPods, crates.io." in done.stdout
    assert scan(root, "--accept-gaps").returncode == 0


def test_old_data_is_a_gap(scan: Scan, tmp_path: Path) -> None:
    at = (datetime.now(UTC) - timedelta(days=9)).strftime("%Y-%m-%dT%H:%M:%SZ")
    old = built(tmp_path, *(item | {"modified": at} for item in BASE))
    app = project(tmp_path / "app", leftish="99.0.0")

    done = scan(app, data=old)

    assert (done.returncode, "The vulnerability data is 9 days old" in done.stdout) == (3, True), done.stdout
    assert scan(app, "--accept-gaps", data=old).returncode == 0


def test_files_that_cannot_be_parsed_are_a_gap(scan: Scan, tmp_path: Path) -> None:
    app = project(tmp_path / "app", leftish="99.0.0")
    (app / "broken").mkdir()
    (app / "broken" / "package-lock.json").write_text("{")

    done = scan(app, "--sarif")

    assert done.returncode == 3
    assert document(done)["runs"][0]["invocations"][0]["executionSuccessful"] is False
    assert "broken/package-lock.json" in scan(app).stdout


def test_links_out_of_the_folder_are_a_gap_and_nothing_is_followed(scan: Scan, tmp_path: Path) -> None:
    app = project(tmp_path / "app", leftish="99.0.0")
    project(tmp_path / "outside", brittle="1.0.0")
    (app / "sub").mkdir()
    (app / "sub" / "package-lock.json").symlink_to("../../outside/package-lock.json")
    (app / "loop").symlink_to(".")
    os.mkfifo(app / "yarn.lock")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(app / "Cargo.lock"))

    done = scan(app, "--json")

    told = document(done)
    assert done.returncode == 3
    assert "sub/package-lock.json: a link that leads out of the folder" in told["gaps"][0]
    assert found(told) == {("CVE-2026-20002", "leftish")}
    (app / "sub" / "package-lock.json").unlink()
    (app / "sub" / "package-lock.json").symlink_to("../package-lock.json")
    assert scan(app).returncode == 0


def test_development_packages_count_where_asked(scan: Scan, tmp_path: Path) -> None:
    app = project(tmp_path / "app", leftish="99.0.0")
    lock = json.loads((app / "package-lock.json").read_text())
    lock["packages"]["node_modules/brittle"] = {"version": "1.0.0", "dev": True}
    (app / "package-lock.json").write_text(json.dumps(lock))

    assert found(document(scan(app, "--json"))) == {("CVE-2026-20002", "leftish")}
    assert len(found(document(scan(app, "--json", "--development")))) == 7


# What cannot be read is no verdict.


def test_damaged_and_hostile_layouts_are_refused(scan: Scan, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    layers = debian(**OLD_ROOT)
    manifest = layout.image(layers)
    layout.roots((manifest, OCI_MANIFEST))
    layout.path(layers).write_bytes(debian(**FIXED_ROOT))
    damaged = scan(layout.folder)
    layout.path(layers).unlink()
    gone = scan(layout.folder)
    layout.path(layers).symlink_to("/etc/passwd")
    linked = scan(layout.folder)
    layout.path(manifest).write_bytes(manifest + b" ")
    other = scan(layout.folder)

    assert [done.returncode for done in (damaged, gone, linked, other)] == [1] * 4
    assert f"the bytes of {digest_of(layers)} are damaged" in damaged.stderr
    assert f"the layout does not hold the layer {digest_of(layers)}" in gone.stderr
    assert "is a link, which no layout has" in linked.stderr
    assert "has other bytes in the layout" in other.stderr


def test_a_bomb_is_refused(scan: Scan, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    bomb = gzip.compress(bytes(300 << 20), compresslevel=9, mtime=0)
    layout.roots((layout.image(bomb), OCI_MANIFEST))

    done = scan(layout.folder)

    assert done.returncode == 1
    assert done.stderr.startswith("openecr: it cannot be read: ")


@pytest.mark.parametrize(
    ("layers", "names", "why"),
    [
        ({"a/layer.tar": b""}, ["b/layer.tar"], "the tar does not hold 'b/layer.tar', which it names"),
        ({"a": "b", "b": "a"}, ["a"], "the tar does not hold 'a', which it names"),
        ({"a": "../../etc/passwd"}, ["a"], "the tar does not hold 'a', which it names"),
        ({}, ["../../etc/passwd"], "the tar does not hold '../../etc/passwd', which it names"),
    ],
)
def test_a_saved_image_names_only_what_its_tar_holds(
    scan: Scan, tmp_path: Path, layers: Mapping[str, bytes | str], names: list[str], why: str
) -> None:
    done = scan(docker_save(tmp_path / "saved.tar", layers, names=names))

    assert (done.returncode, why in done.stderr) == (1, True), done.stderr


def test_what_is_called_wrongly_is_told(scan: Scan, tmp_path: Path, index: Path) -> None:
    app = project(tmp_path / "app", leftish="4.0.0")
    text = tmp_path / "text"
    text.write_text("text")
    none = str(tmp_path / "none")
    for arguments, status, why in (
        ((str(app), "--vulndb", str(index), "--json", "--sarif"), 2, "--json and --sarif exclude each other"),
        ((str(app), "--vulndb", str(index), "--max-high", "-1"), 2, "--max-high"),
        ((str(app), "--vulndb", str(text)), 1, "is no vulnerability database"),
        ((str(app), "--vulndb", str(tmp_path / "absent")), 1, "there is no vulnerability database"),
        ((str(tmp_path / "absent"), "--vulndb", str(index)), 1, "there is nothing at"),
        ((str(text), "--vulndb", str(index)), 1, "is no uncompressed tar"),
        ((str(app),), 2, "none"),
        (("team/app:v1", "--vulndb", str(index)), 2, "none"),
        (("Team/App:v1", "--vulndb", str(index)), 2, "none"),
        ((str(app), "--vulndb", str(index), "--vex", str(text)), 1, "is no VEX document"),
    ):
        done = openecr("scan", *arguments, "--data-dir", none, check=False)
        assert (done.returncode, why in done.stderr) == (status, True), (arguments, done.stderr)
        assert done.stdout == ""


def test_an_sbom_of_a_folder_and_of_a_layout(scan: Scan, tmp_path: Path) -> None:
    app = project(tmp_path / "app", leftish="4.0.0")
    layout = Layout(tmp_path / "layout")
    manifest = layout.image(debian(**OLD_ROOT))
    layout.roots((manifest, OCI_MANIFEST))

    of_folder = document(scan(app, command="sbom"))
    of_layout = document(scan(layout.folder, "--format", "spdx", command="sbom"))
    file = tmp_path / "sbom.json"
    written = scan(app, "--output", str(file), command="sbom")

    assert of_folder["metadata"]["component"] == {
        "bom-ref": "pkg:generic/app",
        "type": "application",
        "name": str(app),
    }
    assert [item["purl"] for item in of_folder["components"]] == ["pkg:npm/leftish@4.0.0"]
    assert {package["name"] for package in of_layout["packages"]} >= {"zlib", "openssl", "bash", "debian"}
    assert of_layout["packages"][0]["versionInfo"] == digest_of(manifest)
    assert (written.stdout, json.loads(file.read_text())["components"]) == ("", of_folder["components"])


def test_the_engine_is_the_registrys_own(scan: Scan, tmp_path: Path) -> None:
    """A layer that a limit of the engine refuses has no verdict here either."""
    layout = Layout(tmp_path / "layout")
    deep = layer_of({"/".join(["d"] * 300) + "/package.json": b"{}"})
    layout.roots((layout.image(deep), OCI_MANIFEST))

    done = scan(layout.folder, "--accept-gaps")

    assert done.returncode == 1
    assert "more than 256 directories deep" in done.stderr
