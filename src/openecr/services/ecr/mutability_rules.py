"""When a tag may move (user guide, "Preventing image tags from being overwritten"). Pure.

MUTABLE moves every tag, IMMUTABLE none. With ``_WITH_EXCLUSION`` the tags that match a filter are the exception. A
filter matches the whole tag, case-sensitively; ``*`` stands for any number of characters, none too.
"""

from collections.abc import Sequence

MODES = ("IMMUTABLE", "MUTABLE", "IMMUTABLE_WITH_EXCLUSION", "MUTABLE_WITH_EXCLUSION")
MOST_WILDCARDS = 2


def may_move(mode: str, filters: Sequence[str], tag: str) -> bool:
    """Whether a tag that exists may be pointed at another image."""
    excepted = any(matches(item, tag) for item in filters)
    if mode.startswith("IMMUTABLE"):
        return mode.endswith("_WITH_EXCLUSION") and excepted
    return not (mode.endswith("_WITH_EXCLUSION") and excepted)


def matches(wildcard: str, tag: str) -> bool:
    """Whether a filter matches a tag; linear in the tag for each part between stars."""
    first, *rest = wildcard.split("*")
    if not rest:
        return tag == wildcard
    if not tag.startswith(first):
        return False
    *middle, last = rest
    position = len(first)
    for part in middle:
        found = tag.find(part, position)
        if found < 0:
            return False
        position = found + len(part)
    return tag.endswith(last) and len(tag) - len(last) >= position
