"""Three servers on three hosts, one database, one blob store, and a proxy in front that any request may go through."""

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from openecr.keyring import ROOT_KEY_VARIABLE, root_key_path
from tests.many import pooler, proxy
from tests.many.network import Network, network
from tests.object_store import SeaweedFS
from tests.postgres import Cluster, running_cluster
from tests.registry_client import RegistryClient
from tests.running import Server

SERVERS = ("one", "two", "three")
HOSTS = (*SERVERS, "database", "standby", "proxy", "store")
PORT = 5050
DATABASE_PORT = 5432


@dataclass(frozen=True)
class Deployment:
    """What runs."""

    network: Network
    cluster: Cluster
    database: str
    blobs: Path
    servers: tuple[Server, ...]
    served: Path
    """The proxy's log: which server answered what."""
    standby: Cluster | None = None
    store: SeaweedFS | None = None
    bucket: str = ""

    @property
    def proxy_url(self) -> str:
        """Where clients reach the registry."""
        return f"http://{self.network.addresses['proxy']}:{proxy.PORT}"

    def docker(self, password: str) -> RegistryClient:
        """A client of the dkr plane, through the proxy."""
        return RegistryClient(proxy.PORT, password, self.network.addresses["proxy"])

    def docker_at(self, server: Server, password: str) -> RegistryClient:
        """The same client at one server."""
        return RegistryClient(server.port, password, server.address)

    def wait_until_ready(self) -> None:
        """Wait until every server is ready."""
        for server in self.servers:
            server.wait_until_ready()


@contextmanager
def hosts(number: int) -> Iterator[Network]:
    """The hosts of one deployment; each number has its own network, and so has each test run."""
    pid = os.getpid()
    name = f"om{number}x{pid % 100_000}"
    with network(name, f"10.{64 + 16 * number + pid // 250 % 16}.{pid % 250}", *HOSTS) as made:
        yield made


@contextmanager
def deployment(
    folder: Path,
    number: int,
    *,
    flags: tuple[str, ...] = ("--workers", "1"),
    variables: Mapping[str, str] = {},
    with_standby: bool = False,
    with_pooler: bool = False,
    with_store: bool = False,
) -> Iterator[Deployment]:
    """A running deployment on hosts of its own.

    Args:
        with_standby: every commit waits for a streaming standby, and the servers know both databases' addresses.
        with_pooler: the servers reach the database through PgBouncer.
        with_store: layers are in an S3-compatible store on a host of its own.
    """
    with ExitStack() as stack:
        made = stack.enter_context(hosts(number))
        place = made.addresses["database"]
        cluster = stack.enter_context(running_cluster(DATABASE_PORT, place, made.inside("database")))
        create_database(cluster)
        standby = None
        if with_standby:
            inside = made.inside("standby")
            standby = stack.enter_context(
                running_cluster(DATABASE_PORT, made.addresses["standby"], inside, follows=cluster)
            )
            reconfigure(cluster, "ALTER SYSTEM SET synchronous_standby_names = '*'")
        database = database_url(*(each.host for each in (cluster, standby) if each is not None))
        if with_pooler:
            stack.enter_context(pooler.pooler(cluster))
            database = database_url(place, port=pooler.PORT)
        blobs = folder / "blobs"
        blobs.mkdir(exist_ok=True)
        listed = [f"{made.addresses[host]}:{PORT}" for host in SERVERS]
        served = stack.enter_context(
            proxy.proxy(folder / "nginx", made.inside("proxy"), made.addresses["proxy"], listed)
        )
        store, bucket, variables = None, "", dict(variables)
        if with_store:
            store = SeaweedFS(folder / "weed", host=made.addresses["store"], inside=made.inside("store"))
            stack.callback(kill_store, store)
            store.start()
            bucket = store.store.new_bucket()
            flags = (*flags, "--blobs", store.store.url(bucket, redirect="off"))
            variables |= store.store.credentials
        root_key = secrets.token_hex(32)
        servers = tuple(
            server_on(made, host, folder, blobs, database, flags, {ROOT_KEY_VARIABLE: root_key, **variables})
            for host in SERVERS
        )
        # Commands beside the first server find the key in its file, as on an operator's machine.
        key_file = root_key_path(servers[0].data_dir)
        key_file.touch(mode=0o600)
        key_file.write_text(root_key)
        for server in servers:
            stack.callback(stop, server)
            server.launch()
        running = Deployment(made, cluster, database, blobs, servers, served, standby, store, bucket)
        running.wait_until_ready()
        yield running


def server_on(
    made: Network,
    host: str,
    folder: Path,
    blobs: Path,
    database: str,
    flags: tuple[str, ...],
    variables: dict[str, str],
) -> Server:
    """A server on a host, with a data directory of its own and the deployment's blobs."""
    data_dir = folder / host
    data_dir.mkdir()
    (data_dir / "blobs").symlink_to(blobs)
    address = made.addresses[host]
    url = f"http://{made.addresses['proxy']}:{proxy.PORT}"
    return Server(
        data_dir,
        PORT,
        (*flags, "--host", address, "--url", url),
        database=database,
        variables=variables,
        address=address,
        inside=made.inside(host),
    )


def stop(server: Server) -> None:
    """End a server that may have been killed."""
    if server.process is not None:
        server.stop()


def kill_store(store: SeaweedFS) -> None:
    """End a store that may not have started."""
    if store.process is not None:
        store.kill()


def create_database(cluster: Cluster) -> None:
    """A database whose owner is an ordinary role."""
    with psycopg.connect(f"{cluster.address}/postgres", autocommit=True) as connection:
        connection.execute("CREATE ROLE openecr LOGIN")
        connection.execute("CREATE DATABASE openecr OWNER openecr")


def database_url(*hosts: str, port: int = DATABASE_PORT) -> str:
    """The database's address as the ordinary role; of several hosts the one that takes writes."""
    listed = ",".join(f"{host}:{port}" for host in hosts)
    return f"postgresql://openecr@{listed}/openecr" + ("?target_session_attrs=read-write" if len(hosts) > 1 else "")


def reconfigure(cluster: Cluster, change: str) -> None:
    """Change a setting of a running cluster."""
    with psycopg.connect(f"{cluster.address}/postgres", autocommit=True) as connection:
        connection.execute(change.encode())
        connection.execute("SELECT pg_reload_conf()")
