"""What the tests of the core share: automations, events and runs in short form, and strategies for JSON."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from bridge.auth import Caller
from bridge.catalog import Automation, Catalog, completion
from bridge.catalog.document import Allow
from bridge.catalog.target import BusTarget, HttpTarget, Target
from bridge.cloudevents import Event
from bridge.idempotency import idempotency_key
from bridge.intake import Rules, new_run
from bridge.run import Run
from bridge.testing import NOON

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)

#: How many examples a property of the core gets: enough to find what it is meant for, few enough for a tier of seconds.
moderate = settings(max_examples=60, deadline=None)

ALICE = Caller("alice", frozenset({"operators"}))
BOB = Caller("bob")
ROOT = Caller("root", frozenset({"admin"}))

json_scalars = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
)
json_values = st.recursive(
    json_scalars, lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=5), part, max_size=3), max_leaves=10
)


def http(name: str = "main", **options: Any) -> Target:
    return Target(name=name, http=HttpTarget(app="python-functions", path=f"/api/{name}", **options))


def topic(name: str = "main", attempts: int = 1) -> Target:
    return Target(name=name, topic=BusTarget(name="automation-powershell", attempts=attempts))


def automation(*targets: Target, name: str = "report", rule: str = "all", allow: Allow | None = None, **schema: Any) -> Automation:
    parts = targets or (http(),)
    return Automation(name, "", schema, 2 * MINUTE, completion.rule(rule, len(parts)), allow or Allow(), parts)


def rules(*known: Automation) -> Rules:
    return Rules(Catalog({each.name: each for each in known}), {"automation-replies", "team-replies"}, "automation-replies")


def event(data: Any = None, **attributes: str) -> Event:
    named = {"specversion": "1.0", "id": "order-1", "source": "/test", "type": "automation.requested", "subject": "report"}
    return Event({**named, **attributes}, data)


def a_run(*targets: Target, rule: str = "all", data: Any = None, caller: Caller = ALICE, **attributes: str) -> Run:
    """A pending run of two minutes."""
    asked, known = event(data, **attributes), automation(*targets, rule=rule)
    return new_run(asked, idempotency_key(asked, caller.name), known, rules(known), NOON)
