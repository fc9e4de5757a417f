"""KMS's pages: a marker is a page token under another name, refused in KMS's way."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from openecr.call import Call
from openecr.errors import InvalidParameter, MarkerInvalid
from openecr.services import pages
from openecr.services.pages import Page, Position

T = TypeVar("T")


def page(
    call: Call,
    operation_name: str,
    parameters: Mapping[str, object],
    marker: str | None,
    most: int,
    *,
    start: Position,
    load: Callable[[Position, int], list[T]],
    position_of: Callable[[T], Position],
) -> Page[T]:
    """Load the page after a marker's position.

    Raises:
        MarkerInvalid: the marker was not given out for this listing, or a day ago.
    """
    try:
        return pages.page(
            call, operation_name, parameters, marker, most, start=start, load=load, position_of=position_of
        )
    except InvalidParameter:
        raise MarkerInvalid from None
