"""RFC 7240: what a client prefers and a server may grant."""

from __future__ import annotations

import pytest

from bridge.api.preferences import preferences, wait


@pytest.mark.parametrize(
    ("lines", "seconds"),
    [
        (["wait=5"], 5),
        (["Wait=5"], 5),
        (["WAIT = 5"], 5),
        (['wait="5"'], 5),
        (["wait=0"], 0),
        (["wait=007"], 7),
        (["wait=99"], 60),
        ([f"wait={'9' * 900}"], 60),
        (["respond-async, wait=5"], 5),
        (["respond-async", "wait=5"], 5),
        (["return=minimal", "", "handling=lenient;a;b=c,wait=5;quality=low", "wait=6"], 5),
        (["wait=5, wait=6"], 5),
        (['note="a, wait=6", wait=5'], 5),
        (['note="a \\", wait=6", wait=5'], 5),
        (["unknown; with=parameters, wait=5"], 5),
        ([",, ,wait=5,"], 5),
    ],
)
def test_a_wait_is_found_among_all_lines_and_other_preferences(lines: list[str], seconds: float) -> None:
    assert wait(lines, 60) == seconds


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [""],
        ["respond-async"],
        ["await=5"],
        ["respond-async; wait=5"],
        ['note="wait=5"'],
        ["wait"],
        ["wait="],
        ["wait=soon"],
        ["wait=-5"],
        ["wait=2.5"],
        ["wait=\uff15"],
        ["wait=soon, wait=5"],
        ["wait=5" + " " * 2_000],
        ['"' * 999],
        ['"\\' * 499],
    ],
)
def test_where_no_whole_number_is_preferred_nothing_waits(lines: list[str]) -> None:
    assert wait(lines, 60) is None


def test_an_empty_value_is_none() -> None:
    assert preferences(['foo, bar="", BAZ=1']) == {"foo": "", "bar": "", "baz": "1"}
