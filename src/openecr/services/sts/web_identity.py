"""AssumeRoleWithWebIdentity: temporary credentials of a role for whoever bears a token of a provider that it trusts.

Nobody signs this request, so it is decided twice: the first decision reads and proves, and costs no write whatever
comes; the second makes the session, under the trust policy as it is by then (docs/decisions/0017).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from openecr.access import web_identity
from openecr.access.condition_keys import Asked, Context
from openecr.access.identity import ANONYMOUS
from openecr.access.policies.document import PolicyKind, compiled
from openecr.access.policies.evaluation import AccessRequest, NamedPolicy, PolicySet, Principal, evaluate
from openecr.access.web_identity import Unverified, WebIdentity
from openecr.call import Call, Operation, decision, flow, without_permission
from openecr.db import trusted_issuers
from openecr.db.sessions import AssumableRole
from openecr.db.trusted_issuers import TrustedIssuer
from openecr.deployment import Deployment
from openecr.errors import IdentityTokenInvalid, ValidationFailed, WebIdentityDenied
from openecr.services.sts import trust
from openecr.services.sts.issuing import SessionTerms, issue
from openecr.services.sts.roles import assumed_answer, session_keys
from openecr.services.sts.session_policies import session_policies
from openecr.services.sts.session_rules import packed_percent, role_seconds, session_tags
from openecr.services.sts.trust import SET_SOURCE_IDENTITY, TAG_SESSION
from openecr.waist import Flow

_ACTION = "sts:AssumeRoleWithWebIdentity"


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whom a provider of a role's account vouches for."""

    provider_arn: str
    identity: WebIdentity


@dataclass(frozen=True, slots=True)
class PublishedKeys:
    """An effect: the keys of an issuer, asked for again where they lack this one."""

    issuer: str
    key_id: str | None

    async def perform(self, deployment: Deployment) -> str:
        """The key set."""
        loopback = deployment.settings.oidc_loopback
        return await deployment.issuer_keys.find(self.issuer, self.key_id, loopback=loopback)


@flow("AssumeRoleWithWebIdentity")
async def assume_role_with_web_identity(
    flow: Flow,
    *,
    role_arn: str,
    role_session_name: str,
    web_identity_token: str,
    provider_id: str | None = None,
    policy_arns: list[dict[str, str]] | None = None,
    policy: str | None = None,
    duration_seconds: int | None = None,
    minimum_session_token_size: int | None = None,
) -> dict[str, Any]:
    """Temporary credentials of a role for the bearer of an identity token; needs no signature."""
    if provider_id is not None:
        raise ValidationFailed(message="ProviderId is for OAuth 2.0 access tokens, which are not supported")
    bearer = await flow.run(
        prove_bearer, role_arn=role_arn, role_session_name=role_session_name, web_identity_token=web_identity_token
    )
    return await flow.run(
        assume_role_of_bearer,
        role_arn=role_arn,
        role_session_name=role_session_name,
        bearer=bearer,
        policy_arns=policy_arns or [],
        policy=policy,
        duration_seconds=duration_seconds,
        minimum_session_token_size=minimum_session_token_size,
    )


@decision(_ACTION, writes=False, resources=without_permission, anonymous=True)
def prove_bearer(call: Call, *, role_arn: str, role_session_name: str, web_identity_token: str) -> Bearer:
    """Whom the token proves, to a role that trusts them.

    Raises:
        IdentityTokenInvalid, IdentityTokenExpired, IdentityProviderRejected, IdentityProviderAway: the token's fault
            or its provider's.
        WebIdentityDenied: the role does not trust its bearer, or is not there.
    """
    role = trust.find_role(call, role_arn)
    claimed = web_identity.read(web_identity_token)
    provider = _provider(call, trust.account_of(role_arn), claimed)
    keys = provider.given_keys or call.obtain(PublishedKeys(claimed.issuer, claimed.key_id))
    identity = web_identity.verify(
        web_identity_token,
        claimed,
        keys=keys,
        issuer=claimed.issuer,
        client_ids=provider.client_ids,
        now_seconds=call.deployment.wall_us() // 1_000_000,
    )
    bearer = Bearer(provider.arn, identity)
    _require_trusted(call, role, bearer, role_session_name)
    return bearer


@decision(_ACTION, writes=True, resources=without_permission, anonymous=True)
def assume_role_of_bearer(
    call: Call,
    *,
    role_arn: str,
    role_session_name: str,
    bearer: Bearer,
    policy_arns: list[dict[str, str]],
    policy: str | None,
    duration_seconds: int | None,
    minimum_session_token_size: int | None,
) -> dict[str, Any]:
    """Make the session of a proven bearer."""
    identity = bearer.identity
    role = _require_trusted(call, trust.find_role(call, role_arn), bearer, role_session_name)
    seconds = role_seconds(duration_seconds, role.session_seconds, chained=False)
    tagged = session_tags(identity.tags, identity.transitive_tags, {})
    arns, policies = session_policies(call, role.account_id, policy, policy_arns)
    percent = packed_percent(policy, arns, tagged.tags)
    terms = SessionTerms(
        name=role_session_name,
        policies=policies,
        tags=tagged.tags,
        transitive_tags=tagged.transitive,
        source_identity=identity.source_identity,
        provider=bearer.provider_arn,
        least_token_characters=minimum_session_token_size or 0,
    )
    issued = issue(call, role.key, seconds, terms)
    return assumed_answer(role, role_session_name, issued, percent, identity.source_identity) | {
        "SubjectFromWebIdentityToken": identity.subject,
        "Provider": bearer.provider_arn,
        "Audience": identity.audience,
    }


def _provider(call: Call, account_id: str, claimed: Unverified) -> TrustedIssuer:
    """The role's account's provider of the token's issuer; an account that is not there has none either."""
    scheme, separator, url = claimed.issuer.partition("://")
    provider = None
    if separator and (scheme == "https" or (scheme == "http" and call.settings.oidc_loopback)):
        provider = trusted_issuers.find(call.db, account_id, url)
    if provider is None:
        raise IdentityTokenInvalid(
            message=f"No OpenIDConnect provider found in your account for {claimed.issuer[:1024]}"
        )
    return provider


def _require_trusted(call: Call, role: AssumableRole | None, bearer: Bearer, session_name: str) -> AssumableRole:
    """The role, where its trust policy lets the bearer do everything that the token asks for."""
    actions = [_ACTION]
    if bearer.identity.tags:
        actions.append(TAG_SESSION)
    if bearer.identity.source_identity:
        actions.append(SET_SOURCE_IDENTITY)
    for action in actions:
        if role is None or not _trusts(call, role, bearer, session_name, action):
            raise WebIdentityDenied(action=action)
    assert role is not None  # noqa: S101 - there is always an action
    return role


def _trusts(call: Call, role: AssumableRole, bearer: Bearer, session_name: str, action: str) -> bool:
    """What the role's trust policy says; no other policy weighs on a caller who is nobody here yet.

    Nor does whoever signed the request, which nobody needs to: conditions see nothing of a signer.
    """
    policy = trust.trust_policy(role)
    if policy is None:
        return False
    origin, identity = call.origin, bearer.identity
    asked = Asked(
        caller=ANONYMOUS,
        now_us=call.now_us,
        region=origin.registry.region,
        action=action,
        resource_account_id=role.account_id,
        source_address=origin.source_address,
        secure=origin.secure,
        user_agent=origin.user_agent,
        vpc_id=origin.vpc_id,
        vpc_endpoint_id=origin.vpc_endpoint_id,
        arguments={"tags": [{"Key": key, "Value": value} for key, value in identity.tags]},
        more=_keys(bearer, session_name),
    )
    request = AccessRequest(
        principal=Principal(arn="", account_id=role.account_id, kind="federated", provider=bearer.provider_arn),
        action=action,
        resource=role.arn,
        resource_account_id=role.account_id,
        context=Context(asked),
    )
    return evaluate(request, PolicySet(resource=policy, endpoint=_endpoint(call))).allowed


def _endpoint(call: Call) -> NamedPolicy | None:
    """The policy of the VPC endpoint that the request came through."""
    text = call.origin.endpoint_policy
    return None if text is None else NamedPolicy("the endpoint's policy", compiled(text, PolicyKind.ENDPOINT))


def _keys(bearer: Bearer, session_name: str) -> Mapping[str, tuple[str, ...]]:
    identity = bearer.identity
    issuer = bearer.provider_arn.partition(":oidc-provider/")[2].lower()
    keys = dict(
        session_keys(session_name, source_identity=identity.source_identity, transitive=identity.transitive_tags)
    )
    keys |= {f"{issuer}:{claim.lower()}": values for claim, values in identity.claims.items()}
    keys["aws:federatedprovider"] = (bearer.provider_arn,)
    return keys


OPERATIONS: dict[str, Operation] = {assume_role_with_web_identity.name: assume_role_with_web_identity}
