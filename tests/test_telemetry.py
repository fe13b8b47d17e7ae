from __future__ import annotations

import itertools
import re
import types
from pathlib import Path

import pytest

from bridge import telemetry


@pytest.fixture
def lines(monkeypatch):
    written = []
    monkeypatch.setattr(telemetry, "step", lambda name, **fields: written.append((name, fields["source"], fields.get("others", 0))))
    monkeypatch.setattr(telemetry, "_retries", {})
    return written


def steps(name: str, automation: str) -> float:
    return telemetry.REGISTRY.get_sample_value("bridge_steps_total", {"step": name, "automation": automation}) or 0


def test_of_the_retries_of_one_source_one_a_second_is_told_with_the_number_of_the_others(lines, monkeypatch):
    clock = iter([0.0, 0.2, 0.4, 0.9, 1.1])
    monkeypatch.setattr(telemetry.time, "monotonic", lambda: next(clock))
    before = steps("retry", "")
    for source in ("requests", "requests", "results", "requests", "requests"):
        telemetry.retry(source, "id-1", "the store is away")
    assert lines == [("retry", "requests", 0), ("retry", "results", 0), ("retry", "requests", 2)]
    assert steps("retry", "") == before + 2


def test_a_step_is_counted_and_written_only_at_its_level(monkeypatch):
    written = []
    monkeypatch.setattr(telemetry, "_least", 30)
    monkeypatch.setattr(telemetry, "_log", types.SimpleNamespace(warning=lambda *_, **fields: written.append(fields)))
    before = steps("progress", "counted")
    telemetry.step("progress", automation="counted", run="r-1")
    telemetry.step("progress", automation="counted", run="r-2", level="warning")
    assert written == [{"step": "progress", "automation": "counted", "run": "r-2"}]
    assert steps("progress", "counted") == before + 2


def test_the_page_on_running_tells_what_every_step_means():
    page = (Path(__file__).parent.parent / "docs" / "running.md").read_text()
    table = page.partition("| step | level | meaning |")[2].partition("\n\n")[0]
    named = {name for row in table.splitlines() if row.count("|") > 3 for name in re.findall(r"`([a-z.]+)`", row.split("|")[1])}
    assert named == set(telemetry.SENTENCES)


def test_the_page_on_running_tells_what_to_do_about_every_reason_of_the_bridge():
    page = (Path(__file__).parent.parent / "docs" / "running.md").read_text()
    table = page.partition("| reason | what happened | what to do |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(telemetry.REASONS)


def test_what_seldom_happens_is_shown_as_zero_before_it_happens():
    telemetry.start_counting(["idle"], ["Failed", "TimedOut"])
    shown = {
        (each.name, each.labels.get("status") or each.labels.get("step")): each.value
        for family in telemetry.REGISTRY.collect()
        for each in family.samples
        if each.labels.get("automation") == "idle" and each.name.endswith("_total")
    }
    ends = {("bridge_runs_ended_total", status): 0 for status in ("Failed", "TimedOut")}
    assert shown == {**ends, **{("bridge_steps_total", step): 0 for step in ("run.repeated", "result.late", "sweep")}}


def test_a_percentile_of_run_times_is_off_by_three_times_at_most():
    telemetry.ended("timed", "Succeeded", 0.1, "r-1")
    samples = [each for family in telemetry.RUN_SECONDS.collect() for each in family.samples if each.labels.get("automation") == "timed"]
    bounds = [float(each.labels["le"]) for each in samples if "le" in each.labels][:-1]  # the last is +Inf
    assert (bounds[0], bounds[-1]) == (0.01, 1980)
    assert max(after / before for before, after in itertools.pairwise(bounds)) <= 3
    deadlines = [10, 20, 30, 60, 120, 300, 600, 1800]
    assert all(min(bound for bound in bounds if bound > deadline) <= 1.1 * deadline + 1e-9 for deadline in deadlines)


def test_the_end_of_a_run_of_the_canary_is_counted_apart():
    def counted():
        samples = (each for family in telemetry.REGISTRY.collect() for each in family.samples if each.name.startswith("bridge_canary_"))
        return {each.name: each.value for each in samples if each.labels.get("automation") == "apart" and "le" not in each.labels}

    telemetry.ended("apart", "Failed", 1.5, "r-1", submitter="somebody")
    assert counted() == {}
    telemetry.ended("apart", "Failed", 1.5, "r-2", submitter="canary")
    assert counted()["bridge_canary_run_seconds_sum"] == 1.5
    assert "bridge_canary_last_success_timestamp_seconds" not in counted()
    telemetry.ended("apart", "Succeeded", 0.5, "r-3", submitter="canary")
    assert counted()["bridge_canary_last_success_timestamp_seconds"] > 0
