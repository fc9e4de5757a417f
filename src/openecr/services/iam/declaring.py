"""How an operation of IAM is declared."""

from collections.abc import Callable
from typing import Any

from openecr.call import Located, Operation, operation


def iam_operation(name: str, *, writes: bool, located: Located) -> Callable[[Callable[..., dict[str, Any]]], Operation]:
    """An operation whose IAM action has its name, on the resources that ``located`` finds."""
    return operation(name, writes=writes, action=f"iam:{name}", located=located)
