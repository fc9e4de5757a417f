"""Layers applied in order."""

from collections.abc import Sequence

import pytest

from openecr.scan.packages import (
    Distribution,
    FileFacts,
    ImageInventory,
    LayerInventory,
    Package,
    Unread,
)
from openecr.scan.squash import squash

STATUS = "var/lib/dpkg/status"
NPM = "app/node_modules/a/package.json"


def os_package(name: str, version: str = "1", kind: str = "dpkg") -> Package:
    return Package(kind, name, version, kind)


def npm(name: str, version: str = "1", *, declared: bool = False, development: bool = False) -> Package:
    return Package(
        "npm", name, version, "npm-lock" if declared else "node-installed", declared=declared, development=development
    )


def of(*packages: Package, owned: Sequence[str] = ()) -> FileFacts:
    return FileFacts(tuple(packages), tuple(owned))


def layer(
    files: dict[str, FileFacts] | None = None,
    *,
    whiteouts: Sequence[str] = (),
    opaque: Sequence[str] = (),
    replaced: Sequence[str] = (),
    warnings: Sequence[Unread] = (),
) -> LayerInventory:
    return LayerInventory(files or {}, tuple(whiteouts), tuple(opaque), tuple(replaced), tuple(warnings))


def told(image: ImageInventory) -> list[tuple[str, str, str, int, bool]]:
    return [(one.package.name, one.package.version, one.path, one.layer, one.owned) for one in image.packages]


def names(*layers: LayerInventory) -> list[str]:
    return [one.package.name for one in squash(layers).packages]


BASE = layer({NPM: of(npm("a"))})


@pytest.mark.parametrize(
    "above",
    [
        layer(whiteouts=[NPM]),
        layer(whiteouts=["app/node_modules"]),
        layer(whiteouts=["app"]),
        layer(opaque=["app/node_modules/a"]),
        layer(opaque=["app"]),
        layer(opaque=[""]),
        layer(replaced=["app"]),
        layer(replaced=["app/node_modules/a"]),
        layer({NPM: of()}),
        layer({"app": of()}),
    ],
    ids=[
        "file",
        "directory",
        "top",
        "opaque",
        "opaque-top",
        "opaque-root",
        "replaced",
        "replaced-deep",
        "covered",
        "file-for-directory",
    ],
)
def test_what_a_layer_hides_of_those_below(above: LayerInventory) -> None:
    assert names(BASE, above) == []
    assert names(above, BASE) == ["a"], "it hides nothing of those above"


@pytest.mark.parametrize(
    "above",
    [
        layer(whiteouts=["app/node"]),
        layer(whiteouts=["ap"]),
        layer(opaque=["app/node"]),
        layer(replaced=["app/node_modules/b"]),
        layer({"app/node_modules/b/package.json": of()}),
        layer(opaque=[NPM]),
    ],
)
def test_what_a_layer_does_not_hide(above: LayerInventory) -> None:
    assert names(BASE, above) == ["a"]


def test_a_whiteout_hides_nothing_of_its_own_layer() -> None:
    above = layer({"app/node_modules/b/package.json": of(npm("b"))}, opaque=["app"], whiteouts=["app/node_modules"])
    assert names(BASE, above) == ["b"]


def test_a_file_that_comes_back_stays() -> None:
    assert told(squash([BASE, layer(whiteouts=["app"]), BASE, layer()])) == [("a", "1", NPM, 2, False)]


def test_a_language_package_is_the_layers_that_last_wrote_its_file() -> None:
    assert told(squash([BASE, layer(), layer({NPM: of(npm("a", "2"))})])) == [("a", "2", NPM, 2, False)]


def test_a_package_of_the_distribution_is_the_layers_from_which_it_stays_listed() -> None:
    image = squash(
        [
            layer({STATUS: of(os_package("base"), os_package("upgraded"), os_package("comes-back"))}),
            layer({STATUS: of(os_package("base"), os_package("upgraded", "2"))}),
            layer(),
            layer(
                {
                    STATUS: of(
                        os_package("base"), os_package("upgraded", "2"), os_package("comes-back"), os_package("new")
                    )
                }
            ),
        ]
    )
    assert [(name, version, number) for name, version, _, number, _ in told(image)] == [
        ("base", "1", 0),
        ("upgraded", "2", 1),
        ("comes-back", "1", 3),
        ("new", "1", 3),
    ]


def test_a_database_that_is_deleted_and_made_again_begins_anew() -> None:
    base = layer({STATUS: of(os_package("base"))})
    assert told(squash([base, layer(whiteouts=["var/lib"]), layer(), base])) == [("base", "1", STATUS, 3, False)]


def test_a_database_that_moves_keeps_its_packages_layers() -> None:
    old, new = "var/lib/rpm/rpmdb.sqlite", "usr/lib/sysimage/rpm/rpmdb.sqlite"
    image = squash(
        [
            layer({old: of(os_package("a", kind="rpm"))}),
            layer({new: of(os_package("a", kind="rpm"))}, replaced=["var/lib/rpm"]),
        ]
    )
    assert told(image) == [("a", "1", new, 0, False)]


def test_a_package_that_two_databases_list_is_told_once() -> None:
    twice = {
        "lib/apk/db/installed": of(os_package("a", kind="apk")),
        "usr/lib/apk/db/installed": of(os_package("a", kind="apk")),
    }
    assert told(squash([layer(twice)])) == [("a", "1", "lib/apk/db/installed", 0, False)]


def test_distroless_packages_are_of_their_own_files() -> None:
    base = layer({f"var/lib/dpkg/status.d/{name}": of(os_package(name)) for name in "ab"})
    assert told(
        squash(
            [
                base,
                layer({"var/lib/dpkg/status.d/c": of(os_package("c"))}),
                layer(whiteouts=["var/lib/dpkg/status.d/a"]),
            ]
        )
    ) == [
        ("b", "1", "var/lib/dpkg/status.d/b", 0, False),
        ("c", "1", "var/lib/dpkg/status.d/c", 1, False),
    ]


@pytest.mark.parametrize(
    ("listed", "path"),
    [
        ("usr/lib/python3/x.dist-info/METADATA", "usr/lib/python3/x.dist-info/METADATA"),
        ("lib/python3/x.dist-info/METADATA", "usr/lib/python3/x.dist-info/METADATA"),
        ("usr/lib/python3/x.dist-info/METADATA", "lib/python3/x.dist-info/METADATA"),
    ],
)
def test_what_the_distribution_put_there_is_marked_in_both_spellings(listed: str, path: str) -> None:
    files = {"list": of(owned=[listed]), path: of(Package("PyPI", "x", "1", "python-installed"))}
    assert [one.owned for one in squash([layer(files)]).packages] == [True]
    other = {"list": of(owned=[listed]), f"opt/{path}": of(Package("PyPI", "x", "1", "python-installed"))}
    assert [one.owned for one in squash([layer(other)]).packages] == [False]


def test_what_a_language_wrote_over_the_distributions_file_is_not_the_distributions() -> None:
    """``npm install --global npm`` in a layer of its own: the distribution's fix says nothing of that version."""
    path = "usr/lib/node_modules/npm/package.json"
    base = layer(
        {"lib/apk/db/installed": FileFacts((os_package("npm", kind="apk"),), (path,)), path: of(npm("npm", "9"))}
    )
    assert [one.owned for one in squash([base]).packages] == [False, True]
    assert [one.owned for one in squash([base, layer({path: of(npm("npm", "10"))})]).packages] == [False, False]


def test_what_is_no_longer_installed_owns_nothing() -> None:
    path = "usr/lib/python3/x.dist-info/METADATA"
    base = layer(
        {"var/lib/dpkg/info/x.list": of(owned=[path]), path: of(Package("PyPI", "x", "1", "python-installed"))}
    )
    assert [one.owned for one in squash([base, layer(whiteouts=["var/lib/dpkg/info/x.list"])]).packages] == [False]


@pytest.mark.parametrize(
    ("lock", "installed", "expected"),
    [
        ("app/package-lock.json", NPM, ["a"]),
        ("package-lock.json", NPM, ["a"]),
        ("app/node_modules/a/package-lock.json", NPM, ["a"]),
        ("other/package-lock.json", NPM, ["a", "declared"]),
        ("ap/package-lock.json", NPM, ["a", "declared"]),
        ("app/node_modules/a/b/package-lock.json", NPM, ["a", "declared"]),
    ],
)
def test_lock_files_count_where_nothing_is_installed_below(lock: str, installed: str, expected: list[str]) -> None:
    found = names(layer({lock: of(npm("declared", declared=True))}), layer({installed: of(npm("a"))}))
    assert sorted(found) == expected


def test_lock_files_of_another_ecosystem_count() -> None:
    cargo = Package("crates.io", "c", "1", "cargo-lock", declared=True)
    assert names(BASE, layer({"app/Cargo.lock": of(cargo)})) == ["c", "a"]


def test_packages_for_development_are_left_out_unless_asked_for() -> None:
    base = layer({"x/package-lock.json": of(npm("used", declared=True), npm("dev", declared=True, development=True))})
    assert names(base) == ["used"]
    assert [one.package.name for one in squash([base], development=True).packages] == ["used", "dev"]


def test_the_best_evidence_of_the_distribution_counts() -> None:
    debian = FileFacts(distribution=Distribution("debian", "12"))
    derived = FileFacts(distribution=Distribution("derived", "1"))
    both = layer({"etc/debian_version": debian, "usr/lib/os-release": derived})
    assert squash([both]).distribution == Distribution("derived", "1")
    assert squash([both, layer(whiteouts=["usr/lib/os-release"])]).distribution == Distribution("debian", "12")
    newer = layer({"etc/debian_version": FileFacts(distribution=Distribution("debian", "13"))})
    assert squash([both, newer, layer(whiteouts=["usr/lib/os-release"])]).distribution == Distribution("debian", "13")
    assert squash([layer()]).distribution is None


def test_warnings_are_of_files_that_are_still_there() -> None:
    base = layer(warnings=[Unread("app/a.jar", "bad"), Unread("", "5 more"), Unread("b.jar", "bad")])
    assert squash([base]).warnings == (Unread("", "5 more"), Unread("app/a.jar", "bad"), Unread("b.jar", "bad"))
    assert squash([base, layer(whiteouts=["app"])]).warnings == (Unread("", "5 more"), Unread("b.jar", "bad"))
    assert squash([base, layer({"b.jar": of()})]).warnings == (Unread("", "5 more"), Unread("app/a.jar", "bad"))


def test_the_same_package_twice_in_a_file_is_told_once() -> None:
    assert names(layer({"x.jar": of(npm("a"), npm("a"))})) == ["a"]


def test_no_layers_are_an_empty_image() -> None:
    assert squash([]) == ImageInventory()
