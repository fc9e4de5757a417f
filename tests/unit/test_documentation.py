"""What the documentation says is true of the code, and what the code has is in the documentation."""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer.main
from tests import side_by_side

from openecr.aws import model
from openecr.cli.application import app
from openecr.settings import Settings

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
CLIENTS = ["docker", "podman", "skopeo", "ctr", "nerdctl", "buildx", "helm", "oras", "crane", "kind"]


def page(name: str) -> str:
    return (ROOT / name).read_text()


def code_of(text: str) -> Iterator[str]:
    """Lines in code blocks, fenced or indented, and inline code."""
    fenced = re.compile(r"^ *```\w*\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
    for block in fenced.findall(text):
        yield from block.splitlines()
    rest = fenced.sub("", text)
    yield from re.findall(r"^    (\S.*)$", rest, re.MULTILINE)
    yield from re.findall(r"`([^`\n]+)`", rest)


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_reference", ROOT / "docs" / "generate_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_is_fresh(reference: ModuleType) -> None:
    stale = [path.name for path, text in reference.pages().items() if not path.exists() or path.read_text() != text]

    assert stale == [], "run: make docs"


@pytest.mark.parametrize("service", model.SERVICES)
def test_every_operation_is_in_the_reference_once(service: str, reference: ModuleType) -> None:
    section = reference.operations_page().partition(f"## {service}:")[2].partition("\n## ")[0]

    told = re.findall(r"^\| `(\w+)`|`(\w+)`[,.]", section, re.MULTILINE)

    named = sorted(left or right for left, right in told)
    if service in model.LOADED_LATE:
        assert named == sorted(reference.BUILT[service])
    else:
        assert named == sorted(model.load(service).operations)


def test_every_setting_is_in_the_reference(reference: ModuleType) -> None:
    told = re.findall(r"^\| `([a-z_]+)` \|", reference.settings_page(), re.MULTILINE)

    assert told == [item.name for item in fields(Settings)]


def test_every_option_of_every_command_is_explained(reference: ModuleType) -> None:
    for path, command in every_command():
        assert command.help, path
        for parameter in command.params:
            assert getattr(parameter, "help", None), f"{path} {parameter.name}"
        assert f"## {path}\n" in reference.commands_page()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text()):
        if not target.startswith(("http://", "https://")):
            assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_that_pages_tell_exist_with_these_options(path: Path) -> None:
    commands = dict(every_command())
    for line in code_of(path.read_text()):
        for told in re.findall(r"(?<![\w./-])(?:\.venv/bin/)?(openecr [a-z]+[^|;)`]*)", line.partition(" #")[0]):
            words = shlex.split(told.replace('"', " ").replace("'", " "))
            name = next((" ".join(words[:n]) for n in (3, 2) if " ".join(words[:n]) in commands), None)
            if name is None:
                assert words[1] == "openecr", told  # `docker compose exec openecr openecr env`
                continue
            options = {option for parameter in commands[name].params for option in parameter.opts}
            assert {word.partition("=")[0] for word in words if word.startswith("--")} <= options, told


def test_make_targets_that_pages_tell_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", page("Makefile"), re.MULTILINE))
    for path in PAGES:
        told = {found for line in code_of(path.read_text()) for found in re.findall(r"^make ([a-z]+)", line)}
        assert told <= targets, path


def test_the_readme_tells_what_each_client_needs() -> None:
    section = page("README.md").partition("plain `localhost:5050`")[2].partition("\n## ")[0]
    first_cells = " ".join(re.findall(r"^\| ([^|]+)\|", section, re.MULTILINE))

    assert [client for client in CLIENTS if client not in first_cells] == []


def test_settings_in_readme_are_settings() -> None:
    told = set(re.findall(r"OPENECR_([A-Z_]+[A-Z])", page("README.md")))

    assert told - {"ROOT_KEY_HEX"} <= {item.name.upper() for item in fields(Settings)}


def test_every_decision_is_in_the_index_with_context_options_and_outcome() -> None:
    index = page("docs/decisions/README.md")
    for path in sorted((ROOT / "docs" / "decisions").glob("0*.md")):
        assert f"]({path.name})" in index
        if "dependencies" not in path.name:
            assert [word for word in ("Context", "Options", "Outcome") if f"**{word}.**" not in path.read_text()] == []


def test_every_dependency_is_explained_and_pinned() -> None:
    project = tomllib.loads(page("pyproject.toml"))["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["dev"]
    names = [re.split(r"[^\w-]", text)[0] for text in wanted]
    decision = page("docs/decisions/0006-dependencies.md")
    lock = page("requirements.lock")

    assert [name for name in names if name not in decision] == []
    assert [name for name in names if not re.search(rf"^{name}==", lock, re.MULTILINE | re.IGNORECASE)] == []


def test_the_lock_names_versions_and_no_place() -> None:
    lines = [line for line in page("requirements.lock").splitlines() if not line.startswith("#")]

    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []


def test_every_suite_is_run_and_unit_tests_begin() -> None:
    run = side_by_side.suites()

    suites = {path.relative_to(ROOT / "tests").parts[0] for path in (ROOT / "tests").rglob("test_*.py")}
    assert sorted(run) == sorted(suites)
    assert run[0] == "unit"
    printed = subprocess.run(["make", "-n", "test"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "python -m tests.side_by_side" in printed


@pytest.mark.parametrize(
    ("about", "where"),
    [
        ("Docker Desktop/docker-desktop", "Docker Desktop"),
        ("Ubuntu 24.04 LTS/colima", "Colima"),
        ("Ubuntu 24.04 LTS/colima-work", "Colima"),
        ("OrbStack/orbstack", "OrbStack"),
        ("Rancher Desktop WSL Distribution/rancher", "Rancher Desktop"),
        ("Alpine Linux v3.20/lima-rancher-desktop", "Rancher Desktop"),
        ("Ubuntu 24.04 LTS/lima-docker", "Lima"),
    ],
)
def test_a_daemon_in_a_virtual_machine_gets_the_container_path(tmp_path: Path, about: str, where: str) -> None:
    printed = run_script(tmp_path, about)

    assert where in printed
    assert "docker compose up" in printed
    assert "served" not in printed


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere Docker's daemon is always in a virtual machine")
@pytest.mark.parametrize("about", ["Debian GNU/Linux 12 (bookworm)/worker-7", "Ubuntu 24.04 LTS/laptop", ""])
def test_a_daemon_of_this_machine_or_none_is_served_here(tmp_path: Path, about: str) -> None:
    printed = run_script(tmp_path, about, "--data-dir", "/srv/ecr")

    assert "served serve --data-dir /srv/ecr" in printed
    assert f"eval \"$({tmp_path}/openecr env --data-dir '/srv/ecr')\"" in printed


def test_a_daemon_on_another_host_gets_the_container_path(tmp_path: Path) -> None:
    assert "docker compose up" in run_script(tmp_path, "Ubuntu/there", DOCKER_HOST="ssh://me@there")


def test_run_here_serves_whatever_docker_says(tmp_path: Path) -> None:
    assert "served serve" in run_script(tmp_path, "Docker Desktop/docker-desktop", RUN_HERE="1")


def test_a_python_that_is_too_old_is_told_with_the_remedy(tmp_path: Path) -> None:
    old = script(tmp_path / "python3.9", 'case "$2" in *exit*) exit 1;; *) echo 3.9;; esac')

    ended = subprocess.run(
        [ROOT / "deploy" / "require-python.sh", old], capture_output=True, text=True, check=False, timeout=60
    )

    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "is Python 3.9, which is too old; install Python 3.11 or newer" in ended.stderr


def run_script(folder: Path, about: str, *flags: str, **environment: str) -> str:
    """What `make run` prints after the installation, with a Docker that says this of itself; nothing means none."""
    script(folder / "docker", f'case "$1" in info) [ -n "{about}" ] && echo "{about}";; *) exit 1;; esac')
    openecr = script(folder / "openecr", 'echo "served $*"')
    kept = {name: value for name, value in os.environ.items() if name not in ("DOCKER_HOST", "RUN_HERE")}
    ended = subprocess.run(
        [ROOT / "deploy" / "run.sh", openecr, *flags],
        env={**kept, "PATH": f"{folder}:{os.environ['PATH']}", **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return ended.stdout


def script(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def every_command() -> Iterator[tuple[str, Any]]:
    yield from _below("openecr", typer.main.get_command(app))


def _below(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    children = getattr(command, "commands", None)
    if children is None:
        yield path, command
        return
    for name, child in children.items():
        yield from _below(f"{path} {name}", child)
