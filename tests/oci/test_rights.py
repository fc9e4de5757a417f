"""Which action each operation and each route of the dkr plane is, and on which resource (Service Authorization
Reference, "Actions, resources, and condition keys for Amazon Elastic Container Registry"; ecr-behaviour's §2 and §4).

Every operation is tried in a repository of its own, where its caller has that one right and no other.
"""

from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from openecr.services.ecr.operations import OPERATIONS
from tests.identities import client, make_user, policy, registry_password, statement
from tests.oci.test_cross_account import SHARED_OPERATIONS, arn_of
from tests.oci.test_errors import NOWHERE, ROUTES, UPLOAD, Route
from tests.registry_client import RegistryClient, digest_of
from tests.running import DEFAULT_ACCOUNT, Server

PREFIX = f"rights/{uuid4().hex[:12]}"
TAGGED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("list_tags_for_resource", {}),
    ("tag_resource", {"tags": [{"Key": "stage", "Value": "test"}]}),
    ("untag_resource", {"tagKeys": ["stage"]}),
)
OF_THE_REGISTRY: tuple[tuple[str, dict[str, Any]], ...] = (
    ("delete_registry_policy", {}),
    ("register_pull_time_update_exclusion", {"principalArn": f"arn:aws:iam::{DEFAULT_ACCOUNT}:role/never-used"}),
    ("deregister_pull_time_update_exclusion", {"principalArn": f"arn:aws:iam::{DEFAULT_ACCOUNT}:role/never-used"}),
    ("describe_registry", {}),
    ("get_account_setting", {"name": "BLOB_MOUNTING"}),
    ("get_authorization_token", {}),
    ("get_registry_policy", {}),
    ("get_registry_scanning_configuration", {}),
    ("list_pull_time_update_exclusions", {}),
    ("put_account_setting", {"name": "BLOB_MOUNTING", "value": "no such value"}),
    ("put_registry_policy", {"policyText": "{}"}),
    ("put_registry_scanning_configuration", {"scanType": "BASIC", "rules": []}),
)
OF_NAMED_REPOSITORIES = ("describe_repositories", "batch_get_repository_scanning_configuration")
"""Operations on several repositories, by their names."""
OTHER_ACTIONS = {"ListImageReferrers": "BatchGetImage"}
WHOLE = Route("POST", f"/v2/{{name}}/blobs/uploads/?digest={digest_of(b'x')}", "InitiateLayerUpload", b"x")
MOUNT = Route("POST", f"/v2/{{name}}/blobs/uploads/?mount={NOWHERE}&from=some/source", "InitiateLayerUpload", b"")
LAST_CHUNK = Route("PUT", f"/v2/{{name}}/blobs/uploads/{UPLOAD}?digest={digest_of(b'x')}", "UploadLayerPart", b"x")
SEVERAL = {
    WHOLE: ("InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload"),
    MOUNT: ("InitiateLayerUpload", "CompleteLayerUpload"),
    LAST_CHUNK: ("UploadLayerPart", "CompleteLayerUpload"),
}
"""Requests that are more than one action."""


def name_of(what: str) -> str:
    """The repository in which one thing is tried."""
    return f"{PREFIX}/{what}".lower().replace("_", "-")


def action_of(api: Any, method: str) -> str:
    name: str = api.meta.method_to_api_mapping[method]
    return OTHER_ACTIONS.get(name, name)


def own_routes() -> list[tuple[str, Route, tuple[str, ...]]]:
    """(repository, route, actions)"""
    routes = [*ROUTES, LAST_CHUNK, Route("HEAD", "/v2/{name}/manifests/latest", "BatchGetImage")]
    return [
        (name_of(f"route-{number}"), route, SEVERAL.get(route, (route.action,))) for number, route in enumerate(routes)
    ]


@pytest.fixture(scope="module")
def api(server: Server, ecr: Any) -> Any:
    """The api plane with one right in each repository."""
    statements = [statement(f"ecr:{action_of(ecr, method)}", Resource="*") for method, _ in OF_THE_REGISTRY]
    for method in (*(method for method, _ in (*SHARED_OPERATIONS, *TAGGED)), *OF_NAMED_REPOSITORIES):
        statements.append(statement(f"ecr:{action_of(ecr, method)}", Resource=arn_of(name_of(method))))
        if method != "create_repository":
            ecr.create_repository(repositoryName=name_of(method))
    return client(server, "ecr", make_user(server, f"exact-{uuid4()}", allowed=policy(*statements)))


@pytest.fixture(scope="module")
def dkr(server: Server, ecr: Any) -> RegistryClient:
    """The dkr plane with the rights for one route in each repository."""
    statements = [statement("ecr:GetAuthorizationToken", Resource="*")]
    for name, _, actions in own_routes():
        statements.append(statement(*(f"ecr:{action}" for action in actions), Resource=arn_of(name)))
        ecr.create_repository(repositoryName=name)
    key = make_user(server, f"exact-{uuid4()}", allowed=policy(*statements))
    return RegistryClient(server.port, registry_password(server, key))


@pytest.fixture(scope="module")
def nobody(server: Server) -> Any:
    """The api plane without a right."""
    return client(server, "ecr", make_user(server, f"nobody-{uuid4()}"))


@pytest.fixture(scope="module")
def key(server: Server) -> dict[str, Any]:
    """A customer's key."""
    made: dict[str, Any] = server.client("kms").create_key()["KeyMetadata"]
    return made


def code_of(api: Any, method: str, **arguments: Any) -> str:
    """The error's code; empty where there is none."""
    try:
        getattr(api, method)(**arguments)
    except ClientError as refused:
        return str(refused.response["Error"]["Code"])
    return ""


def denial_of(api: Any, method: str, **arguments: Any) -> str:
    """(action, resource) of a denial, as it says them."""
    with pytest.raises(ClientError) as refused:
        getattr(api, method)(**arguments)
    assert refused.value.response["Error"]["Code"] == "AccessDeniedException"
    message: str = refused.value.response["Error"]["Message"]
    return message.partition(" perform: ")[2].partition(" because ")[0]


def test_the_tables_have_every_operation(ecr: Any) -> None:
    tried = {method for method, _ in (*SHARED_OPERATIONS, *TAGGED, *OF_THE_REGISTRY)} | set(OF_NAMED_REPOSITORIES)
    assert {ecr.meta.method_to_api_mapping[method] for method in tried} == set(OPERATIONS)


@pytest.mark.parametrize(("method", "arguments"), SHARED_OPERATIONS, ids=[method for method, _ in SHARED_OPERATIONS])
def test_an_operation_on_a_repository_is_one_right_there(
    api: Any, nobody: Any, method: str, arguments: dict[str, Any]
) -> None:
    own = {"repositoryName": name_of(method), **arguments}
    asked = f"ecr:{action_of(api, method)} on resource: {arn_of(name_of(method))}"
    for named in ({}, {"registryId": DEFAULT_ACCOUNT}):
        assert denial_of(nobody, method, **own, **named) == asked
    assert code_of(api, method, **own) != "AccessDeniedException"
    elsewhere = own | {"repositoryName": name_of("elsewhere")}
    assert code_of(api, method, **elsewhere) == "AccessDeniedException"


@pytest.mark.parametrize(("method", "arguments"), TAGGED, ids=[method for method, _ in TAGGED])
def test_an_operation_on_an_arn_is_one_right_there(
    api: Any, nobody: Any, method: str, arguments: dict[str, Any]
) -> None:
    own = {"resourceArn": arn_of(name_of(method)), **arguments}
    assert denial_of(nobody, method, **own) == f"ecr:{action_of(api, method)} on resource: {arn_of(name_of(method))}"
    assert code_of(api, method, **own) == ""
    assert code_of(api, method, **own | {"resourceArn": arn_of(name_of("elsewhere"))}) == "AccessDeniedException"


@pytest.mark.parametrize(("method", "arguments"), OF_THE_REGISTRY, ids=[method for method, _ in OF_THE_REGISTRY])
def test_an_operation_on_the_registry_has_no_resource(
    api: Any, nobody: Any, method: str, arguments: dict[str, Any]
) -> None:
    assert denial_of(nobody, method, **arguments) == f"ecr:{action_of(api, method)} on resource: *"
    assert code_of(api, method, **arguments) != "AccessDeniedException"


def test_describing_repositories_asks_for_each_or_for_all(api: Any, nobody: Any) -> None:
    own, other = name_of("describe_repositories"), name_of("tag_resource")
    assert denial_of(nobody, "describe_repositories") == f"ecr:DescribeRepositories on resource: {arn_of('*')}"
    assert code_of(api, "describe_repositories", repositoryNames=[own]) == ""
    assert denial_of(api, "describe_repositories", repositoryNames=[own, other]).endswith(arn_of(other))
    assert code_of(api, "describe_repositories") == "AccessDeniedException"


def test_scanning_configurations_of_repositories_ask_for_each(api: Any, nobody: Any) -> None:
    method = "batch_get_repository_scanning_configuration"
    own, other = name_of(method), name_of("tag_resource")
    asked = f"ecr:BatchGetRepositoryScanningConfiguration on resource: {arn_of(own)}"
    assert denial_of(nobody, method, repositoryNames=[own]) == asked
    assert code_of(api, method, repositoryNames=[own]) == ""
    assert denial_of(api, method, repositoryNames=[own, other]).endswith(arn_of(other))


@pytest.mark.parametrize(
    ("name", "route", "actions"),
    own_routes(),
    ids=[f"{route.method} {number}" for number, (_, route, _) in enumerate(own_routes())],
)
def test_a_route_is_these_rights(dkr: RegistryClient, name: str, route: Route, actions: tuple[str, ...]) -> None:
    assert route.send(dkr, name).status != 403
    assert route.send(dkr, name_of("elsewhere")).status == 403


def test_the_catalog_is_the_description_of_all_repositories(server: Server, dkr: RegistryClient) -> None:
    assert (
        dkr.request("GET", "/v2/_catalog")
        .error[2]
        .partition(" perform: ")[2]
        .startswith(f"ecr:DescribeRepositories on resource: {arn_of('*')} ")
    )


class TestUploadsInSteps:
    """A request that is several actions needs each of them."""

    @pytest.mark.parametrize("missing", SEVERAL[WHOLE])
    def test_a_whole_upload(self, server: Server, ecr: Any, repository: str, missing: str) -> None:
        rights = [f"ecr:{action}" for action in SEVERAL[WHOLE] if action != missing]
        allowed = policy(
            statement("ecr:GetAuthorizationToken", Resource="*"), statement(*rights, Resource=arn_of(repository))
        )
        key = make_user(server, f"lacking-{uuid4()}", allowed=allowed)
        answer = WHOLE.send(RegistryClient(server.port, registry_password(server, key)), repository)
        assert answer.error[:2] == (403, "DENIED")
        assert f"ecr:{missing} on resource" in answer.error[2]


class TestCreation:
    def test_tags_are_a_right_of_their_own(self, server: Server, repository: str) -> None:
        made = arn_of(f"{repository}/*")
        staged = {
            "StringEquals": {"aws:RequestTag/stage": "test"},
            "ForAllValues:StringEquals": {"aws:TagKeys": "stage"},
        }
        api = client(
            server,
            "ecr",
            make_user(
                server,
                f"maker-{uuid4()}",
                allowed=policy(
                    statement("ecr:CreateRepository", Resource=made),
                    statement("ecr:TagResource", Resource=arn_of(f"{repository}/tagged*"), Condition=staged),
                ),
            ),
        )

        def make(name: str, **tags: str) -> str:
            listed = [{"Key": key, "Value": value} for key, value in tags.items()]
            more = {"tags": listed} if listed else {}
            return code_of(api, "create_repository", repositoryName=f"{repository}/{name}", **more)

        assert make("plain") == ""
        assert make("other", stage="test") == "AccessDeniedException"
        assert make("tagged-wrong", stage="prod") == "AccessDeniedException"
        assert make("tagged-more", stage="test", team="a") == "AccessDeniedException"
        assert make("tagged", stage="test") == ""


class TestKeys:
    """ECR user guide, "Encryption at rest": what the caller must be allowed to do with a repository's KMS key."""

    def maker(self, server: Server, *statements: dict[str, Any]) -> Any:
        allowed = policy(statement("ecr:CreateRepository", "ecr:DeleteRepository", Resource="*"), *statements)
        return client(server, "ecr", make_user(server, f"maker-{uuid4()}", allowed=allowed))

    def make(self, api: Any, name: str, key: str | None) -> tuple[str, str]:
        configuration = {"encryptionType": "KMS"} | ({"kmsKey": key} if key is not None else {})
        try:
            api.create_repository(repositoryName=name, encryptionConfiguration=configuration)
        except ClientError as refused:
            return refused.response["Error"]["Code"], str(refused.response["kmsError"])
        return "", ""

    REFUSED = ("KmsException", "AccessDeniedException")

    def test_a_customers_key_takes_describe_key_and_create_grant(
        self, server: Server, key: dict[str, Any], repository: str
    ) -> None:
        for number, actions in enumerate((("kms:DescribeKey",), ("kms:CreateGrant",), ("kms:RetireGrant",))):
            api = self.maker(server, statement(*actions, Resource=key["Arn"]))
            assert self.make(api, f"{repository}/{number}", key["KeyId"]) == self.REFUSED
        api = self.maker(server, statement("kms:DescribeKey", "kms:CreateGrant", Resource=key["Arn"]))
        assert self.make(api, f"{repository}/made", key["KeyId"]) == ("", "")

    def test_deletion_takes_retire_grant(self, server: Server, ecr: Any, key: dict[str, Any], repository: str) -> None:
        for number, named in enumerate((key["KeyId"], None)):
            name = f"{repository}/{number}"
            assert self.make(ecr, name, named) == ("", "")
            assert code_of(self.maker(server), "delete_repository", repositoryName=name) == "KmsException"
            assert ecr.describe_repositories(repositoryNames=[name])["repositories"]
            api = self.maker(server, statement("kms:RetireGrant", Resource="*"))
            assert code_of(api, "delete_repository", repositoryName=name) == ""

    def test_the_key_that_aws_manages_takes_no_right_at_creation(self, server: Server, repository: str) -> None:
        assert self.make(self.maker(server), f"{repository}/managed", None) == ("", "")

    def test_an_alias_is_no_way_around_a_denial_of_its_key(
        self, server: Server, key: dict[str, Any], repository: str
    ) -> None:
        alias = f"alias/{uuid4()}"
        server.client("kms").create_alias(AliasName=alias, TargetKeyId=key["KeyId"])
        refused = statement("kms:*", effect="Deny", Resource=key["Arn"])
        api = self.maker(server, statement("kms:*", Resource="*"), refused)
        assert self.make(api, f"{repository}/x", alias) == self.REFUSED
        api = self.maker(server, statement("kms:*", Resource=key["Arn"]))
        assert self.make(api, f"{repository}/x", alias) == ("", "")

    def test_a_right_may_be_for_ecr_alone(self, server: Server, key: dict[str, Any], repository: str) -> None:
        via = {"StringEquals": {"kms:ViaService": "ecr.us-east-1.amazonaws.com"}}
        allowed = policy(
            statement("ecr:CreateRepository", Resource="*"), statement("kms:*", Resource=key["Arn"], Condition=via)
        )
        user = make_user(server, f"maker-{uuid4()}", allowed=allowed)
        assert self.make(client(server, "ecr", user), f"{repository}/x", key["KeyId"]) == ("", "")
        assert code_of(client(server, "kms", user), "describe_key", KeyId=key["KeyId"]) == "AccessDeniedException"
