"""One round of the canary: every case over HTTP, and every case over the bus."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from bridge.canary.plan import CanaryCase
from bridge.client import BridgeClient, Problem, Unreachable
from bridge.errors import PortError
from bridge.ports import ReceivedReply, Requester

PREFIX = "canary-"  #: what all correlation ids begin with, so that a subscription can be for these replies alone
_SHOWN = 200  #: characters of a value in a reason


@dataclass(frozen=True, slots=True)
class CanaryVerdict:
    """The result of one case over `http` or `bus`. `why` is empty if everything was as expected."""

    automation: str
    way: str
    seconds: float
    why: str = ""


async def rounds_of(cases: Sequence[CanaryCase], client: BridgeClient, requester: Requester | None) -> list[CanaryVerdict]:
    """The verdicts of one round. Without a requester, only those over HTTP."""
    over_http = asyncio.gather(*(_over_http(case, client) for case in cases))
    over_bus = _over_bus(cases, requester) if requester is not None else _nothing()
    return [each for verdicts in await asyncio.gather(over_http, over_bus) for each in verdicts]


async def _nothing() -> list[CanaryVerdict]:
    return []


async def _over_http(case: CanaryCase, client: BridgeClient) -> CanaryVerdict:
    began = time.monotonic()
    try:
        async with asyncio.timeout(case.within.total_seconds() + 5):
            run = await client.submit(
                case.automation, case.input, correlation_id=f"{PREFIX}{uuid4()}", wait=max(case.within.total_seconds(), 1)
            )
    except (Problem, Unreachable, TimeoutError) as fault:
        return CanaryVerdict(case.automation, "http", _since(began), str(fault) or "the bridge does not answer")
    seconds = _since(began)
    return CanaryVerdict(case.automation, "http", seconds, judged(case, run, seconds))


async def _over_bus(cases: Sequence[CanaryCase], requester: Requester) -> list[CanaryVerdict]:
    asked = {f"{PREFIX}{uuid4()}": case for case in cases}
    patience = max(case.within.total_seconds() for case in cases)
    began = time.monotonic()
    try:
        answers = await requester.ask({name: _event(name, case) for name, case in asked.items()}, patience)
    except PortError as fault:
        return [CanaryVerdict(case.automation, "bus", _since(began), fault.detail) for case in cases]
    return [_replied(case, answers.get(name), patience) for name, case in asked.items()]


def _replied(case: CanaryCase, answer: ReceivedReply | None, patience: float) -> CanaryVerdict:
    if answer is None:
        return CanaryVerdict(case.automation, "bus", patience, f"no reply came within {patience:g} s")
    run = answer.event.get("data")
    why = judged(case, run, answer.seconds) if isinstance(run, Mapping) else f"the reply has no run: {_short(answer.event)}"
    return CanaryVerdict(case.automation, "bus", answer.seconds, why)


def judged(case: CanaryCase, run: Mapping[str, Any], seconds: float) -> str:
    """Why a run is not as the case expects; empty if it is."""
    if run.get("status") != "Succeeded":
        error = run.get("error") or {}
        return f"{run.get('status')}: {error.get('code', '')} {error.get('message', '')}".strip().removesuffix(":")
    if not case.any_output and run.get("output") != case.output:
        return f"the output is {_short(run.get('output'))}, and not {_short(case.output)}"
    if seconds > case.within.total_seconds():
        return f"took {seconds:.1f} s, more than {case.within.total_seconds():g} s"
    return ""


def _event(correlation_id: str, case: CanaryCase) -> dict[str, Any]:
    """`automation.requested`, in CloudEvents' JSON format."""
    return {
        "specversion": "1.0",
        "id": correlation_id,
        "source": "/canary",
        "type": "automation.requested",
        "subject": case.automation,
        "correlationid": correlation_id,
        "data": case.input,
    }


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _since(began: float) -> float:
    return time.monotonic() - began
