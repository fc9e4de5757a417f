"""AssumeRole: temporary credentials of a role, for whom its trust policy names."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from openecr.call import Call, Operation, operation, without_permission
from openecr.db import sessions
from openecr.db.sessions import AssumableRole
from openecr.errors import AssumptionDenied, SessionCredentialsRefused, ValidationFailed
from openecr.services.sts import trust
from openecr.services.sts.issuing import Issued, SessionTerms, issue
from openecr.services.sts.session_policies import session_policies
from openecr.services.sts.session_rules import packed_percent, role_seconds, session_tags
from openecr.services.sts.trust import SET_SOURCE_IDENTITY, TAG_SESSION

_ASSUME_ROLE = "sts:AssumeRole"
MFA_REFUSED = (
    "MultiFactorAuthentication failed, unable to validate MFA code.  "
    "Please verify your MFA serial number is valid and associated with this user."
)


@operation("AssumeRole", writes=True, action=_ASSUME_ROLE, resources=without_permission)
def assume_role(
    call: Call,
    *,
    role_arn: str,
    role_session_name: str,
    policy_arns: list[dict[str, str]] | None = None,
    policy: str | None = None,
    duration_seconds: int | None = None,
    tags: list[dict[str, str]] | None = None,
    transitive_tag_keys: list[str] | None = None,
    external_id: str | None = None,
    serial_number: str | None = None,
    token_code: str | None = None,
    source_identity: str | None = None,
    provided_contexts: list[dict[str, str]] | None = None,
    minimum_session_token_size: int | None = None,
) -> dict[str, Any]:
    """Temporary credentials of a role whose trust policy lets the caller have them."""
    owner = call.caller.known
    if owner.kind == "root":
        raise SessionCredentialsRefused(message="Roles may not be assumed by root accounts.")
    require_no_mfa(serial_number, token_code)
    if provided_contexts:
        raise ValidationFailed(message="Context providers are not supported")
    role = trust.find_role(call, role_arn)
    identity = source_identity or owner.source_identity or ""
    keys = session_keys(
        role_session_name, external_id=external_id, source_identity=identity, transitive=transitive_tag_keys or ()
    )
    assumed = trust.require_trusted(call, role, role_arn, _ASSUME_ROLE, keys)
    inherited = _inherited_tags(call)
    if tags or inherited:
        trust.require_trusted(call, role, role_arn, TAG_SESSION, keys)
    if identity:
        if owner.source_identity and identity != owner.source_identity:
            # What was set at the begin of a chain stays (IAM User Guide, "Monitor and control actions taken with
            # assumed roles").
            raise AssumptionDenied(principal=call.caller.arn, action=SET_SOURCE_IDENTITY, resource=role_arn)
        trust.require_trusted(call, role, role_arn, SET_SOURCE_IDENTITY, keys)
    is_chained = owner.session_key is not None
    seconds = role_seconds(duration_seconds, assumed.session_seconds, chained=is_chained)
    given = [(tag["Key"], tag["Value"]) for tag in tags or ()]
    tagged = session_tags(given, transitive_tag_keys or (), inherited)
    arns, policies = session_policies(call, assumed.account_id, policy, policy_arns or ())
    percent = packed_percent(policy, arns, dict(given))
    terms = SessionTerms(
        name=role_session_name,
        policies=policies,
        tags=tagged.tags,
        transitive_tags=tagged.transitive,
        source_identity=identity,
        is_chained=is_chained,
        least_token_characters=minimum_session_token_size or 0,
    )
    issued = issue(call, assumed.key, seconds, terms)
    return assumed_answer(assumed, role_session_name, issued, percent, identity)


def require_no_mfa(serial_number: str | None, token_code: str | None) -> None:
    """There are no MFA devices: no code of one is right."""
    if serial_number is not None or token_code is not None:
        raise SessionCredentialsRefused(message=MFA_REFUSED)


def session_keys(
    session_name: str, *, external_id: str | None = None, source_identity: str = "", transitive: Sequence[str] = ()
) -> Mapping[str, tuple[str, ...]]:
    """The condition keys of STS that a trust policy may ask for (Service Authorization Reference, "Condition keys for
    AWS Security Token Service")."""
    keys: dict[str, tuple[str, ...]] = {"sts:rolesessionname": (session_name,)}
    if external_id is not None:
        keys["sts:externalid"] = (external_id,)
    if source_identity:
        keys["sts:sourceidentity"] = (source_identity,)
    if transitive:
        keys["sts:transitivetagkeys"] = tuple(transitive)
    return keys


def assumed_answer(
    role: AssumableRole, session_name: str, issued: Issued, percent: int | None, source_identity: str
) -> dict[str, Any]:
    """What AssumeRole and AssumeRoleWithWebIdentity answer alike."""
    return {
        "Credentials": issued.answer,
        "AssumedRoleUser": {
            "AssumedRoleId": f"{role.unique_id}:{session_name}",
            "Arn": f"arn:aws:sts::{role.account_id}:assumed-role/{role.name}/{session_name}",
        },
        "PackedPolicySize": percent,
        "SourceIdentity": source_identity or None,
        "SessionTokenSize": len(issued.session_token),
    }


def _inherited_tags(call: Call) -> dict[str, str]:
    """The caller's transitive tags, which every session of its chain has."""
    session_key = call.caller.known.session_key
    if session_key is None:
        return {}
    tags, keys = sessions.transitive_tags(call.db, session_key)
    if not keys:
        return {}
    named: dict[str, str] = orjson.loads(tags)
    return {key: named[key] for key in orjson.loads(keys) if key in named}


OPERATIONS: dict[str, Operation] = {assume_role.name: assume_role}
