"""The condition keys that policies may ask of a request: a key is one function and one line.

Sources: IAM User Guide, "AWS global condition context keys" and "IAM and AWS STS condition context keys"; Service
Authorization Reference, "Condition keys for Amazon Elastic Container Registry". A key that a request does not have is
absent, never empty: operators tell the two apart.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from openecr.access.identity import Caller

Values = tuple[str, ...]
Tags = Callable[[], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Asked:
    """Everything about one request that a condition may ask for."""

    caller: Caller
    now_us: int
    region: str
    action: str
    resource_account_id: str
    source_address: str = ""
    secure: bool = False
    user_agent: str = ""
    vpc_id: str | None = None
    vpc_endpoint_id: str | None = None
    vpc_source_ip: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """The operation's arguments, for tags that a request brings and settings that it names."""
    principal_tags: Tags = dict
    """The caller's own tags; asked only where a policy reads them."""
    resource_tags: Tags = dict
    """The tags of the resource; asked only where a policy reads them."""
    resource_organization: Callable[[], str | None] = lambda: None
    """The organization of the resource's account; asked only where a policy reads it."""
    more: Mapping[str, Values] = field(default_factory=dict)
    """Keys in lower case that one operation alone has (``sts:externalid``)."""


def _said(text: str | None) -> Values | None:
    return (text,) if text else None


def _flag(value: bool) -> Values:
    return ("true" if value else "false",)


def _instant(us: int) -> str:
    return datetime.fromtimestamp(us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _principal_arn(asked: Asked) -> Values | None:
    """A session's role, not the session (IAM User Guide, ``aws:PrincipalArn``)."""
    return _said(asked.caller.role_arn or asked.caller.arn)


def _principal_type(asked: Asked) -> Values | None:
    owner = asked.caller.owner
    kinds = {"user": "User", "root": "Account", "role": "AssumedRole"}
    return ("Anonymous",) if owner is None else (kinds[owner.kind],)


def _user_name(asked: Asked) -> Values | None:
    owner = asked.caller.owner
    return (owner.name,) if owner is not None and owner.kind == "user" else None


def _organization(asked: Asked) -> Values | None:
    return None if asked.caller.owner is None else _said(asked.caller.owner.organization_id)


def _session(asked: Asked) -> bool:
    """Whether the caller has temporary credentials."""
    return asked.caller.owner is not None and asked.caller.owner.session_key is not None


def _source_address(asked: Asked) -> Values | None:
    """Absent where the request came through a VPC endpoint (IAM User Guide, ``aws:SourceIp``)."""
    return None if asked.vpc_endpoint_id else _said(asked.source_address)


def _request_tags(asked: Asked) -> Mapping[str, str]:
    """The tags that the request brings, as each service spells them: EC2 nests them, KMS has other names."""
    given = asked.arguments
    tags = [*_listed(given.get("tags")), *_listed(given.get("resource_tags"))]
    for specification in _listed(given.get("tag_specifications")):
        tags += _listed(specification.get("Tags"))
    named = ((tag.get("Key", tag.get("TagKey")), tag.get("Value", tag.get("TagValue", ""))) for tag in tags)
    return {str(key): str(value) for key, value in named if key is not None}


def _listed(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list | tuple) else []


def _tag_keys(asked: Asked) -> Values | None:
    named = asked.arguments.get("tag_keys")
    keys = tuple(named) if isinstance(named, list | tuple) else tuple(_request_tags(asked))
    return keys or None


def _principal_tags(asked: Asked) -> Mapping[str, str]:
    """A session's own tags stand before those of its role (IAM User Guide, "Pass session tags")."""
    owner = asked.caller.owner
    own = dict(asked.principal_tags()) if owner is not None else {}
    if owner is None or not owner.session_tags:
        return own
    of_session: dict[str, str] = orjson.loads(owner.session_tags)
    replaced = {key.lower() for key in of_session}
    return {key: value for key, value in own.items() if key.lower() not in replaced} | of_session


KEYS: Mapping[str, Callable[[Asked], Values | None]] = {
    "aws:principalarn": _principal_arn,
    "aws:principalaccount": lambda asked: _said(asked.caller.account_id),
    "aws:principalorgid": _organization,
    "aws:principaltype": _principal_type,
    "aws:principalisawsservice": lambda _asked: _flag(False),
    "aws:userid": lambda asked: None if asked.caller.is_anonymous else (asked.caller.user_id,),
    "aws:username": _user_name,
    "aws:sourceidentity": lambda asked: _said(asked.caller.owner.source_identity if asked.caller.owner else None),
    "aws:federatedprovider": lambda asked: _said(asked.caller.owner.provider if asked.caller.owner else None),
    # There are no MFA devices: present and false for temporary credentials, absent for long-term keys.
    "aws:multifactorauthpresent": lambda asked: _flag(False) if _session(asked) else None,
    "aws:tokenissuetime": lambda asked: (_instant(asked.caller.known.issued_us),) if _session(asked) else None,
    "aws:sourceip": _source_address,
    "aws:vpcsourceip": lambda asked: _said(asked.vpc_source_ip),
    "aws:sourcevpc": lambda asked: _said(asked.vpc_id),
    "aws:sourcevpce": lambda asked: _said(asked.vpc_endpoint_id),
    "aws:securetransport": lambda asked: _flag(asked.secure),
    "aws:useragent": lambda asked: _said(asked.user_agent),
    "aws:currenttime": lambda asked: (_instant(asked.now_us),),
    "aws:epochtime": lambda asked: (str(asked.now_us // 1_000_000),),
    "aws:requestedregion": lambda asked: _said(asked.region),
    "aws:resourceaccount": lambda asked: _said(asked.resource_account_id),
    "aws:resourceorgid": lambda asked: _said(asked.resource_organization()),
    "aws:viaawsservice": lambda _asked: _flag(False),
    "aws:tagkeys": _tag_keys,
    "ecr:accountsetting": lambda asked: (
        _said(asked.arguments.get("name")) if asked.action.endswith("AccountSetting") else None
    ),
}
"""Key in lower case → its values, or None where the request has none."""

TAGS: Mapping[str, Callable[[Asked], Mapping[str, str]]] = {
    "aws:resourcetag/": lambda asked: asked.resource_tags(),
    "ecr:resourcetag/": lambda asked: asked.resource_tags(),
    "ec2:resourcetag/": lambda asked: asked.resource_tags(),
    "iam:resourcetag/": lambda asked: asked.resource_tags(),
    "aws:requesttag/": _request_tags,
    "aws:principaltag/": _principal_tags,
}
"""Prefix of keys that end in a tag's key → the tags."""


class Context(Mapping[str, Values]):
    """The condition keys of a request, worked out when a policy reads them."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._known: dict[str, Values | None] = {}

    def __getitem__(self, key: str) -> Values:
        """The values of a key in lower case; KeyError where the request has none."""
        if key not in self._known:
            self._known[key] = self._find(key)
        values = self._known[key]
        if values is None:
            raise KeyError(key)
        return values

    def __iter__(self) -> Iterator[str]:
        """The keys that the request has, but for those of tags."""
        return (key for key in (*KEYS, *self._asked.more) if key in self)

    def __len__(self) -> int:
        """How many those are."""
        return sum(1 for _ in self)

    def __contains__(self, key: object) -> bool:
        """Whether the request has the key."""
        return isinstance(key, str) and self.get(key) is not None

    def _find(self, key: str) -> Values | None:
        if key in self._asked.more:
            return self._asked.more[key]
        if key in KEYS:
            return KEYS[key](self._asked)
        prefix, slash, tag_key = key.partition("/")
        tags = TAGS.get(prefix + slash)
        if tags is None:
            return None
        # Condition keys are the same in any case, and so is the tag's key in them. Of two tags whose keys differ by
        # case alone the policy means neither: whoever tags must not choose which of them is looked at.
        found = [value for name, value in tags(self._asked).items() if name.lower() == tag_key]
        return (found[0],) if len(found) == 1 else None
