"""A bridge is replaced by one with another catalogue, other policies and settings, and that one by the first again, under load."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path

from bridge import catalog, resilience
from bridge.api.configuration import configuration
from bridge.client import ConfigurationView
from bridge.rollout import changes
from bridge.settings import Settings
from tests.chaos.place import embedded
from tests.chaos.rolling import Release, later, rolling
from tests.chaos.storm import Plan, storm


def configured(release: Release) -> ConfigurationView:
    return configuration(catalog.load(release.catalogue), resilience.load(release.policies), Settings())


def test_the_later_release_is_one_that_breaks_nothing_where_both_places_are_served(tmp_path: Path) -> None:
    found = changes(configured(Release()), configured(later(tmp_path)))
    assert {each.kind.name for each in found if each.breaks} == {"target-moved"}
    kinds = {each.kind.name for each in found}
    assert {"automation-added", "target-added", "deadline-longer", "attempts-more", "retries-more"} <= kinds


async def test_upgrade_and_roll_back_under_load_lose_nothing(tmp_path: Path) -> None:
    plan = Plan(seconds=10, kills=4, seed=random.randrange(10**6), callers=12)
    came = await storm(plan, partial(rolling, tmp_path, partial(embedded, tmp_path)))
    assert came.wrong == (), f"seed {plan.seed}"
    assert came.verdict.accepted > 50
