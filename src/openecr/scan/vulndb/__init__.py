"""OSV records → one file that is only read: which records speak of a package, and what is told of each.

archives.py    records out of bulk zips, zips of zips, and folders; hostile ones bounded
osv.py         one record's JSON → what the index keeps of it
exploits.py    EPSS scores and the catalogue of vulnerabilities that are known to be exploited
packing.py     rows as bytes and back
building.py    records, one after another → the file
index.py       the file, read: ``openecr.scan.advisories.AdvisoryIndex``
differences.py two builds → the packages whose advisories differ
sources.py     who wrote the records, and on which terms
"""
