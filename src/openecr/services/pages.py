"""Pages: keyset positions in, signed tokens out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from openecr.access import page_tokens
from openecr.call import Call

T = TypeVar("T")
Position = list[str | int]
DEFAULT_MOST = 100
_TOKEN_US = 24 * 3600 * 1_000_000


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page, and the token of the next where there is more."""

    items: list[T]
    next_token: str | None


@dataclass(frozen=True, slots=True)
class Names:
    """A page of names in byte order, continued after its last."""

    items: list[str]
    has_more: bool


def page(
    call: Call,
    operation_name: str,
    parameters: Mapping[str, object],
    next_token: str | None,
    most: int | None,
    *,
    start: Position,
    load: Callable[[Position, int], list[T]],
    position_of: Callable[[T], Position],
    default_most: int = DEFAULT_MOST,
) -> Page[T]:
    """Load the page after the token's position; it costs what the first page costs.

    A token holds for the operation and the parameters it was issued for, for 24 hours; items that come or go between
    two pages neither hide nor repeat another.
    """
    keyring = call.deployment.keyring
    position = start
    if next_token is not None:
        position = page_tokens.read(keyring, operation_name, parameters, next_token, call.now_us)
    wanted = most if most is not None else default_most
    items = load(position, wanted + 1)
    if len(items) <= wanted:
        return Page(items, None)
    items = items[:wanted]
    token = page_tokens.issue(keyring, operation_name, parameters, position_of(items[-1]), call.now_us + _TOKEN_US)
    return Page(items, token)
