"""VEX: which statements suppress which findings, and which do not."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packageurl import PackageURL

from openecr.scan.vex import Statements, Status, Suppression, VexImage, suppresses
from openecr.scan.vex_documents import VexRefused, vex_statements

DIGEST = "sha256:" + "a" * 64
OTHER = "sha256:" + "b" * 64
IMAGE = VexImage(frozenset({DIGEST}), frozenset({"registry.example/team/app", "team/app"}), frozenset({"v1"}), "amd64")
OPENSSL = PackageURL.from_string("pkg:deb/debian/libssl3@3.0.11-1?arch=amd64&distro=debian-12")
NAMES = {"CVE-2024-1234", "GHSA-aaaa-bbbb-cccc"}


def openvex(*statements: dict[str, Any], **more: Any) -> bytes:
    document = {
        "@context": "https://openvex.dev/ns/v0.2.0",
        "@id": "https://vex.example/1",
        "author": "security@example.com",
        "timestamp": "2024-06-01T00:00:00Z",
        "version": 1,
        "statements": statements,
    }
    return json.dumps(document | more).encode()


def stated(status: str = "not_affected", **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "vulnerability": {"name": "CVE-2024-1234"},
        "products": [{"@id": f"pkg:oci/app@{DIGEST}", "subcomponents": [{"@id": "pkg:deb/debian/libssl3"}]}],
        "status": status,
    }
    if status == "not_affected":
        made["justification"] = "vulnerable_code_not_in_execute_path"
    return made | more


def decided(
    *documents: bytes, package: PackageURL = OPENSSL, image: VexImage = IMAGE, attached: str = ""
) -> Suppression | None:
    statements = [each for document in documents for each in vex_statements(document, attached)]
    return Statements(statements).suppression(NAMES, OPENSSL, IMAGE)


def test_a_suppression_says_why_and_who_says_so() -> None:
    suppression = decided(openvex(stated(impact_statement="We never call it.")))
    assert suppression == Suppression(
        Status.NOT_AFFECTED,
        "vulnerable_code_not_in_execute_path",
        "We never call it.",
        "https://vex.example/1 by security@example.com",
        1_717_200_000_000_000,
    )


@pytest.mark.parametrize(
    ("status", "suppressed"),
    [
        ("not_affected", True),
        ("fixed", True),
        ("affected", False),
        ("under_investigation", False),
        ("safe", False),
        (1, False),
    ],
)
def test_two_of_openvexs_statuses_suppress(status: Any, suppressed: bool) -> None:
    assert (decided(openvex(stated(status))) is not None) is suppressed


@pytest.mark.parametrize(
    ("vulnerability", "suppressed"),
    [
        ({"name": "CVE-2024-1234"}, True),
        ({"name": "cve-2024-1234"}, True),
        ({"name": "GHSA-AAAA-bbbb-cccc"}, True),
        ({"name": "OTHER-1", "aliases": ["CVE-2024-1234"]}, True),
        ("CVE-2024-1234", True),
        ({"@id": "https://cve.example/CVE-2024-1234", "name": "CVE-2024-1234"}, True),
        ({"name": "CVE-2024-12345"}, False),
        ({"name": ""}, False),
        ({}, False),
        (None, False),
        ([{"name": "CVE-2024-1234"}], False),
    ],
)
def test_a_vulnerability_is_meant_by_its_name_or_an_alias(vulnerability: Any, suppressed: bool) -> None:
    assert (decided(openvex(stated(vulnerability=vulnerability))) is not None) is suppressed


LIBSSL = [{"@id": "pkg:deb/debian/libssl3"}]


@pytest.mark.parametrize(
    ("product", "suppressed"),
    [
        # the image as a whole
        ({"@id": f"pkg:oci/app@{DIGEST}"}, True),
        ({"@id": f"pkg:oci/app@{DIGEST.replace(':', '%3A')}"}, True),
        ({"@id": "pkg:oci/app"}, True),
        ({"@id": f"pkg:oci/app@{OTHER}"}, False),
        ({"@id": "pkg:oci/other"}, False),
        ({"@id": "pkg:oci/pp"}, False),
        ({"@id": "pkg:oci/app?repository_url=registry.example/team/app"}, True),
        ({"@id": "pkg:oci/app?repository_url=registry.example/team"}, True),
        ({"@id": "pkg:oci/app?repository_url=elsewhere.example/team/app"}, False),
        ({"@id": "pkg:oci/app?tag=v1&arch=amd64"}, True),
        ({"@id": "pkg:oci/app?tag=v2"}, False),
        ({"@id": "pkg:oci/app?arch=arm64"}, False),
        ({"@id": "https://example.com/app", "identifiers": {"purl": f"pkg:oci/app@{DIGEST}"}}, True),
        ({"@id": "https://example.com/app", "hashes": {"sha-256": "A" * 64}}, True),
        ({"@id": "https://example.com/app", "hashes": {"sha-256": "b" * 64}}, False),
        ({"@id": f"registry.example/team/app@{DIGEST}"}, True),
        ({"@id": DIGEST}, True),
        ({"@id": "https://example.com/app"}, False),
        ({"@id": "app"}, False),
        (f"pkg:oci/app@{DIGEST}", True),
        ("pkg:", False),
        ({}, False),
        (None, False),
        # a package of it
        ({"@id": "pkg:oci/app", "subcomponents": LIBSSL}, True),
        ({"@id": "pkg:oci/app", "subcomponents": ["pkg:deb/debian/libssl3@3.0.11-1"]}, True),
        (
            {"@id": "pkg:oci/app", "subcomponents": [{"@id": "x", "identifiers": {"purl": "pkg:deb/debian/libssl3"}}]},
            True,
        ),
        ({"@id": "pkg:oci/app", "subcomponents": [{"@id": "pkg:deb/debian/libssl3@3.0.12-1"}]}, False),
        ({"@id": "pkg:oci/app", "subcomponents": [{"@id": "pkg:deb/debian/curl"}]}, False),
        ({"@id": "pkg:oci/app", "subcomponents": [{"@id": "libssl3"}]}, False),
        ({"@id": "pkg:oci/app", "subcomponents": [1]}, False),
        ({"@id": f"pkg:oci/app@{OTHER}", "subcomponents": LIBSSL}, False),
        # a package wherever it is
        ({"@id": "pkg:deb/debian/libssl3"}, True),
        ({"@id": "pkg:deb/debian/libssl3@3.0.11-1"}, True),
        ({"@id": "pkg:deb/debian/libssl3@3.0.11-1?distro=debian-11"}, False),
        ({"@id": "pkg:deb/ubuntu/libssl3"}, False),
        ({"@id": "pkg:deb/debian/nginx", "subcomponents": LIBSSL}, False),
    ],
)
def test_what_a_product_is_and_what_of_it_is_meant(product: Any, suppressed: bool) -> None:
    assert (decided(openvex(stated(products=[product]))) is not None) is suppressed


def test_a_statement_without_product_is_about_the_image_that_the_document_is_attached_to() -> None:
    alone = openvex(stated(products=[]))
    assert decided(alone) is None
    assert decided(alone, attached=OTHER) is None
    assert decided(alone, attached=DIGEST) is not None
    limited = openvex(stated(products=[], subcomponents=["pkg:deb/debian/curl"]))
    assert decided(limited, attached=DIGEST) is None


def test_subcomponents_of_the_first_version_are_those_of_every_product() -> None:
    first = stated(products=["pkg:oci/app"], subcomponents=["pkg:deb/debian/curl"])
    assert decided(openvex(first)) is None
    assert decided(openvex(first | {"subcomponents": ["pkg:deb/debian/libssl3"]})) is not None


def test_not_affected_needs_a_reason() -> None:
    bare = stated()
    del bare["justification"]
    assert decided(openvex(bare)) is None
    assert decided(openvex(bare | {"impact_statement": "It is not called."})) is not None
    assert decided(openvex(stated("fixed"))) is not None


@pytest.mark.parametrize(
    ("earlier", "later", "suppressed"),
    [("not_affected", "affected", False), ("affected", "fixed", True), ("under_investigation", "not_affected", True)],
)
def test_the_latest_statement_decides_in_whichever_order_they_come(earlier: str, later: str, suppressed: bool) -> None:
    first = openvex(stated(earlier, timestamp="2024-01-01T00:00:00Z"))
    second = openvex(stated(later, timestamp="2024-01-01T00:00:00.5+00:00"))
    for documents in ((first, second), (second, first)):
        assert (decided(*documents) is not None) is suppressed


def test_a_statement_without_time_has_its_documents_and_counts_its_update() -> None:
    affected = stated("affected", timestamp="2024-05-01T00:00:00Z")
    assert decided(openvex(affected, stated())) is not None
    assert decided(openvex(affected, stated(), timestamp="2024-04-01T00:00:00Z")) is None
    assert decided(openvex(affected | {"last_updated": "2024-07-01T00:00:00Z"}, stated())) is None
    assert decided(openvex(affected, stated(), timestamp="yesterday")) is None


def test_of_the_same_instant_the_later_in_the_document_decides() -> None:
    assert decided(openvex(stated(), stated("affected"))) is None
    assert decided(openvex(stated("affected"), stated())) is not None


def test_a_later_statement_about_another_package_decides_nothing_here() -> None:
    other = stated("affected", products=[{"@id": "pkg:deb/debian/curl"}], timestamp="2025-01-01T00:00:00Z")
    assert decided(openvex(stated(), other)) is not None


def test_of_more_statements_on_a_package_than_are_kept_the_latest_are() -> None:
    old = [
        stated("affected", products=["pkg:oci/other"], timestamp=f"2023-01-01T00:00:{n % 60:02}Z") for n in range(2000)
    ]
    assert decided(openvex(*old, stated())) is not None
    assert decided(openvex(stated(), *old)) is not None


def test_one_statement_alone() -> None:
    (statement,) = vex_statements(openvex(stated()))
    assert suppresses(statement, NAMES, OPENSSL, IMAGE) is not None
    assert suppresses(statement, {"CVE-2000-1"}, OPENSSL, IMAGE) is None
    (statement,) = vex_statements(openvex(stated("affected")))
    assert suppresses(statement, NAMES, OPENSSL, IMAGE) is None


def cyclonedx(
    analysis: dict[str, Any], ref: str = "openssl", about: dict[str, Any] | None = None, **more: Any
) -> bytes:
    vulnerability = {"id": "CVE-2024-1234", "analysis": analysis, "affects": [{"ref": ref}]}
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79",
        "metadata": {"timestamp": "2024-06-01T00:00:00Z", **({"component": about} if about else {})},
        "components": [
            {"bom-ref": "outer", "components": [{"bom-ref": "openssl", "purl": "pkg:deb/debian/libssl3@3.0.11-1"}]},
            {"bom-ref": "curl", "purl": "pkg:deb/debian/curl"},
        ],
        "vulnerabilities": [vulnerability | more],
    }
    return json.dumps(document).encode()


NOT_AFFECTED = {"state": "not_affected", "justification": "code_not_reachable", "detail": "Never called."}
ABOUT = {"bom-ref": "image", "name": "app", "type": "container", "purl": f"pkg:oci/app@{DIGEST}"}
ABOUT_OTHER = ABOUT | {"purl": f"pkg:oci/app@{OTHER}"}


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("resolved", Status.FIXED),
        ("resolved_with_pedigree", Status.FIXED),
        ("not_affected", Status.NOT_AFFECTED),
        ("false_positive", Status.NOT_AFFECTED),
        ("exploitable", None),
        ("in_triage", None),
        ("", None),
    ],
)
def test_four_of_cyclonedxs_states_suppress(state: str, status: Status | None) -> None:
    suppression = decided(cyclonedx({"state": state}))
    assert (suppression.status if suppression else None) == status


@pytest.mark.parametrize(
    ("document", "suppressed"),
    [
        (cyclonedx(NOT_AFFECTED), True),
        (cyclonedx(NOT_AFFECTED, "curl"), False),
        (cyclonedx(NOT_AFFECTED, "unknown"), False),
        (cyclonedx(NOT_AFFECTED, ""), False),
        (cyclonedx(NOT_AFFECTED, "pkg:deb/debian/libssl3"), True),
        (cyclonedx(NOT_AFFECTED, "urn:cdx:3e671687-395b-41f5-a30f-a58921a69b79/1#pkg:deb%2Fdebian%2Flibssl3"), True),
        (cyclonedx(NOT_AFFECTED, about=ABOUT), True),
        (cyclonedx(NOT_AFFECTED, about=ABOUT_OTHER), False),
        (cyclonedx(NOT_AFFECTED, "image", about=ABOUT), True),
        (cyclonedx(NOT_AFFECTED, "image", about=ABOUT_OTHER), False),
        (cyclonedx(NOT_AFFECTED, "unknown", about=ABOUT), False),
        (cyclonedx(NOT_AFFECTED, id="GHSA-0", references=[{"id": "CVE-2024-1234"}]), True),
        (cyclonedx(NOT_AFFECTED, affects=[{"ref": "openssl", "versions": [{"version": "3.0.11-1"}]}]), True),
        (cyclonedx(NOT_AFFECTED, affects=[{"ref": "openssl", "versions": [{"version": "3.0.12-1"}]}]), False),
        (cyclonedx(NOT_AFFECTED, affects=[{"ref": "openssl", "versions": [{"range": "vers:deb/>=3.0"}]}]), False),
        (cyclonedx(NOT_AFFECTED, affects=[]), False),
    ],
)
def test_what_cyclonedx_is_about(document: bytes, suppressed: bool) -> None:
    assert (decided(document) is not None) is suppressed


def test_what_cyclonedx_says_of_it() -> None:
    suppression = decided(cyclonedx(NOT_AFFECTED | {"lastUpdated": "2024-07-01T00:00:00Z"}, about=ABOUT))
    assert suppression is not None
    assert (suppression.justification, suppression.detail) == ("code_not_reachable", "Never called.")
    assert suppression.stated_us == 1_719_792_000_000_000
    assert suppression.source == "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79 by app"


def test_cyclonedx_that_is_attached_is_about_that_image_alone() -> None:
    document = cyclonedx(NOT_AFFECTED)
    assert decided(document, attached=DIGEST) is not None
    assert decided(document, attached=OTHER) is None


SMALL = {"vulnerability": "a", "products": [], "status": "fixed"}
MANY = [f"pkg:deb/a/p{number}" for number in range(100)]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not valid JSON"),
        (b"[]", "neither"),
        (b"{}", "neither"),
        (b"\xff", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b'{"a":' * 100 + b"1" + b"}" * 100, "nested deeper"),
        (b'{"@context": 1}', "neither"),
        (b'{"bomFormat": "SPDX"}', "neither"),
        (b" " * (9 << 20), "larger than"),
        (b'{"@context": "openvex", "statements": [' + b"1," * 1_500_000 + b"1]}", "too many values"),
        (openvex(*[SMALL] * 60_000), "more statements"),
        (openvex(stated(products=["pkg:oci/app"] * 12_000)), "more statements"),
        (openvex(stated(products=["pkg:oci/app"] * 200, subcomponents=MANY)), "more statements"),
        (
            openvex(stated(vulnerability={"name": "a", "aliases": [f"CVE-2024-{n}" for n in range(8000)]})),
            "more statements",
        ),
    ],
)
def test_what_is_no_vex_or_too_much_of_it_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(VexRefused, match=reason):
        vex_statements(content)


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=4), lambda inner: st.lists(inner, max_size=3), max_leaves=8
)
KEYS = (
    "vulnerability",
    "products",
    "status",
    "timestamp",
    "justification",
    "subcomponents",
    "name",
    "aliases",
    "@id",
    "hashes",
    "identifiers",
)


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(st.sampled_from(KEYS), JSON | st.dictionaries(st.sampled_from(KEYS), JSON, max_size=3), max_size=6)
)
def test_statements_of_any_shape_are_read(changes: dict[str, Any]) -> None:
    decided(openvex(stated() | changes))
    decided(cyclonedx(NOT_AFFECTED, affects=changes.get("products", []), id=changes.get("name")))


@pytest.mark.parametrize(
    "moment", ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00+23:59", "2024-01-01", "x" * 100, "²024-01-01T00:00:00Z", 5]
)
def test_times_of_any_form(moment: Any) -> None:
    assert decided(openvex(stated(timestamp=moment))) is not None
