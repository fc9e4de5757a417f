"""Security groups: which sources endpoints admit. Rules name networks: there are no instances to be in a group."""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

from openecr.access.vpcs import Rule, SecurityGroup, Vpc, new_id
from openecr.call import Call, no_resource, operation
from openecr.errors import MissingParameter
from openecr.names import RegistryName
from openecr.services.ec2 import listings, owned, refusals
from openecr.services.ec2.listings import Listed
from openecr.services.ec2.networks import parse_cidr

_NUMBERS = {"6": "tcp", "17": "udp", "1": "icmp", "58": "icmpv6"}
_WITH_PORTS = ("tcp", "udp")
_MOST_PORT = 65535
_EGRESS = [
    {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}], "Ipv6Ranges": [], "PrefixListIds": []}
    | {"UserIdGroupPairs": []}
]
"""What every group of EC2 lets out; openecr answers requests and opens none, so nothing else is kept."""


@operation(
    "CreateSecurityGroup",
    writes=True,
    action="ec2:CreateSecurityGroup",
    resources=owned.touched(("security-group", None), ("vpc", "vpc_id")),
)
def create_security_group(
    call: Call,
    *,
    description: str,
    group_name: str,
    vpc_id: str | None = None,
    tag_specifications: list[dict[str, Any]] | None = None,
    dry_run: bool | None = None,
) -> dict[str, Any]:
    """Make a group that admits nobody yet."""
    owned.refuse_dry_run(dry_run)
    if vpc_id is None:
        raise MissingParameter(parameter="VpcId")
    vpc = owned.require(call, vpc_id)
    owned.require_room("security groups", len(vpc.groups))
    group = SecurityGroup(
        new_id("sg"),
        group_name,
        description,
        tags=owned.tags_of(call, "CreateSecurityGroup", tag_specifications, "security-group"),
    )
    owned.put(call.db, add_group(vpc, group))
    arn = owned.arn(call.registry(), "security-group", group.group_id)
    return {"GroupId": group.group_id, "SecurityGroupArn": arn, "Tags": owned.told_tags(group.tags)}


def add_group(vpc: Vpc, group: SecurityGroup) -> Vpc:
    """The VPC with one more group.

    Raises:
        GroupExists: it has one of this name.
        InvalidValue: the name or the description is longer than EC2 takes.
    """
    for text, member in ((group.name, "groupName"), (group.description, "groupDescription")):
        if not 0 < len(text) <= 255:
            raise refusals.InvalidValue(message=f"Value ({text[:64]}) for parameter {member} is invalid.")
    if group.name.startswith("sg-"):
        raise refusals.InvalidValue(message="Group names may not be in the format sg-*.")
    if any(group.name == other.name for other in vpc.groups):
        raise refusals.GroupExists(name=group.name, vpc_id=vpc.vpc_id)
    return replace(vpc, groups=(*vpc.groups, group))


@operation("DescribeSecurityGroups", writes=False, action="ec2:DescribeSecurityGroups", resources=no_resource)
def describe_security_groups(
    call: Call,
    *,
    group_ids: list[str] | None = None,
    group_names: list[str] | None = None,
    next_token: str | None = None,
    max_results: int | None = None,
    dry_run: bool | None = None,
    filters: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """The groups of the account's VPCs."""
    owned.refuse_dry_run(dry_run)
    found = [_listed(vpc, group) for vpc in owned.every(call) for group in vpc.groups]
    if group_names:
        filters = [*(filters or ()), {"Name": "group-name", "Values": group_names}]
    told, token = listings.page(
        call,
        "DescribeSecurityGroups",
        found,
        filters=filters,
        names=group_ids,
        missing=lambda name: refusals.GroupMissing(name=name),
        max_results=max_results,
        next_token=next_token,
        known=("group-id", "group-name", "vpc-id", "description", "owner-id", "ip-permission.cidr"),
    )
    return {"SecurityGroups": told, "NextToken": token}


def _listed(vpc: Vpc, group: SecurityGroup) -> Listed:
    answer = {
        "GroupId": group.group_id,
        "GroupName": group.name,
        "Description": group.description,
        "SecurityGroupArn": owned.arn(RegistryName(vpc.account_id, vpc.region), "security-group", group.group_id),
        "VpcId": vpc.vpc_id,
        "OwnerId": vpc.account_id,
        "IpPermissions": _told_permissions(group),
        "IpPermissionsEgress": _EGRESS,
        "Tags": owned.told_tags(group.tags),
    }
    attributes = {
        "group-id": (group.group_id,),
        "group-name": (group.name,),
        "vpc-id": (vpc.vpc_id,),
        "description": (group.description,),
        "owner-id": (vpc.account_id,),
        "ip-permission.cidr": tuple(rule.cidr for rule in group.rules),
    }
    return Listed(group.group_id, answer, attributes, group.tags)


@operation(
    "DeleteSecurityGroup",
    writes=True,
    action="ec2:DeleteSecurityGroup",
    resources=owned.arns("security-group", "group_id"),
)
def delete_security_group(
    call: Call, *, group_id: str | None = None, group_name: str | None = None, dry_run: bool | None = None
) -> dict[str, Any]:
    """Delete a group that no endpoint has."""
    owned.refuse_dry_run(dry_run)
    vpc, group = _named(call, group_id, group_name)
    if group.name == "default":
        raise refusals.CannotDelete(group_id=group.group_id)
    if any(group.group_id in endpoint.group_ids for endpoint in vpc.endpoints):
        raise refusals.Depended(message=f"resource {group.group_id} has a dependent object")
    owned.put(call.db, replace(vpc, groups=tuple(item for item in vpc.groups if item != group)))
    return {"Return": True, "GroupId": group.group_id}


def _named(call: Call, group_id: str | None, group_name: str | None) -> tuple[Vpc, SecurityGroup]:
    """A group by its id; names are EC2-Classic's, which is gone (EC2 API reference, "DeleteSecurityGroup")."""
    if group_id is None:
        if group_name is not None:
            raise refusals.Unsupported(message="A security group of a VPC is named by its id; give GroupId")
        raise MissingParameter(parameter="GroupId")
    return owned.require_group(call, group_id)


@operation(
    "AuthorizeSecurityGroupIngress",
    writes=True,
    action="ec2:AuthorizeSecurityGroupIngress",
    resources=owned.arns("security-group", "group_id"),
)
def authorize_security_group_ingress(
    call: Call,
    *,
    cidr_ip: str | None = None,
    from_port: int | None = None,
    group_id: str | None = None,
    group_name: str | None = None,
    ip_permissions: list[dict[str, Any]] | None = None,
    ip_protocol: str | None = None,
    source_security_group_name: str | None = None,
    source_security_group_owner_id: str | None = None,
    to_port: int | None = None,
    tag_specifications: list[dict[str, Any]] | None = None,
    dry_run: bool | None = None,
) -> dict[str, Any]:
    """Let sources in."""
    owned.refuse_unused(
        "security group rules",
        source_security_group_name=source_security_group_name,
        source_security_group_owner_id=source_security_group_owner_id,
        tag_specifications=tag_specifications,
    )
    owned.refuse_dry_run(dry_run)
    vpc, group = _named(call, group_id, group_name)
    given = _rules(ip_permissions, ip_protocol, from_port, to_port, cidr_ip, rule_id=lambda: new_id("sgr"))
    for position, rule in enumerate(given):
        if any(_same(rule, other) for other in (*group.rules, *given[:position])):
            raise refusals.RuleExists(
                cidr=rule.cidr,
                protocol=rule.protocol.upper() if rule.protocol != "-1" else "ALL",
                from_port=rule.from_port,
                to_port=rule.to_port,
            )
    owned.require_room("rules", len(group.rules) + len(given) - 1)
    owned.put(call.db, owned.with_group(vpc, replace(group, rules=(*group.rules, *given))))
    told = [_told_rule(group, rule) | {"GroupOwnerId": vpc.account_id} for rule in given]
    return {"Return": True, "SecurityGroupRules": told}


@operation(
    "RevokeSecurityGroupIngress",
    writes=True,
    action="ec2:RevokeSecurityGroupIngress",
    resources=owned.arns("security-group", "group_id"),
)
def revoke_security_group_ingress(
    call: Call,
    *,
    cidr_ip: str | None = None,
    from_port: int | None = None,
    group_id: str | None = None,
    group_name: str | None = None,
    ip_permissions: list[dict[str, Any]] | None = None,
    ip_protocol: str | None = None,
    source_security_group_name: str | None = None,
    source_security_group_owner_id: str | None = None,
    to_port: int | None = None,
    security_group_rule_ids: list[str] | None = None,
    dry_run: bool | None = None,
) -> dict[str, Any]:
    """Let sources in no more; new requests of theirs get no answer."""
    owned.refuse_unused(
        "security group rules",
        source_security_group_name=source_security_group_name,
        source_security_group_owner_id=source_security_group_owner_id,
    )
    owned.refuse_dry_run(dry_run)
    vpc, group = _named(call, group_id, group_name)
    if security_group_rule_ids:
        gone = tuple(rule for rule in group.rules if rule.rule_id in security_group_rule_ids)
        complete = len(gone) == len(set(security_group_rule_ids))
    else:
        given = _rules(ip_permissions, ip_protocol, from_port, to_port, cidr_ip, rule_id=str)
        gone = tuple(rule for rule in group.rules if any(_same(rule, other) for other in given))
        complete = len(gone) == len(given)
    if not complete:
        raise refusals.RuleMissing
    owned.put(call.db, owned.with_group(vpc, replace(group, rules=tuple(r for r in group.rules if r not in gone))))
    return {"Return": True, "RevokedSecurityGroupRules": [_told_rule(group, rule) for rule in gone]}


def _rules(
    permissions: list[dict[str, Any]] | None,
    protocol: str | None,
    from_port: int | None,
    to_port: int | None,
    cidr: str | None,
    *,
    rule_id: Callable[[], str],
) -> tuple[Rule, ...]:
    """The rules that a call spells, in the one form or the other."""
    if not permissions:
        ranges = [{"CidrIp": cidr}] if cidr else []
        permissions = [{"IpProtocol": protocol, "FromPort": from_port, "ToPort": to_port, "IpRanges": ranges}]
    rules: list[Rule] = []
    for permission in permissions:
        if permission.get("UserIdGroupPairs") or permission.get("PrefixListIds"):
            raise refusals.Unsupported(
                message="openecr knows sources by their addresses: give IpRanges or Ipv6Ranges instead of groups and "
                "prefix lists"
            )
        ports = _ports(permission)
        named = [(item.get("CidrIp"), item) for item in permission.get("IpRanges", ())]
        named += [(item.get("CidrIpv6"), item) for item in permission.get("Ipv6Ranges", ())]
        if not named:
            raise MissingParameter(parameter="IpPermissions.IpRanges")
        rules += [
            Rule(rule_id(), *ports, str(parse_cidr(text or "", "cidrIp")), str(item.get("Description", ""))[:255])
            for text, item in named
        ]
    return tuple(rules)


def _ports(permission: dict[str, Any]) -> tuple[str, int, int]:
    """(protocol, first port, last port) of a permission."""
    protocol = permission.get("IpProtocol")
    if protocol is None:
        raise MissingParameter(parameter="IpPermissions.IpProtocol")
    protocol = _NUMBERS.get(protocol, protocol).lower()
    if protocol not in (*_NUMBERS.values(), "-1") and not (protocol.isdigit() and int(protocol) <= 255):
        raise refusals.InvalidValue(message=f"Invalid value '{protocol[:32]}' for IP protocol. Unknown protocol.")
    first, last = permission.get("FromPort"), permission.get("ToPort")
    if protocol not in _WITH_PORTS:
        return protocol, -1, -1
    if first is None or last is None:
        raise refusals.InvalidValue(
            message=f"Invalid value 'Must specify both from and to ports with TCP/UDP.' for portRange ({protocol})."
        )
    if not 0 <= first <= last <= _MOST_PORT:
        raise refusals.InvalidValue(message=f"Invalid TCP/UDP port range ({first}:{last})")
    return protocol, first, last


def _same(one: Rule, other: Rule) -> bool:
    """Whether two rules admit the same; their ids and descriptions do not count."""
    return (one.protocol, one.from_port, one.to_port, one.cidr) == (
        other.protocol,
        other.from_port,
        other.to_port,
        other.cidr,
    )


def _told_rule(group: SecurityGroup, rule: Rule) -> dict[str, Any]:
    kind = "CidrIpv4" if ip_network(rule.cidr).version == 4 else "CidrIpv6"
    return {
        "SecurityGroupRuleId": rule.rule_id,
        "GroupId": group.group_id,
        "IsEgress": False,
        "IpProtocol": rule.protocol,
        "FromPort": rule.from_port,
        "ToPort": rule.to_port,
        kind: rule.cidr,
        "Description": rule.description or None,
    }


def _told_permissions(group: SecurityGroup) -> list[dict[str, Any]]:
    """A group's rules as EC2 tells them: one permission for a protocol and its ports, with every range."""
    gathered: dict[tuple[str, int, int], dict[str, Any]] = {}
    for rule in group.rules:
        ports = {} if rule.protocol == "-1" else {"FromPort": rule.from_port, "ToPort": rule.to_port}
        permission = gathered.setdefault(
            (rule.protocol, rule.from_port, rule.to_port),
            {"IpProtocol": rule.protocol, **ports, "IpRanges": [], "Ipv6Ranges": [], "PrefixListIds": []}
            | {"UserIdGroupPairs": []},
        )
        described = {"Description": rule.description or None}
        if ip_network(rule.cidr).version == 4:
            permission["IpRanges"].append({"CidrIp": rule.cidr, **described})
        else:
            permission["Ipv6Ranges"].append({"CidrIpv6": rule.cidr, **described})
    return list(gathered.values())
