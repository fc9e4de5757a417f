"""buildah."""

from pathlib import Path

from tests.e2e.repositories import Repository
from tests.e2e.shell import Shell
from tests.places import ON_AN_OBJECT_STORE_TOO


@ON_AN_OBJECT_STORE_TOO
def test_make_push_and_pull_an_image(podman_shell: Shell, repository: Repository, tmp_path: Path) -> None:
    buildah, remote, said = "buildah", f"{repository.reference}:v1", tmp_path / "digest"
    (tmp_path / "data.txt").write_text("made by buildah")
    container = podman_shell.run(buildah, "from", "scratch").strip()
    podman_shell.run(buildah, "copy", container, tmp_path / "data.txt", "/data.txt")
    podman_shell.run(buildah, "config", "--label", "made=by-hand", container)
    podman_shell.run(buildah, "commit", container, remote)
    podman_shell.run(buildah, "push", "--tls-verify=false", "--digestfile", said, remote)
    assert repository.digest("v1") == said.read_text()

    podman_shell.run(buildah, "rm", container)
    podman_shell.run(buildah, "rmi", remote)
    podman_shell.run(buildah, "pull", "--tls-verify=false", remote)
    form = "{{.FromImageDigest}}"
    assert podman_shell.run(buildah, "inspect", "--type", "image", "--format", form, remote).strip() == said.read_text()
