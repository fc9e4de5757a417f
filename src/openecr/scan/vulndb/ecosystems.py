"""The ecosystems of OSV that openecr finds packages of: those whose exports are worth fetching.

OSV exports each without its releases (https://ossf.github.io/osv-schema/#defined-ecosystems).
"""

from openecr.scan.severity import DISTRIBUTIONS

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
