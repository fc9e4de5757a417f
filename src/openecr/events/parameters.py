"""What of a request's parameters and answer may be written down. Pure.

Never a secret: members whose name says that they hold one are hidden, whatever the operation, so that one that is built
tomorrow is hidden too. Never bytes, and never a manifest: its digest is in the record. Policies are what an auditor
asks for, and are kept.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from openecr.names import Digest

HIDDEN = "HIDDEN_DUE_TO_SECURITY_REASONS"
"""CloudTrail's own word."""
_SECRET = re.compile(
    "secret|password|token|plaintext|privatekey|signature|assertion|authorization|downloadurl|seed|ciphertext",
    re.IGNORECASE,
)
_NO_SECRETS = frozenset(
    ("secretId", "secretArn", "createdByTokenIssuer", "authorizationData", "tokenSigningAlgorithm", "clientToken")
)
_LEFT_OUT = frozenset(("imageManifest", "layerPartBlob"))
_KEY_ID = re.compile("(?:AKIA|ASIA)[A-Z0-9]{12,28}")
_MOST_TEXT = 4096
_MOST_ITEMS = 100
_MOST_DEPTH = 8
_YEAR_2001_US = 10**15


@dataclass(slots=True)
class Pruned:
    """Members that may be written down, and the texts that may not."""

    members: dict[str, Any] = field(default_factory=dict)
    secrets: list[str] = field(default_factory=list)
    hidden: frozenset[str] = frozenset()

    def without_secrets(self, text: str) -> str:
        """A text with the hidden values taken out: errors repeat what they refuse."""
        for secret in self.secrets:
            text = text.replace(secret, HIDDEN).replace(secret[:64], HIDDEN) if secret else text
        return text


def of_model(members: Mapping[str, Any], hidden: frozenset[str] = frozenset()) -> Pruned:
    """A request or an answer in a service model's members; names begin in lower case, as CloudTrail's do.

    Args:
        hidden: members that the model calls sensitive.
    """
    pruned = Pruned(hidden=hidden)
    pruned.members = _structure(members, pruned, 0)
    return pruned


def of_dkr(arguments: Mapping[str, Any]) -> Pruned:
    """A decision's arguments as the parameters of the ECR operation that it is."""
    pruned = Pruned()
    for name, value in arguments.items():
        spell = _DKR.get(name)
        if spell is not None and value is not None:
            pruned.members.update(spell(value))
    return pruned


def answered_on_dkr(name: str, answer: Any, arguments: Mapping[str, Any]) -> dict[str, Any] | None:
    """A change's answer as the ECR operation has it."""
    members = of_dkr(arguments).members
    if name == "PutImage":
        if not isinstance(answer, Digest):
            return None
        image_id = {"imageDigest": str(answer)}
        if "imageTag" in members:
            image_id["imageTag"] = members["imageTag"]
        return {"image": {"repositoryName": members.get("repositoryName"), "imageId": image_id}}
    return {"uploadId": answer} if name == "InitiateLayerUpload" and isinstance(answer, str) else None


def told_of(answer: Any) -> Any:
    """What of a decision's answer records tell, so that none is held for longer that may be megabytes."""
    digest = answer if isinstance(answer, Digest) else getattr(answer, "digest", None)
    if isinstance(digest, Digest):
        return digest
    role_arn = getattr(answer, "role_arn", None)
    if isinstance(role_arn, str):
        return {"RoleArn": role_arn, "Credentials": {"AccessKeyId": getattr(answer, "access_key_id", None)}}
    return answer if isinstance(answer, Mapping | str) else None


def pulled(answer: Any) -> list[str]:
    """The digests of the images that a pull got."""
    if isinstance(answer, Mapping):
        images = answer.get("images", ())
        return [image["imageId"]["imageDigest"] for image in images[:_MOST_ITEMS]]
    return [str(answer)] if isinstance(answer, Digest) else []


def key_id(text: str) -> str:
    """An access key id that nobody has proven; whoever confuses it with a secret does not find that in the records."""
    return text if _KEY_ID.fullmatch(text) else HIDDEN


def _structure(members: Mapping[str, Any], pruned: Pruned, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in members.items():
        spelled = _spelled(name)
        if value is None or spelled in _LEFT_OUT:
            continue
        if name in pruned.hidden or _is_secret(spelled):
            if isinstance(value, str):
                pruned.secrets.append(value)
            found[spelled] = HIDDEN
        elif not isinstance(value, bytes | bytearray | memoryview):
            found[spelled] = _value(spelled, value, pruned, depth + 1)
    return found


def _value(name: str, value: Any, pruned: Pruned, depth: int) -> Any:
    if isinstance(value, str):
        return value if len(value) <= _MOST_TEXT else value[:_MOST_TEXT] + "…"
    if isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        is_instant = value > _YEAR_2001_US and name.endswith(("At", "Date", "Time", "expiration"))
        return _instant(value) if is_instant else value
    if depth > _MOST_DEPTH:
        return "…"
    if isinstance(value, Mapping):
        return _structure(value, pruned, depth)
    if isinstance(value, Iterable):
        items = list(value)
        return [_value(name, item, pruned, depth + 1) for item in items[:_MOST_ITEMS] if not isinstance(item, bytes)]
    return str(value)


@lru_cache(maxsize=4096)
def _spelled(name: str) -> str:
    return name[:1].lower() + name[1:]


@lru_cache(maxsize=4096)
def _is_secret(name: str) -> bool:
    return name not in _NO_SECRETS and _SECRET.search(name) is not None


def _instant(instant_us: int) -> str:
    """As CloudTrail writes instants in parameters: ``Mar 1, 2026, 10:00:00 AM``."""
    moment = datetime.fromtimestamp(instant_us // 1_000_000, UTC)
    return f"{moment:%b} {moment.day}, {moment.year}, {moment.hour % 12 or 12}:{moment:%M:%S %p}"


def _image_ids(reference: Any) -> dict[str, Any]:
    if isinstance(reference, Digest):
        return {"imageIds": [{"imageDigest": str(reference)}]}
    return {"imageIds": [{"imageTag": reference}]}


_DKR: Mapping[str, Callable[[Any], dict[str, Any]]] = {
    "registry_id": lambda value: {"registryId": value},
    "repository_name": lambda value: {"repositoryName": value},
    "reference": _image_ids,
    "digest": lambda value: {"layerDigest": str(value)},
    "digests": lambda value: {"layerDigests": [str(item) for item in value[:_MOST_ITEMS]]},
    "upload_id": lambda value: {"uploadId": value},
    "first_byte": lambda value: {"partFirstByte": value},
    "tags": lambda value: {"imageTag": value[0]} if value else {},
    "subject": lambda value: {"subjectId": {"imageDigest": str(value)}},
    "source_name": lambda value: {"mountFrom": value},
}
"""A decision's argument → the parameters of the operation; others are openecr's own affair."""
