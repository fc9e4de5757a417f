"""Which distribution an image is of: os-release, and the files that older systems have in its place.

os-release(5); the order is the one in which systemd and the distributions themselves look.
"""

import re

from openecr.scan.packages import Distribution

_LINE = re.compile(r"""^\s*([A-Za-z_][A-Za-z0-9_]*)=(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([^\s"']*))\s*$""")
_ESCAPED = re.compile(r"\\([\"$`\\])")
_RELEASE = re.compile(r"^(?P<name>.{1,200}?)\s+(?:release\s+)?(?P<version>[0-9][0-9.]{0,20})\b")
_CODENAME_IN_VERSION = re.compile(r"\(([A-Za-z][A-Za-z ]{0,40})\)")
_RED_HAT_IDS = (
    ("centos", "centos"),
    ("rocky", "rocky"),
    ("almalinux", "almalinux"),
    ("oracle", "ol"),
    ("fedora", "fedora"),
    ("amazon", "amzn"),
    ("scientific", "scientific"),
    ("red hat", "rhel"),
)
"""Words of a release file, and the os-release ID of who writes them."""

_OS_RELEASE = ("etc/os-release", "usr/lib/os-release", "usr/etc/os-release")
_RED_HAT = (
    *("etc/oracle-release", "etc/rocky-release", "etc/almalinux-release", "etc/centos-release"),
    *("etc/fedora-release", "etc/system-release", "etc/redhat-release"),
)
_ALPINE, _DEBIAN, _LSB = "etc/alpine-release", "etc/debian_version", "etc/lsb-release"

PRECEDENCE = (*_OS_RELEASE, _ALPINE, _LSB, *_RED_HAT, _DEBIAN)
"""Paths that testify to a distribution, the best first. Derivatives keep Debian's debian_version: it comes last."""


def distribution_of(path: str, text: str) -> Distribution | None:
    """What the content of one of these files says; None where it says nothing."""
    if path == _ALPINE:
        return _only_version("alpine", "Alpine Linux", text)
    if path == _DEBIAN:
        return _debian(text)
    if path == _LSB:
        return _lsb(text)
    return _red_hat(text) if path in _RED_HAT else _os_release(text)


def _variables(text: str) -> dict[str, str]:
    """A shell's assignments, as os-release(5) has them; the last one of a name counts."""
    found = {}
    for line in text.split("\n"):
        if assigned := _LINE.match(line):
            quoted, plainly_quoted, bare = assigned[2], assigned[3], assigned[4]
            found[assigned[1]] = _ESCAPED.sub(r"\1", quoted) if quoted is not None else plainly_quoted or bare or ""
    return found


def _os_release(text: str) -> Distribution | None:
    variables = _variables(text)
    identifier = variables.get("ID", "").lower()
    if not identifier:
        return None
    codename = variables.get("VERSION_CODENAME") or variables.get("UBUNTU_CODENAME", "")
    if not codename and (named := _CODENAME_IN_VERSION.search(variables.get("VERSION", ""))):
        codename = named[1]
    return Distribution(
        identifier,
        variables.get("VERSION_ID", ""),
        codename.lower(),
        variables.get("PRETTY_NAME") or variables.get("NAME", ""),
        tuple(variables.get("ID_LIKE", "").lower().split()),
    )


def _lsb(text: str) -> Distribution | None:
    variables = _variables(text)
    identifier = variables.get("DISTRIB_ID", "").lower()
    if not identifier:
        return None
    return Distribution(
        identifier,
        variables.get("DISTRIB_RELEASE", ""),
        variables.get("DISTRIB_CODENAME", "").lower(),
        variables.get("DISTRIB_DESCRIPTION", ""),
    )


def _red_hat(text: str) -> Distribution | None:
    """``CentOS release 6.10 (Final)``."""
    line = text.strip().partition("\n")[0]
    found = _RELEASE.match(line)
    identifier = next((known for word, known in _RED_HAT_IDS if word in line.lower()), "")
    if not found or not identifier:
        return None
    return Distribution(identifier, found["version"].rstrip("."), "", line[:200])


def _debian(text: str) -> Distribution | None:
    """``12.5``, or ``trixie/sid`` where it is no release yet."""
    line = text.strip().partition("\n")[0]
    if not line:
        return None
    if line[0] in "0123456789":
        return _only_version("debian", "Debian GNU/Linux", line.partition(".")[0] if line[0] != "0" else line)
    return Distribution("debian", "", line.partition("/")[0].lower(), f"Debian GNU/Linux {line[:100]}")


def _only_version(identifier: str, name: str, text: str) -> Distribution | None:
    version = text.strip().partition("\n")[0].strip()
    return Distribution(identifier, version, "", f"{name} {version}") if version else None


def rank(path: str) -> int:
    """How good a file's word on the distribution is; the least is the best."""
    return PRECEDENCE.index(path) if path in PRECEDENCE else len(PRECEDENCE)
