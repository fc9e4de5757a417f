"""The deployment's audit trail: where its sealed segments are, and how this machine's get there."""

import asyncio

import structlog

from openecr.deployment import Deployment
from openecr.events import audit_sealing
from openecr.events.audit_sealing import Archive

log = structlog.get_logger("openecr")


def archive_of(deployment: Deployment) -> Archive:
    """Where the deployment's sealed audit segments are."""
    return Archive(
        deployment.settings, deployment.database, deployment.blobs, deployment.keyring, deployment.new_object_id
    )


async def seal_audit_files(deployment: Deployment, seconds: float | None = None) -> None:
    """Bring this machine's audit segments to where every server reads them: no other machine has them."""
    try:
        async with asyncio.timeout(seconds):
            await audit_sealing.seal_files(archive_of(deployment))
    except Exception:
        log.exception("audit segments are not sealed; they stay on this machine until they are")
