"""The composition root: settings become database, blob store, keyring and planes. Only the commands import it."""

import asyncio
import contextlib
import ipaddress
import os
import random
import re
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import botocore.session
import structlog

from openecr.access.networks import parse_source
from openecr.addressing import WORKLOADS_PATH, Arrival, Plane, address
from openecr.asgi import Receive, Scope, Send
from openecr.aws.plane import ApiPlane
from openecr.blobs.disk import Disk
from openecr.blobs.opening import default_folder, open_stores
from openecr.call import API, Deployment, Origin, Waist
from openecr.db.engines import open_database, require_schema
from openecr.db.sqlite import host_clock_us
from openecr.events import audit_record, audit_sealing
from openecr.events.audit_log import AuditLog, folder_of
from openecr.events.audit_sealing import Archive
from openecr.events.auditing import Auditing, Occurrence, record_of
from openecr.events.trail import WORKLOADS, Refused, Trail
from openecr.jobs.schedule import Schedule
from openecr.jobs.worker import JobWorker
from openecr.key_notes import KeyNotes
from openecr.keyring import RENEW_SECONDS, KeyringUnusable, load_root_keys, open_keyring, renew
from openecr.layers import LayersPlane
from openecr.logs import AccessLog
from openecr.names import RegistryName
from openecr.oci.http import Answer
from openecr.oci.plane import DkrPlane, fault
from openecr.oci.render import not_found
from openecr.pull_notes import PullNotes
from openecr.services.ecr import encrypting, garbage, quotas, storage_classes, upkeep
from openecr.services.ecr.integrity import scrub
from openecr.services.kms import upkeep as kms_upkeep
from openecr.services.served import SERVICES
from openecr.services.sts import upkeep as sts_upkeep
from openecr.settings import Settings
from openecr.waiting_room import WaitingRoom
from openecr.workloads.answers import reply as reply_to_workload
from openecr.workloads.container import ContainerCredentials
from openecr.workloads.instance_metadata import InstanceMetadata

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
)
"""Work that comes back, once per deployment however many job processes there are."""

_HEALTH_SECONDS = 5.0
_SEAL_SECONDS = 60.0
_LAST_SEAL_SECONDS = 5.0
_HOST = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9._-]{0,252}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
"""A host that answers may repeat; a proxy that passes on a client's header passes on whatever it holds."""
_WITH_PORT = re.compile(r"\[([0-9A-Fa-f:.]{2,45})\](?::[0-9]{1,5})?|([0-9.]{7,15}):[0-9]{1,5}")
"""An address as some proxies put it into X-Forwarded-For."""


@dataclass(frozen=True, slots=True)
class _Proxies:
    """Whose Host and X-Forwarded-* headers count."""

    networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]

    def trusts(self, source: str) -> bool:
        """Whether the peer's address is a trusted proxy's."""
        peer = parse_source(source) if self.networks else None
        return peer is not None and any(
            peer.version == network.version and peer in network for network in self.networks
        )


class Application:
    """The ASGI application of one worker, and the work of one job process."""

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
        self._base_url = base_url.rstrip("/")
        settings = deployment.settings
        self._default = RegistryName(settings.account_id, settings.region)
        self._proxies = _Proxies(tuple(ipaddress.ip_network(text) for text in settings.trusted_proxies))
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
            arrival = self._arrival(scope, _new_request_id())
            await self._serve(
                scope, arrival.request_id, arrival.source_address, self._dispatch(scope, receive, send, arrival)
            )

    async def answer_node(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer one request on a listener of ``metadata_listen``, where nothing else is served."""
        if scope["type"] == "http":
            client = scope.get("client")
            source, request_id = str(client[0]) if client else "", _new_request_id()
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
        headers, method, path = _headers(scope["headers"]), scope["method"], scope["path"]
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
        private = arrival.secure or _is_loopback(source)
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
            registry=self._default,
            base_url=self._base_url,
            now_us=now_us,
            strictness=API,
            source_address=source,
            secure=secure,
            user_agent=user_agent,
            trail=Trail(WORKLOADS, request_id, now_us, source, user_agent, self._default),
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

    def _with_fresh_keys(
        self, perform: Callable[[Mapping[str, Any]], Awaitable[None]]
    ) -> Callable[[Mapping[str, Any]], Awaitable[None]]:
        """A job that begins with the keys of the moment."""

        async def performed(args: Mapping[str, Any]) -> None:
            await self._renew_keys()
            await perform(args)

        return performed

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

    def _arrival(self, scope: Scope, request_id: str) -> Arrival:
        headers = _headers(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1")
        client = scope.get("client")
        source = _plain(str(client[0])) if client else ""
        server = scope.get("server")
        listener = str(server[0]) if server else ""
        secure = scope["scheme"] == "https"
        base_url = self._base_url
        if self._proxies.trusts(source):
            told = headers.get(b"x-forwarded-host", b"").decode("latin-1")
            host = told if _HOST.fullmatch(told) else host
            secure = headers.get(b"x-forwarded-proto", b"https" if secure else b"http") == b"https"
            if self._deployment.settings.url is None and _HOST.fullmatch(host):
                base_url = f"{'https' if secure else 'http'}://{host}"
            source = _forwarded_for(headers.get(b"x-forwarded-for"), source, self._proxies)
        path = scope.get("raw_path", b"").decode("latin-1").partition("?")[0] or scope["path"]
        where = address(host, scope["method"], path, self._default, signed=_is_signed(headers, scope))
        return Arrival(request_id, where, headers, base_url, source, secure, host, listener)

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
            await self._seal_audit_files(_LAST_SEAL_SECONDS)
        await self._deployment.database.close()

    async def run_jobs(self, stop: asyncio.Event) -> None:
        """Do owed work until told to stop."""
        database, settings, blobs = self._deployment.database, self._deployment.settings, self._deployment.blobs

        async def expire_uploads(_args: Mapping[str, Any]) -> None:
            await upkeep.expire_uploads(database, settings)

        async def encrypt_stored(_args: Mapping[str, Any]) -> None:
            done = await encrypting.encrypt_stored(self._deployment)
            if done != encrypting.Encrypted():
                log.info("stored layers encrypted", **asdict(done))

        async def destroy_keys(_args: Mapping[str, Any]) -> None:
            destroyed = await kms_upkeep.destroy_due_keys(database, self._deployment.now_us())
            if destroyed:
                log.info("KMS keys destroyed", keys=destroyed)

        async def delete_sessions(_args: Mapping[str, Any]) -> None:
            deleted = await sts_upkeep.delete_due_sessions(database, self._deployment.now_us())
            if deleted:
                log.info("sessions deleted", sessions=deleted)

        async def collect_garbage(_args: Mapping[str, Any]) -> None:
            collected = await garbage.collect(database, blobs, settings, disk_of(settings))
            if collected != garbage.Collected():
                log.info("garbage collected", **asdict(collected))

        async def scrub_layers(_args: Mapping[str, Any]) -> None:
            if settings.scrub_days:
                scrubbed = await scrub.scrub(self._deployment)
                if scrubbed.ended_pass or scrubbed.damaged:
                    log.info("layers scrubbed", **asdict(scrubbed))

        async def seal_audit(_args: Mapping[str, Any]) -> None:
            archive = archive_of(self._deployment)
            await audit_sealing.seal_writes(archive)
            await audit_sealing.prune(archive)

        async def measure_quotas(_args: Mapping[str, Any]) -> None:
            await quotas.measure_all(database)

        async def restore_image(args: Mapping[str, Any]) -> None:
            await storage_classes.end_restore(database, args, self._deployment.now_us())

        async def follow_storage_class(args: Mapping[str, Any]) -> None:
            await storage_classes.follow(database, args, self._deployment.now_us())

        worker = JobWorker(
            database,
            {
                "expire-uploads": self._with_fresh_keys(expire_uploads),
                "collect-garbage": self._with_fresh_keys(collect_garbage),
                "measure-quotas": measure_quotas,
                "scrub-layers": self._with_fresh_keys(scrub_layers),
                "encrypt-stored": self._with_fresh_keys(encrypt_stored),
                "destroy-keys": self._with_fresh_keys(destroy_keys),
                "seal-audit": self._with_fresh_keys(seal_audit),
                "delete-sessions": delete_sessions,
                storage_classes.RESTORE: restore_image,
                storage_classes.FOLLOW: follow_storage_class,
            },
            schedules=SCHEDULES,
        )
        working = asyncio.create_task(worker.run())
        sealing = asyncio.create_task(self._seal_audit_forever())
        await stop.wait()
        sealing.cancel()
        worker.stop()
        await working

    async def _seal_audit_forever(self) -> None:
        while True:
            await self._renew_keys()
            await self._seal_audit_files()
            await asyncio.sleep(_SEAL_SECONDS)

    async def _seal_audit_files(self, seconds: float | None = None) -> None:
        """Bring this machine's audit segments to where every server reads them: no other machine has them."""
        try:
            async with asyncio.timeout(seconds):
                await audit_sealing.seal_files(archive_of(self._deployment))
        except Exception:
            log.exception("audit segments are not sealed; they stay on this machine until they are")


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


def archive_of(deployment: Deployment) -> Archive:
    """Where the deployment's sealed audit segments are."""
    return Archive(
        deployment.settings, deployment.database, deployment.blobs, deployment.keyring, deployment.new_object_id
    )


async def compose(
    settings: Settings,
    *,
    note_pull: Callable[[int, int], None] = lambda _key, _now_us: None,
    note_key_use: Callable[[str, str, str, int], None] = lambda _key_id, _service, _region, _now_us: None,
    connected: bool = False,
) -> Deployment:
    """Open the database, the blob stores and the keyring of a deployment that was migrated."""
    roots = load_root_keys(settings.data_dir, os.environ, create=False)
    blobs = open_stores(settings, connected=connected)
    database = await open_database(settings)
    await require_schema(database, settings)
    return Deployment(
        settings=settings,
        database=database,
        blobs=blobs,
        keyring=await database.read(lambda db: open_keyring(db, *roots)),
        now_us=database.clock_us,
        wall_us=host_clock_us,
        new_id=lambda: str(uuid.uuid4()),
        new_object_id=blobs.new_object_id,
        note_pull=note_pull,
        waiting_room=WaitingRoom(settings.vpc_timeout_seconds),
        note_key_use=note_key_use,
    )


@contextlib.asynccontextmanager
async def composed(settings: Settings) -> AsyncIterator[Deployment]:
    """A deployment for one command, beside servers that may run meanwhile; closed at the end."""
    deployment = await compose(settings)
    try:
        yield deployment
    finally:
        await deployment.database.close()


def disk_of(settings: Settings) -> Disk | None:
    """The file system under the layers; None where the store has no end to guard, or nothing is to be kept free."""
    folder = default_folder(settings)
    if folder is None or settings.disk_reserve_bytes == 0:
        return None
    return Disk(folder, settings.disk_reserve_bytes)


def served_regions(settings: Settings) -> frozenset[str]:
    """The regions that botocore knows for ECR, and the deployment's own."""
    session = botocore.session.get_session()
    known = {
        region
        for partition in session.get_available_partitions()
        for region in session.get_available_regions("ecr", partition, allow_non_regional=False)
    }
    return frozenset(known | {settings.region})


def _new_request_id() -> str:
    """A uuid4 that need not be hard to guess: it names a request in logs, and opens nothing."""
    text = f"{random.getrandbits(128):032x}"
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"


def _is_signed(headers: dict[bytes, bytes], scope: Scope) -> bool:
    """Whether a request carries a Signature Version 4, in its header or its query."""
    return headers.get(b"authorization", b"").startswith(b"AWS4-") or b"X-Amz-Signature=" in scope["query_string"]


def _is_loopback(source: str) -> bool:
    try:
        return ipaddress.ip_address(source).is_loopback
    except ValueError:
        return False


def _headers(received: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Headers by lower-case name; one that is repeated is one list (RFC 9110 §5.3), as Go's clients send Accept."""
    gathered: dict[bytes, bytes] = {}
    for name, value in received:
        gathered[name] = value if name not in gathered else gathered[name] + b", " + value
    return gathered


def _forwarded_for(header: bytes | None, peer: str, proxies: _Proxies) -> str:
    """The nearest address in the chain that is not a trusted proxy's."""
    for text in reversed((header or b"").decode("latin-1").split(",")):
        candidate = _plain(text.strip())
        if candidate and not proxies.trusts(candidate):
            return candidate
    return peer


def _plain(text: str) -> str:
    """An address without brackets, port, or an IPv6 spelling of IPv4; what is none stays as it was told."""
    found = _WITH_PORT.fullmatch(text)
    address = parse_source(text if found is None else found[1] or found[2])
    return text if address is None else str(address)


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
