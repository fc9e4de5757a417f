"""Clients that push, pull and delete while something breaks, and remember what they were told."""

import http.client
import json
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from tests.registry_client import OCI_MANIFEST, Answer, RegistryClient, digest_of, image_manifest
from tests.waiting import wait_until

PUSHERS = 3
PROMISE_SECONDS = 16
SHORT_LIVES = {
    "OPENECR_PROMISE_SECONDS": str(PROMISE_SECONDS),
    "OPENECR_LAYER_URL_SECONDS": "5",
    "OPENECR_TRASH_DAYS": "0",
}
"""Settings under which everything that can be collected is, within a test."""
_SHARED = [bytes([number]) * 60_000 for number in range(6)]
_SIZES_BYTES = (100, 40_000, 40_000, 600_000)


@dataclass
class Image:
    """An image that was pushed, or that a client tried to push."""

    tag: str
    manifest: bytes
    blobs: list[bytes]
    pushed: Literal["yes", "unsure"] = "unsure"
    deleted: Literal["no", "yes", "unsure"] = "no"

    @property
    def digest(self) -> str:
        """The manifest's digest."""
        return digest_of(self.manifest)


class _Refused(Exception):
    """A step was answered with something else than success."""


@dataclass
class Load:
    """The clients of one test."""

    client: RegistryClient
    repository: str
    seed: int
    images: list[Image] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    """What no fault excuses."""
    attempts: int = 0
    pushes: int = 0
    deletions: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._going = threading.Event()
        self._ending = threading.Event()
        self._idle = [threading.Event() for _ in range(PUSHERS)]
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(PUSHERS)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._going.set()
        for thread in self._threads:
            thread.join()

    def resume(self) -> None:
        """Let the clients go on."""
        for idle in self._idle:
            idle.clear()
        self._going.set()

    def pause(self) -> None:
        """Let the clients finish what they are at, and wait."""
        self._going.clear()
        wait_until(lambda: all(idle.is_set() for idle in self._idle), "the clients finished what they were at", 90)

    def wait_for_pushes(self, more: int, what: str) -> None:
        """Wait until so many more pushes were acknowledged."""
        wanted = self.pushes + more
        wait_until(lambda: self.pushes >= wanted or bool(self.wrong), what, 90)

    def _run(self, number: int) -> None:
        choose = random.Random(self.seed * 1000 + number)
        turn = 0
        while not self._ending.is_set():
            if not self._going.is_set():
                self._idle[number].set()
                self._going.wait()
                continue
            turn += 1
            self._push(choose, f"s{self.seed}-{number}-{turn}")
            if turn % 2:
                self._delete(choose)
            self._pull(choose)

    def _push(self, choose: random.Random, tag: str) -> None:
        layers = [*choose.sample(_SHARED, 2), choose.randbytes(choose.choice(_SIZES_BYTES))]
        config = json.dumps({"architecture": "amd64", "os": "linux", "tag": tag}).encode()
        image = Image(tag, image_manifest(config, *layers), [config, *layers])
        began = time.monotonic()
        with self._lock:
            self.attempts += 1
        try:
            for content in image.blobs:
                self._push_blob(choose, content)
            with self._lock:
                self.images.append(image)
            answer = self.client.push_manifest(self.repository, tag, image.manifest)
        except (OSError, http.client.HTTPException, _Refused):
            return
        if answer.status == 201:
            with self._lock:
                image.pushed = "yes"
                self.pushes += 1
        elif answer.status < 500 and time.monotonic() - began < PROMISE_SECONDS / 2:
            # What the client was told of as being there is promised for longer than this took.
            self._note(f"push of {tag} was answered {answer.status} {answer.body!r}")

    def _push_blob(self, choose: random.Random, content: bytes) -> None:
        """Ask for the layer, then send it in one request or in several, each on its own connection."""
        digest = digest_of(content)
        base = f"/v2/{self.repository}/blobs"
        if self.client.request("HEAD", f"{base}/{digest}").status == 200:
            return
        if choose.random() < 0.3:
            self._expect(201, self.client.request("POST", f"{base}/uploads/?digest={digest}", content))
            return
        location = self._expect(202, self.client.request("POST", f"{base}/uploads/")).headers["location"]
        middle = len(content) // 2
        for piece in (content[:middle], content[middle:]):
            location = self._expect(202, self.client.request("PATCH", location, piece)).headers["location"]
        self._expect(201, self.client.request("PUT", f"{location}?digest={digest}", Content_Length="0"))

    def _expect(self, status: int, answer: Answer) -> Answer:
        if answer.status != status:
            raise _Refused
        return answer

    def _delete(self, choose: random.Random) -> None:
        with self._lock:
            there = [image for image in self.images if image.pushed == "yes" and image.deleted == "no"]
            if len(there) < 4:
                return
            image = choose.choice(there)
            image.deleted = "unsure"
        try:
            answer = self.client.request("DELETE", f"/v2/{self.repository}/manifests/{image.digest}")
        except (OSError, http.client.HTTPException):
            return
        # Not there is no proof: a proxy sends a DELETE again whose server died after it was done.
        if answer.status == 202:
            image.deleted = "yes"
            self.deletions += 1

    def _pull(self, choose: random.Random) -> None:
        """Pull an image that must be there: it is served whole, or the client is told to come back."""
        with self._lock:
            there = [image for image in self.images if image.pushed == "yes" and image.deleted == "no"]
        if not there:
            return
        image = choose.choice(there)
        try:
            answer = self.client.request("GET", f"/v2/{self.repository}/manifests/{image.digest}", Accept=OCI_MANIFEST)
        except (OSError, http.client.HTTPException):
            return
        if image.deleted == "no" and answer.status < 500 and answer.body != image.manifest:
            self._note(f"{image.tag} is answered {answer.status} {answer.body!r}")

    def _note(self, what: str) -> None:
        with self._lock:
            self.wrong.append(what)


def wrong_answers(load: Load, images: list[Image], at: list[Callable[[str, str], Answer]]) -> list[str]:
    """What every server says of images, against what their clients were told."""
    found: list[str] = []
    for number, image in enumerate(images):
        ask = at[number % len(at)]
        answer = ask("GET", f"/v2/{load.repository}/manifests/{image.digest}")
        must, may = image.pushed == "yes" and image.deleted == "no", image.deleted != "yes"
        if answer.status != 200:
            if must or answer.status != 404:
                found.append(f"{image.tag} ({image.pushed}, {image.deleted}) is answered {answer.status}")
        elif not may:
            found.append(f"{image.tag} was deleted and is served")
        elif answer.body != image.manifest:
            found.append(f"{image.tag} has another manifest")
        else:
            found += [
                f"{image.tag} misses a layer"
                for content in image.blobs
                if load.client.pull_blob(load.repository, digest_of(content)).body != content
            ]
    return found
