"""The course, block by block, on one machine: unmodified AWS CLI and Docker, AWS's host names, TLS."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.course.conftest import BLOCKS
from tests.e2e.machine import REGION, REGISTRY, Machine
from tests.e2e.shell import TOOLS
from tests.running import openecr
from tests.waiting import wait_until

APP = """import json
from flask import Flask

app = Flask(__name__)


@app.route("/")
def index():
    return json.dumps({"message": "course", "version": "1.0.0"})


if __name__ == "__main__":
    print(app.test_client().get("/").get_data(as_text=True))
"""
DOCKERFILE = """FROM python:3.12-slim
LABEL version="1.0.0"
RUN pip install flask==3.0.0
COPY app.py /app/app.py
WORKDIR /app
EXPOSE 8080
CMD ["python", "app.py"]
"""


@pytest.fixture(scope="module")
def course(untrusting: Machine) -> Machine:
    """The machine without the CA cannot log in; then it trusts it, and has the base images."""
    said = untrusting.fail("env", *variables(), BLOCKS / "login.sh")
    assert "x509: certificate signed by unknown authority" in said
    untrusting.trust()
    assert "Login Succeeded" in untrusting.run("env", *variables(), BLOCKS / "login.sh")
    for kind in ("tiny", "python"):
        untrusting.run(TOOLS / "base-image.sh", kind)
    return untrusting


def variables(**more: str) -> list[str]:
    return [f"{name}={value}" for name, value in {"REGION": REGION, "REGISTRY": REGISTRY, **more}.items()]


def block(machine: Machine, script: str, *arguments: str, folder: Path | None = None, **more: str) -> str:
    """Run a block; everything it printed."""
    return machine.run("env", *variables(**more), BLOCKS / script, *arguments, folder=folder)


def aws(machine: Machine, *arguments: str) -> Any:
    """Run the AWS CLI; its answer."""
    printed = machine.run("aws", "ecr", *arguments, "--output", "json")
    return json.loads(printed) if printed.strip() else None


def write_app(folder: Path) -> None:
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / "app.py").write_text(APP)


def write_small(folder: Path, text: str) -> None:
    (folder / "Dockerfile").write_text("FROM busybox\nRUN echo made > /made\nCOPY text /text\nCMD cat /text\n")
    (folder / "text").write_text(text)


def test_create_build_push_and_the_immutable_tag(course: Machine, tmp_path: Path) -> None:
    name = "myapp/api"
    created = json.loads(block(course, "create.sh", name, "KMS"))["repository"]
    assert created["repositoryUri"] == f"{REGISTRY}/{name}"
    assert created["imageTagMutability"] == "IMMUTABLE"
    assert created["imageScanningConfiguration"] == {"scanOnPush": True}
    assert created["encryptionConfiguration"]["encryptionType"] == "KMS"

    write_small(tmp_path, "one")
    assert '"imageTags"' in block(course, "build-and-push.sh", name, "v1.3.0", folder=tmp_path)
    described = aws(course, "describe-images", "--repository-name", name, "--image-ids", "imageTag=v1.3.0")
    digest = described["imageDetails"][0]["imageDigest"]

    aws(course, "put-image-tag-mutability", "--repository-name", name, "--image-tag-mutability", "IMMUTABLE")
    sentence = (
        f"tag invalid: The image tag 'v1.3.0' already exists in the '{name}' repository "
        "and cannot be overwritten because the tag is immutable."
    )
    assert sentence in course.fail("docker", "push", f"{REGISTRY}/{name}:v1.3.0")
    write_small(tmp_path, "two")
    course.run("docker", "build", "-t", f"{REGISTRY}/{name}:v1.3.0", tmp_path)
    assert sentence in course.fail("docker", "push", f"{REGISTRY}/{name}:v1.3.0")

    course.run("docker", "rmi", f"{REGISTRY}/{name}:v1.3.0", f"{name}:v1.3.0")
    pulled = course.run("docker", "pull", f"{REGISTRY}/{name}:v1.3.0")
    assert f"Digest: {digest}" in pulled
    assert course.run("docker", "run", "--rm", f"{REGISTRY}/{name}:v1.3.0") == "one"


def test_the_pipeline_builds_on_the_cache_of_its_last_image(course: Machine, tmp_path: Path) -> None:
    name = "myapp/pipeline"
    aws(course, "create-repository", "--repository-name", name)
    write_small(tmp_path, "commit one")
    first = block(course, "ci.sh", name, folder=tmp_path, GIT_SHA="1111111", DOCKER_BUILDKIT="1")
    assert f"pushed {REGISTRY}/{name}:1111111" in first
    course.run("docker", "rmi", f"{REGISTRY}/{name}:1111111", f"{REGISTRY}/{name}:latest")
    course.run("docker", "builder", "prune", "--all", "--force")

    write_small(tmp_path, "commit two")
    second = block(course, "ci.sh", name, folder=tmp_path, GIT_SHA="2222222", DOCKER_BUILDKIT="1")
    assert "CACHED" in second, second
    details = aws(course, "describe-images", "--repository-name", name)["imageDetails"]
    assert sorted(sorted(detail["imageTags"]) for detail in details) == [["1111111"], ["2222222", "latest"]]


def test_the_exercise_thirteen_versions_and_the_clean_up(course: Machine, tmp_path: Path) -> None:
    name = "kubedojo/ecr-exercise"
    block(course, "create.sh", name, "AES256")
    question = "repositories[0].{Name:repositoryName,URI:repositoryUri,Scan:imageScanningConfiguration.scanOnPush,"
    question += "Mutability:imageTagMutability}"
    assert aws(course, "describe-repositories", "--repository-names", name, "--query", question) == {
        "Name": name,
        "URI": f"{REGISTRY}/{name}",
        "Scan": True,
        "Mutability": "IMMUTABLE",
    }

    write_app(tmp_path)
    block(course, "login.sh")
    block(course, "build-and-push.sh", name, "v1.0.0", folder=tmp_path)
    block(course, "versions.sh", name, folder=tmp_path)
    question = "sort_by(imageDetails, &imagePushedAt)[*].imageTags[0]"
    ordered = aws(course, "describe-images", "--repository-name", name, "--query", question)
    assert ordered == [f"v1.{number}.0" for number in range(13)]
    assert '"version": "1.12.0"' in course.run("docker", "run", "--rm", f"{REGISTRY}/{name}:v1.12.0")

    previewed = json.loads(block(course, "lifecycle.sh", name))
    assert previewed == [{"Tag": f"v1.{number}.0", "Action": "EXPIRE", "AppliedRule": 1} for number in range(3)]
    openecr("lifecycle", "run", name, "--data-dir", course.shell.variables["HOME"])
    wait_until(lambda: len(aws(course, "describe-images", "--repository-name", name)["imageDetails"]) == 10, "it ran")
    ordered = aws(course, "describe-images", "--repository-name", name, "--query", question)
    assert ordered == [f"v1.{number}.0" for number in range(3, 13)]

    block(course, "clean-up.sh", name)
    said = course.fail("aws", "ecr", "describe-repositories", "--repository-names", name)
    assert "RepositoryNotFoundException" in said
    assert f"The repository with name '{name}' does not exist in the registry with id '123456789012'" in said
    assert course.run("docker", "images", "-q", f"{REGISTRY}/{name}") == ""


def test_a_vpc_endpoint_for_ids_that_the_operator_declared(course: Machine) -> None:
    parts = ("--subnet", "subnet-11112222=10.77.1.0/24", "--subnet", "subnet-33334444=10.77.2.0/24")
    declared = ("vpc-12345678", "--cidr", "10.77.0.0/16", *parts, "--security-group", "sg-55556666")
    openecr("vpc", "declare", *declared, "--data-dir", str(course.ca.parents[1]))

    endpoint = json.loads(block(course, "vpc-endpoint.sh"))["VpcEndpoint"]

    assert endpoint["ServiceName"] == f"com.amazonaws.{REGION}.ecr.dkr"
    assert endpoint["SubnetIds"] == ["subnet-11112222", "subnet-33334444"]
    assert [group["GroupId"] for group in endpoint["Groups"]] == ["sg-55556666"]
    own, private = (entry["DnsName"] for entry in endpoint["DnsEntries"])
    assert own == f"{endpoint['VpcEndpointId']}.dkr.ecr.{REGION}.vpce.amazonaws.com"
    assert private == f"*.dkr.ecr.{REGION}.amazonaws.com"
