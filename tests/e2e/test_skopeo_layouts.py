"""OCI image layouts between openecr and skopeo, both ways."""

from pathlib import Path

from tests.e2e.conftest import NewRepository
from tests.e2e.images import push_busybox, push_two_platforms
from tests.e2e.repositories import Repository
from tests.e2e.shell import Shell
from tests.places import ON_AN_OBJECT_STORE_TOO
from tests.registry_client import RegistryClient
from tests.running import Server


@ON_AN_OBJECT_STORE_TOO
def test_skopeo_reads_an_export(
    containers_shell: Shell, server: Server, repository: Repository, registry: RegistryClient, tmp_path: Path
) -> None:
    digest = push_busybox(registry, repository.name, "v1", "one")
    index, _ = push_two_platforms(registry, repository.name, "all")
    server.command("export", repository.name, "--to", f"{tmp_path}/layout")
    server.command("export", f"{repository.name}:v1", "--to", f"{tmp_path}/one.tar")

    seen = containers_shell.run("skopeo", "inspect", "--format", "{{.Digest}}", f"oci:{tmp_path}/layout:v1")
    assert seen.strip() == digest
    seen = containers_shell.run("skopeo", "inspect", "--format", "{{.Digest}}", f"oci-archive:{tmp_path}/one.tar:v1")
    assert seen.strip() == digest
    containers_shell.run("skopeo", "copy", "--all", f"oci:{tmp_path}/layout:all", f"dir:{tmp_path}/copy")
    assert (tmp_path / "copy" / "manifest.json").read_bytes() == registry.request(
        "GET", f"/v2/{repository.name}/manifests/{index}"
    ).body


def test_openecr_reads_what_skopeo_wrote(
    containers_shell: Shell,
    server: Server,
    new_repository: NewRepository,
    registry: RegistryClient,
    password: str,
    tmp_path: Path,
) -> None:
    source, target = new_repository("source"), new_repository("target")
    push_busybox(registry, source.name, "v1", "one")
    index, members = push_two_platforms(registry, source.name, "all")
    plain = ("--src-tls-verify=false", "--src-creds", f"AWS:{password}")
    containers_shell.run("skopeo", "copy", *plain, f"docker://{source.reference}:v1", f"oci:{tmp_path}/layout:v1")
    containers_shell.run(
        "skopeo", "copy", "--all", *plain, f"docker://{source.reference}:all", f"oci-archive:{tmp_path}/all.tar:all"
    )

    server.command("import", f"{tmp_path}/layout", "--to", target.name)
    server.command("import", f"{tmp_path}/all.tar", "--to", target.name)

    assert target.tags() == {"v1", "all"}
    assert target.digest("v1") == source.digest("v1")
    assert target.digest("all") == index
    assert {image["imageDigest"] for image in target.images()} == {target.digest("v1"), index, *members}
