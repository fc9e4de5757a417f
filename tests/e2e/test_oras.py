"""oras: artifacts, and what refers to them."""

import json
from pathlib import Path

import pytest

from tests.e2e.conftest import NewRepository
from tests.e2e.repositories import Repository
from tests.e2e.shell import Shell
from tests.places import ON_AN_OBJECT_STORE_TOO
from tests.running import Server

SBOM = "application/vnd.example.sbom"


@pytest.fixture
def oras(newer_programs: Path, clean_shell: Shell, server: Server, password: str) -> Shell:
    """A shell that is logged in."""
    shell = clean_shell.with_variables(PATH=f"{newer_programs}:{clean_shell.variables['PATH']}")
    login = ("login", "--plain-http", "--username", "AWS", "--password-stdin", server.host)
    assert "Login Succeeded" in shell.run("oras", *login, stdin=password)
    return shell


@ON_AN_OBJECT_STORE_TOO
def test_push_pull_attach_and_discover(oras: Shell, repository: Repository) -> None:
    remote = f"{repository.reference}:v1"
    (oras.folder / "data.txt").write_text("an artifact")
    (oras.folder / "sbom.json").write_text("{}")
    artifact = ("--artifact-type", "application/vnd.example.data")
    oras.run("oras", "push", "--plain-http", *artifact, remote, "data.txt:text/plain")
    described = repository.image("v1")
    assert described["artifactMediaType"] == "application/vnd.example.data"

    (oras.folder / "out").mkdir()
    oras.run("oras", "pull", "--plain-http", "--output", "out", remote)
    assert (oras.folder / "out" / "data.txt").read_text() == "an artifact"

    oras.run("oras", "attach", "--plain-http", "--artifact-type", SBOM, remote, "sbom.json:application/json")
    found = json.loads(oras.run("oras", "discover", "--plain-http", "--format", "json", remote))
    (referrer,) = found["manifests"]
    assert referrer["artifactType"] == SBOM
    listed = repository.ecr.list_image_referrers(
        repositoryName=repository.name, subjectId={"imageDigest": described["imageDigest"]}
    )["referrers"]
    assert [(item["digest"], item["artifactType"]) for item in listed] == [(referrer["digest"], SBOM)]
    tagged = oras.run("oras", "repo", "tags", "--plain-http", repository.reference).split()
    assert tagged == ["v1"]


def test_copy_with_referrers_tag_and_delete(oras: Shell, new_repository: NewRepository) -> None:
    repository, target = new_repository(), new_repository("target")
    (oras.folder / "data.txt").write_text("copied")
    remote = f"{repository.reference}:v1"
    oras.run("oras", "push", "--plain-http", remote, "data.txt")
    oras.run("oras", "attach", "--plain-http", "--artifact-type", SBOM, remote, "data.txt")
    oras.run("oras", "tag", "--plain-http", remote, "v2")
    digest = repository.digest("v1")
    assert repository.digest("v2") == digest
    oras.run("oras", "copy", "--to-oci-layout", "--from-plain-http", "--recursive", remote, "layout:v1")
    copy = f"{target.reference}:v1"
    oras.run("oras", "copy", "--from-oci-layout", "--to-plain-http", "--recursive", "layout:v1", copy)
    assert target.digest("v1") == digest
    assert {image["imageDigest"] for image in target.images()} == {
        image["imageDigest"] for image in repository.images()
    }
    oras.run("oras", "manifest", "delete", "--plain-http", "--force", f"{repository.reference}@{digest}")
    assert repository.tags() == set()
