"""A PostgreSQL database's address: its hosts, and what is said where it leads nowhere."""

import psycopg
from psycopg import errors as pg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from openecr.db.connection import DatabaseUnusable
from openecr.db.postgres_text import sentence_of
from openecr.settings import without_secrets


def each_host(url: str) -> list[str]:
    """An address for each host that an address names: ``postgresql://host1,host2/name``.

    Raises:
        DatabaseUnusable: it is malformed.
    """
    try:
        named = conninfo_to_dict(url)
    except psycopg.Error as error:
        raise DatabaseUnusable(f"the database cannot be used: {sentence_of(error)}; check --database") from None
    hosts = str(named.get("host", "")).split(",")
    if len(hosts) == 1:
        return [url]
    ports = str(named.get("port", "")).split(",")
    ports = ports if len(ports) == len(hosts) else ports * len(hosts)
    return [
        make_conninfo("", **(named | {"host": host, "port": port or None}))
        for host, port in zip(hosts, ports, strict=True)
    ]


def unusable(url: str, error: psycopg.Error) -> DatabaseUnusable:
    """Why a database cannot be used, without libpq's advice, and what helps."""
    if isinstance(error, pg.UndefinedTable):
        return DatabaseUnusable(
            f"there is no registry in the database {without_secrets(url)}; start one with: openecr serve"
        )
    told = sentence_of(error).removeprefix("connection failed: ")
    told = told.partition(" Is the server running")[0]
    remedy = "check --database, and that the server runs"
    if error.sqlstate is None and isinstance(error, psycopg.ProgrammingError):
        remedy = "check --database"
    elif "password" in told:
        remedy = "set PGPASSWORD, or PGPASSFILE"
    elif "database" in told and "does not exist" in told:
        remedy = "make it with: createdb"
    elif "permission denied" in told:
        remedy = "let this role own the database"
    return DatabaseUnusable(f"the database {without_secrets(url)} cannot be used: {told}; {remedy}")
