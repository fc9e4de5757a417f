"""Records as CloudTrail has them: who, what, from where, and what came of it."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from openecr.access.policies.document import PolicyKind, compiled
from openecr.access.policies.evaluation import AccessRequest, NamedPolicy, PolicySet, Principal, evaluate
from openecr.db.callers import KeyOwner
from openecr.errors import AccessDenied, ImageNotFound, IncompleteSignature, InvalidSignature, ManifestUnknown
from openecr.events.audit_record import identity_of, is_read_only, line_of, line_of_loss, whole
from openecr.events.parameters import told_of
from openecr.events.trail import API, DKR, Event, Refused, Trail
from openecr.names import Digest, RegistryName

REGISTRY = RegistryName("123456789012", "us-east-1")
REQUEST = "7e770c27-a50b-49e4-9049-f35a3028b983"
ARN = "arn:aws:ecr:us-east-1:123456789012:repository/myapp/api"
DIGEST = Digest.of(b"manifest")
USER = KeyOwner(
    principal_key=1,
    access_key_id="AKIAEXAMPLE",
    account_id="123456789012",
    organization_id=None,
    kind="user",
    name="dev",
    path="/team/",
    unique_id="AIDAEXAMPLE",
    access_version="1",
    issued_us=1_772_359_200_000_000,
    session_key=None,
    session_name=None,
    expires_us=None,
    source_identity=None,
    provider=None,
    has_policies=None,
    session_tags=None,
    chained=None,
)
SESSION = replace(
    USER,
    access_key_id="ASIAEXAMPLE",
    kind="role",
    name="ci",
    path="/build/",
    unique_id="AROAEXAMPLE",
    session_key=7,
    session_name="run-42",
    source_identity="alice",
    provider="arn:aws:iam::123456789012:oidc-provider/issuer.example",
)


def trail(plane: str = DKR, owner: KeyOwner | None = USER) -> Trail:
    made = Trail(plane, REQUEST, 1_772_359_200_123_456, "203.0.113.9", "docker/29.1", REGISTRY)
    made.owner, made.is_proven = owner, owner is not None
    return made


def record(made: Trail, event: Event) -> dict[str, Any]:
    return whole(line_of(made, event))


def pull(made: Trail) -> Event:
    event = made.event("ecr", "BatchGetImage", {"repository_name": "myapp/api", "reference": "v1", "counts": True})
    event.resources = [ARN]
    event.answer = SimpleNamespace(digest=DIGEST, content=b"megabytes")
    return event


def test_a_pull_is_a_whole_record() -> None:
    made = trail()

    assert record(made, pull(made)) == {
        "eventVersion": "1.08",
        "userIdentity": {
            "type": "IAMUser",
            "principalId": "AIDAEXAMPLE",
            "arn": "arn:aws:iam::123456789012:user/team/dev",
            "accountId": "123456789012",
            "accessKeyId": "AKIAEXAMPLE",
            "userName": "dev",
        },
        "eventTime": "2026-03-01T10:00:00Z",
        "eventSource": "ecr.amazonaws.com",
        "eventName": "BatchGetImage",
        "awsRegion": "us-east-1",
        "sourceIPAddress": "203.0.113.9",
        "userAgent": "docker/29.1",
        "requestParameters": {"repositoryName": "myapp/api", "imageIds": [{"imageTag": "v1"}]},
        "responseElements": None,
        "additionalEventData": {"plane": "dkr", "instantUs": 1_772_359_200_123_456, "imageDigests": [str(DIGEST)]},
        "requestID": REQUEST,
        "eventID": record(made, pull(made))["eventID"],
        "readOnly": True,
        "resources": [{"ARN": ARN, "accountId": "123456789012", "type": "AWS::ECR::Repository"}],
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": "123456789012",
        "eventCategory": "Management",
    }


def test_a_role_session_is_told_with_its_role_and_who_vouched_for_it() -> None:
    assert identity_of(SESSION) == {
        "type": "AssumedRole",
        "principalId": "AROAEXAMPLE:run-42",
        "arn": "arn:aws:sts::123456789012:assumed-role/ci/run-42",
        "accountId": "123456789012",
        "accessKeyId": "ASIAEXAMPLE",
        "sessionContext": {
            "attributes": {"creationDate": "2026-03-01T10:00:00Z", "mfaAuthenticated": "false"},
            "sessionIssuer": {
                "type": "Role",
                "principalId": "AROAEXAMPLE",
                "arn": "arn:aws:iam::123456789012:role/build/ci",
                "accountId": "123456789012",
                "userName": "ci",
            },
            "webIdFederationData": {
                "federatedProvider": "arn:aws:iam::123456789012:oidc-provider/issuer.example",
                "attributes": {},
            },
            "sourceIdentity": "alice",
        },
    }


def test_an_account_root_is_told_as_such() -> None:
    told = identity_of(replace(USER, kind="root", name="root"))

    assert (told["type"], told["principalId"]) == ("Root", "123456789012")
    assert told["arn"] == "arn:aws:iam::123456789012:root"


def test_who_proved_nothing_is_anonymous_and_a_claimed_key_is_no_proof() -> None:
    nobody, claimed = trail(owner=None), trail(owner=None)
    claimed.access_key_id = "AKIAIOSFODNN7EXAMPLE"
    mistaken = trail(owner=None)
    mistaken.access_key_id = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

    told = [record(made, pull(made))["userIdentity"] for made in (nobody, claimed, mistaken)]

    assert told[0] == {"type": "AWSAccount", "principalId": "", "accountId": "ANONYMOUS_PRINCIPAL"}
    assert told[1] == {"type": "Unknown", "principalId": "", "accessKeyId": "AKIAIOSFODNN7EXAMPLE"}
    assert told[2]["accessKeyId"] == "HIDDEN_DUE_TO_SECURITY_REASONS"


def test_a_pull_is_told_the_same_once_its_content_is_let_go() -> None:
    made = trail()
    event = pull(made)
    whole_answer = line_of(made, event)
    event.answer = told_of(event.answer)

    assert line_of(made, event) == whole_answer


def test_pulls_that_differ_in_anything_are_told_apart() -> None:
    def told(**changes: Any) -> dict[str, Any]:
        made = trail(owner=changes.get("owner", USER))
        made.source_address = changes.get("source", "203.0.113.9")
        made.vpc_endpoint_id = changes.get("endpoint")
        event = pull(made)
        event.resources = [changes.get("resource", ARN)]
        event.parameters = {"repository_name": "myapp/api", "reference": changes.get("reference", "v1")}
        event.answer = changes.get("answer", DIGEST)
        event.verdict = changes.get("verdict")
        event.action = "ecr:BatchGetImage"
        return record(made, event)

    moved = Digest.of(b"another")
    verdict: Any = SimpleNamespace(allowed=True, reason="", remedy="", decided_by=None)
    first = told()

    assert told() == first
    assert told(answer=moved)["additionalEventData"]["imageDigests"] == [str(moved)]
    assert told(reference="v2")["requestParameters"]["imageIds"] == [{"imageTag": "v2"}]
    assert told(reference=moved)["requestParameters"]["imageIds"] == [{"imageDigest": str(moved)}]
    assert told(source="::1")["sourceIPAddress"] == "::1"
    assert told(owner=SESSION)["userIdentity"]["type"] == "AssumedRole"
    assert told(resource=f"{ARN}2")["resources"][0]["ARN"] == f"{ARN}2"
    assert told(endpoint="vpce-1")["vpcEndpointId"] == "vpce-1"
    assert told(verdict=verdict)["additionalEventData"]["decision"] == {
        "outcome": "allowed",
        "action": "ecr:BatchGetImage",
    }
    assert told() == first


def test_a_push_tells_the_image_it_made() -> None:
    made = trail()
    event = made.event("ecr", "PutImage", {"repository_name": "myapp/api", "tags": ("v1", "v2"), "offered": object()})
    event.answer = SimpleNamespace(digest=DIGEST)

    told = record(made, event)

    assert told["requestParameters"] == {"repositoryName": "myapp/api", "imageTag": "v1"}
    image_id = {"imageDigest": str(DIGEST), "imageTag": "v1"}
    assert told["responseElements"] == {"image": {"repositoryName": "myapp/api", "imageId": image_id}}
    assert told["readOnly"] is False


def test_one_request_of_several_actions_is_several_events_in_their_order() -> None:
    made = trail()
    for name in ("InitiateLayerUpload", "UploadLayerPart", "UploadLayerPart", "CompleteLayerUpload"):
        made.event("ecr", name, {"repository_name": "myapp/api"})

    told = [record(made, event) for event in made.events]

    assert [item["eventName"] for item in told] == ["InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload"]
    assert [item["additionalEventData"]["instantUs"] - made.now_us for item in told] == [0, 1, 2]
    assert len({item["eventID"] for item in told}) == 3
    assert {item["requestID"] for item in told} == {REQUEST}


def test_the_same_event_has_the_same_id_whoever_records_it() -> None:
    first, again = trail(), trail()

    assert record(first, pull(first))["eventID"] == record(again, pull(again))["eventID"]


def test_a_denial_is_told_with_its_statement_and_its_remedy() -> None:
    text = '{"Version":"2012-10-17","Statement":{"Sid":"No","Effect":"Deny","Action":"ecr:*","Resource":"*"}}'
    principal = Principal(arn="arn:aws:iam::123456789012:user/dev", account_id="123456789012", kind="user")
    request = AccessRequest(principal, "ecr:BatchGetImage", ARN, "123456789012", {})
    policies = PolicySet(identity=(NamedPolicy("inline policy no of user dev", compiled(text, PolicyKind.IDENTITY)),))
    verdict = evaluate(request, policies)
    made = trail()
    event = pull(made)
    event.error = AccessDenied(
        principal=principal.arn, action=request.action, resource=ARN, reason=verdict.reason, verdict=verdict
    )

    told = record(made, event)

    assert told["errorCode"] == "AccessDeniedException"
    assert told["errorMessage"].startswith("User: arn:aws:iam::123456789012:user/dev is not authorized")
    decision = told["additionalEventData"]["decision"]
    assert decision == {
        "outcome": "denied",
        "action": "ecr:BatchGetImage",
        "resource": ARN,
        "reason": verdict.reason,
        "remedy": verdict.remedy,
        "policyType": "identity-based policy",
        "policy": "inline policy no of user dev",
        "statementNumber": 1,
        "statement": {"Sid": "No", "Effect": "Deny", "Action": "ecr:*", "Resource": "*"},
    }
    assert "imageDigests" not in told["additionalEventData"]


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (ManifestUnknown(), "ImageNotFoundException", "Requested image not found"),
        (
            ImageNotFound(digest="null", tag="v1", repository="r", registry_id="1"),
            "ImageNotFoundException",
            (
                "The image with imageId {imageDigest:'null', imageTag:'v1'} does not exist within the repository with "
                "name 'r' in the registry with id '1'"
            ),
        ),
        (
            InvalidSignature(message="It does not match.\n\nThe Canonical String\n'x'"),
            "InvalidSignatureException",
            "It does not match.",
        ),
        (IncompleteSignature(message="got 'my secret'"), "IncompleteSignatureException", None),
        (Refused("NoSuchKey"), "NoSuchKey", None),
        (RuntimeError("of openecr's own"), "ServerException", None),
    ],
)
def test_a_failure_is_told_with_the_clients_own_code(error: Exception, code: str, message: str | None) -> None:
    made = trail()
    event = pull(made)
    event.error = error

    told = record(made, event)

    assert (told["errorCode"], told.get("errorMessage")) == (code, message)
    assert told["responseElements"] is None


def test_an_operation_of_the_api_is_told_in_its_models_members() -> None:
    made = trail(API)
    made.begin("kms", "CreateKey", {"Description": "layers", "Tags": [{"TagKey": "a", "TagValue": "b"}]})
    made.answered({"KeyMetadata": {"KeyId": "1", "CreationDate": 1_772_359_200_000_000, "Enabled": True}})
    (event,) = made.events

    told = record(made, event)

    assert told["eventSource"] == "kms.amazonaws.com"
    assert told["requestParameters"] == {"description": "layers", "tags": [{"tagKey": "a", "tagValue": "b"}]}
    assert told["responseElements"] == {
        "keyMetadata": {"keyId": "1", "creationDate": "Mar 1, 2026, 10:00:00 AM", "enabled": True}
    }


def test_a_read_has_no_response_elements() -> None:
    made = trail(API)
    made.begin("ecr", "GetAuthorizationToken", {})
    made.answered({"authorizationData": [{"authorizationToken": "canary"}]})

    line = line_of(made, made.events[0])

    assert whole(line)["responseElements"] is None
    assert b"canary" not in line


@pytest.mark.parametrize(
    ("members", "hidden"),
    [
        ({"WebIdentityToken": "canary", "RoleArn": "arn"}, {"webIdentityToken"}),
        ({"Password": "canary"}, {"password"}),
        ({"SecretString": "canary"}, {"secretString"}),
        ({"Outer": {"SecretAccessKey": "canary", "AccessKeyId": "AKIA"}}, {"outer"}),
        ({"List": [{"SessionToken": "canary"}]}, {"list"}),
        ({"Plaintext": b"canary"}, {"plaintext"}),
    ],
)
def test_what_is_named_as_a_secret_is_never_written(members: dict[str, Any], hidden: set[str]) -> None:
    made = trail(API)
    made.begin("sts", "AssumeRoleWithWebIdentity", members)
    event = made.events[0]
    event.error = ManifestUnknown()
    event.answer = {"Credentials": members}

    line = line_of(made, event)

    assert b"canary" not in line
    assert hidden <= set(whole(line)["requestParameters"])


def test_an_error_that_repeats_a_secret_is_told_without_it() -> None:
    made = trail(API)
    made.begin("sts", "AssumeRoleWithWebIdentity", {"WebIdentityToken": "canary-token"})
    event = made.events[0]
    event.error = InvalidSignature(message="1 validation error detected: Value 'canary-token' at 'webIdentityToken'")

    assert "canary" not in whole(line_of(made, event))["errorMessage"]


def test_bytes_manifests_and_endless_texts_are_not_written() -> None:
    made = trail(API)
    made.begin(
        "ecr",
        "PutImage",
        {"imageManifest": "{}", "layerPartBlob": b"x", "policyText": "p" * 9000, "repositoryNames": ["r"] * 900},
    )

    told = record(made, made.events[0])["requestParameters"]

    assert set(told) == {"policyText", "repositoryNames"}
    assert len(told["policyText"]) <= 4097
    assert len(told["repositoryNames"]) == 100


@pytest.mark.parametrize(
    ("name", "reads"),
    [
        ("BatchGetImage", True),
        ("GetDownloadUrlForLayer", True),
        ("BatchCheckLayerAvailability", True),
        ("AssumeRole", True),
        ("DescribeRepositories", True),
        ("PutImage", False),
        ("BatchDeleteImage", False),
        ("InitiateLayerUpload", False),
        ("CreateAccessKey", False),
    ],
)
def test_what_only_reads_is_told_by_the_operations_name(name: str, reads: bool) -> None:
    assert is_read_only(name) is reads


def test_lost_records_are_a_record_themselves() -> None:
    told = whole(line_of_loss(17, 1_772_359_200_000_000, REGISTRY))

    assert (told["eventName"], told["eventType"]) == ("AuditRecordsLost", "AwsServiceEvent")
    assert told["additionalEventData"]["lostRecords"] == 17


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b'{"us": 1}', b'{"us":1,"pl{"us":2}'])
def test_a_line_that_a_crash_cut_is_no_record(line: bytes) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        whole(line)
