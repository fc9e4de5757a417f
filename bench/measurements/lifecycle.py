"""What a lifecycle policy costs to evaluate: 100,000 images, 50 rules. In a process of its own, no server."""

import json
import multiprocessing
import resource
import time
from typing import Any

from bench.measurement import Bench, Gate, Row
from openecr.services.ecr.lifecycle.evaluation import DAY_US, Image, evaluate
from openecr.services.ecr.lifecycle.policy import parse

_IMAGES = 100_000
_NOW_US = 1_800_000_000_000_000


def _rules() -> list[dict[str, Any]]:
    """48 rules for tags, half of them with wildcards in the middle, one for untagged images and one for the rest."""
    made: list[dict[str, Any]] = []
    for number in range(1, 49):
        pattern = f"team-{number}-*" if number % 2 else f"team-{number}-*-rc*"
        count = {"countType": "imageCountMoreThan", "countNumber": 100}
        if number % 3 == 0:
            count = {"countType": "sinceImagePushed", "countUnit": "days", "countNumber": 90}
        selection = {"tagStatus": "tagged", "tagPatternList": [pattern], **count}
        made.append({"rulePriority": number, "selection": selection, "action": {"type": "expire"}})
    for priority, status in ((49, "untagged"), (50, "any")):
        selection = {"tagStatus": status, "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 365}
        made.append({"rulePriority": priority, "selection": selection, "action": {"type": "expire"}})
    return made


def _image(key: int) -> Image:
    """Two of three are tagged, twice; one of ten is an index with the two before it as its members."""
    tags = () if key % 3 == 0 else (f"team-{key % 50}-{key}", f"team-{key % 7}-{key}-rc{key % 5}")
    index = key - key % 10 + 9
    parents = (index,) if key % 10 in (7, 8) and not tags else ()
    return Image(
        key, key.to_bytes(33, "big"), tags, _NOW_US - key * 7 * DAY_US // 1000, parents=parents, was_tagged=bool(tags)
    )


def _measure(sender: Any) -> None:
    rules = parse(json.dumps({"rules": _rules()}))
    images = [_image(key) for key in range(_IMAGES)]
    began = time.process_time()
    verdicts = evaluate(rules, images, _NOW_US)
    seconds = time.process_time() - began
    assert len(verdicts) == _IMAGES
    sender.send((seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


class Lifecycle:
    """How long, and in how much memory."""

    name = "lifecycle"
    by_default = True

    def run(self, bench: Bench) -> list[Row]:
        seconds: list[float] = []
        memory: list[float] = []
        for _ in range(bench.scale.rounds):
            receiver, sender = multiprocessing.get_context("spawn").Pipe(duplex=False)
            process = multiprocessing.get_context("spawn").Process(target=_measure, args=(sender,))
            process.start()
            taken, held = receiver.recv()
            process.join()
            seconds.append(taken)
            memory.append(held)
        note = "no peer: docker-registry has no policies"
        return [
            Row("policy of 50 rules on 100,000 images", "CPU-s", seconds, [], Gate(1, "at most", on="value"), note),
            Row("the same, the process in all", "MiB", memory, [], Gate(300, "at most", on="value"), note),
        ]
