"""go.mod, go.sum and vendor/modules.txt."""

import pytest
from tests.scanned_files import read, versions, wanted

from openecr.scan.catalogers.go_modules import GO_MOD, GO_SUM, GO_VENDORED
from openecr.scan.packages import LayerInventory
from openecr.scan.squash import squash

MOD = """
module example.com/serve // ours

go 1.21.0

toolchain go1.22.5

require golang.org/x/net v0.7.0

require (
	github.com/Masterminds/semver/v3 v3.2.0
	"golang.org/x/text" v0.3.5 // indirect
	example.com/local v1.0.0
	example.com/pinned v1.0.0
	example.com/other v1.1.0
)

replace golang.org/x/text => golang.org/x/text v0.3.8

replace (
	example.com/local => ./local
	example.com/pinned v1.0.0 => example.com/fork v1.0.1
	example.com/other v1.0.0 => example.com/elsewhere v9.9.9
)

exclude golang.org/x/net v0.6.0
retract (
	v1.0.0 // broken
)
"""


def test_requirements_with_replacements_in_their_place() -> None:
    packages = read(GO_MOD, "src/go.mod", MOD)
    assert versions(packages) == {
        "golang.org/x/net": "v0.7.0",
        "github.com/Masterminds/semver/v3": "v3.2.0",
        "golang.org/x/text": "v0.3.8",
        "example.com/fork": "v1.0.1",
        "example.com/other": "v1.1.0",
    }
    assert {(package.ecosystem, package.kind, package.declared) for package in packages} == {("Go", "go-mod", True)}


@pytest.mark.parametrize(
    ("directive", "kind"),
    [
        ("go 1.17", "go-mod"),
        ("go 1.16", "go-mod-direct"),
        ("", "go-mod-direct"),
        ("go 1.9", "go-mod-direct"),
        ("go 2.0", "go-mod"),
    ],
)
def test_before_1_17_the_file_does_not_name_all(directive: str, kind: str) -> None:
    (package,) = read(GO_MOD, "go.mod", f"module a.b/c\n{directive}\nrequire a.b/d v1.0.0\n")
    assert package.kind == kind


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("usr/local/go/src/go.mod", "module std\ngo 1.22\nrequire golang.org/x/net v0.1.0\n"),
        ("usr/local/go/src/cmd/go.mod", "module cmd\ngo 1.22\nrequire golang.org/x/net v0.1.0\n"),
        ("root/go/pkg/mod/a.b/c@v1.0.0/go.mod", "module a.b/c\ngo 1.22\nrequire golang.org/x/net v0.1.0\n"),
        ("src/testdata/go.mod", "module a.b/c\ngo 1.22\nrequire golang.org/x/net v0.1.0\n"),
    ],
)
def test_what_is_not_built_is_not_told(path: str, content: str) -> None:
    assert read(GO_MOD, path, content) == ()


def test_sums_are_of_modules_whose_content_was_needed_the_last_version_of_each() -> None:
    content = (
        "a.b/c v1.0.0 h1:aaaa=\na.b/c v1.0.0/go.mod h1:bbbb=\na.b/c v1.2.0 h1:cccc=\n"
        "a.b/weighed v1.0.0/go.mod h1:dddd=\nbroken\n"
    )
    packages = read(GO_SUM, "src/go.sum", content)
    assert [(package.name, package.version, package.kind) for package in packages] == [("a.b/c", "v1.2.0", "go-sum")]


VENDORED = """# golang.org/x/text v0.3.5 => golang.org/x/text v0.3.8
## explicit; go 1.17
golang.org/x/text/language
golang.org/x/text/unicode
# a.b/weighed v1.0.0
## explicit
# a.b/local v1.0.0 => ./local
## explicit
a.b/local
# a.b/c v1.2.3
## explicit
a.b/c
# a.b/all => a.b/replaced v1.0.0
"""


def test_modules_that_packages_were_copied_of() -> None:
    packages = read(GO_VENDORED, "src/vendor/modules.txt", VENDORED)
    assert versions(packages) == {"golang.org/x/text": "v0.3.8", "a.b/c": "v1.2.3"}
    assert {package.kind for package in packages} == {"go-vendored"}
    assert read(GO_VENDORED, "usr/local/go/src/vendor/modules.txt", VENDORED) == ()
    assert read(GO_VENDORED, "usr/local/go/src/cmd/vendor/modules.txt", VENDORED) == ()


@pytest.mark.parametrize(
    "content", ["require (", "require", "replace a =>", "replace", ")", "((((", "\0" * 100, "require a"]
)
def test_broken_files_testify_to_nothing(content: str) -> None:
    assert read(GO_MOD, "go.mod", content) == ()
    assert read(GO_SUM, "go.sum", content) == ()
    assert read(GO_VENDORED, "vendor/modules.txt", content) == ()


def test_a_file_of_too_many_lines_is_refused() -> None:
    with pytest.raises(ValueError, match="lines"):
        read(GO_SUM, "go.sum", "\n" * 600_000)


SUM = "a.b/direct v1.0.0 h1:aaaa=\na.b/indirect v1.0.0 h1:bbbb=\n"


@pytest.mark.parametrize(
    ("directive", "names"),
    [("go 1.16\n", {"a.b/direct", "a.b/indirect"}), ("go 1.17\n", {"a.b/direct"})],
)
def test_sums_count_only_beside_a_file_that_names_less(directive: str, names: set[str]) -> None:
    module = GO_MOD.read(wanted("src/go.mod", f"module a.b/c\n{directive}require a.b/direct v1.0.0\n"))
    sums = GO_SUM.read(wanted("src/go.sum", SUM))
    elsewhere = GO_SUM.read(wanted("other/go.sum", SUM))
    layers = [LayerInventory({"src/go.sum": sums, "other/go.sum": elsewhere}), LayerInventory({"src/go.mod": module})]
    assert {installed.package.name for installed in squash(layers).packages} == names
