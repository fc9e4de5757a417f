"""Whatever members a signed request carries, the answer is the operation's or its error, never a failure of openecr."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openecr.aws import model
from openecr.db.connection import Connection, Database
from openecr.names import RegistryName
from openecr.services.ec2 import declaring
from openecr.services.ec2.declaring import Declaration
from openecr.services.ec2.operations import OPERATIONS as EC2_OPERATIONS
from openecr.services.ecr.operations import OPERATIONS
from openecr.services.iam.operations import OPERATIONS as IAM_OPERATIONS

if TYPE_CHECKING:
    from tests.unit.aws.conftest import Api

ECR, EC2, IAM = model.load("ecr"), model.load("ec2"), model.load("iam")
DIGEST = "sha256:" + "0" * 64
MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": DIGEST, "size": 2},
        "layers": [],
    }
)
TEXTS = st.sampled_from(
    [
        "team/app",
        "none/here",
        "123456789012",
        "999988887777",
        "v1",
        DIGEST,
        "sha256:1",
        "sha512:" + "0" * 128,
        "md5:" + "0" * 32,
        "00000000-0000-0000-0000-000000000000",
        "arn:aws:ecr:us-east-1:123456789012:repository/team/app",
        "arn:aws:ecr:eu-west-1:999988887777:repository/x/y",
        "BLOB_MOUNTING",
        "ENABLED",
        MANIFEST,
        "{}",
        "[]",
        '{"schemaVersion": 2, "layers": [1], "config": "x"}',
        '{"schemaVersion": 2, "manifests": {"a": null}}',
        "[" * 5000,
        "",
        "x" * 300,
        "\ud7ff\uffff",
        "*" * 128,
    ]
) | st.text(max_size=20)
FITTING = {
    "RepositoryName": ["team/app", "team/app", "team/app", "none/here"],
    "RegistryId": ["123456789012", "999988887777"],
    "UploadId": ["00000000-0000-0000-0000-000000000000"],
    "LayerDigest": [DIGEST],
    "ImageTag": ["v1"],
    "ImageManifest": [MANIFEST],
    "Arn": ["arn:aws:ecr:us-east-1:123456789012:repository/team/app"],
    **{key: ["there", "absent"] for key in ["userNameType", "existingUserNameType", "groupNameType", "roleNameType"]},
    "arnType": [
        "arn:aws:iam::123456789012:policy/there",
        "arn:aws:iam::aws:policy/AdministratorAccess",
        "arn:aws:iam::123456789012:oidc-provider/there.example.com",
        "arn:aws:iam::123456789012:user/there",
    ],
    "policyDocumentType": ['{"Statement": {"Effect": "Allow", "Action": "ecr:*", "Resource": "*"}}', "{}", "[]"],
    "policyVersionIdType": ["v1", "v2"],
    "ActionNameType": ["ecr:PutImage"],
    "VpcId": ["vpc-11111111"],
    "SubnetId": ["subnet-11111111"],
    "SecurityGroupId": ["sg-11111111"],
}
ANYTHING = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS


def members_of(shape: Any) -> st.SearchStrategy[Any]:
    """Members that mostly fit a shape's types, seldom its meaning."""
    if shape.name in FITTING:
        return st.sampled_from(FITTING[shape.name]) | TEXTS
    match shape.type_name:
        case "structure":
            required = {name: members_of(shape.members[name]) for name in shape.required_members}
            optional = {name: members_of(item) for name, item in shape.members.items() if name not in required}
            return st.fixed_dictionaries(required, optional=optional)
        case "list":
            return st.lists(members_of(shape.member), max_size=3)
        case "integer" | "long":
            return st.sampled_from([0, 1, 2, 100, 1000]) | st.integers(-(2**63), 2**63)
        case "boolean":
            return st.booleans()
        case "blob":
            return st.binary(max_size=40).map(lambda raw: base64.b64encode(raw).decode())
        case _:
            words = [st.sampled_from(shape.metadata["enum"])] if "enum" in shape.metadata else []
            return st.one_of(*words, TEXTS) if words else TEXTS


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_no_members_make_an_operation_fail(api: Api, name: str) -> None:
    api.call("CreateRepository", {"repositoryName": "team/app"})

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(members_of(ECR.operations[name].input_shape), st.dictionaries(st.sampled_from(_members(name)), ANYTHING))
    def answers(members: dict[str, Any], spoiled: dict[str, Any]) -> None:
        reply = api.call(name, members)
        assert reply.status in (200, 400), (members, reply.body)
        reply = api.call(name, members | spoiled)
        assert reply.status in (200, 400), (members | spoiled, reply.body)

    answers()


def _members(name: str) -> list[str]:
    return [*ECR.operations[name].input_shape.members, "unknown"]


def _form(name: str, members: dict[str, Any], version: str = IAM.version, lists: str = ".member") -> str:
    """Members as the query protocol spells them, whatever they hold."""
    fields = {"Action": name, "Version": version}

    def spell(prefix: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                spell(f"{prefix}.{key}" if prefix else key, item)
        elif isinstance(value, list):
            for number, item in enumerate(value, start=1):
                spell(f"{prefix}{lists}.{number}", item)
        elif value is not None:
            fields[prefix] = str(value).lower() if isinstance(value, bool) else str(value)

    spell("", members)
    return urlencode(fields)


@pytest.mark.parametrize("name", sorted(IAM_OPERATIONS))
def test_no_members_make_an_operation_of_iam_fail(api: Api, name: str) -> None:
    api.query(_form("CreateUser", {"UserName": "there"}), "iam")
    api.query(_form("CreatePolicy", {"PolicyName": "there", "PolicyDocument": FITTING["policyDocumentType"][0]}), "iam")
    shape = IAM.operations[name].input_shape

    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(st.just({}) if shape is None else members_of(shape))
    def answers(members: dict[str, Any]) -> None:
        reply = api.query(_form(name, members), "iam")
        assert reply.status in (200, 400, 403, 404, 409), (members, reply.body)

    answers()


@pytest.mark.parametrize("name", sorted(EC2_OPERATIONS))
def test_no_members_make_an_operation_of_ec2_fail(api: Api, name: str) -> None:
    told = Declaration("vpc-11111111", ("10.0.0.0/16",), (), ("subnet-11111111=10.0.1.0/24",), ("sg-11111111",))
    owner = RegistryName("123456789012", "us-east-1")
    asyncio.run(_written(api.deployment.database, lambda db: declaring.declare(db, owner, told, 1)))
    shape = EC2.operations[name].input_shape

    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(members_of(shape))
    def answers(members: dict[str, Any]) -> None:
        form = _form(name, {_spelled(shape, key): value for key, value in members.items()}, EC2.version, "")
        reply = api.query(form, "ec2")
        assert reply.status in (200, 400, 412), (members, reply.body)

    answers()


async def _written(database: Database, decide: Callable[[Connection], Any]) -> Any:
    return await database.write(decide)


def _spelled(shape: Any, member: str) -> str:
    """A member as EC2's forms spell it; what is in it keeps the model's spelling, which is mostly the same."""
    located = str(shape.members[member].serialization.get("name", member))
    return located[:1].upper() + located[1:]
