"""What a decision reads of the request's context, and what it looked for in vain."""

from collections.abc import Mapping


class Reading:
    """The condition keys of one request, and a note of those that were asked for.

    Source: IAM User Guide, "Processing the request context"
    (reference_policies_evaluation-logic_policy-eval-reqcontext). Key names are not case sensitive, so both sides hold
    them in lower case.
    """

    __slots__ = ("_context", "missing", "used")

    def __init__(self, context: Mapping[str, tuple[str, ...]]) -> None:
        self._context = context
        self.used = False
        self.missing: set[str] = set()

    def values(self, key: str) -> tuple[str, ...]:
        """The key's values; none where the request does not have it."""
        self.used = True
        found = self._context.get(key)
        if not found:
            self.missing.add(key)
            return ()
        return found
