"""What a session may be: how long, with which tags, under how much policy. Pure.

Sources: API reference of AssumeRole; IAM User Guide, "Pass session tags in AWS STS" and "IAM and AWS STS quotas". Where
AWS documents no text, ours is in its manner.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from openecr.errors import PackedPolicyTooLarge, ValidationFailed

DEFAULT_SECONDS = 3600
CHAINED_MOST_SECONDS = 3600
USER_DEFAULT_SECONDS = 43_200
ROOT_MOST_SECONDS = 3600
MOST_TAGS = 50
MOST_POLICY_ARNS = 10
MOST_POLICY_CHARACTERS = 2048
"""Of the session policy and the ARNs of managed ones together."""
PACKED_BYTES = 2048
"""What session policies and tags may take, compressed; AWS does not say how much it allows."""


def role_seconds(asked: int | None, role_most_seconds: int, *, chained: bool) -> int:
    """How long a role's session lasts.

    Args:
        chained: the caller's own credentials are temporary.
    """
    if asked is None:
        return min(DEFAULT_SECONDS, role_most_seconds)
    if chained and asked > CHAINED_MOST_SECONDS:
        raise ValidationFailed(
            message="The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining."
        )
    if asked > role_most_seconds:
        raise ValidationFailed(
            message="The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
        )
    return asked


def user_seconds(asked: int | None, *, is_root: bool) -> int:
    """How long a user's own session lasts; the account's root gets an hour at most, whatever it asks for."""
    seconds = USER_DEFAULT_SECONDS if asked is None else asked
    return min(seconds, ROOT_MOST_SECONDS) if is_root else seconds


@dataclass(frozen=True, slots=True)
class SessionTags:
    """The tags of a session, and the keys of those that the next session of a chain inherits."""

    tags: Mapping[str, str]
    transitive: tuple[str, ...]


def session_tags(
    given: Sequence[tuple[str, str]], transitive_keys: Sequence[str], inherited: Mapping[str, str]
) -> SessionTags:
    """The tags of a new session: those it is given, and those it inherits, which stay transitive.

    Raises:
        ValidationFailed: a key twice, in whatever case; a reserved key; one that is inherited; too many; a transitive
            key that no tag has.
    """
    folded = [key.lower() for key, _ in given]
    if len(set(folded)) != len(folded):
        raise ValidationFailed(message="Duplicate tag keys found. Please note that Tag keys are case insensitive.")
    if any(key.startswith("aws:") for key in folded):
        raise ValidationFailed(message="Session tag keys must not begin with 'aws:'")
    inherited_keys = {key.lower() for key in inherited}
    if inherited_keys & set(folded):
        raise ValidationFailed(message="A session tag must not have the key of a transitive tag of the calling session")
    missing = sorted({key.lower() for key in transitive_keys} - set(folded) - inherited_keys)
    if missing:
        raise ValidationFailed(message=f"The transitive tag key '{missing[0]}' is not the key of a session tag")
    if len(given) + len(inherited) > MOST_TAGS:
        raise ValidationFailed(message=f"A session can have at most {MOST_TAGS} tags")
    chosen = {key.lower() for key in transitive_keys}
    transitive = (*inherited, *(key for key, _ in given if key.lower() in chosen))
    return SessionTags({**inherited, **dict(given)}, transitive)


def require_policy_size(policy: str | None, policy_arns: Sequence[str]) -> None:
    """Refuse more text than session policies may have."""
    if len(policy_arns) > MOST_POLICY_ARNS:
        raise ValidationFailed(message=f"At most {MOST_POLICY_ARNS} session policy ARNs can be passed")
    if len(policy or "") + sum(map(len, policy_arns)) > MOST_POLICY_CHARACTERS:
        raise ValidationFailed(
            message="1 validation error detected: Value at 'policy' failed to satisfy constraint: "
            f"Member must have length less than or equal to {MOST_POLICY_CHARACTERS}"
        )


def packed_percent(policy: str | None, policy_arns: Sequence[str], tags: Mapping[str, str]) -> int | None:
    """How much of a session's room its policies and tags take; None where it has neither.

    Raises:
        PackedPolicyTooLarge
    """
    if not policy and not policy_arns and not tags:
        return None
    packed = len(zlib.compress(orjson.dumps([policy, list(policy_arns), dict(tags)]), 9))
    percent = max(1, packed * 100 // PACKED_BYTES)
    if percent > 100:
        raise PackedPolicyTooLarge(what="session tags" if tags else "session policy", percent=percent)
    return percent
