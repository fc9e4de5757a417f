"""What an index has no data for, so that nothing unknown passes as clean."""

from collections.abc import Iterable
from dataclasses import dataclass

from openecr.scan.advisories import AdvisoryIndex
from openecr.scan.ecosystems import has_advisories, read_for
from openecr.scan.findings import MatchKey
from openecr.scan.packages import DISTRIBUTION_KINDS, ImageInventory
from openecr.scan.versions import ORDERS


@dataclass(frozen=True, slots=True)
class Coverage:
    """What of an image cannot be judged."""

    missing_distribution: str | None = None
    """The distribution, in words, where the index has nothing of its release."""
    missing: tuple[str, ...] = ()
    """Ecosystems of the image's language packages that the index has nothing of."""


def coverage(inventory: ImageInventory, keys: Iterable[MatchKey], index: AdvisoryIndex) -> Coverage:
    """What of an image an index cannot judge.

    Args:
        keys: what the image's packages are matched by.
    """
    distribution = inventory.distribution
    has_system = any(item.package.ecosystem in DISTRIBUTION_KINDS for item in inventory.packages)
    unknown = None
    if has_system and distribution is None:
        unknown = "a distribution that no os-release names"
    elif distribution is not None and has_system and not has_advisories(distribution, index):
        unknown = distribution.pretty_name or f"{distribution.id} {distribution.version_id}".strip()
    missing = {key.ecosystem for key in keys if not read_for(key.ecosystem, index.ecosystems)}
    # No advisory speaks of these (conda, CocoaPods): they have no key that could be missing.
    found = {item.package.ecosystem for item in inventory.packages}
    missing |= {name for name in found if name not in ORDERS and name not in DISTRIBUTION_KINDS}
    return Coverage(unknown, tuple(sorted(missing)))
