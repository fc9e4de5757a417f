"""PHP: what Composer installed, and what its lock file asks for."""

import json
from typing import Any

import pytest
from tests.unit.scan.cataloging import facts, found

from openecr.scan.catalogers.php import COMPOSER_INSTALLED, COMPOSER_LOCK
from openecr.scan.documents import DocumentRefused

MONOLOG = {
    "name": "monolog/monolog",
    "version": "v1.2.3",
    "version_normalized": "1.2.3.0",
    "source": {"type": "git", "url": "https://git.example/monolog.git", "reference": "abc"},
    "dist": {"type": "zip", "url": "https://files.example/monolog.zip"},
    "type": "library",
    "license": ["MIT"],
    "install-path": "../monolog/monolog",
}
PHPUNIT = {**MONOLOG, "name": "phpunit/phpunit", "version": "9.5.0"}
NOT_RELEASED = [
    {**MONOLOG, "name": "x/local", "version": "1.0.0", "dist": {"type": "path", "url": "./local"}},
    {**MONOLOG, "name": "x/branch", "version": "dev-main"},
    {**MONOLOG, "name": "x/branch", "version": "2.x-dev"},
    {"name": "x/nothing"},
    {"version": "1.0"},
    {"name": ["x"], "version": 1},
    7,
]
INSTALLED = "srv/vendor/composer/installed.json"


class TestInstalled:
    def test_composer_2(self) -> None:
        document = {
            "packages": [MONOLOG, PHPUNIT, *NOT_RELEASED],
            "dev": True,
            "dev-package-names": ["phpunit/phpunit"],
        }
        assert found(COMPOSER_INSTALLED, INSTALLED, json.dumps(document)) == [
            "monolog/monolog v1.2.3",
            "phpunit/phpunit 9.5.0 (development)",
        ]

    def test_composer_1(self) -> None:
        assert found(COMPOSER_INSTALLED, INSTALLED, json.dumps([MONOLOG, PHPUNIT, *NOT_RELEASED])) == [
            "monolog/monolog v1.2.3",
            "phpunit/phpunit 9.5.0",
        ]

    def test_licences(self) -> None:
        (package,) = facts(COMPOSER_INSTALLED, INSTALLED, json.dumps([MONOLOG])).packages
        assert (package.ecosystem, package.licenses, package.declared) == ("Packagist", ("MIT",), False)
        (package,) = facts(COMPOSER_INSTALLED, INSTALLED, json.dumps([{**MONOLOG, "license": "MIT"}])).packages
        assert package.licenses == ("MIT",)

    @pytest.mark.parametrize(
        "document", [{}, [], "x", {"packages": {"a": 1}}, {"packages": None, "dev-package-names": 1}]
    )
    def test_what_has_another_shape_testifies_to_nothing(self, document: Any) -> None:
        assert found(COMPOSER_INSTALLED, INSTALLED, json.dumps(document)) == []


class TestLock:
    def test_packages_and_those_for_development(self) -> None:
        document = {
            "content-hash": "a",
            "packages": [MONOLOG, *NOT_RELEASED],
            "packages-dev": [PHPUNIT],
            "platform": [],
        }
        assert found(COMPOSER_LOCK, "srv/composer.lock", json.dumps(document)) == [
            "monolog/monolog v1.2.3",
            "phpunit/phpunit 9.5.0 (development)",
        ]
        assert facts(COMPOSER_LOCK, "srv/composer.lock", json.dumps(document)).packages[0].declared

    def test_depth_is_a_warning(self) -> None:
        with pytest.raises(DocumentRefused):
            found(COMPOSER_LOCK, "composer.lock", '{"packages":' * 50_000)
