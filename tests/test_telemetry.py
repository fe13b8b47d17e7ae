from __future__ import annotations

import pytest

from bridge import telemetry


def line(**fields: object) -> str:
    entry = {"timestamp": "2026-01-31T12:00:00Z", "level": "info", "event": "called the function", "step": "attempt.started"}
    return telemetry._line(None, "info", {**entry, **fields})


def test_a_line_is_the_sentence_of_its_step_with_its_ids():
    expected = "2026-01-31T12:00:00Z info    order-4711  called the function (attempt.started) target=inspect attempt=1"
    assert line(run="order-4711", target="inspect", attempt=1) == expected


@pytest.mark.parametrize("field", ["run", "detail"])
def test_no_value_can_begin_a_line_or_command_a_terminal(field):
    shown = line(**{field: "a\n2026 forged\r\x1b[2J\u202e\x85ü"})
    assert shown.isprintable()
    assert r"a\n2026 forged\r\x1b[2J\u202e\x85ü" in shown
