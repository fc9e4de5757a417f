"""VEX documents, OpenVEX and CycloneDX, to statements.

Source: the OpenVEX specification 0.2.0 and its JSON schema (0.0.1's plain texts are read too); CycloneDX 1.6,
``vulnerabilities[]`` and BOM-Link.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from packageurl import PackageURL

from openecr import bounded_json
from openecr.scan.documents import items, mapping, text
from openecr.scan.purl import parsed
from openecr.scan.vex import Product, Statement, Status

MEDIA_TYPES = frozenset({"application/vnd.openvex+json", "application/vnd.cyclonedx+json"})
_MOST_BYTES = 8 << 20
_MOST_STATEMENTS = 50_000
_MOST_PARTS = 100_000
_MOST_PARTS_OF_ONE = 20_000
"""Products and their packages, for each name of the vulnerability."""
_MOST_CHARACTERS = 2000
"""Of what is kept of the author's words."""
_CYCLONEDX_STATES = {
    "resolved": Status.FIXED,
    "resolved_with_pedigree": Status.FIXED,
    "not_affected": Status.NOT_AFFECTED,
    "false_positive": Status.NOT_AFFECTED,
    "exploitable": Status.AFFECTED,
    "in_triage": Status.UNDER_INVESTIGATION,
}


class VexRefused(ValueError):
    """The document is neither OpenVEX nor CycloneDX, or larger than is read; the message says which."""


def vex_statements(content: bytes, attached_to: str = "") -> tuple[Statement, ...]:
    """A document's statements, in its order; those that the specification calls incomplete are left out.

    Args:
        content: the document.
        attached_to: the digest of the image that it is attached to: a statement without a product is about that.

    Raises:
        VexRefused
    """
    if len(content) > _MOST_BYTES:
        raise VexRefused(f"larger than {_MOST_BYTES} bytes")
    try:
        document = mapping(bounded_json.loads(content))
    except bounded_json.JsonRefused as refused:
        raise VexRefused(f"the document {refused}") from None
    if document.get("bomFormat") == "CycloneDX":
        made = _cyclonedx(document, attached_to)
    elif "openvex" in text(document.get("@context")):
        made = _openvex(document, attached_to)
    else:
        raise VexRefused("neither OpenVEX nor CycloneDX")
    statements: list[Statement] = []
    parts = 0
    for statement in made:
        named = _parts(statement)
        parts += named
        if len(statements) >= _MOST_STATEMENTS or named > _MOST_PARTS_OF_ONE or parts > _MOST_PARTS:
            raise VexRefused("holds more statements, or statements of more products, than are read")
        statements.append(statement)
    return tuple(statements)


def _parts(statement: Statement) -> int:
    """How often it is kept: for each name of the vulnerability and each package or image."""
    products = sum(1 + len(product.urls) + len(product.packages or ()) for product in statement.products)
    return max(1, products) * len(statement.vulnerability)


def _openvex(document: Mapping[str, Any], attached_to: str) -> Iterator[Statement]:
    written_us = _latest_us(document)
    source = _source(document.get("@id"), document.get("author"))
    for row in map(mapping, items(document.get("statements"))):
        vulnerability = row.get("vulnerability")
        names = [vulnerability] if isinstance(vulnerability, str) else _openvex_names(mapping(vulnerability))
        status = _status(row.get("status"))
        justification, impact = text(row.get("justification")), text(row.get("impact_statement"))
        if status is None or (status is Status.NOT_AFFECTED and not justification and not impact):
            continue
        shared = _packages(row.get("subcomponents"))
        products = tuple(_openvex_product(each, shared) for each in items(row.get("products")))
        if not products and attached_to:
            products = (Product(digests=frozenset({attached_to}), packages=shared),)
        yield Statement(
            _names(names),
            products,
            status,
            justification[:_MOST_CHARACTERS],
            (impact or text(row.get("status_notes")))[:_MOST_CHARACTERS],
            _latest_us(row) or written_us,
            source,
        )


def _openvex_names(vulnerability: Mapping[str, Any]) -> list[Any]:
    return [vulnerability.get("name"), *items(vulnerability.get("aliases"))]


def _openvex_product(value: Any, shared: tuple[PackageURL, ...] | None) -> Product:
    product = {"@id": value} if isinstance(value, str) else mapping(value)
    hashed = mapping(product.get("hashes")).get("sha-256")
    identifier = text(product.get("@id"))
    named = [identifier, mapping(product.get("identifiers")).get("purl")]
    digests = {f"sha256:{hashed.lower()}"} if isinstance(hashed, str) else set()
    if not identifier.startswith("pkg:"):
        # An image's plain name: ``host/app@sha256:…``, or a digest alone.
        digests |= {part for part in (identifier.rpartition("@")[2],) if part.startswith("sha256:")}
    return Product(
        _urls(named),
        frozenset(digests),
        _packages(product.get("subcomponents")) if product.get("subcomponents") else shared,
    )


def _packages(subcomponents: Any) -> tuple[PackageURL, ...] | None:
    """The packages that subcomponents are; of those that are no package URLs nothing is known, and nothing meant."""
    rows = items(subcomponents)
    if not rows:
        return None
    named: list[Any] = []
    for row in rows:
        if isinstance(row, str):
            named.append(row)
        else:
            named += [mapping(row).get("@id"), mapping(mapping(row).get("identifiers")).get("purl")]
    return _urls(named)


def _cyclonedx(document: Mapping[str, Any], attached_to: str) -> Iterator[Statement]:
    metadata = mapping(document.get("metadata"))
    written_us = _instant_us(metadata.get("timestamp"))
    about = mapping(metadata.get("component"))
    source = _source(document.get("serialNumber"), about.get("name"))
    urls = dict(_references(document))
    for row in map(mapping, items(document.get("vulnerabilities"))):
        analysis = mapping(row.get("analysis"))
        status = _CYCLONEDX_STATES.get(text(analysis.get("state")))
        if status is None:
            continue
        references = (mapping(each).get("id") for each in items(row.get("references")))
        yield Statement(
            _names([row.get("id"), *references]),
            tuple(_cyclonedx_product(mapping(each), about, urls, attached_to) for each in items(row.get("affects"))),
            status,
            text(analysis.get("justification"))[:_MOST_CHARACTERS],
            text(analysis.get("detail"))[:_MOST_CHARACTERS],
            max(map(_instant_us, (analysis.get("lastUpdated"), analysis.get("firstIssued"))))
            or _instant_us(row.get("updated"))
            or written_us,
            source,
        )


def _references(document: Mapping[str, Any]) -> Iterator[tuple[str, PackageURL]]:
    pending = [mapping(document.get("metadata")).get("component"), *items(document.get("components"))]
    while pending:
        component = mapping(pending.pop())
        url = parsed(text(component.get("purl")))
        if url is not None:
            yield text(component.get("bom-ref")), url
        pending.extend(items(component.get("components")))


def _cyclonedx_product(
    affected: Mapping[str, Any], about: Mapping[str, Any], urls: dict[str, PackageURL], attached_to: str
) -> Product:
    """What is affected: the document's own component as a whole, a package of it, or a package of any image."""
    reference = text(affected.get("ref"))
    if reference.startswith("urn:cdx:"):
        reference = unquote(reference.partition("#")[2])
    package = urls.get(reference) or parsed(reference)
    versions = _versions(affected)
    subject = parsed(text(about.get("purl")))
    whole = bool(reference) and reference == about.get("bom-ref")
    packages = None if whole else (package,) if package is not None else ()
    if attached_to:
        return Product((), frozenset({attached_to}), packages, versions)
    if subject is not None and subject.type in ("oci", "docker"):
        return Product((subject,), frozenset(), packages, versions)
    return Product((package,) if package is not None else (), frozenset(), None, versions)


def _versions(affected: Mapping[str, Any]) -> frozenset[str] | None:
    """The versions that are named one by one; of ranges none is, as nothing may be suppressed by a guess."""
    rows = items(affected.get("versions"))
    return frozenset(text(mapping(row).get("version")) for row in rows) if rows else None


def _names(values: list[Any]) -> frozenset[str]:
    return frozenset(value.strip().upper() for value in values if isinstance(value, str) and value.strip())


def _urls(values: list[Any]) -> tuple[PackageURL, ...]:
    found = (parsed(value) for value in values if isinstance(value, str) and value.startswith("pkg:"))
    return tuple(dict.fromkeys(url for url in found if url is not None))


def _source(identifier: Any, author: Any) -> str:
    return " by ".join(part[:200] for part in (text(identifier), text(author)) if part)


def _status(value: Any) -> Status | None:
    try:
        return Status(text(value))
    except ValueError:
        return None


def _latest_us(row: Mapping[str, Any]) -> int:
    return max(_instant_us(row.get("timestamp")), _instant_us(row.get("last_updated")))


def _instant_us(value: Any) -> int:
    """RFC 3339; 0 where it is none."""
    if not isinstance(value, str) or len(value) > 64:
        return 0
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return 0
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    elapsed = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return max(0, (elapsed.days * 86_400 + elapsed.seconds) * 1_000_000 + elapsed.microseconds)
