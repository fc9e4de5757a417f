"""The vulnerability database: OSV records in, an index of advisories out, in one file that is only read."""
