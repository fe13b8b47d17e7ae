"""Two bridges on Dapr while bridges, sidecars, bus and store are killed under load (docs/reliability.md)."""

from __future__ import annotations

import gc
import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.chaos.on_dapr import ENDS, on_dapr
from tests.chaos.on_servicebus import ENDS as ON_SERVICEBUS
from tests.chaos.on_servicebus import on_servicebus
from tests.chaos.storm import Plan, storm
from tests.dapr.machine import quick

# Clients that lost their connection leave its socket to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning", "ignore:unclosed:ResourceWarning"
)


@pytest.fixture(autouse=True)
def lost_connections_are_collected_here() -> Iterator[None]:
    """And not during another test, which would fail for them."""
    yield
    gc.collect()


async def test_what_was_accepted_ends_once_and_is_replied_to_whatever_is_killed(tmp_path: Path) -> None:
    plan = Plan(seconds=15, kills=len(ENDS), seed=random.randrange(10**6), callers=12)
    came = await storm(plan, partial(on_dapr, tmp_path, quick(tmp_path)))
    assert came.wrong == (), f"python -m tests.chaos --runtime dapr --seconds 15 --kills {plan.kills} --seed {plan.seed}"
    assert came.verdict.accepted > 50


async def test_the_same_holds_on_service_bus(tmp_path: Path) -> None:
    """With a functions host, and with readers of replies that are clients of the namespace."""
    plan = Plan(seconds=15, kills=len(ON_SERVICEBUS), seed=random.randrange(10**6), callers=12)
    came = await storm(plan, partial(on_servicebus, tmp_path))
    assert came.wrong == (), f"python -m tests.chaos --runtime dapr-servicebus --seconds 15 --kills {plan.kills} --seed {plan.seed}"
    assert came.ends.keys() == ON_SERVICEBUS.keys()
    assert came.verdict.accepted > 50
