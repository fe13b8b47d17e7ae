"""Measuring under rising load: what is called when, where it stops, and what is found. In virtual time."""

from __future__ import annotations

import pytest

from bridge.hammer.faults import Faults
from bridge.hammer.loadtest import LoadPlan
from bridge.hammer.measurement import LoadStep, MeasuredCall, Measurement, is_broken, quantile, upper, useless
from tests.hammer.measuring import measured_with

SOUND = Faults(errors=0, hangs=0, breaks_at=None)


def test_the_rate_doubles_to_the_last_one_that_is_allowed() -> None:
    measured = measured_with(SOUND, 1, LoadPlan(seconds=60, most=5000, first=5, last=80))
    assert [each.rate for each in measured.steps] == [5, 10, 20, 40, 80]
    assert (measured.highest_sound, measured.lowest_broken, measured.recovery) == (80, None, None)


def test_it_closes_in_on_the_rate_at_which_the_function_breaks_and_sees_it_recover() -> None:
    measured = measured_with(Faults(breaks_at=30), 1)
    assert [round(each.rate) for each in measured.steps] == [5, 10, 20, 40, 28, 34]
    assert [each.broken for each in measured.steps] == [False, False, False, True, False, True]
    assert measured.recovery is not None
    assert measured.recovery >= 0.9


@pytest.mark.parametrize("most", [50, 333])
def test_no_more_calls_are_made_than_are_allowed(most: int) -> None:
    measured = measured_with(SOUND, 1, LoadPlan(seconds=60, most=most))
    assert sum(len(each.calls) for each in measured.steps) == most


def test_no_step_begins_after_the_time_is_over() -> None:
    measured = measured_with(SOUND, 1, LoadPlan(seconds=5, most=5000, last=1000))
    assert [each.rate for each in measured.steps] == [5, 10, 20, 40]


def test_hung_calls_are_counted_once_they_took_all_patience() -> None:
    measured = measured_with(Faults(errors=0, hangs=0.3, breaks_at=None), 1, LoadPlan(seconds=20, most=300, last=20))
    hung = [each for each in measured.usual if each.hung]
    assert hung
    assert {round(each.seconds, 6) for each in hung} == {5.0}
    assert measured.codes == {"Timeout": len(hung)}


@pytest.mark.parametrize(
    ("faults", "why"),
    [
        (Faults(errors=1, hangs=0, breaks_at=None), "with Http503: does it work when it is called once?"),
        (Faults(errors=0, hangs=1, breaks_at=None), "with Timeout: raise --patience"),
    ],
)
def test_a_function_that_fails_from_the_first_call_is_not_called_any_harder(faults: Faults, why: str) -> None:
    measured = measured_with(faults, 1)
    assert [each.rate for each in measured.steps] == [5]
    assert measured.stopped.endswith(why)
    assert measured_with(Faults(errors=0.6), 1).stopped == ""


@pytest.mark.parametrize(("code", "hint"), [("Http401", "is --key-env right?"), ("Http404", "is the path of --function right?")])
def test_what_is_probably_wrong_is_said_by_the_code_of_most_failures(code: str, hint: str) -> None:
    failed, answered = MeasuredCall(0.05, code, int(code[4:])), MeasuredCall(0.05)
    assert useless(LoadStep(5, [failed] * 17 + [answered] * 3)) == f"at 5/s 17 of 20 calls failed, 17 of them with {code}: {hint}"
    assert useless(LoadStep(5, [failed] * 16 + [answered] * 4)) == ""


def test_every_step_is_told_in_its_order() -> None:
    seen: list[LoadStep] = []
    assert list(measured_with(SOUND, 1, LoadPlan(seconds=10, most=500, last=40), seen).steps) == seen


def test_a_function_that_gets_slow_is_broken_too() -> None:
    quick, slow = (LoadStep(5, [MeasuredCall(seconds)] * 50) for seconds in (0.05, 0.5))
    assert is_broken(slow, 0, [quick])
    assert not is_broken(quick, 0, [quick])


def test_failures_that_chance_explains_do_not_make_a_function_broken() -> None:
    failed = MeasuredCall(0.05, "Http503", 503)
    usual = LoadStep(5, [MeasuredCall(0.05)] * 32 + [failed] * 8)
    assert not is_broken(LoadStep(10, [MeasuredCall(0.05)] * 20 + [failed] * 8), 0, [usual])
    assert is_broken(LoadStep(10, [MeasuredCall(0.05)] * 20 + [failed] * 20), 0, [usual])
    assert is_broken(LoadStep(10, [MeasuredCall(0.05)] * 20), 20, [usual])


@pytest.mark.parametrize(("share", "number", "bound"), [(0.2, 100, 0.274), (0.2, 10_000, 0.2067), (0, 50, 0.051), (1, 50, 1)])
def test_the_upper_bound_of_a_share_is_that_of_wilson(share: float, number: int, bound: float) -> None:
    assert upper(share, number) == pytest.approx(bound, abs=0.001)


def test_quantiles_are_values_that_were_measured() -> None:
    assert [quantile([1, 2, 3, 4], share) for share in (0, 0.5, 0.99, 1)] == [1, 3, 4, 4]
    assert quantile([], 0.5) == 0


def test_nothing_measured_leaves_all_open() -> None:
    nothing = Measurement(())
    assert (nothing.highest_sound, nothing.failing, nothing.failing_at_most, nothing.times) == (0, 0, 1, [])
