"""Clients of the shared server, and a repository for each test."""

from dataclasses import replace
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config

from tests.registry_client import RegistryClient
from tests.running import DEFAULT_ACCOUNT, OTHER_ACCOUNT, Server
from tests.scanned_images import VulnerabilityData


@pytest.fixture(scope="session")
def ecr(server: Server) -> Any:
    """A client of the default account, as its users have it."""
    return server.client("ecr")


@pytest.fixture(scope="session")
def kms(server: Server) -> Any:
    """KMS of the default account."""
    return server.client("kms")


@pytest.fixture(scope="session")
def ec2(server: Server) -> Any:
    """EC2 of the default account."""
    return server.client("ec2")


@pytest.fixture(scope="session")
def iam(server: Server) -> Any:
    """IAM of the default account."""
    return server.client("iam")


@pytest.fixture(scope="session")
def other_iam(server: Server) -> Any:
    """IAM of another account, asked in another region."""
    return server.client("iam", OTHER_ACCOUNT, "eu-west-1")


@pytest.fixture
def name() -> str:
    """A name that no other test's identity has."""
    return f"t-{uuid4()}"


@pytest.fixture(scope="session")
def unchecked(server: Server) -> Any:
    """A client that sends what it is given, so that the server is the one to refuse it."""
    variables = server.environment()
    return boto3.client(
        "ecr",
        region_name="us-east-1",
        endpoint_url=server.url,
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        config=Config(retries={"total_max_attempts": 1}, parameter_validation=False),
    )


@pytest.fixture(scope="session")
def other_ecr(server: Server) -> Any:
    """A client of another account."""
    return server.client("ecr", OTHER_ACCOUNT)


@pytest.fixture(scope="session")
def docker(server: Server) -> RegistryClient:
    """The dkr plane, logged in to the default account."""
    return RegistryClient(server.port, server.password())


@pytest.fixture(scope="session")
def other_docker(server: Server) -> RegistryClient:
    """The dkr plane, logged in to another account, at that account's registry."""
    password = server.password(OTHER_ACCOUNT)
    return replace(RegistryClient(server.port, password), prefix=f"/{OTHER_ACCOUNT}.us-east-1")


@pytest.fixture
def repository(ecr: Any, repository_name: str) -> str:
    """An empty repository with default settings."""
    made = ecr.create_repository(repositoryName=repository_name)["repository"]
    assert made["registryId"] == DEFAULT_ACCOUNT
    return repository_name


@pytest.fixture(scope="session")
def vulnerabilities(server: Server, tmp_path_factory: pytest.TempPathFactory) -> VulnerabilityData:
    """The vulnerability data of the server: ``scanned_images.BASE``, to which tests may add records of their own."""
    data = VulnerabilityData(server, tmp_path_factory.mktemp("vulnerabilities"))
    data.publish()
    return data
