from __future__ import annotations

from tests.cli.commands import bridge
from tests.scripted_api import ScriptedApi


def test_one_automation_is_shown_with_its_schema_and_how_to_ask(api: ScriptedApi) -> None:
    shown = bridge("automations", "works").stdout
    assert "ask: bridge submit works host=…" in shown
    assert '"required"' in shown


def test_automations_are_listed_with_where_they_run(api: ScriptedApi) -> None:
    assert "here (python-functions)" in bridge("automations").stdout
