"""The declared networks as one server process knows them: compiled once, asked for by their version at each request.

The version is one row, which a server keeps in memory where the database is a round trip away; whoever changes a VPC is
answered once no server uses the version before (``db/kept_rows.py``).
"""

from openecr.access.networks import Asked, Networks, NoWay, Way
from openecr.access.vpcs import Vpc
from openecr.db import vpcs
from openecr.db.connection import Connection, Database


class KnownNetworks:
    """One process's compiled networks."""

    def __init__(self) -> None:
        self._version: str | None = None
        self._networks = Networks(())

    async def way(self, database: Database, asked: Asked) -> Way | NoWay:
        """By which way a request came.

        Raises:
            DatabaseAway
        """
        version = await database.read(vpcs.version, consistent=False)
        if version != self._version:
            self._version, self._networks = await database.read(_load)
        return self._networks.way(asked)


def _load(db: Connection) -> tuple[str, Networks]:
    """The networks with the version that they have in this snapshot."""
    return vpcs.version(db), Networks(Vpc.load(row.document) for row in vpcs.every(db))
