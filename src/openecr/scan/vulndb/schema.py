"""The tables of the index file; every one is read by its key alone."""

FORMAT = 1
"""Raised whenever a file of before cannot be read, or would say something else."""
APPLICATION_ID = 0x6F656376
"""Of SQLite's header, so that no other database is taken for an index."""
PAGE_BYTES = 8192
ONE_OF_MANY = 8
"""The first rank of ``alias`` whose records are about several CVEs."""

TABLES = """
CREATE TABLE meta (name TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE package (
    ecosystem TEXT NOT NULL, name TEXT NOT NULL, digest BLOB NOT NULL, advisories BLOB NOT NULL,
    PRIMARY KEY (ecosystem, name)
) WITHOUT ROWID;
CREATE TABLE detail (id TEXT NOT NULL PRIMARY KEY, content BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE alias (
    cve TEXT NOT NULL, rank INTEGER NOT NULL, id TEXT NOT NULL, PRIMARY KEY (cve, rank, id)
) WITHOUT ROWID;
CREATE TABLE withdrawn (id TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE exploit (cve TEXT NOT NULL PRIMARY KEY, epss REAL, exploited INTEGER NOT NULL) WITHOUT ROWID;
"""
