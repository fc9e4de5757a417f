"""JavaScript: Yarn's lock files, whose first version is a syntax of its own and whose later ones are YAML.

Neither says what is needed to develop only: that is in ``package.json``. Source: files that both wrote.
"""

import re
from collections.abc import Iterator

from openecr.scan.cataloger import Cataloger, WantedFile
from openecr.scan.catalogers.node_locks import declared, split_specifier
from openecr.scan.catalogers.testimony import testimony
from openecr.scan.documents import mapping, text, yaml_documents
from openecr.scan.packages import FileFacts, Package

_CLASSIC_VERSION = re.compile(r'  version:? "?(?P<version>[^" ]{1,300})"?')
_LATER = re.compile(rb"^__metadata:", re.MULTILINE)


def read_yarn_lock(file: WantedFile) -> FileFacts:
    """Packages that came from a registry; not workspaces, links, patches (of a package that is listed too), git."""
    content = file.text()
    return testimony(
        _later(content) if _LATER.search(content) else _classic(content.decode("utf-8", "replace")), file.limits
    )


def _classic(lines: str) -> Iterator[Package]:
    specifier = ""
    for line in lines.splitlines():
        if line.endswith(":") and not line.startswith((" ", "#")):
            specifier = line[:-1].partition(",")[0].strip().strip('"')
        elif specifier and (match := _CLASSIC_VERSION.fullmatch(line)):
            name, wanted = split_specifier(specifier)
            if wanted.startswith("npm:"):
                name = split_specifier(wanted.removeprefix("npm:"))[0]
            elif ":" in wanted or "/" in wanted:
                name = ""
            yield declared("yarn-lock", name, match["version"])
            specifier = ""


def _later(content: bytes) -> Iterator[Package]:
    for document in yaml_documents(content):
        for entry in mapping(document).values():
            name, resolved = split_specifier(text(mapping(entry).get("resolution")))
            if resolved.startswith("npm:"):
                yield declared("yarn-lock", name, resolved.removeprefix("npm:").partition("::")[0])


YARN_LOCK = Cataloger("yarn-lock", 1, read_yarn_lock, names=("yarn.lock",))

CATALOGERS = (YARN_LOCK,)
