"""Which repositories of a registry are scanned, and how: by rule, and by the repositories' own flag."""

from typing import Any

import orjson

from openecr.call import Call, no_resource, operation
from openecr.db import registries, repositories, scans
from openecr.db.scans import BASIC, Configuration
from openecr.errors import InvalidParameter, ValidationFailed
from openecr.jobs.queue import enqueue
from openecr.names import repository_arn
from openecr.services.ecr.repositories import require
from openecr.services.ecr.scanning.applying import APPLY, arguments
from openecr.services.ecr.scanning.frequency_rules import Frequency, by_configuration

_ALLOWED = {
    "BASIC": (Frequency.ON_PUSH, Frequency.MANUAL),
    "ENHANCED": (Frequency.ON_PUSH, Frequency.CONTINUOUS, Frequency.MANUAL),
}


@operation("PutRegistryScanningConfiguration", writes=True, resources=no_resource)
def put_registry_scanning_configuration(
    call: Call, *, scan_type: str | None = None, rules: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    """Replace the type of scanning and the rules of the caller's registry; what is not given is as in a new one."""
    scan_type, rules = scan_type or BASIC, rules or []
    seen: set[str] = set()
    for rule in rules:
        frequency = rule["scanFrequency"]
        if frequency not in _ALLOWED[scan_type]:
            raise _refused(f"The scan frequency {frequency} is not supported for scan type {scan_type}")
        if frequency in seen:
            raise _refused(f"The scan frequency {frequency} is given by more than one rule")
        seen.add(frequency)
    registry_key = registries.require_key(call.db, call.registry(), call.now_us)
    registries.hold(call.db, registry_key)
    before = scans.configuration(call.db, registry_key)
    put = Configuration(scan_type, orjson.dumps(rules).decode())
    scans.put_configuration(call.db, registry_key, put.scan_type, put.rules, call.now_us)
    enqueue(call.db, APPLY, arguments(call.registry(), before, put, call.now_us))
    return {"registryScanningConfiguration": {"scanType": scan_type, "rules": rules}}


def _refused(constraint: str) -> InvalidParameter:
    return InvalidParameter(parameter="rules", constraint=constraint)


@operation("GetRegistryScanningConfiguration", writes=False, resources=no_resource)
def get_registry_scanning_configuration(call: Call) -> dict[str, Any]:
    """The type of scanning and the rules of the caller's registry."""
    found = scans.configuration(call.db, registries.find_key(call.db, call.registry()))
    return {
        "registryId": call.registry().account_id,
        "scanningConfiguration": {"scanType": found.scan_type, "rules": orjson.loads(found.rules)},
    }


def _configured(registry: Any, arguments: Any) -> list[str]:
    return [repository_arn(registry, name) for name in arguments.get("repository_names") or ["*"]]


@operation("BatchGetRepositoryScanningConfiguration", writes=False, resources=_configured)
def batch_get_repository_scanning_configuration(call: Call, *, repository_names: list[str]) -> dict[str, Any]:
    """How each of some repositories is scanned, with the filter that decided."""
    found: list[dict[str, Any]] = []
    failures: list[dict[str, str]] = []
    registry = call.registry()
    configuration = scans.configuration(call.db, registries.find_key(call.db, registry))
    for name in dict.fromkeys(repository_names):
        repository = repositories.find(call.db, registry, name)
        if repository is None:
            reason = f"The repository with name '{name}' does not exist in the registry with id '{registry.account_id}'"
            failures.append({"repositoryName": name, "failureCode": "REPOSITORY_NOT_FOUND", "failureReason": reason})
            continue
        how = by_configuration(configuration, repository)
        found.append(
            {
                "repositoryArn": repository_arn(repository.registry, name),
                "repositoryName": name,
                "scanOnPush": how.on_push,
                "scanFrequency": how.frequency.value,
                "appliedScanFilters": list(how.filters),
            }
        )
    return {"scanningConfigurations": found, "failures": failures}


@operation("PutImageScanningConfiguration", writes=True)
def put_image_scanning_configuration(
    call: Call, *, repository_name: str, image_scanning_configuration: dict[str, Any], registry_id: str | None = None
) -> dict[str, Any]:
    """Store the repository's own scan-on-push flag; under enhanced scanning the registry's rules alone decide.

    Raises:
        ValidationFailed: the registry's scanning is enhanced.
    """
    repository = require(call, repository_name, registry_id)
    if scans.configuration(call.db, repository.registry_key).scan_type != BASIC:
        raise ValidationFailed(message="This feature is disabled")
    scan_on_push = bool(image_scanning_configuration.get("scanOnPush", False))
    repositories.set_scan_on_push(call.db, repository.key, scan_on_push)
    return {
        "registryId": repository.registry.account_id,
        "repositoryName": repository.name,
        "imageScanningConfiguration": {"scanOnPush": scan_on_push},
    }
