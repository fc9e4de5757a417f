"""The credential helpers for tests: as a module, and as the programs that Docker and the kubelet start."""

import importlib.machinery
import importlib.util
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

CLIENTS = Path(__file__).parents[1] / "clients"
DOCKER_HELPER = CLIENTS / "docker-credential-openecr"
KUBELET_PROVIDER = CLIENTS / "openecr-credential-provider"


@cache
def helper() -> Any:
    """The program as a module."""
    loader = importlib.machinery.SourceFileLoader("docker_credential_openecr", str(DOCKER_HELPER))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[loader.name] = module
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    try:
        loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = before
    return module


def run(program: Path, *arguments: str, stdin: str, variables: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a program with these variables alone, isolated from what is installed: it needs the standard library only."""
    return subprocess.run(
        [sys.executable, "-I", "-S", str(program), *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", **variables},
        timeout=60,
    )
