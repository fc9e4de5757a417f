"""Which findings of an image VEX statements suppress, and why.

Administrators' rules count always. What is attached to an image counts only where a rule trusts it, and never against a
rule: who pushes an image may state whatever they like of it. Of several statements of one kind on a finding the latest
decides (OpenVEX specification 0.2.0, "Updating statements").
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import orjson

from openecr.db import images, inventories, repositories, suppressions, verdicts
from openecr.db import storage_classes as image_rows
from openecr.db.connection import Connection
from openecr.db.repositories import Repository
from openecr.db.suppressions import Suppressed, VexRule
from openecr.deployment import Deployment
from openecr.names import Digest, RegistryName
from openecr.scan.packages import Distribution, InstalledPackage
from openecr.scan.purl import package_url
from openecr.scan.vex import SUPPRESSING, Statement, Statements, VexImage
from openecr.services.ecr.mutability_rules import matches
from openecr.services.ecr.scanning import inventory, target
from openecr.services.ecr.scanning.suppression_requests import VEX_TYPES
from openecr.services.ecr.scanning.vex_documents import VexDocuments
from openecr.settings import Settings

MOST_RULES = 200
"""Of a registry."""
_MOST_REFERRERS = 200
_AT_ONCE = 100
_SEPARATOR = ": "


class Outdated(Exception):
    """Rules or attached documents changed meanwhile: gather them again."""


@dataclass(frozen=True, slots=True)
class Basis:
    """What counts on an image: as long as this is the same, so are the statements."""

    rules: tuple[tuple[int, str], ...] = ()
    """(key, name) of the rules with a document for its repository."""
    attached: tuple[tuple[int, bytes, bytes], ...] = ()
    """(image key, digest, subject) of the artifacts that refer to it, where a rule trusts them."""
    parents: tuple[bytes, ...] = ()
    """Digests of the indexes that name it."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """The statements that count on an image."""

    image_key: int
    basis: Basis
    ruled: Statements
    attached: Statements
    settings: Settings


async def gather(deployment: Deployment, documents: VexDocuments, image_key: int) -> Gathered:
    """Read the statements that count on an image now."""
    basis = await deployment.database.read(partial(_basis, image_key=image_key))
    ruled = [item for key, name in basis.rules for item in await documents.of_rule(key, name)]
    attached = [
        item
        for key, digest, subject in basis.attached
        for item in await documents.of_referrer(key, str(Digest(digest)), str(Digest(subject)))
    ]
    return Gathered(image_key, basis, Statements(ruled), Statements(attached), deployment.settings)


async def suppress(deployment: Deployment, documents: VexDocuments, image_key: int) -> None:
    """Bring what is suppressed of an image to the statements that count on it; whoever calls counts what is left."""
    while True:
        gathered = await gather(deployment, documents, image_key)
        try:
            await deployment.database.write(partial(settle, gathered=gathered))
        except Outdated:
            continue
        return


def _basis(db: Connection, image_key: int) -> Basis:
    image, repository = image_rows.find(db, image_key), _repository(db, image_key)
    if image is None or repository is None:
        return Basis()
    rules = [
        rule for rule in rules_of(db, repository.registry_key) if matches(rule.repository_pattern, repository.name)
    ]
    if not rules:
        return Basis()
    above = (image_rows.find(db, key) for key in target.indexes_above(db, image_key))
    parents = tuple(sorted(index.digest for index in above if index is not None))
    attached: list[tuple[int, bytes, bytes]] = []
    if any(rule.trusts_attached for rule in rules):
        for subject in (image.digest, *parents):
            found = images.referrers_after(db, repository.key, subject, b"", _MOST_REFERRERS)
            attached += [
                (item.key, item.digest, subject)
                for item in found
                if (item.artifact_type or item.config_media_type) in VEX_TYPES
            ]
    own = tuple((rule.key, rule.name) for rule in rules if not rule.trusts_attached)
    return Basis(own, tuple(attached), parents)


def _repository(db: Connection, image_key: int) -> Repository | None:
    key = images.repository_of(db, image_key)
    return None if key is None else repositories.find_by_key(db, key)


def rules_of(db: Connection, registry_key: int) -> list[VexRule]:
    """All rules of a registry, by name."""
    return suppressions.rules(db, registry_key, "", MOST_RULES)


def settle(db: Connection, gathered: Gathered) -> list[tuple[int, str]]:
    """Suppress what the statements suppress, and nothing else; (package key, name) of what that changes.

    Raises:
        Outdated: other statements count by now.
    """
    if not images.hold(db, gathered.image_key):
        return []
    if _basis(db, gathered.image_key) != gathered.basis:
        raise Outdated
    basis = gathered.basis
    wanted = _wanted(db, gathered) if basis.rules or basis.attached else []
    return suppressions.replace(db, gathered.image_key, wanted)


def _wanted(db: Connection, gathered: Gathered) -> list[Suppressed]:
    image, repository = image_rows.find(db, gathered.image_key), _repository(db, gathered.image_key)
    kept = inventories.find_image(db, gathered.image_key)
    if image is None or repository is None or kept is None:
        return []
    known = inventory.unpack(kept.document)
    about = VexImage(
        digests=frozenset(str(Digest(digest)) for digest in (image.digest, *gathered.basis.parents)),
        repositories=names_of(gathered.settings, repository.registry, repository.name),
        architecture=known.architecture,
    )
    judge = Judge(gathered.ruled, gathered.attached, about, known.distribution)
    places = known.by_package_key()
    listed = suppressions.suppressible(db, gathered.image_key)
    related = _related(db, [item.details_key for item in listed])
    wanted: dict[tuple[int, str], Suppressed] = {}
    for item in listed:
        names = {item.name, *related.get(item.details_key, ())}
        decides = judge.suppresses(names, places.get(item.package_key, []))
        if decides is not None:
            wanted[item.package_key, item.name] = Suppressed(
                item.package_key, item.name, justification_of(decides), decides.source
            )
    return list(wanted.values())


def _related(db: Connection, details_keys: Sequence[int]) -> dict[int, tuple[str, ...]]:
    wanted = list(dict.fromkeys(details_keys))
    found: dict[int, tuple[str, ...]] = {}
    for start in range(0, len(wanted), _AT_ONCE):
        documents = verdicts.details(db, wanted[start : start + _AT_ONCE])
        found |= {key: tuple(orjson.loads(text)["related"]) for key, text in documents.items()}
    return found


@dataclass(frozen=True, slots=True)
class Judge:
    """What the statements that count say of the findings of one image."""

    ruled: Statements
    attached: Statements
    image: VexImage
    distribution: Distribution | None

    def suppresses(self, names: set[str], installed: Iterable[InstalledPackage]) -> Statement | None:
        """The statement that suppresses a finding; None where any place of the package is not said to be safe."""
        decides: Statement | None = None
        for place in installed:
            url = package_url(place.package, self.distribution)
            decides = self.ruled.deciding(names, url, self.image) or self.attached.deciding(names, url, self.image)
            if decides is None or decides.status not in SUPPRESSING:
                return None
        return decides


def names_of(settings: Settings, registry: RegistryName, name: str) -> frozenset[str]:
    """What a repository may be called in a statement: its name, alone and behind a host of its registry.

    Tags are not among what names an image: they move, and a statement would go with them.
    """
    ecr = f"{registry.account_id}.dkr.ecr.{registry.region}"
    hosts = [str(registry), f"{ecr}.amazonaws.com", f"localhost:{settings.port}"]
    hosts += [f"{ecr}.{settings.domain}"] if settings.domain else []
    hosts += [settings.url.partition("://")[2].rstrip("/")] if settings.url else []
    return frozenset((name, *(f"{host}/{name}" for host in hosts)))


def justification_of(decides: Statement) -> str:
    """A statement in one line: ``not_affected: vulnerable_code_not_present: the author's own words``."""
    parts = (decides.status.value, decides.justification, decides.detail)
    return _SEPARATOR.join(" ".join(part.split()) for part in parts if part)
