"""Export and import of OCI image layouts, and layouts that somebody made to do harm."""

import gzip
import io
import json
import os
import tarfile
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.places import ON_EVERY_PLACE, ON_ONE_PLACE
from tests.registry_client import OCI_MANIFEST, RegistryClient, descriptor, digest_of, image_index, image_manifest
from tests.running import OTHER_ACCOUNT, Server

pytestmark = ON_EVERY_PLACE

INDEX = "application/vnd.oci.image.index.v1+json"
LAYER = bytes(range(256)) * 500
_numbers = count(1)


@pytest.fixture
def client(server: Server) -> RegistryClient:
    return RegistryClient(server.port, server.password())


@pytest.fixture
def name(server: Server) -> str:
    made = f"transfer/source-{next(_numbers)}"
    server.client("ecr").create_repository(repositoryName=made)
    return made


def command(server: Server, *arguments: str | Path, check: bool = True) -> Any:
    return server.command(*map(str, arguments), check=check)


def everything(client: RegistryClient, name: str) -> dict[str, bytes]:
    """Every tag's manifest, and every manifest and layer below."""
    found: dict[str, bytes] = {}
    for tag in client.request("GET", f"{client.path(name)}/tags/list").json["tags"] or ():
        found[f"tag {tag}"] = _manifest(client, name, tag, found)
    return found


def _manifest(client: RegistryClient, name: str, reference: str, found: dict[str, bytes]) -> bytes:
    answer = client.request("GET", f"{client.path(name)}/manifests/{reference}")
    assert answer.status == 200, answer
    digest = answer.headers["docker-content-digest"]
    found[digest] = answer.body
    document = answer.json
    for item in document.get("manifests", ()):
        _manifest(client, name, item["digest"], found)
    for item in (document["config"], *document["layers"]) if "layers" in document else ():
        found[item["digest"]] = client.pull_blob(name, item["digest"]).body
        assert digest_of(found[item["digest"]]) == item["digest"]
    referrers = client.request("GET", f"{client.path(name)}/referrers/{digest}").json["manifests"]
    for item in referrers:
        _manifest(client, name, item["digest"], found)
    return answer.body


def fill(client: RegistryClient, name: str) -> None:
    """An image, an index of it, and a signature of the index."""
    client.push_image(name, "v1", LAYER)
    client.push_image(name, "v2", LAYER, name.encode())
    index = image_index(*(client.request("GET", f"/v2/{name}/manifests/{tag}").body for tag in ("v1", "v2")))
    assert client.push_manifest(name, "all", index, INDEX).status == 201
    client.push_blob(name, b"{}")
    client.push_blob(name, b"signature")
    signature = image_manifest(b"{}", b"signature", subject=descriptor(index, INDEX), artifactType="application/sig")
    assert client.push_manifest(name, digest_of(signature), signature).status == 201


@pytest.mark.parametrize("form", ["layout", "layout.tar"])
def test_a_repository_arrives_whole_in_another_account(
    server: Server, client: RegistryClient, name: str, tmp_path: Path, form: str
) -> None:
    fill(client, name)
    command(server, "export", name, "--to", tmp_path / form)
    refused = command(server, "import", tmp_path / form, "--account", OTHER_ACCOUNT, check=False)
    assert (refused.returncode, "--create" in refused.stderr) == (1, True)

    said = command(server, "import", tmp_path / form, "--account", OTHER_ACCOUNT, "--create").stdout

    assert "imported 4 images and 3 tags" in said
    other = RegistryClient(server.port, server.password(OTHER_ACCOUNT), prefix=f"/{OTHER_ACCOUNT}.us-east-1")
    assert everything(other, name) == everything(client, name)
    again = command(server, "import", tmp_path / form, "--account", OTHER_ACCOUNT).stdout
    assert "0 tags; copied 0 layers (0 bytes)" in again


def test_one_image_is_exported_with_its_members_and_nothing_else(
    server: Server, client: RegistryClient, name: str, tmp_path: Path
) -> None:
    fill(client, name)
    client.push_image(name, "other", b"not wanted")
    command(server, "export", f"{name}:v1", "--to", tmp_path / "layout")
    index = json.loads((tmp_path / "layout" / "index.json").read_bytes())
    assert [item["annotations"]["org.opencontainers.image.ref.name"] for item in index["manifests"]] == ["v1"]
    assert len([path for path in (tmp_path / "layout" / "blobs").rglob("*") if path.is_file()]) == 3

    command(server, "import", tmp_path / "layout", "--to", f"{name}-copy", "--create")

    assert set(everything(client, f"{name}-copy")) >= {"tag v1"}


def test_several_repositories_share_one_layout(
    server: Server, client: RegistryClient, name: str, tmp_path: Path
) -> None:
    second = f"{name}-second"
    server.client("ecr").create_repository(repositoryName=second)
    client.push_image(name, "v1", LAYER)
    client.push_image(second, "v1", LAYER, b"more")
    command(server, "export", name, second, "--to", tmp_path / "both.tar")

    command(server, "import", tmp_path / "both.tar", "--account", OTHER_ACCOUNT, "--create")

    other = RegistryClient(server.port, server.password(OTHER_ACCOUNT), prefix=f"/{OTHER_ACCOUNT}.us-east-1")
    assert everything(other, name) == everything(client, name)
    assert everything(other, second) == everything(client, second)


def test_an_immutable_tag_does_not_move(server: Server, client: RegistryClient, name: str, tmp_path: Path) -> None:
    target = f"{name}-target"
    server.client("ecr").create_repository(repositoryName=target, imageTagMutability="IMMUTABLE")
    client.push_image(target, "v1", b"the first")
    client.push_image(name, "v1", b"another")
    command(server, "export", name, "--to", tmp_path / "layout")
    before = everything(client, target)

    refused = command(server, "import", tmp_path / "layout", "--to", target, check=False)

    assert (refused.returncode, "cannot be overwritten because the tag is immutable" in refused.stderr) == (1, True)
    assert everything(client, target)["tag v1"] == before["tag v1"]
    # what is there already is no error
    command(server, "export", target, "--to", tmp_path / "same")
    command(server, "import", tmp_path / "same", "--to", target)


def test_a_damaged_layer_is_not_exported(server: Server, client: RegistryClient, name: str, tmp_path: Path) -> None:
    content = os.urandom(5000)
    client.push_image(name, "v1", content)
    digest = b"\x01" + bytes.fromhex(digest_of(content).removeprefix("sha256:"))
    find = "SELECT b.object_id FROM blob_digest d JOIN blob b ON b.id = d.blob_key WHERE d.digest = :digest"
    ((object_id,),) = server.rows(find, digest=digest)
    stored = server.swap_object(object_id, lambda before: bytes(len(before)))

    refused = command(server, "export", name, "--to", tmp_path / "out.tar", check=False)

    server.swap_object(object_id, lambda _before: stored)
    assert (refused.returncode, "damaged" in refused.stderr) == (1, True)
    assert not (tmp_path / "out.tar").exists()


def layout(**changes: Any) -> dict[str, bytes]:
    """The files of a small layout."""
    config = b'{"architecture":"amd64","os":"linux"}'
    manifest = image_manifest(config, LAYER)
    index = {"schemaVersion": 2, "manifests": [descriptor(manifest, OCI_MANIFEST)], **changes}
    files = {f"blobs/sha256/{digest_of(item)[7:]}": item for item in (config, manifest, LAYER)}
    return {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}', "index.json": json.dumps(index).encode(), **files}


def as_tar(path: Path, files: dict[str, bytes], *more: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w") as archive:
        for file, content in files.items():
            about = tarfile.TarInfo(file)
            about.size = len(content)
            archive.addfile(about, io.BytesIO(content))
        for about in more:
            archive.addfile(about, io.BytesIO(bytes(about.size)))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0) -> tarfile.TarInfo:
    about = tarfile.TarInfo(name)
    about.type, about.linkname, about.size = kind, link, size
    return about


def _huge_header(path: Path) -> Path:
    """A PAX header that claims two gigabytes."""
    about = member("x", tarfile.XHDTYPE)
    about.size = 2 * 1024**3
    path.write_bytes(about.tobuf(tarfile.GNU_FORMAT) + bytes(10_240))
    return path


def _compressed(path: Path) -> Path:
    path.write_bytes(gzip.compress(bytes(50_000_000)))
    return path


def _with_digest(text: str) -> dict[str, bytes]:
    return layout(manifests=[{"mediaType": OCI_MANIFEST, "digest": text, "size": 10}])


def _changed(part: str, content: bytes) -> dict[str, bytes]:
    files = layout()
    chosen = next(file for file, held in files.items() if held.startswith(part.encode()))
    return files | {chosen: content}


HOSTILE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a name with ..": (lambda path: as_tar(path, layout(), member("blobs/../../x")), "leads out of it"),
    "an absolute name": (lambda path: as_tar(path, layout(), member("/etc/x")), "leads out of it"),
    "a symlink": (lambda path: as_tar(path, layout(), member("blobs/x", tarfile.SYMTYPE, "/etc")), "is a link"),
    "a hard link": (lambda path: as_tar(path, layout(), member("x", tarfile.LNKTYPE, "index.json")), "is a link"),
    "a device": (lambda path: as_tar(path, layout(), member("x", tarfile.CHRTYPE)), "is a link or special"),
    "a sparse member": (
        lambda path: as_tar(path, layout(), member("x", tarfile.GNUTYPE_SPARSE)),
        "is a link or special",
    ),
    "a name twice": (lambda path: as_tar(path, layout(), member("index.json", size=2)), "twice"),
    "a huge header": (_huge_header, "longer than any has to be"),
    "a compressed tar": (_compressed, "no uncompressed tar"),
    "an index over 4 MiB": (
        lambda path: as_tar(path, layout() | {"index.json": b" " * (4 * 1024 * 1024 + 1)}),
        "longer than",
    ),
    "an index that is nested": (
        lambda path: as_tar(path, layout() | {"index.json": b"[" * 500 + b"]" * 500}),
        "nested deeper",
    ),
    "a digest that is a path": (lambda path: as_tar(path, _with_digest("sha256:../../../etc/passwd")), "no image"),
    "a digest of another algorithm": (lambda path: as_tar(path, _with_digest("md5:" + "0" * 32)), "no image"),
    "a media type that is none": (
        lambda path: as_tar(path, layout(manifests=[{"mediaType": {}, "digest": "sha256:" + "0" * 64, "size": 1}])),
        "no image",
    ),
    "a list of something else": (lambda path: as_tar(path, layout(manifests=[[]])), "lists no manifests"),
    "annotations that are none": (
        lambda path: as_tar(
            path,
            layout(
                manifests=[
                    {
                        "mediaType": OCI_MANIFEST,
                        "digest": "sha256:" + "0" * 64,
                        "size": -1,
                        "annotations": {"org.opencontainers.image.ref.name": {}},
                    }
                ]
            ),
        ),
        "has no blobs",
    ),
    "another manifest": (lambda path: as_tar(path, _changed('{"schemaVersion": 2, "mediaType"', b"{}")), "other bytes"),
    "a layer of another length": (lambda path: as_tar(path, _changed("\x00\x01", b"short")), "its manifest says"),
    "a layer with other bytes": (
        lambda path: as_tar(path, _changed("\x00\x01", bytes(len(LAYER)))),
        "digest",
    ),
}


@ON_ONE_PLACE
@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_layout_is_refused_and_changes_nothing(
    server: Server, client: RegistryClient, name: str, tmp_path: Path, case: str
) -> None:
    make, said = HOSTILE[case]

    refused = command(server, "import", make(tmp_path / "hostile.tar"), "--to", name, check=False)

    assert refused.returncode == 1
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr
    assert client.request("GET", f"/v2/{name}/tags/list").json["tags"] in (None, [])
    assert server.client("ecr").describe_images(repositoryName=name)["imageDetails"] == []


@ON_ONE_PLACE
@pytest.mark.parametrize("target", ["blobs", "blobs/sha256", "index.json", "a layer"])
def test_a_folder_with_a_link_is_refused(server: Server, name: str, tmp_path: Path, target: str) -> None:
    folder = tmp_path / "layout"
    for file, content in layout().items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(content)
    path = next((folder / "blobs" / "sha256").iterdir()) if target == "a layer" else folder / target
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")

    refused = command(server, "import", folder, "--to", name, check=False)

    assert (refused.returncode, "is a link" in refused.stderr) == (1, True)
