from __future__ import annotations

import pytest

from bridge.errors import ConfigurationError
from bridge.local import daprd
from tests.benchmarks.measure import Plan, measure
from tests.benchmarks.rows import named

PLAN = Plan(requests=1, repeats=1, warm_up=1, seconds=0)


@pytest.mark.parametrize("name", ["dapr-get", "dapr-bare-wait"])
async def test_without_redis_a_row_on_dapr_says_so(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    figures = await measure(named(name)[0], PLAN, lambda _: None)
    assert (figures.rates, figures.skipped.partition(";")[0]) == ((), "redis-server is not on PATH")


async def test_without_daprd_a_row_on_dapr_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(_: object) -> None:
        raise ConfigurationError(["daprd is not on this machine. `make dapr` builds it"])

    monkeypatch.setattr(daprd, "find", nowhere)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    assert "make dapr" in (await measure(named("dapr-get")[0], PLAN, lambda _: None)).skipped


def test_the_floor_of_the_bridge_on_dapr_is_the_bare_handler_at_the_same_doors() -> None:
    assert [row.floor for row in named("dapr") if row.floor] == ["dapr-bare-get", "dapr-bare-wait"]
