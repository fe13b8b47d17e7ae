"""Lists of runs: what fits, newest first, and pages that end early."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bridge import lifecycle
from bridge.auth import Caller
from bridge.index import PAGE, Entry, Index
from bridge.lifecycle import AttemptResult, Causation
from bridge.outcome import Succeeded
from bridge.run import Status
from bridge.runs import RunStore, runlist
from bridge.runs.runlist import RunFilter, RunList
from bridge.testing import FakeClock, MemoryBus, MemoryStore
from tests.core_kit import ALICE, BOB, ROOT, SECOND, a_run, moderate

DAY = timedelta(days=1)
EVERYTHING = RunFilter()


class Lists:
    """A store of runs, and lists of them."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = MemoryStore(self.clock)
        self.index = Index(self.store, self.clock, name="index", replica="a", keep=DAY)
        self.results = RunStore(self.store, MemoryBus(self.clock), self.index, self.clock)
        self.list = RunList(self.index, self.results)

    async def create(self, *ids: str, automation: str = "report") -> None:
        for each in ids:
            self.clock.advance(SECOND)
            now = self.clock.now()
            run = replace(a_run(correlationid=each), created_at=now, automation=automation)
            await self.results.create(run)

    async def end(self, correlation_id: str) -> None:
        cause = Causation("result", self.clock.now(), DAY)
        await self.results.change(correlation_id, lambda run: lifecycle.finish(run, "main", AttemptResult(-1, Succeeded.of(1)), cause))

    async def pages(self, wanted: RunFilter = EVERYTHING, caller: Caller = ROOT) -> AsyncIterator[list[str]]:
        cursor = ""
        while True:
            runs, cursor = await self.list.page(wanted, cursor, caller)
            yield [run.correlation_id for run in runs]
            if not cursor:
                return

    async def all(self, wanted: RunFilter = EVERYTHING, caller: Caller = ROOT) -> list[str]:
        return [each async for page in self.pages(wanted, caller) for each in page]


@pytest.fixture
def lists() -> Lists:
    return Lists()


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """No page has any time."""
    monkeypatch.setattr(runlist, "BUDGET", 0)


async def test_a_list_of_no_runs_is_empty(lists):
    assert await lists.list.page(RunFilter(), "", ROOT) == ([], "")


async def test_runs_are_listed_newest_first_page_by_page(lists):
    await lists.create("a", "b", "c")
    assert [page async for page in lists.pages(RunFilter(limit=2))] == [["c", "b"], ["a"]]


async def test_a_run_is_listed_as_it_stands(lists):
    await lists.create("a")
    await lists.end("a")
    (run,), _ = await lists.list.page(RunFilter(), "", ROOT)
    assert run.status is Status.SUCCEEDED


async def test_a_list_can_be_of_one_status_or_automation_or_time(lists):
    await lists.create("a", "b")
    await lists.create("c", automation="other")
    await lists.end("a")
    assert await lists.all(RunFilter(status=Status.SUCCEEDED)) == ["a"]
    assert await lists.all(RunFilter(automation="other")) == ["c"]
    assert await lists.all(RunFilter(since=lists.clock.now() - SECOND)) == ["c", "b"]
    assert await lists.all(RunFilter(status=Status.SUCCEEDED, automation="other")) == []


async def test_runs_of_other_automations_are_not_read(lists):
    await lists.create(*(f"r{number}" for number in range(20)))
    before = lists.store.calls["get"]
    assert await lists.all(RunFilter(automation="other")) == []
    assert lists.store.calls["get"] - before < 10


async def test_who_may_not_read_a_run_does_not_see_it(lists):
    await lists.create("a")
    assert (await lists.all(caller=ALICE), await lists.all(caller=BOB)) == (["a"], [])


async def test_what_was_never_created_is_not_shown(lists):
    await lists.create("a")
    await lists.index.add(Entry(created_at=lists.clock.now(), id="refused"))
    await lists.index.add(Entry(created_at=lists.clock.now() + SECOND, id="a"))
    assert await lists.all() == ["a"]


async def test_without_a_filter_a_page_is_full_however_long_it_takes(lists, hurried):
    await lists.create(*(f"r{number}" for number in range(2 * PAGE)))
    assert [len(page) async for page in lists.pages(RunFilter(limit=150))] == [150, 50]


async def test_a_filter_that_nothing_fits_ends_its_page_early_and_comes_to_the_end(lists, hurried):
    await lists.create(*(f"r{number}" for number in range(2 * PAGE)))
    pages = [page async for page in lists.pages(RunFilter(status=Status.CANCELED, limit=10))]
    assert len(pages) > 2
    assert not any(pages)


@moderate
@given(
    ended=st.lists(st.booleans(), max_size=40),
    wanted=st.sampled_from([None, Status.SUCCEEDED, Status.PENDING]),
    limit=st.integers(1, 7),
    budget=st.sampled_from([0.0, 60.0]),
)
def test_short_pages_show_every_run_that_fits_once(ended, wanted, limit, budget):
    async def check() -> None:
        lists = Lists()
        await lists.create(*(str(number) for number in range(len(ended))))
        for number, has_ended in enumerate(ended):
            if has_ended:
                await lists.end(str(number))
        fitting = [str(number) for number, has_ended in enumerate(ended) if wanted is None or has_ended is (wanted is Status.SUCCEEDED)]
        assert await lists.all(RunFilter(status=wanted, limit=limit)) == list(reversed(fitting))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runlist, "BUDGET", budget)
        asyncio.run(check())


@moderate
@given(at_first=st.integers(1, 20), later=st.integers(1, 5), limit=st.integers(1, 6))
def test_runs_that_come_meanwhile_neither_show_nor_disturb(at_first, later, limit):
    async def check() -> None:
        lists, seen, cursor = Lists(), [], ""
        await lists.create(*(str(number) for number in range(at_first)))
        while True:
            found, cursor = await lists.list.page(RunFilter(limit=limit), cursor, ROOT)
            seen += [run.correlation_id for run in found]
            if not cursor:
                break
            await lists.create(*(f"later-{len(seen)}-{number}" for number in range(later)))
        assert seen == [str(number) for number in reversed(range(at_first))]

    asyncio.run(check())


async def test_a_page_has_a_bounded_size_and_the_list_is_whole_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runlist, "PAGE_BYTES", 3_000)
    lists = Lists()
    for number in range(10):
        lists.clock.advance(SECOND)
        run = replace(a_run(correlationid=str(number), data={"text": "x" * 1_000}), created_at=lists.clock.now())
        await lists.results.create(run)
    pages = [page async for page in lists.pages()]
    assert [len(page) for page in pages] == [3, 3, 3, 1]
    assert [each for page in pages for each in page] == [str(number) for number in reversed(range(10))]
