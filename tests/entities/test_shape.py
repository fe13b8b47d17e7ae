from __future__ import annotations

from datetime import timedelta

import pytest

from tests.entities.entities_kit import load, problems, topic


def test_durations_are_read_as_iso_8601(tmp_path):
    properties = {"LockDuration": "PT1M30S", "DefaultMessageTimeToLive": "P1DT2H"}
    delivery = load(tmp_path, topic(Properties=properties)).topics[0].subscriptions[0].properties
    assert (delivery.lock_duration, delivery.default_message_time_to_live) == (timedelta(seconds=90), timedelta(hours=26))


@pytest.mark.parametrize("text", ["1m", "P", "PT", "P1DT", "60", 60, "PT0S", None])
def test_another_form_of_a_duration_is_refused(tmp_path, text):
    (problem,) = problems(tmp_path, topic(Properties={"LockDuration": text}))
    assert "Topics[0].Subscriptions[0].Properties.LockDuration: " in problem


@pytest.mark.parametrize("text", ["P" + "9" * 400 + "D", "P9999999999D", "PT" + "9" * 5_000 + ".5S", "P1000000000D"])
def test_a_duration_beyond_time_is_a_problem_in_words(tmp_path, text):
    (problem,) = problems(tmp_path, topic(Properties={"LockDuration": text}))
    assert "is longer than time itself" in problem
    assert len(problem) < 500
