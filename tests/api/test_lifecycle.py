"""Lifecycle policies as clients see them: stored, previewed, run by the job process, and explained to operators."""

import json
import re
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from openecr.db import jobs
from openecr.db.connection import Connection
from openecr.jobs.queue import DEFAULT_QUEUE
from openecr.services.ecr.lifecycle import expiry
from tests.api.support import ABSENT_DIGEST, ACCOUNT, error_of, members_of, push, push_manifest, repository_missing
from tests.places import ON_DATABASES
from tests.registry_client import OCI_INDEX, RegistryClient, image_index
from tests.running import Server, openecr
from tests.waiting import wait_until

pytestmark = ON_DATABASES
DAY_US = 86_400 * 1_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rule(priority: int, status: str, count: str, number: int, action: str = "expire", **more: Any) -> dict[str, Any]:
    selection = {"tagStatus": status, "countType": count, "countNumber": number, **more}
    if count != "imageCountMoreThan":
        selection["countUnit"] = "days"
    target = {"targetStorageClass": "archive"} if action == "transition" else {}
    return {"rulePriority": priority, "selection": selection, "action": {"type": action, **target}}


COURSE = (
    rule(1, "tagged", "imageCountMoreThan", 10, tagPrefixList=["v"]),
    rule(2, "untagged", "sinceImagePushed", 1),
)
UNTAGGED = rule(1, "untagged", "sinceImagePushed", 1)


def text_of(*rules: dict[str, Any]) -> str:
    return json.dumps({"rules": rules})


def refused(why: str) -> tuple[str, str]:
    return (
        "InvalidParameterException",
        (
            "Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: "
            f"'Lifecycle policy validation failure: {why}"
        ),
    )


def no_policy(name: str) -> tuple[str, str]:
    return (
        "LifecyclePolicyNotFoundException",
        f"Lifecycle policy does not exist for the repository with name '{name}' in the registry with id '{ACCOUNT}'",
    )


def age(server: Server, digest: str, days: float) -> None:
    """Let an image have been pushed that long ago."""
    pushed_us = time.time_ns() // 1000 - int(days * DAY_US)
    stored = bytes([1]) + bytes.fromhex(digest.partition(":")[2])
    assert server.execute("UPDATE image SET pushed_us = :us WHERE digest = :digest", us=pushed_us, digest=stored)


def key_of(server: Server, name: str) -> int:
    return int(server.rows("SELECT id FROM repository WHERE name = :name", name=name)[0][0])


def run(server: Server, ecr: Any, name: str) -> None:
    """Make the policy's run due, as ``openecr lifecycle run`` does, and wait for its end."""
    before = ecr.get_lifecycle_policy(repositoryName=name)["lastEvaluatedAt"]
    key = key_of(server, name)
    server.write(lambda db: expiry.owe(db, key, 0))
    wait_until(lambda: ecr.get_lifecycle_policy(repositoryName=name)["lastEvaluatedAt"] > before, "the policy ran")


def preview(ecr: Any, name: str, **more: Any) -> dict[str, Any]:
    """Make a preview and wait for it."""
    started = members_of(ecr.start_lifecycle_policy_preview(repositoryName=name, **more))
    assert (started["registryId"], started["repositoryName"], started["status"]) == (ACCOUNT, name, "IN_PROGRESS")

    def finished() -> dict[str, Any] | None:
        found = members_of(ecr.get_lifecycle_policy_preview(repositoryName=name))
        if found["status"] == "IN_PROGRESS":
            assert found["previewResults"] == []
            assert found["summary"] == {"expiringImageTotalCount": 0}
            return None
        return found

    return wait_until(finished, "the preview is complete")


def digests(ecr: Any, name: str) -> set[str]:
    return {item["imageDigest"] for item in ecr.list_images(repositoryName=name, maxResults=1000)["imageIds"]}


def test_a_policy_is_stored_as_it_was_put(ecr: Any, repository: str) -> None:
    text = f'{{\n "rules":[ {json.dumps(UNTAGGED)} ]  }}\n'
    assert error_of(ecr.get_lifecycle_policy, repositoryName=repository) == no_policy(repository)
    assert error_of(ecr.delete_lifecycle_policy, repositoryName=repository) == no_policy(repository)
    assert error_of(ecr.start_lifecycle_policy_preview, repositoryName=repository) == no_policy(repository)

    put = members_of(ecr.put_lifecycle_policy(repositoryName=repository, lifecyclePolicyText=text))
    assert put == {"registryId": ACCOUNT, "repositoryName": repository, "lifecyclePolicyText": text}
    stored = members_of(ecr.get_lifecycle_policy(repositoryName=repository))
    assert stored == put | {"lastEvaluatedAt": EPOCH}
    other = text_of(*COURSE)
    ecr.put_lifecycle_policy(repositoryName=repository, lifecyclePolicyText=other)
    assert members_of(ecr.delete_lifecycle_policy(repositoryName=repository)) == put | {
        "lifecyclePolicyText": other,
        "lastEvaluatedAt": EPOCH,
    }
    assert error_of(ecr.get_lifecycle_policy, repositoryName=repository) == no_policy(repository)


def test_what_is_refused_is_not_stored(ecr: Any, unchecked: Any, repository: str) -> None:
    put = ecr.put_lifecycle_policy
    padding = " " * 100
    assert error_of(put, repositoryName=repository, lifecyclePolicyText="x" + padding) == refused(
        "Could not map policyString into LifecyclePolicy.'"
    )
    bad = text_of(rule(1, "untagged", "sinceImagePushed", 0))
    minimum = "numeric instance is lower than the required minimum (minimum: 1, found: 0)"
    assert error_of(put, repositoryName=repository, lifecyclePolicyText=bad) == refused(minimum)
    assert error_of(ecr.start_lifecycle_policy_preview, repositoryName=repository, lifecyclePolicyText=bad) == refused(
        minimum
    )
    assert error_of(unchecked.put_lifecycle_policy, repositoryName=repository, lifecyclePolicyText="{}") == (
        "InvalidParameterException",
        (
            "Invalid parameter at 'lifecyclePolicyText' failed to satisfy constraint: "
            "'must have length greater than or equal to 100'"
        ),
    )
    assert error_of(put, repositoryName="not/there", lifecyclePolicyText=bad) == repository_missing("not/there")
    assert error_of(ecr.get_lifecycle_policy, repositoryName=repository) == no_policy(repository)


def test_the_first_run_waits_for_the_delay_and_a_new_policy_begins_it_again(
    server: Server, ecr: Any, repository: str
) -> None:
    key = key_of(server, repository)

    def due_seconds() -> float:
        def read(db: Connection) -> float:
            due_us = jobs.due_us_of(db, DEFAULT_QUEUE, expiry.job_key(key))
            assert due_us is not None
            return (due_us - db.clock_us()) / 1_000_000

        return server.write(read)

    ecr.put_lifecycle_policy(repositoryName=repository, lifecyclePolicyText=text_of(UNTAGGED))
    assert 3500 < due_seconds() <= 3600
    server.write(lambda db: expiry.owe(db, key, 60 * 1_000_000))
    assert due_seconds() <= 60
    ecr.put_lifecycle_policy(repositoryName=repository, lifecyclePolicyText=text_of(*COURSE))
    assert 3500 < due_seconds() <= 3600


def test_thirteen_versions_the_ten_newest_stay_as_the_preview_showed(
    server: Server, ecr: Any, docker: RegistryClient, repository: str
) -> None:
    pushed = [push(docker, repository, f"v1.{number}.0", f"v1.{number}.0") for number in range(13)]
    for number, image in enumerate(pushed):
        age(server, image.digest, 13 - number)
    push_manifest(docker, repository, pushed[1].manifest, "latest")
    ecr.put_lifecycle_policy(repositoryName=repository, lifecyclePolicyText=text_of(*COURSE))

    shown = preview(ecr, repository)

    assert shown["status"] == "COMPLETE"
    assert shown["summary"] == {"expiringImageTotalCount": 3}
    results = shown["previewResults"]
    assert [item["imageDigest"] for item in results] == [image.digest for image in pushed[:3]]
    assert [item["imageTags"] for item in results] == [["v1.0.0"], ["latest", "v1.1.0"], ["v1.2.0"]]
    assert {json.dumps(item["action"]) for item in results} == {'{"type": "EXPIRE"}'}
    assert {(item["appliedRulePriority"], item["storageClass"]) for item in results} == {(1, "STANDARD")}
    assert len(digests(ecr, repository)) == 13

    run(server, ecr, repository)

    assert digests(ecr, repository) == {image.digest for image in pushed[3:]}
    assert docker.request("GET", f"/v2/{repository}/manifests/latest").status == 404
    done = server.command("undelete", f"{repository}:latest").stdout
    assert f"image {pushed[1].digest} is back" in done
    assert docker.request("GET", f"/v2/{repository}/manifests/v1.1.0").body == pushed[1].manifest


def test_an_index_goes_with_its_members_and_signatures_and_protects_tagged_members(
    server: Server, ecr: Any, docker: RegistryClient, repository: str
) -> None:
    policy = text_of(
        rule(1, "tagged", "imageCountMoreThan", 1, tagPatternList=["v*"]),
        rule(2, "tagged", "sinceImagePushed", 1, tagPatternList=["arm*"]),
        rule(3, "untagged", "imageCountMoreThan", 1),
    )
    digest_by_name = {}
    for version, days in (("v1", 3), ("v2", 2)):
        members = [push(docker, repository, f"{version} {platform}") for platform in ("amd64", "arm64")]
        tags = ("arm-v2",) if version == "v2" else ()
        push_manifest(docker, repository, members[1].manifest, *tags)
        index = image_index(*[member.manifest for member in members])
        digest_by_name[version] = push_manifest(docker, repository, index, version, media_type=OCI_INDEX)
        subject = {"mediaType": OCI_INDEX, "digest": digest_by_name[version], "size": len(index)}
        signature = push(docker, repository, f"{version} signature", subject=subject)
        for digest in (*[member.digest for member in members], digest_by_name[version], signature.digest):
            age(server, digest, days)
    ecr.put_lifecycle_policy(repositoryName=repository, lifecyclePolicyText=policy)
    before = digests(ecr, repository)

    shown = {item["imageDigest"] for item in preview(ecr, repository)["previewResults"]}
    run(server, ecr, repository)

    left = digests(ecr, repository)
    assert before - left == shown
    assert (len(before), len(left)) == (8, 4)
    assert docker.request("GET", f"/v2/{repository}/manifests/v2").status == 200
    assert docker.request("GET", f"/v2/{repository}/manifests/v1").status == 404
    explained = json.loads(server.command("lifecycle", "explain", repository, "--json").stdout)
    words = sorted(re.sub("sha256:.*", "", item["verdict"]) for item in explained["images"])
    assert words == [
        "kept: claimed by rule 1, newest 1 of 'v*', position 1",
        "kept: part of an index that stays",
        "kept: rule 2 selects it, but an index that stays names it",
        "kept: what it refers to, or an index that names it, stays",
    ]


def test_members_that_had_the_tag_of_their_index_in_passing_are_part_of_it(
    server: Server, ecr: Any, docker: RegistryClient, repository: str
) -> None:
    """containerd pushes the members of an index under the index's tag, one after another, and the index last."""
    passing = [push(docker, repository, f"passing {number}", "v1") for number in range(2)]
    older = push(docker, repository, "older", "v1")
    age(server, older.digest, 0.5)
    index = image_index(*[item.manifest for item in (*passing, older)])
    push_manifest(docker, repository, index, "v1", media_type=OCI_INDEX)
    push(docker, repository, "next", "v2")

    policy = text_of(rule(1, "tagged", "imageCountMoreThan", 1, tagPatternList=["v*"]))
    ecr.put_lifecycle_policy(repositoryName=repository, lifecyclePolicyText=policy)
    run(server, ecr, repository)

    # What was tagged by itself, half a day before, has a use of its own.
    assert len(digests(ecr, repository)) == 2
    assert older.digest in digests(ecr, repository)


def test_a_preview_is_read_in_pages_by_filter_and_by_image(
    server: Server, ecr: Any, docker: RegistryClient, repository: str
) -> None:
    policy = text_of(rule(7, "any", "sinceImagePushed", 1))
    tagged = [push(docker, repository, f"tagged {number}", f"t{number}") for number in range(3)]
    untagged = [push(docker, repository, f"untagged {number}") for number in range(2)]
    young = push(docker, repository, "young", "young")
    for number, image in enumerate((*tagged, *untagged)):
        age(server, image.digest, 9 - number)
    every = [image.digest for image in (*tagged, *untagged)]
    get = ecr.get_lifecycle_policy_preview
    assert error_of(get, repositoryName=repository) == (
        "LifecyclePolicyPreviewNotFoundException",
        (
            f"Lifecycle policy preview does not exist for the repository with name '{repository}' in the registry "
            f"with id '{ACCOUNT}'"
        ),
    )

    shown = preview(ecr, repository, lifecyclePolicyText=policy)

    assert shown["lifecyclePolicyText"] == policy
    assert [item["imageDigest"] for item in shown["previewResults"]] == every
    paged: list[str] = []
    token: dict[str, str] = {}
    for size in (2, 2, 1):
        answer = get(repositoryName=repository, maxResults=2, **token)
        assert len(answer["previewResults"]) == size
        assert answer["summary"] == {"expiringImageTotalCount": 5}
        paged += [item["imageDigest"] for item in answer["previewResults"]]
        token = {"nextToken": answer.get("nextToken", "")}
    assert (paged, token) == (every, {"nextToken": ""})
    for status, wanted in (("TAGGED", every[:3]), ("UNTAGGED", every[3:]), ("ANY", every)):
        answer = get(repositoryName=repository, filter={"tagStatus": status})
        assert [item["imageDigest"] for item in answer["previewResults"]] == wanted
    asked = [
        {"imageTag": "t1"},
        {"imageDigest": every[4]},
        {"imageDigest": young.digest},
        {"imageDigest": ABSENT_DIGEST},
    ]
    answer = get(repositoryName=repository, imageIds=asked)
    assert [item["imageDigest"] for item in answer["previewResults"]] == [every[1], every[4]]
    assert error_of(get, repositoryName=repository, imageIds=asked, maxResults=2) == (
        "InvalidParameterException",
        "Invalid parameter: 'imageIds' cannot be used together with 'nextToken' or 'maxResults'",
    )
    assert digests(ecr, repository) == {*every, young.digest}


def test_a_preview_is_one_at_a_time_ends_with_its_job_and_grows_old(server: Server, ecr: Any, repository: str) -> None:
    policy = text_of(UNTAGGED)
    assert preview(ecr, repository, lifecyclePolicyText=policy)["status"] == "COMPLETE"
    key = key_of(server, repository)
    unfinished = "UPDATE lifecycle_preview SET finished_us = NULL WHERE repository_key = :key"
    server.execute(unfinished, key=key)
    status = ecr.get_lifecycle_policy_preview(repositoryName=repository)["status"]
    assert status == "FAILED", "nothing is at it"

    job = "INSERT INTO job (queue, kind, args, dedup, state, due_us, attempt, max_attempts, created_us)"
    server.execute(f"{job} VALUES ('default', 'x', '{{}}', :dedup, 'ready', :us, 0, 5, 1)",
                   dedup=f"preview-lifecycle:{key}", us=2**60)  # fmt: skip
    assert error_of(ecr.start_lifecycle_policy_preview, repositoryName=repository, lifecyclePolicyText=policy) == (
        "LifecyclePolicyPreviewInProgressException",
        (
            f"The previous lifecycle policy preview request for the repository with name '{repository}' in the "
            f"registry with id '{ACCOUNT}' has not completed. Wait and try again."
        ),
    )
    server.execute("DELETE FROM job WHERE dedup = :dedup", dedup=f"preview-lifecycle:{key}")
    finished = "UPDATE lifecycle_preview SET finished_us = :us WHERE repository_key = :key"
    server.execute(finished, us=time.time_ns() // 1000 - 25 * 3600 * 1_000_000, key=key)
    assert ecr.get_lifecycle_policy_preview(repositoryName=repository)["status"] == "EXPIRED"
    assert preview(ecr, repository, lifecyclePolicyText=policy)["status"] == "COMPLETE"


def test_what_was_not_pulled_for_long_is_archived_as_the_preview_showed(
    server: Server, ecr: Any, docker: RegistryClient, repository: str
) -> None:
    image = push(docker, repository, f"{repository} old", "old")
    young = push(docker, repository, f"{repository} young", "young")
    age(server, image.digest, 40)
    policy = text_of(rule(1, "any", "sinceImagePulled", 30, "transition"))
    ecr.put_lifecycle_policy(repositoryName=repository, lifecyclePolicyText=policy)
    shown = preview(ecr, repository)

    assert shown["summary"] == {
        "expiringImageTotalCount": 0,
        "transitioningImageTotalCounts": [{"targetStorageClass": "ARCHIVE", "imageTotalCount": 1}],
    }
    (result,) = shown["previewResults"]
    assert result["action"] == {"type": "TRANSITION", "targetStorageClass": "ARCHIVE"}
    run(server, ecr, repository)
    assert digests(ecr, repository) == {young.digest}
    (archived,) = ecr.describe_images(repositoryName=repository, imageIds=[{"imageTag": "old"}])["imageDetails"]
    assert archived["imageStatus"] == "ARCHIVED"
    assert docker.request("GET", f"/v2/{repository}/manifests/old").status == 404


def test_the_operator_runs_lists_and_is_told_of_the_brake(
    server: Server, ecr: Any, docker: RegistryClient, repository: str
) -> None:
    missing = server.command("lifecycle", "explain", repository, check=False)
    assert (missing.returncode, "has no lifecycle policy" in missing.stderr) == (1, True)
    image = push(docker, repository, "loose")
    age(server, image.digest, 2)
    ecr.put_lifecycle_policy(repositoryName=repository, lifecyclePolicyText=text_of(UNTAGGED))
    stopped = "UPDATE lifecycle_policy SET stopped_us = 1, stopped_why = 'too many' WHERE repository_key = :key"
    server.execute(stopped, key=key_of(server, repository))

    listed = json.loads(server.command("lifecycle", "list", "--json").stdout)
    (found,) = [item for item in listed if item["repository"] == repository]
    assert (found["state"], found["stopped"], found["lastEvaluatedAt"]) == ("stopped", "too many", None)
    assert f"{repository} is stopped: too many" in server.command("lifecycle", "list").stdout

    said = server.command("lifecycle", "run", repository, "--past-brake").stdout
    assert said == f"the lifecycle policy of {repository} is due now\n"
    wait_until(lambda: digests(ecr, repository) == set(), "the image expired")


def test_simulate_says_what_would_be_freed_who_pulled_and_what_is_probably_not_meant(
    server: Server, ecr: Any, docker: RegistryClient, repository: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shared, own = (f"{repository} {kind}".encode().ljust(size) for kind, size in (("shared", 5000), ("own", 3000)))
    old = push(docker, repository, f"{repository} old", "feature-1", layers=(shared, own))
    push(docker, repository, f"{repository} new", "feature-2", layers=(shared,))
    pulled_us = time.time_ns() // 1000
    server.execute("UPDATE image SET pulled_us = :us", us=pulled_us)
    policy = tmp_path_factory.mktemp("policy") / "policy.json"
    policy.write_text(
        text_of(
            rule(1, "tagged", "imageCountMoreThan", 1, tagPrefixList=["feature-"]),
            rule(2, "tagged", "imageCountMoreThan", 5, tagPrefixList=["fix-", "dev-"]),
            rule(3, "any", "sinceImagePushed", 20),
        )
    )
    age(server, old.digest, 1)

    simulated = server.command("lifecycle", "simulate", repository, "--policy", str(policy), "--at", "+30d", "--json")

    found = json.loads(simulated.stdout)
    assert (found["total"], found["expiring"]) == (2, 1)
    assert found["freedBytes"] == 3000 + len(old.config)
    assert [item["verdict"] for item in found["images"]] == [
        "expires now by rule 1: position 2 of 'feature-*', the newest 1 stays",
        "kept: claimed by rule 1, newest 1 of 'feature-*', position 1",
    ]
    assert [item["pulledLately"] for item in found["images"]] == [True, False]
    assert [(hint["code"], hint["rule"], len(hint["offer"])) for hint in found["warnings"]] == [
        ("several-tags", 2, 2),
        ("claims-nothing-now", 2, 0),
        ("claims-nothing-now", 3, 0),
    ]
    told = server.command("lifecycle", "simulate", repository, "--policy", str(policy)).stdout
    assert "1 of 2 images expire, and free" in told
    assert f"pulled in the last 30 days, and goes: {old.digest} feature-1" in told
    assert digests(ecr, repository) >= {old.digest}

    recorded = policy.with_name("recorded.json")
    recorded.write_text(server.command("lifecycle", "record", repository).stdout)
    again = openecr(
        "lifecycle", "simulate", "--recorded", str(recorded), "--policy", str(policy), "--at", "+30d", "--json"
    )
    assert {**json.loads(again.stdout), "at": None} == {**found, "at": None}
