"""1,000 pushes that share a 100 MB base layer into 30 repositories of one account: it is stored once.

Checked to the byte with `openecr usage`, against what was pushed. A client uploads the base once for each repository,
as Docker does, and openecr keeps the first.
"""

import json
import time

from bench.client import Client
from bench.content import Image, random_image
from bench.measurement import Bench, Gate, Row
from bench.servers import OpenEcr

_REPOSITORIES = 30
_OWN_BYTES = 10_000


class SharedBase:
    """Whether what images share is stored, and counted, once."""

    name = "shared-base"
    by_default = False

    def run(self, bench: Bench) -> list[Row]:
        pushes, base_bytes = bench.scale.shared_pushes, bench.scale.shared_base_bytes
        own_bytes = 0
        with OpenEcr(bench.folder / "openecr", 2) as server:
            assert isinstance(server, OpenEcr)
            base = random_image([base_bytes])
            base_digest = json.loads(base.manifest)["layers"][0]["digest"]
            start = time.perf_counter()
            for number in range(min(_REPOSITORIES, pushes)):
                server.create_repository(f"bench/shared-{number}")
            with Client(server) as client:
                for number in range(pushes):
                    image = _on_top(base, base_digest)
                    own_bytes += sum(map(len, image.blobs.values())) - base_bytes
                    client.push_image(f"bench/shared-{number % _REPOSITORIES}", image, f"v{number}")
            seconds = time.perf_counter() - start
            total = json.loads(server.command("usage", "--json")[0])["total"]
        exact = Gate(0, "at most", "value")
        stored = float(total["storedBytes"])
        expected = base_bytes + own_bytes
        unshared = pushes * base_bytes + own_bytes
        return [
            Row(f"{pushes} pushes over one {base_bytes / 1e6:g} MB base, {_REPOSITORIES} repositories", "s", [seconds]),
            Row("  stored by usage", "B", [stored]),
            Row("  off from the base once and each image's own", "B", [abs(stored - expected)], gate=exact),
            Row("  as if unshared, off from what was pushed", "B", [abs(total["imageBytes"] - unshared)], gate=exact),
            Row("  saved", "B", [float(total["savedBytes"])]),
        ]


def _on_top(base: Image, base_digest: str) -> Image:
    """An image with the base layer and a small one of its own."""
    own = random_image([_OWN_BYTES])
    manifest = json.loads(own.manifest)
    layer = json.loads(base.manifest)["layers"][0]
    manifest["layers"].insert(0, layer)
    return Image(json.dumps(manifest).encode(), {base_digest: base.blobs[base_digest], **own.blobs}, own.media_type)
