"""From an event that asks for an automation to its run: the one that exists, a new one, or one that says why it was refused."""

from __future__ import annotations

from bridge import envelope, lifecycle, request, telemetry
from bridge.envelope import Event
from bridge.errors import CorrelationConflict, Malformed, Refusal
from bridge.events import RESULT
from bridge.identity import ADMIN, Caller
from bridge.lifecycle import Cause
from bridge.parts import Parts
from bridge.ports import Delivery
from bridge.request import Identity
from bridge.run import Run, Status


class Intake:
    """Takes `automation.requested` events from the bus."""

    def __init__(self, parts: Parts) -> None:
        self._results, self._rules, self._signer = parts.results, parts.rules, parts.signer
        self._clock, self._settings = parts.clock, parts.settings

    async def run_of(self, event: Event, delivery: Delivery) -> Run:
        """The run of this request. Raises CorrelationConflict if the id belongs to another request, Refusal, Unavailable."""
        run = await self._results.recall(request.correlation_id(event))
        signed = self._signer.is_ours(event.attributes, self._clock.now(), self._settings.retention)
        if run is not None and signed and request.signed_identity(event).matches(run):
            return run
        caller = self._caller(event, delivery, signed=signed)
        identity = request.identify(event, caller)
        if run is None:
            run, created = await self._results.create(self._new_run(event, identity, caller))
            if created:
                _tell(run, caller)
        if not identity.matches(run):
            detail = f"The id {identity.correlation_id} belongs to another request for {run.automation}; that run is untouched."
            raise CorrelationConflict(detail)
        return run

    def secrets(self, delivery: Delivery) -> tuple[tuple[str, ...], ...]:
        """What to hide of an event that was refused: the secrets of the automation it names.

        Where that does not say it, all data is hidden if any automation has secrets: in an event that names none, and in a result.
        """
        try:
            event = envelope.parse_json(delivery.message.body)
        except Malformed:
            return ()
        named = event if isinstance(event, dict) else {}
        automation = self._rules.catalog.automations.get(str(named.get("subject")))
        if automation is not None and named.get("type") != RESULT:
            return automation.secret_paths
        asked = self._rules.catalog if automation is None else [automation]
        return ((),) if any(each.secret_paths for each in asked) else ()

    def _new_run(self, event: Event, identity: Identity, caller: Caller) -> Run:
        now = self._clock.now()
        try:
            return request.new_run(request.check(event, identity, caller, self._rules, now))
        except Refusal as refusal:
            telemetry.step("run.refused", level="warning", run=identity.correlation_id, code=refusal.code)
            late = refusal.code == "DeadlinePassed"
            refused = request.refused_run(event, identity, self._rules, now)
            cause = Cause(event.id, now, self._settings.retention)
            return lifecycle.refuse(refused, request.explain(refusal), Status.TIMED_OUT if late else Status.FAILED, cause)

    def _caller(self, event: Event, delivery: Delivery, *, signed: bool) -> Caller:
        """Whom a door has checked, else whom the settings name for the topic."""
        if signed and request.digest(event.data) == event.get("inputdigest"):
            return Caller(event.get("authid"), self._signed_roles(event))
        topic = delivery.source.partition("/")[0]
        identity = self._settings.topics.get(topic)
        return Caller(identity.submitter, frozenset(identity.roles)) if identity else Caller(f"topic:{topic}")

    def _signed_roles(self, event: Event) -> frozenset[str]:
        # The door has held the caller's roles against `allow.submit`; its signature stands for that answer. Of an empty list only
        # admin passes, and of none everybody.
        automation = self._rules.catalog.automations.get(event.subject)
        allowed = automation.allow.submit if automation else ()
        return frozenset(allowed) if allowed else frozenset({ADMIN})


def _tell(run: Run, caller: Caller) -> None:
    if run.status.final:
        telemetry.ended(run.known_automation, run.status, 0, run.correlation_id)
    else:
        telemetry.step("run.accepted", automation=run.automation, run=run.correlation_id, by=caller.name)
