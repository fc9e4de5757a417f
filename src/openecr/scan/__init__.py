"""The scanner: layers → packages → findings. Pure: bytes and an index of advisories in, facts out; nothing of servers.

archive.py      a compressed layer's entries, streamed and bounded
catalogers/     what a file of a layer testifies to: one file for each kind of evidence
executables/    ELF, PE, Mach-O: where the bytes of a name or an address are
layers.py       a layer's inventory: the files that testify, and what the layer hides of those below
squash.py       the layers of an image, in order → its packages
distribution.py os-release and its elders → the distribution, and its advisories' ecosystem
versions/       order of versions: one file for each family
vulndb/         OSV records → an index of advisories, in one file that is only read
matching.py     packages, advisories → findings, aliases joined
purl.py         package URLs: what a package is called elsewhere, and what such a URL calls it here
sbom/           an image's packages and findings as CycloneDX and SPDX
vex.py          statements that a vulnerability does no harm, read by vex_documents.py, and which findings they suppress
"""
