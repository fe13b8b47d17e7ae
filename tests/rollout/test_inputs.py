"""How many changes of one input are told one by one."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from bridge.rollout import inputs


def texts(count: int, longest: int) -> dict[str, Any]:
    return {"type": "object", "properties": {f"p{number}": {"type": "string", "maxLength": longest} for number in range(count)}}


@pytest.mark.parametrize(("before", "after", "kind"), [(9, 3, "input-narrowed"), (3, 9, "input-widened")])
def test_many_places_are_told_by_the_first_five_and_the_number_of_the_rest(before: int, after: int, kind: str) -> None:
    found = list(inputs.changes("one", texts(8, before), texts(8, after)))
    assert [each.kind.name for each in found] == [kind] * 5
    assert [each.message.endswith("; and 3 more") for each in found] == [False] * 4 + [True]


def test_five_places_are_all_there_are() -> None:
    found = list(inputs.changes("one", texts(5, 9), texts(5, 3)))
    assert len(found) == 5
    assert not any("more" in each.message for each in found)


def test_each_kind_has_its_own_five() -> None:
    """What cannot be judged does not hide what breaks."""
    before, after = texts(14, 9), texts(14, 9)
    for number, schema in enumerate(after["properties"].values()):
        schema.update({"format": "our-own"} if number < 7 else {"maxLength": 3})
    found = Counter(each.kind.name for each in inputs.changes("one", before, after))
    assert found == {"input-unjudged": 5, "input-narrowed": 5}
