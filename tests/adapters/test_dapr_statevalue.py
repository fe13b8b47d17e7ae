"""What stands in a Dapr store is what was given, whatever the sidecar does to JSON."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.adapters.dapr import statevalue
from bridge.adapters.dapr.statevalue import Version


def through_the_sidecar(wrapped):
    """The sidecar reads JSON, numbers as floating point, and writes it anew."""
    return json.loads(json.dumps(wrapped), parse_int=float)


@given(st.binary() | st.text().map(str.encode), st.none() | st.integers(0, 2**53))
def test_a_value_and_its_end_come_back(value, ends):
    assert statevalue.unwrap(through_the_sidecar(statevalue.wrap(value, ends))) == (value, ends)


@pytest.mark.parametrize("stored", [{"a": 1}, 7, ["text"], ["text", 7], [["text"], "7"], {"base64": "%"}, None])
def test_what_others_have_stored_is_told_apart(stored):
    with pytest.raises(ValueError, match=r"."):
        statevalue.unwrap(stored)


@given(st.text(), st.none() | st.integers(0))
def test_an_etag_tells_its_version(etag, ends):
    assert Version.read(Version(etag, ends).text) == Version(etag, ends)


@pytest.mark.parametrize("made_up", ["", "1", "1~x", "1~-1"])
def test_an_etag_that_was_made_up_is_no_version(made_up):
    assert Version.read(made_up) is None


def test_a_value_has_ended_from_its_last_moment_on():
    version = Version("1", statevalue.end_of(timedelta(seconds=2), 100.0))
    assert not version.over(101.999)
    assert version.over(102.0)
    assert not Version("1").over(1e12)


def test_the_store_clears_away_after_the_end():
    assert statevalue.metadata(statevalue.end_of(timedelta(seconds=2), 100.0), 100.0, had_end=False) == {
        "ttlInSeconds": str(2 + statevalue.MARGIN)
    }


def test_a_value_that_shall_stay_loses_the_end_of_the_one_before():
    assert statevalue.metadata(None, 100.0, had_end=True) == {"ttlInSeconds": "-1"}
    assert statevalue.metadata(None, 100.0, had_end=False) == {}
