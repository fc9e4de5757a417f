"""Pages of tags while tags come and go: none that stayed is missing or told twice."""

import threading
from typing import Any

from tests.places import ON_DATABASES
from tests.registry_client import RegistryClient, digest_of, image_manifest

pytestmark = ON_DATABASES


def pages_of(registry: RegistryClient, name: str, most: int) -> list[str]:
    """Every tag of every page."""
    found: list[str] = []
    target: str | None = f"/v2/{name}/tags/list?n={most}"
    while target is not None:
        answer = registry.request("GET", target)
        assert answer.status == 200
        assert len(answer.json["tags"]) <= most
        found += answer.json["tags"]
        link = answer.headers.get("link")
        target = link.partition(">")[0].removeprefix("<") if link else None
    return found


def test_pages_hold_what_stayed_once_and_in_order_under_writes(registry: RegistryClient, repository: str) -> None:
    registry.push_blob(repository, b"{}")
    manifest = image_manifest(b"{}")
    path = f"{digest_of(manifest)}?" + "&".join(f"tag=stays-{number:02}" for number in range(50))
    assert registry.push_manifest(repository, path, manifest).status == 201
    stays = {f"stays-{number:02}" for number in range(50)}
    stop = threading.Event()
    writing = threading.Barrier(5)
    failures: list[Any] = []

    def write(number: int) -> None:
        """Tags before, between and after the ones that stay."""
        moving = image_manifest(b"{}", annotations={"writer": str(number)})
        kept = registry.push_manifest(repository, f"{digest_of(moving)}?tag=stays-writer-{number}", moving)
        if kept.status != 201:
            failures.append(kept)
        writing.wait()
        turn = 0
        while not stop.is_set():
            tags = [f"{prefix}-{number}-{turn}" for prefix in ("a", "stays-25", "z")]
            query = "&".join(f"tag={tag}" for tag in tags)
            answers = [registry.push_manifest(repository, f"{digest_of(moving)}?{query}", moving)]
            answers += [registry.request("DELETE", f"/v2/{repository}/manifests/{tag}") for tag in tags]
            failures.extend(answer for answer in answers if answer.status >= 300)
            turn += 1

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for writer in writers:
        writer.start()
    writing.wait()
    try:
        for most in (1, 2, 3, 5, 7, 50, 1000):
            found = pages_of(registry, repository, most)
            assert stays <= set(found)
            assert found == sorted(set(found))
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert failures == []
    assert set(pages_of(registry, repository, 9)) == stays | {f"stays-writer-{number}" for number in range(4)}
