"""Two bridges on Dapr, of two releases at the same time: one after the other is replaced, and replaced back, under load."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path

import pytest

from tests.chaos.on_dapr import on_dapr
from tests.chaos.rolling import rolling
from tests.chaos.storm import Plan, storm
from tests.dapr.machine import quick

# Clients that lost their connection leave its socket to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning", "ignore:unclosed:ResourceWarning"
)


async def test_upgrade_and_roll_back_of_one_bridge_after_the_other_lose_nothing(tmp_path: Path) -> None:
    plan = Plan(seconds=12, kills=5, seed=random.randrange(10**6), callers=10)
    came = await storm(plan, partial(rolling, tmp_path, partial(on_dapr, tmp_path, quick(tmp_path))))
    assert came.wrong == (), f"seed {plan.seed}"
    assert came.verdict.accepted > 50
