"""Whatever a service model marks as sensitive is hidden in records, in requests and answers of every operation."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.model import ListShape, MapShape, Shape, StructureShape

from openecr.aws import model
from openecr.events.audit_record import line_of
from openecr.events.trail import API, Trail
from openecr.names import RegistryName

CANARY = "canary-that-sings"
MOST_DEPTH = 6
TOKENS = ("sessiontoken", "authorizationtoken", "secretaccesskey", "webidentitytoken", "password")
"""Secrets that the models do not all mark as sensitive."""


def members(shape: Shape | None, depth: int = 0) -> Any:
    """A value of a shape with every text in it; what is secret is the canary."""
    if depth > MOST_DEPTH or shape is None:
        return None
    if isinstance(shape, StructureShape):
        return {name: filled(name, one, depth) for name, one in shape.members.items()}
    if isinstance(shape, ListShape):
        return [members(shape.member, depth + 1)]
    if isinstance(shape, MapShape):
        return {"key": members(shape.value, depth + 1)}
    return "harmless" if shape.type_name == "string" else b"bytes" if shape.type_name == "blob" else 1


def filled(name: str, shape: Shape, depth: int) -> Any:
    if is_secret(name, shape):
        return CANARY.encode() if shape.type_name == "blob" else CANARY
    return members(shape, depth + 1)


def is_secret(name: str, shape: Shape) -> bool:
    if isinstance(shape, StructureShape | ListShape | MapShape):
        return False
    return bool(shape.metadata.get("sensitive")) or name.lower() in TOKENS


def operations() -> Iterator[tuple[str, str]]:
    for service in model.SERVICES:
        for name in model.load(service).operations:
            yield service, name


def test_the_models_mark_what_the_test_looks_for() -> None:
    told = {
        name
        for service, name in operations()
        for shape in (
            model.load(service).operations[name].input_shape,
            model.load(service).operations[name].output_shape,
        )
        if CANARY in str(members(shape))
    }

    assert {"AssumeRole", "AssumeRoleWithWebIdentity", "CreateAccessKey", "GetAuthorizationToken"} <= told


@pytest.mark.parametrize("service", model.SERVICES)
def test_no_operation_writes_what_its_model_calls_sensitive(service: str) -> None:
    told = []
    for name, operation in model.load(service).operations.items():
        trail = Trail(API, "request", 1, "127.0.0.1", "test", RegistryName("123456789012", "us-east-1"))
        trail.begin(service, name, members(operation.input_shape) or {}, model.sensitive_members(service, name))
        trail.answered(members(operation.output_shape) or {})
        if CANARY.encode() in line_of(trail, trail.events[0]):
            told.append(name)

    assert told == []
