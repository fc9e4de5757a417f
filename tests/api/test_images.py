"""PutImage, BatchGetImage: what is stored, what is refused, in which order."""

import hashlib
import json
from typing import Any

import apsw
import psycopg
import pytest

from openecr import manifest as kinds
from tests.api.support import (
    ABSENT_DIGEST,
    ACCOUNT,
    Image,
    all_of,
    bad_parameter,
    error_of,
    make_image,
    members_of,
    push,
    push_manifest,
    repository_missing,
    upload,
)
from tests.places import ON_EVERY_PLACE
from tests.registry_client import (
    OCI_INDEX,
    OCI_MANIFEST,
    RegistryClient,
    descriptor,
    digest_of,
    image_index,
    image_manifest,
)
from tests.running import Server

pytestmark = ON_EVERY_PLACE

BAD_MANIFEST = bad_parameter("ImageManifest", "Invalid JSON syntax")


def layers_missing(name: str, *digests: str) -> tuple[str, str]:
    return (
        "LayersNotFoundException",
        (
            f"Layers with digests '[{', '.join(digests)}]' required for pushing image into repository with name "
            f"'{name}' in the registry with id '{ACCOUNT}' do not exist"
        ),
    )


def images_missing(name: str, *digests: str) -> tuple[str, str]:
    return (
        "ReferencedImagesNotFoundException",
        (
            f"Images with digests '[{', '.join(digests)}]' required for pushing image into repository with name "
            f"'{name}' in the registry with id '{ACCOUNT}' do not exist"
        ),
    )


def already_there(name: str, digest: str, tag: str) -> tuple[str, str]:
    return (
        "ImageAlreadyExistsException",
        (
            f"Image with digest '{digest}' and tag '{tag}' already exists in the repository with name '{name}' "
            f"in registry with id '{ACCOUNT}'"
        ),
    )


def docker_manifest(image: Image) -> bytes:
    """The image in Docker's schema 2."""
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": kinds.DOCKER_MANIFEST,
            "config": descriptor(image.config, "application/vnd.docker.container.image.v1+json"),
            "layers": [
                descriptor(layer, "application/vnd.docker.image.rootfs.diff.tar.gzip") for layer in image.layers
            ],
        }
    ).encode()


def test_pushing_an_image_answers_with_ecrs_members(ecr: Any, docker: RegistryClient, repository: str) -> None:
    image = upload(docker, repository, make_image("one"))

    answer = members_of(ecr.put_image(repositoryName=repository, imageManifest=image.text, imageTag="v1"))

    assert answer == {
        "image": {
            "registryId": ACCOUNT,
            "repositoryName": repository,
            "imageId": {"imageDigest": image.digest, "imageTag": "v1"},
            "imageManifest": image.text,
            "imageManifestMediaType": OCI_MANIFEST,
        }
    }


def test_an_image_pushed_without_a_tag_has_none(ecr: Any, docker: RegistryClient, repository: str) -> None:
    image = upload(docker, repository, make_image("one"))

    answer = ecr.put_image(repositoryName=repository, imageManifest=image.text)

    assert answer["image"]["imageId"] == {"imageDigest": image.digest}
    assert ecr.list_images(repositoryName=repository)["imageIds"] == [{"imageDigest": image.digest}]


def test_the_manifest_comes_back_byte_for_byte(ecr: Any, docker: RegistryClient, repository: str) -> None:
    base = make_image("spaced")
    spaced = json.dumps(json.loads(base.text), indent=7) + "\n  "
    upload(docker, repository, base)

    pushed = ecr.put_image(repositoryName=repository, imageManifest=spaced, imageTag="v1")["image"]

    got = ecr.batch_get_image(repositoryName=repository, imageIds=[{"imageTag": "v1"}])["images"][0]
    assert got["imageManifest"] == spaced
    assert pushed["imageId"]["imageDigest"] == digest_of(spaced.encode())


@pytest.mark.parametrize(
    "text",
    [
        "not json",
        "[]",
        "{}",
        '{"schemaVersion": 2}',
        json.dumps({"schemaVersion": 1, "mediaType": OCI_MANIFEST, "config": {}, "layers": []}),
        json.dumps({"schemaVersion": 2, "mediaType": "application/json", "config": {}, "layers": []}),
        json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": {"digest": "x"}, "layers": []}),
        json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "manifests": [], "config": {}, "layers": []}),
    ],
)
def test_what_is_no_manifest_is_refused_with_one_text(ecr: Any, repository: str, text: str) -> None:
    assert error_of(ecr.put_image, repositoryName=repository, imageManifest=text) == BAD_MANIFEST


def test_a_media_type_that_contradicts_the_manifest_is_refused(
    ecr: Any, docker: RegistryClient, repository: str
) -> None:
    image = upload(docker, repository, make_image("one"))

    assert (
        error_of(
            ecr.put_image,
            repositoryName=repository,
            imageManifest=image.text,
            imageManifestMediaType=kinds.DOCKER_MANIFEST,
        )
        == BAD_MANIFEST
    )


def test_a_manifest_without_a_media_type_takes_the_requests(ecr: Any, docker: RegistryClient, repository: str) -> None:
    image = upload(docker, repository, make_image("one"))
    bare = json.dumps({name: value for name, value in json.loads(image.text).items() if name != "mediaType"})

    refused = error_of(ecr.put_image, repositoryName=repository, imageManifest=bare)
    taken = ecr.put_image(repositoryName=repository, imageManifest=bare, imageManifestMediaType=OCI_MANIFEST)

    assert refused == BAD_MANIFEST
    assert taken["image"]["imageManifestMediaType"] == OCI_MANIFEST


def test_an_image_needs_a_layer(ecr: Any, docker: RegistryClient, repository: str) -> None:
    config = b'{"about": "no layers"}'
    docker.push_blob(repository, config)

    refused = error_of(ecr.put_image, repositoryName=repository, imageManifest=image_manifest(config).decode())

    assert refused == bad_parameter("ImageManifest", "Image has to have at least 1 layer")


def test_an_artifact_needs_no_layer(ecr: Any, docker: RegistryClient, repository: str) -> None:
    docker.push_blob(repository, b"{}")
    artifact = image_manifest(b"{}", artifactType="application/vnd.example.nothing")

    pushed = ecr.put_image(repositoryName=repository, imageManifest=artifact.decode())

    assert pushed["image"]["imageId"]["imageDigest"] == digest_of(artifact)


def test_every_missing_layer_is_named_config_first(ecr: Any, docker: RegistryClient, repository: str) -> None:
    image = make_image("one", b"here", b"missing 1", b"missing 2")
    docker.push_blob(repository, b"here")

    refused = error_of(ecr.put_image, repositoryName=repository, imageManifest=image.text)

    missing = (digest_of(image.config), digest_of(b"missing 1"), digest_of(b"missing 2"))
    assert refused == layers_missing(repository, *missing)


def test_a_layer_of_another_repository_is_missing(
    ecr: Any, docker: RegistryClient, repository: str, repository_name: str
) -> None:
    ecr.create_repository(repositoryName=f"{repository_name}/other")
    image = upload(docker, f"{repository_name}/other", make_image("one"))

    refused = error_of(ecr.put_image, repositoryName=repository, imageManifest=image.text)

    assert refused == layers_missing(repository, digest_of(image.config), digest_of(image.layers[0]))


def test_every_missing_member_of_an_index_is_named(ecr: Any, docker: RegistryClient, repository: str) -> None:
    here = push(docker, repository, "here")
    index = image_index(make_image("a").manifest, here.manifest, make_image("b").manifest)

    refused = error_of(ecr.put_image, repositoryName=repository, imageManifest=index.decode())

    assert refused == images_missing(repository, make_image("a").digest, make_image("b").digest)


def test_a_wrong_digest_is_told_before_missing_layers(ecr: Any, repository: str) -> None:
    image = make_image("never uploaded")

    refused = error_of(ecr.put_image, repositoryName=repository, imageManifest=image.text, imageDigest=ABSENT_DIGEST)

    assert refused == (
        "ImageDigestDoesNotMatchException",
        (
            f"The image with digest '{ABSENT_DIGEST}' in repository '{repository}' and registry ID '{ACCOUNT}' "
            "does not match the image digest that Amazon ECR has calculated."
        ),
    )


def test_a_right_digest_is_taken(ecr: Any, docker: RegistryClient, repository: str) -> None:
    image = upload(docker, repository, make_image("one"))

    pushed = ecr.put_image(repositoryName=repository, imageManifest=image.text, imageDigest=image.digest)

    assert pushed["image"]["imageId"] == {"imageDigest": image.digest}


def test_a_sha512_digest_is_the_identity_of_an_image_that_was_pushed_under_it(
    ecr: Any, docker: RegistryClient, repository: str
) -> None:
    image = upload(docker, repository, make_image("one"))
    digest = "sha512:" + hashlib.sha512(image.manifest).hexdigest()

    ecr.put_image(repositoryName=repository, imageManifest=image.text, imageDigest=digest, imageTag="v1")

    assert ecr.list_images(repositoryName=repository)["imageIds"] == [{"imageDigest": digest, "imageTag": "v1"}]


@pytest.mark.parametrize("tag", ["-v1", ".v1", "a:b", "a+b", "a/b", "x" * 301, ""])
def test_a_malformed_tag_is_refused(unchecked: Any, repository: str, tag: str) -> None:
    code, message = error_of(
        unchecked.put_image, repositoryName=repository, imageManifest=make_image("x").text, imageTag=tag
    )

    assert code == "InvalidParameterException"
    assert message.startswith("Invalid parameter at 'imageTag' failed to satisfy constraint: 'must ")


def test_a_tag_may_have_three_hundred_characters(ecr: Any, docker: RegistryClient, repository: str) -> None:
    image = upload(docker, repository, make_image("one"))
    tag = "_" + "x" * 299

    ecr.put_image(repositoryName=repository, imageManifest=image.text, imageTag=tag)

    got = ecr.batch_get_image(repositoryName=repository, imageIds=[{"imageTag": tag}])
    assert got["images"][0]["imageId"] == {"imageDigest": image.digest, "imageTag": tag}


def test_the_same_image_under_the_same_tag_is_an_error(ecr: Any, docker: RegistryClient, repository: str) -> None:
    image = push(docker, repository, "one", "v1")

    again = error_of(ecr.put_image, repositoryName=repository, imageManifest=image.text, imageTag="v1")

    assert again == already_there(repository, image.digest, "v1")


def test_an_existing_image_without_a_tag_is_an_error(ecr: Any, docker: RegistryClient, repository: str) -> None:
    image = push(docker, repository, "one", "v1")

    again = error_of(ecr.put_image, repositoryName=repository, imageManifest=image.text)

    assert again == already_there(repository, image.digest, "null")


def test_an_existing_image_takes_another_tag_and_keeps_its_push_time(
    ecr: Any, docker: RegistryClient, repository: str
) -> None:
    image = push(docker, repository, "one", "v1")
    before = ecr.describe_images(repositoryName=repository)["imageDetails"][0]

    ecr.put_image(repositoryName=repository, imageManifest=image.text, imageTag="v2")

    after = ecr.describe_images(repositoryName=repository)["imageDetails"][0]
    assert after == before | {"imageTags": ["v1", "v2"]}


def test_a_mutable_tag_moves_and_leaves_the_old_image_untagged(
    ecr: Any, docker: RegistryClient, repository: str
) -> None:
    old = push(docker, repository, "old", "v1")
    new = upload(docker, repository, make_image("new"))

    ecr.put_image(repositoryName=repository, imageManifest=new.text, imageTag="v1")

    assert all_of(ecr.list_images, "imageIds", repositoryName=repository) == [
        {"imageDigest": old.digest},
        {"imageDigest": new.digest, "imageTag": "v1"},
    ]


def test_the_thousandth_tag_is_the_last(ecr: Any, docker: RegistryClient, repository: str) -> None:
    image = upload(docker, repository, make_image("many"))
    for start in range(0, 1000, 10):
        push_manifest(docker, repository, image.manifest, *(f"t{number}" for number in range(start, start + 10)))

    refused = error_of(ecr.put_image, repositoryName=repository, imageManifest=image.text, imageTag="more")

    assert refused == (
        "LimitExceededException",
        (
            f"Adding tag 'more' to an image in the repository with name '{repository}' in registry with id '{ACCOUNT}' "
            "exceeds the maximum allowed number of tags per image which is '1000'"
        ),
    )
    assert len(all_of(ecr.list_images, "imageIds", repositoryName=repository, maxResults=999)) == 1000


def test_pushing_into_a_missing_repository_is_told_before_a_bad_manifest(ecr: Any, repository_name: str) -> None:
    refused = error_of(ecr.put_image, repositoryName=repository_name, imageManifest="not json")

    assert refused == repository_missing(repository_name)


def test_the_size_of_a_manifest_is_limited(unchecked: Any, repository: str) -> None:
    refused = error_of(unchecked.put_image, repositoryName=repository, imageManifest="x" * (4 * 1024 * 1024 + 1))

    assert refused == bad_parameter("imageManifest", "must have length less than or equal to 4194304")


def test_a_subject_need_not_exist(ecr: Any, docker: RegistryClient, repository: str) -> None:
    subject = {"mediaType": OCI_MANIFEST, "digest": ABSENT_DIGEST, "size": 2}
    image = upload(docker, repository, make_image("about nothing", subject=subject))

    ecr.put_image(repositoryName=repository, imageManifest=image.text)

    detail = ecr.describe_images(repositoryName=repository)["imageDetails"][0]
    assert detail["subjectManifestDigest"] == ABSENT_DIGEST


def test_sparse_manifests_are_taken_where_the_setting_says_so(server: Server, repository_name: str) -> None:
    ecr = server.client("ecr", region="eu-north-1")
    ecr.create_repository(repositoryName=repository_name)
    image = make_image("nothing uploaded")

    refused = error_of(ecr.put_image, repositoryName=repository_name, imageManifest=image.text)
    ecr.put_account_setting(name="SPARSE_MANIFESTS", value="ENABLED")
    taken = ecr.put_image(repositoryName=repository_name, imageManifest=image.text)

    assert refused[0] == "LayersNotFoundException"
    assert taken["image"]["imageId"] == {"imageDigest": image.digest}


# BatchGetImage


def get(ecr: Any, name: str, *ids: dict[str, str], **more: Any) -> dict[str, Any]:
    return members_of(ecr.batch_get_image(repositoryName=name, imageIds=list(ids), **more))


def test_getting_by_tag_and_by_digest_echoes_what_was_asked(ecr: Any, docker: RegistryClient, repository: str) -> None:
    image = push(docker, repository, "one", "v1")
    both = {"imageDigest": image.digest, "imageTag": "v1"}

    answer = get(ecr, repository, {"imageTag": "v1"}, {"imageDigest": image.digest}, both)

    common = {
        "registryId": ACCOUNT,
        "repositoryName": repository,
        "imageManifest": image.text,
        "imageManifestMediaType": OCI_MANIFEST,
    }
    assert answer == {
        "images": [common | {"imageId": asked} for asked in (both, {"imageDigest": image.digest}, both)],
        "failures": [],
    }


def test_each_bad_id_fails_alone_with_its_code_and_reason(ecr: Any, docker: RegistryClient, repository: str) -> None:
    image = push(docker, repository, "one", "v1")
    other = push(docker, repository, "two", "v2")
    mismatch = {"imageDigest": other.digest, "imageTag": "v1"}

    answer = get(
        ecr,
        repository,
        {},
        {"imageTag": "absent"},
        {"imageDigest": ABSENT_DIGEST},
        {"imageDigest": "not a digest"},
        {"imageTag": "a b"},
        mismatch,
        {"imageTag": "v1"},
    )

    assert [item["imageId"]["imageDigest"] for item in answer["images"]] == [image.digest]
    assert [(item["imageId"], item["failureCode"], item["failureReason"]) for item in answer["failures"]] == [
        ({}, "MissingDigestAndTag", "Invalid request parameters: both tag and digest cannot be null"),
        ({"imageTag": "absent"}, "ImageNotFound", "Requested image not found"),
        ({"imageDigest": ABSENT_DIGEST}, "ImageNotFound", "Requested image not found"),
        (
            {"imageDigest": "not a digest"},
            "InvalidImageDigest",
            "Invalid request parameters: image digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'",
        ),
        (
            {"imageTag": "a b"},
            "InvalidImageTag",
            "Invalid request parameters: image tag should satisfy the regex '[a-zA-Z0-9_][a-zA-Z0-9-._]*'",
        ),
        (mismatch, "ImageTagDoesNotMatchDigest", "Requested image tag does not match the image digest"),
    ]


def test_a_hundred_ids_are_taken_and_no_more(ecr: Any, unchecked: Any, repository: str) -> None:
    ids = [{"imageTag": f"t{number}"} for number in range(100)]

    answer = get(ecr, repository, *ids)

    assert len(answer["failures"]) == 100
    assert error_of(
        unchecked.batch_get_image, repositoryName=repository, imageIds=[*ids, {"imageTag": "x"}]
    ) == bad_parameter("imageIds", "Member must have length less than or equal to 100")
    assert error_of(unchecked.batch_get_image, repositoryName=repository, imageIds=[]) == bad_parameter(
        "imageIds", "Member must have length greater than or equal to 1"
    )


def test_getting_from_a_missing_repository(ecr: Any, repository_name: str) -> None:
    refused = error_of(ecr.batch_get_image, repositoryName=repository_name, imageIds=[{"imageTag": "v1"}])

    assert refused == repository_missing(repository_name)


def test_by_tag_an_image_is_converted_to_the_only_format_that_is_accepted(
    ecr: Any, docker: RegistryClient, repository: str
) -> None:
    image = upload(docker, repository, make_image("one"))
    stored = docker_manifest(image)
    push_manifest(docker, repository, stored, "v1", media_type=kinds.DOCKER_MANIFEST)

    by_tag = get(ecr, repository, {"imageTag": "v1"}, acceptedMediaTypes=[OCI_MANIFEST])["images"][0]
    by_digest = get(ecr, repository, {"imageDigest": digest_of(stored)}, acceptedMediaTypes=[OCI_MANIFEST])["images"][0]

    assert by_tag["imageManifestMediaType"] == OCI_MANIFEST
    converted = json.loads(by_tag["imageManifest"])
    assert converted["layers"] == json.loads(image.text)["layers"]
    assert converted["config"] == json.loads(image.text)["config"]
    assert by_tag["imageId"]["imageDigest"] == digest_of(by_tag["imageManifest"].encode())
    assert by_digest["imageManifest"] == stored.decode()


def test_by_tag_an_index_gives_its_linux_amd64_image_where_no_index_is_accepted(
    ecr: Any, docker: RegistryClient, repository: str
) -> None:
    amd64, arm64 = push(docker, repository, "amd64"), push(docker, repository, "arm64")
    index = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [
                descriptor(arm64.manifest, OCI_MANIFEST, platform={"os": "linux", "architecture": "arm64"}),
                descriptor(amd64.manifest, OCI_MANIFEST, platform={"os": "linux", "architecture": "amd64"}),
            ],
        }
    ).encode()
    push_manifest(docker, repository, index, "v1", media_type=OCI_INDEX)

    single = get(ecr, repository, {"imageTag": "v1"}, acceptedMediaTypes=[OCI_MANIFEST])["images"][0]
    whole = get(ecr, repository, {"imageTag": "v1"}, acceptedMediaTypes=[OCI_INDEX, OCI_MANIFEST])["images"][0]

    assert single["imageManifest"] == amd64.text
    assert single["imageId"] == {"imageDigest": amd64.digest, "imageTag": "v1"}
    assert whole["imageManifest"] == index.decode()


def test_an_image_that_another_account_asks_for_is_denied_before_it_is_looked_for(
    other_ecr: Any, docker: RegistryClient, repository: str
) -> None:
    push(docker, repository, "one", "v1")

    errors = {
        error_of(other_ecr.batch_get_image, registryId=ACCOUNT, repositoryName=repository, imageIds=[{"imageTag": tag}])
        for tag in ("v1", "absent")
    }

    assert [code for code, _ in errors] == ["AccessDeniedException"]


def test_the_database_refuses_to_lose_a_layer_that_an_image_names(
    server: Server, docker: RegistryClient, repository: str
) -> None:
    push(docker, repository, "one", "v1")
    with pytest.raises((apsw.ConstraintError, psycopg.errors.ForeignKeyViolation)):
        server.execute(
            "DELETE FROM layer WHERE repository_key IN (SELECT id FROM repository WHERE name = :name)", name=repository
        )
