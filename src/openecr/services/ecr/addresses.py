"""How a registry is written in answers: always something that the caller's Docker can reach (design §3)."""

from urllib.parse import urlsplit

from openecr.call import Call
from openecr.names import RegistryName


def repository_uri(call: Call, registry: RegistryName, repository_name: str) -> str:
    """What ``docker push`` takes: the registry's host, and on a plain host its path prefix, then the name."""
    host = registry_host(call, registry)
    if call.settings.domain is None and registry != default_registry(call):
        return f"{host}/{registry}/{repository_name}"
    return f"{host}/{repository_name}"


def proxy_endpoint(call: Call, registry: RegistryName) -> str:
    """What ``docker login`` takes, with its scheme."""
    return f"{urlsplit(call.origin.base_url).scheme}://{registry_host(call, registry)}"


def registry_host(call: Call, registry: RegistryName) -> str:
    """Host and port under which a registry answers."""
    parts = urlsplit(call.origin.base_url)
    if call.settings.domain is None:
        return parts.netloc
    port = f":{parts.port}" if parts.port else ""
    return f"{registry.account_id}.dkr.ecr.{registry.region}.{call.settings.domain}{port}"


def default_registry(call: Call) -> RegistryName:
    """The registry that a plain host name addresses."""
    return RegistryName(call.settings.account_id, call.settings.region)
