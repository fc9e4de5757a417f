"""Who may do what in another account's registry: exactly what its own policies and the repository's both allow.

The api plane names the other registry by ``registryId``, the dkr plane by path or host; each question is asked on both.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from openecr.services.ecr.operations import OPERATIONS
from tests.identities import client, make_role, make_user, policy, registry_password, statement, trusts
from tests.oci.test_errors import NOWHERE, Route
from tests.places import ON_DATABASES
from tests.registry_client import Answer, RegistryClient, digest_of, image_manifest
from tests.running import DEFAULT_ACCOUNT, OTHER_ACCOUNT, Server

pytestmark = ON_DATABASES

pytestmark = ON_DATABASES

PULL = ("ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage", "ecr:BatchCheckLayerAvailability")
PUSH = ("ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:PutImage")
LOGIN = statement("ecr:GetAuthorizationToken", Resource="*")
OTHER_ROOT = f"arn:aws:iam::{OTHER_ACCOUNT}:root"
LAYER = b"a layer to share"
HERE = f"{DEFAULT_ACCOUNT}.us-east-1"
HOST = f"{DEFAULT_ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com"


@dataclass(frozen=True)
class Guest:
    """A user of the other account, on both planes."""

    arn: str
    api: Any
    docker: RegistryClient

    @property
    def ways(self) -> tuple[RegistryClient, ...]:
        """The dkr plane by each name that the registry of the default account has."""
        return (
            self.docker,
            replace(self.docker, prefix=f"/{HERE}"),
            replace(self.docker, headers={"Host": HOST}),
        )


def make_guest(server: Server, *statements: dict[str, Any], account_id: str = OTHER_ACCOUNT) -> Guest:
    name = f"guest-{uuid4()}"
    key = make_user(server, name, allowed=policy(LOGIN, *statements), account_id=account_id)
    docker = RegistryClient(server.port, registry_password(server, key))
    return Guest(f"arn:aws:iam::{account_id}:user/{name}", client(server, "ecr", key), docker)


@pytest.fixture(scope="session")
def entitled(server: Server) -> Guest:
    """A guest whose own account lets it pull and push everywhere."""
    return make_guest(server, statement(*PULL, *PUSH, Resource="*"))


@pytest.fixture(scope="session")
def unentitled(server: Server) -> Guest:
    """A guest whose own account lets it log in, and no more."""
    return make_guest(server)


@pytest.fixture(scope="session")
def stranger_api(server: Server) -> Any:
    """The api plane as the administrator of the other account."""
    return server.client("ecr", OTHER_ACCOUNT)


@pytest.fixture
def shared(registry: RegistryClient, repository: str) -> str:
    """A repository with one image, shared with nobody."""
    registry.push_image(repository, "v1", LAYER)
    return repository


def share(ecr: Any, name: str, *actions: str, principal: str = OTHER_ROOT, **more: Any) -> None:
    """Let another account do something in a repository."""
    allowed = statement(*(actions or PULL), Principal={"AWS": principal}, **more)
    ecr.set_repository_policy(repositoryName=name, policyText=policy(allowed))


@contextmanager
def registry_policy(api: Any, *statements: dict[str, Any]) -> Iterator[None]:
    """A registry's policy, taken away at the end."""
    api.put_registry_policy(policyText=policy(*statements))
    try:
        yield
    finally:
        api.delete_registry_policy()


def arn_of(name: str) -> str:
    return f"arn:aws:ecr:us-east-1:{DEFAULT_ACCOUNT}:repository/{name}"


def denial(guest: str, action: str, name: str, reason: str) -> str:
    return f"User: {guest} is not authorized to perform: ecr:{action} on resource: {arn_of(name)} {reason}"


def refusal(call: Callable[..., Any], **arguments: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    return refused.value.response["Error"]["Code"], refused.value.response["Error"]["Message"]


def missing(name: str) -> str:
    """A name of the same length that no repository has."""
    return name[:-1] + "x"


def seen(answer: Answer, *names: str) -> tuple[int, dict[str, str], bytes]:
    """What a client sees, but for the request's id, the time and what it asked for. Whether a connection is closed
    depends on how much of a body had arrived."""
    unlike = ("x-amzn-requestid", "date", "connection")
    headers = {key: value for key, value in answer.headers.items() if key not in unlike}
    body = answer.body
    for name in names:
        body = body.replace(name.encode(), b"NAME")
    return answer.status, headers, body


def pulled(guest: Guest, name: str) -> list[tuple[str, str]]:
    """Everything that a pull asks on both planes: (action, ``ok`` or the refusal), which a HEAD has no words for."""
    digest = digest_of(LAYER)
    where = {"registryId": DEFAULT_ACCOUNT, "repositoryName": name}
    answers = [
        asked("BatchGetImage", guest.api.batch_get_image, **where, imageIds=[{"imageTag": "v1"}]),
        asked("GetDownloadUrlForLayer", guest.api.get_download_url_for_layer, **where, layerDigest=digest),
        asked(CHECK, guest.api.batch_check_layer_availability, **where, layerDigests=[digest]),
    ]
    for way in guest.ways:
        answers += [
            wanted("BatchGetImage", way.request("GET", f"{way.path(name)}/manifests/v1")),
            wanted("BatchGetImage", way.request("HEAD", f"{way.path(name)}/manifests/v1")),
            wanted("GetDownloadUrlForLayer", way.request("GET", f"{way.path(name)}/blobs/{digest}")),
            wanted(CHECK, way.request("HEAD", f"{way.path(name)}/blobs/{digest}")),
        ]
    return answers


def asked(action: str, call: Callable[..., Any], **arguments: Any) -> tuple[str, str]:
    try:
        answer = call(**arguments)
    except ClientError as refused:
        return action, refused.response["Error"]["Message"]
    assert answer.get("failures", []) == []
    return action, "ok"


def wanted(action: str, answer: Answer) -> tuple[str, str]:
    if answer.status in (200, 307):
        return action, "ok"
    assert answer.status == 403
    return action, answer.error[2] if answer.body else ""


def is_pulled(guest: Guest, name: str) -> bool:
    """Whether all of a pull is answered; none of it where not."""
    answers = {what == "ok" for _, what in pulled(guest, name)}
    assert len(answers) == 1
    return answers.pop()


def denials(guest: Guest, name: str, reason: str) -> list[tuple[str, str]]:
    """What ``pulled`` says where all is denied; the reason may name the action."""
    told = [(action, denial(guest.arn, action, name, reason.format(action=action))) for action in PULL_ACTIONS]
    in_words = [told[0], (told[0][0], ""), told[1], (CHECK, "")]
    return told + len(guest.ways) * in_words


CHECK = "BatchCheckLayerAvailability"
PULL_ACTIONS = ("BatchGetImage", "GetDownloadUrlForLayer", CHECK)


class TestBothSides:
    @pytest.mark.parametrize("registry_denies", [False, True])
    @pytest.mark.parametrize("repository_allows", [False, True])
    @pytest.mark.parametrize("identity_allows", [False, True])
    def test_a_guest_pulls_exactly_when_both_accounts_let_it(
        self,
        ecr: Any,
        entitled: Guest,
        unentitled: Guest,
        shared: str,
        identity_allows: bool,
        repository_allows: bool,
        registry_denies: bool,
    ) -> None:
        guest = entitled if identity_allows else unentitled
        if repository_allows:
            share(ecr, shared)
        denied = statement(*PULL, effect="Deny", Principal={"AWS": OTHER_ROOT}, Resource=arn_of(shared))
        elsewhere = denied | {"Resource": arn_of("elsewhere")}

        with registry_policy(ecr, denied if registry_denies else elsewhere):
            answers = pulled(guest, shared)

        if identity_allows and repository_allows and not registry_denies:
            assert {what for _, what in answers} == {"ok"}
        elif registry_denies:
            assert answers == denials(guest, shared, "with an explicit deny in a resource-based policy")
        else:
            lacking = "resource" if identity_allows else "identity"
            assert answers == denials(
                guest, shared, f"because no {lacking}-based policy allows the ecr:{{action}} action"
            )

    def test_a_registry_policy_allows_as_a_repositorys_does(
        self, ecr: Any, entitled: Guest, unentitled: Guest, shared: str
    ) -> None:
        with registry_policy(ecr, statement(*PULL, Principal={"AWS": OTHER_ROOT}, Resource=arn_of("oci/*"))):
            assert is_pulled(entitled, shared)
            assert not is_pulled(unentitled, shared)
        assert not is_pulled(entitled, shared)

    def test_a_denial_of_the_guests_own_account_holds(self, server: Server, ecr: Any, shared: str) -> None:
        share(ecr, shared)
        refused = statement("ecr:BatchGetImage", effect="Deny", Resource=arn_of(shared))
        guest = make_guest(server, statement(*PULL, Resource="*"), refused)

        told = denial(guest.arn, "BatchGetImage", shared, "with an explicit deny in an identity-based policy")
        for action, what in pulled(guest, shared):
            assert what in (told, "") if action == "BatchGetImage" else what == "ok"

    def test_a_repositorys_denial_holds_whatever_else_allows(self, ecr: Any, entitled: Guest, shared: str) -> None:
        allowed = statement(*PULL, Principal="*")
        refused = statement("ecr:*", effect="Deny", Principal={"AWS": entitled.arn})
        ecr.set_repository_policy(repositoryName=shared, policyText=policy(allowed, refused))

        assert pulled(entitled, shared) == denials(entitled, shared, "with an explicit deny in a resource-based policy")

    def test_a_policy_that_names_one_guest_is_for_nobody_else(
        self, server: Server, ecr: Any, entitled: Guest, shared: str
    ) -> None:
        share(ecr, shared, principal=entitled.arn)

        assert is_pulled(entitled, shared)
        assert not is_pulled(make_guest(server, statement(*PULL, Resource="*")), shared)

    def test_what_changes_decides_at_once(self, ecr: Any, entitled: Guest, shared: str) -> None:
        share(ecr, shared)
        assert is_pulled(entitled, shared)
        share(ecr, shared, "ecr:ListImages")
        assert not is_pulled(entitled, shared)
        share(ecr, shared)
        assert is_pulled(entitled, shared)
        ecr.delete_repository_policy(repositoryName=shared)
        assert not is_pulled(entitled, shared)

    @pytest.mark.parametrize("key", ["aws:ResourceTag/stage", "ecr:ResourceTag/stage"])
    def test_a_policy_may_ask_for_the_repositorys_tags(self, ecr: Any, entitled: Guest, shared: str, key: str) -> None:
        share(ecr, shared, Condition={"StringEquals": {key: "public"}})
        assert not is_pulled(entitled, shared)
        ecr.tag_resource(resourceArn=arn_of(shared), tags=[{"Key": "stage", "Value": "public"}])
        assert is_pulled(entitled, shared)
        ecr.untag_resource(resourceArn=arn_of(shared), tagKeys=["stage"])
        assert not is_pulled(entitled, shared)

    def test_a_guest_pushes_where_both_sides_let_it(
        self, ecr: Any, entitled: Guest, unentitled: Guest, repository: str
    ) -> None:
        share(ecr, repository, *PULL, *PUSH)
        for way in entitled.ways:
            digest = way.push_image(repository, "pushed", b"by a guest")
            assert way.request("GET", f"{way.path(repository)}/manifests/{digest}").status == 200
        assert [item["imageTag"] for item in ecr.list_images(repositoryName=repository)["imageIds"]] == ["pushed"]
        answer = unentitled.docker.request("POST", f"/v2/{repository}/blobs/uploads/", b"")
        assert answer.error[:2] == (403, "DENIED")


class TestRoles:
    def test_a_role_of_another_account_pulls_and_a_new_one_of_its_name_does_not(
        self, server: Server, ecr: Any, shared: str
    ) -> None:
        name = f"puller-{uuid4()}"
        iam = server.client("iam", OTHER_ACCOUNT)
        trust, allowed = trusts(OTHER_ROOT), policy(LOGIN, statement(*PULL, Resource="*"))
        role = make_role(server, name, trust=trust, allowed=allowed, account_id=OTHER_ACCOUNT)

        def session() -> Guest:
            credentials = server.client("sts", OTHER_ACCOUNT).assume_role(RoleArn=role, RoleSessionName="node")
            docker = RegistryClient(server.port, registry_password(server, credentials["Credentials"]))
            arn = credentials["AssumedRoleUser"]["Arn"]
            return Guest(arn, client(server, "ecr", credentials["Credentials"]), docker)

        share(ecr, shared, principal=role)
        assert f'"AWS" : "{role}"' in ecr.get_repository_policy(repositoryName=shared)["policyText"]
        assert is_pulled(session(), shared)

        unique_id = iam.get_role(RoleName=name)["Role"]["RoleId"]
        iam.delete_role_policy(RoleName=name, PolicyName="test")
        iam.delete_role(RoleName=name)
        assert f'"AWS" : "{unique_id}"' in ecr.get_repository_policy(repositoryName=shared)["policyText"]
        make_role(server, name, trust=trust, allowed=allowed, account_id=OTHER_ACCOUNT)
        assert not is_pulled(session(), shared)
        assert f'"AWS" : "{unique_id}"' in ecr.get_repository_policy(repositoryName=shared)["policyText"]


SHARED_OPERATIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("batch_check_layer_availability", {"layerDigests": [NOWHERE]}),
    ("batch_delete_image", {"imageIds": [{"imageTag": "v1"}]}),
    ("batch_get_image", {"imageIds": [{"imageTag": "v1"}]}),
    ("complete_layer_upload", {"uploadId": str(uuid4()), "layerDigests": [NOWHERE]}),
    ("create_repository", {}),
    ("delete_lifecycle_policy", {}),
    ("delete_repository", {"force": True}),
    ("delete_repository_policy", {}),
    ("describe_image_scan_findings", {"imageId": {"imageTag": "v1"}}),
    ("describe_images", {}),
    ("get_download_url_for_layer", {"layerDigest": NOWHERE}),
    ("get_lifecycle_policy", {}),
    ("get_lifecycle_policy_preview", {}),
    ("get_repository_policy", {}),
    ("initiate_layer_upload", {}),
    ("list_image_referrers", {"subjectId": {"imageDigest": NOWHERE}}),
    ("list_images", {}),
    ("put_image", {"imageManifest": image_manifest(b"{}").decode(), "imageTag": "v1"}),
    ("put_image_scanning_configuration", {"imageScanningConfiguration": {"scanOnPush": True}}),
    ("put_image_tag_mutability", {"imageTagMutability": "IMMUTABLE"}),
    ("put_lifecycle_policy", {"lifecyclePolicyText": "{}".ljust(100)}),
    ("set_repository_policy", {"policyText": "{}", "force": True}),
    ("start_image_scan", {"imageId": {"imageTag": "v1"}}),
    ("start_lifecycle_policy_preview", {}),
    ("update_image_storage_class", {"imageId": {"imageTag": "v1"}, "targetStorageClass": "ARCHIVE"}),
    (
        "upload_layer_part",
        {"uploadId": str(uuid4()), "partFirstByte": 0, "partLastByte": 0, "layerPartBlob": b"x"},
    ),
)
"""Every operation on one repository of another registry."""


class TestRegistryIds:
    """Confused deputies: another account's id in ``registryId`` or in an ARN (IDOR)."""

    def test_the_table_has_every_operation_that_takes_a_registry(self, ecr: Any) -> None:
        model = ecr.meta.service_model
        taking = {
            name
            for name in model.operation_names
            if {"registryId", "repositoryName"} <= set(model.operation_model(name).input_shape.members)
        }
        names = {ecr.meta.method_to_api_mapping[method] for method, _ in SHARED_OPERATIONS}
        assert names == taking & set(OPERATIONS)

    @pytest.mark.parametrize(("method", "arguments"), SHARED_OPERATIONS, ids=[name for name, _ in SHARED_OPERATIONS])
    def test_another_accounts_administrator_may_nothing_and_learns_nothing(
        self, ecr: Any, stranger_api: Any, shared: str, method: str, arguments: dict[str, Any]
    ) -> None:
        action = ecr.meta.method_to_api_mapping[method].replace("ListImageReferrers", "BatchGetImage")
        before = ecr.describe_repositories(repositoryNames=[shared])["repositories"]
        absent = f"{shared}-absent"
        administrator = f"arn:aws:iam::{OTHER_ACCOUNT}:user/administrator"

        for name in (shared, absent):
            assert refusal(
                getattr(stranger_api, method), registryId=DEFAULT_ACCOUNT, repositoryName=name, **arguments
            ) == (
                "AccessDeniedException",
                denial(administrator, action, name, f"because no resource-based policy allows the ecr:{action} action"),
            )
        assert ecr.describe_repositories(repositoryNames=[shared])["repositories"] == before
        assert [image["imageTag"] for image in ecr.list_images(repositoryName=shared)["imageIds"]] == ["v1"]

    @pytest.mark.parametrize(
        ("method", "arguments"),
        [
            ("tag_resource", {"tags": [{"Key": "stage", "Value": "mine"}]}),
            ("untag_resource", {"tagKeys": ["stage"]}),
            ("list_tags_for_resource", {}),
        ],
    )
    def test_the_arn_of_another_accounts_repository(
        self, stranger_api: Any, shared: str, method: str, arguments: dict[str, Any]
    ) -> None:
        answers = [
            refusal(getattr(stranger_api, method), resourceArn=arn_of(name), **arguments)
            for name in (shared, f"{shared}-absent")
        ]
        assert {code for code, _ in answers} == {"AccessDeniedException"}
        assert answers[0][1] == answers[1][1].replace("-absent", "")

    def test_the_repositories_of_another_registry(self, ecr: Any, stranger_api: Any, shared: str) -> None:
        asked = {"registryId": DEFAULT_ACCOUNT}
        for names in ([shared], [f"{shared}-absent"], None):
            more = {} if names is None else {"repositoryNames": names}
            code, message = refusal(stranger_api.describe_repositories, **asked, **more)
            assert code == "AccessDeniedException"
            assert f"on resource: {arn_of(names[0] if names else '*')} because no resource-based" in message

        everywhere = statement("ecr:DescribeRepositories", Principal={"AWS": OTHER_ROOT}, Resource=arn_of("*"))
        with registry_policy(ecr, everywhere):
            pages = stranger_api.get_paginator("describe_repositories").paginate(**asked)
            assert shared in [item["repositoryName"] for page in pages for item in page["repositories"]]
        share(ecr, shared, "ecr:DescribeRepositories")
        assert stranger_api.describe_repositories(**asked, repositoryNames=[shared])["repositories"]
        assert refusal(stranger_api.describe_repositories, **asked)[0] == "AccessDeniedException"

    def test_ones_own_registry_policy_opens_no_other_registry(
        self, stranger_api: Any, stranger: RegistryClient, shared: str
    ) -> None:
        with registry_policy(stranger_api, statement("ecr:*", Principal="*", Resource="*")):
            asked = {"registryId": DEFAULT_ACCOUNT}
            assert refusal(stranger_api.describe_repositories, **asked)[0] == "AccessDeniedException"
            assert refusal(stranger_api.list_images, **asked, repositoryName=shared)[0] == "AccessDeniedException"
            for path in ("/v2/_catalog", f"/v2/{HERE}/_catalog", f"/v2/{shared}/manifests/v1"):
                assert stranger.request("GET", path).status == 403

    def test_a_registry_policy_that_is_denied_to_others_does_not_bind_them_at_home(
        self, ecr: Any, stranger_api: Any
    ) -> None:
        with registry_policy(
            ecr, statement("ecr:DescribeRepositories", effect="Deny", Principal={"AWS": OTHER_ROOT}, Resource="*")
        ):
            assert "repositories" in stranger_api.describe_repositories()

    def test_an_account_that_is_not_here_answers_as_one_that_shares_nothing(self, stranger_api: Any) -> None:
        code, message = refusal(stranger_api.list_images, registryId="444455556666", repositoryName="some/name")
        assert code == "AccessDeniedException"
        assert message.endswith("because no resource-based policy allows the ecr:ListImages action")

    def test_a_guest_makes_a_repository_where_the_registry_lets_it(
        self, server: Server, ecr: Any, repository: str
    ) -> None:
        guest = make_guest(server, statement("ecr:CreateRepository", Resource="*"))
        made = {"registryId": DEFAULT_ACCOUNT, "repositoryName": f"{repository}/made"}
        allowed = statement("ecr:CreateRepository", Principal={"AWS": guest.arn}, Resource=arn_of(f"{repository}/*"))

        with registry_policy(ecr, allowed):
            assert guest.api.create_repository(**made)["repository"]["registryId"] == DEFAULT_ACCOUNT
            outside = made | {"repositoryName": f"{repository}-outside"}
            assert refusal(guest.api.create_repository, **outside)[0] == "AccessDeniedException"
        assert ecr.describe_repositories(repositoryNames=[made["repositoryName"]])["repositories"]


class TestMounts:
    """CVE-2024-39897: a layer is not to be had by its digest from a repository that one may not read."""

    @pytest.fixture
    def target(self, ecr: Any, blob_mounting: None, other_repository: str) -> str:
        share(ecr, other_repository, *PULL, *PUSH)
        return other_repository

    @pytest.fixture
    def layer(self, registry: RegistryClient, shared: str) -> str:
        """A layer that no other repository has."""
        return registry.push_blob(shared, f"only in {shared}, {uuid4()}".encode())

    def mount(self, guest: Guest, target: str, digest: str, source: str | None) -> Answer:
        query = f"mount={digest}" + (f"&from={source}" if source is not None else "")
        return guest.docker.request("POST", f"/v2/{target}/blobs/uploads/?{query}", b"")

    def test_a_guest_mounts_what_it_may_pull_and_nothing_else(
        self, ecr: Any, entitled: Guest, shared: str, layer: str, target: str
    ) -> None:
        for source in (shared, None, f"{shared}-absent"):
            refused, absent = (self.mount(entitled, target, digest, source) for digest in (layer, NOWHERE))
            assert (refused.status, absent.status) == (202, 202)
            assert set(refused.headers) == set(absent.headers)
        assert entitled.docker.request("HEAD", f"/v2/{target}/blobs/{layer}").status == 404

        share(ecr, shared, "ecr:GetDownloadUrlForLayer")
        assert self.mount(entitled, target, layer, shared).status == 201
        assert entitled.docker.pull_blob(target, layer).status == 200

    def test_anonymous_mounts_ask_every_source(
        self, ecr: Any, entitled: Guest, shared: str, layer: str, target: str
    ) -> None:
        assert self.mount(entitled, target, layer, None).status == 202
        share(ecr, shared, "ecr:GetDownloadUrlForLayer")
        assert self.mount(entitled, target, layer, None).status == 201

    def test_nothing_is_mounted_across_accounts(
        self, stranger_api: Any, stranger: RegistryClient, registry: RegistryClient, ecr: Any, target: str
    ) -> None:
        """Not even for the administrator of the account that has the layer, who may push to the target."""
        theirs = f"theirs/{uuid4()}"
        stranger_api.create_repository(repositoryName=theirs)
        layer = replace(stranger, prefix=f"/{OTHER_ACCOUNT}.us-east-1").push_blob(theirs, uuid4().bytes)
        for source in (theirs, f"{OTHER_ACCOUNT}.us-east-1/{theirs}", None):
            query = f"mount={layer}" + (f"&from={source}" if source is not None else "")
            assert stranger.request("POST", f"/v2/{target}/blobs/uploads/?{query}", b"").status == 202
        assert registry.request("HEAD", f"/v2/{target}/blobs/{layer}").status == 404


class TestUploadsOfOthers:
    """CVE-2026-32589: an upload's id is its owner's, whoever else may push to the repository."""

    def test_an_upload_of_another_principal_is_not_there(
        self, server: Server, ecr: Any, registry: RegistryClient, entitled: Guest, repository: str
    ) -> None:
        share(ecr, repository, *PULL, *PUSH)
        colleague = make_guest(server, statement(*PUSH, Resource="*"))
        location = entitled.docker.request("POST", f"/v2/{repository}/blobs/uploads/", b"").headers["location"]
        assert entitled.docker.request("PATCH", location, b"mine").status == 202
        upload_id = location.rsplit("/", 1)[1]
        absent = str(uuid4())

        for other in (registry, colleague.docker):
            for method, query, body in (
                ("GET", "", None),
                ("PATCH", "", b"theirs"),
                ("PUT", f"?digest={digest_of(b'mine')}", b""),
                ("DELETE", "", None),
            ):
                answers = [
                    other.request(method, f"/v2/{repository}/blobs/uploads/{asked}{query}", body)
                    for asked in (upload_id, absent)
                ]
                assert answers[0].status == 404
                assert seen(answers[0], upload_id) == seen(answers[1], absent)
        code, _ = refusal(
            colleague.api.complete_layer_upload,
            registryId=DEFAULT_ACCOUNT,
            repositoryName=repository,
            uploadId=upload_id,
            layerDigests=[digest_of(b"mine")],
        )
        assert code == "UploadNotFoundException"
        assert entitled.docker.request("PUT", f"{location}?digest={digest_of(b'mine')}", b"").status == 201

    def test_an_upload_belongs_to_its_repository(
        self, ecr: Any, entitled: Guest, repository: str, other_repository: str
    ) -> None:
        for name in (repository, other_repository):
            share(ecr, name, *PULL, *PUSH)
        location = entitled.docker.request("POST", f"/v2/{repository}/blobs/uploads/", b"").headers["location"]
        moved = location.replace(repository, other_repository)
        assert entitled.docker.request("PATCH", moved, b"x").status == 404

    def test_rights_that_are_taken_away_end_an_upload(self, ecr: Any, entitled: Guest, repository: str) -> None:
        share(ecr, repository, *PULL, *PUSH)
        location = entitled.docker.request("POST", f"/v2/{repository}/blobs/uploads/", b"").headers["location"]
        ecr.delete_repository_policy(repositoryName=repository)
        for method, query in (("PATCH", ""), ("PUT", f"?digest={digest_of(b'x')}"), ("GET", ""), ("DELETE", "")):
            assert entitled.docker.request(method, location + query, b"x").status == 403


ENUMERATED = (
    Route("GET", "/v2/{name}/manifests/v1", "BatchGetImage"),
    Route("HEAD", "/v2/{name}/manifests/v1", "BatchGetImage"),
    Route("GET", f"/v2/{{name}}/blobs/{digest_of(LAYER)}", "GetDownloadUrlForLayer"),
    Route("HEAD", f"/v2/{{name}}/blobs/{digest_of(LAYER)}", "BatchCheckLayerAvailability"),
    Route("GET", f"/v2/{{name}}/referrers/{NOWHERE}", "BatchGetImage"),
    Route("POST", f"/v2/{{name}}/blobs/uploads/?mount={digest_of(LAYER)}&from=oci/x", "InitiateLayerUpload", b""),
    Route("GET", "/v2/{name}/tags/list", "ListImages"),
)


class TestDisclosure:
    """CVE-2020-13794, CVE-2019-19030: whoever is denied cannot tell what is there."""

    @pytest.mark.parametrize("route", ENUMERATED, ids=[f"{route.method} {route.path[12:24]}" for route in ENUMERATED])
    @pytest.mark.parametrize("is_shared", [False, True])
    def test_what_ones_own_account_forbids_is_not_told(
        self, ecr: Any, unentitled: Guest, shared: str, route: Route, is_shared: bool
    ) -> None:
        """Not even that the repository's policy would let the account in."""
        if is_shared:
            share(ecr, shared, "ecr:*")
        answers = [route.send(unentitled.docker, name) for name in (shared, missing(shared))]
        assert answers[0].status == 403
        assert seen(answers[0], shared) == seen(answers[1], missing(shared))

    def test_what_is_in_a_repository_is_not_told_to_whom_it_is_not_shared(self, entitled: Guest, shared: str) -> None:
        for there, absent in (("manifests/v1", "manifests/v9"), (f"blobs/{digest_of(LAYER)}", f"blobs/{NOWHERE}")):
            for method in ("GET", "HEAD"):
                answers = [entitled.docker.request(method, f"/v2/{shared}/{path}") for path in (there, absent)]
                assert answers[0].status == 403
                assert seen(answers[0]) == seen(answers[1])


class TestNames:
    """Names that would mean another resource to a policy than to the registry."""

    @pytest.mark.parametrize(
        "name",
        [
            "{shared}*",
            "{shared}%2a",
            "oci/%3f%3f%3f",
            "*",
            "%2a",
            "mine%2f..%2f{shared}",
            "mine/../{shared}",
            "mine/%2e%2e/{shared}",
            "{shared}%00",
            "{shared}%20",
            "{shared}:v1",
            "${{aws:username}}",
            "%24%7baws:username%7d",
            "{shared}/",
            "/{shared}",
            "MINE",
            "m%d1%96ne",
        ],
    )
    def test_a_name_that_is_none_is_no_way_to_a_repository(self, server: Server, shared: str, name: str) -> None:
        """The guest may pull what lies under ``mine`` and every name that holds an odd character."""
        odd = [f"arn:aws:ecr:*:*:repository/{part}" for part in ("mine*", "*..*", "*$*", "*:*/*", "*%*")]
        guest = make_guest(server, statement("ecr:*", Resource=odd), account_id=DEFAULT_ACCOUNT)
        path = f"/v2/{name.format(shared=shared)}/manifests/v1"
        answer = guest.docker.request("GET", path)
        assert answer.status in (400, 403, 404, 405)
        assert b"schemaVersion" not in answer.body

    @pytest.mark.parametrize("partition", ["aws-cn", "aws-us-gov", "aws:", "AWS"])
    def test_an_arn_of_another_partition_is_no_way_around_a_denial(
        self, server: Server, ecr: Any, shared: str, partition: str
    ) -> None:
        ecr.tag_resource(resourceArn=arn_of(shared), tags=[{"Key": "stage", "Value": "secret"}])
        refused = statement("ecr:ListTagsForResource", effect="Deny", Resource=arn_of(shared))
        guest = make_guest(server, statement("ecr:*", Resource="*"), refused, account_id=DEFAULT_ACCOUNT)
        for arn in (arn_of(shared), arn_of(shared).replace("arn:aws:", f"arn:{partition}:")):
            code, _ = refusal(guest.api.list_tags_for_resource, resourceArn=arn)
            assert code in ("AccessDeniedException", "InvalidParameterException")


def test_the_answer_of_a_denial_is_json_to_the_letter(entitled: Guest, shared: str) -> None:
    answer = entitled.docker.request("GET", f"/v2/{shared}/manifests/v1")
    reason = "because no resource-based policy allows the ecr:BatchGetImage action"
    assert json.loads(answer.body) == {
        "errors": [{"code": "DENIED", "message": denial(entitled.arn, "BatchGetImage", shared, reason)}]
    }
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
