"""Targets and vulnerability data → findings, and what could not be judged: by the rules of the registry's own scans.

What several targets have together is one finding, and suppressed where it is in all of them, as of an index.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from openecr.scan.advisories import Severity
from openecr.scan.coverage import coverage
from openecr.scan.findings import Finding, MatchKey
from openecr.scan.match_keys import match_key
from openecr.scan.matching import match
from openecr.scan.packages import InstalledPackage
from openecr.scan.vex import Statement, Statements, VexImage
from openecr.scan.vulndb.index import Index
from openecr.scan_targets.target import Target
from openecr.services.ecr.scanning.gate_rules import Scanned, staleness
from openecr.services.ecr.scanning.suppressing import Judge

_UPDATE = "run openecr vulndb update"
_DAY_US = 86_400 * 1_000_000
_TOLD_WARNINGS = 5


@dataclass(frozen=True, slots=True, repr=False)
class Place:
    """Where a package lies."""

    target: Target
    installed: InstalledPackage

    @property
    def path(self) -> str:
        """With the place in the archive, where it is in one."""
        inner = self.installed.package.inner_path
        return f"{self.installed.path}!/{inner}" if inner else self.installed.path

    @property
    def layer(self) -> str:
        """The layer's digest; empty where there is none."""
        layers = self.target.layers
        return layers[self.installed.layer] if self.installed.layer < len(layers) else ""


@dataclass(frozen=True, slots=True)
class JudgedFinding:
    """A vulnerability in a package of the targets."""

    key: MatchKey
    finding: Finding
    places: tuple[Place, ...]
    suppressed_by: Statement | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Report:
    """What was found, and what could not be judged.

    Without a text of its own: asyncio makes one of whatever ``run`` returns (in Python 3.11 at least), and every place
    would tell its whole target in it.
    """

    targets: tuple[Target, ...]
    findings: tuple[JudgedFinding, ...]
    """The worst first."""
    data_us: int
    """As of when the vulnerability data is."""
    failure: str | None = None
    """Why nothing could be judged."""
    gaps: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """Severity → number of findings that are not suppressed."""
        found: dict[Severity, int] = {}
        for item in self.findings:
            if item.suppressed_by is None:
                found[item.finding.severity] = found.get(item.finding.severity, 0) + 1
        return {severity.name: found[severity] for severity in sorted(found)}

    @property
    def scanned(self) -> Scanned:
        """As the gate's rules have it."""
        if self.failure is not None:
            return Scanned("FAILED", self.failure, {}, ())
        return Scanned("COMPLETE", "", self.counts, self.gaps)


async def judge(
    targets: Sequence[Target], index: Index, statements: Statements, *, now_us: int, too_old_days: int
) -> Report:
    """Match what targets hold.

    Args:
        statements: of the VEX documents that whoever asks gives, for every target.
        too_old_days: data older than this is a gap; 0 for any age.
    """
    held = [_Held(target, statements) for target in targets]
    keys = list(dict.fromkeys(key for item in held for key in item.places))
    matched = await asyncio.to_thread(lambda: {key: match(key, index) for key in keys})
    findings = [_judged(held, key, finding) for key, found in matched.items() for finding in found]
    ordered = sorted(findings, key=lambda item: (item.finding.severity, item.finding.name, item.key.name))
    failure = next((reason for item in held if (reason := item.failure(index)) is not None), None)
    gaps = _gaps(held, index, now_us, too_old_days)
    return Report(tuple(targets), tuple(ordered), index.data_us, failure, tuple(gaps))


@dataclass(slots=True)
class _Held:
    """A target, and where in it what is matched lies."""

    target: Target
    statements: Statements
    places: dict[MatchKey, list[InstalledPackage]] = field(default_factory=dict)
    judges: list[Judge] = field(default_factory=list)
    """Who says what of its findings: whoever asks, then the deployment's own rules and attached documents."""

    def __post_init__(self) -> None:
        self.judges = self._judges()
        inventory = self.target.inventory
        for installed in inventory.packages:
            for key in match_key(installed, inventory.distribution):
                self.places.setdefault(key, []).append(installed)

    def failure(self, index: Index) -> str | None:
        """Why the target cannot be judged."""
        inventory = self.target.inventory
        if not inventory.packages:
            return f"no packages were found in {self.target.name}: there is nothing to judge"
        unknown = coverage(inventory, self.places, index).missing_distribution
        return f"there is no vulnerability data for {unknown}; {_UPDATE}" if unknown else None

    def _judges(self) -> list[Judge]:
        target = self.target
        about = VexImage(
            target.digests or frozenset((target.digest,) if target.digest else ()),
            target.repositories or frozenset((_repository(target.name),)),
            architecture=target.architecture,
        )
        nothing = Statements(())
        distribution = target.inventory.distribution
        return [
            Judge(self.statements, nothing, about, distribution),
            Judge(target.ruled or nothing, target.attached or nothing, about, distribution),
        ]


def _repository(name: str) -> str:
    """The repository of an image's name: without tag, digest, and what a layout's platform adds."""
    name = name.partition(" ")[0].partition("@")[0]
    head, slash, last = name.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"


def _judged(held: Sequence[_Held], key: MatchKey, finding: Finding) -> JudgedFinding:
    names = {finding.name, *finding.related}
    places: list[Place] = []
    deciding: list[Statement | None] = []
    for item in held:
        installed = item.places.get(key)
        if not installed:
            continue
        places += [Place(item.target, each) for each in installed]
        said = [judge.suppresses(names, installed) for judge in item.judges]
        deciding.append(next((statement for statement in said if statement is not None), None))
    by = deciding[0] if deciding and all(statement is not None for statement in deciding) else None
    return JudgedFinding(key, finding, tuple(places), by)


def _gaps(held: Sequence[_Held], index: Index, now_us: int, too_old_days: int) -> list[str]:
    """What could not be judged, in the words of the registry's scans."""
    found = [gap for item in held for gap in item.target.gaps]
    unread = [warning for item in held for warning in item.target.inventory.warnings]
    if unread:
        some = "; ".join(f"{warning.path}: {warning.reason}" for warning in unread[:_TOLD_WARNINGS])
        found.append(f"{len(unread)} files could not be read: {some}.")
    lacking = {name for item in held for name in coverage(item.target.inventory, item.places, index).missing}
    if lacking:
        found.append(f"There is no vulnerability data for {', '.join(sorted(lacking))}.")
    found += staleness(index.data_us, now_us, too_old_days * _DAY_US)
    return found


def severities(counts: Mapping[str, int]) -> str:
    """Counts in words."""
    return ", ".join(f"{count} {severity}" for severity, count in counts.items()) or "no findings"
