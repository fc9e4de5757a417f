"""Dart: pubspec.lock. Compiled programs keep nothing of their packages.

Source: Dart's documentation, "Package dependencies" (lock files).
"""

from openecr.scan.cataloger import Cataloger, WantedFile
from openecr.scan.catalogers.testimony import testimony
from openecr.scan.documents import mapping, text, yaml_document
from openecr.scan.packages import FileFacts, Package


def _read(file: WantedFile) -> FileFacts:
    """Hosted packages, by the name on the host; those of the SDK, from git or a path have no advisories."""
    found = []
    for key, row in mapping(mapping(yaml_document(file.text())).get("packages")).items():
        package = mapping(row)
        version = text(package.get("version"))
        if package.get("source") != "hosted" or not version:
            continue
        name = text(mapping(package.get("description")).get("name")) or key
        development = package.get("dependency") == "direct dev"
        found.append(Package("Pub", name, version, "pubspec-lock", declared=True, development=development))
    return testimony(found, file.limits)


PUBSPEC_LOCK = Cataloger("pubspec-lock", 1, _read, names=("pubspec.lock",))

CATALOGERS = (PUBSPEC_LOCK,)
