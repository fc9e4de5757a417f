"""ECR's word for the evidence of a package: ``packageManager`` of enhanced findings.

Source: Amazon Inspector's API reference, ``VulnerablePackage``; its values are the whole list, and where none of them
is true the member is left out.
"""

from typing import Final

PACKAGE_MANAGERS: Final[dict[str, str | None]] = {
    "apk": "OS",
    "dpkg": "OS",
    "rpm": "OS",
    # Python
    "pdm-lock": "PIP",
    "pip-requirements": "PIP",
    "pipfile-lock": "PIPENV",
    "poetry-lock": "POETRY",
    "pylock": "PIP",
    "python-installed": "PYTHONPKG",
    "uv-lock": "PIP",
    # JavaScript
    "bun-lock": "NPM",
    "deno-lock": "NPM",
    "node-installed": "NODEPKG",
    "npm-lock": "NPM",
    "pnpm-lock": "NPM",
    "yarn-lock": "YARN",
    # Java
    "gradle-lock": None,
    "jar": "JAR",
    "maven-pom": "POM",
    "sbt-lock": None,
    # Ruby
    "bundler-lock": "BUNDLER",
    "gem-installed": "GEMSPEC",
    # PHP
    "composer-installed": "COMPOSER",
    "composer-lock": "COMPOSER",
    # .NET
    "dotnet-assembly": "DOTNET_CORE",
    "dotnet-deps": "DOTNET_CORE",
    "nuget-assets": "NUGET",
    "nuget-central": "NUGET",
    "nuget-config": "NUGET",
    "nuget-lock": "NUGET",
    "nuspec": "NUGET",
    "paket-lock": "NUGET",
    # Go, Rust
    "cargo-auditable": "CARGO",
    "cargo-lock": "CARGO",
    "go-binary": "GOBINARY",
    "go-mod": "GOMOD",
    "go-mod-direct": "GOMOD",
    "go-sum": "GOMOD",
    "go-vendored": "GOMOD",
    # Those that Inspector has no word for
    "bitnami": None,
    "cabal-freeze": None,
    "conan-info": None,
    "conan-lock": None,
    "conda": None,
    "erlang-application": None,
    "julia-manifest": None,
    "mix-lock": None,
    "podfile-lock": None,
    "pubspec-lock": None,
    "r-installed": None,
    "rebar-lock": None,
    "renv-lock": None,
    "sbom": None,
    "stack-lock": None,
    "swift-resolved": None,
}
"""By ``Package.kind``."""


def package_manager(kind: str) -> str | None:
    """The value for a kind of evidence; None where the API has none, which an unknown kind has neither."""
    return PACKAGE_MANAGERS.get(kind)
