"""The variables that make AWS tools use this registry, and how each shell sets and unsets them."""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from openecr.access.credentials import AccessKey
from openecr.services.served import SERVICES

SERVED_SERVICES = tuple(SERVICES)
"""The services that the api plane answers; every other one must keep its own endpoint."""
MISLEADING = ("AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_PROFILE")
"""Variables of another login that would win over the keys, or be sent beside them."""
SHELLS = ("bash", "fish", "powershell")


@dataclass(frozen=True, slots=True)
class Access:
    """What a client needs to use the registry."""

    url: str
    region: str
    key: AccessKey
    ca_bundle: str | None


def variables(access: Access) -> dict[str, str]:
    """The variables to set."""
    found = {
        "AWS_ACCESS_KEY_ID": access.key.access_key_id,
        "AWS_SECRET_ACCESS_KEY": access.key.secret_access_key,
        "AWS_REGION": access.region,
        "AWS_DEFAULT_REGION": access.region,
        **{endpoint_variable(service): access.url for service in SERVED_SERVICES},
    }
    if access.ca_bundle is not None:
        found["AWS_CA_BUNDLE"] = access.ca_bundle
    return found


def endpoint_variable(service: str) -> str:
    """The variable that names a service's endpoint, as the SDKs spell it."""
    return f"AWS_ENDPOINT_URL_{service.upper().replace('-', '_')}"


def every_name() -> list[str]:
    """All variables that ``variables`` may set."""
    return [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        *(endpoint_variable(service) for service in SERVED_SERVICES),
        "AWS_CA_BUNDLE",
    ]


def set_lines(values: dict[str, str], shell: str) -> list[str]:
    """Lines that set the variables in a shell."""
    match shell:
        case "fish":
            return [f"set -gx {name} {_fish(value)};" for name, value in values.items()]
        case "powershell":
            return [f"$Env:{name} = {_powershell(value)}" for name, value in values.items()]
        case _:
            return [f"export {name}={shlex.quote(value)}" for name, value in values.items()]


def unset_lines(names: Iterable[str], shell: str) -> list[str]:
    """Lines that unset variables in a shell; one that is not set is no error."""
    match shell:
        case "fish":
            return [f"set -e {name};" for name in names]
        case "powershell":
            return [f"Remove-Item Env:{name} -ErrorAction SilentlyContinue" for name in names]
        case _:
            return [f"unset {name}" for name in names]


def _fish(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _powershell(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
