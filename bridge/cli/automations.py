"""The command `bridge automations`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from bridge.cli import session
from bridge.cli.screen import Screen
from bridge.client import AutomationView, BridgeClient


def automations(
    context: typer.Context, name: Annotated[str, typer.Argument(metavar="[NAME]", help="Show this one with its schema.")] = ""
) -> None:
    """Show the automations that you can request."""

    async def work(client: BridgeClient, screen: Screen) -> None:
        if name:
            _show(screen, await client.automation(name))
            return
        found = await client.automations()
        if screen.as_json:
            screen.json(found)
            return
        rows = [(each["name"], each.get("description", ""), each.get("deadline", ""), _targets(each)) for each in found]
        screen.table(("name", "description", "deadline", "runs on"), rows)

    session.of(context).run(work)


def _show(screen: Screen, found: AutomationView) -> None:
    if screen.as_json:
        screen.json(found)
        return
    facts = {
        "description": found.get("description", ""),
        "deadline": found.get("deadline", ""),
        "succeeds when": found.get("succeedsWhen", ""),
        "runs on": _targets(found),
    }
    schema = found.get("input", {})
    facts["ask"] = f"bridge submit {found['name']} {' '.join(f'{key}=…' for key in schema.get('required', []))}".strip()
    screen.card(found["name"], facts, json.dumps(schema, indent=2, ensure_ascii=False))


def _targets(found: AutomationView) -> str:
    return ", ".join(_target(target, found.get("unserved", {})) for target in found.get("targets", []))


def _target(target: dict[str, Any], unserved: Mapping[str, str]) -> str:
    place = target.get("http", {}).get("app") or (target.get("topic") or target.get("queue", {})).get("name", "")
    nobody = f"; nobody serves it: {unserved[target['name']]}" if target["name"] in unserved else ""
    return f"{target['name']} ({place}{nobody})"
