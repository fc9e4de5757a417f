"""SBOMs: what they tell of an image, that others can read them, and that the same image gives the same bytes."""

import json
from dataclasses import replace
from typing import Any

import pytest
from cyclonedx.model.bom import Bom
from packageurl import PackageURL

from openecr.scan.advisories import Details, Rating, Severity
from openecr.scan.findings import Finding
from openecr.scan.packages import Distribution, ImageInventory, InstalledPackage, Package, Unread
from openecr.scan.sbom.contents import ImageSubject, ReportedFinding
from openecr.scan.sbom.cyclonedx import cyclonedx
from openecr.scan.sbom.spdx import spdx
from openecr.scan.vex import Status, Suppression
from openecr.scan.vex_documents import vex_statements

AT_US = 1_790_000_000_123_456
LAYERS = ("sha256:" + "1" * 64, "sha256:" + "2" * 64)
SUBJECT = ImageSubject("registry.example/team/app", "sha256:" + "a" * 64, LAYERS, "v1", "amd64")
LIBSSL = Package("dpkg", "libssl3", "3.0.11-1", "dpkg", "", "amd64", "openssl", "3.0.11-1", licenses=())
FLASK = Package("PyPI", "Flask", "0.12", "python-installed", licenses=("BSD-3-Clause",))
CORE = Package(
    "npm", "@babel/core", "7.0.0", "npm-lock", declared=True, development=True, licenses=("mit", "Own terms")
)
LOG4J = Package(
    "Maven",
    "org.apache.logging.log4j:log4j-core",
    "2.14.1",
    "jar",
    "WEB-INF/lib/log4j-core.jar",
    licenses=("Apache 2",),
    guessed=True,
)
INVENTORY = ImageInventory(
    (
        InstalledPackage(LOG4J, "srv/app.war", 1),
        InstalledPackage(FLASK, "usr/lib/python3/site-packages/Flask-0.12.dist-info/METADATA", 0),
        InstalledPackage(FLASK, "app/venv/lib/Flask-0.12.dist-info/METADATA", 1),
        InstalledPackage(CORE, "app/package-lock.json", 1),
        InstalledPackage(LIBSSL, "var/lib/dpkg/status", 0),
    ),
    Distribution("debian", "12", "bookworm", "Debian GNU/Linux 12 (bookworm)"),
)
FLASK_URL = "pkg:pypi/flask@0.12"
LOG4J_URL = "pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1"
LIBSSL_URL = "pkg:deb/debian/libssl3@3.0.11-1?arch=amd64&distro=debian-12&upstream=openssl"
CORE_URL = "pkg:npm/%40babel/core@7.0.0"
IMAGE_URL = f"pkg:oci/app@sha256:{'a' * 64}?arch=amd64&repository_url=registry.example/team/app&tag=v1"


def finding(name: str, severity: Severity, fixed: str | None = None, score: float | None = None) -> Finding:
    details = Details(
        name,
        "A summary",
        source="NVD",
        source_url=f"https://vulnerabilities.example/{name}",
        references=("https://a.example/1", "https://a.example/1", "https://b.example/2"),
        published_us=AT_US,
        modified_us=AT_US,
    )
    rating = Rating("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "3.1", score, "NVD") if score is not None else None
    return Finding(name, severity, score, fixed, name, ("GHSA-aaaa-bbbb-cccc",), details, rating)


FINDINGS = (
    ReportedFinding(LOG4J, finding("CVE-2021-44228", Severity.CRITICAL, "2.15.0", 9.8)),
    ReportedFinding(FLASK, finding("CVE-2018-1000656", Severity.UNDEFINED)),
    ReportedFinding(
        LIBSSL,
        finding("CVE-2018-1000656", Severity.HIGH),
        Suppression(
            Status.NOT_AFFECTED, "vulnerable_code_not_present", "we built without it", "urn:vex:1 by us", AT_US
        ),
    ),
)


def cyclonedx_document(**changes: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(cyclonedx(SUBJECT, replace(INVENTORY, **changes), AT_US, FINDINGS))
    return document


def spdx_document(**changes: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(spdx(SUBJECT, replace(INVENTORY, **changes), AT_US))
    return document


def test_cyclonedx_names_the_image_its_layers_and_each_package_once() -> None:
    document = cyclonedx_document()
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    image = document["metadata"]["component"]
    assert (image["type"], image["purl"], image["version"]) == ("container", IMAGE_URL, SUBJECT.digest)
    assert image["hashes"] == [{"alg": "SHA-256", "content": "a" * 64}]
    assert [each["value"] for each in image["properties"]] == list(LAYERS)
    assert document["metadata"]["timestamp"] == "2026-09-21T14:13:20Z"
    assert [each["bom-ref"] for each in document["components"]] == [
        "operating-system:debian",
        LIBSSL_URL,
        LOG4J_URL,
        CORE_URL,
        FLASK_URL,
    ]
    assert document["dependencies"] == [
        {"ref": IMAGE_URL, "dependsOn": [each["bom-ref"] for each in document["components"]]}
    ]


def test_cyclonedx_keeps_places_licences_groups_and_what_kind_of_word_it_is() -> None:
    by_url = {each["bom-ref"]: each for each in cyclonedx_document()["components"]}
    assert by_url[FLASK_URL]["evidence"]["occurrences"] == [
        {"location": "/app/venv/lib/Flask-0.12.dist-info/METADATA", "additionalContext": f"layer {LAYERS[1]}"},
        {
            "location": "/usr/lib/python3/site-packages/Flask-0.12.dist-info/METADATA",
            "additionalContext": f"layer {LAYERS[0]}",
        },
    ]
    assert by_url[FLASK_URL]["licenses"] == [{"expression": "BSD-3-Clause"}]
    assert by_url[LOG4J_URL]["group"] == "org.apache.logging.log4j"
    assert by_url[LOG4J_URL]["evidence"]["occurrences"][0]["location"] == "/srv/app.war!/WEB-INF/lib/log4j-core.jar"
    assert by_url[LOG4J_URL]["licenses"] == [{"license": {"name": "Apache 2"}}]
    assert {"name": "openecr:guessed", "value": "true"} in by_url[LOG4J_URL]["properties"]
    assert (by_url[CORE_URL]["group"], by_url[CORE_URL]["name"], by_url[CORE_URL]["scope"]) == (
        "@babel",
        "core",
        "excluded",
    )
    assert by_url[CORE_URL]["licenses"] == [{"license": {"name": "mit"}}, {"license": {"name": "Own terms"}}]
    assert {"name": "openecr:declared", "value": "true"} in by_url[CORE_URL]["properties"]


def test_cyclonedx_tells_of_findings_and_of_those_that_are_suppressed() -> None:
    harmless, log4j, flask = sorted(cyclonedx_document()["vulnerabilities"], key=lambda each: str(each["affects"]))
    assert log4j["id"] == "CVE-2021-44228"
    assert log4j["ratings"] == [
        {
            "source": {"name": "NVD"},
            "score": 9.8,
            "severity": "critical",
            "method": "CVSSv31",
            "vector": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
        }
    ]
    assert log4j["recommendation"] == "Upgrade org.apache.logging.log4j:log4j-core to 2.15.0"
    assert log4j["affects"] == [{"ref": LOG4J_URL, "versions": [{"version": "2.14.1", "status": "affected"}]}]
    assert "analysis" not in log4j
    assert flask["ratings"] == [{"severity": "unknown"}]
    assert (harmless["id"], flask["id"]) == ("CVE-2018-1000656", "CVE-2018-1000656")
    assert harmless["affects"] == [{"ref": LIBSSL_URL, "versions": [{"version": "3.0.11-1", "status": "unaffected"}]}]
    assert harmless["analysis"] == {
        "state": "not_affected",
        "justification": "code_not_present",
        "detail": "urn:vex:1 by us: we built without it",
    }


def test_what_cyclonedx_suppresses_suppresses_it_when_it_is_read_as_vex() -> None:
    content = cyclonedx(SUBJECT, INVENTORY, AT_US, FINDINGS)
    assert [statement.status for statement in vex_statements(content)] == [Status.NOT_AFFECTED]


def test_cyclonedxs_own_library_reads_it() -> None:
    document = cyclonedx_document()
    bom = Bom.from_json(document)  # type: ignore[attr-defined]
    assert {str(each.purl) for each in bom.components if each.purl} == {LIBSSL_URL, LOG4J_URL, CORE_URL, FLASK_URL}
    assert {each.id for each in bom.vulnerabilities} == {"CVE-2021-44228", "CVE-2018-1000656"}
    assert str(bom.metadata.component.purl) == IMAGE_URL
    assert bom.validate()


def test_spdx_has_the_image_the_system_and_the_packages_and_relates_them() -> None:
    document = spdx_document()
    assert (document["spdxVersion"], document["dataLicense"], document["SPDXID"]) == (
        "SPDX-2.3",
        "CC0-1.0",
        "SPDXRef-DOCUMENT",
    )
    assert document["creationInfo"]["created"] == "2026-09-21T14:13:20Z"
    image, system, *packages = document["packages"]
    assert (image["primaryPackagePurpose"], image["versionInfo"]) == ("CONTAINER", SUBJECT.digest)
    assert image["checksums"] == [{"algorithm": "SHA256", "checksumValue": "a" * 64}]
    assert all(layer in image["comment"] for layer in LAYERS)
    assert (system["primaryPackagePurpose"], system["name"], system["versionInfo"]) == (
        "OPERATING-SYSTEM",
        "debian",
        "12",
    )
    urls = [reference["referenceLocator"] for each in packages for reference in each["externalRefs"]]
    assert urls == [LIBSSL_URL, LOG4J_URL, CORE_URL, FLASK_URL]
    ids = [each["SPDXID"] for each in document["packages"]]
    assert len(set(ids)) == len(ids)
    assert document["relationships"] == [
        {"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-Image"},
        *(
            {"spdxElementId": "SPDXRef-Image", "relationshipType": "CONTAINS", "relatedSpdxElement": each}
            for each in ids[1:]
        ),
    ]


def test_spdx_declares_licences_that_are_spdxs_and_quotes_the_others() -> None:
    by_name = {each["name"]: each for each in spdx_document()["packages"]}
    assert by_name["Flask"]["licenseDeclared"] == "BSD-3-Clause"
    assert by_name["@babel/core"]["licenseDeclared"] == "NOASSERTION"
    assert by_name["@babel/core"]["licenseComments"] == "Declared as: mit; Own terms"
    assert by_name["libssl3"]["licenseDeclared"] == "NOASSERTION"
    assert by_name["libssl3"]["sourceInfo"] == f"dpkg: /var/lib/dpkg/status (layer {LAYERS[0]})"
    both = Package("npm", "a", "1", "k", licenses=("MIT", "GPL-2.0-only OR BSD-2-Clause"))
    (package,) = spdx_document(packages=(InstalledPackage(both, "p", 0),))["packages"][2:]
    assert package["licenseDeclared"] == "(MIT) AND (GPL-2.0-only OR BSD-2-Clause)"


@pytest.mark.parametrize("made", [cyclonedx, spdx])
def test_the_same_image_gives_the_same_bytes_in_whichever_order_it_was_read(made: Any) -> None:
    reversed_inventory = replace(INVENTORY, packages=INVENTORY.packages[::-1])
    first = made(SUBJECT, INVENTORY, AT_US)
    assert made(SUBJECT, reversed_inventory, AT_US) == first
    other = made(replace(SUBJECT, digest="sha256:" + "b" * 64), INVENTORY, AT_US)
    number = "serialNumber" if made is cyclonedx else "documentNamespace"
    assert json.loads(first)[number] != json.loads(other)[number]


def test_an_image_that_was_not_read_whole_is_called_incomplete() -> None:
    warnings = (Unread("a.jar", "broken"),)
    assert cyclonedx_document(warnings=warnings)["compositions"][0]["aggregate"] == "incomplete"
    assert spdx_document(warnings=warnings)["comment"] == "Incomplete: 1 files of the image could not be read."
    assert cyclonedx_document()["compositions"][0]["aggregate"] == "unknown"
    assert "comment" not in spdx_document()


def test_texts_of_any_bytes_make_a_document() -> None:
    odd = Package("npm", "a\udcff\0/\u202e", "\udc80", "k", "x\udcff", licenses=("(" * 5000, "\udcff"))
    inventory = ImageInventory(
        (InstalledPackage(odd, "p\udcff/\n", 7), InstalledPackage(replace(odd, name="/"), "q", 0))
    )
    for made in (cyclonedx, spdx):
        document = json.loads(made(ImageSubject("a", "sha256:" + "0" * 64), inventory, 0))
        texts = json.dumps(document)
        assert "pkg:" in texts
    for each in json.loads(cyclonedx(SUBJECT, inventory, 0))["components"]:
        PackageURL.from_string(each["purl"])


def test_an_image_with_nothing_in_it() -> None:
    assert json.loads(cyclonedx(SUBJECT, ImageInventory(), 0))["components"] == []
    assert len(json.loads(spdx(SUBJECT, ImageInventory(), 0))["packages"]) == 1
