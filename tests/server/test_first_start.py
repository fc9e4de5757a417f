"""What the first start makes, and what the commands say about it."""

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError

from openecr.cli.environment import SERVED_SERVICES
from openecr.processes.lock import is_held
from tests.running import OTHER_ACCOUNT, Server, free_port, openecr, running
from tests.server.watching import server_json, wait_for


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("first"), "--workers", "1") as started:
        wait_for(lambda: server_json(started.data_dir), "the server leaves its address")
        yield started


def identity(server: Server, variables: dict[str, str]) -> dict[str, str]:
    client = boto3.client(
        "sts",
        region_name=variables["AWS_REGION"],
        endpoint_url=variables["AWS_ENDPOINT_URL_STS"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
    )
    found: dict[str, str] = client.get_caller_identity()
    return found


def test_key_that_env_prints_is_the_administrators(own_server: Server) -> None:
    found = identity(own_server, own_server.environment())
    assert found["Account"] == "123456789012"
    assert found["Arn"] == "arn:aws:iam::123456789012:user/administrator"
    assert re.fullmatch("AIDA[A-Z2-7]{17}", found["UserId"])


def test_env_names_the_services_served_and_no_other(own_server: Server) -> None:
    variables = own_server.environment()
    endpoints = {name for name in variables if name.startswith("AWS_ENDPOINT_URL")}
    assert endpoints == {f"AWS_ENDPOINT_URL_{service}" for service in ("EC2", "ECR", "IAM", "KMS", "STS")}
    assert variables["AWS_REGION"] == variables["AWS_DEFAULT_REGION"] == "us-east-1"
    assert re.fullmatch("AKIA[A-Z2-7]{16}", variables["AWS_ACCESS_KEY_ID"])
    assert len(variables["AWS_SECRET_ACCESS_KEY"]) == 40


def test_every_other_service_is_told_what_is_served(own_server: Server) -> None:
    with pytest.raises(ClientError) as refused:
        own_server.client("sqs").list_queues()
    assert "openecr does not serve the AWS service 'sqs'" in str(refused.value)
    assert f"it serves {', '.join(SERVED_SERVICES)}" in str(refused.value)


def test_evaluated_env_replaces_another_login(own_server: Server) -> None:
    script = (
        'export AWS_PROFILE=other AWS_SESSION_TOKEN=old AWS_SECURITY_TOKEN=old; eval "$("$0" -m openecr env '
        f"--data-dir '{own_server.data_dir}')\"; env"
    )
    printed = subprocess.run(["bash", "-ec", script, sys.executable], capture_output=True, text=True, check=True).stdout
    assert f"AWS_ENDPOINT_URL_ECR={own_server.url}" in printed
    assert not re.search("^(AWS_PROFILE|AWS_SESSION_TOKEN|AWS_SECURITY_TOKEN)=", printed, re.MULTILINE)


def test_env_without_a_server_prints_nothing_to_evaluate(tmp_path: Path) -> None:
    refused = openecr("env", "--data-dir", str(tmp_path), check=False, timeout=60)
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert "no server runs on the data directory" in refused.stderr


def test_address_left_by_a_killed_server_is_stale(tmp_path: Path) -> None:
    with running(tmp_path, "--workers", "1") as server:
        wait_for(lambda: server_json(tmp_path), "the server leaves its address")
        assert server.process is not None
        server.process.kill()
        server.process.wait()
        assert server_json(tmp_path) is not None
        wait_for(lambda: not is_held(tmp_path), "its children are gone, too")
        assert openecr("env", "--data-dir", str(tmp_path), check=False, timeout=60).returncode == 1


def test_account_is_made_beside_the_running_server(own_server: Server) -> None:
    made = openecr("account", "create", OTHER_ACCOUNT, "--data-dir", str(own_server.data_dir)).stdout
    variables = own_server.environment(OTHER_ACCOUNT)
    assert variables["AWS_ACCESS_KEY_ID"] in made
    assert variables["AWS_SECRET_ACCESS_KEY"] in made
    assert identity(own_server, variables)["Account"] == OTHER_ACCOUNT
    assert OTHER_ACCOUNT in openecr("account", "list", "--data-dir", str(own_server.data_dir)).stdout
    again = openecr("account", "create", OTHER_ACCOUNT, "--data-dir", str(own_server.data_dir), check=False)
    assert again.returncode == 2
    assert f"account {OTHER_ACCOUNT} exists" in again.stderr


def test_unknown_account_has_no_environment(own_server: Server) -> None:
    refused = openecr("env", "--data-dir", str(own_server.data_dir), "--account", "111122223333", check=False)
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert "openecr account create 111122223333" in refused.stderr


def test_profile_is_usable_by_the_sdk(own_server: Server, tmp_path: Path) -> None:
    files = {
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
    }
    openecr("env", "--data-dir", str(own_server.data_dir), "--profile", "local", env={**os.environ, **files})
    code = "import boto3; print(boto3.Session(profile_name='local').client('sts').get_caller_identity()['Account'])"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    told = subprocess.run([sys.executable, "-c", code], env=clean | files, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "123456789012"


def test_old_aws_cli_is_warned_of(own_server: Server, tmp_path: Path) -> None:
    fake = tmp_path / "aws"
    fake.write_text("#!/bin/sh\necho aws-cli/2.9.19 Python/3.11.2\n")
    fake.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    told = openecr("env", "--data-dir", str(own_server.data_dir), env={**os.environ, "PATH": path})
    assert f"{fake} is AWS CLI 2.9, too old" in told.stderr
    assert "export AWS_ENDPOINT_URL_ECR" in told.stdout


def test_status_says_what_runs(own_server: Server) -> None:
    told = json.loads(openecr("status", "--json", "--data-dir", str(own_server.data_dir)).stdout)
    assert told["running"] is True
    assert told["url"] == own_server.url
    assert len(told["pids"]) == 3
    printed = openecr("status", "--data-dir", str(own_server.data_dir)).stdout
    assert own_server.url in printed


def test_stolen_database_reveals_no_secret(own_server: Server) -> None:
    secret = own_server.environment()["AWS_SECRET_ACCESS_KEY"]
    with sqlite3.connect(f"file:{own_server.data_dir}/openecr.db?mode=ro", uri=True) as stolen:
        dump = "\n".join(stolen.iterdump())
    for form in (secret, secret.encode().hex(), secret.encode().hex().upper()):
        assert form not in dump


def test_log_carries_request_ids_and_no_secret(own_server: Server) -> None:
    variables = own_server.environment()
    identity(own_server, variables)
    wait_for(lambda: '"path":"/"' in own_server.log(), "the request is logged")
    log = own_server.log()
    assert variables["AWS_SECRET_ACCESS_KEY"] not in log
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert all(line["request_id"] for line in lines if line["event"] == "request")


@pytest.mark.parametrize(
    ("flag", "value", "told"),
    [
        ("--domain", "http://ecr.test", "is no domain name"),
        ("--region", "mars", "is no region's name"),
        ("--port", "0", "is not a TCP port"),
        ("--host", "192.0.2.1", "is no address of this machine"),
        ("--log-format", "xml", "json or text"),
        ("--colour", "blue", "No such option"),
    ],
)
def test_flag_that_cannot_work_is_one_sentence(tmp_path: Path, flag: str, value: str, told: str) -> None:
    refused = openecr("serve", "--data-dir", str(tmp_path), flag, value, check=False, timeout=60)
    assert refused.returncode == 2
    assert told in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_lost_root_key_is_not_replaced_in_silence(tmp_path: Path) -> None:
    with running(tmp_path, "--workers", "1"):
        pass
    (tmp_path / "root.key").unlink()
    refused = openecr("serve", "--data-dir", str(tmp_path), "--port", str(free_port()), check=False, timeout=60)
    assert refused.returncode == 1
    assert "there is no root key" in refused.stderr
    assert not (tmp_path / "root.key").exists()


def test_keys_hold_across_a_restart(tmp_path: Path) -> None:
    with running(tmp_path, "--workers", "1") as server:
        wait_for(lambda: server_json(tmp_path), "the server leaves its address")
        before = server.environment()
        server.stop()
        server.start()
        wait_for(lambda: server_json(tmp_path), "the server leaves its address")
        assert server.environment() == before
        assert identity(server, before)["Account"] == "123456789012"
