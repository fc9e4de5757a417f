""".NET: what is deployed, the framework itself, and what projects ask for."""

import json
from typing import Any

import pytest
from tests.unit.scan.cataloging import facts, found, within

from openecr.scan.cataloger import Cataloger
from openecr.scan.catalogers.dotnet_installed import DOTNET_DEPENDENCIES, NUSPEC
from openecr.scan.catalogers.dotnet_locks import NUGET_ASSETS, NUGET_CENTRAL, NUGET_CONFIG, NUGET_LOCK, PAKET_LOCK
from openecr.scan.documents import DocumentRefused

APPLICATION = {
    "runtimeTarget": {"name": ".NETCoreApp,Version=v8.0/linux-x64", "signature": ""},
    "targets": {
        ".NETCoreApp,Version=v8.0": {"Newtonsoft.Json/13.0.1": {}},
        ".NETCoreApp,Version=v8.0/linux-x64": {
            "Demo/1.0.0": {"dependencies": {"Newtonsoft.Json": "13.0.1"}, "runtime": {"Demo.dll": {}}},
            "Newtonsoft.Json/13.0.1": {
                "runtime": {"lib/netstandard2.0/Newtonsoft.Json.dll": {"fileVersion": "13.0.1.25517"}}
            },
            "SQLitePCLRaw.lib/2.1.0": {"native": {"libe_sqlite3.so": {}}},
            "System.IO.Ports/8.0.0": {"runtimeTargets": {"runtimes/linux-x64/lib/System.IO.Ports.dll": {}}},
            "Only.References/1.0.0": {"dependencies": {"Newtonsoft.Json": "13.0.1"}},
            "Only.Compiles/1.0.0": {"compile": {"x.dll": {}}, "runtime": {}},
            "runtimepack.Microsoft.NETCore.App.Runtime.linux-x64/8.0.1": {"runtime": {"System.Text.Json.dll": {}}},
        },
    },
    "libraries": {
        "Demo/1.0.0": {"type": "project", "serviceable": False, "sha512": ""},
        "Newtonsoft.Json/13.0.1": {"type": "package", "serviceable": True, "sha512": "sha512-a=="},
        "SQLitePCLRaw.lib/2.1.0": {"type": "package"},
        "System.IO.Ports/8.0.0": {"type": "package"},
        "Only.References/1.0.0": {"type": "package"},
        "Only.Compiles/1.0.0": {"type": "package"},
        "Referenced/1.0.0": {"type": "reference"},
        "runtimepack.Microsoft.NETCore.App.Runtime.linux-x64/8.0.1": {"type": "runtimepack"},
    },
}


class TestDeployed:
    def test_packages_with_files_are_reported(self) -> None:
        assert found(DOTNET_DEPENDENCIES, "app/Demo.deps.json", json.dumps(APPLICATION)) == [
            "Newtonsoft.Json 13.0.1",
            "SQLitePCLRaw.lib 2.1.0",
            "System.IO.Ports 8.0.0",
            "Microsoft.NETCore.App.Runtime.linux-x64 8.0.1",
        ]
        package = facts(DOTNET_DEPENDENCIES, "app/Demo.deps.json", json.dumps(APPLICATION)).packages[0]
        assert (package.ecosystem, package.kind, package.declared) == ("NuGet", "dotnet-deps", False)

    def test_without_its_target_all_packages_count(self) -> None:
        document = {**APPLICATION, "runtimeTarget": {"name": "other"}}
        assert "Only.References 1.0.0" in found(DOTNET_DEPENDENCIES, "app/Demo.deps.json", json.dumps(document))

    @pytest.mark.parametrize("prefix", ["usr/share/dotnet/", "usr/lib/dotnet/", ""])
    @pytest.mark.parametrize(
        ("name", "target", "package"),
        [
            ("Microsoft.NETCore.App", ".NETCoreApp,Version=v8.0/linux-x64", "Microsoft.NETCore.App.Runtime.linux-x64"),
            (
                "Microsoft.AspNetCore.App",
                ".NETCoreApp,Version=v8.0/linux-musl-arm64",
                "Microsoft.AspNetCore.App.Runtime.linux-musl-arm64",
            ),
            ("Microsoft.NETCore.App", ".NETCoreApp,Version=v2.1", "Microsoft.NETCore.App"),
        ],
    )
    def test_the_framework_is_a_package_too(self, prefix: str, name: str, target: str, package: str) -> None:
        pack = f"{package}/8.0.1"
        document = {
            "runtimeTarget": {"name": target},
            "targets": {target: {pack: {"runtime": {"System.Text.Json.dll": {}}}}},
            "libraries": {pack: {"type": "package", "path": f"{package.lower()}/8.0.1"}},
        }
        path = f"{prefix}shared/{name}/8.0.1/{name}.deps.json"
        assert found(DOTNET_DEPENDENCIES, path, json.dumps(document)) == [f"{package} 8.0.1"]
        assert found(DOTNET_DEPENDENCIES, path, json.dumps({**document, "libraries": {}})) == [f"{package} 8.0.1"]
        assert found(DOTNET_DEPENDENCIES, "shared/Own/8.0.1/Own.deps.json", "{}") == []

    @pytest.mark.parametrize(
        "document", [[], {"libraries": []}, {"libraries": {"a": 1, "b/1": {"type": 2}, "/": {"type": "package"}}}]
    )
    def test_what_has_another_shape_testifies_to_nothing(self, document: Any) -> None:
        assert found(DOTNET_DEPENDENCIES, "a.deps.json", json.dumps(document)) == []


NUSPEC_XML = """<?xml version="1.0" encoding="utf-8"?>
<package xmlns="http://schemas.microsoft.com/packaging/2013/05/nuspec.xsd">
  <metadata minClientVersion="2.12">
    <id>Newtonsoft.Json</id>
    <version>13.0.1</version>
    <license type="expression">MIT</license>
    <dependencies><group><dependency id="Other" version="1.0" /></group></dependencies>
  </metadata>
</package>
"""


class TestNuspec:
    def test_a_package_of_a_folder_is_reported(self) -> None:
        (package,) = facts(
            NUSPEC, "root/.nuget/packages/newtonsoft.json/13.0.1/newtonsoft.json.nuspec", NUSPEC_XML
        ).packages
        assert (package.name, package.version, package.licenses) == ("Newtonsoft.Json", "13.0.1", ("MIT",))

    def test_without_a_namespace_and_in_utf_16(self) -> None:
        plain = NUSPEC_XML.replace(' xmlns="http://schemas.microsoft.com/packaging/2013/05/nuspec.xsd"', "")
        utf_16 = plain.replace("utf-8", "utf-16").encode("utf-16")
        assert found(NUSPEC, "a.nuspec", utf_16) == ["Newtonsoft.Json 13.0.1"]

    @pytest.mark.parametrize(
        "content", [NUSPEC_XML.replace("13.0.1", "$version$"), "<package/>", "<package><metadata/></package>"]
    )
    def test_templates_are_none(self, content: str) -> None:
        assert found(NUSPEC, "src/Demo.nuspec", content) == []


LOCK = {
    "version": 1,
    "dependencies": {
        "net8.0": {
            "Newtonsoft.Json": {"type": "Direct", "requested": "[13.0.1, )", "resolved": "13.0.1", "contentHash": "a"},
            "System.Memory": {"type": "Transitive", "resolved": "4.5.5"},
            "library": {"type": "Project"},
        },
        "net8.0/linux-x64": {"System.Memory": {"type": "Transitive", "resolved": "4.5.5"}},
    },
}
ASSETS = {
    "version": 3,
    "libraries": {
        "Newtonsoft.Json/13.0.1": {"sha512": "a", "type": "package", "path": "newtonsoft.json/13.0.1"},
        "library/1.0.0": {"type": "project", "path": "../library.csproj"},
    },
}
CONFIG = """<?xml version="1.0" encoding="utf-8"?>
<packages>
  <package id="jQuery" version="3.1.1" targetFramework="net48" />
  <package id="StyleCop" version="1.0.0" developmentDependency="true" />
  <other id="x" version="1" />
</packages>
"""
CENTRAL = """<Project>
  <PropertyGroup><JsonVersion>13.0.1</JsonVersion></PropertyGroup>
  <ItemGroup Condition="true">
    <PackageVersion Include="Newtonsoft.Json" Version="$(JsonVersion)" />
    <PackageVersion Include="Exact" Version="[1.2.3]" />
    <PackageVersion Include="Inner"><Version>2.0.0</Version></PackageVersion>
    <PackageVersion Include="Range" Version="[1.0,2.0)" />
    <PackageVersion Include="Floating" Version="1.*" />
    <PackageVersion Include="Elsewhere" Version="$(Undefined)" />
    <PackageVersion Update="NoName" Version="1.0.0" />
    <GlobalPackageReference Include="Analyzers" Version="3.0.0" />
  </ItemGroup>
</Project>
"""
PAKET = """STORAGE: NONE
RESTRICTION: == net8.0
NUGET
  remote: https://registry.example/v3/index.json
    FSharp.Core (6.0.3)
    Newtonsoft.Json (13.0.1) - restriction: >= net45
      Microsoft.CSharp (>= 4.3)
    Pinned (1.0-beta) - content: none
GITHUB
  remote: fsharp/FAKE
    src/app.fs (0341a2e614eb2a7f34607cec914eb0ed83ce9add)
GROUP Test
NUGET
  remote: https://registry.example/v3/index.json
    xunit (2.4.1)
"""


class TestDeclared:
    @pytest.mark.parametrize(
        ("cataloger", "path", "content", "packages"),
        [
            (NUGET_LOCK, "src/packages.lock.json", json.dumps(LOCK), ["Newtonsoft.Json 13.0.1", "System.Memory 4.5.5"]),
            (NUGET_ASSETS, "src/obj/project.assets.json", json.dumps(ASSETS), ["Newtonsoft.Json 13.0.1"]),
            (NUGET_CONFIG, "src/packages.config", CONFIG, ["jQuery 3.1.1", "StyleCop 1.0.0 (development)"]),
            (
                NUGET_CENTRAL,
                "src/Directory.Packages.props",
                CENTRAL,
                ["Newtonsoft.Json 13.0.1", "Exact 1.2.3", "Inner 2.0.0", "Analyzers 3.0.0"],
            ),
            (
                PAKET_LOCK,
                "src/paket.lock",
                PAKET,
                ["FSharp.Core 6.0.3", "Newtonsoft.Json 13.0.1", "Pinned 1.0-beta", "xunit 2.4.1 (development)"],
            ),
        ],
        ids=["lock", "assets", "config", "central", "paket"],
    )
    def test_packages_are_declared(self, cataloger: Cataloger, path: str, content: str, packages: list[str]) -> None:
        assert found(cataloger, path, content) == packages
        assert all(package.declared for package in facts(cataloger, path, content).packages)

    @pytest.mark.parametrize(
        ("cataloger", "path", "content"),
        [
            (NUGET_LOCK, "packages.lock.json", '{"dependencies": {"a": [1], "b": {"c": "d", "e": {"resolved": 1}}}}'),
            (NUGET_ASSETS, "project.assets.json", '{"libraries": {"a": {"type": "package"}, "b/1": 7}}'),
            (NUGET_CONFIG, "packages.config", '<packages><package id="a"/><package version="1"/></packages>'),
            (NUGET_CENTRAL, "Directory.Packages.props", "<Project><ItemGroup><PackageVersion/></ItemGroup></Project>"),
            (PAKET_LOCK, "paket.lock", "NUGET\n    a\n    (1)\n    b (>= 1)\n"),
        ],
    )
    def test_what_has_another_shape_testifies_to_nothing(self, cataloger: Cataloger, path: str, content: str) -> None:
        assert found(cataloger, path, content) == []

    @pytest.mark.parametrize(
        ("cataloger", "path"), [(NUGET_CONFIG, "packages.config"), (NUGET_CENTRAL, "Directory.Packages.props")]
    )
    def test_entities_are_refused(self, cataloger: Cataloger, path: str) -> None:
        with pytest.raises(DocumentRefused):
            found(cataloger, path, '<!DOCTYPE p [<!ENTITY a "b">]><packages>&a;</packages>')

    def test_properties_that_grow_are_bounded(self) -> None:
        content = (
            f"<Project><PropertyGroup><a>{'x' * 1_000_000}</a></PropertyGroup><ItemGroup>"
            f'<PackageVersion Include="p" Version="{"$(a)" * 1_000_000}" /></ItemGroup></Project>'
        )
        with within(64 << 20):
            assert found(NUGET_CENTRAL, "Directory.Packages.props", content) == []
