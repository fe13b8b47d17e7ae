"""Two bridges on Redis while bridges, sidecars and Redis itself are killed under load (docs/reliability.md)."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path

from tests.chaos.on_dapr import ENDS, on_dapr
from tests.chaos.storm import Plan, storm
from tests.dapr.machine import quick


async def test_what_was_accepted_ends_once_and_is_replied_to_whatever_is_killed(tmp_path: Path) -> None:
    plan = Plan(seconds=15, kills=len(ENDS), seed=random.randrange(10**6), callers=12)
    came = await storm(plan, partial(on_dapr, tmp_path, quick(tmp_path)))
    assert came.wrong == (), f"python -m tests.chaos --runtime dapr --seconds 15 --kills {plan.kills} --seed {plan.seed}"
    assert came.verdict.accepted > 50
