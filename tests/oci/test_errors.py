"""ECR's answer to everything that goes wrong on the dkr plane: status, code and sentence, to the letter (reference §4).

Clients print these sentences, scripts match on them, and containers/image decides by the status what to try next.
"""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest

from openecr.access import tokens
from openecr.keyring import Keyring
from tests.oci.insider import Insider
from tests.places import ON_DATABASES
from tests.registry_client import (
    OCI_INDEX,
    OCI_MANIFEST,
    Answer,
    RegistryClient,
    descriptor,
    digest_of,
    image_index,
    image_manifest,
)
from tests.running import DEFAULT_ACCOUNT, OTHER_ACCOUNT, Server

pytestmark = ON_DATABASES

NOWHERE = "sha256:" + "0" * 64
UPLOAD = "12345678-1234-1234-1234-123456789012"
INVALID_JSON = "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax'"
INVALID_TAG = (
    "Invalid parameter at 'imageTag' failed to satisfy constraint: "
    "'must satisfy regular expression '[a-zA-Z0-9_][a-zA-Z0-9._-]*''"
)
INVALID_NAME = (
    "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression "
    "'(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*''"
)
EXPIRED = "Your authorization token has expired. Reauthenticate and try again."
INVALID_TOKEN = "Your Authorization Token is invalid."
UNSUPPORTED = (405, "UNSUPPORTED", "The operation is unsupported.")


def invalid_digest(parameter: str) -> str:
    return (
        f"Invalid parameter at '{parameter}' failed to satisfy constraint: "
        "'must satisfy regular expression '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+''"
    )


def no_repository(name: str) -> tuple[int, str, str]:
    sentence = f"The repository with name '{name}' does not exist in the registry with id '{DEFAULT_ACCOUNT}'"
    return 404, "NAME_UNKNOWN", sentence


def no_upload(name: str, upload_id: str) -> tuple[int, str, str]:
    return (
        404,
        "BLOB_UPLOAD_UNKNOWN",
        (
            f"The upload with id '{upload_id}' in the repository with name '{name}' in registry with id "
            f"'{DEFAULT_ACCOUNT}' does not exist"
        ),
    )


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@dataclass(frozen=True)
class Route:
    """One route of the plane, with {name} where the repository's goes, and the IAM action that it is."""

    method: str
    path: str
    action: str
    body: bytes | None = None

    def send(self, client: RegistryClient, name: str) -> Answer:
        headers = {"Content_Type": OCI_MANIFEST} if self.method == "PUT" else {}
        return client.request(self.method, self.path.format(name=name), self.body, **headers)


ROUTES = (
    Route("GET", "/v2/{name}/manifests/latest", "BatchGetImage"),
    Route("GET", f"/v2/{{name}}/manifests/{NOWHERE}", "BatchGetImage"),
    Route("PUT", "/v2/{name}/manifests/latest", "PutImage", image_manifest(b"{}")),
    Route("DELETE", "/v2/{name}/manifests/latest", "BatchDeleteImage"),
    Route("GET", f"/v2/{{name}}/blobs/{NOWHERE}", "GetDownloadUrlForLayer"),
    Route("HEAD", f"/v2/{{name}}/blobs/{NOWHERE}", "BatchCheckLayerAvailability"),
    Route("POST", "/v2/{name}/blobs/uploads/", "InitiateLayerUpload", b""),
    Route("POST", f"/v2/{{name}}/blobs/uploads/?digest={digest_of(b'x')}", "InitiateLayerUpload", b"x"),
    Route("POST", f"/v2/{{name}}/blobs/uploads/?mount={NOWHERE}&from=some/source", "InitiateLayerUpload", b""),
    Route("GET", f"/v2/{{name}}/blobs/uploads/{UPLOAD}", "InitiateLayerUpload"),
    Route("PATCH", f"/v2/{{name}}/blobs/uploads/{UPLOAD}", "UploadLayerPart", b"x"),
    Route("PUT", f"/v2/{{name}}/blobs/uploads/{UPLOAD}?digest={NOWHERE}", "CompleteLayerUpload", b""),
    Route("DELETE", f"/v2/{{name}}/blobs/uploads/{UPLOAD}", "InitiateLayerUpload"),
    Route("GET", "/v2/{name}/tags/list", "ListImages"),
    Route("GET", f"/v2/{{name}}/referrers/{NOWHERE}", "BatchGetImage"),
)
EVERY_ROUTE = [
    pytest.param(route, id=f"{route.method} {route.path.replace(NOWHERE, 'digest').replace(UPLOAD, 'upload')}")
    for route in ROUTES
]
ANY_PATHS = ("/v2/", "/v2/_catalog", "/v2/x/y", *(route.path.format(name="some/name") for route in ROUTES))


class TestCredentials:
    @pytest.mark.parametrize("path", ANY_PATHS)
    def test_no_credentials_are_challenged_to_the_letter(
        self, server: Server, anonymous: RegistryClient, path: str
    ) -> None:
        answer = anonymous.request("GET", path)
        assert answer.status == 401
        assert answer.headers["www-authenticate"] == f'Basic realm="{server.url}/",service="ecr.amazonaws.com"'
        assert answer.headers["docker-distribution-api-version"] == "registry/2.0"
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.headers["content-length"] == "15"
        assert answer.body == b"Not Authorized\n"

    @pytest.mark.parametrize(
        "header",
        [
            "",
            "Basic",
            "Basic !!!!",
            "Basic \xe9\xe9\xe9\xe9",
            basic("AWS"),
            basic("AWS:"),
            basic("aws:token"),
            basic("root:token"),
            basic(":"),
            "Bearer eyJhbGciOiJub25lIn0.e30.",
            "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/ecr/aws4_request, SignedHeaders=host, Signature=0",
            "Basic " + base64.b64encode(b"AWS:\xff\xfe").decode(),
            "Basic " + "A" * 9000,
        ],
    )
    def test_what_is_no_token_is_challenged(self, anonymous: RegistryClient, header: str) -> None:
        answer = anonymous.request("GET", "/v2/", Authorization=header)
        assert (answer.status, answer.body) == (401, b"Not Authorized\n")

    @pytest.mark.parametrize(
        "password",
        ["garbage", "e30", "bnVsbA", "WzFd", "IiI", "eyJwYXlsb2FkIjoxfQ", "eyJwYXlsb2FkIjoiLi4ifQ", "%", "é"],
    )
    def test_a_password_that_nobody_made_is_denied(self, server: Server, password: str) -> None:
        answer = RegistryClient(server.port, password).request("GET", "/v2/")
        assert answer.error == (403, "DENIED", INVALID_TOKEN)

    def test_a_token_of_another_deployment_is_denied(self, server: Server, insider: Insider) -> None:
        theirs = Keyring({tokens.USE: dict.fromkeys(range(1, 100), b"x" * 32)})
        password = tokens.issue(theirs, insider.access_key(DEFAULT_ACCOUNT), 2**60)
        assert RegistryClient(server.port, password).request("GET", "/v2/").error == (403, "DENIED", INVALID_TOKEN)

    def test_an_expired_token_says_so(self, server: Server, insider: Insider) -> None:
        password = insider.password(insider.access_key(DEFAULT_ACCOUNT), seconds=-1)
        for path in ANY_PATHS:
            if f"/uploads/{UPLOAD}" not in path:
                answer = RegistryClient(server.port, password).request("GET", path)
                assert answer.error == (403, "DENIED", EXPIRED), path

    def test_an_upload_outlives_the_token_that_began_it_by_a_day(
        self, server: Server, insider: Insider, registry: RegistryClient, repository: str
    ) -> None:
        location = registry.request("POST", f"/v2/{repository}/blobs/uploads/", b"").headers["location"]
        access_key_id = insider.access_key(DEFAULT_ACCOUNT)
        lately, long_ago = (
            RegistryClient(server.port, insider.password(access_key_id, seconds)) for seconds in (-1, -86_401)
        )
        assert long_ago.request("PATCH", location, b"bytes").error == (403, "DENIED", EXPIRED)
        assert lately.request("PATCH", location, b"bytes").status == 202
        assert lately.request("PUT", f"{location}?digest={digest_of(b'bytes')}", b"").status == 201
        again = lately.request("POST", f"/v2/{repository}/blobs/uploads/", b"")
        assert again.error == (403, "DENIED", EXPIRED), "what is begun needs a token that is good"

    def test_a_token_dies_with_its_access_key(self, server: Server, insider: Insider) -> None:
        access_key_id = insider.add_principal(DEFAULT_ACCOUNT, "leaver", administrator=True)
        client = RegistryClient(server.port, insider.password(access_key_id))
        assert client.request("GET", "/v2/").status == 200
        insider.deactivate(access_key_id)
        for path in ("/v2/", "/v2/_catalog", "/v2/any/name/tags/list"):
            assert client.request("GET", path).error == (403, "DENIED", INVALID_TOKEN)

    def test_the_token_of_the_api_is_good_for_basic_as_it_is(self, ecr: Any, anonymous: RegistryClient) -> None:
        token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        assert anonymous.request("GET", "/v2/", Authorization=f"Basic {token}").status == 200
        assert anonymous.request("GET", "/v2/", Authorization=f"bAsIc {token}").status == 200

    def test_errors_are_json_in_the_distribution_form(self, registry: RegistryClient) -> None:
        answer = registry.request("GET", "/v2/no/such/manifests/latest")
        assert answer.headers["content-type"] == "application/json; charset=utf-8"
        assert answer.headers["docker-distribution-api-version"] == "registry/2.0"
        code, message = no_repository("no/such")[1:]
        assert answer.json == {"errors": [{"code": code, "message": message}]}


class TestAccess:
    @pytest.mark.parametrize("route", EVERY_ROUTE)
    def test_another_accounts_repository_is_denied_in_ecrs_words(
        self, repository: str, stranger: RegistryClient, route: Route
    ) -> None:
        answer = route.send(stranger, repository)
        assert answer.status == 403
        if route.method != "HEAD":
            assert answer.error == (
                403,
                "DENIED",
                (
                    f"User: arn:aws:iam::{OTHER_ACCOUNT}:user/administrator is not authorized to perform: "
                    f"ecr:{route.action} on resource: arn:aws:ecr:us-east-1:{DEFAULT_ACCOUNT}:repository/{repository} "
                    f"because no resource-based policy allows the ecr:{route.action} action"
                ),
            )

    @pytest.mark.parametrize("route", EVERY_ROUTE)
    def test_a_principal_without_rights_is_denied_in_ecrs_words(
        self, repository: str, powerless: RegistryClient, route: Route
    ) -> None:
        answer = route.send(powerless, repository)
        assert answer.status == 403
        if route.method != "HEAD":
            assert answer.error[2] == (
                f"User: arn:aws:iam::{DEFAULT_ACCOUNT}:user/powerless is not authorized to perform: "
                f"ecr:{route.action} on resource: arn:aws:ecr:us-east-1:{DEFAULT_ACCOUNT}:repository/{repository} "
                f"because no identity-based policy allows the ecr:{route.action} action"
            )

    def test_the_catalog_of_another_account_is_denied(self, stranger: RegistryClient) -> None:
        status, code, message = stranger.request("GET", "/v2/_catalog").error
        assert (status, code) == (403, "DENIED")
        assert "ecr:DescribeRepositories on resource: " in message

    def test_an_account_that_is_not_served_is_not_found(self, registry: RegistryClient) -> None:
        answer = registry.request("GET", "/v2/000000000000.us-east-1/any/tags/list")
        sentence = "Could not resolve registry id from host 000000000000.us-east-1"
        assert answer.error == (404, "NAME_UNKNOWN", sentence)

    @pytest.mark.parametrize("region", ["eu-nowhere-9", "us-east-77"])
    def test_a_region_that_is_not_served_is_not_found(self, registry: RegistryClient, region: str) -> None:
        host = f"{DEFAULT_ACCOUNT}.dkr.ecr.{region}.amazonaws.com"
        answer = registry.request("GET", "/v2/any/tags/list", Host=host)
        assert answer.error == (404, "NAME_UNKNOWN", f"Could not resolve registry id from host {host}")


class TestMissing:
    @pytest.mark.parametrize("route", EVERY_ROUTE)
    def test_a_repository_that_is_not_there(self, registry: RegistryClient, route: Route) -> None:
        answer = route.send(registry, "no/such/repository")
        assert answer.status == 404
        if route.method != "HEAD":
            assert answer.error == no_repository("no/such/repository")

    def test_an_image_that_is_not_there(self, registry: RegistryClient, repository: str) -> None:
        for reference in ("nothing", NOWHERE, "sha512:" + "0" * 128):
            for method in ("GET", "DELETE"):
                answer = registry.request(method, f"/v2/{repository}/manifests/{reference}")
                assert answer.error == (404, "MANIFEST_UNKNOWN", "Requested image not found")

    def test_a_layer_that_is_not_there(self, registry: RegistryClient, repository: str) -> None:
        assert registry.request("GET", f"/v2/{repository}/blobs/{NOWHERE}").error == (
            404,
            "BLOB_UNKNOWN",
            (
                f"The layer with digest '{NOWHERE}' does not exist in the repository with name '{repository}' "
                f"in the registry with id '{DEFAULT_ACCOUNT}'"
            ),
        )

    def test_an_image_whose_layers_are_not_there(self, registry: RegistryClient, repository: str) -> None:
        registry.push_blob(repository, b"a layer that is there")
        manifest = image_manifest(b"missing config", b"missing layer", b"a layer that is there")
        missing = f"{digest_of(b'missing config')}, {digest_of(b'missing layer')}"
        assert registry.push_manifest(repository, "latest", manifest).error == (
            404,
            "MANIFEST_BLOB_UNKNOWN",
            (
                f"Layers with digests '[{missing}]' required for pushing image into repository with name "
                f"'{repository}' in the registry with id '{DEFAULT_ACCOUNT}' do not exist"
            ),
        )

    def test_an_index_whose_images_are_not_there(self, registry: RegistryClient, repository: str) -> None:
        missing = f"{digest_of(b'one')}, {digest_of(b'two')}"
        assert registry.push_manifest(repository, "latest", image_index(b"one", b"two"), OCI_INDEX).error == (
            404,
            "MANIFEST_BLOB_UNKNOWN",
            (
                f"Images with digests '[{missing}]' required for pushing image into repository with name "
                f"'{repository}' in the registry with id '{DEFAULT_ACCOUNT}' do not exist"
            ),
        )

    @pytest.mark.parametrize(
        "path", ["/v2//", "/v2/_catalog/", "/v2/a", "/v2/ab/cd/ef", "/v2/ab/manifests/", "/v2/ab/manifests/a/b/c"]
    )
    def test_a_path_that_the_plane_does_not_have(self, registry: RegistryClient, path: str) -> None:
        answer = registry.request("GET", path)
        assert (answer.status, answer.body) == (404, b"404 page not found\n")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"

    @pytest.mark.parametrize("path", ["/", "/v1/", "/v3/", "/token", "/metrics", "/debug/pprof/", "/favicon.ico"])
    def test_a_path_outside_of_the_planes(self, anonymous: RegistryClient, path: str) -> None:
        answer = anonymous.request("GET", path)
        assert (answer.status, answer.body) == (404, b"404 page not found\n")


class TestForm:
    @pytest.mark.parametrize(
        "name", ["UPPER", "a", "a..b", "a_-b", "a-", "-a", "a//b", "a%20b", "%61%00", "é", "a" * 257, "..", "a/../b"]
    )
    def test_a_name_outside_of_the_grammar(self, registry: RegistryClient, name: str) -> None:
        answer = registry.request("GET", f"/v2/{quote(name, safe='/%')}/tags/list")
        if name == "%61%00":
            assert answer.status == 404, "a path with a zero byte has no route"
        else:
            assert answer.error == (400, "NAME_INVALID", INVALID_NAME)

    @pytest.mark.parametrize("first", [f"{OTHER_ACCOUNT}.us-east-1", "public.ecr.aws"])
    def test_a_name_never_begins_like_another_registry(self, registry: RegistryClient, first: str) -> None:
        path = f"/v2/{DEFAULT_ACCOUNT}.us-east-1/{first}/name/tags/list"
        assert registry.request("GET", path).error == (400, "NAME_INVALID", INVALID_NAME)

    @pytest.mark.parametrize("tag", ["-a", ".a", "a+b", "a%20b", "a" * 301, "%C3%A9"])
    @pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
    def test_a_tag_outside_of_the_grammar(
        self, registry: RegistryClient, repository: str, tag: str, method: str
    ) -> None:
        answer = registry.request(method, f"/v2/{repository}/manifests/{tag}")
        assert answer.error == (400, "TAG_INVALID", INVALID_TAG)

    @pytest.mark.parametrize(
        "digest",
        [
            "sha256:",
            "sha256:abc",
            "sha256:" + "g" * 64,
            "sha256:" + "A" * 64,
            "sha256:" + "a" * 65,
            "sha512:" + "a" * 64,
            "md5:" + "a" * 32,
            "sha384:" + "a" * 96,
            "a:b:c",
            "sha256:" + "%C2%B2" * 64,
        ],
    )
    def test_a_digest_of_unknown_form(self, registry: RegistryClient, repository: str, digest: str) -> None:
        for path, parameter in (("manifests", "imageDigest"), ("blobs", "layerDigest"), ("referrers", "imageDigest")):
            answer = registry.request("GET", f"/v2/{repository}/{path}/{digest}")
            assert answer.error == (400, "DIGEST_INVALID", invalid_digest(parameter))
        posted = registry.request("POST", f"/v2/{repository}/blobs/uploads/?digest={digest}", b"x")
        assert posted.error == (400, "DIGEST_INVALID", invalid_digest("layerDigests"))

    @pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"])
    @pytest.mark.parametrize("path", [f"/blobs/{NOWHERE}", "/tags/list", f"/referrers/{NOWHERE}", "/manifests/latest"])
    def test_methods_that_a_route_does_not_have(
        self, registry: RegistryClient, repository: str, method: str, path: str
    ) -> None:
        if path == "/manifests/latest" and method in ("PUT", "DELETE"):
            return
        assert registry.request(method, f"/v2/{repository}{path}").error == UNSUPPORTED

    @pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
    def test_uploads_are_opened_by_post_alone(self, registry: RegistryClient, repository: str, method: str) -> None:
        assert registry.request(method, f"/v2/{repository}/blobs/uploads/").error == UNSUPPORTED

    def test_more_parameters_than_any_request_needs(self, registry: RegistryClient, repository: str) -> None:
        query = "&".join(f"n={number}" for number in range(500))
        answer = registry.request("GET", f"/v2/{repository}/tags/list?{query}")
        assert answer.error == (405, "UNSUPPORTED", "The query has more than 110 parameters")

    @pytest.mark.parametrize("token", ["", "garbage", "é", "AAAA" * 3000])
    def test_a_page_token_that_nobody_issued(self, registry: RegistryClient, repository: str, token: str) -> None:
        answer = registry.request("GET", f"/v2/{repository}/referrers/{NOWHERE}?next={quote(token)}")
        assert answer.error == (
            405,
            "UNSUPPORTED",
            "Invalid parameter at 'nextToken' failed to satisfy constraint: 'Invalid token'",
        )


class TestManifests:
    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"{",
            b"[]",
            b"null",
            b"{}",
            b"\xff\xfe",
            b"\xef\xbb\xbf{}",
            json.dumps({"schemaVersion": 1, "name": "x", "tag": "y", "fsLayers": [], "history": []}).encode(),
            json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST}).encode(),
            json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": {}, "layers": []}).encode(),
            json.dumps({"schemaVersion": 2, "mediaType": "text/html", "layers": []}).encode(),
            b"[" * 100_000,
        ],
    )
    def test_whatever_is_no_manifest_gets_ecrs_one_sentence(
        self, registry: RegistryClient, repository: str, content: bytes
    ) -> None:
        answer = registry.push_manifest(repository, "latest", content)
        assert answer.error == (405, "UNSUPPORTED", INVALID_JSON)

    def test_a_manifest_under_another_digest(self, registry: RegistryClient, repository: str) -> None:
        registry.push_blob(repository, b"{}")
        assert registry.push_manifest(repository, NOWHERE, image_manifest(b"{}")).error == (
            400,
            "MANIFEST_INVALID",
            (
                f"The image with digest '{NOWHERE}' in repository '{repository}' and registry ID '{DEFAULT_ACCOUNT}' "
                "does not match the image digest that Amazon ECR has calculated."
            ),
        )

    def test_a_manifest_over_four_mebibytes(self, registry: RegistryClient, repository: str) -> None:
        sentence = (
            "Invalid parameter at 'imageManifest' failed to satisfy constraint: "
            "'must have length less than or equal to 4194304'"
        )
        told = 4 * 1024 * 1024 + 1
        answer = registry.request("PUT", f"/v2/{repository}/manifests/t", b"", Content_Length=str(told))
        assert answer.error == (413, "SIZE_INVALID", sentence), "refused before a byte of it came"

    def test_a_thousand_and_one_tags(self, registry: RegistryClient, repository: str) -> None:
        registry.push_blob(repository, b"{}")
        manifest = image_manifest(b"{}")
        for start in range(0, 1000, 50):
            tags = "&".join(f"tag=t{number}" for number in range(start, start + 50))
            assert registry.push_manifest(repository, f"{digest_of(manifest)}?{tags}", manifest).status == 201
        assert registry.push_manifest(repository, "one-more", manifest).error == (
            403,
            "DENIED",
            (
                f"Adding tag 'one-more' to an image in the repository with name '{repository}' in registry with id "
                f"'{DEFAULT_ACCOUNT}' exceeds the maximum allowed number of tags per image which is '1000'"
            ),
        )


class TestImmutability:
    def immutable(self, ecr: Any, name: str, mode: str = "IMMUTABLE", *filters: str) -> None:
        more = {"imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": each} for each in filters]}
        ecr.put_image_tag_mutability(repositoryName=name, imageTagMutability=mode, **(more if filters else {}))

    def taken(self, name: str, tag: str) -> tuple[int, str, str]:
        return (
            400,
            "TAG_INVALID",
            (
                f"The image tag '{tag}' already exists in the '{name}' repository and cannot be overwritten because "
                "the tag is immutable."
            ),
        )

    def manifests(self, registry: RegistryClient, name: str) -> Iterator[bytes]:
        """Images that differ, each ready to be pushed."""
        registry.push_blob(name, b"{}")
        number = 0
        while True:
            number += 1
            yield image_manifest(b"{}", annotations={"number": str(number)})

    def test_an_immutable_tag_is_taken_for_another_image_and_for_the_same(
        self, ecr: Any, registry: RegistryClient, repository: str
    ) -> None:
        self.immutable(ecr, repository)
        images = self.manifests(registry, repository)
        first = next(images)
        assert registry.push_manifest(repository, "v1", first).status == 201
        assert registry.push_manifest(repository, "v1", next(images)).error == self.taken(repository, "v1")
        assert registry.push_manifest(repository, "v1", first).error == self.taken(repository, "v1")
        assert registry.request("GET", f"/v2/{repository}/manifests/v1").body == first

    def test_a_registry_may_accept_the_identical_image(
        self, ecr: Any, registry: RegistryClient, repository: str, identical_push_accepted: None
    ) -> None:
        self.immutable(ecr, repository)
        images = self.manifests(registry, repository)
        first = next(images)
        assert registry.push_manifest(repository, "v1", first).status == 201
        assert registry.push_manifest(repository, "v1", first).status == 201
        assert registry.push_manifest(repository, "v1", next(images)).error == self.taken(repository, "v1")

    def test_one_taken_tag_among_several_keeps_the_image_out(
        self, ecr: Any, registry: RegistryClient, repository: str
    ) -> None:
        self.immutable(ecr, repository)
        images = self.manifests(registry, repository)
        registry.push_manifest(repository, "v1", next(images))
        second = next(images)
        answer = registry.push_manifest(repository, f"{digest_of(second)}?tag=v2&tag=v1", second)
        assert answer.error == self.taken(repository, "v1")
        assert registry.request("GET", f"/v2/{repository}/tags/list").json["tags"] == ["v1"]
        assert registry.request("HEAD", f"/v2/{repository}/manifests/{digest_of(second)}").status == 404

    def test_tags_that_are_excluded_from_immutability_move(
        self, ecr: Any, registry: RegistryClient, repository: str
    ) -> None:
        self.immutable(ecr, repository, "IMMUTABLE_WITH_EXCLUSION", "latest", "dev-*")
        images = self.manifests(registry, repository)
        for tag, moves in (("latest", True), ("dev-", True), ("dev-1", True), ("latest2", False), ("Dev-1", False)):
            assert registry.push_manifest(repository, tag, next(images)).status == 201
            again = registry.push_manifest(repository, tag, next(images))
            assert again.status == 201 if moves else again.error == self.taken(repository, tag)

    def test_tags_that_are_excluded_from_mutability_stay(
        self, ecr: Any, registry: RegistryClient, repository: str
    ) -> None:
        self.immutable(ecr, repository, "MUTABLE_WITH_EXCLUSION", "v*")
        images = self.manifests(registry, repository)
        for tag, moves in (("latest", True), ("v1", False), ("v", False), ("av", True)):
            assert registry.push_manifest(repository, tag, next(images)).status == 201
            again = registry.push_manifest(repository, tag, next(images))
            assert again.status == 201 if moves else again.error == self.taken(repository, tag)

    def test_an_immutable_tag_that_was_deleted_may_be_pushed_again(
        self, ecr: Any, registry: RegistryClient, repository: str
    ) -> None:
        self.immutable(ecr, repository)
        images = self.manifests(registry, repository)
        registry.push_manifest(repository, "v1", next(images))
        assert registry.request("DELETE", f"/v2/{repository}/manifests/v1").status == 202
        assert registry.push_manifest(repository, "v1", next(images)).status == 201


class TestUploads:
    def open(self, registry: RegistryClient, name: str) -> str:
        return registry.request("POST", f"/v2/{name}/blobs/uploads/", b"").headers["location"]

    @pytest.mark.parametrize("upload_id", [UPLOAD, "x", "..", "12345678123412341234123456789012", UPLOAD.upper() + "A"])
    def test_an_upload_that_is_not_there(self, registry: RegistryClient, repository: str, upload_id: str) -> None:
        path = f"/v2/{repository}/blobs/uploads/{upload_id}"
        for method, query in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("PUT", f"?digest={NOWHERE}")):
            assert registry.request(method, path + query).error == no_upload(repository, upload_id)

    def test_a_digest_that_the_bytes_do_not_have(self, registry: RegistryClient, repository: str) -> None:
        location = self.open(registry, repository)
        assert registry.request("PUT", f"{location}?digest={NOWHERE}", b"bytes").error == (
            400,
            "DIGEST_INVALID",
            "None of the provided layer digests match the calculated layer digest",
        )

    def test_a_completion_without_a_digest(self, registry: RegistryClient, repository: str) -> None:
        location = self.open(registry, repository)
        assert registry.request("PUT", location, b"bytes").error == (
            400,
            "DIGEST_INVALID",
            invalid_digest("layerDigests"),
        )

    def test_a_chunk_that_does_not_continue(self, registry: RegistryClient, repository: str) -> None:
        location = self.open(registry, repository)
        assert registry.request("PATCH", location, b"12345", Content_Range="5-9").error == (
            416,
            "BLOB_UPLOAD_INVALID",
            "First byte of the layer part is 5 instead of 0",
        )

    def test_a_chunk_of_another_length_than_its_range(self, registry: RegistryClient, repository: str) -> None:
        location = self.open(registry, repository)
        assert registry.request("PATCH", location, b"12345", Content_Range="0-9").error == (
            416,
            "BLOB_UPLOAD_INVALID",
            "The Content-Range header does not match the Content-Length header",
        )
        assert registry.request("PATCH", location, b"12345", Content_Range="about 5").error == (
            416,
            "BLOB_UPLOAD_INVALID",
            "The Content-Range header is not of the form start-end",
        )

    def test_an_upload_of_another_repository_is_not_there(
        self, registry: RegistryClient, repository: str, other_repository: str
    ) -> None:
        upload_id = self.open(registry, other_repository).rsplit("/", 1)[1]
        path = f"/v2/{repository}/blobs/uploads/{upload_id}"
        for method, query in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("PUT", f"?digest={NOWHERE}")):
            assert registry.request(method, path + query).error == no_upload(repository, upload_id)

    def test_an_upload_of_another_principal_is_not_there(
        self, server: Server, insider: Insider, registry: RegistryClient, repository: str
    ) -> None:
        access_key_id = insider.add_principal(DEFAULT_ACCOUNT, "colleague", administrator=True)
        colleague = RegistryClient(server.port, insider.password(access_key_id))
        location = self.open(registry, repository)
        upload_id = location.rsplit("/", 1)[1]
        for method, query in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("PUT", f"?digest={NOWHERE}")):
            assert colleague.request(method, location + query).error == no_upload(repository, upload_id)
        assert registry.request("GET", location).status == 204, "and its owner still has it"


class TestLayerUrls:
    """The layers plane answers as S3 does."""

    def test_a_url_that_is_not_signed(self, anonymous: RegistryClient) -> None:
        answer = anonymous.request("GET", f"/layers/{UPLOAD}")
        assert (answer.status, answer.headers["content-type"]) == (403, "application/xml")
        assert b"<Code>AccessDenied</Code>" in answer.body

    def test_a_method_that_is_not_a_read(self, anonymous: RegistryClient) -> None:
        for method in ("PUT", "POST", "DELETE", "PATCH"):
            answer = anonymous.request(method, f"/layers/{UPLOAD}", b"x")
            assert (answer.status, b"<Code>MethodNotAllowed</Code>" in answer.body) == (405, True)


def test_a_subject_that_is_no_descriptor_is_refused(registry: RegistryClient, repository: str) -> None:
    registry.push_blob(repository, b"{}")
    subjects: list[Any] = ["text", [], {"digest": "x"}, {**descriptor(b"x", OCI_MANIFEST), "size": -1}]
    for subject in subjects:
        answer = registry.push_manifest(repository, "t", image_manifest(b"{}", subject=subject))
        assert answer.error == (405, "UNSUPPORTED", INVALID_JSON)
