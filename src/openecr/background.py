"""What is done beside requests: the schedules, the handler of each kind of job, the audit segments of this machine."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Any

import structlog

from openecr.blobs.opening import disk_of
from openecr.deployment import Deployment
from openecr.events import audit_sealing
from openecr.events import upkeep as event_upkeep
from openecr.jobs.schedule import Schedule
from openecr.jobs.worker import Handler, JobWorker
from openecr.services.audit import archive_of, seal_audit_files
from openecr.services.ecr import encrypting, garbage, quotas, storage_classes, upkeep
from openecr.services.ecr.integrity import scrub
from openecr.services.ecr.lifecycle import expiry, previews
from openecr.services.ecr.scanning import (
    applying,
    recount,
    rematch,
    sbom_requests,
    sboms,
    scan,
    suppression_requests,
    vulnerability_data,
)
from openecr.services.ecr.scanning import requests as scan_requests
from openecr.services.ecr.scanning import upkeep as scan_upkeep
from openecr.services.ecr.scanning.vex_documents import VexDocuments
from openecr.services.ecr.scanning.vulnerability_data import VulnerabilityData
from openecr.services.kms import upkeep as kms_upkeep
from openecr.services.sts import upkeep as sts_upkeep

log = structlog.get_logger("openecr")

_MINUTE_US = 60 * 1_000_000
SCHEDULES = (
    Schedule("expire-uploads", "expire-uploads", 10 * _MINUTE_US),
    Schedule("collect-garbage", "collect-garbage", 5 * _MINUTE_US),
    Schedule("measure-quotas", "measure-quotas", _MINUTE_US),
    Schedule("scrub-layers", "scrub-layers", 10 * _MINUTE_US),
    Schedule("encrypt-stored", "encrypt-stored", 10 * _MINUTE_US),
    Schedule("destroy-keys", "destroy-keys", 10 * _MINUTE_US),
    Schedule("seal-audit", "seal-audit", 5 * _MINUTE_US),
    Schedule("delete-sessions", "delete-sessions", 10 * _MINUTE_US),
    Schedule("owe-lifecycle", "owe-lifecycle", 10 * _MINUTE_US),
    Schedule("tidy-scans", "tidy-scans", 24 * 60 * _MINUTE_US),
    Schedule("forget-events", "forget-events", 60 * _MINUTE_US),
)
"""Work that comes back, once per deployment however many job processes there are."""

_SEAL_SECONDS = 60.0
_SCANS_AT_ONCE = 2


class Background:
    """The work of one job process."""

    def __init__(self, deployment: Deployment, renew_keys: Callable[[], Awaitable[None]]) -> None:
        """``renew_keys`` reads the table of keys again: work begins with the keys of the moment."""
        self._deployment = deployment
        self._renew_keys = renew_keys
        self._vulnerability_data = VulnerabilityData(deployment)
        self._vex_documents = VexDocuments(deployment)

    async def run(self, stop: asyncio.Event) -> None:
        """Do owed work until told to stop."""
        worker = JobWorker(
            self._deployment.database,
            {kind: self._with_fresh_keys(perform) for kind, perform in self._handlers().items()},
            schedules=SCHEDULES,
        )
        scanning = JobWorker(
            self._deployment.database,
            {scan_requests.SCAN: self._with_fresh_keys(self._scan_image)},
            queue=scan_requests.QUEUE,
            concurrency=_SCANS_AT_ONCE,
        )
        working = asyncio.gather(worker.run(), scanning.run())
        sealing = asyncio.create_task(self._seal_audit_forever())
        await stop.wait()
        sealing.cancel()
        worker.stop()
        scanning.stop()
        await working
        self._vulnerability_data.close()

    def _handlers(self) -> dict[str, Handler]:
        """Kind of job → what does it: a new kind is a method and a line."""
        return {
            "expire-uploads": self._expire_uploads,
            "collect-garbage": self._collect_garbage,
            "measure-quotas": self._measure_quotas,
            "scrub-layers": self._scrub_layers,
            "encrypt-stored": self._encrypt_stored,
            "destroy-keys": self._destroy_keys,
            "seal-audit": self._seal_audit,
            "delete-sessions": self._delete_sessions,
            storage_classes.RESTORE: self._restore_image,
            storage_classes.FOLLOW: self._follow_storage_class,
            "owe-lifecycle": self._owe_lifecycle,
            expiry.KIND: self._expire_images,
            previews.KIND: self._preview_lifecycle,
            vulnerability_data.REMATCH: self._rematch_packages,
            suppression_requests.APPLY: self._apply_vex,
            sbom_requests.ATTACH: self._attach_sbom,
            applying.APPLY: self._apply_scanning,
            "tidy-scans": self._tidy_scans,
            "forget-events": self._forget_events,
        }

    def _with_fresh_keys(self, perform: Handler) -> Handler:
        async def performed(args: Mapping[str, Any]) -> None:
            await self._renew_keys()
            await perform(args)

        return performed

    async def _expire_uploads(self, _args: Mapping[str, Any]) -> None:
        await upkeep.expire_uploads(self._deployment.database, self._deployment.settings)

    async def _encrypt_stored(self, _args: Mapping[str, Any]) -> None:
        done = await encrypting.encrypt_stored(self._deployment)
        if done != encrypting.Encrypted():
            log.info("stored layers encrypted", **asdict(done))

    async def _destroy_keys(self, _args: Mapping[str, Any]) -> None:
        destroyed = await kms_upkeep.destroy_due_keys(self._deployment.database, self._deployment.now_us())
        if destroyed:
            log.info("KMS keys destroyed", keys=destroyed)

    async def _delete_sessions(self, _args: Mapping[str, Any]) -> None:
        deleted = await sts_upkeep.delete_due_sessions(self._deployment.database, self._deployment.now_us())
        if deleted:
            log.info("sessions deleted", sessions=deleted)

    async def _restore_image(self, args: Mapping[str, Any]) -> None:
        await storage_classes.end_restore(self._deployment.database, args, self._deployment.now_us())

    async def _follow_storage_class(self, args: Mapping[str, Any]) -> None:
        await storage_classes.follow(self._deployment.database, args, self._deployment.now_us())

    async def _collect_garbage(self, _args: Mapping[str, Any]) -> None:
        deployment = self._deployment
        disk = disk_of(deployment.settings)
        collected = await garbage.collect(deployment.database, deployment.blobs, deployment.settings, disk)
        if collected != garbage.Collected():
            log.info("garbage collected", **asdict(collected))

    async def _scrub_layers(self, _args: Mapping[str, Any]) -> None:
        if self._deployment.settings.scrub_days:
            scrubbed = await scrub.scrub(self._deployment)
            if scrubbed.ended_pass or scrubbed.damaged:
                log.info("layers scrubbed", **asdict(scrubbed))

    async def _seal_audit(self, _args: Mapping[str, Any]) -> None:
        archive = archive_of(self._deployment)
        await audit_sealing.seal_writes(archive)
        await audit_sealing.prune(archive)

    async def _measure_quotas(self, _args: Mapping[str, Any]) -> None:
        await quotas.measure_all(self._deployment.database)

    async def _owe_lifecycle(self, _args: Mapping[str, Any]) -> None:
        await expiry.owe_all(self._deployment.database)

    async def _expire_images(self, args: Mapping[str, Any]) -> None:
        expired = await expiry.run(self._deployment, args["repository"])
        if expired != expiry.Expired():
            log.info("images expired", repository_key=args["repository"], **asdict(expired))

    async def _preview_lifecycle(self, args: Mapping[str, Any]) -> None:
        await previews.make(self._deployment, args["repository"])

    async def _scan_image(self, args: Mapping[str, Any]) -> None:
        await scan.scan_image(self._deployment, self._vulnerability_data, self._vex_documents, args["image"])

    async def _rematch_packages(self, _args: Mapping[str, Any]) -> None:
        done = await rematch.rematch(self._deployment, self._vulnerability_data, self._vex_documents)
        log.info("packages matched again", **asdict(done))

    async def _apply_vex(self, args: Mapping[str, Any]) -> None:
        changed = await recount.recount(self._deployment, self._vex_documents, args)
        if changed:
            log.info("other findings are suppressed", images=changed)

    async def _attach_sbom(self, args: Mapping[str, Any]) -> None:
        await sboms.attach(self._deployment, args)

    async def _apply_scanning(self, args: Mapping[str, Any]) -> None:
        await applying.apply(self._deployment, args)

    async def _tidy_scans(self, _args: Mapping[str, Any]) -> None:
        forgotten = await scan_upkeep.forget_unused(self._deployment.database)
        if forgotten:
            log.info("packages that no image holds are forgotten", packages=forgotten)

    async def _forget_events(self, _args: Mapping[str, Any]) -> None:
        await event_upkeep.forget_old(self._deployment.database, self._deployment.settings, self._deployment.now_us())

    async def _seal_audit_forever(self) -> None:
        while True:
            await self._renew_keys()
            await seal_audit_files(self._deployment)
            await asyncio.sleep(_SEAL_SECONDS)
