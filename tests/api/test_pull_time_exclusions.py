"""Pull-time update exclusions: the list, and whose pulls it leaves out, on both planes."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from tests.api.support import ACCOUNT, error_of, members_of, pages_of, push
from tests.identities import client, make_role, policy, statement, trusts
from tests.places import ON_DATABASES
from tests.registry_client import RegistryClient
from tests.running import Server
from tests.waiting import wait_until

pytestmark = ON_DATABASES
ADMINISTRATOR = f"arn:aws:iam::{ACCOUNT}:user/administrator"


@contextmanager
def excluded(ecr: Any, *arns: str) -> Iterator[None]:
    # Each is answered once no server goes by what was true before, so many are asked at once.
    with ThreadPoolExecutor(10) as threads:
        list(threads.map(lambda arn: ecr.register_pull_time_update_exclusion(principalArn=arn), arns))
        try:
            yield
        finally:
            list(threads.map(lambda arn: ecr.deregister_pull_time_update_exclusion(principalArn=arn), arns))


def some_arn(kind: str = "role") -> str:
    return f"arn:aws:iam::{ACCOUNT}:{kind}/some/path/{uuid4()}"


@pytest.mark.parametrize("kind", ["role", "user"])
def test_an_exclusion_is_registered_listed_and_deregistered(ecr: Any, kind: str) -> None:
    arn = some_arn(kind)
    before = datetime.now(UTC) - timedelta(seconds=1)

    answer = ecr.register_pull_time_update_exclusion(principalArn=arn)

    assert answer["principalArn"] == arn
    assert before < answer["createdAt"] < datetime.now(UTC) + timedelta(seconds=1)
    assert arn in ecr.list_pull_time_update_exclusions()["pullTimeUpdateExclusions"]
    assert members_of(ecr.deregister_pull_time_update_exclusion(principalArn=arn)) == {"principalArn": arn}
    assert arn not in ecr.list_pull_time_update_exclusions()["pullTimeUpdateExclusions"]


def test_the_list_has_pages_and_belongs_to_one_registry(ecr: Any, other_ecr: Any) -> None:
    arns = sorted(some_arn() for _ in range(5))
    with excluded(ecr, *arns):
        pages = pages_of(ecr.list_pull_time_update_exclusions, "pullTimeUpdateExclusions", maxResults=2)

        assert [len(page) for page in pages] == [2, 2, 1]
        assert [arn for page in pages for arn in page] == arns
        assert other_ecr.list_pull_time_update_exclusions()["pullTimeUpdateExclusions"] == []
    assert members_of(ecr.list_pull_time_update_exclusions()) == {"pullTimeUpdateExclusions": []}


def test_refusals(ecr: Any, unchecked: Any) -> None:
    arn = some_arn()
    register, deregister = ecr.register_pull_time_update_exclusion, ecr.deregister_pull_time_update_exclusion
    told = f"The pull time update exclusion for principal '{arn}'"

    assert error_of(deregister, principalArn=arn) == (
        "ExclusionNotFoundException",
        f"{told} does not exist in the registry with id '{ACCOUNT}'",
    )
    with excluded(ecr, arn):
        assert error_of(register, principalArn=arn) == (
            "ExclusionAlreadyExistsException",
            f"{told} already exists in the registry with id '{ACCOUNT}'",
        )
    for wrong in (f"arn:aws:iam::{ACCOUNT}:root", "role/scanner", f"arn:aws:iam::{ACCOUNT}:group/scanners"):
        code, message = error_of(unchecked.register_pull_time_update_exclusion, principalArn=wrong)
        assert code in ("InvalidParameterException", "ValidationException")
        assert "principalArn" in message


def test_a_registry_has_a_hundred_at_most(ecr: Any) -> None:
    arns = [some_arn() for _ in range(100)]
    with excluded(ecr, *arns):
        assert error_of(ecr.register_pull_time_update_exclusion, principalArn=some_arn()) == (
            "LimitExceededException",
            f"The number of pull time update exclusions exceeded the limit of 100 for the registry with id '{ACCOUNT}'",
        )
        assert len(ecr.list_pull_time_update_exclusions()["pullTimeUpdateExclusions"]) == 100


def noted(ecr: Any, name: str) -> set[str]:
    """Tags of the images whose pulls were noted."""
    details = ecr.describe_images(repositoryName=name)["imageDetails"]
    return {item["imageTags"][0] for item in details if "lastRecordedPullTime" in item}


def test_an_excluded_users_pulls_are_not_noted(
    server: Server, ecr: Any, docker: RegistryClient, repository: str
) -> None:
    for tag in ("docker", "api", "counted", "counted-too"):
        push(docker, repository, tag, tag)

    def pull(tag: str) -> None:
        assert ecr.batch_get_image(repositoryName=repository, imageIds=[{"imageTag": tag}])["images"]

    with excluded(ecr, ADMINISTRATOR):
        # A connection each, so that every worker gets some.
        for _ in range(10):
            assert docker.request("GET", f"/v2/{repository}/manifests/docker").status == 200
        pull("api")
    pull("counted")
    assert docker.request("GET", f"/v2/{repository}/manifests/counted-too").status == 200

    # A worker flushes all its notes at once: those of pulls before would be there with these.
    counted = {"counted", "counted-too"}
    wait_until(lambda: counted <= noted(ecr, repository), "the pulls that count are noted")
    assert noted(ecr, repository) == counted


def test_a_session_counts_as_its_role_and_another_registrys_list_does_not(
    server: Server, ecr: Any, other_ecr: Any, docker: RegistryClient, repository: str
) -> None:
    for tag in ("excluded", "elsewhere"):
        push(docker, repository, tag, tag)
    name = f"scanner-{uuid4()}"
    allowed = policy(statement("ecr:*", Resource="*"))
    role = make_role(server, name, trust=trusts(ADMINISTRATOR), allowed=allowed, path="/scanners/")
    assumed = server.client("sts").assume_role(RoleArn=role, RoleSessionName="scan")
    scanner = client(server, "ecr", assumed["Credentials"])

    with excluded(ecr, role):
        assert scanner.batch_get_image(repositoryName=repository, imageIds=[{"imageTag": "excluded"}])["images"]
    with excluded(other_ecr, role):
        assert scanner.batch_get_image(repositoryName=repository, imageIds=[{"imageTag": "elsewhere"}])["images"]

    wait_until(lambda: "elsewhere" in noted(ecr, repository), "the pull that counts is noted")
    assert noted(ecr, repository) == {"elsewhere"}


def test_a_principal_may_come_after_its_exclusion_and_leave_it_by_another_name(
    server: Server, ecr: Any, iam: Any, docker: RegistryClient, repository: str
) -> None:
    for tag in ("excluded", "renamed"):
        push(docker, repository, tag, tag)
    name = f"late-{uuid4()}"
    with excluded(ecr, f"arn:aws:iam::{ACCOUNT}:user/tools/{name}"):
        iam.create_user(UserName=name, Path="/tools/")
        iam.put_user_policy(UserName=name, PolicyName="pull", PolicyDocument=policy(statement("ecr:*", Resource="*")))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        late = client(server, "ecr", {**key, "SessionToken": None})
        assert late.batch_get_image(repositoryName=repository, imageIds=[{"imageTag": "excluded"}])["images"]
        iam.update_user(UserName=name, NewUserName=f"{name}-too")
        assert late.batch_get_image(repositoryName=repository, imageIds=[{"imageTag": "renamed"}])["images"]

    wait_until(lambda: "renamed" in noted(ecr, repository), "the pull that counts is noted")
    assert noted(ecr, repository) == {"renamed"}
