"""Where real ECR departs from its service model, each with the evidence.

The model says most of what is checked; this file says the rest, and nothing else does. Evidence in brackets:
*reference* is the behaviour reference of the project (its sources are logs, issues, guides, moto); *openecr* marks a
choice of our own.
"""

from typing import Final

from openecr.names import REPOSITORY_NAME_TOLD

PATTERNS_TOLD: Final = {
    # ECR checks with the model's pattern and quotes an older one [reference §1.5, several logs].
    "RepositoryName": REPOSITORY_NAME_TOLD,
}
"""Shape → the pattern that the error text quotes instead of the model's."""

ENUMS_TOLD: Final = {
    # Another order than the model's [reference §3.2, moto].
    "ImageTagMutability": ("IMMUTABLE", "MUTABLE", "MUTABLE_WITH_EXCLUSION", "IMMUTABLE_WITH_EXCLUSION"),
}
"""Shape → the values in the order in which the error text lists them."""

UNCHECKED_MEMBERS: Final = frozenset(
    {
        # The batch calls tell a bad tag or digest of one image as that image's failure, with HTTP 200
        # [reference §3.4: InvalidImageTag, InvalidImageDigest]; DescribeImages tells it as an image that is not there.
        ("ImageIdentifier", "imageTag"),
        ("ImageIdentifier", "imageDigest"),
    }
)
"""(structure, member) whose length and pattern the operation judges."""

UNCHECKED_ELEMENTS: Final = frozenset(
    {
        # BatchCheckLayerAvailability tells a bad digest as that layer's failure [reference §3.5: InvalidLayerDigest].
        "BatchedOperationLayerDigestList",
    }
)
"""Lists whose elements the operation judges."""

PATTERNS_CHECKED: Final = {
    # The same language as the model's, which takes exponential time on a long name with a bad end [openecr].
    "ScanningRepositoryFilterValue": r"[a-z0-9*]+(?:[._\-/][a-z0-9*]+)*",
    # The model's ``^$|arn:...`` anchors only one side of its bar; a key is the empty text or a whole ARN [openecr].
    "KmsKeyForRepositoryCreationTemplate": r"(?:|arn:aws[a-z0-9-]*:kms:[a-z0-9-]+:[0-9]{12}:key\/[a-z0-9-]+)",
}
"""Shape → the pattern to check with instead of the model's."""

MAXIMA_CHECKED: Final = {
    # A marker of IAM says where to go on, signed; the position may be a policy's ARN [openecr].
    "markerType": 4096,
}
"""Shape → the greatest length or value to check instead of the model's."""

RESERVED_NAMES: Final = frozenset(
    {
        # The first component of such a name addresses another registry on a plain host [openecr, design §3].
        ("CreateRepository", "repositoryName"),
    }
)
"""(operation, member) that may not be a reserved repository name."""

INVALID_PARAMETER_OPERATIONS: Final = frozenset(
    {
        # These are older than ValidationException in ECR's model, which was added to them later; bad members of theirs
        # are told in ECR's own form [features reference §1.3 for the lifecycle calls; openecr for the scanning ones].
        "DeleteLifecyclePolicy",
        "DescribeImageScanFindings",
        "GetLifecyclePolicy",
        "GetLifecyclePolicyPreview",
        "PutImageScanningConfiguration",
        "PutLifecyclePolicy",
        "StartImageScan",
        "StartLifecyclePolicyPreview",
    }
)
"""Operations that declare ValidationException and still tell bad members as InvalidParameterException."""
