"""What is told of a build: how old, how much of what, from whom. Stands in the file, and beside it where it is kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class SourceShare:
    """What one source wrote of a build."""

    source: str
    license: str
    url: str
    records: int


@dataclass(frozen=True, slots=True)
class Description:
    """A build."""

    format: int
    built_us: int
    data_us: int
    """As of when its data is: of a download its time, of an import the newest change that a record tells of."""
    inputs: str
    """What it was built from, as a digest; equal ones make equal builds, but for the time. Empty where not known."""
    records: int
    """Those that say something of a package or a CVE."""
    withdrawn: int
    unread: int
    """Files that were no record, or none that can be used."""
    ecosystems: Mapping[str, int]
    """Records by ecosystem, with releases."""
    sources: tuple[SourceShare, ...]

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "format": self.format,
            "builtUs": self.built_us,
            "dataUs": self.data_us,
            "inputs": self.inputs,
            "records": self.records,
            "withdrawn": self.withdrawn,
            "unread": self.unread,
            "ecosystems": dict(self.ecosystems),
            "sources": [
                {"source": share.source, "license": share.license, "url": share.url, "records": share.records}
                for share in self.sources
            ],
        }

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Description":
        """From JSON that ``document`` made.

        Raises:
            KeyError, TypeError: it did not.
        """
        shares = (SourceShare(one["source"], one["license"], one["url"], one["records"]) for one in document["sources"])
        return cls(
            document["format"],
            document["builtUs"],
            document["dataUs"],
            document["inputs"],
            document["records"],
            document["withdrawn"],
            document["unread"],
            document["ecosystems"],
            tuple(shares),
        )
