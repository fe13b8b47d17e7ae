from __future__ import annotations

import pytest

from bridge.cloudevents.tracecontext import LONGEST, forwarded

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    "traceparent",
    [
        PARENT,
        f"00-{TRACE}-{SPAN}-ff",
        f"01-{TRACE}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like",
        f"fe-{TRACE}-{SPAN}-00-",
    ],
)
def test_a_valid_traceparent_goes_on_as_it_came_a_later_version_too(traceparent: str) -> None:
    assert forwarded(traceparent, "") == (traceparent, "")


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        "x",
        PARENT.upper(),
        PARENT + "\n",
        PARENT[:-1],
        PARENT + "-more",
        PARENT + ".",
        f"ff-{TRACE}-{SPAN}-01",
        f"0-{TRACE}-{SPAN}-01",
        f"000-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"cc-{'0' * 32}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01.what",
        f"cc-{TRACE}-{SPAN}-01-with space",
        f"cc-{TRACE}-{SPAN}-01-{'x' * 5_000}",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}0-01",
    ],
)
def test_without_a_valid_traceparent_there_is_no_trace_context(traceparent: str) -> None:
    assert forwarded(traceparent, "a=1") == ("", "")


@pytest.mark.parametrize(
    ("tracestate", "goes_on"),
    [
        ("a=1", "a=1"),
        ("a=1,b=2,c=3", "a=1,b=2,c=3"),
        (" a=1 ,\tb=2,, ,c=3", "a=1,b=2,c=3"),
        ("", ""),
        (" , ,", ""),
        ("0a@b/c*d_e-f=x y~!", "0a@b/c*d_e-f=x y~!"),
        (",".join(f"k{number}=v" for number in range(32)), ",".join(f"k{number}=v" for number in range(32))),
    ],
)
def test_the_members_of_a_tracestate_go_on_in_their_order(tracestate: str, goes_on: str) -> None:
    assert forwarded(PARENT, tracestate) == (PARENT, goes_on)


@pytest.mark.parametrize(
    "tracestate",
    ["a", "a=", "=1", "A=1", "a=1,b", "a b=1", "a=1=2", "a=\x00", "a=ü", f"{'k' * 257}=1", f"a={'v' * 257}", ",".join(["k=v"] * 33)],
)
def test_an_invalid_tracestate_is_left_out_and_its_traceparent_is_not(tracestate: str) -> None:
    assert forwarded(PARENT, tracestate) == (PARENT, "")


def test_a_tracestate_that_is_too_long_loses_whole_members_large_ones_first_and_then_the_last() -> None:
    large, small = f"large={'x' * 200}", [f"k{number}={'v' * 30}" for number in range(16)]
    _, goes_on = forwarded(PARENT, ",".join([small[0], large, *small[1:]]))
    members = goes_on.split(",")
    assert len(goes_on) <= LONGEST < len(goes_on) + len(small[0]) + 1
    assert members == small[: len(members)]
