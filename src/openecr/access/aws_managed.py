"""AWS's own managed policies that ECR's users attach (reference part B §11; AWS Managed Policy Reference)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

PREFIX = "arn:aws:iam::aws:policy/"
SERVICE_ROLE_FOLDER = "aws-service-role/"
"""Where the policies are that only service-linked roles have."""
ADMINISTRATOR_ACCESS = f"{PREFIX}AdministratorAccess"

_PULL = ("GetAuthorizationToken", "BatchCheckLayerAvailability", "GetDownloadUrlForLayer", "BatchGetImage")
_READ = (
    *_PULL,
    "GetRepositoryPolicy",
    "DescribeRepositories",
    "ListImages",
    "DescribeImages",
    "GetLifecyclePolicy",
    "GetLifecyclePolicyPreview",
    "ListTagsForResource",
    "DescribeImageScanFindings",
)
_PUSH = ("InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload", "PutImage")
_READ_PUBLIC = (
    "GetAuthorizationToken",
    "BatchCheckLayerAvailability",
    "GetRepositoryPolicy",
    "DescribeRepositories",
    "DescribeRegistries",
    "DescribeImages",
    "DescribeImageTags",
    "GetRepositoryCatalogData",
    "GetRegistryCatalogData",
)


@dataclass(frozen=True, slots=True)
class ManagedPolicy:
    """A policy that every account has; nobody can change it."""

    name: str
    version: int
    document: str

    @property
    def arn(self) -> str:
        """What it is attached by."""
        return PREFIX + self.name


def _allow(*actions: str, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": "*", **more}


def _ecr(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"ecr:{name}" for name in names)


def _public(names: Sequence[str]) -> tuple[str, ...]:
    return *(f"ecr-public:{name}" for name in names), "sts:GetServiceBearerToken"


_STATEMENTS: Mapping[str, tuple[int, list[dict[str, Any]]]] = {
    "AdministratorAccess": (1, [_allow("*")]),
    "AmazonEC2ContainerRegistryReadOnly": (3, [_allow(*_ecr(_READ))]),
    "AmazonEC2ContainerRegistryPowerUser": (3, [_allow(*_ecr((*_READ, *_PUSH)))]),
    "AmazonEC2ContainerRegistryPullOnly": (
        1,
        [
            _allow(
                "ecr:GetAuthorizationToken",
                "ecr:BatchGetImage",
                "ecr:GetDownloadUrlForLayer",
                "ecr:BatchImportUpstreamImage",
            )
        ],
    ),
    "AmazonEC2ContainerRegistryFullAccess": (
        3,
        [
            _allow("ecr:*", "cloudtrail:LookupEvents"),
            _allow(
                "iam:CreateServiceLinkedRole",
                Condition={"StringEquals": {"iam:AWSServiceName": ["replication.ecr.amazonaws.com"]}},
            ),
        ],
    ),
    "AmazonElasticContainerRegistryPublicReadOnly": (1, [_allow(*_public(_READ_PUBLIC))]),
    "AmazonElasticContainerRegistryPublicPowerUser": (1, [_allow(*_public((*_READ_PUBLIC, *_PUSH)))]),
    "AmazonElasticContainerRegistryPublicFullAccess": (1, [_allow("ecr-public:*", "sts:GetServiceBearerToken")]),
    f"{SERVICE_ROLE_FOLDER}ECRReplicationServiceRolePolicy": (
        1,
        [_allow(*_ecr(("CreateRepository", "ReplicateImage")))],
    ),
    f"{SERVICE_ROLE_FOLDER}AWSECRPullThroughCache_ServiceRolePolicy": (
        1,
        [
            _allow(*_ecr((*_PULL, *_PUSH, "BatchImportUpstreamImage", "GetImageCopyStatus"))),
            _allow("secretsmanager:GetSecretValue")
            | {
                "Resource": "arn:aws:secretsmanager:*:*:secret:ecr-pullthroughcache/*",
                "Condition": {"StringEquals": {"aws:ResourceAccount": "${aws:PrincipalAccount}"}},
            },
        ],
    ),
    f"{SERVICE_ROLE_FOLDER}ECRTemplateServiceRolePolicy": (1, [_allow(*_ecr(("CreateRepository",)))]),
}
"""Name → (version, statements): a new policy is a line."""


@cache
def every() -> Mapping[str, ManagedPolicy]:
    """AWS's policies by ARN."""
    made = (
        ManagedPolicy(name, version, json.dumps({"Version": "2012-10-17", "Statement": statements}, indent=4))
        for name, (version, statements) in _STATEMENTS.items()
    )
    return {policy.arn: policy for policy in made}


def find(arn: str) -> ManagedPolicy | None:
    """The policy of AWS that has this ARN."""
    return every().get(arn)
