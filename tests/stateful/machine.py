"""Random sequences of everything that may happen to a bridge. Whatever the sequence: in the end every promise holds.

The bus, the store and the functions draw their faults from a seed, hypothesis draws what people, functions, brokers and time do. So a
failure comes down to the shortest story that shows it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

from hypothesis import seed as hypothesis_seed
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from pydantic_core import from_json

from bridge import events
from bridge.auth import LOCAL, Caller
from bridge.cloudevents import Event
from bridge.errors import AlreadyEnded, BridgeError, CallFailed, CorrelationConflict, NotFound, PortError
from bridge.ports import FunctionCall, FunctionResponse
from bridge.run import Run
from tests.contracts.harsh import CALM, REPEATING, STORM
from tests.harsh_kit import AUTOMATIONS, HarshWorld, succeed
from tests.observed import Published, Stored
from tests.promises import OWN, hold

STRANGER = Caller("stranger")
RESULTS: dict[str, dict[str, Any]] = {
    "success": {"status": "succeeded", "output": {"said": "by event"}},
    "nothing": {"status": "succeeded"},
    "busy": {"status": "failed", "error": {"code": "Busy", "retriable": True}},
    "failure": {"status": "failed", "error": {"code": "Broken", "message": "no"}},
    "progress": {"status": "running", "progress": {"percent": 40, "message": "on the way"}},
    "unreadable": {"status": "perhaps"},
}
#: What a function answers, each as often as it stands here.
ANSWERS: list[FunctionResponse | CallFailed | None] = [
    *[None] * 5,
    FunctionResponse(503, {}, b""),
    FunctionResponse(429, {"retry-after": "7"}, b""),
    FunctionResponse(422, {}, b""),
    FunctionResponse(202, {}, b""),
    CallFailed("ConnectionFailed", "It is away.", may_have_run=False),
    CallFailed("ConnectionLost", "It went away.", may_have_run=True),
]

picks = st.integers(0, 1000)
inputs = st.integers(0, 2)
seconds = st.sampled_from([0.5, 2, 10, 31, 75])


class Bridge(RuleBasedStateMachine):
    """One world from its start until nothing waits any more."""

    steps = 0  #: of all machines so far

    @initialize(
        seed=st.integers(0, 2**32),
        weather=st.sampled_from([STORM, REPEATING, CALM]),
        replicas=st.sampled_from([2, 1, 3]),
        outbox=st.booleans(),
        bare=st.booleans(),
    )
    def begin(self, seed: int, weather: Any, replicas: int, outbox: bool, bare: bool) -> None:
        self.runner = asyncio.Runner()
        self.world = HarshWorld(seed, weather, replicas, outbox)
        self.asked: list[tuple[str, int, str]] = []
        self.work: list[Event] = []
        self.accepted: list[dict[str, str]] = []
        self.world.work, self.world.answers = self._take, succeed if bare else self._answer
        self.do(self.world.open())

    def do(self, what: Coroutine[Any, Any, Any]) -> Any:
        type(self).steps += 1
        return self.runner.run(what)

    def _take(self, event: Event) -> list[Event]:
        self.work.append(event)
        return []

    def _answer(self, call: FunctionCall) -> FunctionResponse | CallFailed:
        answer = self.world.random.choice(ANSWERS)
        if isinstance(answer, FunctionResponse) and answer.status == 202:
            names = {"correlationid": "x-correlation-id", "id": "x-invocation-id", "invocationtoken": "x-invocation-token"}
            self.accepted.append({attribute: call.headers[header] for attribute, header in names.items()})
        return answer or succeed(call)

    # those who ask

    @rule(automation=st.sampled_from(AUTOMATIONS), n=inputs, within=st.none() | seconds)
    def asks(self, automation: str, n: int, within: float | None) -> None:
        correlation_id = f"run-{len(self.asked) + 1}"
        self.asked.append((automation, n, correlation_id))
        deadline = events.iso(self.world.clock.now() + timedelta(seconds=within)) if within else ""
        self.do(self.world.ask(automation, {"n": n}, correlation_id, deadline=deadline))

    @precondition(lambda self: self.asked)
    @rule(pick=picks, other=st.booleans())
    def asks_again(self, pick: int, other: bool) -> None:
        automation, n, correlation_id = self.asked[pick % len(self.asked)]
        wanted = {"n": n + 10 if other else n}
        stored = [each for each in self.world.journal.entries if isinstance(each, Stored) and each.key == f"run/{correlation_id}"]
        answer = self.do(self.world.ask(automation, wanted, correlation_id))
        if stored and answer is not None and not isinstance(answer, PortError):
            another = from_json(stored[-1].value)["input"] != wanted
            assert isinstance(answer, CorrelationConflict) is another, f"one correlation id, one run: {answer}"

    @rule(automation=st.sampled_from((*AUTOMATIONS, "unknown")), n=inputs, pick=picks, fits=st.booleans())
    def publishes_a_request(self, automation: str, n: int, pick: int, fits: bool) -> None:
        data = {"n": n} if fits else {"n": "text"}
        event = self.world.event("automation.requested", data, correlationid=f"bus-{pick % 5}", subject=automation)
        self.do(self.world.send("automation-requests", event))

    @rule(body=st.sampled_from([b"", b"[]", b"{}", b'{"specversion":"1.0","id":"x y","source":"/","type":"automation.requested"}']))
    def publishes_what_is_no_request(self, body: bytes) -> None:
        self.do(self.world.send("automation-requests", body))

    @precondition(lambda self: self.asked)
    @rule(pick=picks)
    def cancels(self, pick: int) -> None:
        answer = self.do(self.world.cancel(self.asked[pick % len(self.asked)][2]))
        assert answer is None or isinstance(answer, Run | AlreadyEnded | NotFound | PortError), answer

    @precondition(lambda self: self.asked)
    @rule(pick=picks)
    def is_a_stranger(self, pick: int) -> None:
        correlation_id = self.asked[pick % len(self.asked)][2]
        looked = self.do(self.world.call(lambda bridge: bridge.services.bridge.find(correlation_id, STRANGER)))
        canceled = self.do(self.world.cancel(correlation_id, STRANGER))
        assert not isinstance(looked, Run), f"promise 7: a stranger read {correlation_id}"
        assert canceled is None or isinstance(canceled, BridgeError), f"promise 7: a stranger canceled {correlation_id}"

    @precondition(lambda self: self.asked)
    @rule(pick=picks)
    def looks(self, pick: int) -> None:
        correlation_id = self.asked[pick % len(self.asked)][2]
        answer = self.do(self.world.call(lambda bridge: bridge.services.bridge.find(correlation_id, LOCAL)))
        assert answer is None or isinstance(answer, Run | NotFound | PortError), answer

    # those who work

    @precondition(lambda self: self.work or self.accepted)
    @rule(pick=picks, kind=st.sampled_from(sorted(RESULTS)), times=st.sampled_from([1, 1, 2]), forged=st.sampled_from([False, False, True]))
    def a_function_says(self, pick: int, kind: str, times: int, forged: bool) -> None:
        known = [*(event.attributes for event in self.work), *self.accepted]
        attributes = {"invocationtoken": "forged"} if forged else {}
        said = self.world.result(known[pick % len(known)], RESULTS[kind], **attributes)
        for _ in range(times):
            self.do(self.world.send("automation-results", said))

    @precondition(lambda self: self.work)
    @rule(pick=picks)
    def the_broker_gives_up(self, pick: int) -> None:
        event = self.work[pick % len(self.work)]
        why = {"DeadLetterReason": "MaxDeliveryCountExceeded", "deliveryCount": "3"}
        self.do(self.world.send("automation-deadletters", event, properties=why))

    @precondition(lambda self: self.asked)
    @rule(pick=picks)
    def a_function_reports_at_its_url(self, pick: int) -> None:
        known = [*(event.attributes for event in self.work), *self.accepted]
        if known:
            work = known[pick % len(known)]
            report = RESULTS["progress"] if pick % 2 else RESULTS["success"]
            token = "forged" if pick % 5 == 0 else work["invocationtoken"]
            self.do(self.world.call(lambda bridge: bridge.services.bridge.report(work["id"], token, report)))

    # time, the bus and the machines

    @rule(most=st.sampled_from([1000, 1, 20]))
    def the_bus_delivers(self, most: int) -> None:
        self.do(self.world.bus.deliver(most))

    @rule(span=seconds)
    def time_passes(self, span: float) -> None:
        self.world.clock.advance(timedelta(seconds=span))
        self.do(self.world.bus.deliver())

    @rule(place=picks)
    def a_process_ends(self, place: int) -> None:
        if self.world.running:
            self.world.crash(place)
        self.do(asyncio.sleep(0))

    @rule()
    def processes_start(self) -> None:
        self.do(self.world.revive())

    @rule()
    def a_sweep(self) -> None:
        self.do(self.world.sweep())

    @rule(topic=st.sampled_from(["work", "automation-replies"]))
    def a_topic_comes_or_goes(self, topic: str) -> None:
        self.world.bus.unknown_topics ^= {topic}

    @rule(pick=picks)
    def something_comes_once_more(self, pick: int) -> None:
        sent = [each.message for each in self.world.journal.entries if isinstance(each, Published) and each.message.topic in OWN]
        if sent:
            self.do(self.world.again(sent[pick % len(sent)]))

    def teardown(self) -> None:
        if not hasattr(self, "runner"):
            return
        try:
            self.do(self.world.settle())
            self.do(self.world.end_all())
            hold(self.world.journal)
        finally:
            self.runner.close()


def explore(stories: int, *, seed: int | None = None, longest: int = 50) -> None:
    """Tell so many stories of at most so many steps; without a seed always the same ones. Fails with the shortest that breaks a promise."""
    chosen = settings(max_examples=stories, stateful_step_count=longest, deadline=None, derandomize=seed is None, database=None)
    machine = Bridge if seed is None else hypothesis_seed(seed)(Bridge)
    run_state_machine_as_test(machine, settings=chosen)
