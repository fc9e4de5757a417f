"""Which repository and tag a descriptor of a layout means, as openecr, skopeo and buildx write them."""

import pytest

from openecr.oci_layout.names import CONTAINERD_NAME, REF_NAME, REPOSITORY, LayoutRefused, target_of


@pytest.mark.parametrize(
    ("annotations", "into", "meant"),
    [
        ({REPOSITORY: "team/app", REF_NAME: "v1"}, None, ("team/app", "v1")),
        ({REPOSITORY: "team/app", REF_NAME: "team/app:v1"}, None, ("team/app", "v1")),
        ({REPOSITORY: "team/app"}, None, ("team/app", None)),
        ({REF_NAME: "v1"}, "team/app", ("team/app", "v1")),
        ({CONTAINERD_NAME: "docker.io/library/busybox:1.36", REF_NAME: "1.36"}, None, ("library/busybox", "1.36")),
        ({CONTAINERD_NAME: "localhost:5050/team/app:v1", REF_NAME: "v1"}, None, ("team/app", "v1")),
        ({CONTAINERD_NAME: "localhost:5050/team/app:v1"}, "other", ("other", "v1")),
        ({REF_NAME: "docker.io/library/busybox:1.36"}, None, ("library/busybox", "1.36")),
        (None, "team/app", ("team/app", None)),
    ],
)
def test_what_a_descriptor_means(annotations: object, into: str | None, meant: tuple[str, str | None]) -> None:
    assert target_of({"annotations": annotations}, into) == meant


@pytest.mark.parametrize(
    ("annotations", "into"),
    [
        ({REF_NAME: "v1"}, None),
        ({}, None),
        ({REPOSITORY: "../../etc", REF_NAME: "v1"}, None),
        ({REPOSITORY: "Team/App"}, None),
        ({REPOSITORY: 5}, None),
        ({REF_NAME: "v1"}, "public.ecr.aws/x"),
    ],
)
def test_a_name_that_cannot_be_one_is_refused(annotations: object, into: str | None) -> None:
    with pytest.raises(LayoutRefused):
        target_of({"annotations": annotations}, into)
