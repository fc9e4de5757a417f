"""Catalogers: what a file of a layer testifies to. A new one is a file here and a line in ``CATALOGERS``.

A cataloger sees one file at a time and knows nothing of other layers. It says by path (or, for binaries, by the first
bytes) which files it wants, and turns one into facts. It may raise anything that parsing raises: the engine makes a
warning of it and goes on. What it reads is hostile: it bounds what it inflates and recurses into by its ``Limits``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from openecr.scan.limits import Limits
from openecr.scan.packages import FileFacts


@dataclass(frozen=True, slots=True)
class WantedFile:
    """A file that a cataloger asked for."""

    path: str
    """Without leading ``/``, normalised."""
    size_bytes: int
    content: BinaryIO
    """Seekable, at its beginning."""
    limits: Limits

    def text(self) -> bytes:
        """The whole content.

        Raises:
            ValueError: it is larger than texts may be.
        """
        if self.size_bytes > self.limits.text_bytes:
            raise ValueError(f"larger than {self.limits.text_bytes} bytes")
        return self.content.read()


@dataclass(frozen=True, slots=True)
class Cataloger:
    """One kind of evidence: which files, and what they say.

    A file is wanted if any of the tests holds. Tests are data so that a layer's every path is tested at once.
    """

    name: str
    version: int
    """Raised whenever the same file would give other facts: inventories that are kept are then made anew."""
    read: Callable[[WantedFile], FileFacts]
    paths: tuple[str, ...] = ()
    """Whole paths, such as ``var/lib/dpkg/status``."""
    names: tuple[str, ...] = ()
    """Last components, such as ``package-lock.json``."""
    suffixes: tuple[str, ...] = ()
    """Ends of the path, such as ``.dist-info/METADATA``, ``.jar``; compared in lower case."""
    directories: tuple[str, ...] = ()
    """Every file directly in this directory, such as ``var/lib/dpkg/status.d``; with ``*`` before it those that end so:
    ``var/lib/dpkg/info/*.list``."""
    folders: tuple[str, ...] = ()
    """Every file directly in a directory of this name, wherever it is, such as ``conda-meta``."""
    magic: tuple[bytes, ...] = ()
    """First bytes of the content, such as ``\\x7fELF``."""


# What follows imports the types above.
from openecr.scan.catalogers import apk, dpkg, os_release, rpm  # noqa: E402
from openecr.scan.catalogers.cargo import CARGO_AUDITABLE, CARGO_LOCK  # noqa: E402
from openecr.scan.catalogers.conan import CONAN_INFO, CONAN_LOCK  # noqa: E402
from openecr.scan.catalogers.conda import CONDA  # noqa: E402
from openecr.scan.catalogers.dotnet_installed import DOTNET_DEPENDENCIES, NUSPEC  # noqa: E402
from openecr.scan.catalogers.dotnet_locks import (  # noqa: E402
    NUGET_ASSETS,
    NUGET_CENTRAL,
    NUGET_CONFIG,
    NUGET_LOCK,
    PAKET_LOCK,
)
from openecr.scan.catalogers.erlang import ERLANG_APPLICATION, MIX_LOCK, REBAR_LOCK  # noqa: E402
from openecr.scan.catalogers.go_binary import GO_BINARY  # noqa: E402
from openecr.scan.catalogers.go_modules import GO_MOD, GO_SUM, GO_VENDORED  # noqa: E402
from openecr.scan.catalogers.haskell import CABAL_FREEZE, STACK_LOCK  # noqa: E402
from openecr.scan.catalogers.java_archives import JAVA_ARCHIVES  # noqa: E402
from openecr.scan.catalogers.java_declared import GRADLE_LOCK, MAVEN_POM, SBT_LOCK  # noqa: E402
from openecr.scan.catalogers.julia import JULIA_MANIFEST  # noqa: E402
from openecr.scan.catalogers.node_installed import NODE_INSTALLED  # noqa: E402
from openecr.scan.catalogers.node_locks import BUN_LOCK, DENO_LOCK, NPM_LOCK, PNPM_LOCK  # noqa: E402
from openecr.scan.catalogers.php import COMPOSER_INSTALLED, COMPOSER_LOCK  # noqa: E402
from openecr.scan.catalogers.pubspec import PUBSPEC_LOCK  # noqa: E402
from openecr.scan.catalogers.python_installed import PYTHON_EGG, PYTHON_INSTALLED  # noqa: E402
from openecr.scan.catalogers.python_locks import (  # noqa: E402
    PDM_LOCK,
    PIPFILE_LOCK,
    POETRY_LOCK,
    PYLOCK,
    UV_LOCK,
)
from openecr.scan.catalogers.python_requirements import PIP_REQUIREMENTS  # noqa: E402
from openecr.scan.catalogers.r_language import R_INSTALLED, RENV_LOCK  # noqa: E402
from openecr.scan.catalogers.ruby import BUNDLER_LOCK, GEM_INSTALLED  # noqa: E402
from openecr.scan.catalogers.sboms import SBOMS  # noqa: E402
from openecr.scan.catalogers.swift import PODFILE_LOCK, SWIFT_RESOLVED  # noqa: E402
from openecr.scan.catalogers.yarn_locks import YARN_LOCK  # noqa: E402

CATALOGERS: tuple[Cataloger, ...] = (
    *os_release.CATALOGERS,
    *dpkg.CATALOGERS,
    *apk.CATALOGERS,
    *rpm.CATALOGERS,
    PYTHON_INSTALLED,
    PYTHON_EGG,
    PIP_REQUIREMENTS,
    PIPFILE_LOCK,
    POETRY_LOCK,
    UV_LOCK,
    PDM_LOCK,
    PYLOCK,
    NODE_INSTALLED,
    NPM_LOCK,
    YARN_LOCK,
    PNPM_LOCK,
    BUN_LOCK,
    DENO_LOCK,
    JAVA_ARCHIVES,
    MAVEN_POM,
    GRADLE_LOCK,
    SBT_LOCK,
    GEM_INSTALLED,
    BUNDLER_LOCK,
    COMPOSER_INSTALLED,
    COMPOSER_LOCK,
    DOTNET_DEPENDENCIES,
    NUSPEC,
    NUGET_LOCK,
    NUGET_ASSETS,
    NUGET_CONFIG,
    NUGET_CENTRAL,
    PAKET_LOCK,
    GO_BINARY,
    GO_MOD,
    GO_SUM,
    GO_VENDORED,
    CARGO_AUDITABLE,
    CARGO_LOCK,
    ERLANG_APPLICATION,
    MIX_LOCK,
    REBAR_LOCK,
    PUBSPEC_LOCK,
    SWIFT_RESOLVED,
    PODFILE_LOCK,
    CONAN_LOCK,
    CONAN_INFO,
    R_INSTALLED,
    RENV_LOCK,
    STACK_LOCK,
    CABAL_FREEZE,
    JULIA_MANIFEST,
    CONDA,
    SBOMS,
)
"""Every one; their order is that in which a file is shown to those that want it."""
