"""JavaScript: what is installed, and what the lock files of npm, Yarn, pnpm, Bun and Deno ask for."""

import json
from typing import Any

import pytest
from tests.unit.scan.cataloging import facts, found

from openecr.scan.cataloger import Cataloger
from openecr.scan.catalogers.node_installed import NODE_INSTALLED
from openecr.scan.catalogers.node_locks import BUN_LOCK, DENO_LOCK, NPM_LOCK, PNPM_LOCK
from openecr.scan.catalogers.yarn_locks import YARN_LOCK
from openecr.scan.documents import DocumentRefused

PACKAGE = {"name": "ws", "version": "8.2.3", "license": "MIT"}
EVERYWHERE = ["@babel/types 7.20.0", "lodash 4.17.15", "minimist 1.2.5"]
DEVELOPMENT = ["minimist 0.0.8 (development)", "mkdirp 0.5.1 (development)"]


class TestInstalled:
    @pytest.mark.parametrize(
        "path",
        [
            "app/node_modules/ws/package.json",
            "usr/local/lib/node_modules/npm/node_modules/ws/package.json",
            "app/node_modules/@scope/ws/package.json",
            "app/node_modules/.pnpm/ws@8.2.3/node_modules/ws/package.json",
            "app/node_modules/next/dist/compiled/ws/package.json",
            "app/node_modules/test/package.json",
            "app/node_modules/@fixtures/examples/package.json",
            "srv/test/node_modules/ws/package.json",
        ],
    )
    def test_packages_are_reported(self, path: str) -> None:
        assert found(NODE_INSTALLED, path, json.dumps(PACKAGE)) == ["ws 8.2.3"]

    @pytest.mark.parametrize(
        "path",
        [
            "app/package.json",
            "app/node_modules/resolve/test/resolver/ws/package.json",
            "app/node_modules/resolve/test/node_modules/ws/package.json",
            "app/node_modules/@scope/a/examples/ws/package.json",
            "app/node_modules/a/lib/__fixtures__/package.json",
        ],
    )
    def test_applications_and_what_tests_carry_are_not(self, path: str) -> None:
        assert found(NODE_INSTALLED, path, json.dumps(PACKAGE)) == []

    @pytest.mark.parametrize(
        ("more", "packages"),
        [
            ({"files": ["lib"]}, ["yarn 1.22.19"]),
            ({"preferGlobal": True}, ["yarn 1.22.19"]),
            ({"files": ["lib"], "private": True}, []),
            ({"files": []}, []),
            ({}, []),
        ],
    )
    def test_outside_of_node_modules_it_has_to_be_published(self, more: dict[str, Any], packages: list[str]) -> None:
        document = {"name": "yarn", "version": "1.22.19", **more}
        assert found(NODE_INSTALLED, "opt/yarn-v1.22.19/package.json", json.dumps(document)) == packages

    @pytest.mark.parametrize(
        "document",
        [
            {"type": "module"},
            {"name": "ws"},
            {"version": "1.0.0"},
            {"name": ["ws"], "version": "1.0.0"},
            {"name": "ws", "version": {"a": 1}},
            {"name": "w s", "version": "1.0.0"},
            [],
            "ws",
        ],
    )
    def test_without_name_and_version_it_is_none(self, document: Any) -> None:
        assert found(NODE_INSTALLED, "app/node_modules/ws/package.json", json.dumps(document)) == []

    @pytest.mark.parametrize(("written", "version"), [("v1.2.3", "1.2.3"), ("=1.2.3", "1.2.3"), (" 1.2.3 ", "1.2.3")])
    def test_versions_lose_their_marks(self, written: str, version: str) -> None:
        document = {"name": "Old", "version": written}
        assert found(NODE_INSTALLED, "app/node_modules/Old/package.json", json.dumps(document)) == [f"Old {version}"]

    @pytest.mark.parametrize(
        ("more", "licenses"),
        [
            ({"license": "MIT"}, ("MIT",)),
            ({"license": {"type": "ISC", "url": "x"}}, ("ISC",)),
            ({"licenses": [{"type": "MIT"}, "GPL-2.0"]}, ("MIT", "GPL-2.0")),
            ({"license": 1, "licenses": "MIT"}, ()),
        ],
    )
    def test_licences_have_three_forms(self, more: dict[str, Any], licenses: tuple[str, ...]) -> None:
        document = {"name": "ws", "version": "1.0.0", **more}
        read = facts(NODE_INSTALLED, "app/node_modules/ws/package.json", json.dumps(document))
        assert read.packages[0].licenses == licenses

    def test_hostile_files_are_warnings(self) -> None:
        for content in ("[" * 100_000, '{"name": "' + "a" * (5 << 20) + '", "version": "1"}', ""):
            with pytest.raises(DocumentRefused):
                found(NODE_INSTALLED, "app/node_modules/ws/package.json", content)


NPM = {
    "name": "demo",
    "version": "1.0.0",
    "lockfileVersion": 3,
    "packages": {
        "": {"name": "demo", "version": "1.0.0", "workspaces": ["packages/*"]},
        "node_modules/@babel/types": {"version": "7.20.0", "resolved": "https://registry.example/types-7.20.0.tgz"},
        "node_modules/lodash": {"version": "4.17.15", "license": "MIT"},
        "node_modules/old": {"name": "minimist", "version": "1.2.5"},
        "node_modules/mkdirp/node_modules/minimist": {"version": "0.0.8", "dev": True},
        "node_modules/mkdirp": {"version": "0.5.1", "dev": True},
        "packages/member": {"name": "member", "version": "2.0.0"},
        "node_modules/member": {"resolved": "packages/member", "link": True},
        "node_modules/from-git": {"version": "1.0.0", "resolved": "git+ssh://git@git.example/x.git#abc"},
        "node_modules/from-file": {"version": "1.0.0", "resolved": "file:x.tgz"},
    },
}
NPM_1 = {
    "lockfileVersion": 1,
    "dependencies": {
        "@babel/types": {"version": "7.20.0"},
        "lodash": {"version": "4.17.15"},
        "old": {"version": "npm:minimist@1.2.5"},
        "mkdirp": {
            "version": "0.5.1",
            "dev": True,
            "dependencies": {"minimist": {"version": "0.0.8", "dev": True}},
        },
        "from-git": {"version": "git+https://git.example/x.git#abc", "from": "git+https://git.example/x.git"},
        "from-file": {"version": "file:../x"},
        "short": {"version": "github:x/y#abc"},
    },
}
YARN_1 = """# THIS IS AN AUTOGENERATED FILE. DO NOT EDIT THIS FILE DIRECTLY.
# yarn lockfile v1


"@babel/types@^7.18.6", "@babel/types@^7.20.0":
  version "7.20.0"
  resolved "https://registry.example/types-7.20.0.tgz#ffa7"
  integrity sha512-gNWJ==
  dependencies:
    version "^1.0.0"

"from-file@file:./x":
  version "1.0.0"

"from-git@git+https://git.example/x.git":
  version "1.0.0"
  resolved "git+https://git.example/x.git#abc"

from-git2@user/repository:
  version "1.0.0"

lodash@4.17.15, "lodash@>=1, <5":
  version "4.17.15"

"old@npm:minimist@1.2.5":
  version "1.2.5"
"""
YARN_LATER = """# This file is generated by running "yarn install" inside your project.

__metadata:
  version: 8
  cacheKey: 10c0

"@babel/types@npm:^7.18.6, @babel/types@npm:^7.20.0":
  version: 7.20.0
  resolution: "@babel/types@npm:7.20.0"
  dependencies:
    to-fast-properties: "npm:^2.0.0"
  checksum: 10c0/169f
  languageName: node
  linkType: hard

"demo@workspace:.":
  version: 0.0.0-use.local
  resolution: "demo@workspace:."
  dependencies:
    lodash: "npm:4.17.15"
  languageName: unknown
  linkType: soft

"from-git@https://git.example/x.git":
  version: 1.0.0
  resolution: "from-git@https://git.example/x.git#commit=abc"
  linkType: hard

"fsevents@patch:lodash@npm%3A4.17.15#optional!builtin<compat/lodash>":
  version: 4.17.15
  resolution: "lodash@patch:lodash@npm%3A4.17.15#optional!builtin<compat/lodash>::version=4.17.15&hash=df0bf1"
  linkType: hard

"lodash@npm:4.17.15":
  version: 4.17.15
  resolution: "lodash@npm:4.17.15::__archiveUrl=https%3A%2F%2Fregistry.example%2Flodash.tgz"
  linkType: hard

"old@npm:minimist@1.2.5":
  version: 1.2.5
  resolution: "minimist@npm:1.2.5"
  linkType: hard
"""
PNPM_5 = """lockfileVersion: 5.4
dependencies:
  lodash: 4.17.15
packages:
  /@babel/types/7.20.0_react@18.0.0+x@1:
    resolution: {integrity: sha512-Aup7}
    dev: false
  /lodash/4.17.15:
    resolution: {integrity: sha512-Aup7}
    dev: false
  /minimist/1.2.5:
    resolution: {integrity: sha512-Aup7}
    dev: false
  /minimist/0.0.8:
    dev: true
  /mkdirp/0.5.1:
    dependencies:
      minimist: 0.0.8
    dev: true
  git.example/x/y/abc:
    name: y
    version: 1.0.0
  file:../x:
    name: x
    version: 1.0.0
"""
PNPM_6 = """lockfileVersion: '6.0'
packages:
  /@babel/types@7.20.0(react@18.0.0)(@scope/x@1.0.0):
    dev: false
  /lodash@4.17.15:
    dev: false
  /minimist@1.2.5:
    dev: false
  /minimist@0.0.8:
    dev: true
  /mkdirp@0.5.1:
    dev: true
  file:../x:
    name: x
    version: 1.0.0
"""
PNPM_9 = """---
lockfileVersion: '9.0'
importers:
  .:
    configDependencies: {}
---
lockfileVersion: '9.0'

importers:
  .:
    dependencies:
      '@babel/types':
        specifier: ^7.20.0
        version: 7.20.0(react@18.0.0)
      member:
        specifier: workspace:*
        version: link:packages/member
      old:
        specifier: npm:minimist@1.2.5
        version: minimist@1.2.5
    devDependencies:
      mkdirp:
        specifier: 0.5.1
        version: 0.5.1

packages:
  '@babel/types@7.20.0':
    resolution: {integrity: sha512-Aup7}
  lodash@4.17.15:
    resolution: {integrity: sha512-Aup7}
  minimist@1.2.5:
    resolution: {integrity: sha512-Aup7}
  minimist@0.0.8:
    resolution: {integrity: sha512-Aup7}
  mkdirp@0.5.1:
    resolution: {integrity: sha512-Aup7}
  from-git@https://git.example/x/tar.gz/abc:
    resolution: {tarball: https://git.example/x/tar.gz/abc}
    version: 1.0.0
  local@file:../x:
    resolution: {directory: ../x, type: directory}

snapshots:
  '@babel/types@7.20.0(react@18.0.0)':
    dependencies:
      lodash: 4.17.15
      '@babel/types': 7.20.0(react@18.0.0)
  lodash@4.17.15: {}
  minimist@1.2.5: {}
  minimist@0.0.8: {}
  mkdirp@0.5.1:
    dependencies:
      minimist: 0.0.8
"""
BUN = """{
  "lockfileVersion": 1,
  "workspaces": {
    "": {
      "name": "demo",
      "dependencies": {
        "@babel/types": "^7.20.0",
        "old": "npm:minimist@1.2.5",
      },
      "devDependencies": {
        "mkdirp": "0.5.1",
      },
    },
    "packages/member": { "name": "member", "version": "1.0.0", "dependencies": { "from-git": "x" } },
  },
  "packages": {
    "@babel/types": ["@babel/types@7.20.0", "", { "dependencies": { "lodash": "*" } }, "sha512-Aup7=="],

    "lodash": ["lodash@4.17.15", "", { "peerDependencies": { "old": "*" } }, "sha512-Aup7=="],

    "old": ["minimist@1.2.5", "", {}, "sha512-FM9n=="],

    "mkdirp/minimist": ["minimist@0.0.8", "", {}, "sha512-FM9n=="],

    "mkdirp": ["mkdirp@0.5.1", "", { "dependencies": { "minimist": "0.0.8" }, "bin": "bin/cmd.js" }, "sha512-Skn=="],

    "member": ["member@workspace:packages/member"],

    "from-git": ["from-git@github:x/y#abc", {}, "x-y-abc"],

    "broken": [],
  }
}
"""
DENO = {
    "version": "5",
    "specifiers": {"npm:lodash@4.17.15": "4.17.15", "jsr:@std/path@1": "1.0.0"},
    "jsr": {"@std/path@1.0.0": {"integrity": "1"}},
    "npm": {"@babel/types@7.20.0_react@18.0.0": {}, "lodash@4.17.15": {}, "minimist@1.2.5": {}},
}
DENO_3 = {"version": "3", "packages": {"specifiers": {}, "npm": DENO["npm"]}, "remote": {"https://x.example/": "1"}}
DENO_2 = {"version": "2", "npm": {"specifiers": {"a": "b"}, "packages": DENO["npm"]}}


class TestLocks:
    @pytest.mark.parametrize(
        ("cataloger", "path", "content", "packages"),
        [
            (NPM_LOCK, "package-lock.json", json.dumps(NPM), EVERYWHERE + DEVELOPMENT),
            (NPM_LOCK, "app/npm-shrinkwrap.json", json.dumps({**NPM, **NPM_1}), EVERYWHERE + DEVELOPMENT),
            (NPM_LOCK, "app/package-lock.json", json.dumps(NPM_1), [*EVERYWHERE, *reversed(DEVELOPMENT)]),
            (YARN_LOCK, "app/yarn.lock", YARN_1, EVERYWHERE),
            (YARN_LOCK, "app/yarn.lock", YARN_1.replace("\n", "\r\n"), EVERYWHERE),
            (YARN_LOCK, "app/yarn.lock", YARN_LATER, EVERYWHERE),
            (PNPM_LOCK, "app/pnpm-lock.yaml", PNPM_5, EVERYWHERE + DEVELOPMENT),
            (PNPM_LOCK, "app/pnpm-lock.yaml", PNPM_6, EVERYWHERE + DEVELOPMENT),
            (PNPM_LOCK, "app/pnpm-lock.yaml", PNPM_9, EVERYWHERE + DEVELOPMENT),
            (BUN_LOCK, "app/bun.lock", BUN, EVERYWHERE + DEVELOPMENT),
            (DENO_LOCK, "app/deno.lock", json.dumps(DENO), EVERYWHERE),
            (DENO_LOCK, "app/deno.lock", json.dumps(DENO_3), EVERYWHERE),
            (DENO_LOCK, "app/deno.lock", json.dumps(DENO_2), EVERYWHERE),
        ],
        ids=[
            *("npm 3", "npm 2", "npm 1", "yarn 1", "yarn 1 crlf", "yarn"),
            *("pnpm 5", "pnpm 6", "pnpm 9", "bun", "deno 5", "deno 3", "deno 2"),
        ],
    )
    def test_what_is_from_a_registry_is_declared(
        self, cataloger: Cataloger, path: str, content: str, packages: list[str]
    ) -> None:
        assert found(cataloger, path, content) == packages
        assert all(package.declared for package in facts(cataloger, path, content).packages)

    def test_both_are_needed_to_run_where_one_needs_it(self) -> None:
        packages = {
            "node_modules/a/node_modules/x": {"version": "1.0.0", "dev": True},
            "node_modules/b/node_modules/x": {"version": "1.0.0"},
        }
        assert found(NPM_LOCK, "package-lock.json", json.dumps({"packages": packages})) == ["x 1.0.0"]

    @pytest.mark.parametrize(
        ("cataloger", "path", "content"),
        [
            (NPM_LOCK, "package-lock.json", '{"packages": {"node_modules/a": 1, "node_modules/b": {"version": 1}}}'),
            (NPM_LOCK, "package-lock.json", '{"dependencies": ["a"]}'),
            (NPM_LOCK, "package-lock.json", "[]"),
            (YARN_LOCK, "yarn.lock", "a:\nversion\n  version\n@:\n"),
            (YARN_LOCK, "yarn.lock", "__metadata:\n  version: 8\na: 1\nb:\n  resolution: [1]\n"),
            (PNPM_LOCK, "pnpm-lock.yaml", "packages: [a]"),
            (PNPM_LOCK, "pnpm-lock.yaml", "packages:\n  '': {}\n  /: {}\n  '@': {}\n  /@a: {}\nsnapshots: {a: 1}\n"),
            (PNPM_LOCK, "pnpm-lock.yaml", ""),
            (BUN_LOCK, "bun.lock", '{"packages": {"a": [1], "b": "c"}, "workspaces": {"": {"dependencies": [1]}}}'),
            (DENO_LOCK, "deno.lock", '{"npm": {"a": 1, "@": 2, "": 3}}'),
        ],
    )
    def test_what_has_another_shape_testifies_to_nothing(self, cataloger: Cataloger, path: str, content: str) -> None:
        assert found(cataloger, path, content) == []

    @pytest.mark.parametrize(
        ("cataloger", "path"),
        [
            (NPM_LOCK, "package-lock.json"),
            (PNPM_LOCK, "pnpm-lock.yaml"),
            (BUN_LOCK, "bun.lock"),
            (DENO_LOCK, "deno.lock"),
        ],
    )
    def test_depth_is_a_warning(self, cataloger: Cataloger, path: str) -> None:
        with pytest.raises(DocumentRefused):
            found(cataloger, path, '{"a": ' * 100_000)

    def test_long_keys_cost_no_time(self) -> None:
        keys = {"a/" * 100_000 + str(number): ["x@1.0.0", "", {"dependencies": {"b": "*"}}] for number in range(20)}
        document = {"workspaces": {"": {"dependencies": dict.fromkeys(keys, "*")}}, "packages": keys}
        assert found(BUN_LOCK, "bun.lock", json.dumps(document)) == ["x 1.0.0"]
