"""Haskell: stack.yaml.lock and cabal.project.freeze.

Source: The Haskell Tool Stack's documentation, "Lock files"; Cabal's User Guide, "cabal freeze".
"""

import re

from openecr.scan.cataloger import Cataloger, WantedFile
from openecr.scan.catalogers.plain_text import plain_text
from openecr.scan.catalogers.testimony import testimony
from openecr.scan.documents import items, mapping, text, yaml_document
from openecr.scan.packages import FileFacts, Package

_COMPLETED = re.compile(r"(?P<name>[A-Za-z0-9-]{1,200})-(?P<version>[0-9]+(?:\.[0-9]+)*)(?:@.*)?")
_FROZEN = re.compile(r"(?:any\.)?(?P<name>[A-Za-z0-9-]+)\s*==\s*(?P<version>[0-9]+(?:\.[0-9]+)*)")


def _package(match: re.Match[str], kind: str) -> Package:
    return Package("Hackage", match["name"], match["version"], kind, declared=True)


def _read_stack(file: WantedFile) -> FileFacts:
    """``packages[].completed.hackage``: ``name-1.2@sha256:…,size``. What a snapshot holds is not in the file."""
    rows = (mapping(row) for row in items(mapping(yaml_document(file.text())).get("packages")))
    completed = (text(mapping(row.get("completed")).get("hackage"))[:1024] for row in rows)
    matches = (_COMPLETED.fullmatch(each) for each in completed)
    return testimony((_package(match, "stack-lock") for match in matches if match), file.limits)


def _read_freeze(file: WantedFile) -> FileFacts:
    """``constraints:`` with ``any.name ==1.2`` between commas; flags (``name +flag``) are passed over."""
    found = []
    for line in plain_text(file).split("\n"):
        for part in () if line.lstrip().startswith("--") else line.split(","):
            constraint = part.strip().removeprefix("constraints:").strip()
            if len(constraint) < 512 and (match := _FROZEN.fullmatch(constraint)):
                found.append(_package(match, "cabal-freeze"))
    return testimony(found, file.limits)


STACK_LOCK = Cataloger("stack-lock", 1, _read_stack, names=("stack.yaml.lock",))
CABAL_FREEZE = Cataloger("cabal-freeze", 1, _read_freeze, names=("cabal.project.freeze",))

CATALOGERS = (STACK_LOCK, CABAL_FREEZE)
