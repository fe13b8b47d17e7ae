from __future__ import annotations

import pytest
import typer

from bridge.cli import edits
from bridge.client import Problem


def test_values_are_set_and_removed_at_their_places() -> None:
    edit = edits.read(["/data/region=west", "/data/count=5", "/a~1b=null", '/new/place="5"'], ["/expirytime", "/none"])
    event = {"expirytime": "x", "data": {"region": "east", "kept": [1]}}
    assert edit.apply(event) == {"data": {"region": "west", "kept": [1], "count": 5}, "a/b": None, "new": {"place": "5"}}
    assert event["expirytime"] == "x"


def test_no_edit_is_none() -> None:
    assert not edits.read([], [])


@pytest.mark.parametrize("words", [(["region=west"], []), (["/region"], []), ([], ["region"]), ([], ["/"]), ([], ["/a//b"]), (["=5"], [])])
def test_what_is_no_pointer_is_a_usage_error(words: tuple[list[str], list[str]]) -> None:
    with pytest.raises(typer.BadParameter):
        edits.read(*words)


@pytest.mark.parametrize("event", [None, "text", [1], {"data": "text"}])
def test_what_has_no_such_place_is_refused(event: object) -> None:
    with pytest.raises(Problem):
        edits.read(["/data/region=west"], []).apply(event)
