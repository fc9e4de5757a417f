"""What a record's id says: which source wrote it, and which CVE it is a distribution's word on."""

import re
from functools import lru_cache

_ABOUT_ONE_CVE = re.compile(r"(?:[A-Z][A-Z0-9]*-)?(CVE-[0-9]{4}-[0-9]{4,19})")

_SOURCES = {
    "GHSA": "GITHUB",
    "CVE": "NVD",
    "DEBIAN": "DEBIAN_CVE",
    "DSA-CONTRIB": "DRUPAL",
    "DSA-CORE": "DRUPAL",
    "DRUPAL": "DRUPAL",
    "DSA": "DEBIAN_CVE",
    "DLA": "DEBIAN_CVE",
    "DTSA": "DEBIAN_CVE",
    "UBUNTU": "UBUNTU_CVE",
    "USN": "UBUNTU_CVE",
    "LSN": "UBUNTU_CVE",
    "RHSA": "REDHAT_CVE",
    "RHBA": "REDHAT_CVE",
    "RHEA": "REDHAT_CVE",
    "ALAS": "ALAS",
    "ALPINE": "ALPINE_CVE",
    "SUSE": "SUSE_CVE",
    "openSUSE": "SUSE_CVE",
    "ALSA": "ALMALINUX",
    "ALBA": "ALMALINUX",
    "ALEA": "ALMALINUX",
    "RLSA": "ROCKYLINUX",
    "RXSA": "ROCKYLINUX",
    "PYSEC": "PYPA",
    "PSF": "PSF",
    "GO": "GO",
    "RUSTSEC": "RUSTSEC",
    "MAL": "OSSF_MALICIOUS_PACKAGES",
    "BIT": "BITNAMI",
    "BELL": "BELLSOFT",
    "CGA": "CHAINGUARD",
    "AZL": "AZURELINUX",
    "PHSA": "PHOTON",
    "OESA": "OPENEULER",
    "MGASA": "MAGEIA",
}


def is_cve(record_id: str) -> bool:
    """Whether it is a CVE's id itself."""
    return record_id.startswith("CVE-") and cve_of(record_id) == record_id


@lru_cache(maxsize=1 << 15)
def cve_of(record_id: str) -> str | None:
    """The CVE of ``CVE-…``, ``DEBIAN-CVE-…``, ``UBUNTU-CVE-…``, ``BELL-CVE-…``; None for any other id.

    A prefix of one word only: ``GLAD-CVE-…`` is such an id, ``RUBYSEC-rack-CVE-…`` is not, and has its CVE in aliases.
    """
    found = _ABOUT_ONE_CVE.fullmatch(record_id)
    return found[1] if found else None


def is_malicious(record_id: str) -> bool:
    """Whether the record says that the package itself is an attack (https://github.com/ossf/malicious-packages)."""
    return record_id.startswith("MAL-")


def source(record_id: str) -> str:
    """Who wrote the record, as Inspector names sources where it has a name for it, else in the same manner."""
    first, _, rest = record_id.partition("-")
    longer = _SOURCES.get(f"{first}-{rest.partition('-')[0]}")
    return longer or _SOURCES.get(first, first.upper() or "UNKNOWN")
