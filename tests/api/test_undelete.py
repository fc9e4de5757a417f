"""``openecr undelete`` beside a running server: what was deleted through the API comes back as it was."""

import json
from typing import Any

import pytest

from tests.api.support import (
    ACCOUNT,
    all_of,
    arn_of,
    error_of,
    make_image,
    push,
    push_manifest,
    repository_missing,
    upload,
)
from tests.places import ON_EVERY_PLACE
from tests.registry_client import OCI_INDEX, RegistryClient, descriptor, digest_of, image_index
from tests.running import OTHER_ACCOUNT, Server

pytestmark = ON_EVERY_PLACE


@pytest.fixture
def undelete(server: Server) -> Any:
    """Run the command; its sentences."""

    def run(wanted: str, *flags: str) -> list[str]:
        return server.command("undelete", wanted, *flags).stdout.splitlines()

    return run


@pytest.fixture
def refusal(server: Server) -> Any:
    """Run a command that must be refused; its sentence."""

    def run(wanted: str, *flags: str) -> str:
        ended = server.command("undelete", wanted, *flags, check=False)
        assert (ended.returncode != 0, ended.stdout) == (True, "")
        return ended.stderr.removeprefix("openecr: ").rstrip("\n")

    return run


def state(ecr: Any, name: str) -> list[dict[str, Any]]:
    """All that DescribeImages tells, but when images were pulled."""
    details = all_of(ecr.describe_images, "imageDetails", repositoryName=name)
    return [{key: value for key, value in item.items() if key != "lastRecordedPullTime"} for item in details]


def test_a_repository_comes_back_with_all_that_it_held(
    ecr: Any, docker: RegistryClient, repository: str, undelete: Any
) -> None:
    image = push(docker, repository, "one", "v1", "v2")
    push(docker, repository, "two")
    ecr.tag_resource(resourceArn=arn_of(repository), tags=[{"Key": "team", "Value": "a"}])
    ecr.put_image_tag_mutability(repositoryName=repository, imageTagMutability="IMMUTABLE")
    before = ecr.describe_repositories(repositoryNames=[repository])["repositories"], state(ecr, repository)
    ecr.delete_repository(repositoryName=repository, force=True)

    said = undelete(repository)

    assert said == [f"repository {repository} is back, with all that it held"]
    after = ecr.describe_repositories(repositoryNames=[repository])["repositories"], state(ecr, repository)
    assert after == before
    assert ecr.list_tags_for_resource(resourceArn=arn_of(repository))["tags"] == [{"Key": "team", "Value": "a"}]
    assert docker.pull_blob(repository, digest_of(image.layers[0])).body == image.layers[0]


def test_a_repository_whose_name_is_taken_comes_back_under_another(
    ecr: Any, docker: RegistryClient, repository: str, undelete: Any, refusal: Any
) -> None:
    image = push(docker, repository, "old", "v1")
    ecr.delete_repository(repositoryName=repository, force=True)
    ecr.create_repository(repositoryName=repository)

    refused = refusal(repository)
    said = undelete(repository, "--as", f"{repository}/old")

    assert refused == (
        f"a repository {repository} exists in registry {ACCOUNT}.us-east-1; "
        f"take the deleted one out under another name: openecr undelete {repository} --as NAME"
    )
    assert said == [f"repository {repository}/old is back, with all that it held"]
    assert state(ecr, repository) == []
    assert [item["imageDigest"] for item in state(ecr, f"{repository}/old")] == [image.digest]


def test_the_repository_that_was_deleted_last_comes_back(
    ecr: Any, docker: RegistryClient, repository: str, undelete: Any
) -> None:
    ecr.delete_repository(repositoryName=repository)
    ecr.create_repository(repositoryName=repository)
    newest = push(docker, repository, "newest", "v1")
    ecr.delete_repository(repositoryName=repository, force=True)

    undelete(repository)

    assert [item["imageDigest"] for item in state(ecr, repository)] == [newest.digest]


@pytest.mark.parametrize("by", ["digest", "tag"])
def test_an_image_comes_back_with_its_tags_and_its_bytes(
    ecr: Any, docker: RegistryClient, repository: str, undelete: Any, by: str
) -> None:
    image = push(docker, repository, "one", "v1", "v2", annotations={"a": "b"})
    before = state(ecr, repository)
    ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageDigest": image.digest}])

    said = undelete(f"{repository}@{image.digest}" if by == "digest" else f"{repository}:v2")

    assert said == [
        f"image {image.digest} is back",
        "tag v1 points at it again",
        "tag v2 points at it again",
    ]
    assert state(ecr, repository) == before
    assert docker.request("GET", f"{docker.path(repository)}/manifests/v1").body == image.manifest
    for content in (image.config, *image.layers):
        assert docker.pull_blob(repository, digest_of(content)).body == content


def test_an_image_whose_links_lapsed_comes_back_with_its_layers(
    ecr: Any, docker: RegistryClient, repository: str, undelete: Any, server: Server
) -> None:
    image = push(docker, repository, f"lapsed {repository}", "v1")
    layer = digest_of(image.layers[0])
    ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageTag": "v1"}])
    server.execute(
        "DELETE FROM layer WHERE repository_key = (SELECT id FROM repository WHERE name = :name)", name=repository
    )
    gone = docker.request("HEAD", f"{docker.path(repository)}/blobs/{layer}").status

    undelete(f"{repository}:v1")

    assert gone == 404
    assert docker.pull_blob(repository, layer).body == image.layers[0]
    assert docker.request("GET", f"{docker.path(repository)}/manifests/v1").body == image.manifest


def test_a_layer_that_came_back_is_promised_again(
    ecr: Any, docker: RegistryClient, repository: str, undelete: Any, server: Server
) -> None:
    image = push(docker, repository, f"promised {repository}", "v1")
    layer = digest_of(image.layers[0])
    ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageTag": "v1"}])
    server.execute(
        "UPDATE layer SET promised_until_us = 1 WHERE repository_key = (SELECT id FROM repository WHERE name = :name)",
        name=repository,
    )
    undelete(f"{repository}:v1")

    ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageTag": "v1"}])

    assert docker.request("HEAD", f"{docker.path(repository)}/blobs/{layer}").status == 200


def test_a_tag_that_was_pushed_again_stays_where_it_is(
    ecr: Any, docker: RegistryClient, repository: str, undelete: Any
) -> None:
    ecr.put_image_tag_mutability(repositoryName=repository, imageTagMutability="IMMUTABLE")
    old = push(docker, repository, "old", "v1", "v2")
    ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageDigest": old.digest}])
    new = push(docker, repository, "new", "v1")

    said = undelete(f"{repository}@{old.digest}")

    assert said == [
        f"image {old.digest} is back",
        f"tag v1 stays at {new.digest}, to which it was pushed meanwhile",
        "tag v2 points at it again",
    ]
    listed = {
        (item["imageDigest"], item["imageTag"]) for item in ecr.list_images(repositoryName=repository)["imageIds"]
    }
    assert listed == {(old.digest, "v2"), (new.digest, "v1")}


def test_an_image_that_was_pushed_again_stays_and_gets_its_free_tags(
    ecr: Any, docker: RegistryClient, repository: str, undelete: Any
) -> None:
    image = push(docker, repository, "one", "v1", "v2")
    ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageDigest": image.digest}])
    push_manifest(docker, repository, image.manifest, "v2", "v3")
    pushed = state(ecr, repository)[0]["imagePushedAt"]

    said = undelete(f"{repository}@{image.digest}")

    assert said == [f"image {image.digest} was pushed again meanwhile, and stays", "tag v1 points at it again"]
    assert state(ecr, repository)[0]["imageTags"] == ["v1", "v2", "v3"]
    assert state(ecr, repository)[0]["imagePushedAt"] == pushed


def test_a_tag_comes_back_to_its_image(ecr: Any, docker: RegistryClient, repository: str, undelete: Any) -> None:
    push(docker, repository, "one", "v1", "v2")
    before = state(ecr, repository)
    ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageTag": "v1"}])

    said = undelete(f"{repository}:v1")

    assert said == ["tag v1 points at it again"]
    assert state(ecr, repository) == before


def test_a_tag_that_was_deleted_before_its_image_brings_the_image_along(
    ecr: Any, docker: RegistryClient, repository: str, undelete: Any
) -> None:
    image = push(docker, repository, "one", "v1", "v2")
    for tag in ("v1", "v2"):
        ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageTag": tag}])

    said = undelete(f"{repository}:v1")

    assert said == [f"image {image.digest} is back", "tag v2 points at it again", "tag v1 points at it again"]
    assert state(ecr, repository)[0]["imageTags"] == ["v1", "v2"]


def test_a_tag_that_points_elsewhere_by_now_is_refused(
    ecr: Any, docker: RegistryClient, repository: str, refusal: Any
) -> None:
    old = push(docker, repository, "old", "v1", "v2")
    ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageTag": "v1"}])
    new = push(docker, repository, "new", "v1")

    assert refusal(f"{repository}:v1") == (
        f"the tag v1 of {repository} points at {new.digest} now; delete that tag first, "
        f"or push {old.digest} again under another tag"
    )


def test_an_index_brings_its_members_along(ecr: Any, docker: RegistryClient, repository: str, undelete: Any) -> None:
    first, second = push(docker, repository, "first", "m1"), push(docker, repository, "second")
    index = image_index(first.manifest, second.manifest)
    parent = push_manifest(docker, repository, index, "all", media_type=OCI_INDEX)
    before = state(ecr, repository)
    ids = [{"imageDigest": digest} for digest in (parent, first.digest, second.digest)]
    assert ecr.batch_delete_image(repositoryName=repository, imageIds=ids)["failures"] == []

    said = undelete(f"{repository}:all")

    assert said == [
        f"image {first.digest} is back",
        "tag m1 points at it again",
        f"image {second.digest} is back",
        f"image {parent} is back",
        "tag all points at it again",
    ]
    assert state(ecr, repository) == before
    refused = ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageDigest": first.digest}])
    assert refused["failures"][0]["failureCode"] == "ImageReferencedByManifestList"


def test_an_index_that_names_blobs_comes_back(ecr: Any, docker: RegistryClient, repository: str, undelete: Any) -> None:
    content = b"cache " + repository.encode()
    docker.push_blob(repository, content)
    cache = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [descriptor(content, "application/vnd.oci.image.layer.v1.tar+gzip")],
        }
    ).encode()
    digest = push_manifest(docker, repository, cache, "cache", media_type=OCI_INDEX)
    ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageTag": "cache"}])

    undelete(f"{repository}@{digest}")

    assert docker.request("GET", f"{docker.path(repository)}/manifests/cache").body == cache
    assert docker.pull_blob(repository, digest_of(content)).body == content


def test_an_index_whose_member_left_the_trash_is_refused_and_nothing_changes(
    ecr: Any, docker: RegistryClient, repository: str, refusal: Any, server: Server
) -> None:
    first, second = push(docker, repository, "first"), push(docker, repository, "second")
    index = image_index(first.manifest, second.manifest)
    parent = push_manifest(docker, repository, index, "all", media_type=OCI_INDEX)
    ids = [{"imageDigest": digest} for digest in (parent, first.digest, second.digest)]
    ecr.batch_delete_image(repositoryName=repository, imageIds=ids)
    purged = b"\x01" + bytes.fromhex(second.digest.removeprefix("sha256:"))
    for statement in (
        (
            "DELETE FROM trash_layer WHERE trash_key IN"
            " (SELECT id FROM trash WHERE digest = :digest AND repository_name = :name)"
        ),
        "DELETE FROM trash WHERE digest = :digest AND repository_name = :name",
    ):
        server.execute(statement, digest=purged, name=repository)

    refused = refusal(f"{repository}:all")

    assert refused == (
        f"{parent} names {second.digest}, which {repository} and its trash do not have; "
        "push what is missing, then try again"
    )
    assert state(ecr, repository) == []


def test_what_was_undeleted_left_the_trash(
    ecr: Any, docker: RegistryClient, repository: str, undelete: Any, refusal: Any
) -> None:
    image = push(docker, repository, "one", "v1")
    ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageTag": "v1"}])
    undelete(f"{repository}:v1")

    assert refusal(f"{repository}@{image.digest}") == (
        f"the trash of registry {ACCOUNT}.us-east-1 has no {repository}@{image.digest}; "
        "check the name, and --account and --region where it is another registry's"
    )


def test_an_image_of_a_deleted_repository_names_the_remedy(
    ecr: Any, docker: RegistryClient, repository: str, refusal: Any, undelete: Any
) -> None:
    push(docker, repository, "one", "v1")
    ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageTag": "v1"}])
    ecr.delete_repository(repositoryName=repository)

    assert refusal(f"{repository}:v1") == (
        f"the repository {repository} does not exist; take it out of the trash with "
        f"`openecr undelete {repository}`, or create it, and try again"
    )
    undelete(repository)
    undelete(f"{repository}:v1")
    assert len(state(ecr, repository)) == 1


def test_a_repository_that_was_made_again_with_another_encryption_takes_no_old_layers(
    ecr: Any, docker: RegistryClient, repository: str, refusal: Any
) -> None:
    image = push(docker, repository, "one", "v1")
    ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageTag": "v1"}])
    ecr.delete_repository(repositoryName=repository)
    ecr.create_repository(repositoryName=repository, encryptionConfiguration={"encryptionType": "KMS"})

    assert refusal(f"{repository}:v1") == (
        f"the repository {repository} was made again with another encryption, so that it cannot take the "
        f"layer {digest_of(image.config)} from the trash; push the image again"
    )


def test_another_registry_is_named_by_account_and_region(
    other_ecr: Any, other_docker: RegistryClient, repository_name: str, undelete: Any, refusal: Any
) -> None:
    other_ecr.create_repository(repositoryName=repository_name)
    image = push(other_docker, repository_name, "one", "v1")
    other_ecr.delete_repository(repositoryName=repository_name, force=True)

    refused = refusal(repository_name, "--region", "eu-west-1", "--account", OTHER_ACCOUNT)
    undelete(repository_name, "--account", OTHER_ACCOUNT)

    assert refused.startswith(f"the trash of registry {OTHER_ACCOUNT}.eu-west-1 has no {repository_name}; ")
    assert [item["imageDigest"] for item in state(other_ecr, repository_name)] == [image.digest]


@pytest.mark.parametrize(
    "text", ["UPPER", "a", "app:", "app:-x", "app@", "app@sha256:abc", "localhost:5050/app", "app:v1@" + "x"]
)
def test_what_is_no_reference_is_refused(refusal: Any, text: str) -> None:
    assert refusal(text) == (
        f"'{text}' is not REPO, REPO:tag or REPO@digest; give the repository's name without the registry's host"
    )


def test_another_name_is_for_repositories_only(refusal: Any) -> None:
    assert refusal("app:v1", "--as", "other") == (
        "--as names a repository; leave it out to take back an image or a tag"
    )


def test_nothing_else_reads_the_trash(ecr: Any, docker: RegistryClient, repository: str) -> None:
    image = upload(docker, repository, make_image(f"trashed {repository}"))
    push_manifest(docker, repository, image.manifest, "v1")
    ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageTag": "v1"}])

    assert state(ecr, repository) == []
    assert docker.request("GET", f"{docker.path(repository)}/manifests/{image.digest}").status == 404
    assert docker.request("GET", f"{docker.path(repository)}/tags/list").json["tags"] == []
    ecr.delete_repository(repositoryName=repository)
    assert error_of(ecr.list_images, repositoryName=repository) == repository_missing(repository)
