"""A request's events as lines, and lines as CloudTrail records. Pure.

A line keeps what cannot be told from the rest of it: one is made for every pull, and few are ever read.

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
from openecr.events.trail import API, DKR, LAYERS, Decided, Event, Refused, Trail
from openecr.names import Digest, RegistryName

VERSION = "1.08"
_READS = ("Get", "List", "Describe", "BatchGet", "BatchCheck", "Check", "Assume", "Simulate", "Validate", "Encrypt")
_MOST_MESSAGE = 1024
RECORDS_LOST = "AuditRecordsLost"
_MOST_RESOURCES = 100
_MOST_STATEMENT = 4096
_MOST_FRAGMENTS = 4096


def line_of(trail: Trail, event: Event) -> bytes:
    """What is kept of one event, a line of JSON: everything that ``whole`` cannot tell from the rest."""
    head = {
        "us": trail.instant_us(event),
        "request": trail.request_id,
        "source": trail.source_address,
        "agent": trail.user_agent,
        "identity": _identity(trail, event),
    }
    # Who and when differ from pull to pull; what is pulled, and why it may be, are often the same.
    return orjson.dumps(head)[:-1] + b"," + (_pulls(trail, event) or _what(trail, event))


def _what(trail: Trail, event: Event) -> bytes:
    """The rest of a line: what was done and what came of it, from the first member to the line's end."""
    is_modelled = trail.plane in (API, LAYERS)
    pruned = parameters.of_model(event.parameters, event.hidden) if is_modelled else parameters.of_dkr(event.parameters)
    kept: dict[str, Any] = {
        "plane": trail.plane,
        "service": event.service,
        "name": event.name,
        "account": trail.registry.account_id,
        "region": trail.registry.region,
        "parameters": pruned.members,
        "resources": event.resources[:_MOST_RESOURCES],
    }
    answer = _answered(trail, event)
    if answer:
        kept["answer"] = answer
    decision = _decision(event)
    if decision is not None:
        kept["decision"] = decision
    if event.name == "BatchGetImage" and event.error is None:
        kept["digests"] = parameters.pulled(parameters.told_of(event.answer))
    if trail.vpc_endpoint_id is not None:
        kept["endpoint"] = trail.vpc_endpoint_id
    if event.error is not None:
        kept["error"], message = _error(event.error)
        kept["message"] = pruned.without_secrets(message)
    return orjson.dumps(kept, option=orjson.OPT_APPEND_NEWLINE)[1:]


class _Pulls:
    """What pulls on the dkr plane have in common, by everything that it is made of; the verdict by which object it is,
    for the evaluator answers with the same one as long as nothing changes."""

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], tuple[Decided | None, bytes]] = {}

    def __call__(self, trail: Trail, event: Event) -> bytes | None:
        """The rest of a pull's line; None for what is no plain pull."""
        arguments = event.parameters
        is_plain = event.error is None and trail.plane == DKR and trail.vpc_endpoint_id is None
        if not is_plain or event.name not in _PULLS or len(event.resources) != 1:
            return None
        key = (
            event.name,
            event.resources[0],
            arguments.get("repository_name"),
            _stored(arguments.get("reference") or arguments.get("digest")),
            _stored(parameters.told_of(event.answer)),
            id(event.verdict),
        )
        found = self._known.get(key)
        if found is not None and found[0] is event.verdict:
            return found[1]
        if len(self._known) >= _MOST_FRAGMENTS:
            self._known.clear()
        made = _what(trail, event)
        self._known[key] = event.verdict, made
        return made


_PULLS = frozenset(("BatchGetImage", "GetDownloadUrlForLayer"))
_pulls = _Pulls()


def _stored(value: Any) -> Any:
    """A digest's bytes, a tag as it is; nothing of an answer that records do not tell."""
    return value.stored if isinstance(value, Digest) else value if isinstance(value, str) else None


def line_of_loss(count: int, now_us: int, registry: RegistryName) -> bytes:
    """The line that tells of records that were lost."""
    kept = {
        "us": now_us,
        "request": str(uuid4()),
        "plane": "",
        "service": "cloudtrail",
        "name": RECORDS_LOST,
        "account": registry.account_id,
        "region": registry.region,
        "identity": {"type": "AWSService", "invokedBy": "openecr"},
        "source": "openecr",
        "agent": "openecr",
        "parameters": {},
        "resources": [],
        "lost": count,
    }
    return orjson.dumps(kept, option=orjson.OPT_APPEND_NEWLINE)


def line_of_service_event(
    name: str, now_us: int, registry: RegistryName, resource: str, details: Mapping[str, Any]
) -> bytes:
    """The line of what the service did by itself (ECR user guide, "Example: Image lifecycle policy action")."""
    kept = {
        "us": now_us,
        "request": str(uuid4()),
        "plane": "",
        "service": "ecr",
        "name": name,
        "account": registry.account_id,
        "region": registry.region,
        "identity": {"accountId": registry.account_id, "invokedBy": "AWS Internal"},
        "source": "AWS Internal",
        "agent": "AWS Internal",
        "parameters": {},
        "resources": [resource],
        "details": details,
    }
    return orjson.dumps(kept, option=orjson.OPT_APPEND_NEWLINE)


def whole(line: bytes) -> dict[str, Any]:
    """The CloudTrail record that a line is kept of.

    Raises:
        ValueError, KeyError, TypeError: it is no such line: a crash cut it.
    """
    kept = orjson.loads(line)
    is_data = kept["plane"] == LAYERS
    additional = {"plane": kept["plane"], "instantUs": int(kept["us"])}
    for member, name in (("decision", "decision"), ("imageDigests", "digests"), ("lostRecords", "lost")):
        if kept.get(name):
            additional[member] = kept[name]
    record: dict[str, Any] = {
        "eventVersion": VERSION,
        "userIdentity": kept["identity"],
        "eventTime": _time(kept["us"] // 1_000_000),
        "eventSource": f"{kept['service']}.amazonaws.com",
        "eventName": kept["name"],
        "awsRegion": kept["region"],
        "sourceIPAddress": kept["source"],
        "userAgent": kept["agent"],
        "requestParameters": kept["parameters"] or None,
        "responseElements": kept.get("answer"),
        "additionalEventData": additional,
        "requestID": kept["request"],
        "eventID": event_id(kept["request"], kept["name"]),
        "readOnly": "details" in kept or is_read_only(kept["name"]),
        "resources": [_resource(arn) for arn in kept["resources"] if arn != "*"],
        "eventType": "AwsServiceEvent" if "lost" in kept or "details" in kept else "AwsApiCall",
        "managementEvent": not is_data,
        "recipientAccountId": kept["account"],
        "eventCategory": "Data" if is_data else "Management",
    }
    if "details" in kept:
        record["serviceEventDetails"] = kept["details"]
    if "endpoint" in kept:
        record["vpcEndpointId"] = kept["endpoint"]
    if "error" in kept:
        record["errorCode"] = kept["error"]
        if kept["message"]:
            record["errorMessage"] = kept["message"]
    return record


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


def _identity(trail: Trail, event: Event) -> Any:
    if trail.owner is not None:
        owner = trail.owner
        return _proven(owner.access_key_id, owner.unique_id, owner.name, owner.path, owner.session_name, owner)
    if trail.access_key_id:
        return {"type": "Unknown", "principalId": "", "accessKeyId": parameters.key_id(trail.access_key_id)}
    if isinstance(event.answer, Mapping) and "SubjectFromWebIdentityToken" in event.answer:
        return _web_identity(event.answer)
    return {"type": "AWSAccount", "principalId": "", "accountId": "ANONYMOUS_PRINCIPAL"}


def _web_identity(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Whom an identity provider vouched for (CloudTrail User Guide, "Values for AWS STS APIs with SAML and web identity
    federation")."""
    provider, audience = str(answer.get("Provider", "")), str(answer.get("Audience", ""))
    subject = str(answer["SubjectFromWebIdentityToken"])
    return {
        "type": "WebIdentityUser",
        "principalId": f"{provider}:{audience}:{subject}",
        "userName": subject,
        "identityProvider": provider,
    }


class _Fragments:
    """Identities as JSON: the same few callers ask again and again."""

    def __init__(self) -> None:
        self._known: dict[tuple[str | None, ...], orjson.Fragment] = {}

    def __call__(self, *key_and_owner: Any) -> orjson.Fragment:
        *names, owner = key_and_owner
        key = tuple(names)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _MOST_FRAGMENTS:
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
    return parameters.of_model(answer, event.hidden).members or None


def _decision(event: Event) -> Any:
    """Allowed or denied, by which statement as it was then, and what would have to change."""
    if isinstance(event.error, AccessDenied):
        fields = event.error.fields
        denied: Decided | None = fields.get("verdict")
        if denied is None:
            return None
        told = {"outcome": "denied", "action": fields["action"], "resource": fields["resource"]}
        return told | {"reason": denied.reason, "remedy": denied.remedy} | _statement(denied)
    return None if event.verdict is None else _allowed(event.action, event.verdict)


class _Allowed:
    """Decisions as JSON: the evaluator answers with the same few again and again."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], tuple[Decided, orjson.Fragment]] = {}

    def __call__(self, action: str, verdict: Decided) -> orjson.Fragment:
        found = self._known.get((action, id(verdict)))
        if found is not None and found[0] is verdict:
            return found[1]
        if len(self._known) >= _MOST_FRAGMENTS:
            self._known.clear()
        made = orjson.Fragment(orjson.dumps({"outcome": "allowed", "action": action} | _statement(verdict)))
        self._known[action, id(verdict)] = verdict, made
        return made


_allowed = _Allowed()


def _statement(verdict: Decided) -> dict[str, Any]:
    match = verdict.decided_by
    if match is None:
        return {}
    statement = match.statement
    found: dict[str, Any] = {"policyType": match.policy_type, "policy": match.policy.name}
    found["statementNumber"] = statement.index + 1
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
