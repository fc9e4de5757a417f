"""The AWS SDK for JavaScript, version 3."""

import base64
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.every_operation import tell
from tests.e2e.shell import Shell
from tests.running import Server


@dataclass(frozen=True)
class Caller:
    """A process that calls operations with the SDK."""

    process: "subprocess.Popen[str]"

    def __call__(self, operation: str, **parameters: Any) -> Any:
        """An operation's answer; an AssertionError if it was refused."""
        answer = self.ask(operation, **parameters)
        assert "error" not in answer, answer
        return answer["result"]

    def ask(self, operation: str, **parameters: Any) -> Any:
        """``result`` or ``error``."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        for name, value in parameters.items():
            if isinstance(value, bytes):
                parameters[name] = {"base64": base64.b64encode(value).decode()}
        self.process.stdin.write(json.dumps({"operation": operation, "parameters": parameters}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


@pytest.fixture(scope="module")
def javascript(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    if shutil.which("npm") is None:
        pytest.skip("Node and npm are not installed")
    folder = tmp_path_factory.mktemp("javascript")
    (folder / "package.json").write_text('{"private": true, "type": "module"}')
    packages = ("@aws-sdk/client-ecr@3", "@aws-sdk/client-sts@3")
    Shell({}, folder).run("npm", "install", "--no-audit", "--no-fund", "--loglevel", "error", *packages)
    shutil.copy(Path(__file__).parent / "javascript_caller.mjs", folder / "caller.mjs")
    variables = {**server.environment(), "AWS_REGION": "ap-south-1", "AWS_DEFAULT_REGION": "ap-south-1"}
    command = ["node", "--no-warnings", "caller.mjs"]
    with subprocess.Popen(
        command, cwd=folder, env=variables, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        yield Caller(process)


def test_every_operation(javascript: Caller) -> None:
    tell(javascript, "told/by-javascript")


def test_errors_have_their_names_and_messages(javascript: Caller) -> None:
    assert javascript("GetCallerIdentity")["Account"] == "123456789012"
    assert javascript.ask("DescribeImages", repositoryName="not/there")["error"] == {
        "name": "RepositoryNotFoundException",
        "message": "The repository with name 'not/there' does not exist in the registry with id '123456789012'",
    }
