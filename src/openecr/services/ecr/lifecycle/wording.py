"""Rules and verdicts in words. Pure."""

from openecr.services.ecr.lifecycle.evaluation import DAY_US, Outcome, Verdict, Why
from openecr.services.ecr.lifecycle.policy import ANY, ARCHIVE, COUNT, PULLED, PUSHED, TAGGED, TRANSITION, Rule

_HOUR_US = DAY_US // 24
_SINCE = {PUSHED: "pushed", PULLED: "last pulled"}


def verdict_in_words(verdict: Verdict, now_us: int) -> str:
    """What becomes of an image, and why."""
    rule = verdict.rule
    acts = verdict.outcome != Outcome.KEEP
    now = "is archived now" if verdict.outcome == Outcome.ARCHIVE else "expires now"
    match verdict.why:
        case Why.RULE if rule is not None:
            return _by_rule(verdict, rule, now_us, now)
        case Why.PROTECTED if rule is not None:
            return f"kept: rule {rule.priority} selects it, but an index that stays names it"
        case Why.MEMBER if acts and rule is not None:
            return f"{now}, with the last index that names it, by rule {rule.priority}"
        case Why.MEMBER:
            return "kept: part of an index that stays"
        case Why.REFERRER if acts and rule is not None:
            return f"{now}, with the image that it refers to, by rule {rule.priority}"
        case Why.REFERRER if verdict.image.subject is None:
            return "kept: what it refers to is not in this repository"
        case Why.REFERRER:
            return "kept: what it refers to, or an index that names it, stays"
        case _:
            return "kept: no rule selects it"


def _by_rule(verdict: Verdict, rule: Rule, now_us: int, now: str) -> str:
    if verdict.outcome != Outcome.KEEP:
        if rule.count_type == COUNT:
            return f"{now} by rule {rule.priority}: position {verdict.position} of {pool_in_words(rule)}, {limit(rule)}"
        return f"{now} by rule {rule.priority}: of {pool_in_words(rule)}, {limit(rule)}"
    if verdict.due_us is None:
        return (
            f"kept: claimed by rule {rule.priority}, newest {rule.count_number} of {pool_in_words(rule)}, "
            f"position {verdict.position}"
        )
    verb = "is archived" if rule.action == TRANSITION else "expires"
    return f"{verb} in {duration(verdict.due_us - now_us)} by rule {rule.priority}"


def pool_in_words(rule: Rule) -> str:
    """What a rule selects: ``'v*'``."""
    if rule.tag_status == TAGGED:
        chosen = " and ".join(f"'{pattern}'" for pattern in rule.patterns)
    else:
        chosen = "all images" if rule.tag_status == ANY else "untagged images"
    return f"{chosen} in the archive" if rule.storage_class == ARCHIVE else chosen


def limit(rule: Rule) -> str:
    """What it keeps: ``the newest 10 stay``."""
    if rule.count_type == COUNT:
        return f"the newest {rule.count_number} {'stay' if rule.count_number > 1 else 'stays'}"
    return f"{_SINCE.get(rule.count_type, 'archived')} more than {_days(rule.count_number)} ago"


def rule_in_words(rule: Rule) -> str:
    """A whole rule: ``rule 1 expires 'v*', the newest 10 stay``."""
    verb = "archives" if rule.action == TRANSITION else "expires"
    return f"rule {rule.priority} {verb} {pool_in_words(rule)}, {limit(rule)}"


def duration(length_us: int) -> str:
    """A time ahead, rounded up: ``4 days``, ``3 hours``."""
    if length_us > DAY_US:
        return _days(-(-length_us // DAY_US))
    hours = max(1, -(-length_us // _HOUR_US))
    return f"{hours} hour{'s' if hours > 1 else ''}"


def _days(days: int) -> str:
    return f"{days} day{'s' if days > 1 else ''}"
