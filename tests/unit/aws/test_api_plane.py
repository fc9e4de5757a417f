"""The api plane: what is told, in which order, in which protocol."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from openecr.call import Call, operation
from openecr.errors import InvalidLayerPart

if TYPE_CHECKING:
    from tests.unit.aws.conftest import Api

CREDENTIALS = {"repositoryName": "team/app"}
STS_NAMESPACE = "{https://sts.amazonaws.com/doc/2011-06-15/}"


def without_authorization(scope: dict[str, Any]) -> None:
    scope["headers"] = [(name, value) for name, value in scope["headers"] if name != b"authorization"]


def test_a_signed_call_is_answered_in_the_models_shape(api: Api) -> None:
    reply = api.call("CreateRepository", CREDENTIALS)

    repository = reply.document["repository"]
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/x-amz-json-1.1"
    assert len(reply.headers["x-amzn-requestid"]) == 36
    assert repository["repositoryArn"] == "arn:aws:ecr:us-east-1:123456789012:repository/team/app"
    assert repository["createdAt"] == 1_705_072_146.0
    assert "imageTagMutabilityExclusionFilters" not in repository


def test_an_operations_error_has_its_modelled_name_and_status_400(api: Api) -> None:
    reply = api.call("DescribeRepositories", {"repositoryNames": ["none/here"]})

    assert reply.error == (
        400,
        "RepositoryNotFoundException",
        "The repository with name 'none/here' does not exist in the registry with id '123456789012'",
    )


def test_the_region_of_the_scope_is_the_registrys(api: Api) -> None:
    api.call("CreateRepository", CREDENTIALS, region="eu-west-1")

    reply = api.call("DescribeRepositories", region="eu-west-1")
    elsewhere = api.call("DescribeRepositories")

    assert reply.document["repositories"][0]["repositoryArn"].startswith("arn:aws:ecr:eu-west-1:")
    assert elsewhere.document == {"repositories": []}


def test_a_request_without_a_signature_is_told_so(api: Api) -> None:
    reply = api.call("DescribeRepositories", altered=without_authorization)

    assert reply.error == (400, "MissingAuthenticationTokenException", "Missing Authentication Token")


def test_an_unknown_key_is_refused_before_its_body_is_read(api: Api) -> None:
    reply = api.call("DescribeRepositories", key="AKIANOBODY")

    assert reply.error == (
        400,
        "UnrecognizedClientException",
        "The security token included in the request is invalid.",
    )
    assert reply.chunks_taken == 0


def test_a_wrong_secret_does_not_sign(api: Api) -> None:
    status, code, message = api.call("DescribeRepositories", secret="guessed").error

    assert (status, code) == (400, "InvalidSignatureException")
    assert message.startswith("The request signature we calculated does not match the signature you provided.")


def test_a_body_that_was_exchanged_is_refused(api: Api) -> None:
    reply = api.call("CreateRepository", CREDENTIALS, sent=b'{"repositoryName": "team/abb"}')

    assert reply.error[1] == "InvalidSignatureException"


def test_another_operation_under_the_same_signature_is_refused(api: Api) -> None:
    def exchange(scope: dict[str, Any]) -> None:
        scope["headers"] = [
            (name, value.replace(b"DescribeRepositories", b"DeleteRepository")) for name, value in scope["headers"]
        ]

    reply = api.call("DescribeRepositories", CREDENTIALS, altered=exchange)

    assert reply.error[1] == "InvalidSignatureException"


def test_a_session_token_that_nobody_issued_is_invalid(api: Api) -> None:
    reply = api.call("DescribeRepositories", token="made-up")

    assert reply.error == (
        400,
        "UnrecognizedClientException",
        "The security token included in the request is invalid.",
    )


def test_a_json_request_is_stale_after_five_minutes(api: Api) -> None:
    api.now = time.time() + 301

    status, code, message = api.call("DescribeRepositories").error

    assert (status, code) == (400, "InvalidSignatureException")
    assert message.startswith("Signature expired: ")
    assert message.endswith(" - 5 min.)")


def test_a_query_request_is_good_for_fifteen_minutes(api: Api) -> None:
    api.now = time.time() + 890

    assert api.query("Action=GetCallerIdentity&Version=2011-06-15").status == 200


def test_a_region_that_nobody_knows_is_told(api: Api) -> None:
    reply = api.call("DescribeRepositories", region="mars-north-1")

    assert reply.error == (400, "InvalidSignatureException", "Credential should be scoped to a valid region. ")


def test_a_scope_for_another_service_is_told(api: Api) -> None:
    reply = api.send(b"{}", {"X-Amz-Target": "AmazonEC2ContainerRegistry_V20150921.DescribeRegistry"}, "sts")

    assert reply.error == (
        400,
        "InvalidSignatureException",
        "Credential should be scoped to correct service: 'ecr'. ",
    )


def test_a_service_that_is_not_served_gets_an_error_that_names_openecr(api: Api) -> None:
    reply = api.send(b"{}", {"X-Amz-Target": "DynamoDB_20120810.ListTables"}, "dynamodb")

    assert reply.error == (
        400,
        "UnknownOperationException",
        "openecr does not serve the AWS service 'dynamodb'; it serves ec2, ecr, iam, kms, sts",
    )


def test_a_query_service_that_is_not_served_is_told_in_xml(api: Api) -> None:
    reply = api.query("Action=ListTopics&Version=2010-03-31", service="sns")

    told = ElementTree.fromstring(reply.body).find("Error")
    assert reply.status == 400
    assert told is not None
    assert told.findtext("Code") == "InvalidAction"
    assert told.findtext("Message") == "openecr does not serve the AWS service 'sns'; it serves ec2, ecr, iam, kms, sts"


def test_an_operation_that_no_model_has_is_unknown(api: Api) -> None:
    reply = api.call("MakeCoffee")

    assert reply.error == (400, "UnknownOperationException", "The service ecr has no operation 'MakeCoffee'")


def test_a_request_without_a_target_is_an_unknown_operation(api: Api) -> None:
    reply = api.send(b"{}", {}, "ecr")

    assert reply.error[1] == "UnknownOperationException"


def test_ecr_public_is_known_and_not_built(api: Api) -> None:
    reply = api.call("DescribeRegistries", service="ecr-public")

    assert reply.error == (400, "UnknownOperationException", "DescribeRegistries is not built yet in openecr")


def test_an_unsigned_body_is_told_before_that_it_does_not_parse(api: Api) -> None:
    reply = api.call("CreateRepository", sent=b"{")

    assert reply.error[1] == "InvalidSignatureException"


def test_a_body_that_is_not_json_is_told(api: Api) -> None:
    headers = {"X-Amz-Target": "AmazonEC2ContainerRegistry_V20150921.CreateRepository"}

    reply = api.send(b"{", headers, "ecr")

    assert reply.error == (400, "SerializationException", "The request body is not valid JSON")


def test_a_body_announced_over_the_limit_is_refused_unread(api: Api) -> None:
    def announce(scope: dict[str, Any]) -> None:
        scope["headers"] = [
            (name, b"33554433" if name == b"content-length" else value) for name, value in scope["headers"]
        ]

    reply = api.call("UploadLayerPart", altered=announce)

    assert reply.error[:2] == (413, "RequestEntityTooLargeException")
    assert reply.chunks_taken == 0


def test_a_failure_of_openecr_is_told_without_its_text(api: Api) -> None:
    @operation("DescribeRegistry", writes=False)
    def broken(call: Call) -> dict[str, Any]:
        raise ValueError("the secret reason")

    api.services["ecr"]["DescribeRegistry"] = broken

    status, code, message = api.call("DescribeRegistry").error

    assert (status, code) == (500, "ServerException")
    assert "secret reason" not in message


def test_an_answer_that_does_not_fit_the_model_is_a_failure_of_openecr(api: Api) -> None:
    @operation("DescribeRegistry", writes=False)
    def surplus(call: Call) -> dict[str, Any]:
        return {"registryId": "123456789012", "colour": "blue"}

    api.services["ecr"]["DescribeRegistry"] = surplus

    assert api.call("DescribeRegistry").error[:2] == (500, "ServerException")


def test_the_other_members_of_an_error_stand_beside_its_message(api: Api) -> None:
    @operation("DescribeRegistry", writes=False)
    def refuses(call: Call) -> dict[str, Any]:
        raise InvalidLayerPart(
            message="no", registry_id="123456789012", repository="a/b", upload_id="u", last_valid_byte=9
        )

    api.services["ecr"]["DescribeRegistry"] = refuses

    assert api.call("DescribeRegistry").document == {
        "__type": "InvalidLayerPartException",
        "message": "no",
        "registryId": "123456789012",
        "repositoryName": "a/b",
        "uploadId": "u",
        "lastValidByteReceived": 9,
    }


def test_sts_answers_in_xml(api: Api) -> None:
    reply = api.query("Action=GetCallerIdentity&Version=2011-06-15")

    root = ElementTree.fromstring(reply.body)
    assert reply.headers["content-type"] == "text/xml"
    assert root.tag == f"{STS_NAMESPACE}GetCallerIdentityResponse"
    result = root.find(f"{STS_NAMESPACE}GetCallerIdentityResult")
    assert result is not None
    assert result.findtext(f"{STS_NAMESPACE}Arn") == "arn:aws:iam::123456789012:user/admin"
    assert (
        root.findtext(f"{STS_NAMESPACE}ResponseMetadata/{STS_NAMESPACE}RequestId")
        == (reply.headers["x-amzn-requestid"])
    )


def test_sts_spells_errors_as_the_query_services_do(api: Api) -> None:
    reply = api.query("Action=GetCallerIdentity&Version=2011-06-15", key="AKIANOBODY")

    told = ElementTree.fromstring(reply.body)
    assert reply.status == 403
    assert told.findtext(f".//{STS_NAMESPACE}Code", told.findtext(".//Code")) == "InvalidClientTokenId"


def test_another_version_of_sts_has_no_operations(api: Api) -> None:
    reply = api.query("Action=GetCallerIdentity&Version=2001-01-01")

    assert reply.status == 400
    assert b"Could not find operation GetCallerIdentity for version 2001-01-01" in reply.body


def test_the_request_id_of_the_server_is_kept(api: Api) -> None:
    def numbered(scope: dict[str, Any]) -> None:
        scope["openecr.request_id"] = "11111111-2222-3333-4444-555555555555"

    reply = api.call("DescribeRegistry", altered=numbered)

    assert reply.headers["x-amzn-requestid"] == "11111111-2222-3333-4444-555555555555"


def test_the_host_that_a_trusted_proxy_tells_is_the_one_that_was_signed(api: Api) -> None:
    def proxied(scope: dict[str, Any]) -> None:
        scope["headers"] = [(name, b"10.0.0.7:8080" if name == b"host" else value) for name, value in scope["headers"]]
        scope["openecr.host"] = "localhost:5050"

    assert api.call("DescribeRegistry", altered=proxied).status == 200


def test_a_host_that_was_not_signed_is_refused(api: Api) -> None:
    def elsewhere(scope: dict[str, Any]) -> None:
        scope["headers"] = [(name, b"evil.example" if name == b"host" else value) for name, value in scope["headers"]]

    assert api.call("DescribeRegistry", altered=elsewhere).error[1] == "InvalidSignatureException"
