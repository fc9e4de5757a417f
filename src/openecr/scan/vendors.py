"""Who made an rpm: a distribution, whose advisories speak of it, or somebody else, of whom they know nothing."""

_VENDORS = {
    "almalinux": ("almalinux",),
    "azurelinux": ("microsoft",),
    "mageia": ("mageia",),
    "mariner": ("microsoft",),
    "openeuler": ("openeuler",),
    "opensuse": ("opensuse", "suse llc", "suse linux"),
    "opensuse-leap": ("opensuse", "suse llc", "suse linux"),
    "opensuse-leap-micro": ("opensuse", "suse llc", "suse linux"),
    "opensuse-tumbleweed": ("opensuse", "suse llc", "suse linux"),
    "photon": ("vmware", "broadcom"),
    "redhat": ("red hat",),
    "rhel": ("red hat",),
    "rocky": ("rocky",),
    "sl-micro": ("suse",),
    "sle-micro": ("suse",),
    "sled": ("suse",),
    "sles": ("suse",),
    "sles_sap": ("suse",),
}
"""Words of ``Vendor`` as these distributions' own packages have it, in lower case."""


def is_third_party(vendor: str, distribution_id: str) -> bool:
    """Whether an rpm of a distribution is somebody else's: Remi's, EPEL's, a vendor's own.

    An rpm that says nothing of its vendor counts as the distribution's: databases without one do exist
    (``container-manifest-2``).
    """
    own = _VENDORS.get(distribution_id.lower())
    return bool(vendor and own) and not any(word in vendor.lower() for word in own or ())


def has_advisories_on(vendor: str) -> bool:
    """Whether any distribution's advisories may speak of an rpm of this vendor; for those who do not know which yet.

    Files of other rpms are nobody's to judge but the languages' own: EPEL's, Remi's. Empty may be a distribution's.
    """
    return not vendor or any(word in vendor.lower() for own in _VENDORS.values() for word in own)
