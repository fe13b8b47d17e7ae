from __future__ import annotations

from datetime import timedelta

import pytest

from bridge import durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("250ms", 0.25),
        ("2m", 120),
        ("1m30s", 90),
        ("7d", 604_800),
        ("1.5h", 5_400),
        ("0", 0),
        ("PT30S", 30),
        ("P1DT1H", 90_000),
    ],
)
def test_a_written_duration_is_read(text: str, seconds: float) -> None:
    assert durations.parse(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "5x", "s", "-3s", "1m 30s", "5 s", None, 5, "P", "PT5", "-PT5S", "PT-5S"])
def test_anything_else_is_refused_with_the_accepted_form(text: object) -> None:
    with pytest.raises(ValueError, match="is not a duration; write it like"):
        durations.parse(text)


@pytest.mark.parametrize("text", ["30s", "250ms", "2m", "1m30s", "7d", "1h30m", "0s"])
def test_showing_a_duration_gives_the_form_it_was_written_in(text: str) -> None:
    assert durations.show(durations.parse(text if text != "0s" else "0")) == text
