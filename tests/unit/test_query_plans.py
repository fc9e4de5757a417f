"""Every statement of the query modules is served by an index, sorts nothing, and scans nothing, however much is stored.

Each query function is called with made-up arguments on a connection that explains instead of running. A statement that
no call reaches fails the test, so that none is forgotten.
"""

import ast
import contextlib
import importlib
import inspect
import itertools
import pkgutil
import sys
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

import apsw
import apsw.ext
import pytest

import openecr.db
from openecr.db import usage
from openecr.db.connection import Connection, Raced, Row
from openecr.db.migrations import migrate
from openecr.names import RegistryName

MODULES = [
    importlib.import_module(f"openecr.db.{item.name}")
    for item in pkgutil.iter_modules(openecr.db.__path__)
    if item.name not in ("connection", "sqlite", "migrations", "engines", "kept_rows")
    and not item.name.startswith("postgres")
]

MAY_SCAN = {
    # A deployment has few accounts; they are made one by one by its operator, and listed by the command line.
    "SELECT id, account_id, created_us, organization_id, alias FROM account ORDER BY account_id",
    # `openecr status` counts the jobs; finished ones are few and are swept.
    "SELECT queue, state, COUNT(*) FROM job GROUP BY queue, state",
    "SELECT COALESCE(SUM(size_bytes), 0) FROM blob",
    # `openecr fsck` alone asks these: the jobs are the backlog, and open uploads are looked through only for the bytes
    # of a damaged layer.
    "SELECT id, kind, state, error FROM job WHERE state = 'dead' ORDER BY id LIMIT :most",
    "SELECT 1 FROM job WHERE state IN ('ready', 'running') AND created_us > :us LIMIT 1",
    (
        "SELECT id, kind, state, error FROM job WHERE (state = 'ready' AND due_us < :us)"
        " OR (state = 'running' AND lease_until_us < :us) ORDER BY id LIMIT :most"
    ),
    (
        "SELECT object_id, data_key FROM upload WHERE sha256_state = :raw AND offset_bytes = :size_bytes"
        " AND lease_holder IS NULL LIMIT 10"
    ),
    # `openecr usage` walks every registry; there are as many as accounts have regions in use.
    usage.REGISTRIES,
    # `openecr status` says how much is encrypted.
    (
        "SELECT cipher, CASE WHEN encryption_key = 'AES256:' THEN 1 ELSE 0 END, COUNT(*), COALESCE(SUM(size_bytes), 0)"
        " FROM blob GROUP BY 1, 2"
    ),
    # Once a deployment, at the start of the first release that has a KMS.
    (
        "SELECT DISTINCT g.id, g.account_id, g.region, r.kms_key FROM repository r JOIN registry g"
        " ON g.id = r.registry_key WHERE r.kms_key IS NOT NULL"
        " AND NOT EXISTS (SELECT 1 FROM kms_key k WHERE k.arn = r.kms_key)"
    ),
}
"""Statements that read a whole table, each with why it may."""

MAY_SORT = {
    # A repository has 50 tags at most.
    "SELECT tag_key, tag_value FROM resource_tag WHERE repository_key = :key ORDER BY position, tag_key",
    # An account has few administrators, and they few keys; asked by the command line.
    (
        "SELECT k.access_key_id, k.sealed_secret FROM account a JOIN principal p ON p.account_key = a.id"
        " JOIN access_key k ON k.principal_key = p.id WHERE a.account_id = :account_id AND p.administrator = 1"
        " AND k.active = 1 ORDER BY p.id, k.id LIMIT 1"
    ),
}
"""Statements that sort what they found, each with why it may."""

BOUNDED = {"step", "live", "counted", "dead", "held", "kept"}
"""What statements gather in memory before they go on, at most a step of it; here it may be read whole and sorted."""

NEVER_DELETED = {"registry", "account"}
"""Tables whose rows stay: no delete has to look for what refers to them."""


@dataclass(frozen=True)
class Explained:
    """One statement, where it stands, and its plan."""

    place: tuple[str, int]
    sql: str
    plan: tuple[str, ...]


@dataclass
class Explainer:
    """A connection that explains what it is told to run, and answers with nothing, or with rows of ones."""

    raw: apsw.Connection
    answers: bool = False
    found: list[Explained] = field(default_factory=list)

    def rows(self, sql: str, **params: Any) -> list[Row]:
        return self._explain(sql, params)

    def row(self, sql: str, **params: Any) -> Row | None:
        rows = self._explain(sql, params)
        return rows[0] if rows else None

    def run(self, sql: str, **params: Any) -> int:
        return len(self._explain(sql, params))

    def kept_row(self, scope: str, sql: str, *, unless: Any = None, **params: Any) -> Row | None:
        rows = self._explain(sql, params)
        return rows[0] if rows else None

    def locked_row(self, of: str, sql: str, *, against_references: bool = False, **params: Any) -> Row | None:
        rows = self._explain(sql, params)
        return rows[0] if rows else None

    def free_rows(self, of: str, sql: str, **params: Any) -> list[Row]:
        return self._explain(sql, params)

    def forget(self, scope: str) -> None:
        """Nothing to explain."""

    def clock_us(self) -> int:
        return 1

    def _explain(self, sql: str, params: dict[str, Any]) -> list[Row]:
        frame = sys._getframe(2)
        columns = len(apsw.ext.query_info(self.raw, sql).description)
        plan = tuple(row[3] for row in self.raw.execute(f"EXPLAIN QUERY PLAN {sql}", params))
        self.found.append(Explained((Path(frame.f_code.co_filename).stem, frame.f_lineno), " ".join(sql.split()), plan))
        return [(1,) * max(columns, 1)] if self.answers else []


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[apsw.Connection]:
    path = tmp_path_factory.mktemp("plans") / "openecr.db"
    migrate(path)
    connection = apsw.Connection(str(path))
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def explained(database: apsw.Connection) -> list[Explained]:
    found: list[Explained] = []
    for module in MODULES:
        for function in query_functions(module):
            for arguments in argument_sets(function):
                for answers in (False, True):
                    explainer = Explainer(database, answers)
                    # What a function makes of rows of ones is of no account: the statement was explained by then.
                    with contextlib.suppress(AssertionError, TypeError, ValueError, AttributeError, Raced):
                        made = function(explainer, **arguments)
                        if inspect.isgenerator(made):
                            list(made)
                    found += explainer.found
    return found


def query_functions(module: types.ModuleType) -> list[Callable[..., Any]]:
    """The module's functions that take a connection, private ones too."""
    return [
        item
        for _, item in inspect.getmembers(module, inspect.isfunction)
        if item.__module__ == module.__name__ and typing.get_type_hints(item).get("db") is Connection
    ]


def argument_sets(function: Callable[..., Any]) -> Iterator[dict[str, Any]]:
    """Arguments of the declared types, in every combination of what may be left out."""
    hints = typing.get_type_hints(function)
    names = [name for name in inspect.signature(function).parameters if name != "db"]
    for values in itertools.product(*(list(samples(hints[name])) for name in names)):
        yield dict(zip(names, values, strict=True))


def samples(kind: Any) -> Iterator[Any]:
    """Values of a type; of a union one of each."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        for item in arguments:
            yield from samples(item)
    elif origin is typing.Literal:
        yield arguments[0]
    elif origin in (Sequence, Iterable, list):
        yield list(samples(arguments[0]))
    elif origin is tuple:
        yield tuple(next(samples(item)) for item in arguments if item is not ...)
    elif origin is dict:
        yield {}
    elif origin is Mapping:
        yield dict.fromkeys(samples(arguments[0]), next(samples(arguments[1])))
    elif kind is RegistryName:
        yield RegistryName("123456789012", "us-east-1")
    elif is_dataclass(kind) and isinstance(kind, type):
        hints = typing.get_type_hints(kind)
        for pick in (0, -1):
            yield kind(**{item.name: list(samples(hints[item.name]))[pick] for item in fields(kind)})
    elif kind is bool:
        yield from (True, False)
    elif kind is type(None):
        yield None
    else:
        yield {int: 1, str: "x", bytes: b"\x01" * 33}[kind]


_SENDS = ("row", "rows", "run", "kept_row", "locked_row", "free_rows")


def call_sites() -> Iterator[tuple[str, int, int]]:
    """(module, first line, last line) of every statement that the query modules send."""
    for module in MODULES:
        assert module.__file__ is not None
        for node in ast.walk(ast.parse(Path(module.__file__).read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                is_database = isinstance(node.func.value, ast.Name) and node.func.value.id == "db"
                if is_database and node.func.attr in _SENDS:
                    yield Path(module.__file__).stem, node.lineno, node.end_lineno or node.lineno


def test_every_statement_is_explained(explained: list[Explained]) -> None:
    reached = {item.place for item in explained}

    missed = [
        (name, first)
        for name, first, last in call_sites()
        if not any((name, line) in reached for line in range(first, last + 1))
    ]

    assert missed == []


def test_no_statement_sorts(explained: list[Explained]) -> None:
    sorting = {
        item.sql
        for item in explained
        if any("TEMP B-TREE" in line for line in item.plan) and not item.sql.startswith("WITH step AS MATERIALIZED")
    }

    assert sorting - MAY_SORT - MAY_SCAN == set()


def test_no_statement_reads_a_whole_table_or_index(explained: list[Explained]) -> None:
    scanning = {
        (item.sql, item.plan)
        for item in explained
        if any(
            (line.startswith("SCAN ") and "CONSTANT" not in line and "VALUES CLAUSE" not in line) or "AUTOMATIC" in line
            for line in item.plan
            if line.partition(" ")[2].partition(" ")[0] not in BOUNDED
        )
    }

    assert {found for found in scanning if found[0] not in MAY_SCAN} == set()


def test_a_statement_that_is_excused_is_still_there(explained: list[Explained]) -> None:
    assert (MAY_SCAN | MAY_SORT) - {item.sql for item in explained} == set()


def test_every_foreign_key_that_a_delete_must_check_has_an_index(database: apsw.Connection) -> None:
    tables = [row[0] for row in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    unserved = []
    for table in tables:
        leading = {
            next(iter(database.execute(f"SELECT name FROM pragma_index_info('{index}') ORDER BY seqno LIMIT 1")))[0]
            for (index,) in database.execute(f"SELECT name FROM pragma_index_list('{table}') WHERE partial = 0")
        }
        # A key that is one integer is the table's own order.
        keys = [row[0] for row in database.execute(f"SELECT name FROM pragma_table_info('{table}') WHERE pk > 0")]
        leading |= set(keys) if len(keys) == 1 else set()
        for parent, column in database.execute(f'SELECT "table", "from" FROM pragma_foreign_key_list(\'{table}\')'):
            if parent not in NEVER_DELETED and column not in leading:
                unserved.append((table, column))

    assert unserved == []


def test_every_foreign_key_restricts(database: apsw.Connection) -> None:
    tables = [row[0] for row in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]

    rules = {
        row[0]
        for table in tables
        for row in database.execute(f"SELECT on_delete FROM pragma_foreign_key_list('{table}')")
    }

    assert rules == {"RESTRICT"}
