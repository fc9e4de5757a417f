"""The ASGI application of one worker: each request goes to its plane, with fresh keys, and is logged."""

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable
from dataclasses import replace

import structlog

from openecr.addressing import WORKLOADS_PATH, Arrival, Plane
from openecr.arrivals import Front, headers_of, is_loopback, new_request_id
from openecr.asgi import Receive, Scope, Send
from openecr.aws.plane import ApiPlane
from openecr.composition import compose
from openecr.deployment import Deployment
from openecr.events import audit_record
from openecr.events.audit_log import AuditLog, folder_of
from openecr.events.auditing import Auditing, Occurrence, record_of
from openecr.events.trail import WORKLOADS, Refused, Trail
from openecr.key_notes import KeyNotes
from openecr.keyring import RENEW_SECONDS, KeyringUnusable, load_root_keys, renew
from openecr.layers import LayersPlane
from openecr.logs import AccessLog
from openecr.names import RegistryName
from openecr.oci.http import Answer
from openecr.oci.plane import DkrPlane, fault
from openecr.oci.render import not_found
from openecr.origin import API, Origin
from openecr.pull_notes import PullNotes
from openecr.services.audit import seal_audit_files
from openecr.services.served import SERVICES, served_regions
from openecr.settings import Settings
from openecr.waist import Waist
from openecr.workloads.answers import reply as reply_to_workload
from openecr.workloads.container import ContainerCredentials
from openecr.workloads.instance_metadata import InstanceMetadata

log = structlog.get_logger("openecr")

_HEALTH_SECONDS = 5.0
_LAST_SEAL_SECONDS = 5.0


class Application:
    """The ASGI application of one worker."""

    def __init__(
        self,
        deployment: Deployment,
        notes: tuple[PullNotes, KeyNotes],
        audit_log: AuditLog[Occurrence],
        *,
        base_url: str,
    ) -> None:
        self._deployment = deployment
        self._audit_log = audit_log
        self._notes = notes
        settings = deployment.settings
        self._front = Front.of(settings, base_url)
        self._waist = Waist(deployment)
        self._dkr = DkrPlane(self._waist, served_regions(settings))
        self._layers = LayersPlane(deployment)
        self._api = ApiPlane(self._waist, SERVICES)
        self._container_credentials = ContainerCredentials(self._waist)
        self._instance_metadata = InstanceMetadata(self._waist)
        self._access_log = AccessLog() if settings.access_log else None
        self._flushing: list[asyncio.Task[None]] = []
        self._keys_due_seconds = time.monotonic() + RENEW_SECONDS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            arrival = self._front.arrival(scope, new_request_id())
            await self._serve(
                scope, arrival.request_id, arrival.source_address, self._dispatch(scope, receive, send, arrival)
            )

    async def answer_node(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer one request on a listener of ``metadata_listen``, where nothing else is served."""
        if scope["type"] == "http":
            client = scope.get("client")
            source, request_id = str(client[0]) if client else "", new_request_id()
            await self._serve(scope, request_id, source, self._dispatch_node(scope, send, source, request_id))

    async def _serve(self, scope: Scope, request_id: str, source: str, answering: Awaitable[int]) -> None:
        """Answer with fresh keys, and log."""
        if not self._flushing:
            self._flushing = [
                asyncio.create_task(notes.flush_forever(self._deployment.database)) for notes in self._notes
            ]
        if time.monotonic() >= self._keys_due_seconds:
            await self._renew_keys()
        started = time.perf_counter_ns()
        status = 0
        try:
            status = await answering
        except Exception:
            log.exception("request failed", request_id=request_id, method=scope["method"], path=scope["path"])
            raise
        finally:
            if self._access_log is not None:
                self._access_log.write(
                    method=scope["method"],
                    path=scope["path"],
                    status=status,
                    duration_us=(time.perf_counter_ns() - started) // 1000,
                    request_id=request_id,
                    source=source,
                )

    async def _dispatch_node(self, scope: Scope, send: Send, source: str, request_id: str) -> int:
        headers, method, path = headers_of(scope["headers"]), scope["method"], scope["path"]
        origin = self._unproven(headers, source, request_id, secure=False)
        if path == WORKLOADS_PATH:
            answer = await self._container_credentials.answer(method, headers, origin, private=True)
        else:
            answer = await self._instance_metadata.answer(method, path, headers, origin)
        self._record_workload(origin, answer.status)
        return await reply_to_workload(send, scope, answer, request_id)

    async def _answer_workload(self, scope: Scope, send: Send, arrival: Arrival) -> int:
        source, headers = arrival.source_address, arrival.headers
        origin = self._unproven(headers, source, arrival.request_id, secure=arrival.secure)
        private = arrival.secure or is_loopback(source)
        answer = await self._container_credentials.answer(scope["method"], headers, origin, private=private)
        self._record_workload(origin, answer.status)
        return await reply_to_workload(send, scope, answer, arrival.request_id)

    def _unproven(self, headers: dict[bytes, bytes], source: str, request_id: str, *, secure: bool) -> Origin:
        """A request that no access key signed."""
        now_us = self._deployment.now_us()
        user_agent = headers.get(b"user-agent", b"").decode("latin-1")[:1024]
        return Origin(
            request_id=request_id,
            access_key_id="",
            registry=self._front.default,
            base_url=self._front.base_url,
            now_us=now_us,
            strictness=API,
            source_address=source,
            secure=secure,
            user_agent=user_agent,
            trail=Trail(WORKLOADS, request_id, now_us, source, user_agent, self._front.default),
        )

    def _record_workload(self, origin: Origin, status: int) -> None:
        """Record what a workload got, or was refused before it came to a decision."""
        trail = origin.trail
        if trail is None:
            return
        if status >= 400 and not trail.events:
            trail.fail(Refused("AccessDenied"), "sts", "AssumeRole", {})
        self._deployment.audit.finish(trail)

    async def _renew_keys(self) -> None:
        """Read the table of keys again: a request that comes after the keyring's time never meets a key it lacks."""
        self._keys_due_seconds = time.monotonic() + RENEW_SECONDS
        deployment = self._deployment

        def load() -> tuple[bytes, ...]:
            return load_root_keys(deployment.settings.data_dir, os.environ, create=False)

        try:
            await deployment.database.read(lambda db: renew(deployment.keyring, db, load))
        except KeyringUnusable as unusable:
            log.error("new keys cannot be opened; this server goes on with those it has", why=str(unusable))
        except Exception:
            log.exception("keys not renewed")

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send, arrival: Arrival) -> int:
        match arrival.address.plane:
            case Plane.DKR:
                return await _reply(send, scope, await self._answer_dkr(scope, receive, arrival), arrival.request_id)
            case Plane.LAYERS:
                return await self._layers.answer(scope, receive, send, arrival)
            case Plane.API:
                scope["openecr.request_id"] = arrival.request_id
                scope["openecr.base_url"] = arrival.base_url
                scope["openecr.source"] = arrival.source_address
                scope["openecr.secure"] = arrival.secure
                scope["openecr.listener"] = arrival.listener
                scope["openecr.vpc_endpoint_id"] = arrival.address.vpc_endpoint_id
                scope["openecr.host"] = arrival.host
                return await self._api(scope, receive, send)
            case Plane.WORKLOADS:
                return await self._answer_workload(scope, send, arrival)
            case Plane.HEALTH:
                return await _reply(send, scope, await self._health(arrival.address.path), arrival.request_id)
            case _:
                return await _reply(send, scope, not_found(), arrival.request_id)

    async def _answer_dkr(self, scope: Scope, receive: Receive, arrival: Arrival) -> Answer | None:
        try:
            return await self._dkr.answer(scope, receive, arrival)
        except Exception:
            log.exception("request failed", request_id=arrival.request_id, method=scope["method"], path=scope["path"])
            return fault(arrival.request_id)

    async def _health(self, path: str) -> Answer:
        """Alive while it answers; ready while its database does, and agrees with it on the time."""
        if path == "/readyz":
            trouble = self._deployment.database.trouble()
            if trouble is None:
                try:
                    async with asyncio.timeout(_HEALTH_SECONDS):
                        await self._deployment.database.read(lambda db: db.row("SELECT 1"), consistent=False)
                except Exception:
                    log.exception("not ready")
                    trouble = "the database does not answer"
            if trouble is not None:
                return Answer(503, ((b"content-type", b"text/plain"),), f"{trouble}\n".encode())
        return Answer(200, ((b"content-type", b"text/plain"),), b"ok\n")

    def let_go(self) -> None:
        """End the requests that are held without an answer: the server is about to stop."""
        self._deployment.waiting_room.close()

    async def close(self) -> None:
        """Write down what is noted, and let go of the database."""
        for flushing in self._flushing:
            flushing.cancel()
        for notes in self._notes:
            await notes.flush(self._deployment.database)
        if self._access_log is not None:
            self._access_log.flush()
        await asyncio.to_thread(self._audit_log.close)
        if self._deployment.settings.database is not None:
            # This machine's disk may go with it, as a container's does.
            await seal_audit_files(self._deployment, _LAST_SEAL_SECONDS)
        await self._deployment.database.close()

    async def run_jobs(self, stop: asyncio.Event) -> None:
        """Do owed work until told to stop: what a job process does instead of answering."""
        # The scanner and all else that only jobs need is half of what there is to load: workers do without.
        from openecr.background import Background

        await Background(self._deployment, self._renew_keys).run(stop)


async def build(settings: Settings, *, base_url: str) -> Application:
    """Open a deployment that was migrated, and compose the application."""
    pulls, keys = PullNotes(), KeyNotes()
    deployment = await compose(settings, note_pull=pulls.note, note_key_use=keys.note, connected=True)
    now_us = deployment.now_us
    registry = RegistryName(settings.account_id, settings.region)
    audit_log = AuditLog(
        folder_of(settings.data_dir),
        now_us=now_us,
        record_of=record_of,
        lost=lambda count: audit_record.line_of_loss(count, now_us(), registry),
    )
    deployment = replace(deployment, audit=Auditing(audit_log.append))
    return Application(deployment, (pulls, keys), audit_log, base_url=base_url)


async def _reply(send: Send, scope: Scope, answer: Answer | None, request_id: str) -> int:
    """Send an answer that fits in memory; the status sent, 499 where the client is gone."""
    if answer is None:
        with contextlib.suppress(Exception):
            await send({"type": "http.response.start", "status": 499, "headers": []})
            await send({"type": "http.response.body", "body": b""})
        return 499
    length = answer.content_length if answer.content_length is not None else len(answer.body)
    headers = [*answer.headers, (b"x-amzn-requestid", request_id.encode())]
    if answer.status != 204:
        headers.append((b"content-length", str(length).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer.body})
    return answer.status
