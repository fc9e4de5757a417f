"""What ``--blobs`` and ``--region-blobs`` may say."""

from pathlib import Path

import pytest

from openecr.blobs.opening import locations, open_stores
from openecr.blobs.s3_location import parse
from openecr.settings import Settings, SettingsError

STORE = "s3://layers/openecr?endpoint=https://s3.example.com"


def test_a_url_is_a_bucket_a_prefix_and_how_to_reach_it() -> None:
    found = parse("s3://layers/a/b/?endpoint=http://10.0.0.1:9000&region=eu-west-1&redirect=off&sse=AES256")
    assert (found.bucket, found.prefix, found.endpoint, found.region) == (
        "layers",
        "a/b/",
        "http://10.0.0.1:9000",
        "eu-west-1",
    )
    assert (found.redirect, found.sse, found.addressing, found.secure) == (False, "AES256", "path", False)
    assert found.name == "s3://layers/a/b"


def test_without_an_endpoint_it_is_aws_by_host_name() -> None:
    found = parse("s3://layers")
    assert (found.prefix, found.endpoint, found.addressing, found.secure) == ("", None, "virtual", True)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://", "names no bucket"),
        ("s3:///prefix", "names no bucket"),
        ("s3://Layers", "names no bucket"),
        ("s3://key:secret@layers", "holds no credentials"),
        ("s3://layers/a/../b", "the prefix 'a/../b/' of layers must be"),
        ("s3://layers/a%00b", "of layers must be"),
        (f"{STORE}&bucket=other", "'bucket' is no parameter of an s3:// URL; they are addressing, ca, credentials"),
        (f"{STORE}&secret_key=x", "'secret_key' is no parameter"),
        (f"{STORE}&region=", "the parameter 'region' of layers needs one value"),
        (f"{STORE}&region=a&region=b", "the parameter 'region' of layers needs one value"),
        (f"{STORE}&redirect=maybe", "redirect=maybe: it is on or off"),
        (f"{STORE}&sse=none", "sse=none: it is AES256 or aws:kms"),
        (f"{STORE}&sse_kms_key=k", "sse_kms_key= needs sse=aws:kms"),
        (f"{STORE}&redirect=off&public_endpoint=https://x.example.com", "does nothing with redirect=off"),
        (f"{STORE}&ca=/nowhere/ca.pem", "there is no such file"),
        ("s3://layers?endpoint=s3.example.com", "must be http(s)://host[:port]"),
        ("s3://layers?endpoint=https://s3.example.com/path", "must be http(s)://host[:port]"),
        ("s3://layers?endpoint=https://a:b@s3.example.com", "holds no credentials"),
    ],
)
def test_what_cannot_work_is_refused_with_the_remedy(url: str, said: str) -> None:
    with pytest.raises(SettingsError) as refused:
        parse(url)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("blobs", "regions", "said"),
    [
        ("gs://layers", (), "'gs://layers' is no place for layers; give s3://bucket/prefix or file:///folder"),
        ("file://folder", (), "is no place for layers"),
        ("file:///folder?x=y", (), "takes no parameters"),
        (None, ("eu-west-1",), "names no region's store; write it like eu-west-1=s3://bucket/prefix"),
        (None, ("default=s3://layers",), "names no region's store"),
        (None, ("eu-west-1_x=s3://layers",), "names no region's store"),
        (None, ("eu-west-1=s3://a", "eu-west-1=s3://b"), "two stores eu-west-1; call the newer one eu-west-1_2"),
    ],
)
def test_a_deployments_stores_are_read_before_anything_serves(
    tmp_path: Path, blobs: str | None, regions: tuple[str, ...], said: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        open_stores(Settings(data_dir=tmp_path, blobs=blobs, region_blobs=regions))
    assert said in str(refused.value)


def test_what_people_are_shown_has_no_parameters(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, blobs=STORE, region_blobs=("eu-west-1=s3://eu/x?profile=eu",))
    assert locations(settings) == {"default": "s3://layers/openecr", "eu-west-1": "s3://eu/x"}
    assert locations(Settings(data_dir=tmp_path)) == {"default": f"file://{tmp_path}/blobs"}
