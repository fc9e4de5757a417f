"""An administrator's VEX rules: documents for repositories, and whose attached documents count."""

from collections.abc import Sequence

from openecr.db import registries, suppressions
from openecr.db.connection import Connection
from openecr.db.suppressions import VexRule
from openecr.names import RegistryName
from openecr.scan.vex import SUPPRESSING
from openecr.scan.vex_documents import VexRefused, vex_statements
from openecr.services.ecr.scanning.suppressing import MOST_RULES, rules_of
from openecr.services.ecr.scanning.suppression_requests import owe_for_rule

_MOST_CHARACTERS = 256


class RuleRefused(Exception):
    """A rule cannot be kept; the text is one sentence with the remedy."""


def read(content: bytes) -> tuple[str, int, int]:
    """A document as it is kept, how many statements it has, and how many of them suppress something.

    Raises:
        RuleRefused: it is no VEX document, or has no statement.
    """
    try:
        statements = vex_statements(content)
        text = content.decode()
    except (VexRefused, UnicodeDecodeError) as refused:
        raise RuleRefused(f"this is no VEX document: {refused}; give OpenVEX or CycloneDX, as JSON") from None
    if not statements:
        raise RuleRefused(
            "this document states nothing that can be used; a statement needs a status, a product, and where that is "
            "not_affected a justification"
        )
    if "\0" in text:
        raise RuleRefused("this document has a NUL character; write it without")
    return text, len(statements), sum(statement.status in SUPPRESSING for statement in statements)


def add(db: Connection, registry: RegistryName, name: str, repository_pattern: str, document: str, now_us: int) -> None:
    """Keep a rule, in place of one of the same name, and owe what it changes.

    Args:
        document: as ``read`` gives it; empty to let count what is attached to images.
    Raises:
        RuleRefused
    """
    for what, text in (("name", name), ("pattern of repositories", repository_pattern)):
        if not text or len(text) > _MOST_CHARACTERS or not text.isprintable():
            raise RuleRefused(f"a {what} has 1 to {_MOST_CHARACTERS} characters that can be printed")
    registry_key = registries.require_key(db, registry, now_us)
    registries.hold(db, registry_key)
    _remove(db, registry, registry_key, name)
    if len(rules_of(db, registry_key)) >= MOST_RULES:
        raise RuleRefused(f"the registry {registry} has {MOST_RULES} VEX rules; remove one, or join documents")
    suppressions.insert_rule(db, registry_key, name, repository_pattern, document, now_us)
    owe_for_rule(db, registry, repository_pattern)


def remove(db: Connection, registry: RegistryName, name: str) -> bool:
    """Forget a rule, and owe what that changes; False where there is none of this name."""
    registry_key = registries.find_key(db, registry)
    return registry_key is not None and _remove(db, registry, registry_key, name)


def _remove(db: Connection, registry: RegistryName, registry_key: int, name: str) -> bool:
    pattern = suppressions.delete_rule(db, registry_key, name)
    if pattern is not None:
        owe_for_rule(db, registry, pattern)
    return pattern is not None


def listed(db: Connection, registry: RegistryName) -> Sequence[VexRule]:
    """The rules of a registry, by name."""
    registry_key = registries.find_key(db, registry)
    return () if registry_key is None else rules_of(db, registry_key)
