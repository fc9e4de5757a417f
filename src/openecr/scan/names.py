"""Names of packages as ecosystems compare them, and ecosystems without their release.

What is found is shown as it was found; advisories and packages meet under the name that this file gives to both. Rules
that OSV names: PyPI's (PEP 503) and "as the ecosystem has it" for the rest
(https://ossf.github.io/osv-schema/#affectedpackage-field).
"""

import re
from collections.abc import Callable

_PEP_503_RUNS = re.compile(r"[-_.]+")
_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*://")
_USER = re.compile(r"^[^/@]*@")
_PORT = re.compile(r"^([^/:]*):([0-9]{1,5})(?=/)")


def family(ecosystem: str) -> str:
    """An ecosystem without its release or repository: ``Debian:12`` → ``Debian``."""
    return ecosystem.partition(":")[0]


def normalise(ecosystem: str, name: str) -> str:
    """The name that advisories on a package are looked up by; the same for every spelling that the ecosystem joins."""
    rule = _RULES.get(family(ecosystem))
    name = name.strip()
    return rule(name) if rule else name


def _python(name: str) -> str:
    """PEP 503, "Normalized Names": https://peps.python.org/pep-0503/#normalized-names."""
    return _PEP_503_RUNS.sub("-", name).lower()


def _swift(name: str) -> str:
    """``host/owner/repository``, whichever address of it stands in a Package.resolved or a record."""
    address = _SCHEME.sub("", name.lower())
    address = _USER.sub("", address)
    address = _PORT.sub(r"\1", address)
    host, colon, path = address.partition(":")
    if colon and "/" not in host:  # git@host:owner/repository
        address = f"{host}/{path.lstrip('/')}"
    return address.rstrip("/").removesuffix(".git").removeprefix("www.")


def _conan(name: str) -> str:
    """Without version, user, channel and revisions: ``zlib/1.2.11@user/channel#revision`` → ``zlib``."""
    return re.split(r"[/@#]", name, maxsplit=1)[0].lower()


_RULES: dict[str, Callable[[str], str]] = {
    "PyPI": _python,
    "NuGet": str.lower,
    "Packagist": str.lower,
    "GitHub Actions": str.lower,
    "SwiftURL": _swift,
    "ConanCenter": _conan,
}
