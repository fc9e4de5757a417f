"""A request's events as CloudTrail records. Pure.

Shapes: CloudTrail User Guide, "CloudTrail record contents for management, data, and network activity events" and
"CloudTrail userIdentity element"; ECR User Guide, "Logging Amazon ECR actions with AWS CloudTrail". What openecr alone
knows is in ``additionalEventData``: the plane, the instant in µs, the decision with its deciding statement, and which
digests a pull by tag got.
"""

import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from uuid import NAMESPACE_OID, uuid4, uuid5

import orjson

from openecr.db.callers import KeyOwner
from openecr.errors import AccessDenied, IncompleteSignature, RegistryError
from openecr.events import parameters
from openecr.events.trail import DKR, LAYERS, Decided, Event, Refused, Trail
from openecr.names import RegistryName

VERSION = "1.08"
_READS = ("Get", "List", "Describe", "BatchGet", "BatchCheck", "Check", "Assume", "Simulate", "Validate", "Encrypt")
_MOST_MESSAGE = 1024
_MOST_RESOURCES = 100
_MOST_STATEMENT = 4096


def render(trail: Trail, event: Event) -> bytes:
    """The record of one event, a line of JSON."""
    pruned = parameters.of_dkr(event.parameters) if trail.plane == DKR else parameters.of_model(event.parameters)
    account_id = trail.registry.account_id
    document: dict[str, Any] = {
        "eventVersion": VERSION,
        "userIdentity": _identity(trail),
        "eventTime": _time(trail.now_us // 1_000_000),
        "eventSource": f"{event.service}.amazonaws.com",
        "eventName": event.name,
        "awsRegion": trail.registry.region,
        "sourceIPAddress": trail.source_address,
        "userAgent": trail.user_agent,
        "requestParameters": pruned.members or None,
        "responseElements": _answered(trail, event),
        "additionalEventData": _additional(trail, event),
        "requestID": trail.request_id,
        "eventID": event_id(trail.request_id, event.name),
        "readOnly": is_read_only(event.name),
        "resources": [_resource(arn) for arn in event.resources[:_MOST_RESOURCES] if arn != "*"],
        "eventType": "AwsApiCall",
        "managementEvent": trail.plane != LAYERS,
        "recipientAccountId": account_id,
        "eventCategory": "Data" if trail.plane == LAYERS else "Management",
    }
    if trail.vpc_endpoint_id is not None:
        document["vpcEndpointId"] = trail.vpc_endpoint_id
    if event.error is not None:
        document["errorCode"], message = _error(event.error)
        if message:
            document["errorMessage"] = pruned.without_secrets(message)
    return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)


def lost(count: int, now_us: int, registry: RegistryName) -> bytes:
    """The record of records that were lost."""
    document: dict[str, Any] = {
        "eventVersion": VERSION,
        "userIdentity": {"type": "AWSService", "invokedBy": "openecr"},
        "eventTime": _time(now_us // 1_000_000),
        "eventSource": "cloudtrail.amazonaws.com",
        "eventName": "AuditRecordsLost",
        "awsRegion": registry.region,
        "sourceIPAddress": "openecr",
        "userAgent": "openecr",
        "requestParameters": None,
        "responseElements": None,
        "additionalEventData": {"instantUs": now_us, "lostRecords": count},
        "requestID": "",
        "eventID": str(uuid4()),
        "readOnly": False,
        "resources": [],
        "eventType": "AwsServiceEvent",
        "managementEvent": True,
        "recipientAccountId": registry.account_id,
        "eventCategory": "Management",
    }
    return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)


def event_id(request_id: str, name: str) -> str:
    """The same for the same event of the same request, whoever writes it down: what was recorded twice is one."""
    if len(request_id) != 36:
        return str(uuid5(NAMESPACE_OID, f"{request_id} {name}"))
    return _mark_of(name) + request_id[4:]


@lru_cache(maxsize=1024)
def is_read_only(name: str) -> bool:
    """Whether an operation changes nothing, as CloudTrail says of it: AWS names them alike."""
    return name.startswith(_READS)


def identity_of(owner: KeyOwner) -> dict[str, Any]:
    """``userIdentity`` of a proven caller."""
    account_id = owner.account_id
    if owner.kind == "root":
        return {
            "type": "Root",
            "principalId": account_id,
            "arn": f"arn:aws:iam::{account_id}:root",
            "accountId": account_id,
            "accessKeyId": owner.access_key_id,
            **_session(owner),
        }
    if owner.kind == "role":
        return {
            "type": "AssumedRole",
            "principalId": f"{owner.unique_id}:{owner.session_name}",
            "arn": f"arn:aws:sts::{account_id}:assumed-role/{owner.name}/{owner.session_name}",
            "accountId": account_id,
            "accessKeyId": owner.access_key_id,
            **_session(owner),
        }
    return {
        "type": "IAMUser",
        "principalId": owner.unique_id,
        "arn": f"arn:aws:iam::{account_id}:user{owner.path}{owner.name}",
        "accountId": account_id,
        "accessKeyId": owner.access_key_id,
        "userName": owner.name,
        **_session(owner),
    }


def _session(owner: KeyOwner) -> dict[str, Any]:
    """``sessionContext`` of temporary credentials; nothing for a long-term key."""
    if owner.session_key is None:
        return {}
    context: dict[str, Any] = {
        "attributes": {"creationDate": _time(owner.issued_us // 1_000_000), "mfaAuthenticated": "false"}
    }
    if owner.kind == "role":
        context["sessionIssuer"] = {
            "type": "Role",
            "principalId": owner.unique_id,
            "arn": f"arn:aws:iam::{owner.account_id}:role{owner.path}{owner.name}",
            "accountId": owner.account_id,
            "userName": owner.name,
        }
    if owner.provider:
        context["webIdFederationData"] = {"federatedProvider": owner.provider, "attributes": {}}
    if owner.source_identity:
        context["sourceIdentity"] = owner.source_identity
    return {"sessionContext": context}


def _identity(trail: Trail) -> Any:
    if trail.owner is not None:
        owner = trail.owner
        return _proven(owner.access_key_id, owner.unique_id, owner.name, owner.path, owner.session_name, owner)
    if trail.access_key_id:
        return {"type": "Unknown", "principalId": "", "accessKeyId": parameters.key_id(trail.access_key_id)}
    return {"type": "AWSAccount", "principalId": "", "accountId": "ANONYMOUS_PRINCIPAL"}


class _Fragments:
    """Identities as JSON: the same few callers ask again and again."""

    def __init__(self) -> None:
        self._known: dict[tuple[str | None, ...], orjson.Fragment] = {}

    def __call__(self, *key_and_owner: Any) -> orjson.Fragment:
        *names, owner = key_and_owner
        key = tuple(names)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= 4096:
                self._known.clear()
            found = self._known[key] = orjson.Fragment(orjson.dumps(identity_of(owner)))
        return found


_proven = _Fragments()


@lru_cache(maxsize=64)
def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@lru_cache(maxsize=4096)
def _mark_of(name: str) -> str:
    """Four hex digits that tell the events of one request apart."""
    return f"{zlib.crc32(name.encode()) & 0xFFFF:04x}"


def _resource(arn: str) -> dict[str, str]:
    parts = arn.split(":", 5)
    found = {"ARN": arn, "accountId": parts[4]} if len(parts) == 6 else {"ARN": arn}
    if ":repository/" in arn:
        found["type"] = "AWS::ECR::Repository"
    return found


def _answered(trail: Trail, event: Event) -> Any:
    """What a change answered; null for a read, as CloudTrail has it, but for credentials that were handed out."""
    answer = parameters.told_of(event.answer)
    if answer is None or event.error is not None:
        return None
    if trail.plane == DKR:
        return None if is_read_only(event.name) else parameters.answered_on_dkr(event.name, answer, event.parameters)
    if not isinstance(answer, Mapping) or (is_read_only(event.name) and "Credentials" not in answer):
        return None
    return parameters.of_model(answer).members or None


def _additional(trail: Trail, event: Event) -> dict[str, Any]:
    found: dict[str, Any] = {"plane": trail.plane, "instantUs": trail.instant_us(event)}
    verdict = event.error.fields.get("verdict") if isinstance(event.error, AccessDenied) else event.verdict
    if verdict is not None:
        found["decision"] = _decision(verdict)
    if event.name == "BatchGetImage" and event.error is None:
        digests = parameters.pulled(event.answer)
        if digests:
            found["imageDigests"] = digests
    return found


def _decision(verdict: Decided) -> dict[str, Any]:
    """Allowed or denied, by which statement as it was then, and what would have to change."""
    found: dict[str, Any] = {"outcome": "allowed"}
    if not verdict.allowed:
        found = {"outcome": "denied", "reason": verdict.reason, "remedy": verdict.remedy}
    match = verdict.decided_by
    if match is not None:
        statement = match.statement
        found |= {"policyType": match.type, "policy": match.policy, "statementIndex": statement.index}
        if len(statement.source) <= _MOST_STATEMENT:
            found["statement"] = orjson.Fragment(statement.source)
    return found


def _error(error: BaseException) -> tuple[str, str]:
    """(code, message). The calculated signature's text, and what a header held instead of a signature, stay out."""
    if isinstance(error, IncompleteSignature):
        return error.code, ""
    if isinstance(error, RegistryError):
        return error.code, error.message.partition("\n")[0][:_MOST_MESSAGE]
    if isinstance(error, Refused):
        return error.code, ""
    if type(error).__name__ in ("ClientGone", "ClientLeft", "CancelledError"):
        return "ClientClosedConnection", ""
    return "ServerException", ""
