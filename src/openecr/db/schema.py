"""The tables as the migrations make them, whichever engine holds them: for what walks every row of every table."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from openecr.db.connection import Connection, Row
from openecr.db.migrations import migrations

_TABLE = re.compile(r"CREATE TABLE (\w+) \(\n(.*?)\n\) \{table\}", re.DOTALL)
_COLUMN = re.compile(r"(\w+) (\{key\}|\{bytes\}|BIGINT|TEXT)(?: |$)")
_ADDED = re.compile(r"ALTER TABLE (\w+) ADD COLUMN ([^;]+)")
_REFERENCE = re.compile(r"(\w+) .*REFERENCES (\w+) \((\w+)\)")
_KEY = re.compile(r"PRIMARY KEY \(([^)]+)\)")
_ROWS = 500
_ROWS_WITH_MANIFESTS = 50


class Reader(Protocol):
    """A snapshot of the database: rows, and no changes."""

    def rows(self, sql: str, **params: Any) -> list[Row]:
        """Every row of a query that is bounded to a page."""
        ...


@dataclass(slots=True)
class Table:
    """A table: its columns in order, its primary key, and what it references."""

    name: str
    columns: dict[str, str] = field(default_factory=dict)
    """Name → ``key``, ``bytes``, ``bigint`` or ``text``."""
    primary_key: tuple[str, ...] = ()
    references: list[tuple[str, str, str]] = field(default_factory=list)
    """(column, referenced table, referenced column)."""

    @property
    def has_manifests(self) -> bool:
        """Whether its rows may be megabytes, so that few are read or written at once."""
        return "manifest" in self.columns


def tables(texts: Sequence[str] | None = None) -> list[Table]:
    """Every table after these migrations, each after those it references; all of this release's by default."""
    found: dict[str, Table] = {}
    for text in migrations() if texts is None else texts:
        plain = re.sub(r"--[^\n]*", "", text)
        for made in _TABLE.finditer(plain):
            table = found[made[1]] = Table(made[1])
            for line in made[2].splitlines():
                _read_line(table, line.strip().rstrip(","))
        for added in _ADDED.finditer(plain):
            _read_line(found[added[1]], " ".join(added[2].split()))
    return list(found.values())


def _read_line(table: Table, line: str) -> None:
    if key := _KEY.match(line):
        table.primary_key = tuple(name.strip() for name in key[1].split(","))
    elif column := _COLUMN.match(line):
        table.columns[column[1]] = column[2].strip("{}").lower()
        if column[2] == "{key}" or "PRIMARY KEY" in line:
            table.primary_key = (column[1],)
    if reference := _REFERENCE.match(line):
        table.references.append((reference[1], reference[2], reference[3]))


def walk(connection: Reader, table: Table) -> Iterator[list[Row]]:
    """Every row of a table in the order of its primary key, in batches; columns in the table's order."""
    most = _ROWS_WITH_MANIFESTS if table.has_manifests else _ROWS
    columns = ", ".join(table.columns)
    names = list(table.columns)
    key = ", ".join(table.primary_key)
    order = f"ORDER BY {key} LIMIT {most}"
    rows = connection.rows(f"SELECT {columns} FROM {table.name} {order}")
    bound = ", ".join(f":{name}" for name in table.primary_key)
    after = f"SELECT {columns} FROM {table.name} WHERE ({key}) > ({bound}) {order}"
    while rows:
        yield rows
        last = {name: rows[-1][names.index(name)] for name in table.primary_key}
        rows = connection.rows(after, **last)


def insert(connection: Connection, table: Table, names: Sequence[str], row: Mapping[str, Any]) -> None:
    """Put a row there as it is, with its key; one that is there stays."""
    columns = ", ".join(names)
    values = ", ".join(f":{name}" for name in names)
    connection.run(f"INSERT INTO {table.name} ({columns}) VALUES ({values}) ON CONFLICT DO NOTHING", **row)


def dangling(connection: Connection, table: Table, reference: tuple[str, str, str], most: int) -> list[Row]:
    """Primary keys of up to ``most`` rows whose reference names no row."""
    column, target, target_column = reference
    key = ", ".join(f"t.{name}" for name in table.primary_key)
    return connection.rows(
        f"SELECT {key} FROM {table.name} t WHERE t.{column} IS NOT NULL AND NOT EXISTS"
        f" (SELECT 1 FROM {target} r WHERE r.{target_column} = t.{column}) LIMIT {most}"
    )
