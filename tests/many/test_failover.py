"""The database fails over to a standby: nothing acknowledged is lost, and the old primary is never written to."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.api.support import make_image, upload
from tests.many.deployment import Deployment, deployment, reconfigure
from tests.many.load import Load, wrong_answers
from tests.many.world import World
from tests.postgres import Cluster
from tests.registry_client import Answer
from tests.waiting import wait_until


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Three servers, a primary and a standby that every commit waits for."""
    with deployment(tmp_path, 2, with_standby=True) as many:
        yield World(many.servers, many.blobs, many)


def asked(cluster: Cluster, sql: str) -> Any:
    """One value, read past the servers."""
    with psycopg.connect(f"{cluster.address}/openecr", autocommit=True) as connection:
        found = connection.execute(sql.encode()).fetchone()
    return None if found is None else found[0]


def _says_read_only(answer: Answer) -> bool:
    return answer.status == 503 and b"read-only" in answer.body


def fail_over(many: Deployment) -> Cluster:
    """Kill the primary, promote the standby; the new primary."""
    assert many.standby is not None
    many.cluster.run("crash")
    many.standby.run("promote")
    return many.standby


def test_a_failover_loses_no_acknowledged_push_and_an_old_primary_that_comes_back_gets_nothing(
    world: World, repository_name: str
) -> None:
    assert world.many is not None
    many = world.many
    world.create_repository(repository_name)
    with Load(world.client(), repository_name, 1) as load:
        load.resume()
        load.wait_for_pushes(5, "clients push")

        primary = fail_over(many)

        load.wait_for_pushes(5, "clients push again by themselves")
        many.cluster.run("start")
        assert asked(many.cluster, "SELECT pg_is_in_recovery()") is False
        before = (
            asked(many.cluster, "SELECT COUNT(*) FROM last_commit"),
            asked(many.cluster, "SELECT MAX(id) FROM image"),
        )
        # Every connection is made anew, and finds the old primary first.
        for _ in range(3):
            asked(
                primary,
                "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'openecr'",
            )
            load.wait_for_pushes(3, "clients push past the old primary")
        load.pause()

        assert load.wrong == []
        assert wrong_answers(load, load.images, world.each()) == []
        after = (
            asked(many.cluster, "SELECT COUNT(*) FROM last_commit"),
            asked(many.cluster, "SELECT MAX(id) FROM image"),
        )
        assert after == before
        assert asked(primary, "SELECT MAX(id) FROM image") > before[1]
        world.wait_until_ready()
        assert world.broken() == []


def test_a_push_whose_connection_broke_while_it_waited_for_the_standby_is_not_acknowledged_before_that_has_it(
    world: World, repository_name: str
) -> None:
    assert world.many is not None
    many = world.many
    world.create_repository(repository_name)
    client = world.client()
    image = upload(client, repository_name, make_image("waits"))
    many.network.cut("database", "standby")
    answers: list[Answer] = []
    pushing = threading.Thread(
        target=lambda: answers.append(client.push_manifest(repository_name, "v1", image.manifest))
    )
    pushing.start()
    waiting = "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    wait_until(lambda: asked(many.cluster, waiting), "the push waits for the standby")

    # It is committed here now, and the standby does not have it.
    reconfigure(
        many.cluster, "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    )
    wait_until(lambda: asked(many.cluster, "SELECT COUNT(*) FROM tag"), "the push is committed on the primary")
    fail_over(many)
    many.network.heal()
    pushing.join()

    pulled = client.request("GET", f"/v2/{repository_name}/manifests/v1")
    assert answers[0].status != 201 or pulled.body == image.manifest


def test_a_primary_that_is_made_read_only_is_noticed(world: World, repository_name: str) -> None:
    assert world.many is not None
    client = world.client()
    world.create_repository(repository_name)
    client.push_image(repository_name, "before")

    # Each connection learns of the setting in its own time; what is written until then is written, and answered so.
    reconfigure(world.many.cluster, "ALTER SYSTEM SET default_transaction_read_only = on")
    wait_until(lambda: all(_says_read_only(ask("GET", "/readyz")) for ask in world.each()), "every server notices")
    refused = client.request("POST", f"/v2/{repository_name}/blobs/uploads/")

    assert refused.status == 503, refused
    assert refused.error[1] == "UNAVAILABLE", refused
    with psycopg.connect(f"{world.many.cluster.address}/postgres", autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        connection.execute("ALTER SYSTEM RESET default_transaction_read_only")
        connection.execute("SELECT pg_reload_conf()")
    world.wait_until_ready()
    client.push_image(repository_name, "after")
