"""EC2's errors (EC2 API reference, "Error codes"); its model declares none, so the codes stand here."""

from openecr.errors import RegistryError


class DryRunSucceeded(RegistryError):
    """A call with ``DryRun`` that would have been allowed."""

    code = "DryRunOperation"
    status = 412
    template = "Request would have succeeded, but DryRun flag is set."


class NotHere(RegistryError):
    """A member that would be stored and do nothing."""

    code = "UnsupportedOperation"
    template = "openecr's {what} have no {member}; leave it out"


class Unsupported(RegistryError):
    """A value that means something that openecr does not have."""

    code = "UnsupportedOperation"


class InvalidValue(RegistryError):
    """A member's value cannot be."""

    code = "InvalidParameterValue"


class InvalidParameter(RegistryError):
    """What is asked for contradicts what is there."""

    code = "InvalidParameter"


class InvalidCombination(RegistryError):
    """Members that exclude each other."""

    code = "InvalidParameterCombination"


class InvalidPolicy(RegistryError):
    """A VPC endpoint's policy is none."""

    code = "InvalidPolicyDocument"


class VpcMissing(RegistryError):
    """No such VPC of the caller's account in this region."""

    code = "InvalidVpcID.NotFound"
    template = "The vpc ID '{name}' does not exist"


class SubnetMissing(RegistryError):
    """No such subnet."""

    code = "InvalidSubnetID.NotFound"
    template = "The subnet ID '{name}' does not exist"


class GroupMissing(RegistryError):
    """No such security group."""

    code = "InvalidGroup.NotFound"
    template = "The security group '{name}' does not exist"


class RouteTableMissing(RegistryError):
    """No such route table."""

    code = "InvalidRouteTableID.NotFound"
    template = "The routeTable ID '{name}' does not exist"


class AssociationMissing(RegistryError):
    """No such association of a route table."""

    code = "InvalidAssociationID.NotFound"
    template = "The association ID '{name}' does not exist"


class EndpointMissing(RegistryError):
    """No such endpoint."""

    code = "InvalidVpcEndpointId.NotFound"
    template = "The Vpc Endpoint Id '{name}' does not exist"


class ServiceMissing(RegistryError):
    """No endpoint leads to this service."""

    code = "InvalidServiceName"
    template = "The Vpc Endpoint Service '{name}' does not exist"


class RuleMissing(RegistryError):
    """RevokeSecurityGroupIngress for a rule that the group does not have."""

    code = "InvalidPermission.NotFound"
    template = "The specified rule does not exist in this security group."


class RuleExists(RegistryError):
    """AuthorizeSecurityGroupIngress for a rule that the group has."""

    code = "InvalidPermission.Duplicate"
    template = (
        'the specified rule "peer: {cidr}, {protocol}, from port: {from_port}, to port: {to_port}, ALLOW" '
        "already exists"
    )


class GroupExists(RegistryError):
    """CreateSecurityGroup for a name that the VPC has."""

    code = "InvalidGroup.Duplicate"
    template = "The security group '{name}' already exists for VPC '{vpc_id}'"


class CannotDelete(RegistryError):
    """What every VPC has stays as long as the VPC."""

    code = "CannotDelete"
    template = 'the specified group: "{group_id}" name: "default" cannot be deleted by a user'


class Depended(RegistryError):
    """Something else needs what is to be deleted."""

    code = "DependencyViolation"


class VpcRange(RegistryError):
    """A network that no VPC can have."""

    code = "InvalidVpc.Range"
    template = "The CIDR '{cidr}' is invalid."


class SubnetRange(RegistryError):
    """A subnet outside of its VPC's networks."""

    code = "InvalidSubnet.Range"
    template = "The CIDR '{cidr}' is invalid."


class SubnetConflict(RegistryError):
    """A subnet that another one overlaps."""

    code = "InvalidSubnet.Conflict"
    template = "The CIDR '{cidr}' conflicts with another subnet"


class NetworkTaken(RegistryError):
    """Another VPC means the same sources, which AWS allows and openecr cannot tell apart."""

    code = "CidrConflict"
    template = (
        "The CIDR '{cidr}' conflicts with another VPC of this deployment: openecr knows a VPC by its sources' "
        "addresses, so that networks may be declared once, or for different listener addresses"
    )


class AlreadyAssociated(RegistryError):
    """A subnet that has a route table of its own."""

    code = "Resource.AlreadyAssociated"
    template = "the specified association for route table {route_table_id} conflicts with an existing association"


class RouteExists(RegistryError):
    """A route table that leads to another gateway endpoint of the service."""

    code = "RouteAlreadyExists"
    template = "route table {route_table_id} already has a route to an endpoint of the service {service}"


class TooMany(RegistryError):
    """A quota of VPC is used up (VPC user guide, "Quotas")."""

    code = "VpcLimitExceeded"
    template = "The maximum number of {what} has been reached: {limit}."
