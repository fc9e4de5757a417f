"""Packages of languages, from a layer's bytes to an image's list: found, told apart, hidden by what lies above."""

import io
import json
import tarfile
from collections.abc import Mapping

from tests.unit.scan.zip_archives import archive

from openecr.scan.layers import index_layer
from openecr.scan.packages import ImageInventory, LayerInventory
from openecr.scan.squash import squash

METADATA = "Metadata-Version: 2.1\nName: Flask\nVersion: 2.2.2\n"
LODASH = json.dumps({"name": "lodash", "version": "4.17.15"})
LOCK = json.dumps(
    {"packages": {"node_modules/lodash": {"version": "4.17.21"}, "node_modules/ws": {"version": "8.0.0"}}}
)
LOG4J = {
    "META-INF/maven/org.apache.logging.log4j/log4j-core/pom.properties": (
        "groupId=org.apache.logging.log4j\nartifactId=log4j-core\nversion=2.14.1\n"
    )
}


def layer(files: Mapping[str, bytes | str]) -> LayerInventory:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:gz") as writing:
        for path, content in files.items():
            raw = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(path)
            member.size = len(raw)
            writing.addfile(member, io.BytesIO(raw))
    return index_layer([written.getvalue()])


def packages(inventory: ImageInventory) -> list[str]:
    return [
        f"{one.package.ecosystem} {one.package.name} {one.package.version} @{one.layer}" for one in inventory.packages
    ]


BASE: dict[str, bytes | str] = {
    "usr/lib/python3.11/site-packages/Flask-2.2.2.dist-info/METADATA": METADATA,
    "usr/lib/python3.11/site-packages/flask/METADATA": METADATA.replace("2.2.2", "9"),
    "app/node_modules/lodash/package.json": LODASH,
    "app/package.json": json.dumps({"name": "app", "version": "1.0.0"}),
    "usr/local/bundle/specifications/rack-2.2.22.gemspec": "# stub: rack 2.2.22 ruby lib\n",
    "srv/vendor/composer/installed.json": json.dumps([{"name": "monolog/monolog", "version": "1.2.3"}]),
    "opt/demo/Demo.deps.json": json.dumps({"libraries": {"Newtonsoft.Json/13.0.1": {"type": "package"}}}),
    "opt/app/APP.WAR": archive({"WEB-INF/lib/log4j-core-2.14.1.jar": LOG4J, "WEB-INF/lib/broken-1.jar": b"broken"}),
}


def test_every_language_is_found_with_its_layer() -> None:
    inventory = squash([LayerInventory(), layer(BASE)])
    assert sorted(packages(inventory)) == [
        "Maven org.apache.logging.log4j:log4j-core 2.14.1 @1",
        "NuGet Newtonsoft.Json 13.0.1 @1",
        "Packagist monolog/monolog 1.2.3 @1",
        "PyPI Flask 2.2.2 @1",
        "RubyGems rack 2.2.22 @1",
        "npm lodash 4.17.15 @1",
    ]
    (jar,) = (one for one in inventory.packages if one.package.ecosystem == "Maven")
    assert jar.path == "opt/app/APP.WAR"
    assert jar.package.inner_path.startswith("WEB-INF/lib/log4j-core-2.14.1.jar!/META-INF/maven/")


def test_what_could_not_be_read_in_an_archive_is_told_by_its_file_and_goes_with_it() -> None:
    below = layer(BASE)
    assert [(one.path, one.reason) for one in squash([below]).warnings] == [
        ("opt/app/APP.WAR", "java-archive: WEB-INF/lib/broken-1.jar: is no zip archive")
    ]
    assert squash([below, layer({"opt/app/.wh.APP.WAR": ""})]).warnings == ()


def test_lock_files_speak_where_nothing_is_installed() -> None:
    assert packages(squash([layer({"app/package-lock.json": LOCK})])) == ["npm lodash 4.17.21 @0", "npm ws 8.0.0 @0"]
    both = layer({"app/package-lock.json": LOCK, "app/node_modules/lodash/package.json": LODASH})
    assert packages(squash([both])) == ["npm lodash 4.17.15 @0"]


def test_an_uninstalled_distribution_is_gone() -> None:
    site = "usr/lib/python3.11/site-packages"
    upgraded = layer(
        {
            f"{site}/.wh.Flask-2.2.2.dist-info": "",
            f"{site}/Flask-2.3.2.dist-info/METADATA": METADATA.replace("2.2.2", "2.3.2"),
            f"{site}/~lask-2.2.2.dist-info/METADATA": METADATA,
        }
    )
    inventory = squash([layer({f"{site}/Flask-2.2.2.dist-info/METADATA": METADATA}), upgraded])
    assert packages(inventory) == ["PyPI Flask 2.3.2 @1"]


def test_one_hostile_file_costs_a_warning_and_no_package() -> None:
    hostile: dict[str, bytes | str] = {
        "a/package-lock.json": "[" * 100_000,
        "a/pnpm-lock.yaml": "[" * 100_000,
        "a/uv.lock": "a = " + "[" * 100_000,
        "a/pom.xml": '<!DOCTYPE p [<!ENTITY a "b">]><project>&a;</project>',
        "a/b.jar": b"PK\x05\x06",
    }
    inventory = squash([layer({**hostile, "app/node_modules/lodash/package.json": LODASH})])
    assert packages(inventory) == ["npm lodash 4.17.15 @0"]
    assert {warning.path for warning in inventory.warnings} == hostile.keys()
