"""What attackers tell conditions: tags, addresses, names of parts; each fails when its defence is taken out."""

import urllib.error
import urllib.parse
import urllib.request
from dataclasses import replace
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.api.support import ACCOUNT, arn_of, refusal_of, trust
from tests.api.test_iam_rights import Person, is_denied
from tests.api.test_iam_rights import person as person
from tests.identities import client, make_role, make_user, statement, trust_issuer
from tests.identities import policy as statements
from tests.identity_provider import AUDIENCE, Issuer
from tests.running import OTHER_ACCOUNT, Server

FORM = "application/x-www-form-urlencoded"


def allowed(*actions: str, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return statement(*actions, Resource=resource, **more)


def denial(*actions: str, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return statement(*actions, effect="Deny", Resource=resource, **more)


class TestConditionKeys:
    """No client says what a condition is told, but where AWS lets it."""

    def test_of_two_tags_that_differ_by_case_neither_is_looked_at(
        self, person: Person, ecr: Any, name: str, repository: str
    ) -> None:
        """The first of both was once taken: a client put the good one first."""
        open_ = {"StringEquals": {"aws:RequestTag/class": "open"}}
        person.may("ecr:CreateRepository", "ecr:TagResource", Condition=open_)
        mine = person.client("ecr")
        good, bad = {"Key": "CLASS", "Value": "open"}, {"Key": "class", "Value": "secret"}
        for tags in ([good, bad], [bad, good], [bad]):
            assert is_denied(mine.create_repository, repositoryName=f"tags/{name}", tags=tags)
            assert is_denied(mine.tag_resource, resourceArn=arn_of(repository), tags=tags)
        mine.create_repository(repositoryName=f"tags/{name}", tags=[good])
        # Nor is it for a repository that has both.
        ecr.tag_resource(resourceArn=arn_of(repository), tags=[good, bad])
        person.may("ecr:ListImages", Condition={"StringEquals": {"ecr:ResourceTag/class": "open"}})
        assert is_denied(mine.list_images, repositoryName=repository)
        ecr.untag_resource(resourceArn=arn_of(repository), tagKeys=["class"])
        assert "imageIds" in mine.list_images(repositoryName=repository)

    def test_the_tags_of_ec2_are_tags_of_the_request_and_of_the_resource(
        self, person: Person, server: Server, iam: Any
    ) -> None:
        """EC2 nests its tags, and what is tagged when it is made needs the right to tag."""
        ec2, mine = server.client("ec2"), person.client("ec2")
        prod = {"StringEquals": {"aws:RequestTag/env": "prod"}}
        locked = {"StringEquals": {"aws:ResourceTag/locked": "yes"}}

        def may(*rights: dict[str, Any]) -> None:
            iam.put_user_policy(UserName=person.name, PolicyName="rights", PolicyDocument=statements(*rights))

        def specified(key: str, value: str) -> list[dict[str, Any]]:
            return [{"ResourceType": "vpc", "Tags": [{"Key": key, "Value": value}]}]

        network = "198.18.0.0/24"
        may(allowed("ec2:CreateVpc"))
        status = refusal_of(mine.create_vpc, CidrBlock=network, TagSpecifications=specified("env", "dev"))[:2]
        assert status == (403, "UnauthorizedOperation")
        may(allowed("ec2:*"), denial("ec2:CreateVpc", Condition=prod))
        status = refusal_of(mine.create_vpc, CidrBlock=network, TagSpecifications=specified("env", "prod"))[:2]
        assert status == (403, "UnauthorizedOperation")
        made = mine.create_vpc(CidrBlock=network, TagSpecifications=specified("locked", "yes"))["Vpc"]["VpcId"]
        try:
            may(allowed("ec2:*"), denial("ec2:DeleteVpc", "ec2:CreateSubnet", Condition=locked))
            for call, arguments in ((mine.delete_vpc, {}), (mine.create_subnet, {"CidrBlock": network})):
                assert refusal_of(call, VpcId=made, **arguments)[:2] == (403, "UnauthorizedOperation")
        finally:
            ec2.delete_vpc(VpcId=made)

    def test_every_part_of_a_network_that_a_call_touches_is_asked_about(
        self, person: Person, server: Server, iam: Any
    ) -> None:
        ec2, mine = server.client("ec2"), person.client("ec2")
        vpc = ec2.create_vpc(CidrBlock="198.18.1.0/24")["Vpc"]["VpcId"]
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="198.18.1.0/26")["Subnet"]["SubnetId"]
        table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
        associated = ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)["AssociationId"]
        endpoint = ec2.create_vpc_endpoint(
            VpcId=vpc, VpcEndpointType="Gateway", ServiceName="com.amazonaws.us-east-1.s3", RouteTableIds=[table]
        )["VpcEndpoint"]["VpcEndpointId"]
        try:
            for kind, name, call, arguments in (
                ("vpc", vpc, mine.create_security_group, {"VpcId": vpc, "GroupName": "g", "Description": "d"}),
                ("subnet", subnet, mine.associate_route_table, {"RouteTableId": table, "SubnetId": subnet}),
                ("subnet", subnet, mine.disassociate_route_table, {"AssociationId": associated}),
                ("route-table", table, mine.disassociate_route_table, {"AssociationId": associated}),
                (
                    "route-table",
                    table,
                    mine.modify_vpc_endpoint,
                    {"VpcEndpointId": endpoint, "RemoveRouteTableIds": [table]},
                ),
            ):
                guarded = f"arn:aws:ec2:us-east-1:{ACCOUNT}:{kind}/{name}"
                iam.put_user_policy(
                    UserName=person.name,
                    PolicyName="rights",
                    PolicyDocument=statements(allowed("ec2:*"), denial("ec2:*", resource=guarded)),
                )
                status, code, _ = refusal_of(call, **arguments)
                assert (status, code) == (403, "UnauthorizedOperation"), (kind, call)
        finally:
            ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint])
            ec2.disassociate_route_table(AssociationId=associated)
            ec2.delete_route_table(RouteTableId=table)
            ec2.delete_subnet(SubnetId=subnet)
            ec2.delete_vpc(VpcId=vpc)

    @pytest.mark.parametrize(
        "headers",
        [
            {"X-Forwarded-For": "203.0.113.7"},
            {"X-Forwarded-For": "203.0.113.7, 203.0.113.7"},
            {"Forwarded": "for=203.0.113.7"},
            {"X-Real-IP": "203.0.113.7", "True-Client-IP": "203.0.113.7", "CF-Connecting-IP": "203.0.113.7"},
            {"X-Amz-Source-Vpce": "vpce-12345678", "X-Amzn-Vpce-Id": "vpce-12345678"},
        ],
    )
    def test_no_header_says_where_a_request_is_from(
        self, server: Server, person: Person, repository: str, headers: dict[str, str]
    ) -> None:
        away = {"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}
        person.may("ecr:ListImages", "ecr:GetAuthorizationToken", "ecr:BatchGetImage", Condition=away)
        mine = person.client("ecr")

        def lie(request: Any, **_: Any) -> None:
            for name, value in headers.items():
                request.headers[name] = value

        mine.meta.events.register("before-send.ecr", lie)
        assert is_denied(mine.list_images, repositoryName=repository)
        person.may("ecr:GetAuthorizationToken")
        docker = replace(person.docker(), headers=headers)
        person.may("ecr:BatchGetImage", "ecr:ListImages", Condition=away)
        assert docker.request("GET", f"/v2/{repository}/tags/list").status == 403

    def test_whoever_signs_for_a_bearer_lends_it_nothing(self, server: Server, name: str) -> None:
        """AssumeRoleWithWebIdentity needs no signature, and the conditions of a role's trust see nothing of whoever
        signed it all the same: else anybody's key in any account would meet a condition on principals."""
        issuer = Issuer(f"https://{name}.issuer.example")
        provider = trust_issuer(server, issuer.name, client_ids=[AUDIENCE], given_keys=issuer.published)
        action = "sts:AssumeRoleWithWebIdentity"
        signer = make_user(server, name, account_id=OTHER_ACCOUNT)
        conditions: tuple[dict[str, Any], ...] = (
            {"StringEquals": {"aws:PrincipalAccount": OTHER_ACCOUNT}},
            {"StringEquals": {"aws:username": name}},
            {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/*"}},
        )
        sts = client(server, "sts", signer)

        def sign(request: Any, **_: Any) -> None:
            form = urllib.parse.urlencode(request.body) if isinstance(request.body, dict) else request.body
            signed = AWSRequest("POST", request.url, data=form, headers={"Content-Type": FORM})
            SigV4Auth(Credentials(signer.access_key_id, signer.secret_access_key), "sts", "us-east-1").add_auth(signed)
            request.headers["Content-Type"] = FORM
            for header in ("Authorization", "X-Amz-Date"):
                request.headers[header] = signed.headers[header]

        sts.meta.events.register("before-send.sts", sign)
        for number, condition in enumerate(conditions):
            role = make_role(
                server, f"{name}-{number}", trust=trust({"Federated": provider}, action, Condition=condition)
            )
            told = refusal_of(
                sts.assume_role_with_web_identity,
                RoleArn=role,
                RoleSessionName="ci",
                WebIdentityToken=issuer.token(),
            )
            assert told == (403, "AccessDenied", f"Not authorized to perform {action}")
