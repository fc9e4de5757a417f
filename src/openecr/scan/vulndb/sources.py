"""Who wrote the records, and on which terms: by the ids that each source gives (https://google.github.io/osv.dev/data/).

openecr ships no data; what a deployment fetched is told with its licence and attribution by ``openecr vulndb status``.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Terms:
    """Of one source's records."""

    source: str
    license: str
    """An SPDX id where there is one; ``see the source`` where the terms are not known to openecr."""
    url: str = ""


_UNKNOWN_LICENSE = "see the source"
_GITHUB = "https://github.com"
_TERMS = (
    (("GHSA",), Terms("GitHub Advisory Database", "CC-BY-4.0", f"{_GITHUB}/advisories")),
    (("PYSEC",), Terms("PyPI Advisory Database", "CC-BY-4.0", f"{_GITHUB}/pypa/advisory-database")),
    (("PSF",), Terms("Python Software Foundation", "CC-BY-4.0", f"{_GITHUB}/psf/advisory-database")),
    (("GO",), Terms("Go Vulnerability Database", "CC-BY-4.0", f"{_GITHUB}/golang/vulndb")),
    (("RUSTSEC",), Terms("RustSec Advisory Database", "CC0-1.0", f"{_GITHUB}/RustSec/advisory-db")),
    (("MAL",), Terms("OpenSSF Malicious Packages", "Apache-2.0", f"{_GITHUB}/ossf/malicious-packages")),
    (("OSV",), Terms("OSS-Fuzz", "CC-BY-4.0", f"{_GITHUB}/google/oss-fuzz-vulns")),
    (("CVE",), Terms("National Vulnerability Database", "public domain", "https://nvd.nist.gov")),
    (
        ("DEBIAN", "DSA", "DLA", "DTSA"),
        Terms("Debian Security Tracker", _UNKNOWN_LICENSE, "https://security-tracker.debian.org"),
    ),
    (("UBUNTU", "USN", "LSN"), Terms("Ubuntu Security", "CC-BY-SA-4.0", "https://ubuntu.com/security")),
    (("ALPINE",), Terms("Alpine SecDB", _UNKNOWN_LICENSE, "https://security.alpinelinux.org")),
    (("ALSA", "ALBA", "ALEA"), Terms("AlmaLinux", "MIT", f"{_GITHUB}/AlmaLinux/osv-database")),
    (("RLSA", "RXSA"), Terms("Rocky Linux", "BSD-3-Clause", "https://errata.rockylinux.org")),
    (("RHSA", "RHBA", "RHEA"), Terms("Red Hat", "CC-BY-4.0", "https://access.redhat.com/security")),
    (("SUSE", "openSUSE"), Terms("SUSE", _UNKNOWN_LICENSE, "https://www.suse.com/security")),
    (("CGA",), Terms("Chainguard", _UNKNOWN_LICENSE, "https://images.chainguard.dev/security")),
    (("BIT",), Terms("Bitnami Vulnerability Database", "Apache-2.0", f"{_GITHUB}/bitnami/vulndb")),
    (("BELL",), Terms("BellSoft", "MIT", f"{_GITHUB}/bell-sw/osv-database")),
    (("AZL",), Terms("Azure Linux", "MIT", f"{_GITHUB}/microsoft/AzureLinuxVulnerabilityData")),
    (("HSEC",), Terms("Haskell Security Advisories", "CC0-1.0", f"{_GITHUB}/haskell/security-advisories")),
    (("RSEC",), Terms("R Consortium Advisory Database", "Apache-2.0", f"{_GITHUB}/RConsortium/r-advisory-database")),
    (("JLSEC",), Terms("Julia Security Advisories", "CC-BY-4.0", f"{_GITHUB}/JuliaLang/SecurityAdvisories.jl")),
    (("EEF",), Terms("Erlang Ecosystem Foundation", "CC-BY-4.0", "https://cna.erlef.org")),
    (("DRUPAL",), Terms("Drupal Advisory Database", "MIT", f"{_GITHUB}/DrupalSecurityTeam/drupal-advisory-database")),
    (("OESA",), Terms("openEuler", _UNKNOWN_LICENSE, "https://www.openeuler.org")),
    (("MGASA",), Terms("Mageia", _UNKNOWN_LICENSE, "https://advisories.mageia.org")),
    (("PHSA",), Terms("Photon OS", _UNKNOWN_LICENSE, f"{_GITHUB}/vmware/photon")),
)
_BY_PREFIX = {prefix: terms for prefixes, terms in _TERMS for prefix in prefixes}
EPSS = Terms("Exploit Prediction Scoring System", "free with citation", "https://www.first.org/epss")
EXPLOITED = Terms(
    "CISA Known Exploited Vulnerabilities", "CC0-1.0", "https://www.cisa.gov/known-exploited-vulnerabilities"
)


def terms(record_id: str) -> Terms:
    """The terms of a record, by the prefix of its id; a prefix that is not known here is a source of its own."""
    prefix = record_id.partition("-")[0][:50]
    return _BY_PREFIX.get(prefix) or Terms(f"records {prefix}-…", _UNKNOWN_LICENSE)
