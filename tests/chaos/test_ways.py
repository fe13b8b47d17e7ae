"""How the processes of a storm are ended."""

from __future__ import annotations

import random

import pytest

from tests.chaos.storm import ways

ENDS = {"killed": 5, "stopped": 1, "cut": 1}


@pytest.mark.parametrize("seed", range(20))
def test_each_way_is_taken_if_there_is_room_and_no_way_twice_if_there_is_none(seed: int) -> None:
    assert set(ways(random.Random(seed), ENDS, 5)) == set(ENDS)
    assert len(set(ways(random.Random(seed), ENDS, 2))) == 2
    assert ways(random.Random(seed), ENDS, 0) == []
