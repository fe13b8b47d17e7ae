from __future__ import annotations

from datetime import timedelta

import pytest

from bridge.local.functions import timespans


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("5", timedelta(days=5)),
        ("5:00:00:00", timedelta(days=5)),
        ("00:05:00", timedelta(minutes=5)),
        ("23:59", timedelta(hours=23, minutes=59)),
        ("25:00:00", timedelta(days=25)),
        ("1.02:03:04.5", timedelta(days=1, hours=2, minutes=3, seconds=4.5)),
        (" -00:00:30 ", timedelta(seconds=-30)),
    ],
)
def test_a_time_is_read_as_dotnet_reads_it(text: str, span: timedelta) -> None:
    assert timespans.parse(text) == span


@pytest.mark.parametrize("text", ["", "abc", "00:60:00", "1.2:3:4:5", "1.24:00:00", "99999999999", "1:2:3:4:5", "٣"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="it "):
        timespans.parse(text)
