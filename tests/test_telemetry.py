from __future__ import annotations

import pytest

from bridge import telemetry


@pytest.fixture
def lines(monkeypatch):
    written = []
    monkeypatch.setattr(telemetry, "step", lambda name, **fields: written.append((name, fields["source"], fields.get("others", 0))))
    monkeypatch.setattr(telemetry, "_retries", {})
    return written


def test_of_the_retries_of_one_source_one_a_second_is_told_with_the_number_of_the_others(lines, monkeypatch):
    clock = iter([0.0, 0.2, 0.4, 0.9, 1.1])
    monkeypatch.setattr(telemetry.time, "monotonic", lambda: next(clock))
    before = telemetry.STEPS.labels("retry", "")._value.get()
    for source in ("requests", "requests", "results", "requests", "requests"):
        telemetry.retry(source, "id-1", "the store is away")
    assert lines == [("retry", "requests", 0), ("retry", "results", 0), ("retry", "requests", 2)]
    assert telemetry.STEPS.labels("retry", "")._value.get() == before + 2


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
