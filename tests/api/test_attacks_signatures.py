"""What attackers do to signed requests, to unsigned ones and to deputies; each fails when its defence is taken out."""

import urllib.error
import urllib.parse
import urllib.request
from typing import Any

import boto3
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from tests.api.support import ACCOUNT, OWN_ACCOUNT, policy, refusal_of, trust
from tests.api.test_iam_rights import Person
from tests.api.test_iam_rights import person as person
from tests.identities import client, make_role, make_user, statement
from tests.identities import policy as statements
from tests.running import OTHER_ACCOUNT, Server


def allowed(*actions: str, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return statement(*actions, Resource=resource, **more)


def denial(*actions: str, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return statement(*actions, effect="Deny", Resource=resource, **more)


FORM = "application/x-www-form-urlencoded"
WHO = {"Action": "GetCallerIdentity", "Version": "2011-06-15"}
MAKE = {"Action": "GetSessionToken", "Version": "2011-06-15"}


class Signed:
    """A request that its bearer signed, to be sent in another form."""

    def __init__(self, server: Server, service: str = "sts") -> None:
        variables = server.environment()
        self.credentials = Credentials(variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"])
        self.server, self.service = server, service

    def request(self, query: str = "", body: str = "", **headers: str) -> AWSRequest:
        sent = {"Content-Type": FORM} | {name.replace("_", "-"): value for name, value in headers.items()}
        made = AWSRequest("POST", f"{self.server.url}/{query}", data=body, headers=sent)
        SigV4Auth(self.credentials, self.service, "us-east-1").add_auth(made)
        return made

    def presigned(self, form: dict[str, str], seconds: int = 60) -> str:
        made = AWSRequest("GET", f"{self.server.url}/?{urllib.parse.urlencode(form)}")
        SigV4QueryAuth(self.credentials, self.service, "us-east-1", expires=seconds).add_auth(made)
        return str(made.url)


def sent(url: str, body: str | None, headers: Any, method: str = "POST") -> tuple[int, str]:
    data = None if body is None else body.encode()
    request = urllib.request.Request(url, data, dict(headers.items()), method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()


class TestSignatures:
    """A signature is good for the request that was signed, and for no other."""

    def test_a_query_that_is_added_makes_it_another_request(self, server: Server) -> None:
        """Parameter pollution: an Action beside the signed one, before or after it."""
        who = urllib.parse.urlencode(WHO)
        request = Signed(server).request(body=who)
        assert sent(request.url, who, request.headers)[0] == 200
        for query in (f"?{urllib.parse.urlencode(MAKE)}", "?Action=GetSessionToken", "?x=1", "?Action=CreateUser"):
            status, told = sent(request.url + query, who, request.headers)
            assert (status, "SignatureDoesNotMatch" in told) == (403, True)
        for body in (f"{who}&Action=GetSessionToken", f"Action=GetSessionToken&{who}", urllib.parse.urlencode(MAKE)):
            status, told = sent(request.url, body, request.headers)
            assert (status, "SignatureDoesNotMatch" in told) == (403, True)

    def test_one_action_is_decided_and_done_where_query_and_body_name_two(self, server: Server, person: Person) -> None:
        """Its own signer pollutes: what is authorized is what runs."""
        person.may("sts:*", "iam:GetUser")
        credentials = Credentials(person.key["AccessKeyId"], person.key["SecretAccessKey"])
        signed = Signed(server, "iam")
        signed.credentials = credentials
        making = urllib.parse.urlencode(
            {"Action": "CreateUser", "Version": "2010-05-08", "UserName": f"{person.name}-2"}
        )
        asking = urllib.parse.urlencode({"Action": "GetUser", "Version": "2010-05-08"})
        for query, body in ((asking, making), (making, asking), ("", f"{asking}&{making}"), ("", f"{making}&{asking}")):
            request = signed.request(f"?{query}" if query else "", body)
            status, told = sent(request.url, body, request.headers)
            assert "CreateUserResponse" not in told
            assert status in (200, 403, 404), told
        other = refusal_of(server.client("iam").get_user, UserName=f"{person.name}-2")
        assert other[1] == "NoSuchEntity"

    def test_headers_that_decide_must_be_signed(self, server: Server) -> None:
        who = urllib.parse.urlencode(WHO)
        request = Signed(server).request(body=who)
        for name, value in (
            ("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.DescribeRepositories"),
            ("X-Amz-Security-Token", "token"),
        ):
            headers = dict(request.headers.items()) | {name: value}
            status, told = sent(request.url, who, headers)
            assert status in (400, 403)
            assert "DescribeRepositories" not in told or "Signature" in told or "scoped" in told
            assert "<GetCallerIdentityResult>" not in told

    def test_a_presigned_request_is_no_other_and_has_no_other_body(self, server: Server) -> None:
        url = Signed(server).presigned(WHO)
        assert sent(url, None, {}, "GET")[0] == 200
        for altered in (url.replace("GetCallerIdentity", "GetSessionToken"), f"{url}&Action=GetSessionToken"):
            assert sent(altered, None, {}, "GET")[0] == 403
        assert sent(url, urllib.parse.urlencode(MAKE), {"Content-Type": FORM})[0] == 403
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
        header = (
            f"AWS4-HMAC-SHA256 Credential={query['X-Amz-Credential']}, SignedHeaders={query['X-Amz-SignedHeaders']}, "
            f"Signature={query['X-Amz-Signature']}"
        )
        as_header = {"Authorization": header, "X-Amz-Date": query["X-Amz-Date"]}
        plain = f"{server.url}/?{urllib.parse.urlencode(WHO)}"
        assert sent(plain, None, as_header, "GET")[0] == 403

    def test_what_needs_no_signature_is_no_way_to_what_does(self, server: Server) -> None:
        """One form names two actions, or the query names another: none of them runs unsigned."""
        first = {"Action": "AssumeRoleWithWebIdentity", "Version": "2011-06-15"}
        bearer = urllib.parse.urlencode(first | {"RoleArn": f"arn:aws:iam::{ACCOUNT}:role/x"})
        who = urllib.parse.urlencode(WHO)
        missing = "<Code>MissingAuthenticationToken</Code>"
        for url, body, code in (
            (f"{server.url}/", f"{who}&{bearer}", missing),
            # The first name counts, and that operation lacks its members.
            (f"{server.url}/", f"{bearer}&{who}", "<Code>ValidationError</Code>"),
            (f"{server.url}/?{who}", bearer, missing),
            (f"{server.url}/?{bearer}", who, missing),
            (f"{server.url}/?{bearer}", "", missing),
        ):
            status, told = sent(url, body, {"Content-Type": FORM})
            assert (status in (400, 403), code in told) == (True, True), (url, body)
            assert "<GetCallerIdentityResult>" not in told

    def test_a_token_of_another_session_or_none_opens_no_session(self, server: Server, name: str) -> None:
        role = make_role(server, name, trust=trust(OWN_ACCOUNT), allowed=policy("ecr:*"))
        sts = server.client("sts")
        one, two = (sts.assume_role(RoleArn=role, RoleSessionName=session)["Credentials"] for session in ("one", "two"))
        for token in (two["SessionToken"], one["SessionToken"][:-4], one["SessionToken"] + "AAAA", "x"):
            mixed = client(server, "ecr", {**one, "SessionToken": token})
            assert refusal_of(mixed.describe_repositories)[1] == "UnrecognizedClientException"
        bare = boto3.client(
            "ecr",
            region_name="us-east-1",
            endpoint_url=server.url,
            aws_access_key_id=one["AccessKeyId"],
            aws_secret_access_key=one["SecretAccessKey"],
            config=Config(retries={"total_max_attempts": 1}),
        )
        assert refusal_of(bare.describe_repositories)[1] == "UnrecognizedClientException"


class TestConfusedDeputy:
    def test_a_deputy_is_not_lent_by_a_guest(self, server: Server, name: str) -> None:
        """A service's role that asks for an external id is assumed for its own customer only; an id in another case,
        with more around it, or twice is another one."""
        deputy = make_user(server, name, allowed=policy("sts:AssumeRole"), account_id=OTHER_ACCOUNT)
        condition = {"StringEquals": {"sts:ExternalId": "Customer-1"}}
        role = make_role(server, name, trust=trust({"AWS": f"arn:aws:iam::{OTHER_ACCOUNT}:root"}, Condition=condition))
        sts = client(server, "sts", deputy)
        for external_id in (None, "customer-1", "Customer-1 ", "Customer-2", "Customer-1,Customer-1"):
            more = {} if external_id is None else {"ExternalId": external_id}
            code = refusal_of(sts.assume_role, RoleArn=role, RoleSessionName="any", **more)[1]
            assert code in ("AccessDenied", "ValidationError"), external_id
        assert sts.assume_role(RoleArn=role, RoleSessionName="any", ExternalId="Customer-1")["Credentials"]

    def test_a_role_is_named_exactly(self, server: Server, person: Person, name: str) -> None:
        """A role's ARN in another case or without its path is not that role: policies speak of ARNs, and a denial of
        the one holds however it is spelled."""
        role = make_role(server, name, trust=trust(OWN_ACCOUNT), path="/guarded/")
        spelled = [
            role.replace("/guarded/", "/"),
            role.replace("/guarded/", "/Guarded/"),
            role.replace(name, name.upper()),
            role.replace("/guarded/", "/guarded/../guarded/"),
            role.replace("arn:aws:", "arn:aws-cn:"),
        ]
        iam, sts = server.client("iam"), person.client("sts")
        for rights in (
            statements(allowed("sts:AssumeRole"), denial("sts:AssumeRole", resource=role)),
            statements(allowed("sts:AssumeRole")),
        ):
            iam.put_user_policy(UserName=person.name, PolicyName="rights", PolicyDocument=rights)
            for arn in spelled:
                assert refusal_of(sts.assume_role, RoleArn=arn, RoleSessionName="any")[1] == "AccessDenied", arn
        assert sts.assume_role(RoleArn=role, RoleSessionName="any")["Credentials"]
        iam.delete_user_policy(UserName=person.name, PolicyName="rights")
        assert refusal_of(sts.assume_role, RoleArn=role, RoleSessionName="any")[1] == "AccessDenied"
