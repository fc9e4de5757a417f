"""Whether a role's trust policy lets a service have it."""

import json

_ASSUME = frozenset(("sts:AssumeRole", "sts:*", "*"))


def trusts(trust_policy: str | None, service: str) -> bool:
    """Whether a trust policy allows ``sts:AssumeRole`` to a service without more conditions; a policy that also denies
    anything, or says it in another way than with ``Principal`` and ``Action``, is taken for one that does not."""
    if trust_policy is None:
        return False
    statements = _listed(json.loads(trust_policy).get("Statement", []))
    if any(statement.get("Effect") != "Allow" for statement in statements):
        return False
    return any(
        not _ASSUME.isdisjoint(_listed(statement.get("Action")))
        and isinstance(statement.get("Principal"), dict)
        and service in _listed(statement["Principal"].get("Service"))
        and not statement.get("Condition")
        for statement in statements
    )


def _listed(value: object) -> list:  # type: ignore[type-arg]
    return value if isinstance(value, list) else [value]
