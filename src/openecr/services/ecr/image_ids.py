"""Image ids of batch requests: resolved one by one, each failure with ECR's code and reason."""

from dataclasses import dataclass
from typing import Any

from openecr.names import DIGEST_FORM, Digest, is_image_tag


@dataclass(frozen=True, slots=True)
class ImageId:
    """What a batch request asks for."""

    asked: dict[str, str]
    digest: Digest | None
    tag: str | None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why one id of a batch failed."""

    asked: dict[str, str]
    code: str
    reason: str

    def render(self) -> dict[str, Any]:
        """In the model's shape."""
        return {"imageId": self.asked, "failureCode": self.code, "failureReason": self.reason}


def parse(asked: dict[str, Any]) -> ImageId | Failure:
    """One id of a batch, or the failure that its form makes (reference §3.4)."""
    told = {name: asked[name] for name in ("imageDigest", "imageTag") if asked.get(name) is not None}
    digest, tag = told.get("imageDigest"), told.get("imageTag")
    if digest is None and tag is None:
        return Failure(told, "MissingDigestAndTag", "Invalid request parameters: both tag and digest cannot be null")
    if digest is not None and not DIGEST_FORM.fullmatch(digest):
        return Failure(
            told,
            "InvalidImageDigest",
            "Invalid request parameters: image digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'",
        )
    if tag is not None and not is_image_tag(tag):
        return Failure(
            told,
            "InvalidImageTag",
            "Invalid request parameters: image tag should satisfy the regex '[a-zA-Z0-9_][a-zA-Z0-9-._]*'",
        )
    parsed = Digest.parse(digest) if digest is not None else None
    if digest is not None and parsed is None:
        return not_found(told)
    return ImageId(told, parsed, tag)


def not_found(asked: dict[str, str]) -> Failure:
    """The image is not there."""
    return Failure(asked, "ImageNotFound", "Requested image not found")


def mismatch(asked: dict[str, str]) -> Failure:
    """Tag and digest name different images."""
    return Failure(asked, "ImageTagDoesNotMatchDigest", "Requested image tag does not match the image digest")
