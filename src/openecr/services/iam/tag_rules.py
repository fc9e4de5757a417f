"""What tags IAM takes."""

from collections.abc import Mapping, Sequence

from openecr.errors import InvalidInput, LimitExceeded
from openecr.services.iam import quotas


def parse(tags: Sequence[Mapping[str, str]] | None) -> dict[str, str]:
    """{key: value} of a request's tags.

    Raises:
        InvalidInput: a key is there twice, in whatever case, or is reserved.
    """
    found: dict[str, str] = {}
    folded: set[str] = set()
    for tag in tags or ():
        key = tag["Key"]
        if key.lower().startswith("aws:"):
            raise InvalidInput(message=f"The tag key {key} is reserved: no key may begin with aws:")
        if key.lower() in folded:
            raise InvalidInput(message="Duplicate tag keys found. Please note that Tag keys are case insensitive.")
        folded.add(key.lower())
        found[key] = tag["Value"]
    return found


def require_few(tags: Mapping[str, str]) -> None:
    """Refuse more tags than a resource may have.

    Raises:
        LimitExceeded: there are more.
    """
    if len(tags) > quotas.TAGS:
        raise LimitExceeded(message="The number of tags has reached the maximum limit.")


def told(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as answers have them, by key."""
    return [{"Key": key, "Value": tags[key]} for key in sorted(tags)]
