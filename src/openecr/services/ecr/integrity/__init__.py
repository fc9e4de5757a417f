"""Integrity: do rows and objects agree, and do bytes still have their digests? Found, quarantined, repaired."""
