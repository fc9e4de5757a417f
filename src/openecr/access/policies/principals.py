"""Who a statement's Principal or NotPrincipal means, and how strong what it grants is.

Sources: IAM User Guide, "AWS JSON policy elements: Principal" and "…: NotPrincipal"
(reference_policies_elements_principal, reference_policies_elements_notprincipal).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

PrincipalKind = Literal["root", "user", "role", "federated", "service", "anonymous"]


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks."""

    kind: PrincipalKind
    arn: str = ""
    """The user's ARN, or that of the assumed-role or federated-user session; empty for anonymous."""
    account_id: str = ""
    role_arn: str = ""
    """For a session of a role: the IAM role's ARN."""
    unique_id: str = ""
    """``AIDA…`` or ``AROA…``: what a stored policy names after the principal was deleted."""
    service: str = ""
    """For a service: ``replication.ecr.amazonaws.com``."""
    provider: str = ""
    """For a web or SAML identity that assumes a role: the provider, as ``Federated`` principals name it."""

    @property
    def has_identity(self) -> bool:
        """Whether it belongs to an account whose identity-based policies speak of it."""
        return self.kind not in ("service", "anonymous") and not self.provider


class Grant(IntEnum):
    """How a statement of a resource-based policy means the caller, weakest first."""

    NONE = 0
    """Not at all."""
    ACCOUNT = 1
    """Its account, which hands the decision on to the account's own policies."""
    ROLE = 2
    """The role whose session it is: boundary and session policy still limit it."""
    DIRECT = 3
    """The user, the session, the service, or everyone."""


_ACCOUNT_ID = re.compile(r"\d{12}", re.ASCII)
_ROOT = re.compile(r"arn:aws[a-z-]*:iam::(\d{12}):root", re.ASCII)
_ARN = re.compile(
    r"arn:aws[a-z-]*:(?:iam::\d{12}:(?:user|role)|sts::\d{12}:(?:assumed-role/[\w+=,.@-]+|federated-user))/[\w+=,.@/-]+",
    re.ASCII,
)
_UNIQUE_ID = re.compile(r"A[A-Z]{3}[A-Z0-9]{12,124}")


def account_of(text: str) -> str | None:
    """The account that an ``AWS`` principal means as a whole."""
    if _ACCOUNT_ID.fullmatch(text):
        return text
    root = _ROOT.fullmatch(text)
    return root[1] if root else None


def is_aws_principal(text: str) -> bool:
    """Whether an ``AWS`` principal can be meant by this; a part of a name or an ARN cannot be a wildcard."""
    return text == "*" or bool(account_of(text) or _ARN.fullmatch(text) or _UNIQUE_ID.fullmatch(text))


class Principals:
    """The principals of one statement, compiled."""

    __slots__ = ("_accounts", "_everyone", "_named", "_providers", "_services", "negated")

    def __init__(
        self,
        *,
        aws: Iterable[str] = (),
        services: Iterable[str] = (),
        providers: Iterable[str] = (),
        negated: bool = False,
    ) -> None:
        named = frozenset(aws)
        self.negated = negated
        self._everyone = "*" in named
        self._accounts = frozenset(filter(None, map(account_of, named)))
        self._named = named
        self._services = frozenset(services)
        self._providers = frozenset(providers)

    def grant(self, principal: Principal) -> Grant:
        """How the statement means this caller."""
        if self.negated:
            return Grant.NONE if self._exempts(principal) else Grant.DIRECT
        if self._everyone:
            return Grant.DIRECT
        if principal.kind == "service":
            return Grant.DIRECT if principal.service in self._services else Grant.NONE
        if principal.provider:
            return Grant.DIRECT if principal.provider in self._providers else Grant.NONE
        if principal.kind == "anonymous":
            return Grant.NONE
        return self._grant_of_identity(principal)

    def _grant_of_identity(self, principal: Principal) -> Grant:
        if principal.arn in self._named:
            return Grant.DIRECT
        if principal.unique_id and principal.unique_id.partition(":")[0] in self._named:
            return Grant.ROLE if principal.kind == "role" else Grant.DIRECT
        if principal.role_arn and principal.role_arn in self._named:
            return Grant.ROLE
        return Grant.ACCOUNT if principal.account_id in self._accounts else Grant.NONE

    def _exempts(self, principal: Principal) -> bool:
        """Whether every name that the caller has is listed: its account, its role, its session or user."""
        if self._everyone:
            return True
        if principal.kind == "service":
            return principal.service in self._services
        if principal.provider:
            return principal.provider in self._providers
        if principal.account_id not in self._accounts:
            return False
        if principal.kind == "root":
            return True
        is_stored = bool(principal.unique_id) and principal.unique_id.partition(":")[0] in self._named
        names = {principal.arn} if principal.kind != "user" or not is_stored else set()
        names |= {principal.role_arn} if principal.role_arn and not is_stored else set()
        return names <= self._named
