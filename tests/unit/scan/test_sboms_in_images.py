"""SBOMs that lie in images."""

import json
from typing import Any

import pytest
from tests.scanned_files import read

from openecr.scan.catalogers.sboms import SBOMS


def spdx(*urls: str, **more: Any) -> str:
    packages = [
        {
            "SPDXID": f"SPDXRef-{number}",
            "name": "named otherwise",
            "versionInfo": "0",
            "externalRefs": [
                {"referenceCategory": "SECURITY", "referenceType": "cpe23Type", "referenceLocator": "cpe:2.3:a:b:c:1"},
                {"referenceCategory": "PACKAGE_MANAGER", "referenceType": "purl", "referenceLocator": url},
            ],
        }
        for number, url in enumerate(urls)
    ]
    return json.dumps({"spdxVersion": "SPDX-2.3", "packages": packages, **more})


URLS = (
    "pkg:bitnami/nginx@1.25.3-2?arch=amd64&distro=debian-11",
    "pkg:golang/golang.org/x/net@v0.7.0",
    "pkg:deb/debian/openssl@1.1.1",
    "pkg:generic/thing@1",
    "not a url",
)


def test_bitnamis_own_document_is_what_is_installed() -> None:
    packages = read(SBOMS, "opt/bitnami/nginx/.spdx-nginx.spdx", spdx(*URLS))
    assert [(package.ecosystem, package.name, package.version) for package in packages] == [
        ("Bitnami", "nginx", "1.25.3-2"),
        ("Go", "golang.org/x/net", "v0.7.0"),
    ]
    assert {(package.kind, package.declared) for package in packages} == {("bitnami", False)}


def test_another_projects_document_is_its_word() -> None:
    packages = read(SBOMS, "srv/app.spdx.json", spdx(*URLS))
    assert {(package.kind, package.declared) for package in packages} == {("sbom", True)}


def test_the_documents_that_repeat_the_apk_database_are_passed_over() -> None:
    assert read(SBOMS, "var/lib/db/sbom/nginx-1.25.3-r0.spdx.json", spdx(*URLS)) == ()


def test_components_of_cyclonedx_and_those_in_them() -> None:
    document = {
        "bomFormat": "CycloneDX",
        "components": [
            {"purl": "pkg:npm/%40babel/core@7.0.0", "components": [{"purl": "pkg:cargo/time@0.1.43"}]},
            {"purl": "pkg:apk/wolfi/openssl@3"},
            {"name": "without"},
            1,
        ],
    }
    packages = read(SBOMS, "srv/bom.json", json.dumps(document))
    assert {(package.ecosystem, package.name) for package in packages} == {
        ("npm", "@babel/core"),
        ("crates.io", "time"),
    }


@pytest.mark.parametrize(
    "content",
    [
        "",
        "SPDXVersion: SPDX-2.2\nPackageName: a\n",
        "{}",
        "[]",
        '{"spdxVersion": 3}',
        '{"bomFormat": "CycloneDX", "components": 5}',
    ],
)
def test_other_documents_testify_to_nothing(content: str) -> None:
    assert read(SBOMS, "a.spdx", content) == ()


@pytest.mark.parametrize(
    "content",
    [
        '{"bomFormat": "CycloneDX", "components": [' + "{}," * 100_001 + "{}]}",
        '{"bomFormat": "CycloneDX", "components": [{"components": [' + "{}," * 100_001 + "{}]}]}",
        '{"spdxVersion": "SPDX-2.3", "packages": [' + "{}," * 100_001 + "{}]}",
    ],
)
def test_documents_of_too_many_components_are_refused(content: str) -> None:
    with pytest.raises(ValueError, match="more than 100000"):
        read(SBOMS, "bom.json", content)


def test_components_in_components_without_end_are_refused() -> None:
    with pytest.raises(ValueError):
        read(SBOMS, "bom.json", '{"bomFormat": "CycloneDX", "components": [' + '{"components": [' * 50_000)
