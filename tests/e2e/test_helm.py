"""Helm: charts as OCI artifacts."""

import re

from tests.e2e.conftest import NewRepository
from tests.e2e.shell import Shell
from tests.places import ON_AN_OBJECT_STORE_TOO
from tests.running import Server

CHART = "apiVersion: v2\nname: chart\nversion: 0.1.0\ndescription: a test's\n"


@ON_AN_OBJECT_STORE_TOO
def test_push_pull_and_show_a_chart(helm: Shell, new_repository: NewRepository, server: Server, password: str) -> None:
    repository = new_repository("chart")
    folder = helm.folder / "chart"
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text(CHART)
    (folder / "templates" / "empty.yaml").write_text("# nothing\n")
    helm.run("helm", "package", folder)
    login = ("registry", "login", "--plain-http", "--username", "AWS", "--password-stdin", server.host)
    assert "Login Succeeded" in helm.both("helm", *login, stdin=password)

    parent = f"oci://{repository.reference.removesuffix('/chart')}"
    said = helm.both("helm", "push", "--plain-http", "chart-0.1.0.tgz", parent)
    pushed = re.search(r"Digest: (sha256:[0-9a-f]{64})", said)
    assert pushed is not None
    described = repository.image("0.1.0")
    assert described["imageDigest"] == pushed[1]
    assert described["artifactMediaType"] == "application/vnd.cncf.helm.config.v1+json"

    sent = (helm.folder / "chart-0.1.0.tgz").read_bytes()
    (helm.folder / "chart-0.1.0.tgz").unlink()
    helm.run("helm", "pull", "--plain-http", f"{parent}/chart", "--version", "0.1.0")
    assert (helm.folder / "chart-0.1.0.tgz").read_bytes() == sent
    assert "name: chart" in helm.run("helm", "show", "chart", "--plain-http", f"{parent}/chart", "--version", "0.1.0")
