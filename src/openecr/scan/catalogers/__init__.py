"""Catalogers: what a file of a layer testifies to. A new one is a file here, and its name in the list."""

from openecr.scan.cataloger import Cataloger
from openecr.scan.catalogers import (
    apk,
    cargo,
    conan,
    conda,
    dotnet_installed,
    dotnet_locks,
    dpkg,
    erlang,
    go_binary,
    go_modules,
    haskell,
    java_archives,
    java_declared,
    julia,
    node_installed,
    node_locks,
    os_release,
    php,
    pubspec,
    python_installed,
    python_locks,
    python_requirements,
    r_language,
    rpm,
    ruby,
    sboms,
    swift,
    yarn_locks,
)

CATALOGERS: tuple[Cataloger, ...] = tuple(
    cataloger
    for module in (
        os_release,
        dpkg,
        apk,
        rpm,
        python_installed,
        python_requirements,
        python_locks,
        node_installed,
        node_locks,
        yarn_locks,
        java_archives,
        java_declared,
        ruby,
        php,
        dotnet_installed,
        dotnet_locks,
        go_binary,
        go_modules,
        cargo,
        erlang,
        pubspec,
        swift,
        conan,
        r_language,
        haskell,
        julia,
        conda,
        sboms,
    )
    for cataloger in module.CATALOGERS
)
"""Every one; their order is that in which a file is shown to those that want it."""
