"""The credential helper's signatures, against those that AWS publishes.

Sources: the Signature Version 4 test suite (AWS General Reference, "Signature Version 4 test suite") and the worked
example of the IAM User Guide ("Create a signed AWS API request"); all of them with AWS's example key, at one instant.
"""

import calendar

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from tests.credential_helper import helper

KEY_ID, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
NOW = calendar.timegm((2015, 8, 30, 12, 36, 0))
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
SESSION_TOKEN = (
    "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7"
    "mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d"
    "+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
)
ROOT = "https://example.amazonaws.com/"


@pytest.mark.parametrize(
    ("method", "url", "headers", "body", "service", "token", "signature"),
    [
        (
            "GET",
            "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08",
            {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
            b"",
            "iam",
            "",
            "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
        ),
        ("GET", ROOT, {}, b"", "service", "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", ROOT, {}, b"", "service", "", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        (
            "POST",
            ROOT,
            FORM,
            b"Param1=value1",
            "service",
            "",
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        ),
        (
            "GET",
            f"{ROOT}?Param2=value2&Param1=value1",
            {},
            b"",
            "service",
            "",
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        (
            "POST",
            ROOT,
            {},
            b"",
            "service",
            SESSION_TOKEN,
            "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
        ),
    ],
    ids=["iam-list-users", "get-vanilla", "post-vanilla", "post-form", "get-query-order", "post-sts-header-before"],
)
def test_a_signature_is_the_one_that_aws_publishes(
    method: str, url: str, headers: dict[str, str], body: bytes, service: str, token: str, signature: str
) -> None:
    signed = helper().signed_headers(
        method,
        url,
        headers,
        body,
        helper().Credentials(KEY_ID, SECRET, token),
        region="us-east-1",
        service=service,
        now=NOW,
    )

    assert signed["Authorization"].endswith(f"Signature={signature}")
    assert signed["Authorization"].startswith(
        f"AWS4-HMAC-SHA256 Credential={KEY_ID}/20150830/us-east-1/{service}/aws4_request, SignedHeaders="
    )


@pytest.mark.parametrize(
    "url", ["https://registry.example.com:8443/", "http://localhost:5050/", "https://[::1]:1/a b~/"]
)
def test_a_request_for_a_password_is_signed_as_botocore_signs_it(url: str) -> None:
    headers = {
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken",
    }

    signed = helper().signed_headers(
        "POST", url, headers, b"{}", helper().Credentials("AKIA", "secret", "token"), region="eu-west-1", service="ecr",
        now=NOW,
    )  # fmt: skip

    request = AWSRequest("POST", url, headers, b"{}")
    signer = SigV4Auth(BotocoreCredentials("AKIA", "secret", "token"), "ecr", "eu-west-1")
    request.headers["X-Amz-Date"] = signed["X-Amz-Date"]
    request.headers["X-Amz-Security-Token"] = "token"
    request.context["timestamp"] = signed["X-Amz-Date"]
    to_sign = signer.string_to_sign(request, signer.canonical_request(request))
    assert signed["Authorization"].endswith(signer.signature(to_sign, request))
