"""Names of things, parsed once where they enter: repository, tag, digest, registry, ARN."""

import hashlib
import re
from dataclasses import dataclass
from typing import Self

REPOSITORY_NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
REPOSITORY_NAME_TOLD = "(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*"
"""The pattern ECR's error text quotes; it checks with the current one above (reference §3.1)."""
IMAGE_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,299}")
DIGEST_FORM = re.compile(r"[a-zA-Z0-9\-_+.]+:[a-fA-F0-9]+")
UPLOAD_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
ACCOUNT_ID = re.compile(r"[0-9]{12}")
REGION = re.compile(r"[a-z]{2,4}(?:-[a-z]+)+-[0-9]{1,2}")
REGISTRY_COMPONENT = re.compile(r"([0-9]{12})\.([a-z]{2,4}(?:-[a-z]+)+-[0-9]{1,2})")
"""The first path component that addresses another registry on a plain host: ``{account}.{region}``."""

_ALGORITHMS = {"sha256": (1, 32), "sha512": (2, 64)}
_ALGORITHM_NAMES = {code: name for name, (code, _) in _ALGORITHMS.items()}


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A content digest: sha256 or sha512. In the database one byte of algorithm and the raw digest."""

    stored: bytes

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The digest that a text spells, or None where it is not a sha256 or sha512 digest in lower-case hex."""
        algorithm, _, value = text.partition(":")
        known = _ALGORITHMS.get(algorithm)
        if known is None or len(value) != 2 * known[1] or not re.fullmatch("[0-9a-f]+", value):
            return None
        return cls(bytes((known[0],)) + bytes.fromhex(value))

    @classmethod
    def of(cls, content: bytes, algorithm: str = "sha256") -> Self:
        """The digest of some bytes."""
        return cls.from_raw(algorithm, hashlib.new(algorithm, content).digest())

    @classmethod
    def from_raw(cls, algorithm: str, raw: bytes) -> Self:
        """The digest with this algorithm's name and these raw bytes."""
        return cls(bytes((_ALGORITHMS[algorithm][0],)) + raw)

    @property
    def algorithm(self) -> str:
        """``sha256`` or ``sha512``."""
        return _ALGORITHM_NAMES[self.stored[0]]

    def __str__(self) -> str:
        """The text form, ``algorithm:hex``."""
        return f"{_ALGORITHM_NAMES[self.stored[0]]}:{self.stored[1:].hex()}"


@dataclass(frozen=True, slots=True)
class RegistryName:
    """Which registry: one per account and region."""

    account_id: str
    region: str

    def __str__(self) -> str:
        """As the first path component on a plain host."""
        return f"{self.account_id}.{self.region}"


def partition_of(region: str) -> str:
    """The AWS partition of a region, as ARNs spell it."""
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


def repository_arn(registry: RegistryName, repository_name: str) -> str:
    """The ARN of a repository, there or not."""
    partition = partition_of(registry.region)
    return f"arn:{partition}:ecr:{registry.region}:{registry.account_id}:repository/{repository_name}"


_REPOSITORY_ARN = re.compile(r"arn:(aws[a-z-]*):ecr:([a-z0-9-]+):([0-9]{12}):repository/(.+)", re.DOTALL)


def parse_repository_arn(arn: str) -> tuple[RegistryName, str] | None:
    """(registry, repository name) of a repository's ARN, or None where the text is none."""
    found = _REPOSITORY_ARN.fullmatch(arn)
    if found is None or not is_repository_name(found[4]) or partition_of(found[2]) != found[1]:
        return None
    return RegistryName(found[3], found[2]), found[4]


def is_repository_name(text: str) -> bool:
    """Whether ECR takes the text as a repository's name (2 to 256 characters, current model pattern).

    The first component must not look like one that addresses another registry (``{account}.{region}``,
    ``public.ecr.aws``): on a plain host such a path would mean that registry.
    """
    return 2 <= len(text) <= 256 and REPOSITORY_NAME.fullmatch(text) is not None and not is_reserved(text)


def is_reserved(repository_name: str) -> bool:
    """Whether a repository's first path component would address another registry."""
    first, _, _ = repository_name.partition("/")
    return first == "public.ecr.aws" or REGISTRY_COMPONENT.fullmatch(first) is not None


def is_image_tag(text: str) -> bool:
    """Whether the text may be an image's tag."""
    return IMAGE_TAG.fullmatch(text) is not None
