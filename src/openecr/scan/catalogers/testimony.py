"""From what a parser found to what a file testifies to: bounded, without doubles, nothing that is no name."""

from collections.abc import Iterable

from openecr.scan.limits import LimitExceeded, Limits
from openecr.scan.packages import FileFacts, Package, Unread

_MOST_CHARACTERS = 512
"""Of a name or version; the longest that registries accept are 214 (npm) and 255."""


def testimony(packages: Iterable[Package], limits: Limits, *, unread: Iterable[Unread] = ()) -> FileFacts:  # noqa: PT028
    """The packages that have a name and a version, once each and in order.

    Of two that differ only in ``development`` the one that is needed to run stays.

    Raises:
        LimitExceeded: they are more than a layer may hold.
    """
    kept: dict[tuple[str, str, str, str], Package] = {}
    for package in packages:
        if not (_is_plain(package.name) and _is_plain(package.version)):
            continue
        identity = (package.ecosystem, package.name, package.version, package.inner_path)
        if identity not in kept or (kept[identity].development and not package.development):
            kept[identity] = package
        if len(kept) > limits.packages:
            raise LimitExceeded(f"more than {limits.packages} packages")
    return FileFacts(packages=tuple(kept.values()), unread=tuple(unread))


def _is_plain(word: str) -> bool:
    return 0 < len(word) <= _MOST_CHARACTERS and word.isprintable() and " " not in word
