"""EC2's listings: by ids, by filters, in pages."""

import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from openecr.call import Call
from openecr.errors import RegistryError
from openecr.services import pages
from openecr.services.ec2 import refusals

_DEFAULT_MOST = 1000
_MOST = 1000


@dataclass(frozen=True, slots=True)
class Listed:
    """One resource of a listing: its answer, and what filters ask of it."""

    name: str
    answer: dict[str, Any]
    attributes: Mapping[str, Iterable[str]]
    tags: Mapping[str, str]


def page(
    call: Call,
    operation: str,
    found: list[Listed],
    *,
    filters: list[dict[str, Any]] | None,
    names: list[str] | None,
    missing: Callable[[str], RegistryError],
    max_results: int | None,
    next_token: str | None,
    known: Iterable[str],
) -> tuple[list[dict[str, Any]], str | None]:
    """The answers of one page, and the token of the next.

    Args:
        missing: the error for an id that is not there.
        known: the filters that the operation has, beside those of tags.

    Raises:
        InvalidValue: a filter is unknown, or the page's size is out of bounds.
    """
    if max_results is not None and not 1 <= max_results <= _MOST:
        raise refusals.InvalidValue(message=f"Value ( {max_results} ) for parameter maxResults is invalid.")
    chosen = sorted(found, key=lambda listed: listed.name)
    if names:
        there = {listed.name for listed in chosen}
        for name in names:
            if name not in there:
                raise missing(name)
        chosen = [listed for listed in chosen if listed.name in names]
    tests = [_test(given, frozenset(known)) for given in filters or ()]
    chosen = [listed for listed in chosen if all(test(listed) for test in tests)]
    told = pages.page(
        call,
        operation,
        {"names": sorted(names or ()), "filters": [[g.get("Name"), g.get("Values")] for g in filters or ()]},
        next_token,
        max_results,
        start=[""],
        load=lambda after, most: [listed for listed in chosen if listed.name > str(after[0])][:most],
        position_of=lambda listed: [listed.name],
        default_most=_DEFAULT_MOST,
    )
    return [listed.answer for listed in told.items], told.next_token


def _test(given: Mapping[str, Any], known: frozenset[str]) -> Callable[[Listed], bool]:
    """What one filter asks: any of its values, each with ``*`` and ``?``."""
    name = str(given.get("Name", ""))
    patterns = [re.compile(fnmatch.translate(value.replace("[", "[[]"))) for value in given.get("Values", ())]

    def matches(values: Iterable[str]) -> bool:
        return any(pattern.fullmatch(value) for value in values for pattern in patterns)

    if name == "tag-key":
        return lambda listed: matches(listed.tags)
    if name.startswith("tag:"):
        key = name.removeprefix("tag:")
        return lambda listed: key in listed.tags and matches((listed.tags[key],))
    if name not in known:
        raise refusals.InvalidValue(message=f"The filter '{name}' is invalid")
    return lambda listed: matches(listed.attributes.get(name, ()))
