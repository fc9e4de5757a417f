"""A policy's text as ECR hands it back: every member on a line of its own, `` : `` between name and value.

Source: the answers of SetRepositoryPolicy in the service model's examples; lists stay on their line, as Jackson prints.
"""

import json
from typing import Any


def pretty(value: Any, indent: str = "") -> str:
    """JSON text with the members and items in the order that they have."""
    if isinstance(value, dict):
        if not value:
            return "{ }"
        inner = indent + "  "
        members = (f"{inner}{_text(name)} : {pretty(one, inner)}" for name, one in value.items())
        return "{\n" + ",\n".join(members) + f"\n{indent}}}"
    if isinstance(value, list):
        return f"[ {', '.join(pretty(one, indent) for one in value)} ]" if value else "[ ]"
    return _text(value)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
