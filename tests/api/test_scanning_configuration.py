"""Which repositories are scanned, and when: the registry's configuration and filters, the repositories' own flag."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.support import ACCOUNT, arn_of, bad_parameter, error_of, members_of, repository_missing
from tests.places import ON_DATABASES
from tests.running import Server
from tests.scanned_images import enhanced, events_of
from tests.waiting import wait_until

pytestmark = ON_DATABASES
NEW = {"scanType": "BASIC", "rules": []}


def rule(frequency: str, *filters: str) -> dict[str, Any]:
    return {
        "scanFrequency": frequency,
        "repositoryFilters": [{"filter": item, "filterType": "WILDCARD"} for item in filters],
    }


@pytest.fixture
def ecr(ecr: Any) -> Iterator[Any]:
    """The default account's, whose registry scans as a new one does again afterwards."""
    yield ecr
    ecr.put_registry_scanning_configuration(scanType="BASIC", rules=[])


def applied(ecr: Any, *names: str) -> list[tuple[str, bool, list[str]]]:
    """(frequency, whether a push is scanned, filters) of each repository."""
    answer = ecr.batch_get_repository_scanning_configuration(repositoryNames=list(names))
    assert answer["failures"] == []
    return [
        (item["scanFrequency"], item["scanOnPush"], [one["filter"] for one in item["appliedScanFilters"]])
        for item in answer["scanningConfigurations"]
    ]


def test_a_new_registry_scans_nothing_by_itself(server: Server) -> None:
    there = server.client("ecr", region="eu-central-1")

    assert members_of(there.get_registry_scanning_configuration()) == {
        "registryId": ACCOUNT,
        "scanningConfiguration": NEW,
    }


def test_a_configuration_is_put_whole_and_read_back(ecr: Any) -> None:
    rules = [rule("CONTINUOUS_SCAN", "myapp/*"), rule("SCAN_ON_PUSH", "*")]

    put = members_of(ecr.put_registry_scanning_configuration(scanType="ENHANCED", rules=rules))

    assert put == {"registryScanningConfiguration": {"scanType": "ENHANCED", "rules": rules}}
    read = ecr.get_registry_scanning_configuration()["scanningConfiguration"]
    assert read == put["registryScanningConfiguration"]
    again = members_of(ecr.put_registry_scanning_configuration())
    assert again == {"registryScanningConfiguration": NEW}
    assert ecr.get_registry_scanning_configuration()["scanningConfiguration"] == NEW


def test_registries_scan_apart(server: Server, ecr: Any, other_ecr: Any) -> None:
    with enhanced(ecr, on_push=["*"]):
        assert other_ecr.get_registry_scanning_configuration()["scanningConfiguration"] == NEW
        there = server.client("ecr", region="eu-west-1")
        assert there.get_registry_scanning_configuration()["scanningConfiguration"] == NEW


@pytest.mark.parametrize(
    ("scan_type", "frequencies", "constraint"),
    [
        ("BASIC", ["CONTINUOUS_SCAN"], "The scan frequency CONTINUOUS_SCAN is not supported for scan type BASIC"),
        (
            "BASIC",
            ["SCAN_ON_PUSH", "SCAN_ON_PUSH"],
            "The scan frequency SCAN_ON_PUSH is given by more than one rule",
        ),
        (
            "ENHANCED",
            ["CONTINUOUS_SCAN", "CONTINUOUS_SCAN"],
            "The scan frequency CONTINUOUS_SCAN is given by more than one rule",
        ),
    ],
)
def test_wrong_combinations_change_nothing(ecr: Any, scan_type: str, frequencies: list[str], constraint: str) -> None:
    before = ecr.get_registry_scanning_configuration()["scanningConfiguration"]
    rules = [rule(frequency, "*") for frequency in frequencies]

    refused = error_of(ecr.put_registry_scanning_configuration, scanType=scan_type, rules=rules)

    assert refused == bad_parameter("rules", constraint)
    assert ecr.get_registry_scanning_configuration()["scanningConfiguration"] == before


@pytest.mark.parametrize(
    ("arguments", "parameter", "words"),
    [
        (
            {"rules": [rule("SCAN_ON_PUSH", "a"), rule("MANUAL", "b"), rule("MANUAL", "c")]},
            "rules",
            "less than or equal",
        ),
        ({"rules": [rule("SOMETIMES", "a")]}, "scanFrequency", "SCAN_ON_PUSH"),
        ({"rules": [rule("SCAN_ON_PUSH", "Upper")]}, "filter", "regular expression"),
        ({"rules": [rule("SCAN_ON_PUSH", *(f"r{number}" for number in range(101)))]}, "repositoryFilters", "less than"),
        ({"scanType": "ADVANCED"}, "scanType", "ENHANCED"),
    ],
)
def test_what_the_model_forbids(unchecked: Any, arguments: dict[str, Any], parameter: str, words: str) -> None:
    code, text = error_of(unchecked.put_registry_scanning_configuration, **arguments)

    assert code == "ValidationException"
    assert parameter in text
    assert words in text


TABLE = {
    # filter: prod, repo-prod, prod-repo, repo-prod-repo, prodrepo (user guide, "Using filters")
    "prod": "yyyyy",
    "*prod": "yynnn",
    "prod*": "ynyny",
    "*prod*": "yyyyy",
    "prod*repo": "nnyny",
}


@pytest.mark.parametrize("scan_filter", TABLE)
def test_the_truth_table_of_filters(server: Server, scan_filter: str) -> None:
    ecr = server.client("ecr", region="ap-south-1")
    names = ["prod", "repo-prod", "prod-repo", "repo-prod-repo", "prodrepo"]
    there = {item["repositoryName"] for item in ecr.describe_repositories()["repositories"]}
    for name in set(names) - there:
        ecr.create_repository(repositoryName=name)

    ecr.put_registry_scanning_configuration(scanType="BASIC", rules=[rule("SCAN_ON_PUSH", scan_filter)])

    found = applied(ecr, *names)
    assert "".join("y" if on_push else "n" for _, on_push, _ in found) == TABLE[scan_filter]
    for frequency, on_push, filters in found:
        assert (frequency, filters) == (("SCAN_ON_PUSH", [scan_filter]) if on_push else ("MANUAL", []))


def test_wildcards_are_no_regular_expressions_and_cost_linear_time(ecr: Any, repository: str) -> None:
    rules = [rule("SCAN_ON_PUSH", "t.st*", "*e*e*e*e*e*e*e*e*x")]
    ecr.put_registry_scanning_configuration(scanType="BASIC", rules=rules)

    assert applied(ecr, repository) == [("MANUAL", False, [])]


def test_the_last_filter_that_matches_is_told_and_continuous_wins(ecr: Any, repository: str) -> None:
    rules = [rule("CONTINUOUS_SCAN", "test/*", "other"), rule("SCAN_ON_PUSH", "*", "test/rep*")]
    ecr.put_registry_scanning_configuration(scanType="ENHANCED", rules=rules)
    assert applied(ecr, repository) == [("CONTINUOUS_SCAN", True, ["test/*"])]

    ecr.put_registry_scanning_configuration(scanType="ENHANCED", rules=list(reversed(rules)))
    assert applied(ecr, repository) == [("CONTINUOUS_SCAN", True, ["test/*"])]

    ecr.put_registry_scanning_configuration(scanType="ENHANCED", rules=rules[1:])
    assert applied(ecr, repository) == [("SCAN_ON_PUSH", True, ["test/rep*"])]


def test_the_repositories_own_flag(ecr: Any, repository: str, repository_name: str) -> None:
    other = f"{repository_name}-with"
    made = ecr.create_repository(repositoryName=other, imageScanningConfiguration={"scanOnPush": True})["repository"]
    assert made["imageScanningConfiguration"] == {"scanOnPush": True}
    assert applied(ecr, repository, other) == [("MANUAL", False, []), ("SCAN_ON_PUSH", True, [])]

    put = members_of(
        ecr.put_image_scanning_configuration(repositoryName=repository, imageScanningConfiguration={"scanOnPush": True})
    )
    assert put == {
        "registryId": ACCOUNT,
        "repositoryName": repository,
        "imageScanningConfiguration": {"scanOnPush": True},
    }
    described = ecr.describe_repositories(repositoryNames=[repository])["repositories"][0]
    assert described["imageScanningConfiguration"] == {"scanOnPush": True}
    assert applied(ecr, repository) == [("SCAN_ON_PUSH", True, [])]
    ecr.put_image_scanning_configuration(repositoryName=repository, imageScanningConfiguration={})
    assert applied(ecr, repository) == [("MANUAL", False, [])]
    missing = error_of(
        ecr.put_image_scanning_configuration,
        repositoryName="not/there",
        imageScanningConfiguration={"scanOnPush": True},
    )
    assert missing == repository_missing("not/there")


def test_enhanced_scanning_knows_rules_alone(ecr: Any, repository: str) -> None:
    ecr.put_image_scanning_configuration(repositoryName=repository, imageScanningConfiguration={"scanOnPush": True})
    with enhanced(ecr):
        assert applied(ecr, repository) == [("MANUAL", False, [])]
        refused = error_of(
            ecr.put_image_scanning_configuration,
            repositoryName=repository,
            imageScanningConfiguration={"scanOnPush": False},
        )
        assert refused == ("ValidationException", "This feature is disabled")
    assert applied(ecr, repository) == [("SCAN_ON_PUSH", True, [])]


def test_every_change_of_a_frequency_is_told_once(server: Server, ecr: Any, repository: str) -> None:
    """However quickly one follows another."""
    for scan_type, frequency in (
        ("ENHANCED", "SCAN_ON_PUSH"),
        ("ENHANCED", "CONTINUOUS_SCAN"),
        ("BASIC", "SCAN_ON_PUSH"),
    ):
        ecr.put_registry_scanning_configuration(scanType=scan_type, rules=[rule(frequency, repository)])
    wait_until(lambda: not server.rows("SELECT 1 FROM job WHERE kind = 'apply-scanning'"), "the rules are applied")

    events = events_of(server, "ECR Scan Resource Change", repository)

    changes = [
        (item["previous-scan-frequency"], item["scan-frequency"])
        for event in events
        for item in event["detail"]["repositories"]
        if item["repository-name"] == repository
    ]
    assert sorted(changes) == [("MANUAL", "SCAN_ON_PUSH"), ("SCAN_ON_PUSH", "CONTINUOUS_SCAN")]
    detail = events[0]["detail"]
    assert (detail["action-type"], detail["resource-type"], detail["scan-type"]) == (
        "SCAN_FREQUENCY_CHANGE",
        "REPOSITORY",
        "ENHANCED",
    )


def test_many_repositories_are_asked_for_at_once(ecr: Any, unchecked: Any, repository: str) -> None:
    answer = ecr.batch_get_repository_scanning_configuration(repositoryNames=[repository, "not/there", repository])

    (found,) = answer["scanningConfigurations"]
    assert found == {
        "repositoryArn": arn_of(repository),
        "repositoryName": repository,
        "scanOnPush": False,
        "scanFrequency": "MANUAL",
        "appliedScanFilters": [],
    }
    assert answer["failures"] == [
        {
            "repositoryName": "not/there",
            "failureCode": "REPOSITORY_NOT_FOUND",
            "failureReason": repository_missing("not/there")[1],
        }
    ]
    for names in ([], [f"r{number}" for number in range(26)]):
        code, _ = error_of(unchecked.batch_get_repository_scanning_configuration, repositoryNames=names)
        assert code == "ValidationException"
