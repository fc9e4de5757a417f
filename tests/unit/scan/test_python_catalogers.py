"""Python: what is installed, and what requirements and lock files ask for."""

import io
import zipfile

import pytest
from tests.unit.scan.cataloging import facts, found, wanting

from openecr.scan.cataloger import Cataloger
from openecr.scan.catalogers.python_installed import PYTHON_EGG, PYTHON_INSTALLED
from openecr.scan.catalogers.python_locks import PDM_LOCK, PIPFILE_LOCK, POETRY_LOCK, PYLOCK, UV_LOCK
from openecr.scan.catalogers.python_requirements import PIP_REQUIREMENTS
from openecr.scan.documents import DocumentRefused

SITE = "usr/lib/python3.11/site-packages"
METADATA = """Metadata-Version: 2.1
Name: Flask
Version: 2.2.2
Summary: A simple framework
License: BSD-3-Clause
Classifier: License :: OSI Approved :: BSD License
Description-Content-Type: text/x-rst

Flask
=====
Name: not-this
Version: 9.9
"""


class TestInstalled:
    @pytest.mark.parametrize(
        ("path", "content", "packages"),
        [
            (f"{SITE}/Flask-2.2.2.dist-info/METADATA", METADATA, ["Flask 2.2.2"]),
            (f"{SITE}/Flask-2.2.2.dist-info/METADATA", METADATA.replace("\n", "\r\n"), ["Flask 2.2.2"]),
            (f"{SITE}/Flask-2.2.2.dist-info/METADATA", b"\xef\xbb\xbf" + METADATA.encode(), ["Flask 2.2.2"]),
            (f"{SITE}/a.dist-info/METADATA", "name: folded\nVersion:\n 1.0\nname: other\n", ["folded 1.0"]),
            (f"{SITE}/six-1.16.0-py3.11.egg-info/PKG-INFO", "Name: six\nVersion: 1.16.0\n", ["six 1.16.0"]),
            (f"{SITE}/PyYAML-5.3.egg-info", "Metadata-Version: 1.1\nName: PyYAML\nVersion: 5.3\n", ["PyYAML 5.3"]),
            (f"{SITE}/a-1.0-py3.9.egg/EGG-INFO/PKG-INFO", "Name: a\nVersion: 1.0\n", ["a 1.0"]),
            (f"{SITE}/gone-by-name-1.2.dist-info/METADATA", "Metadata-Version: 2.1\n", ["gone-by-name 1.2"]),
            (f"{SITE}/only_version-3.egg-info", "Metadata-Version: 1.0\nName: only-version\n", ["only-version 3"]),
            (f"{SITE}/a-1.0-py3.9.egg/EGG-INFO/PKG-INFO", "", ["a 1.0"]),
        ],
    )
    def test_metadata_names_the_distribution(self, path: str, content: str | bytes, packages: list[str]) -> None:
        assert found(PYTHON_INSTALLED, path, content) == packages

    @pytest.mark.parametrize(
        ("path", "content"),
        [
            (f"{SITE}/~lask-2.2.2.dist-info/METADATA", METADATA),
            (f"{SITE}/noversion.dist-info/METADATA", "Name: noversion\n"),
            (f"{SITE}/odd.dist-info/METADATA", "Name: two words\nVersion: 1\n"),
            (f"{SITE}/odd.dist-info/METADATA", b"Name: \xff\x00\nVersion: 1\n"),
            (f"{SITE}/odd.dist-info/METADATA", "Name: " + "a" * 100_000 + "\nVersion: 1\n"),
        ],
        ids=["being removed", "no version", "spaces", "bytes", "endless"],
    )
    def test_what_is_no_distribution_is_not_reported(self, path: str, content: str | bytes) -> None:
        assert found(PYTHON_INSTALLED, path, content) == []

    def test_a_header_without_end_is_read_in_bounds(self) -> None:
        endless = b"Name: a\nVersion: 1\nX: " + b" \n" * 10 + b"y" * (8 << 20)
        assert found(PYTHON_INSTALLED, f"{SITE}/a-1.dist-info/METADATA", endless) == ["a 1"]

    @pytest.mark.parametrize(
        ("lines", "licenses"),
        [
            ("License-Expression: MIT OR Apache-2.0\nLicense: no", ("MIT OR Apache-2.0",)),
            ("License: BSD-3-Clause", ("BSD-3-Clause",)),
            ("License: UNKNOWN\nClassifier: License :: OSI Approved :: MIT License", ("MIT License",)),
            ("License: " + "text of a licence " * 20, ()),
        ],
    )
    def test_licences_are_names(self, lines: str, licenses: tuple[str, ...]) -> None:
        read = facts(PYTHON_INSTALLED, f"{SITE}/a.dist-info/METADATA", f"Name: a\nVersion: 1\n{lines}\n")
        assert read.packages[0].licenses == licenses

    def test_installed_packages_are_not_declared(self) -> None:
        package = facts(PYTHON_INSTALLED, f"{SITE}/Flask-2.2.2.dist-info/METADATA", METADATA).packages[0]
        assert (package.ecosystem, package.kind, package.declared) == ("PyPI", "python-installed", False)

    @pytest.mark.parametrize(
        "path", ["srv/METADATA", "srv/PKG-INFO", f"{SITE}/flask/METADATA", f"{SITE}/a.dist-info/RECORD"]
    )
    def test_other_files_are_not_asked_for(self, path: str) -> None:
        assert not wanting(path)


class TestEggs:
    def test_a_zipped_egg_has_its_metadata_inside(self) -> None:
        package = facts(PYTHON_EGG, f"{SITE}/six-1.16.0-py3.9.egg", egg("Name: six\nVersion: 1.16.0\n")).packages[0]
        assert (package.name, package.version) == ("six", "1.16.0")
        assert package.inner_path == "EGG-INFO/PKG-INFO"

    def test_without_metadata_the_name_counts_only_where_there_is_some(self) -> None:
        assert found(PYTHON_EGG, f"{SITE}/six-1.16.0-py3.9.egg", egg("")) == ["six 1.16.0"]
        with pytest.raises(ValueError, match="no zip archive"):
            facts(PYTHON_EGG, f"{SITE}/six-1.16.0-py3.9.egg", b"a link's text")


def egg(metadata: str) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writing:
        writing.writestr("six.py", "pass")
        writing.writestr("EGG-INFO/PKG-INFO", metadata)
    return archive.getvalue()


REQUIREMENTS = """\
# made by a tool
--index-url https://registry.example/simple
-r base.txt
-c constraints.txt
-e ./local
certifi==2022.12.7 \\
    --hash=sha256:1324c476b4811eff41a8bc2122cd0bbd4d9c7234c725446d99ab1612b3a7fdd2 \\
    --hash=sha256:2857e29ff0d34db842cd7ca3230549d1a697f96ee6d3fb071cfa6c7393832597
    # via requests
requests[socks, security] == 2.28.0 ; python_version >= "3.7"  # pinned
urllib3===1.26.5
Django>=3.2
flask~=2.0
anything==1.*
either==1.0,!=1.1
name @ https://files.example/name-1.0.tar.gz
git+https://git.example/x.git@v1#egg=x
./wheels/x-1.0-py3-none-any.whl
zope.interface==5.4.0;python_version<"4"
local==1.0+cu118
"""


class TestRequirements:
    def test_what_is_pinned_is_declared(self) -> None:
        assert found(PIP_REQUIREMENTS, "srv/requirements.txt", REQUIREMENTS) == [
            "certifi 2022.12.7",
            "requests 2.28.0",
            "urllib3 1.26.5",
            "zope.interface 5.4.0",
            "local 1.0+cu118",
        ]
        package = facts(PIP_REQUIREMENTS, "srv/requirements.txt", REQUIREMENTS).packages[0]
        assert (package.kind, package.declared) == ("pip-requirements", True)

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "latin-1"])
    def test_byte_order_marks_say_the_encoding(self, encoding: str) -> None:
        content = "# é\r\nflask==2.2.2\r\n".encode(encoding)
        assert found(PIP_REQUIREMENTS, "srv/requirements.txt", content) == ["flask 2.2.2"]

    @pytest.mark.parametrize(
        ("path", "development"),
        [
            ("srv/requirements.txt", False),
            ("srv/requirements-prod.txt", False),
            ("srv/requirements/base.txt", False),
            ("srv/test/requirements.txt", False),
            ("srv/requirements-dev.txt", True),
            ("srv/dev-requirements.txt", True),
            ("srv/requirements_test.txt", True),
            ("srv/requirements/test.txt", True),
        ],
    )
    def test_the_name_says_what_is_for_development(self, path: str, development: bool) -> None:
        mark = " (development)" if development else ""
        assert found(PIP_REQUIREMENTS, path, "a==1") == [f"a 1{mark}"]

    def test_other_texts_are_not_asked_for(self) -> None:
        assert not wanting("usr/share/doc/requirements/README.txt")
        assert not wanting("srv/LICENSE.txt")

    def test_long_lines_are_read_in_linear_time(self) -> None:
        line = "a" * 2_000_000 + "\n" + "a==1" + " " * 2_000_000 + "x\n" + "b[" + "," * 2_000_000
        assert found(PIP_REQUIREMENTS, "srv/requirements.txt", line) == []


UV = """version = 1
revision = 2
requires-python = ">=3.11"

[[package]]
name = "demo"
version = "0.1.0"
source = { virtual = "." }
dependencies = [
    { name = "colorama", marker = "sys_platform == 'win32'" },
    { name = "requests", extra = ["socks"] },
]

[package.optional-dependencies]
web = [{ name = "flask" }]

[package.dev-dependencies]
dev = [{ name = "pytest" }, { name = "colorama" }]

[[package]]
name = "colorama"
version = "0.4.6"
source = { registry = "https://registry.example/simple" }

[[package]]
name = "flask"
version = "2.2.2"
source = { registry = "https://registry.example/simple" }
dependencies = [{ name = "werkzeug" }]

[[package]]
name = "werkzeug"
version = "2.2.2"
source = { registry = "https://registry.example/simple" }
dependencies = [{ name = "flask" }]

[[package]]
name = "pluggy"
version = "1.6.0"
source = { registry = "https://registry.example/simple" }

[[package]]
name = "pytest"
version = "7.4.0"
source = { registry = "https://registry.example/simple" }
dependencies = [{ name = "colorama" }, { name = "pluggy" }]

[[package]]
name = "requests"
version = "2.28.0"
source = { registry = "https://registry.example/simple" }

[package.optional-dependencies]
socks = [{ name = "pysocks" }]

[[package]]
name = "pysocks"
version = "1.7.1"
source = { registry = "https://registry.example/simple" }

[[package]]
name = "from-git"
version = "1.0"
source = { git = "https://git.example/x?rev=1#abc" }

[[package]]
name = "member"
version = "1.0"
source = { editable = "packages/member" }

[[package]]
name = "archive"
version = "1.0"
source = { url = "https://files.example/archive-1.0.tar.gz" }
"""
POETRY = """\
# This file is automatically @generated by Poetry 2.1.3 and should not be changed by hand.

[[package]]
name = "click"
version = "8.1.3"
description = ""
optional = false
groups = ["main", "dev"]
files = [{file = "click-8.1.3-py3-none-any.whl", hash = "sha256:bb4d"}]

[package.dependencies]
colorama = {version = "*", markers = "platform_system == \\"Windows\\""}

[[package]]
name = "pytest"
version = "7.4.0"
groups = ["dev"]

[[package]]
name = "mock"
version = "4.0"
category = "dev"

[[package]]
name = "older"
version = "1.0"
category = "main"

[[package]]
name = "private"
version = "2.0"
groups = ["main"]

[package.source]
type = "legacy"
url = "https://registry.example/simple"
reference = "private"

[[package]]
name = "local"
version = "0.1.0"
groups = ["main"]
develop = true

[package.source]
type = "directory"
url = "../local"

[[package]]
name = "from-git"
version = "0.1.0"
groups = ["main"]

[package.source]
type = "git"
url = "https://git.example/x.git"

[metadata]
lock-version = "2.1"
"""
PDM = """# This file is @generated by PDM.
[metadata]
groups = ["default", "dev", "web"]
lock_version = "4.5.0"

[[package]]
name = "click"
version = "8.1.3"
groups = ["default", "dev"]

[[package]]
name = "pytest"
version = "7.4.0"
groups = ["dev", "test"]

[[package]]
name = "flask"
version = "2.2.2"
groups = ["web"]

[[package]]
name = "older"
version = "1.0"

[[package]]
name = "local"
version = "0.1"
path = "./local"
editable = true

[[package]]
name = "from-git"
version = "0.1"
git = "https://git.example/x.git"
revision = "abc"
"""
PYLOCK_TOML = """lock-version = "1.0"
created-by = "uv"

[[packages]]
name = "certifi"
version = "2022.12.7"
index = "https://registry.example/simple"
wheels = [{ url = "https://files.example/certifi.whl", hashes = { sha256 = "13" } }]

[[packages]]
name = "pytest"
version = "7.4.0"
marker = "'dev' in dependency_groups"

[[packages]]
name = "both"
version = "1.0"
marker = "'dev' in dependency_groups or 'web' in extras"

[[packages]]
name = "demo"
directory = { path = ".", editable = true }

[[packages]]
name = "from-git"
version = "1.0"
vcs = { type = "git", url = "https://git.example/x.git", commit-id = "abc" }
"""
PIPFILE = """{
    "_meta": {"hash": {"sha256": "1"}, "pipfile-spec": 6,
              "sources": [{"name": "a", "url": "https://registry.example/simple", "verify_ssl": true}]},
    "default": {
        "click": {"hashes": ["sha256:bb"], "markers": "python_version >= '3.7'", "version": "==8.1.3"},
        "from-git": {"git": "https://git.example/x.git", "ref": "abc"},
        "local": {"editable": true, "path": "."},
        "both": {"version": "==1.0"}
    },
    "develop": {"pytest": {"version": "==7.4.0"}, "both": {"version": "==1.0"}}
}"""


class TestLocks:
    def test_uv(self) -> None:
        assert found(UV_LOCK, "srv/uv.lock", UV) == [
            "colorama 0.4.6",
            "flask 2.2.2",
            "werkzeug 2.2.2",
            "pluggy 1.6.0 (development)",
            "pytest 7.4.0 (development)",
            "requests 2.28.0",
            "pysocks 1.7.1",
        ]

    def test_poetry(self) -> None:
        assert found(POETRY_LOCK, "srv/poetry.lock", POETRY) == [
            "click 8.1.3",
            "pytest 7.4.0 (development)",
            "mock 4.0 (development)",
            "older 1.0",
            "private 2.0",
        ]

    def test_pdm(self) -> None:
        assert found(PDM_LOCK, "srv/pdm.lock", PDM) == [
            "click 8.1.3",
            "pytest 7.4.0 (development)",
            "flask 2.2.2",
            "older 1.0",
        ]

    def test_pylock(self) -> None:
        assert found(PYLOCK, "srv/pylock.toml", PYLOCK_TOML) == [
            "certifi 2022.12.7",
            "pytest 7.4.0 (development)",
            "both 1.0",
        ]

    def test_pipenv(self) -> None:
        assert found(PIPFILE_LOCK, "srv/Pipfile.lock", PIPFILE) == [
            "click 8.1.3",
            "both 1.0",
            "pytest 7.4.0 (development)",
        ]

    @pytest.mark.parametrize(
        ("cataloger", "path"), [(UV_LOCK, "uv.lock"), (POETRY_LOCK, "poetry.lock"), (PDM_LOCK, "pdm.lock")]
    )
    @pytest.mark.parametrize(
        "content",
        ["", "package = 1", "package = [1]", "[[package]]\nname = 1", "[[package]]\nname = 'a'\nversion = ['1']"],
    )
    def test_what_has_another_shape_testifies_to_nothing(self, cataloger: Cataloger, path: str, content: str) -> None:
        assert found(cataloger, path, content) == []

    def test_what_is_no_document_is_a_warning(self) -> None:
        with pytest.raises(DocumentRefused):
            found(UV_LOCK, "uv.lock", "[" * 100_000)
        with pytest.raises(DocumentRefused):
            found(PIPFILE_LOCK, "Pipfile.lock", "[" * 100_000)
