"""Python: requirements files, as pip reads them. Only what is pinned (``==``, ``===``) names a version.

Source: pip's "Requirements File Format", PEP 508.
"""

import codecs
import re

from openecr.scan.cataloger import Cataloger, WantedFile
from openecr.scan.catalogers.testimony import testimony
from openecr.scan.packages import FileFacts, Package

_PINNED = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]{0,200})\s{0,20}(?:\[[^\]]{0,500}\])?\s{0,20}\(?\s{0,20}"
    r"={2,3}\s{0,20}(?P<version>[A-Za-z0-9][A-Za-z0-9.!+_-]{0,200})\s{0,20}\)?\s{0,20}(?:;.*)?"
)
_OPTIONS = re.compile(r"\s--?[A-Za-z].*")
_COMMENT = re.compile(r"(?:^|\s)#.*")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DEVELOPMENT_WORDS = ("ci", "dev", "develop", "development", "docs", "lint", "test", "testing", "tests")
_WORDS = (
    *_DEVELOPMENT_WORDS,
    "all",
    "base",
    "build",
    "common",
    "cpu",
    "docker",
    "extra",
    "gpu",
    "linux",
    "lock",
    "main",
)
_MORE_WORDS = ("optional", "prod", "production", "py3", "runtime", "server", "web", "worker")
_DEVELOPMENT = re.compile(rf"(?:.*[._/-])?(?:{'|'.join(_DEVELOPMENT_WORDS)})[._-](?:.*[._-])?txt")


def read_requirements(file: WantedFile) -> FileFacts:
    """The pinned packages; lines of options (``-r``, ``--index-url``), addresses and paths name none.

    Files are known by usual names: to want every text of an image would cost more than the rest are worth.
    """
    directory, _, name = file.path.lower().rpartition("/")
    shown = f"requirements-{name}" if directory.endswith("requirements") else name
    development = _DEVELOPMENT.fullmatch(shown) is not None
    return testimony(
        (
            Package("PyPI", name, version, "pip-requirements", declared=True, development=development)
            for name, version in pinned(_decoded(file.text()))
        ),
        file.limits,
    )


def pinned(text: str) -> list[tuple[str, str]]:
    """Names and versions of the pinned requirements; ``==1.*`` pins none."""
    found = []
    for line in re.sub(r"\\\r?\n", " ", text).splitlines():
        requirement = _OPTIONS.sub("", _COMMENT.sub("", line)).strip()
        match = _PINNED.fullmatch(requirement)
        if match:
            found.append((match["name"], match["version"]))
    return found


def _decoded(content: bytes) -> str:
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return content.decode(encoding, "replace").removeprefix("\ufeff")
    return content.decode("utf-8", "replace")


PIP_REQUIREMENTS = Cataloger(
    "pip-requirements",
    1,
    read_requirements,
    names=tuple(f"requirements{mark}{word}.txt" for mark in "-_." for word in _WORDS + _MORE_WORDS),
    suffixes=("requirements.txt", *(f"/requirements/{word}.txt" for word in _WORDS + _MORE_WORDS)),
)

CATALOGERS = (PIP_REQUIREMENTS,)
