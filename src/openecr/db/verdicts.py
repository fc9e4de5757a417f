"""Which vulnerabilities packages have, from one generation of the data to another, and what that makes of images."""

from collections.abc import Sequence
from dataclasses import dataclass

from openecr.db.connection import Connection

_AT_ONCE = 100
NOW = 2**62
"""A generation after every other: findings as they are now."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A vulnerability that affects a package."""

    key: int
    name: str
    severity: int
    score_tenths: int | None
    fixed_version: str | None
    details_key: int
    first_us: int


@dataclass(frozen=True, slots=True)
class ImageFinding:
    """A verdict on a package that an image holds."""

    severity: int
    name: str
    package_key: int
    image_key: int
    """Of the images asked for, the first that holds it."""
    score_tenths: int | None
    fixed_version: str | None
    details_key: int
    first_us: int
    since_us: int
    until_us: int | None
    """Since when it does not hold any more."""
    justification: str | None
    """Why it is suppressed, where it is."""
    source: str | None
    """The VEX document that says so."""


_VERDICT = "id, name, severity, score_tenths, fixed_version, details_key, first_us"


def of_packages(db: Connection, package_keys: Sequence[int]) -> dict[int, list[Verdict]]:
    """What holds of packages now, by package key."""
    found: dict[int, list[Verdict]] = {key: [] for key in package_keys}
    for start in range(0, len(package_keys), _AT_ONCE):
        named = {f"k{number}": key for number, key in enumerate(package_keys[start : start + _AT_ONCE])}
        names = ", ".join(f":{name}" for name in named)
        rows = db.rows(
            f"SELECT package_key, {_VERDICT} FROM package_finding WHERE package_key IN ({names})"
            " AND until_generation IS NULL",
            **named,
        )
        for row in rows:
            found[row[0]].append(Verdict(*row[1:]))
    return found


@dataclass(frozen=True, slots=True)
class Change:
    """A vulnerability that began or ceased to affect a package, or does in another way."""

    package_key: int
    name: str
    at_us: int


def changed_after(db: Connection, package_keys: Sequence[int], generation: int) -> list[Change]:
    """What is of packages otherwise than by a generation of the data, each once; new words alone are no change."""
    before: dict[tuple[int, str], tuple[int | str | None, ...]] = {}
    now: dict[tuple[int, str], tuple[int | str | None, ...]] = {}
    at_us: dict[tuple[int, str], int] = {}
    for start in range(0, len(package_keys), _AT_ONCE):
        named = {f"k{number}": key for number, key in enumerate(package_keys[start : start + _AT_ONCE])}
        names = ", ".join(f":{name}" for name in named)
        rows = db.rows(
            "SELECT package_key, name, since_generation, until_generation, since_us, until_us, severity, score_tenths,"
            f" fixed_version FROM package_finding WHERE package_key IN ({names})"
            " AND (since_generation > :generation OR until_generation > :generation)",
            generation=generation,
            **named,
        )
        for key, name, since, until, since_us, until_us, *shape in rows:
            if since <= generation:
                before[key, name] = tuple(shape)
            if until is None:
                now[key, name] = tuple(shape)
            at_us[key, name] = max(at_us.get((key, name), 0), since_us, until_us or 0)
    return [Change(*found, us) for found, us in at_us.items() if before.get(found) != now.get(found)]


def begin(db: Connection, package_key: int, verdict: Verdict, generation: int, now_us: int) -> None:
    """Say that a vulnerability affects a package from now on."""
    db.run(
        "INSERT INTO package_finding (package_key, name, severity, score_tenths, fixed_version, details_key,"
        " since_generation, since_us, first_us) VALUES (:package_key, :name, :severity, :score_tenths, :fixed_version,"
        " :details_key, :generation, :now_us, :first_us)"
        " ON CONFLICT (package_key, name, since_generation) DO UPDATE SET severity = excluded.severity,"
        " score_tenths = excluded.score_tenths, fixed_version = excluded.fixed_version,"
        " details_key = excluded.details_key, until_generation = NULL, until_us = NULL",
        package_key=package_key,
        name=verdict.name,
        severity=verdict.severity,
        score_tenths=verdict.score_tenths,
        fixed_version=verdict.fixed_version,
        details_key=verdict.details_key,
        generation=generation,
        now_us=now_us,
        first_us=verdict.first_us,
    )


def end(db: Connection, verdict_key: int, generation: int, now_us: int) -> None:
    """Say that a verdict holds no more."""
    db.run(
        "UPDATE package_finding SET until_generation = :generation, until_us = :now_us WHERE id = :key",
        key=verdict_key,
        generation=generation,
        now_us=now_us,
    )


def details_key(db: Connection, sha256: bytes, document: str) -> int:
    """The key of what is told of a vulnerability, made where it is new."""
    find = "SELECT id FROM finding_details WHERE sha256 = :sha256"
    found = db.row(find, sha256=sha256)
    if found is None:
        db.run(
            "INSERT INTO finding_details (sha256, document) VALUES (:sha256, :document) ON CONFLICT DO NOTHING",
            sha256=sha256,
            document=document,
        )
        found = db.row(find, sha256=sha256)
    assert found is not None  # noqa: S101 - it was there, or was just inserted
    return int(found[0])


def details_keys(db: Connection, sha256s: Sequence[bytes]) -> dict[bytes, int]:
    """The keys of texts that are told already, by the sha256 of each."""
    found: dict[bytes, int] = {}
    wanted = list(dict.fromkeys(sha256s))
    for start in range(0, len(wanted), _AT_ONCE):
        named = {f"s{number}": sha256 for number, sha256 in enumerate(wanted[start : start + _AT_ONCE])}
        names = ", ".join(f":{name}" for name in named)
        found.update(
            (bytes(row[0]), row[1])
            for row in db.rows(f"SELECT sha256, id FROM finding_details WHERE sha256 IN ({names})", **named)
        )
    return found


def details(db: Connection, keys: Sequence[int]) -> dict[int, str]:
    """What is told of the vulnerabilities of a page, by key."""
    found: dict[int, str] = {}
    wanted = list(dict.fromkeys(keys))
    for start in range(0, len(wanted), _AT_ONCE):
        named = {f"k{number}": key for number, key in enumerate(wanted[start : start + _AT_ONCE])}
        names = ", ".join(f":{name}" for name in named)
        found.update(db.rows(f"SELECT id, document FROM finding_details WHERE id IN ({names})", **named))
    return found


def _of_images(image_keys: Sequence[int]) -> tuple[str, dict[str, int]]:
    named = {f"i{number}": key for number, key in enumerate(image_keys)}
    return ", ".join(f":{name}" for name in named), named


_FROM = (
    " FROM image_package p JOIN package_finding f ON f.package_key = p.package_key"
    " LEFT JOIN image_suppression s ON s.image_key = p.image_key AND s.package_key = p.package_key AND s.name = f.name"
    " WHERE p.image_key IN ({images}) AND p.of_distribution >= :least"
)
_AS_OF = " AND f.since_generation <= :generation AND (f.until_generation IS NULL OR f.until_generation > :generation)"
_ROW = (
    "f.severity, f.name, p.package_key, p.image_key, f.score_tenths, f.fixed_version, f.details_key, f.first_us,"
    " f.since_us, f.until_us, s.justification, s.source"
)
_STEP = f"WITH step AS MATERIALIZED (SELECT {_ROW}{_FROM}"
"""An image bounds what is gathered: its packages, and what affects them."""
_PAGE = (
    "SELECT severity, name, package_key, MIN(image_key), MIN(score_tenths), MIN(fixed_version), MIN(details_key),"
    " MIN(first_us), MIN(since_us), MIN(until_us),"
    " CASE WHEN COUNT(*) = COUNT(justification) THEN MIN(justification) END,"
    " CASE WHEN COUNT(*) = COUNT(justification) THEN MIN(source) END FROM step"
    " WHERE (severity > :severity OR (severity = :severity"
    " AND (name < :name OR (name = :name AND package_key > :package_key))))"
    " GROUP BY severity, name, package_key ORDER BY severity, name DESC, package_key LIMIT :most"
)


def after(
    db: Connection,
    image_keys: Sequence[int],
    position: tuple[int, str, int],
    most: int,
    *,
    of_distribution: bool,
    generation: int = NOW,
) -> list[ImageFinding]:
    """Up to ``most`` findings of images together, the worst first, then by name from the last, after a position of
    (severity, name, package key).

    Args:
        image_keys: an image, or the members of an index: what several have is one finding, and suppressed where it is
            in all of them.
        of_distribution: only the distribution's packages.
        generation: as of which build of the data; now by default.
    """
    images, named = _of_images(image_keys)
    rows = db.rows(
        f"{_STEP.format(images=images)}{_AS_OF}) {_PAGE}",
        least=int(of_distribution),
        generation=generation,
        severity=position[0],
        name=position[1],
        package_key=position[2],
        most=most,
        **named,
    )
    return [ImageFinding(*row) for row in rows]


def closed_after(
    db: Connection, image_keys: Sequence[int], position: tuple[int, str, int], most: int, *, since_us: int
) -> list[ImageFinding]:
    """Findings that ended after an instant and did not begin again, in the order of ``after``."""
    images, named = _of_images(image_keys)
    rows = db.rows(
        f"{_STEP.format(images=images)} AND f.until_us >= :since_us"
        " AND NOT EXISTS (SELECT 1 FROM package_finding n WHERE n.package_key = f.package_key AND n.name = f.name"
        f" AND n.until_generation IS NULL)) {_PAGE}",
        least=0,
        since_us=since_us,
        severity=position[0],
        name=position[1],
        package_key=position[2],
        most=most,
        **named,
    )
    return [ImageFinding(*row) for row in rows]


def last_of(db: Connection, image_keys: Sequence[int], package_key: int, name: str) -> list[ImageFinding]:
    """The last verdict on one vulnerability of one package, of whichever image has it first; one or none."""
    images, named = _of_images(image_keys)
    rows = db.rows(
        f"{_STEP.format(images=images)} AND p.package_key = :package_key AND f.name = :name)"
        " SELECT * FROM step ORDER BY since_us DESC, image_key LIMIT 1",
        least=0,
        package_key=package_key,
        name=name,
        **named,
    )
    return [ImageFinding(*row) for row in rows]


def counts(
    db: Connection, image_keys: Sequence[int], *, of_distribution: bool, generation: int = NOW
) -> dict[int, int]:
    """How many findings of each severity images have together, suppressed ones left out."""
    images, named = _of_images(image_keys)
    rows = db.rows(
        f"{_STEP.format(images=images)}{_AS_OF}), counted AS (SELECT severity, name, package_key FROM step"
        " GROUP BY severity, name, package_key HAVING COUNT(*) > COUNT(justification))"
        " SELECT severity, COUNT(*) FROM counted GROUP BY severity",
        least=int(of_distribution),
        generation=generation,
        **named,
    )
    return {row[0]: row[1] for row in rows}
