"""Every statement of the query modules is served by an index on PostgreSQL too.

With sequential scans priced out of reach, a plan that has one all the same has no index to go by.
"""

import contextlib
import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import apsw
import psycopg
import pytest
from tests.postgres import Cluster
from tests.unit.test_query_plans import BOUNDED, MAY_SCAN, MODULES, Explainer, argument_sets, query_functions

from openecr.db.connection import Raced, Row
from openecr.db.migrations import migrate, migrate_postgres
from openecr.db.postgres_text import adapt, numbered


@dataclass
class _Asked(Explainer):
    """Remembers with which parameters each statement was sent."""

    asked: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)

    def _explain(self, sql: str, params: dict[str, Any]) -> list[Row]:
        self.asked[" ".join(sql.split())] = (sql, params)
        return super()._explain(sql, params)


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, dict[str, Any]]]:
    path = tmp_path_factory.mktemp("plans") / "openecr.db"
    migrate(path)
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    connection = apsw.Connection(str(path))
    for module in MODULES:
        for function in query_functions(module):
            for arguments in argument_sets(function):
                for answers in (False, True):
                    explainer = _Asked(connection, answers)
                    with contextlib.suppress(AssertionError, TypeError, ValueError, AttributeError, Raced):
                        made = function(explainer, **arguments)
                        if inspect.isgenerator(made):
                            list(made)
                    found |= explainer.asked
    connection.close()
    return found


@pytest.fixture(scope="module")
def planner(postgres: Cluster) -> Iterator[psycopg.RawCursor[Any]]:
    with psycopg.connect(postgres.create_database(migrate_postgres), autocommit=True) as connection:
        adapt(connection.adapters)
        connection.execute("SET enable_seqscan = off")
        yield psycopg.RawCursor(connection)


def test_no_statement_reads_a_whole_table(
    asked: dict[str, tuple[str, dict[str, Any]]], planner: psycopg.RawCursor[Any]
) -> None:
    wrong: list[str] = []
    for told, (sql, params) in asked.items():
        if told in MAY_SCAN:
            continue
        text, names = numbered(sql)
        rows = planner.execute(b"EXPLAIN " + text, [params[name] for name in names]).fetchall()
        plan = "\n".join(row[0] for row in rows)
        scans = [line for line in plan.splitlines() if "Seq Scan on" in line]
        if [line for line in scans if line.split("Seq Scan on ")[1].split()[0] not in BOUNDED]:
            wrong.append(f"{told}\n{plan}")
    assert wrong == [], "\n\n".join(wrong)
