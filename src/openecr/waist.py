"""The waist: every request on every plane passes here on its way to a decision.

    plane → Waist.run(decision, origin, arguments) → identify → authorize → function(call, arguments) → commit → answer

Reads run inline on the event loop, writes on the database's writer; nothing is awaited while a transaction is open. A
decision that needs the outside asks for an effect (``call.obtain``): the waist rolls back, performs it, and runs the
decision again with its result.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from openecr.access.identity import ANONYMOUS, Caller, find_caller
from openecr.call import Call, Decision, Operation
from openecr.db.callers import find_key_owner
from openecr.db.connection import Connection
from openecr.deployment import Deployment, Effect, Needs
from openecr.errors import UnrecognizedClient
from openecr.events.auditing import is_kept, keep
from openecr.events.trail import Event, Trail
from openecr.origin import Origin

T = TypeVar("T")
_MOST_EFFECTS = 8


@dataclass(frozen=True, slots=True)
class Flow:
    """One request that takes several decisions, with bytes moved between them."""

    waist: "Waist"
    origin: Origin

    @property
    def deployment(self) -> Deployment:
        """What the deployment offers outside of transactions."""
        return self.waist.deployment

    async def run(self, step: Decision[T], /, **arguments: Any) -> T:
        """Run one decision of the flow."""
        return await self.waist.run(step, self.origin, **arguments)


@dataclass(frozen=True, slots=True)
class Waist:
    """Runs decisions and operations for the planes."""

    deployment: Deployment

    async def invoke(self, chosen: Operation, origin: Origin, /, **arguments: Any) -> dict[str, Any]:
        """Run an operation with the model's arguments in snake case."""
        if chosen.decision is not None:
            return await self.run(chosen.decision, origin, **arguments)
        answer: dict[str, Any] = await chosen.function(Flow(self, origin), **arguments)
        return answer

    async def run(self, step: Decision[T], origin: Origin, /, **arguments: Any) -> T:
        """Identify the caller, authorize, decide and commit, and leave in the trail what came of it."""
        if origin.trail is None or not step.event:
            return await self._decide(step, origin, arguments, None)
        event = origin.trail.event(step.action.partition(":")[0], step.event, arguments)
        try:
            answer = await self._decide(step, origin, arguments, event)
        except BaseException as error:
            event.error = error
            raise
        event.error = None
        event.kept = event.kept or (step.writes and is_kept(origin.trail, event))
        return answer

    async def _decide(self, step: Decision[T], origin: Origin, arguments: Mapping[str, Any], event: Event | None) -> T:
        """Run the decision until it has what it asks for; perform effects in between."""
        results: dict[Effect, Any] = {}
        trail = origin.trail
        if origin.access_key_id:
            service, _, _ = step.action.partition(":")
            self.deployment.note_key_use(origin.access_key_id, service, origin.registry.region, origin.now_us)

        def body(db: Connection) -> T:
            caller = identify(db, origin, step.action, anonymous=step.anonymous)
            call = Call(caller, origin, self.deployment, db, step.writes, results, arguments)
            if trail is not None:
                trail.owner, trail.vpc_endpoint_id = caller.owner, origin.vpc_endpoint_id
            if not step.anonymous:
                step.authorize(call, arguments, event)
            answer = step.function(call, **arguments)
            if trail is not None and event is not None:
                event.answer = answer
                if step.writes and is_kept(trail, event):
                    keep(db, trail, event)
            return answer

        for _ in range(_MOST_EFFECTS):
            try:
                if step.writes:
                    return await self.deployment.database.write(body)
                return await self.deployment.database.read(body, consistent=step.consistent)
            except Needs as needs:
                results[needs.effect] = await needs.effect.perform(self.deployment)
        raise RuntimeError(f"{step.function.__name__} asked for more than {_MOST_EFFECTS} effects")

    async def finish(self, trail: Trail) -> None:
        """A request is over: record it. Nothing that fails here fails the request."""
        if trail.owner is None and trail.is_proven:
            # It failed before any decision: who asked is known, and is not looked up yet.
            with contextlib.suppress(Exception):
                trail.owner = await self.deployment.database.read(
                    lambda db: find_key_owner(db, trail.access_key_id), consistent=False
                )
        self.deployment.audit.finish(trail)


def identify(db: Connection, origin: Origin, action: str, *, anonymous: bool = False) -> Caller:
    """The caller behind a proven access key, or the error of a key that is gone, or that this action does not take."""
    if anonymous and not origin.access_key_id:
        return ANONYMOUS
    caller = find_caller(db, origin.access_key_id)
    if caller is None or not caller.credentials_take(action):
        raise UnrecognizedClient
    return caller
