"""IAM's pages: a marker is a page token under another name, refused in IAM's way."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from openecr.call import Call
from openecr.errors import InvalidParameter, ValidationFailed
from openecr.services import pages
from openecr.services.pages import Position

T = TypeVar("T")


def page(
    call: Call,
    operation_name: str,
    parameters: Mapping[str, object],
    marker: str | None,
    most: int | None,
    *,
    member: str,
    start: Position,
    load: Callable[[Position, int], list[T]],
    position_of: Callable[[T], Position],
    told: Callable[[T], Any],
) -> dict[str, Any]:
    """The answer that lists one page under ``member``, and says where to go on.

    Raises:
        ValidationFailed: the marker was not given out for this listing, or a day ago.
    """
    bound = {"account": call.registry().account_id, **parameters}
    try:
        found = pages.page(call, operation_name, bound, marker, most, start=start, load=load, position_of=position_of)
    except InvalidParameter:
        raise ValidationFailed(message="Invalid Marker.") from None
    listed = {member: [told(item) for item in found.items], "IsTruncated": found.next_token is not None}
    return listed if found.next_token is None else listed | {"Marker": found.next_token}
