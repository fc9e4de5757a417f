"""Bodies in and out: JSON 1.1 and query."""

import json
from typing import Any
from xml.etree import ElementTree

import pytest
from botocore import xform_name
from botocore.model import Shape
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from hypothesis import given
from hypothesis import strategies as st

from openecr.aws import json_protocol, model, query_protocol
from openecr.aws.answers import AnswerError, iso_instant
from openecr.errors import RepositoryNotFound, SerializationFailed, ServerFault, UnrecognizedClient, ValidationFailed

ECR = model.load("ecr")
STS = model.load("sts")
IAM = model.load("iam")


def input_of(operation: str) -> Shape | None:
    shape: Shape | None = ECR.operations[operation].input_shape
    return shape


def output_of(operation: str) -> Shape | None:
    shape: Shape | None = ECR.operations[operation].output_shape
    return shape


def refusal(operation: str, body: bytes) -> str:
    with pytest.raises(SerializationFailed) as refused:
        json_protocol.decode(body, input_of(operation))
    return refused.value.message


@pytest.mark.parametrize("body", [b"", b"  ", b"{}", b'{"unknown": [1]}', b'{"registryIds": null}'])
def test_what_says_nothing_is_empty(body: bytes) -> None:
    assert json_protocol.decode(body, input_of("GetAuthorizationToken")) == {}


def test_blobs_come_as_bytes() -> None:
    assert json_protocol.decode(b'{"layerPartBlob": "aGk="}', input_of("UploadLayerPart")) == {"layerPartBlob": b"hi"}


def test_nested_members_keep_the_models_spelling() -> None:
    body = b'{"imageIds": [{"imageTag": "v1", "colour": "blue"}, {"imageDigest": null}]}'

    assert json_protocol.decode(body, input_of("BatchGetImage")) == {"imageIds": [{"imageTag": "v1"}, {}]}


@pytest.mark.parametrize(
    ("operation", "body", "told"),
    [
        ("CreateRepository", b'{"repositoryName": 5}', "NUMBER_VALUE can not be converted to a String"),
        ("CreateRepository", b'{"repositoryName": true}', "TRUE_VALUE can not be converted to a String"),
        ("CreateRepository", b'{"repositoryName": 1.5}', "DECIMAL_VALUE can not be converted to a String"),
        ("CreateRepository", b'{"repositoryName": ["a"]}', "Start of list found where not expected"),
        ("CreateRepository", b'{"repositoryName": {}}', "Start of structure or map found where not expected."),
        ("CreateRepository", b'{"tags": "x"}', "STRING_VALUE can not be converted to a list"),
        ("CreateRepository", b'{"tags": ["x"]}', "STRING_VALUE can not be converted to a structure"),
        ("ListImages", b'{"maxResults": "5"}', "STRING_VALUE can not be converted to an Integer"),
        ("ListImages", b'{"maxResults": true}', "TRUE_VALUE can not be converted to an Integer"),
        ("ListImages", b'{"maxResults": 2147483648}', "NUMBER_VALUE can not be converted to an Integer"),
        ("ListImages", b'{"maxResults": 1e400}', "The request body is not valid JSON"),
        ("DeleteRepository", b'{"force": "yes"}', "STRING_VALUE can not be converted to a Boolean"),
        ("UploadLayerPart", b'{"layerPartBlob": "a b"}', "A blob is not valid base64"),
        ("UploadLayerPart", b'{"layerPartBlob": "YQ"}', "A blob is not valid base64"),
        ("CreateRepository", b"[]", "Start of list found where not expected"),
        ("CreateRepository", b'"x"', "STRING_VALUE can not be converted to a structure"),
        ("CreateRepository", b"null", "NULL_VALUE can not be converted to a structure"),
        ("CreateRepository", b"{", "The request body is not valid JSON"),
        ("CreateRepository", b'{"repositoryName": "\xff"}', "The request body is not valid JSON"),
        ("CreateRepository", b'{"repositoryName": "\\ud800"}', "The request body is not valid JSON"),
        ("CreateRepository", b"[" * 65 + b"]" * 65, "The request body is nested deeper than 64 levels"),
        ("CreateRepository", b"[" * 100_000, "The request body is not valid JSON"),
        ("CreateRepository", b"[" + b"[]," * 200_001 + b"[]]", "The request body holds too many values"),
        ("CreateRepository", b"[" + b"1," * 1_000_001 + b"1]", "The request body holds too many values"),
    ],
)
def test_a_wrong_type_is_told(operation: str, body: bytes, told: str) -> None:
    assert refusal(operation, body) == told


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()


@given(st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20))
def test_any_json_is_decoded_or_refused(value: Any) -> None:
    body = json.dumps({"tags": value, "repositoryName": value}).encode()

    try:
        json_protocol.decode(body, input_of("CreateRepository"))
    except SerializationFailed:
        return


def test_instants_become_epoch_seconds_and_none_is_left_out() -> None:
    answer = {"repository": {"createdAt": 1_705_072_146_500_000, "repositoryName": "a/b", "registryId": None}}

    assert json_protocol.encode(answer, output_of("CreateRepository")) == (
        b'{"repository":{"createdAt":1705072146.5,"repositoryName":"a/b"}}'
    )


@pytest.mark.parametrize(
    "answer",
    [
        {"colour": "blue"},
        {"repository": {"colour": "blue"}},
        {"repository": {"createdAt": 1.5}},
        {"repository": {"createdAt": True}},
        {"repository": {"repositoryName": b"a"}},
        {"repository": ["a"]},
        {"repository": {"imageScanningConfiguration": {"scanOnPush": 1}}},
    ],
)
def test_an_answer_outside_its_shape_is_a_bug(answer: dict[str, Any]) -> None:
    with pytest.raises(AnswerError):
        json_protocol.encode(answer, output_of("CreateRepository"))


def test_an_answer_without_members_is_an_empty_object() -> None:
    assert json_protocol.encode({}, output_of("TagResource")) == b"{}"


def test_an_error_in_json_has_type_and_message() -> None:
    error = RepositoryNotFound(repository="a", registry_id="1")

    assert json_protocol.encode_error(error) == (
        b'{"__type":"RepositoryNotFoundException",'
        b"\"message\":\"The repository with name 'a' does not exist in the registry with id '1'\"}"
    )


def query_input(service: model.Service, operation: str, members: dict[str, Any]) -> dict[str, Any]:
    """What the server reads of what botocore writes."""
    shape = service.operations[operation]
    request = create_serializer("query", include_validation=False).serialize_to_request(members, shape)
    return query_protocol.decode({name: str(value) for name, value in request["body"].items()}, shape.input_shape)


def test_lists_of_structures_come_through_the_query_protocol() -> None:
    members = {
        "RoleArn": "arn:aws:iam::123456789012:role/x",
        "RoleSessionName": "s",
        "DurationSeconds": 900,
        "Tags": [{"Key": str(number), "Value": ""} for number in range(12)],
    }

    assert query_input(STS, "AssumeRole", members) == members


def test_lists_of_texts_and_booleans_come_through_the_query_protocol() -> None:
    members = {"PolicySourceArn": "a" * 20, "ActionNames": ["ecr:PutImage", "ecr:*"], "MaxItems": 5}

    assert query_input(IAM, "SimulatePrincipalPolicy", members) == members


def test_an_empty_list_comes_through_the_query_protocol() -> None:
    assert query_input(IAM, "CreateUser", {"UserName": "u", "Tags": []}) == {"UserName": "u", "Tags": []}


@pytest.mark.parametrize(
    "fields",
    [
        {"Tags": "x"},
        {"Tags.member": "x"},
        {"Tags.member.x.Key": "a"},
        {"Tags.member.1": "a"},
        {"RoleArn.x": "a"},
        {"DurationSeconds": "soon"},
        {"DurationSeconds": "9" * 19},
        {"DurationSeconds": ""},
        {".".join("a" * 40): "x"},
    ],
)
def test_a_field_of_a_wrong_form_is_told(fields: dict[str, str]) -> None:
    with pytest.raises(SerializationFailed):
        query_protocol.decode(fields, STS.operations["AssumeRole"].input_shape)


def test_fields_that_no_shape_has_are_ignored() -> None:
    assert query_protocol.decode({"Colour": "blue"}, STS.operations["GetCallerIdentity"].input_shape) == {}


def test_a_form_keeps_the_first_of_each_name() -> None:
    assert query_protocol.parse_form(b"Action=A&Action=B&x=%C3%A9+1") == {"Action": "A", "x": "é 1"}


@pytest.mark.parametrize("body", [b"\xff", b"a=%FF", b"&".join(b"a=1" for _ in range(10_001))])
def test_what_is_no_form_is_told(body: bytes) -> None:
    with pytest.raises(SerializationFailed):
        query_protocol.parse_form(body)


def test_an_xml_answer_is_what_botocore_reads() -> None:
    answer = {
        "User": {
            "Path": "/",
            "UserName": "a<b>&\x01",
            "UserId": "AIDA",
            "Arn": "arn:aws:iam::123456789012:user/a",
            "CreateDate": 1_705_072_146_000_000,
            "Tags": [{"Key": "k", "Value": "v"}, {"Key": "l", "Value": ""}],
        }
    }

    body = query_protocol.encode(IAM, "GetUser", answer, "an-id")
    read = create_parser("query").parse(
        {"body": body, "headers": {}, "status_code": 200}, IAM.operations["GetUser"].output_shape
    )

    assert read["ResponseMetadata"]["RequestId"] == "an-id"
    assert read["User"]["UserName"] == "a<b>&\N{REPLACEMENT CHARACTER}"
    assert read["User"]["CreateDate"].timestamp() == 1_705_072_146
    assert read["User"]["Tags"] == answer["User"]["Tags"]


def test_an_xml_answer_outside_its_shape_is_a_bug() -> None:
    with pytest.raises(AnswerError):
        query_protocol.encode(STS, "GetCallerIdentity", {"Colour": "blue"}, "an-id")


def test_an_operation_without_output_has_metadata_only() -> None:
    body = query_protocol.encode(IAM, "DeleteUser", {}, "an-id")

    assert [element.tag.partition("}")[2] for element in ElementTree.fromstring(body)] == ["ResponseMetadata"]


def test_errors_in_xml_have_the_query_services_spelling() -> None:
    status, body = query_protocol.encode_error(STS, UnrecognizedClient(), "an-id")

    read = create_parser("query").parse({"body": body, "headers": {}, "status_code": status}, None)
    assert status == 403
    assert read["Error"]["Code"] == "InvalidClientTokenId"
    assert read["Error"]["Message"] == "The security token included in the request is invalid."
    assert read["ResponseMetadata"]["RequestId"] == "an-id"


def test_a_failure_of_the_server_is_the_receivers() -> None:
    status, body = query_protocol.encode_error(STS, ServerFault(request_id="an-id"), "an-id")

    assert status == 500
    assert b"<Type>Receiver</Type><Code>InternalFailure</Code>" in body


def test_an_error_of_the_model_has_the_models_code_and_status() -> None:
    class NoSuchEntity(ValidationFailed):
        code = "NoSuchEntityException"

    status, body = query_protocol.encode_error(IAM, NoSuchEntity(message="gone"), "an-id")

    assert status == 404
    assert b"<Code>NoSuchEntity</Code>" in body


@pytest.mark.parametrize(
    ("instant_us", "text"),
    [(0, "1970-01-01T00:00:00Z"), (1_705_072_146_500_999, "2024-01-12T15:09:06.500Z")],
)
def test_instants_in_xml_are_iso(instant_us: int, text: str) -> None:
    assert iso_instant(instant_us) == text


@pytest.mark.parametrize("operation", sorted(ECR.operations))
def test_botocores_own_requests_are_understood(operation: str) -> None:
    shape = ECR.operations[operation]
    members = {name: _example(member) for name, member in shape.input_shape.members.items()}
    body = create_serializer("json", include_validation=False).serialize_to_request(members, shape)["body"]

    assert json_protocol.decode(body, shape.input_shape) == members
    assert sorted(model.arguments_of(shape.input_shape).values()) == sorted(xform_name(name) for name in members)


def _example(shape: Any) -> Any:
    match shape.type_name:
        case "structure":
            return {name: _example(member) for name, member in shape.members.items()}
        case "list":
            return [_example(shape.member)]
        case "integer" | "long":
            return 7
        case "boolean":
            return True
        case "blob":
            return b"bytes"
        case _:
            return "text"
