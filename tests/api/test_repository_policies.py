"""Policies of repositories: how they are taken, told, refused, and what they decide within an account."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.api.support import ACCOUNT, arn_of, bad_parameter, error_of, push, repository_missing
from tests.places import ON_DATABASES
from tests.registry_client import RegistryClient
from tests.running import OTHER_ACCOUNT, Server

pytestmark = ON_DATABASES

pytestmark = ON_DATABASES

PULL = ["ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage", "ecr:BatchCheckLayerAvailability"]


def policy(*statements: dict[str, Any], version: str = "2012-10-17") -> str:
    return json.dumps({"Version": version, "Statement": list(statements)})


def allow(principal: Any, *actions: str, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": principal, "Action": list(actions), **more}


def deny(principal: Any, *actions: str, **more: Any) -> dict[str, Any]:
    return allow(principal, *actions, **more) | {"Effect": "Deny"}


INVALID = bad_parameter("PolicyText", "Invalid repository policy provided")


def test_a_policy_is_told_as_ecr_prints_it(ecr: Any, repository: str) -> None:
    text = policy(allow({"AWS": [OTHER_ACCOUNT, "arn:aws:iam::999988887777:root"]}, *PULL, Sid="Allow pulls"))

    answer = ecr.set_repository_policy(repositoryName=repository, policyText=text)

    assert (answer["registryId"], answer["repositoryName"]) == (ACCOUNT, repository)
    assert answer["policyText"] == (
        '{\n  "Version" : "2012-10-17",\n  "Statement" : [ {\n    "Effect" : "Allow",\n    "Principal" : {\n'
        f'      "AWS" : [ "arn:aws:iam::{OTHER_ACCOUNT}:root", "arn:aws:iam::999988887777:root" ]\n    }},\n'
        '    "Action" : [ "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage", "ecr:BatchCheckLayerAvailability" ],\n'
        '    "Sid" : "Allow pulls"\n  } ]\n}'
    )
    assert ecr.get_repository_policy(repositoryName=repository)["policyText"] == answer["policyText"]


def test_deleting_a_policy_tells_it_a_last_time(ecr: Any, repository: str) -> None:
    told = ecr.set_repository_policy(repositoryName=repository, policyText=policy(allow("*", "ecr:ListImages")))
    missing = (
        "RepositoryPolicyNotFoundException",
        (
            f"Repository policy does not exist for the repository with name '{repository}' in the registry with id "
            f"'{ACCOUNT}'"
        ),
    )

    assert ecr.delete_repository_policy(repositoryName=repository)["policyText"] == told["policyText"]
    assert error_of(ecr.get_repository_policy, repositoryName=repository) == missing
    assert error_of(ecr.delete_repository_policy, repositoryName=repository) == missing


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "{}",
        policy(),
        policy(allow("*", "ecr:ListImages", Resource="*")),
        policy({"Effect": "Allow", "Action": "ecr:ListImages"}),
        policy(allow("*", "ecr:ListImages", Unknown="x")),
        policy(allow("*", "ecr:ListImages"), version="2020-01-01"),
        policy(allow("*", "s3:GetObject")),
        policy(allow({"AWS": "arn:aws:iam::123456789012:user/*"}, "ecr:ListImages")),
        policy(allow("*", "ecr:ListImages", Condition={"StringMatches": {"aws:SourceVpce": "x"}})),
    ],
)
def test_what_is_no_repository_policy_is_refused_and_changes_nothing(ecr: Any, repository: str, text: str) -> None:
    before = ecr.set_repository_policy(repositoryName=repository, policyText=policy(allow("*", "ecr:ListImages")))

    assert error_of(ecr.set_repository_policy, repositoryName=repository, policyText=text) == INVALID
    assert ecr.get_repository_policy(repositoryName=repository)["policyText"] == before["policyText"]


def test_a_principal_of_an_account_that_is_here_must_be_there(ecr: Any, repository: str) -> None:
    def named(arn: str) -> dict[str, str]:
        return {"repositoryName": repository, "policyText": policy(allow({"AWS": arn}, *PULL))}

    missing = bad_parameter("PolicyText", "Principal not found")
    assert error_of(ecr.set_repository_policy, **named(f"arn:aws:iam::{ACCOUNT}:user/nobody")) == missing
    assert error_of(ecr.set_repository_policy, **named(f"arn:aws:iam::{ACCOUNT}:role/nothing")) == missing
    there = f"arn:aws:iam::{ACCOUNT}:user/administrator"
    assert there in ecr.set_repository_policy(**named(there))["policyText"]
    ecr.set_repository_policy(**named("arn:aws:iam::555566667777:user/elsewhere"))


def test_a_policy_that_locks_its_caller_out_takes_force(ecr: Any, repository: str) -> None:
    text = policy(deny("*", "ecr:SetRepositoryPolicy"))

    assert error_of(ecr.set_repository_policy, repositoryName=repository, policyText=text) == bad_parameter(
        "PolicyText", "The policy would prevent you from setting another policy in the future; use force"
    )
    ecr.set_repository_policy(repositoryName=repository, policyText=text, force=True)
    code, message = error_of(ecr.set_repository_policy, repositoryName=repository, policyText=text)
    assert code == "AccessDeniedException"
    assert message.endswith("with an explicit deny in a resource-based policy")
    ecr.delete_repository_policy(repositoryName=repository)


def test_a_deny_holds_against_the_administrator_on_both_planes(
    ecr: Any, docker: RegistryClient, repository: str
) -> None:
    ecr.set_repository_policy(repositoryName=repository, policyText=policy(deny("*", "ecr:BatchGetImage")))
    told = (
        f"User: arn:aws:iam::{ACCOUNT}:user/administrator is not authorized to perform: ecr:BatchGetImage "
        f"on resource: {arn_of(repository)} with an explicit deny in a resource-based policy"
    )

    assert error_of(ecr.batch_get_image, repositoryName=repository, imageIds=[{"imageTag": "v1"}]) == (
        "AccessDeniedException",
        told,
    )
    answer = docker.request("GET", f"{docker.path(repository)}/manifests/v1")
    assert answer.status == 403
    assert told in json.loads(answer.body)["errors"][0]["message"]


def test_a_deny_may_ask_for_tags_of_the_repository(ecr: Any, repository: str) -> None:
    condition = {"StringEquals": {"ecr:ResourceTag/stage": "prod"}}
    ecr.set_repository_policy(
        repositoryName=repository, policyText=policy(deny("*", "ecr:ListImages", Condition=condition))
    )

    assert ecr.list_images(repositoryName=repository)["imageIds"] == []
    ecr.tag_resource(resourceArn=arn_of(repository), tags=[{"Key": "stage", "Value": "prod"}])
    assert error_of(ecr.list_images, repositoryName=repository)[0] == "AccessDeniedException"


def test_another_account_may_what_its_policies_and_the_repositorys_both_allow(
    ecr: Any, other_ecr: Any, repository: str
) -> None:
    asked = {"repositoryName": repository, "registryId": ACCOUNT}
    code, message = error_of(other_ecr.list_images, **asked)
    assert (code, message.rpartition(" because ")[2]) == (
        "AccessDeniedException",
        "no resource-based policy allows the ecr:ListImages action",
    )

    root = {"AWS": f"arn:aws:iam::{OTHER_ACCOUNT}:root"}
    ecr.set_repository_policy(repositoryName=repository, policyText=policy(allow(root, "ecr:ListImages")))
    assert other_ecr.list_images(**asked)["imageIds"] == []
    assert error_of(other_ecr.describe_images, **asked)[0] == "AccessDeniedException"

    ecr.delete_repository_policy(repositoryName=repository)
    assert error_of(other_ecr.list_images, **asked)[0] == "AccessDeniedException"


def test_what_another_account_may_not_see_it_cannot_tell_from_what_is_not_there(
    ecr: Any, other_ecr: Any, repository: str
) -> None:
    there = error_of(other_ecr.describe_images, repositoryName=repository, registryId=ACCOUNT)
    absent = error_of(other_ecr.describe_images, repositoryName=f"{repository}-not", registryId=ACCOUNT)

    assert (there[0], there[1].replace(repository, "X")) == (absent[0], absent[1].replace(f"{repository}-not", "X"))


def test_a_policy_of_a_missing_repository(ecr: Any) -> None:
    text = policy(allow("*", "ecr:ListImages"))

    assert error_of(ecr.set_repository_policy, repositoryName="not-there", policyText=text) == repository_missing(
        "not-there"
    )


def test_a_policy_goes_with_its_repository(ecr: Any, repository: str) -> None:
    ecr.set_repository_policy(repositoryName=repository, policyText=policy(deny("*", "ecr:ListImages")))
    ecr.delete_repository(repositoryName=repository)
    ecr.create_repository(repositoryName=repository)

    assert ecr.list_images(repositoryName=repository)["imageIds"] == []
    assert error_of(ecr.get_repository_policy, repositoryName=repository)[0] == "RepositoryPolicyNotFoundException"


def test_order_and_form_stay_as_they_were_given(ecr: Any, repository: str) -> None:
    given = {
        "Statement": {
            "Sid": "last",
            "Condition": {"StringLike": {"aws:UserAgent": ["\u0001*", "ü"]}, "Bool": {"aws:SecureTransport": True}},
            "Action": ["ecr:ListImages"],
            "Principal": {"Service": "lambda.amazonaws.com", "AWS": "999988887777"},
            "Effect": "Allow",
        },
        "Id": "an id",
        "Version": "2008-10-17",
    }

    told = ecr.set_repository_policy(repositoryName=repository, policyText=json.dumps(given))["policyText"]

    assert told == (
        '{\n  "Statement" : {\n    "Sid" : "last",\n    "Condition" : {\n      "StringLike" : {\n'
        '        "aws:UserAgent" : [ "\\u0001*", "ü" ]\n      },\n      "Bool" : {\n'
        '        "aws:SecureTransport" : true\n      }\n    },\n    "Action" : [ "ecr:ListImages" ],\n'
        '    "Principal" : {\n      "Service" : "lambda.amazonaws.com",\n'
        '      "AWS" : "arn:aws:iam::999988887777:root"\n    },\n    "Effect" : "Allow"\n  },\n'
        '  "Id" : "an id",\n  "Version" : "2008-10-17"\n}'
    )
    assert ecr.set_repository_policy(repositoryName=repository, policyText=told)["policyText"] == told


@pytest.mark.parametrize(
    "text",
    [
        policy(allow("*", "ecr:ListImages")).replace("2012-10-17", "\\ud800"),
        policy(allow("*", "ecr:ListImages", Condition={"StringEquals": {"aws:UserAgent": "X"}})).replace(
            '"X"', '"\\ud800"'
        ),
        policy(allow("*", "ecr:ListImages")).replace('"Effect"', '"Effect": "Deny", "Effect"'),
        policy(allow({"AWS": 123456789012}, "ecr:ListImages")),
        policy(allow({"AWS": []}, "ecr:ListImages")),
        policy(allow({}, "ecr:ListImages")),
        policy(allow({"Canonical": "x"}, "ecr:ListImages")),
        policy({"Effect": "Allow", "NotPrincipal": "*", "Action": "ecr:ListImages"}),
        "[" * 5000,
        "null",
        '"text"',
    ],
)
def test_what_only_a_parser_could_misread_is_refused(ecr: Any, repository: str, text: str) -> None:
    assert error_of(ecr.set_repository_policy, repositoryName=repository, policyText=text) == INVALID


def test_a_policy_has_at_most_10240_characters(ecr: Any, unchecked: Any, repository: str) -> None:
    text = policy(allow("*", "ecr:ListImages"))
    full = text + " " * (10240 - len(text))
    assert ecr.set_repository_policy(repositoryName=repository, policyText=full)["policyText"]
    code, message = error_of(unchecked.set_repository_policy, repositoryName=repository, policyText=full + " ")
    assert (code, "10240" in message) == ("InvalidParameterException", True)


def test_a_null_character_in_a_policy_is_kept(ecr: Any, repository: str) -> None:
    condition = {"StringEquals": {"aws:UserAgent": "a\0b"}}
    text = policy(allow("*", "ecr:ListImages", Condition=condition))
    assert '"a\\u0000b"' in ecr.set_repository_policy(repositoryName=repository, policyText=text)["policyText"]
    assert '"a\\u0000b"' in ecr.get_repository_policy(repositoryName=repository)["policyText"]


@pytest.mark.parametrize(
    "principal",
    [
        "arn:aws:iam::{account}:user/Administrator",
        "arn:aws:iam::{account}:user/x/administrator",
        "arn:aws:iam::{account}:role/administrator",
        "arn:aws:sts::{account}:assumed-role/nothing/session",
        "AIDAAAAAAAAAAAAAAAAAA",
    ],
)
def test_a_principal_is_one_whole_name(ecr: Any, repository: str, principal: str) -> None:
    text = policy(allow({"AWS": principal.format(account=ACCOUNT)}, "ecr:ListImages"))
    assert error_of(ecr.set_repository_policy, repositoryName=repository, policyText=text) == bad_parameter(
        "PolicyText", "Principal not found"
    )


@pytest.mark.parametrize(
    "principal",
    [
        "arn:aws:iam::444455556666:root",
        "arn:aws:iam::444455556666:user/deep/path/somebody",
        "arn:aws:iam::444455556666:role/something",
        "arn:aws:sts::444455556666:assumed-role/something/session",
    ],
)
def test_an_account_that_is_not_here_is_taken_at_its_word(ecr: Any, repository: str, principal: str) -> None:
    text = policy(allow({"AWS": [principal]}, *PULL))
    told = ecr.set_repository_policy(repositoryName=repository, policyText=text)["policyText"]
    assert f'"AWS" : [ "{principal}" ]' in told


def test_whoever_is_gone_is_told_by_id_and_another_of_the_name_is_another(
    server: Server, ecr: Any, iam: Any, repository: str, name: str
) -> None:
    arn = f"arn:aws:iam::{ACCOUNT}:user/team/{name}"
    user_id = iam.create_user(UserName=name, Path="/team/")["User"]["UserId"]
    ecr.set_repository_policy(repositoryName=repository, policyText=policy(deny({"AWS": arn}, "ecr:ListImages")))

    def told() -> str:
        statements = json.loads(ecr.get_repository_policy(repositoryName=repository)["policyText"])["Statement"]
        return str(statements[0]["Principal"]["AWS"])

    assert told() == arn
    iam.update_user(UserName=name, NewPath="/moved/")
    assert told() == f"arn:aws:iam::{ACCOUNT}:user/moved/{name}"
    iam.delete_user(UserName=name)
    assert told() == user_id
    iam.create_user(UserName=name, Path="/team/")
    assert told() == user_id

    stale = ecr.get_repository_policy(repositoryName=repository)["policyText"]
    assert error_of(ecr.set_repository_policy, repositoryName=repository, policyText=stale) == bad_parameter(
        "PolicyText", "Principal not found"
    )


def test_the_trash_keeps_a_repositorys_policy(
    server: Server, ecr: Any, docker: RegistryClient, repository: str
) -> None:
    push(docker, repository, "kept", "v1")
    told = ecr.set_repository_policy(repositoryName=repository, policyText=policy(deny("*", "ecr:ListImages")))
    ecr.delete_repository(repositoryName=repository, force=True)

    server.command("undelete", repository)

    assert ecr.get_repository_policy(repositoryName=repository)["policyText"] == told["policyText"]
    assert error_of(ecr.list_images, repositoryName=repository)[0] == "AccessDeniedException"


def test_policies_set_and_deleted_at_once_leave_one_of_them_whole(ecr: Any, repository: str) -> None:
    texts = [policy(deny("*", "ecr:ListImages", Sid=f"from {number}")) for number in range(4)]

    def set_it(text: str) -> str:
        told: str = ecr.set_repository_policy(repositoryName=repository, policyText=text)["policyText"]
        return told

    def delete_it() -> str:
        try:
            told: str = ecr.delete_repository_policy(repositoryName=repository)["policyText"]
        except ClientError as missing:
            return str(missing.response["Error"]["Code"])
        return told

    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            sets = [pool.submit(set_it, text) for text in texts]
            deletions = [pool.submit(delete_it) for _ in texts]
            told = {done.result() for done in sets}
            assert len(told) == len(texts)
            assert {done.result() for done in deletions} <= told | {"RepositoryPolicyNotFoundException"}
    final = delete_it()
    is_set = final != "RepositoryPolicyNotFoundException"
    assert is_set == (final in told)
    assert ecr.list_images(repositoryName=repository)["imageIds"] == []


def test_a_policy_that_is_set_while_its_repository_is_deleted_is_no_policy_of_the_next(
    ecr: Any, repository: str
) -> None:
    text = policy(deny("*", "ecr:ListImages"))

    def set_it(_: int) -> str:
        try:
            ecr.set_repository_policy(repositoryName=repository, policyText=text)
        except ClientError as missing:
            return str(missing.response["Error"]["Code"])
        return ""

    with ThreadPoolExecutor(5) as pool:
        for _ in range(5):
            setting = pool.map(set_it, range(4))
            ecr.delete_repository(repositoryName=repository)
            assert set(setting) <= {"", "RepositoryNotFoundException"}
            ecr.create_repository(repositoryName=repository)
            assert error_of(ecr.get_repository_policy, repositoryName=repository)[0] == (
                "RepositoryPolicyNotFoundException"
            )
            assert ecr.list_images(repositoryName=repository)["imageIds"] == []
