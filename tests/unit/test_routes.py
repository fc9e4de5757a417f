"""Paths of the dkr plane to routes, as a table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openecr.oci.routes import Route, read


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/v2", Route("root")),
        ("/v2/", Route("root")),
        ("/v2/_catalog", Route("catalog")),
        ("/v2/a/manifests/latest", Route("manifest", "a", "latest")),
        ("/v2/a/b/c/manifests/sha256:x", Route("manifest", "a/b/c", "sha256:x")),
        ("/v2/a/manifests/sha256%3Ax", Route("manifest", "a", "sha256:x")),
        ("/v2/a/blobs/sha256:x", Route("blob", "a", "sha256:x")),
        ("/v2/a/blobs/uploads", Route("uploads", "a")),
        ("/v2/a/blobs/uploads/", Route("uploads", "a")),
        ("/v2/a/blobs/uploads/id", Route("upload", "a", "id")),
        ("/v2/a/tags/list", Route("tags", "a")),
        ("/v2/a/referrers/sha256:x", Route("referrers", "a", "sha256:x")),
        # Names that hold the words of the routes: a path is read from its end.
        ("/v2/manifests/manifests/manifests", Route("manifest", "manifests", "manifests")),
        ("/v2/tags/list/tags/list", Route("tags", "tags/list")),
        ("/v2/a/blobs/uploads/blobs/uploads/id", Route("upload", "a/blobs/uploads", "id")),
        ("/v2/blobs/blobs/uploads/", Route("uploads", "blobs")),
        ("/v2/a/b%20c/tags/list", Route("tags", "a/b c")),
    ],
)
def test_a_path_is_read_from_its_end(path: str, route: Route) -> None:
    assert read(path) == route


@pytest.mark.parametrize(
    "path",
    [
        "/v2//",
        "/v2/_catalog/",
        "/v2/a",
        "/v2/a/",
        "/v2/a/b",
        "/v2/manifests/latest",
        "/v2/a/manifests/",
        "/v2/a/blobs/",
        "/v2/a/referrers/",
        "/v2/a/tags",
        "/v2/a/tags/list/",
        "/v2/a/TAGS/list",
        "/v2/a/manifests/b/c",
        "/v2/a%2Fb/manifests/latest",
        "/v2/a%2fmanifests/latest",
        "/v2/a/manifests/x%2Fy",
        "/v2/a/manifests/x%00",
        "/v2/%2e%2e%2fa/tags/list",
    ],
)
def test_a_path_that_is_no_route(path: str) -> None:
    assert read(path) is None


@given(st.text(alphabet="ab/%2f0.:_manifestsblobuploadreferrs", max_size=60))
def test_whatever_a_path_spells_a_route_holds_no_separator_of_its_own(rest: str) -> None:
    route = read("/v2/" + rest)
    if route is not None:
        assert "/" not in route.reference
        assert "\0" not in route.name + route.reference
