"""100,000 blobs, one in a hundred of them garbage: seconds and memory of `openecr gc`, and of `openecr usage`.

The blobs are rows, each named by an image of its own; the garbage has files, which are deleted. Memory is the command's
peak RSS beside that of the same command on an empty deployment.
"""

import apsw

from bench.measurement import Bench, Gate, Row
from bench.servers import OpenEcr

_GARBAGE = 100
"""One in so many blobs is garbage."""
_FILE_BYTES = 10_000
_MIB = 1024 * 1024
_NUMBERS = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count) "
_FILL = (
    (
        "INSERT INTO blob (id, registry_key, encryption_key, object_id, cipher, size_bytes, created_us, unheld_us)"
        " SELECT i, 1, 'AES256:', printf('%08x-0000-4000-8000-000000000000', i), 'none', :size, 1,"
        " CASE WHEN i % :garbage = 0 THEN 1 END FROM n"
    ),
    (
        "INSERT INTO blob_digest (registry_key, encryption_key, digest, blob_key)"
        " SELECT 1, 'AES256:', unhex(printf('01%064x', i)), i FROM n"
    ),
    (
        "INSERT INTO layer (id, repository_key, digest, blob_key, promised_until_us, linked_us)"
        " SELECT i, 1, unhex(printf('01%064x', i)), i, 1, 1 FROM n WHERE i % :garbage <> 0"
    ),
    (
        "INSERT INTO image (id, repository_key, digest, media_type, manifest_size_bytes, image_size_bytes, pushed_us,"
        " ever_tagged, status, manifest) SELECT i, 1, unhex(printf('01%064x', i)), 'm', 1, :size, i, 0, 'ACTIVE', x'00'"
        " FROM n WHERE i % :garbage <> 0"
    ),
    (
        "INSERT INTO image_layer (image_key, position, layer_key, media_type) SELECT i, 0, i, 'm' FROM n"
        " WHERE i % :garbage <> 0"
    ),
)


class Collection:
    """How long a collection takes where little of much is garbage."""

    name = "collection"
    by_default = False

    def run(self, bench: Bench) -> list[Row]:
        count = bench.scale.collected_blobs
        with OpenEcr(bench.folder / "openecr", 1) as server:
            assert isinstance(server, OpenEcr)
            server.create_repository("bench/collection")
            _, _, gc_empty = server.command("gc")
            _, _, usage_empty = server.command("usage", "--json")
            bench.say(f"collection: filling {count} blobs")
            _fill(server, count)
            _, usage_seconds, usage_bytes = server.command("usage", "--json")
            printed, gc_seconds, gc_bytes = server.command("gc")
            assert f"of {count // _GARBAGE} layers" in printed, printed
            left = [path for path in (server.data_dir / "blobs").rglob("*") if path.is_file()]
            assert not left, f"{len(left)} files are left"
            _, again_seconds, _ = server.command("gc")
        flat = Gate(32, "at most", "value")
        return [
            Row(f"{count} blobs, 1 % garbage: openecr gc", "s", [gc_seconds], gate=Gate(10, "at most", "value")),
            Row("  once more, nothing to do", "s", [again_seconds]),
            Row("  memory above an empty deployment's", "MiB", [(gc_bytes - gc_empty) / _MIB], gate=flat),
            Row(f"{count} images: openecr usage", "s", [usage_seconds], gate=Gate(20, "at most", "value")),
            Row("  memory above an empty deployment's", "MiB", [(usage_bytes - usage_empty) / _MIB], gate=flat),
        ]


def _fill(server: OpenEcr, count: int) -> None:
    connection = apsw.Connection(str(server.data_dir / "openecr.db"))
    connection.set_busy_timeout(60_000)
    with connection:
        for statement in _FILL:
            wanted = {"count": count, "size": _FILE_BYTES, "garbage": _GARBAGE}
            asked = {name: value for name, value in wanted.items() if f":{name}" in _NUMBERS + statement}
            table, _, rest = statement.partition(" SELECT ")
            connection.execute(f"{_NUMBERS}{table} SELECT {rest}", asked)
    connection.close()
    for number in range(_GARBAGE, count + 1, _GARBAGE):
        object_id = f"{number:08x}-0000-4000-8000-000000000000"
        path = server.data_dir / "blobs" / object_id[:2] / object_id[2:4] / object_id
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(_FILE_BYTES))
