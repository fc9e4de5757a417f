"""The service models: which operations exist, what goes in, what comes out, which errors they declare.

botocore's models are the contract (design §5): loaded once, never copied, never generated from. An operation of a model
that has no handler is *not built yet*; nobody keeps that list by hand.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from botocore import xform_name
from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StructureShape

SERVICES = ("ecr", "ecr-public", "iam", "sts", "kms", "ec2")
"""The services whose names and operations openecr knows, built or not."""
LOADED_LATE = frozenset(("ec2",))
"""Models that are read at their first request: EC2's takes 22 MB and 50 ms, and few deployments ask for it."""
_ENDPOINT_PREFIX = "api.ecr"
"""How botocore's table of endpoints calls ecr."""


@dataclass(frozen=True, slots=True)
class Service:
    """One service's model, with its operations at hand."""

    name: str
    signing_name: str
    protocol: str
    version: str
    target_prefix: str
    namespace: str
    """The namespace of its XML answers; empty for JSON services."""
    operations: dict[str, OperationModel]
    errors: dict[str, StructureShape]
    """The error shapes, by name."""

    def declares(self, operation: str, error: str) -> bool:
        """Whether the model lists an error for an operation."""
        return error in {shape.name for shape in self.operations[operation].error_shapes}


def load(name: str) -> Service:
    """The model of a service; each is read and parsed once a process."""
    return _load(name)


@cache
def _load(name: str) -> Service:
    model = ServiceModel(_loader().load_service_model(name, "service-2"), name)
    metadata = model.metadata
    return Service(
        name=name,
        signing_name=metadata.get("signingName", metadata["endpointPrefix"]),
        protocol=metadata["protocol"],
        version=metadata["apiVersion"],
        target_prefix=metadata.get("targetPrefix", ""),
        namespace=metadata.get("xmlNamespace", ""),
        operations={operation: model.operation_model(operation) for operation in model.operation_names},
        errors={shape.name: shape for shape in model.error_shapes},
    )


@cache
def service_of_target(prefix: str) -> Service | None:
    """The service whose JSON targets begin so."""
    return next(
        (load(name) for name in SERVICES if name not in LOADED_LATE and load(name).target_prefix == prefix), None
    )


@cache
def unsigned_service() -> Service:
    """STS: the one service of the query protocol whose model has operations that come without a signature."""
    (found,) = {
        name
        for name in SERVICES
        if name not in LOADED_LATE
        and load(name).protocol == "query"
        and any(operation.auth_type == "none" for operation in load(name).operations.values())
    }
    return load(found)


@cache
def regions() -> frozenset[str]:
    """Every region that botocore knows for ECR, in all partitions."""
    partitions = _loader().load_data("endpoints")["partitions"]
    return frozenset(
        region
        for partition in partitions
        for region in partition["services"][_ENDPOINT_PREFIX]["endpoints"]
        if region in partition["regions"]
    )


def operations_not_built(service: str, handlers: Iterable[str]) -> list[str]:
    """The operations of a service's model that no handler serves, in alphabetical order."""
    return sorted(set(load(service).operations) - set(handlers))


def arguments_of(shape: Shape | None) -> dict[str, str]:
    """{member: keyword argument of the handler} of an input shape."""
    return _arguments(shape.name, tuple(shape.members)) if isinstance(shape, StructureShape) else {}


@cache
def sensitive_members(service: str, operation: str) -> frozenset[str]:
    """The members of an operation's request and answer, however deep, that the model marks as sensitive."""
    found: set[str] = set()
    shapes = load(service).operations[operation]
    for shape in (shapes.input_shape, shapes.output_shape):
        if shape is not None:
            _gather_sensitive(shape, found, frozenset())
    return frozenset(found)


def _gather_sensitive(shape: Shape, found: set[str], above: frozenset[str]) -> None:
    if shape.name in above:
        return
    above |= {shape.name}
    if isinstance(shape, StructureShape):
        found.update(name for name, member in shape.members.items() if member.metadata.get("sensitive"))
        for member in shape.members.values():
            _gather_sensitive(member, found, above)
    elif isinstance(shape, ListShape):
        _gather_sensitive(shape.member, found, above)
    elif isinstance(shape, MapShape):
        _gather_sensitive(shape.value, found, above)


@cache
def _arguments(_shape: str, members: tuple[str, ...]) -> dict[str, str]:
    return {member: xform_name(member) for member in members}


@cache
def _loader() -> Loader:
    return Loader()
