"""VEX documents that tests make."""

import json
from typing import Any


def openvex(*statements: dict[str, Any], at: str = "2026-03-01T10:00:00Z") -> str:
    """An OpenVEX document."""
    return json.dumps(
        {
            "@context": "https://openvex.dev/ns/v0.2.0",
            "@id": "https://example.com/vex/1",
            "author": "Example",
            "timestamp": at,
            "version": 1,
            "statements": list(statements),
        }
    )


def statement(vulnerability: str, *products: str, status: str = "not_affected", **more: Any) -> dict[str, Any]:
    """A statement on some products; one that says why where its status needs a reason."""
    reason = {"justification": "vulnerable_code_not_in_execute_path"} if status == "not_affected" else {}
    return {
        "vulnerability": {"name": vulnerability},
        "products": [{"@id": product} for product in products],
        "status": status,
        **reason,
        **more,
    }


def cyclonedx_vex(vulnerability: str, url: str, state: str = "not_affected") -> str:
    """A CycloneDX document that is VEX."""
    return json.dumps(
        {
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "serialNumber": "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79",
            "version": 1,
            "vulnerabilities": [
                {
                    "id": vulnerability,
                    "analysis": {"state": state, "justification": "code_not_reachable", "detail": "never called"},
                    "affects": [{"ref": url}],
                }
            ],
        }
    )
