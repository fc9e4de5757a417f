"""Host and path to plane and registry, as a table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openecr.addressing import Address, Plane, address
from openecr.names import RegistryName

DEFAULT = RegistryName("123456789012", "us-east-1")
OTHER = RegistryName("999988887777", "eu-west-1")


@pytest.mark.parametrize(
    ("host", "path", "registry", "inner", "prefix", "by_host"),
    [
        ("localhost:5050", "/v2/", DEFAULT, "/v2/", "", False),
        ("localhost:5050", "/v2", DEFAULT, "/v2", "", False),
        ("localhost:5050", "/v2/name/tags/list", DEFAULT, "/v2/name/tags/list", "", False),
        ("[::1]:5050", "/v2/name/tags/list", DEFAULT, "/v2/name/tags/list", "", False),
        ("", "/v2/name/tags/list", DEFAULT, "/v2/name/tags/list", "", False),
        ("x", "/v2/999988887777.eu-west-1/a/b", OTHER, "/v2/a/b", "/999988887777.eu-west-1", False),
        ("x", "/v2/999988887777.eu-west-1/_catalog", OTHER, "/v2/_catalog", "/999988887777.eu-west-1", False),
        ("x", "/v2/999988887777.eu-west-1", DEFAULT, "/v2/999988887777.eu-west-1", "", False),
        ("x", "/v2/99998888777.eu-west-1/a", DEFAULT, "/v2/99998888777.eu-west-1/a", "", False),
        ("x", "/v2/a/999988887777.eu-west-1/b", DEFAULT, "/v2/a/999988887777.eu-west-1/b", "", False),
        ("999988887777.dkr.ecr.eu-west-1.amazonaws.com", "/v2/a", OTHER, "/v2/a", "", True),
        ("999988887777.dkr.ecr.eu-west-1.amazonaws.com:443", "/v2/a", OTHER, "/v2/a", "", True),
        ("999988887777.DKR.ECR.EU-WEST-1.AMAZONAWS.COM", "/v2/a", OTHER, "/v2/a", "", True),
        ("999988887777.dkr-ecr.eu-west-1.on.aws", "/v2/a", OTHER, "/v2/a", "", True),
        ("999988887777.dkr.ecr-fips.eu-west-1.amazonaws.com", "/v2/a", OTHER, "/v2/a", "", True),
        ("999988887777.dkr-ecr-fips.eu-west-1.on.aws", "/v2/a", OTHER, "/v2/a", "", True),
        ("999988887777.dkr.ecr.eu-west-1.registry.example", "/v2/a", OTHER, "/v2/a", "", True),
        ("99998888777.dkr.ecr.eu-west-1.amazonaws.com", "/v2/a", DEFAULT, "/v2/a", "", False),
        ("x.999988887777.dkr.ecr.eu-west-1.amazonaws.com", "/v2/a", DEFAULT, "/v2/a", "", False),
    ],
)
def test_which_registry_a_request_addresses(
    host: str, path: str, registry: RegistryName, inner: str, prefix: str, by_host: bool
) -> None:
    assert address(host, "GET", path, DEFAULT) == Address(Plane.DKR, registry, inner, prefix, by_host)


@pytest.mark.parametrize(
    ("host", "method", "path", "plane"),
    [
        ("localhost", "POST", "/", Plane.API),
        ("api.ecr.us-east-1.amazonaws.com", "POST", "/", Plane.API),
        ("localhost", "GET", "/", Plane.NONE),
        ("localhost", "GET", "/livez", Plane.HEALTH),
        ("localhost", "GET", "/readyz", Plane.HEALTH),
        ("localhost", "GET", "/layers/x", Plane.LAYERS),
        ("prod-us-east-1-starport-layer-bucket.s3.us-east-1.amazonaws.com", "GET", "/a/b", Plane.LAYERS),
        ("vpce-0123456789abcdef0.api.ecr.us-east-1.vpce.registry.example", "POST", "/", Plane.API),
        ("public.ecr.aws", "GET", "/v2/alias/name/tags/list", Plane.PUBLIC),
        ("ecr-public.aws.com", "GET", "/v2/", Plane.PUBLIC),
        ("localhost", "GET", "/v2/public.ecr.aws/alias/name/tags/list", Plane.PUBLIC),
        ("localhost", "POST", "/v2/name/blobs/uploads/", Plane.DKR),
        ("localhost", "GET", "/v1/credentials", Plane.WORKLOADS),
        ("localhost", "PUT", "/v1/credentials", Plane.WORKLOADS),
        ("localhost", "POST", "/v1/credentials", Plane.API),
        ("localhost", "GET", "/v1/credentials/", Plane.NONE),
        ("localhost", "GET", "/v1/credentials/x", Plane.NONE),
        ("localhost", "GET", "/v2/v1/credentials/tags/list", Plane.DKR),
        ("localhost", "GET", "/latest/meta-data/", Plane.NONE),
        ("localhost", "PUT", "/latest/api/token", Plane.NONE),
        ("localhost", "GET", "//v2/", Plane.NONE),
        ("localhost", "GET", "/V2/", Plane.NONE),
        ("localhost", "GET", "/v2%2f", Plane.NONE),
        ("localhost", "GET", "/v2x/", Plane.NONE),
        ("localhost", "GET", "/livez/../v2/", Plane.NONE),
    ],
)
def test_which_plane_a_request_is_for(host: str, method: str, path: str, plane: Plane) -> None:
    assert address(host, method, path, DEFAULT).plane is plane


@given(st.text(max_size=80), st.sampled_from(["GET", "POST", "PUT", "HEAD"]), st.text(max_size=80))
def test_every_host_and_path_mean_something(host: str, method: str, path: str) -> None:
    found = address(host, method, path, DEFAULT)
    assert found.plane in Plane
    assert len(found.registry.account_id) == 12


@pytest.mark.parametrize(
    ("host", "endpoint", "region"),
    [
        ("vpce-0123456789abcdef0.api.ecr.eu-west-1.vpce.amazonaws.com:443", "vpce-0123456789abcdef0", "eu-west-1"),
        ("VPCE-0123ABCD.dkr.ecr.us-east-1.vpce.registry.example", "vpce-0123abcd", "us-east-1"),
        ("vpce-0123abcd.sts.us-east-1.vpce.registry.example", "vpce-0123abcd", "us-east-1"),
        ("vpce-0123abcd.s3.us-east-1.vpce.registry.example", None, "us-east-1"),
        ("x.vpce-0123abcd.api.ecr.us-east-1.vpce.registry.example", None, "us-east-1"),
        ("vpce-0123abcd.api.ecr.us-east-1.registry.example", None, "us-east-1"),
        ("api.ecr.us-east-1.registry.example", None, "us-east-1"),
    ],
)
def test_a_host_may_name_a_vpc_endpoint(host: str, endpoint: str | None, region: str) -> None:
    found = address(host, "GET", "/v2/name/tags/list", DEFAULT)

    assert (found.vpc_endpoint_id, found.registry) == (endpoint, RegistryName(DEFAULT.account_id, region))


def test_a_bucket_of_layers_has_its_region_in_its_name() -> None:
    bucket = "prod-eu-west-1-starport-layer-bucket.s3.eu-west-1.amazonaws.com"

    assert address(bucket, "GET", "/layers/x", DEFAULT).layers_region == "eu-west-1"
    assert address("localhost", "GET", "/layers/x", DEFAULT).layers_region is None
