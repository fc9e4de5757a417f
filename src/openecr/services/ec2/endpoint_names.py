"""The host names that lead to endpoints (ECR user guide, "Interface VPC endpoints")."""

from openecr.access.vpcs import INTERFACE, Endpoint

_AWS = "amazonaws.com"
_PRIVATE = {
    "ecr.api": "api.ecr.{region}.{domain}",
    "ecr.dkr": "*.dkr.ecr.{region}.{domain}",
    "ec2": "ec2.{region}.{domain}",
    "kms": "kms.{region}.{domain}",
    "sts": "sts.{region}.{domain}",
}
_OWN = {"ecr.api": "api.ecr", "ecr.dkr": "dkr.ecr"}


def private_dns_name(service: str, region: str, domain: str | None) -> str:
    """The plain host name that leads to an interface endpoint from inside its VPC."""
    return _PRIVATE[service].format(region=region, domain=domain or _AWS)


def dns_entries(endpoint: Endpoint, region: str, domain: str | None) -> list[str]:
    """The endpoint's host names, its own first; none where openecr serves no domain, for then none would lead here."""
    if endpoint.kind != INTERFACE or domain is None:
        return []
    own = f"{endpoint.endpoint_id}.{_OWN.get(endpoint.service, endpoint.service)}.{region}.vpce.{domain}"
    return [own, private_dns_name(endpoint.service, region, domain)] if endpoint.private_dns else [own]
