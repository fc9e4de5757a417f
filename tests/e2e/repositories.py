"""A repository as a test sees it from the API, beside what the client under test says."""

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Repository:
    """A repository, and the name under which registry clients find it."""

    ecr: Any
    name: str
    reference: str

    def image(self, tag: str) -> dict[str, Any]:
        """What ``aws ecr describe-images`` says of a tag."""
        found = self.ecr.describe_images(repositoryName=self.name, imageIds=[{"imageTag": tag}])["imageDetails"]
        assert len(found) == 1
        detail: dict[str, Any] = found[0]
        return detail

    def digest(self, tag: str) -> str:
        """The digest behind a tag."""
        return str(self.image(tag)["imageDigest"])

    def images(self) -> list[dict[str, Any]]:
        """Every image, untagged ones too."""
        pages = self.ecr.get_paginator("describe_images").paginate(repositoryName=self.name)
        return [detail for page in pages for detail in page["imageDetails"]]

    def tags(self) -> set[str]:
        """Every tag."""
        return {tag for detail in self.images() for tag in detail.get("imageTags", ())}

    def manifest(self, reference: str) -> dict[str, Any]:
        """The stored manifest of a tag or digest."""
        key = "imageDigest" if ":" in reference else "imageTag"
        answer = self.ecr.batch_get_image(repositoryName=self.name, imageIds=[{key: reference}])
        assert answer["failures"] == []
        document: dict[str, Any] = json.loads(answer["images"][0]["imageManifest"])
        return document
