"""Ruby: gems that are installed, by their specifications, and Bundler's lock files.

An installed specification is Ruby code as RubyGems writes it; its fields are read as text, nothing is evaluated.
Sources: RubyGems' ``Gem::Specification#to_ruby``, Bundler's lock file generator.
"""

import re
from collections.abc import Iterator

from openecr.scan.cataloger import Cataloger, WantedFile
from openecr.scan.catalogers.testimony import testimony
from openecr.scan.packages import FileFacts, Package

_STUB = re.compile(r"^# stub: (?P<name>[A-Za-z0-9._-]{1,200}) (?P<version>[^\s]{1,200}) ", re.MULTILINE)
_NAME = re.compile(
    r"""^\s{0,20}[a-z_]{1,30}\.name\s{0,5}=\s{0,5}["'](?P<value>[A-Za-z0-9._-]{1,200})["']""", re.MULTILINE
)
_VERSION = re.compile(
    r"""^\s{0,20}[a-z_]{1,30}\.version\s{0,5}=\s{0,5}(?:Gem::Version\.new\s?\(?\s?)?["'](?P<value>[0-9][A-Za-z0-9._-]{0,200})["']""",
    re.MULTILINE,
)
_LICENSES = re.compile(r"^\s{0,20}[a-z_]{1,30}\.licenses?\s{0,5}=\s{0,5}\[?(?P<values>[^\]\n]{1,500})", re.MULTILINE)
_QUOTED = re.compile(r"""["']([^"'\n]{1,100})["']""")
_LOCKED = re.compile(
    r" {4}(?P<name>[A-Za-z0-9._-]{1,200}) \((?P<version>[0-9][A-Za-z0-9._]{0,200})(?:-[^)\s]{1,200})?\)"
)
_MOST_SPECIFICATION_BYTES = 1 << 20


def read_specification(file: WantedFile) -> FileFacts:
    """The gem, if the file is in a ``specifications`` directory: only there it says that the gem is installed."""
    if "specifications" not in file.path.split("/")[:-1]:
        return FileFacts()
    lines = file.content.read(_MOST_SPECIFICATION_BYTES).decode("utf-8", "replace")
    stub, name, version = _STUB.search(lines), _NAME.search(lines), _VERSION.search(lines)
    licenses = _LICENSES.search(lines)
    package = Package(
        "RubyGems",
        name["value"] if name else stub["name"] if stub else "",
        version["value"] if version else stub["version"] if stub else "",
        "gem-installed",
        licenses=tuple(_QUOTED.findall(licenses["values"])) if licenses else (),
    )
    return testimony([package], file.limits)


def read_bundler_lock(file: WantedFile) -> FileFacts:
    """Gems from gem servers (``GEM``), without their platforms; ``GIT`` and ``PATH`` have no released version."""
    return testimony(_locked(file.text().decode("utf-8", "replace")), file.limits)


def _locked(lines: str) -> Iterator[Package]:
    section = ""
    for line in lines.splitlines():
        if line and not line.startswith(" "):
            section = line.strip()
        elif section == "GEM" and (match := _LOCKED.fullmatch(line)):
            yield Package("RubyGems", match["name"], match["version"], "bundler-lock", declared=True)


GEM_INSTALLED = Cataloger("gem-installed", 1, read_specification, suffixes=(".gemspec",))
BUNDLER_LOCK = Cataloger("bundler-lock", 1, read_bundler_lock, names=("Gemfile.lock", "gems.locked"))

CATALOGERS = (GEM_INSTALLED, BUNDLER_LOCK)
