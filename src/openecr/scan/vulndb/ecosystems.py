"""The ecosystems of OSV that openecr finds packages of: those whose exports are worth fetching.

OSV exports each without its releases (https://ossf.github.io/osv-schema/#defined-ecosystems).
"""

DISTRIBUTIONS = (
    "AlmaLinux",
    "Alpaquita",
    "Alpine",
    "Azure Linux",
    "BellSoft Hardened Containers",
    "Chainguard",
    "Debian",
    "Mageia",
    "MinimOS",
    "Photon OS",
    "Red Hat",
    "Rocky Linux",
    "SUSE",
    "Ubuntu",
    "Wolfi",
    "openEuler",
    "openSUSE",
)
LANGUAGES = (
    "Bioconductor",
    "Bitnami",
    "CRAN",
    "ConanCenter",
    "GHC",
    "Go",
    "Hackage",
    "Hex",
    "Julia",
    "Maven",
    "NuGet",
    "Packagist",
    "Pub",
    "PyPI",
    "RubyGems",
    "SwiftURL",
    "crates.io",
    "npm",
)
TEXTS = ("GIT",)
"""No packages, but NVD's own words on CVEs; fetched only where it is asked for."""
FOUND = tuple(sorted((*DISTRIBUTIONS, *LANGUAGES)))
