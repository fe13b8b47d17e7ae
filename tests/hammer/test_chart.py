"""The picture of what was found, and the report for programs."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from xml.etree import ElementTree

import pytest

from bridge.hammer import chart, report, search
from bridge.hammer.faults import Faults
from bridge.hammer.loadtest import LoadPlan
from bridge.hammer.report import HammerReport
from bridge.hammer.search import Goal, find
from bridge.hammer.simulation import RequestTally
from tests.hammer.measuring import measured_with

GOAL = Goal(0.999, timedelta(minutes=1))
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> HammerReport:
    monkeypatch.setattr(search, "_REQUESTS", 400)
    measured = measured_with(Faults(), 1)
    tried = RequestTally(ends=Counter(Succeeded=99, Failed=1), attempts=Counter({1: 80, 2: 20}), succeeded_after=Counter({1: 80, 2: 19}))
    return HammerReport("app", GOAL, measured, find(measured, GOAL), tried)


def drawn(found: HammerReport) -> ElementTree.Element:
    return ElementTree.fromstring(chart.svg(found))  # noqa: S314 - our own


def test_every_load_and_every_attempt_has_a_bar_within_the_picture(found: HammerReport) -> None:
    picture = drawn(found)
    rects = [each for each in picture.iter(f"{SVG}rect") if each.get("class") != "page"]
    assert found.found is not None
    loads, attempts = len(found.measured.steps), found.found.usual.most_attempts
    assert Counter(each.get("class") for each in rects)["answered"] == 2 + loads + attempts
    for each in rects:
        left, top, width, height = (float(each.get(name) or "nan") for name in ("x", "y", "width", "height"))
        assert 0 <= left <= left + width <= chart.WIDTH
        assert chart.TOP - 12 <= top + height <= chart.FLOOR + 0.1 or top == 36
        assert height >= 0


def test_the_loads_at_which_it_broke_are_marked(found: HammerReport) -> None:
    broken = sum(each.broken for each in found.measured.steps)
    assert broken > 0
    assert Counter(each.get("class") for each in drawn(found).iter(f"{SVG}rect"))["broken"] == broken + 1


def test_words_say_what_was_worked_out_and_tried(found: HammerReport) -> None:
    words = " ".join(each.text or "" for each in drawn(found).iter(f"{SVG}text"))
    assert "tried: 99 of 100" in words
    assert "app under rising load" in words


def test_without_a_policy_the_loads_are_drawn_all_the_same() -> None:
    silent = HammerReport("app", GOAL, measured_with(Faults(errors=1, hangs=0), 1, LoadPlan(5, 50)), None)
    assert "by attempts" not in chart.svg(silent)
    assert drawn(silent) is not None


def test_the_report_is_json_with_shares_and_seconds(found: HammerReport) -> None:
    told = json.loads(json.dumps(report.as_json(found)))
    assert (told["goal"], told["tried"]["share"], told["agrees"], told["good"]) == (
        {"share": 0.999, "deadline": 60.0},
        0.99,
        True,
        False,
    )
    assert told["bears"] < 50 < told["breaksAt"]
    assert sum(told["failing"]["codes"].values()) == round(told["failing"]["share"] * len(found.measured.usual))


def test_more_attempts_than_the_policy_allows_do_not_agree(found: HammerReport) -> None:
    assert found.tried is not None
    found.tried.attempts[99] += 1
    assert not found.agrees
