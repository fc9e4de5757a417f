"""Where a request comes from, and what its plane takes: all that is known of it before a decision runs."""

from dataclasses import dataclass

from openecr.events.trail import Trail
from openecr.names import RegistryName


@dataclass(frozen=True, slots=True)
class Strictness:
    """Where the planes differ in what they take; a plane passes it and decides nothing itself."""

    empty_layers: bool
    """Whether a layer may have no bytes."""
    minimum_part_bytes: int
    """The least size of a part that is not the last."""
    identical_image_is_error: bool
    """Whether pushing an image again under the tag it has is told as an error."""
    known_layer_is_error: bool
    """Whether completing an upload of a layer that is there is told as an error."""
    layerless_images: bool
    """Whether an image may have no layers."""
    members_may_lose_their_tags: bool
    """Whether deleting the last tag of an image that an index names unties the tag, or is refused as ECR does."""


API = Strictness(
    empty_layers=False,
    minimum_part_bytes=5 * 1024 * 1024,
    identical_image_is_error=True,
    known_layer_is_error=True,
    layerless_images=False,
    members_may_lose_their_tags=False,
)
OCI = Strictness(
    empty_layers=True,
    minimum_part_bytes=0,
    identical_image_is_error=False,
    known_layer_is_error=False,
    layerless_images=True,
    members_may_lose_their_tags=True,
)


@dataclass(frozen=True, slots=True)
class Origin:
    """One request: who was proven to send it, from where, to which registry, when."""

    request_id: str
    access_key_id: str
    """Empty where nothing was proven: only a decision that takes anonymous callers runs then."""
    registry: RegistryName
    """On the dkr plane what host and path address; on the api plane the account is the caller's."""
    base_url: str
    """How answers name this server, without a slash at the end: ``http://localhost:5050``."""
    now_us: int
    strictness: Strictness
    source_address: str = ""
    secure: bool = False
    user_agent: str = ""
    vpc_id: str | None = None
    """The VPC whose network the source is in, where the request came through one of its endpoints: aws:SourceVpc."""
    vpc_endpoint_id: str | None = None
    """The endpoint that the request came through: aws:SourceVpce; None on the public side."""
    endpoint_policy: str | None = None
    """That endpoint's policy; None where it has none of its own, which allows everything."""
    vpc_source_ip: str | None = None
    """The source's address in its VPC: aws:VpcSourceIp. AWS has no aws:SourceIp beside it."""
    in_vpc: bool = False
    """Whether the source is in a declared VPC, by whichever way it came: then its layers come from openecr itself."""
    trail: Trail | None = None
    """Where the request's audit records come from; None for what is no client's request."""
