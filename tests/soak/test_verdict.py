"""The judge notices each kind of growth."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from tests.soak.chart import chart
from tests.soak.samples import MB, Sample, slope
from tests.soak.verdict import judge

FLAT = [
    Sample(
        at=10.0 * number,
        rss=200 * MB,
        handles=80,
        threads=7,
        file=50 * MB,
        log=5 * MB,
        used=50 * MB,
        index=0,
        runs=100,
        p99=20,
        rate=100,
        load=1,
    )
    for number in range(1, 21)
]


def grown(name: str, step: int) -> list[Sample]:
    return [replace(each, **{name: getattr(each, name) + step * number}) for number, each in enumerate(FLAT)]


def test_what_is_flat_is_well() -> None:
    assert judge(FLAT, warm_up=60).wrong == ()


@pytest.mark.parametrize(
    ("name", "step", "said"),
    [("rss", MB, "memory grows by 60.0 MB"), ("handles", 2, "file handles"), ("threads", 1, "threads"), ("used", MB, "the database")],
)
def test_what_grows_is_named(name: str, step: int, said: str) -> None:
    (wrong,) = judge(grown(name, step), warm_up=60).wrong
    assert said in wrong


def test_what_grows_while_it_warms_up_is_well() -> None:
    cold = [replace(each, rss=number * MB) for number, each in enumerate(FLAT[:6])]
    assert judge([*cold, *FLAT[6:]], warm_up=70).wrong == ()


def test_indexes_may_grow() -> None:
    assert judge([replace(each, used=each.used + each.index) for each in grown("index", MB)], warm_up=60).wrong == ()


def test_too_few_samples_are_told() -> None:
    with pytest.raises(ValueError, match="3 samples after a warm-up of 180 s are too few"):
        judge(FLAT, warm_up=180)


def test_the_slope_is_that_of_ten_minutes() -> None:
    assert slope(grown("handles", 2), lambda each: each.handles) == pytest.approx(120)


def test_the_chart_is_a_picture_of_all_samples() -> None:
    picture = ElementTree.fromstring(chart(FLAT, warm_up=60))  # noqa: S314 - our own picture
    lines = [each.attrib["points"].split() for each in picture.iter() if each.tag.endswith("polyline")]
    assert [len(points) for points in lines] == [6, 15] * 4
