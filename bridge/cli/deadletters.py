"""Commands on dead letters: list, show, replay, discard."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from bridge.cli import session
from bridge.cli.screen import Screen
from bridge.client import BridgeClient

app = typer.Typer(help="Events that led nowhere (role admin).", no_args_is_help=True, rich_markup_mode=None)

Id = Annotated[str, typer.Argument(metavar="ID", help="The dead letter's id, from `bridge deadletters list`.")]


@app.command("list")
def list_letters(context: typer.Context, limit: Annotated[int, typer.Option(min=1, help="So many at most.")] = 20) -> None:
    """List dead letters, newest first."""

    async def work(client: BridgeClient, screen: Screen) -> None:
        found = [letter async for letter in client.dead_letters(limit=limit)]
        if screen.as_json:
            screen.json(found)
        elif found:
            screen.table(("id", "reason", "kept", "correlation id", "source", "attempts", "detail"), [_row(letter) for letter in found])
        else:
            screen.note("There are no dead letters.")

    session.of(context).run(work)


@app.command()
def show(context: typer.Context, letter_id: Id) -> None:
    """Show one with the original event."""

    async def work(client: BridgeClient, screen: Screen) -> None:
        _show(screen, await client.dead_letter(letter_id))

    session.of(context).run(work)


@app.command()
def replay(context: typer.Context, letter_id: Id) -> None:
    """Publish the original event once more, where it came from."""

    async def work(client: BridgeClient, screen: Screen) -> None:
        answer = await client.replay(letter_id)
        if screen.as_json:
            screen.json(answer)
        else:
            screen.line(f"{letter_id} was published again. It stays here until `bridge deadletters discard {letter_id}`.")

    session.of(context).run(work)


@app.command()
def discard(context: typer.Context, letter_id: Id) -> None:
    """Remove one for good."""

    async def work(client: BridgeClient, screen: Screen) -> None:
        await client.discard(letter_id)
        if screen.as_json:
            screen.json({"discarded": letter_id})
        else:
            screen.line(f"{letter_id} was discarded.")

    session.of(context).run(work)


def _row(letter: dict[str, Any]) -> tuple[str, ...]:
    names = ("id", "reason", "keptAt", "correlationId", "source", "attempts", "detail")
    said = {**letter, "keptAt": str(letter.get("keptAt", ""))[:19].replace("T", " "), "detail": str(letter.get("detail", ""))[:80]}
    return tuple(str(said.get(name, "")) for name in names)


def _show(screen: Screen, letter: dict[str, Any]) -> None:
    if screen.as_json:
        screen.json(letter)
        return
    facts = {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in letter.items()
        if name not in ("event", "body", "id")
    }
    screen.card(letter["id"], facts, letter.get("event", letter.get("body", "")))
