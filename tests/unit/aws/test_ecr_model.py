"""Every operation of the models has a handler that fits it, or an honest answer."""

from __future__ import annotations

import ast
import inspect
from typing import TYPE_CHECKING

import pytest
from botocore import xform_name

from openecr import errors
from openecr.aws import model
from openecr.call import Operation
from openecr.services.ec2.operations import OPERATIONS as EC2_OPERATIONS
from openecr.services.ecr.operations import OPERATIONS as ECR_OPERATIONS
from openecr.services.iam.operations import OPERATIONS as IAM_OPERATIONS
from openecr.services.kms.operations import OPERATIONS as KMS_OPERATIONS
from openecr.services.sts.operations import OPERATIONS as STS_OPERATIONS

if TYPE_CHECKING:
    from tests.unit.aws.conftest import Api

HANDLERS: dict[str, dict[str, Operation]] = {
    "ec2": EC2_OPERATIONS,
    "ecr": ECR_OPERATIONS,
    "iam": IAM_OPERATIONS,
    "sts": STS_OPERATIONS,
    "kms": KMS_OPERATIONS,
}
BUILT = sorted((service, name) for service, table in HANDLERS.items() for name in table)
ANYWHERE = {"AccessDeniedException", "ServerException", "UnrecognizedClientException"}
COMMON_TO_AWS = {
    "ec2": {"MissingParameter"},
    "kms": {"ValidationException"},
    "sts": {"ValidationException"},
}
"""What a service's model leaves to the errors that all services share; EC2's model declares none at all."""


def not_built(service: str) -> list[str]:
    return model.operations_not_built(service, HANDLERS.get(service, {}))


def test_the_models_know_every_operation_of_ecr() -> None:
    assert len(model.load("ecr").operations) >= 62


@pytest.mark.parametrize("name", not_built("ecr"))
def test_an_operation_of_ecr_that_is_not_built_says_so(api: Api, name: str) -> None:
    reply = api.call(name)

    assert reply.error == (400, "UnknownOperationException", f"{name} is not built yet in openecr")


@pytest.mark.parametrize("name", not_built("ecr-public"))
def test_an_operation_of_ecr_public_that_is_not_built_says_so(api: Api, name: str) -> None:
    reply = api.call(name, service="ecr-public")

    assert reply.error == (400, "UnknownOperationException", f"{name} is not built yet in openecr")


@pytest.mark.parametrize("name", not_built("kms"))
def test_an_operation_of_kms_that_is_not_built_says_so(api: Api, name: str) -> None:
    reply = api.call(name, service="kms")

    assert reply.error == (400, "UnknownOperationException", f"{name} is not built yet in openecr")


@pytest.mark.parametrize("name", sorted(KMS_OPERATIONS))
def test_a_built_operation_of_kms_answers_without_members_by_its_model(api: Api, name: str) -> None:
    shape = model.load("kms").operations[name].input_shape

    reply = api.call(name, service="kms")

    if not shape.required_members:
        assert reply.status == 200
    else:
        assert reply.document["__type"] == "ValidationException"
        assert "failed to satisfy constraint: Member must not be null" in reply.document["message"]


@pytest.mark.parametrize("name", not_built("sts"))
def test_an_operation_of_sts_that_is_not_built_says_so(api: Api, name: str) -> None:
    reply = api.query(f"Action={name}&Version=2011-06-15")

    assert reply.status == 400
    assert f"<Code>InvalidAction</Code><Message>{name} is not built yet in openecr</Message>" in reply.body.decode()


@pytest.mark.parametrize("name", not_built("iam"))
def test_an_operation_of_iam_that_is_not_built_says_so(api: Api, name: str) -> None:
    reply = api.query(f"Action={name}&Version=2010-05-08", "iam")

    assert reply.status == 400
    assert f"<Code>InvalidAction</Code><Message>{name} is not built yet in openecr</Message>" in reply.body.decode()


@pytest.mark.parametrize("name", sorted(IAM_OPERATIONS))
def test_a_built_operation_of_iam_answers_without_members_by_its_model(api: Api, name: str) -> None:
    shape = model.load("iam").operations[name].input_shape

    reply = api.query(f"Action={name}&Version=2010-05-08", "iam")

    if shape is None or not shape.required_members:
        assert f"<{name}Response " in reply.body.decode()
        assert reply.status == 200
    else:
        assert reply.status == 400
        assert "<Code>ValidationError</Code>" in reply.body.decode()
        assert "failed to satisfy constraint: Member must not be null" in reply.body.decode()


@pytest.mark.parametrize("name", not_built("ec2")[:3])
def test_an_operation_of_ec2_that_is_not_built_says_so(api: Api, name: str) -> None:
    reply = api.query(f"Action={name}&Version=2016-11-15", "ec2")

    assert reply.status == 400
    assert f"<Code>InvalidAction</Code><Message>{name} is not built yet in openecr</Message>" in reply.body.decode()


@pytest.mark.parametrize("name", sorted(EC2_OPERATIONS))
def test_a_built_operation_of_ec2_answers_without_members_by_its_model(api: Api, name: str) -> None:
    required = model.load("ec2").operations[name].input_shape.required_members

    reply = api.query(f"Action={name}&Version=2016-11-15", "ec2")

    if required:
        assert reply.status == 400
        told = f"The request must contain the parameter {required[0]}"
        assert f"<Code>MissingParameter</Code><Message>{told}</Message>" in reply.body.decode()
    else:
        assert reply.status == 200 or b"<Code>InvalidParameterCombination<" in reply.body or b"MissingP" in reply.body


@pytest.mark.parametrize("name", sorted(ECR_OPERATIONS))
def test_a_built_operation_answers_without_members_by_its_model(api: Api, name: str) -> None:
    required = model.load("ecr").operations[name].input_shape.required_members

    reply = api.call(name)

    if not required:
        assert reply.status == 200 or reply.document["__type"] == "RegistryPolicyNotFoundException"
    elif "ValidationException" in reply.document["__type"]:
        assert f"'{required[0]}' failed to satisfy constraint: Member must not be null" in reply.document["message"]
    else:
        assert reply.error[:2] == (400, "InvalidParameterException")
        assert "failed to satisfy constraint: 'Member must not be null'" in reply.document["message"]


@pytest.mark.parametrize(("service", "name"), BUILT)
def test_a_handler_is_named_as_in_the_model(service: str, name: str) -> None:
    assert HANDLERS[service][name].name == name
    assert name in model.load(service).operations


@pytest.mark.parametrize(("service", "name"), BUILT)
def test_a_handler_takes_the_models_members(service: str, name: str) -> None:
    shape = model.load(service).operations[name].input_shape
    parameters = inspect.signature(HANDLERS[service][name].function).parameters.values()

    declared = {item.name: item.default is item.empty for item in parameters if item.kind is item.KEYWORD_ONLY}
    modelled = (
        {} if shape is None else {xform_name(member): member in shape.required_members for member in shape.members}
    )

    assert declared == modelled


# EC2's model declares no errors at all.
@pytest.mark.parametrize(("service", "name"), [built for built in BUILT if built[0] != "ec2"])
def test_a_handler_raises_what_its_model_declares(service: str, name: str) -> None:
    declared = {shape.name for shape in model.load(service).operations[name].error_shapes}
    codes = {getattr(errors, raised).code for raised in _raised_by(HANDLERS[service][name])}

    assert codes - declared - ANYWHERE - COMMON_TO_AWS.get(service, set()) == set()


def _raised_by(handler: Operation) -> set[str]:
    """The classes of ``errors`` that the handler's own body raises by name."""
    tree = ast.parse(inspect.getsource(handler.function))
    raised = (node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise) and node.exc is not None)
    names = (node.func if isinstance(node, ast.Call) else node for node in raised)
    return {node.id for node in names if isinstance(node, ast.Name) and hasattr(errors, node.id)}


@pytest.mark.parametrize("error", [item for item in vars(errors).values() if isinstance(item, type) and item.__doc__])
def test_the_members_of_an_error_are_its_shapes(error: type[errors.RegistryError]) -> None:
    shape = model.load("ecr").errors.get(error.code) if issubclass(error, errors.RegistryError) else None

    if shape is not None:
        assert set(getattr(error, "members", {})) <= set(shape.members)
