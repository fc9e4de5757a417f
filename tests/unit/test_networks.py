"""By which way a request came: the decision on source, listener and what is asked, as a table."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openecr.access.networks import PUBLIC, Asked, Networks, NoWay, Way, parse_source
from openecr.access.vpcs import ENDPOINT_SERVICES, Endpoint, Rule, SecurityGroup, Subnet, Vpc, clash, new_id, new_vpc

HTTPS = Rule("sgr-1", "tcp", 443, 443, "10.0.0.0/16")
MAIN, PRIVATE = "rtb-main", "rtb-private"


def vpc(*endpoints: Endpoint, rules: tuple[Rule, ...] = (HTTPS,), **changed: Any) -> Vpc:
    """vpc-1: a subnet on the main route table and one on a table of its own."""
    made = new_vpc("vpc-1", "123456789012", "us-east-1", ["10.0.0.0/16"], counts=True)
    main = replace(made.main_table, route_table_id=MAIN)
    made = replace(
        made,
        subnets=(
            Subnet("subnet-1", "10.0.1.0/24", "us-east-1a"),
            Subnet("subnet-2", "10.0.2.0/24", "us-east-1a", PRIVATE),
        ),
        groups=(*made.groups, SecurityGroup("sg-1", "endpoints", "", rules)),
        route_tables=(main, replace(main, route_table_id=PRIVATE, main_association_id=None)),
        endpoints=endpoints,
    )
    return replace(made, **changed)


API = Endpoint("vpce-a", "ecr.api", 0, private_dns=True, group_ids=("sg-1",))
DKR = Endpoint("vpce-d", "ecr.dkr", 0, policy="{}", private_dns=True, group_ids=("sg-1",))
S3 = Endpoint("vpce-5", "s3", 0, route_table_ids=(MAIN,))


def asked(service: str, source: str = "10.0.1.5", **more: str) -> Asked:
    return Asked(source, more.pop("listener", "0.0.0.0"), service, more.pop("region", "us-east-1"), **more)


def through(endpoint: Endpoint, source: str = "10.0.1.5") -> Way:
    return Way("vpc-1", endpoint.endpoint_id, endpoint.policy, source, in_vpc=True)


FROM_VPC = Way(in_vpc=True)
PRIVATE_VPC: dict[str, Any] = {"public_access": False}


@pytest.mark.parametrize(
    ("there", "question", "expected"),
    [
        (vpc(API, DKR, S3), asked("ecr.api"), through(API)),
        (vpc(API, DKR, S3), asked("ecr.dkr"), through(DKR)),
        (vpc(API, DKR, S3), asked("s3"), through(S3)),
        (vpc(API, DKR, S3), asked("ecr.api", "10.0.9.9"), through(API, "10.0.9.9")),
        (vpc(API, DKR, S3), asked("s3", "10.0.9.9"), through(S3, "10.0.9.9")),
        (vpc(API, DKR, S3), asked("s3", "10.0.2.9"), FROM_VPC),
        (vpc(API, DKR, S3), asked("ecr.api", "10.1.1.5"), PUBLIC),
        (vpc(API, DKR, S3), asked("ecr.api", "192.0.2.1"), PUBLIC),
        (vpc(API, DKR, S3), asked("ecr.api", "::1"), PUBLIC),
        (vpc(API, DKR, S3), asked("ecr.api", "::ffff:10.0.1.5"), through(API)),
        (vpc(API, DKR, S3), asked("ecr.api", "unknown"), PUBLIC),
        (vpc(API, DKR, S3), asked("ecr.api", ""), PUBLIC),
        (vpc(API, DKR, S3), asked("ecr.api", region="eu-west-1"), FROM_VPC),
        (vpc(API, DKR, S3), asked("iam"), FROM_VPC),
        (vpc(API, DKR, S3), asked("sts"), FROM_VPC),
        (vpc(), asked("ecr.dkr"), FROM_VPC),
        (vpc(replace(API, private_dns=False)), asked("ecr.api"), FROM_VPC),
        (vpc(replace(API, private_dns=False)), asked("ecr.api", endpoint_id="vpce-a"), through(API)),
        (vpc(API), asked("ecr.api", endpoint_id="vpce-a"), through(API)),
        (vpc(API, counts=False), asked("ecr.api"), PUBLIC),
        (vpc(API, DKR, S3, **PRIVATE_VPC), asked("ecr.dkr"), through(DKR)),
        (vpc(API, DKR, S3, **PRIVATE_VPC), asked("s3"), through(S3)),
        (vpc(API, listeners=("10.9.0.1",)), asked("ecr.api", listener="10.9.0.1"), through(API)),
        (vpc(API, listeners=("10.9.0.1",)), asked("ecr.api"), PUBLIC),
        (vpc(API, rules=(replace(HTTPS, protocol="-1", from_port=-1, to_port=-1),)), asked("ecr.api"), through(API)),
        (vpc(API, rules=(replace(HTTPS, from_port=0, to_port=65535),)), asked("ecr.api"), through(API)),
        (vpc(API, rules=(replace(HTTPS, protocol="6"),)), asked("ecr.api"), through(API)),
    ],
)
def test_a_request_comes_by_the_way_that_there_is(there: Vpc, question: Asked, expected: Way) -> None:
    assert Networks([there]).way(question) == expected


@pytest.mark.parametrize(
    ("there", "question", "why"),
    [
        (vpc(API, DKR, **PRIVATE_VPC), asked("s3"), "no public access and no endpoint for com.amazonaws.us-east-1.s3"),
        (vpc(S3, **PRIVATE_VPC), asked("s3", "10.0.2.9"), "(subnet-2), whose route table rtb-private has no route"),
        (vpc(DKR, S3, **PRIVATE_VPC), asked("ecr.api"), "no endpoint for com.amazonaws.us-east-1.ecr.api"),
        (vpc(API, DKR, S3, **PRIVATE_VPC), asked("ecr.api", region="eu-west-1"), "endpoints lead to us-east-1 only"),
        (vpc(API, DKR, S3, **PRIVATE_VPC), asked("iam"), "no endpoint for com.amazonaws.us-east-1.iam"),
        (vpc(replace(API, private_dns=False), **PRIVATE_VPC), asked("ecr.api"), "has no private DNS name"),
        # Private DNS leads to the endpoint even where there is a way out: a group that says no is a time-out.
        (vpc(API, rules=()), asked("ecr.api"), "no security group of the endpoint vpce-a (sg-1) admits 10.0.1.5"),
        (vpc(API, rules=(replace(HTTPS, cidr="10.0.2.0/24"),)), asked("ecr.api"), "admits 10.0.1.5 on TCP 443"),
        (vpc(API, rules=(replace(HTTPS, from_port=80, to_port=80),)), asked("ecr.api"), "on TCP 443"),
        (vpc(API, rules=(replace(HTTPS, protocol="udp"),)), asked("ecr.api"), "on TCP 443"),
        (vpc(API, rules=()), asked("ecr.api", endpoint_id="vpce-a"), "on TCP 443"),
        (vpc(API), asked("ecr.dkr", endpoint_id="vpce-a"), "leads to com.amazonaws.us-east-1.ecr.api and not to"),
        (vpc(API), asked("ecr.api", region="eu-west-1", endpoint_id="vpce-a"), "and not to com.amazonaws.eu-west-1"),
        (vpc(API), asked("ecr.api", endpoint_id="vpce-0"), "has an endpoint vpce-0"),
        (vpc(API), asked("ecr.api", "192.0.2.1", endpoint_id="vpce-a"), "no VPC that 192.0.2.1 is in"),
        (vpc(API, counts=False), asked("ecr.api", endpoint_id="vpce-a"), "has an endpoint vpce-a"),
    ],
)
def test_a_request_that_no_way_leads_to_says_what_is_missing(there: Vpc, question: Asked, why: str) -> None:
    found = Networks([there]).way(question)

    assert isinstance(found, NoWay)
    assert why in found.reason


def test_a_vpc_that_is_known_by_its_listener_is_meant_before_one_that_is_meant_everywhere() -> None:
    other = replace(vpc(replace(API, endpoint_id="vpce-b")), vpc_id="vpc-2", listeners=("10.9.0.1",))

    networks = Networks([vpc(API), other])

    assert networks.way(asked("ecr.api")) == through(API)
    found = networks.way(asked("ecr.api", listener="10.9.0.1"))
    assert isinstance(found, Way)
    assert (found.vpc_id, found.endpoint_id) == ("vpc-2", "vpce-b")


@given(source=st.ip_addresses(), service=st.sampled_from([*ENDPOINT_SERVICES, "iam"]), private=st.booleans())
def test_nobody_outside_comes_through_an_endpoint_and_nobody_inside_a_private_vpc_past_one(
    source: object, service: str, private: bool
) -> None:
    found = Networks([vpc(API, DKR, S3, public_access=not private)]).way(asked(service, str(source)))

    parsed = parse_source(str(source))
    inside = parsed is not None and parsed.version == 4 and str(parsed).startswith("10.0.")
    if not inside:
        assert found == PUBLIC
    elif private:
        assert isinstance(found, NoWay) or found.endpoint_id is not None


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (("10.0.0.0/16",), ("10.1.0.0/16",), None),
        (("10.0.0.0/16",), ("10.0.1.0/24",), "10.0.0.0/16"),
        (("10.0.1.0/24",), ("10.0.0.0/16",), "10.0.1.0/24"),
        (("10.1.0.0/16", "fd00::/8"), ("10.0.0.0/16", "fd00:1::/64"), "fd00::/8"),
        (("::/0",), ("0.0.0.0/0",), None),
    ],
)
def test_two_vpcs_may_not_mean_the_same_sources(
    one: tuple[str, ...], other: tuple[str, ...], expected: str | None
) -> None:
    first = new_vpc("vpc-1", "123456789012", "us-east-1", one, counts=True)
    second = new_vpc("vpc-2", "999988887777", "eu-west-1", other, counts=True)

    assert clash(first, second) == expected
    assert clash(first, replace(second, vpc_id="vpc-1")) is None
    assert clash(replace(first, counts=False), second) is None
    assert clash(replace(first, listeners=("a",)), second) is None
    assert clash(replace(first, listeners=("a",)), replace(second, listeners=("b",))) is None
    assert clash(replace(first, listeners=("a", "b")), replace(second, listeners=("b",))) == expected


def test_a_vpc_is_read_back_as_it_was_stored() -> None:
    stored = vpc(API, DKR, S3, tags={"Name": "one"}, listeners=("10.9.0.1",))

    assert Vpc.load(stored.dump()) == stored


def test_ids_have_the_form_of_ec2s() -> None:
    made = new_id("vpce")

    assert len(made) == len("vpce-") + 17
    assert int(made.removeprefix("vpce-"), 16) >= 0
    assert made != new_id("vpce")
