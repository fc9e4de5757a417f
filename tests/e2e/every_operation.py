"""One story that calls every built operation at least once, for any client of the API."""

import hashlib
import json
import os
import urllib.request
from collections.abc import Callable
from typing import Any

from openecr.services.ecr.operations import OPERATIONS
from tests.registry_client import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, digest_of

MIB = 1024 * 1024
Call = Callable[..., Any]
"""Calls an operation by its name, with its parameters by their names; bytes are given as bytes."""


def tell(call: Call, name: str) -> None:
    """Go through the life of a repository, and see each answer.

    Args:
        name: of a repository that does not exist, in a registry whose settings nobody else uses.
    """
    called: set[str] = set()

    def ecr(operation: str, **parameters: Any) -> Any:
        called.add(operation)
        return call(operation, **parameters)

    _registry(ecr)
    created = ecr(
        "CreateRepository",
        repositoryName=name,
        imageTagMutability="IMMUTABLE_WITH_EXCLUSION",
        imageTagMutabilityExclusionFilters=[{"filterType": "WILDCARD", "filter": "dev-*"}],
        imageScanningConfiguration={"scanOnPush": True},
        tags=[{"Key": "team", "Value": "payments"}],
    )["repository"]
    found = ecr("DescribeRepositories", repositoryNames=[name])["repositories"]
    assert [one["repositoryArn"] for one in found] == [created["repositoryArn"]]
    _settings(ecr, name, created["repositoryArn"])
    _lifecycle(ecr, name)
    _policies(ecr, name)
    digest, layer = _push(ecr, name)
    _look(ecr, name, digest, layer)
    _referrers(ecr, name, digest)
    _scanning(ecr, name, digest)
    _storage_class(ecr, name, digest)

    deleted = ecr("BatchDeleteImage", repositoryName=name, imageIds=[{"imageTag": "v1"}])
    assert deleted["imageIds"] == [{"imageDigest": digest, "imageTag": "v1"}]
    ecr("DeleteRepository", repositoryName=name, force=True)
    left = ecr("DescribeRepositories")["repositories"]
    assert name not in [one["repositoryName"] for one in left]
    assert called == set(OPERATIONS)


def _registry(ecr: Call) -> None:
    assert ecr("DescribeRegistry")["registryId"] == "123456789012"
    (authorization,) = ecr("GetAuthorizationToken")["authorizationData"]
    assert authorization["authorizationToken"]
    assert ecr("GetAccountSetting", name="BLOB_MOUNTING")["value"] == "DISABLED"
    assert ecr("PutAccountSetting", name="BLOB_MOUNTING", value="ENABLED")["value"] == "ENABLED"


def _settings(ecr: Call, name: str, arn: str) -> None:
    ecr("TagResource", resourceArn=arn, tags=[{"Key": "stage", "Value": "test"}])
    tags = ecr("ListTagsForResource", resourceArn=arn)["tags"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"team": "payments", "stage": "test"}
    ecr("UntagResource", resourceArn=arn, tagKeys=["team"])
    assert ecr("ListTagsForResource", resourceArn=arn)["tags"] == [{"Key": "stage", "Value": "test"}]
    changed = ecr("PutImageTagMutability", repositoryName=name, imageTagMutability="IMMUTABLE")
    assert changed["imageTagMutability"] == "IMMUTABLE"
    scanning = ecr(
        "PutImageScanningConfiguration", repositoryName=name, imageScanningConfiguration={"scanOnPush": False}
    )
    assert scanning["imageScanningConfiguration"] == {"scanOnPush": False}


def _scanning(ecr: Call, name: str, digest: str) -> None:
    assert ecr("GetRegistryScanningConfiguration")["scanningConfiguration"]["scanType"] == "BASIC"
    rules = [{"scanFrequency": "SCAN_ON_PUSH", "repositoryFilters": [{"filter": name, "filterType": "WILDCARD"}]}]
    put = ecr("PutRegistryScanningConfiguration", scanType="BASIC", rules=rules)
    assert put["registryScanningConfiguration"] == {"scanType": "BASIC", "rules": rules}
    told = ecr("BatchGetRepositoryScanningConfiguration", repositoryNames=[name])["scanningConfigurations"]
    assert [(one["repositoryName"], one["scanFrequency"]) for one in told] == [(name, "SCAN_ON_PUSH")]
    ecr("PutRegistryScanningConfiguration", scanType="BASIC", rules=[])
    image = {"imageDigest": digest}
    started = ecr("StartImageScan", repositoryName=name, imageId=image)
    assert started["imageScanStatus"]["status"] == "IN_PROGRESS"
    # Its layer is random bytes: the scan ends with a reason.
    found = ecr("DescribeImageScanFindings", repositoryName=name, imageId=image)
    assert (found["imageId"], found["imageScanStatus"]["status"] in ("IN_PROGRESS", "FAILED")) == (image, True)


def _storage_class(ecr: Call, name: str, digest: str) -> None:
    """Archive the image, and leave the archived one to be deleted; exclude a role's pulls, and count them again."""
    image = {"imageDigest": digest}
    moved = ecr("UpdateImageStorageClass", repositoryName=name, imageId=image, targetStorageClass="ARCHIVE")
    assert moved["imageStatus"] == "ARCHIVED"
    role = "arn:aws:iam::123456789012:role/scanner"
    assert ecr("RegisterPullTimeUpdateExclusion", principalArn=role)["principalArn"] == role
    assert role in ecr("ListPullTimeUpdateExclusions")["pullTimeUpdateExclusions"]
    assert ecr("DeregisterPullTimeUpdateExclusion", principalArn=role)["principalArn"] == role


def _lifecycle(ecr: Call, name: str) -> None:
    selection = {"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 3}
    text = json.dumps({"rules": [{"rulePriority": 1, "selection": selection, "action": {"type": "expire"}}]})
    assert ecr("PutLifecyclePolicy", repositoryName=name, lifecyclePolicyText=text)["lifecyclePolicyText"] == text
    stored = ecr("GetLifecyclePolicy", repositoryName=name)
    assert (stored["repositoryName"], stored["lifecyclePolicyText"]) == (name, text)
    assert ecr("StartLifecyclePolicyPreview", repositoryName=name)["status"] == "IN_PROGRESS"
    assert ecr("GetLifecyclePolicyPreview", repositoryName=name)["status"] in ("IN_PROGRESS", "COMPLETE")
    assert ecr("DeleteLifecyclePolicy", repositoryName=name)["lifecyclePolicyText"] == text


def _policies(ecr: Call, name: str) -> None:
    allowed = {"Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam::999988887777:root"]}, "Action": "ecr:ListImages"}
    text = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    told = ecr("SetRepositoryPolicy", repositoryName=name, policyText=text)["policyText"]
    assert json.loads(told) == json.loads(text)
    assert ecr("GetRepositoryPolicy", repositoryName=name)["policyText"] == told
    assert ecr("DeleteRepositoryPolicy", repositoryName=name)["policyText"] == told
    allowed["Resource"] = "arn:aws:ecr:*:123456789012:repository/*"
    told = ecr("PutRegistryPolicy", policyText=json.dumps({"Version": "2012-10-17", "Statement": [allowed]}))
    assert ecr("GetRegistryPolicy")["policyText"] == told["policyText"]
    assert ecr("DeleteRegistryPolicy")["policyText"] == told["policyText"]


def upload(ecr: Call, name: str, content: bytes) -> str:
    """Upload a layer in parts of 5 MiB; its digest."""
    upload_id = ecr("InitiateLayerUpload", repositoryName=name)["uploadId"]
    for first in range(0, len(content), 5 * MIB):
        part = content[first : first + 5 * MIB]
        last = first + len(part) - 1
        received = ecr(
            "UploadLayerPart",
            repositoryName=name,
            uploadId=upload_id,
            partFirstByte=first,
            partLastByte=last,
            layerPartBlob=part,
        )
        assert received["lastByteReceived"] == last
    digest = digest_of(content)
    done = ecr("CompleteLayerUpload", repositoryName=name, uploadId=upload_id, layerDigests=[digest])
    assert done["layerDigest"] == digest
    return digest


def _push(ecr: Call, name: str) -> tuple[str, bytes]:
    layer, config = os.urandom(5 * MIB + 1000), json.dumps({"architecture": "amd64", "os": "linux"}).encode()
    blobs = [(OCI_CONFIG, config), (OCI_LAYER, layer)]
    parts = [{"mediaType": kind, "digest": upload(ecr, name, blob), "size": len(blob)} for kind, blob in blobs]
    available = ecr("BatchCheckLayerAvailability", repositoryName=name, layerDigests=[part["digest"] for part in parts])
    assert {one["layerAvailability"] for one in available["layers"]} == {"AVAILABLE"}
    manifest = json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": parts[0], "layers": parts[1:]})
    image = ecr("PutImage", repositoryName=name, imageManifest=manifest, imageTag="v1")["image"]
    assert image["imageId"]["imageDigest"] == digest_of(manifest.encode())
    return digest_of(manifest.encode()), layer


def _look(ecr: Call, name: str, digest: str, layer: bytes) -> None:
    assert ecr("ListImages", repositoryName=name)["imageIds"] == [{"imageDigest": digest, "imageTag": "v1"}]
    (described,) = ecr("DescribeImages", repositoryName=name, imageIds=[{"imageTag": "v1"}])["imageDetails"]
    assert described["imageDigest"] == digest
    assert described["imageSizeInBytes"] > len(layer)
    kinds = [OCI_MANIFEST]
    got = ecr("BatchGetImage", repositoryName=name, imageIds=[{"imageTag": "v1"}], acceptedMediaTypes=kinds)
    assert digest_of(got["images"][0]["imageManifest"].encode()) == digest
    url = ecr("GetDownloadUrlForLayer", repositoryName=name, layerDigest=digest_of(layer))["downloadUrl"]
    with urllib.request.urlopen(url, timeout=60) as answer:
        assert hashlib.sha256(answer.read()).digest() == hashlib.sha256(layer).digest()


def _referrers(ecr: Call, name: str, digest: str) -> None:
    empty = upload(ecr, name, b"{}")
    descriptor = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": empty, "size": 2}
    subject = {"mediaType": OCI_MANIFEST, "digest": digest, "size": 1}
    kind = "application/vnd.example.signature"
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": kind,
            "config": descriptor,
            "layers": [descriptor],
            "subject": subject,
        }
    )
    ecr("PutImage", repositoryName=name, imageManifest=manifest, imageDigest=digest_of(manifest.encode()))
    listed = ecr("ListImageReferrers", repositoryName=name, subjectId={"imageDigest": digest})["referrers"]
    assert [(one["digest"], one["artifactType"]) for one in listed] == [(digest_of(manifest.encode()), kind)]
