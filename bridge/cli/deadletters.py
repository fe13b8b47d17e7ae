"""Commands on dead letters: list, show, replay, discard."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any

import typer

from bridge import rates
from bridge.answers import Problem
from bridge.cli import inputs, replaying, session
from bridge.cli.replaying import Choice
from bridge.cli.screen import Screen
from bridge.client import BridgeClient, LetterFilter

app = typer.Typer(help="Events that led nowhere (role admin).", no_args_is_help=True, rich_markup_mode=None)

Id = Annotated[str, typer.Argument(metavar="ID", help="The dead letter's id, from `bridge deadletters list`.")]
Reason = Annotated[str, typer.Option(metavar="REASON", help="Only those with this reason, such as GaveUp.")]
Automation = Annotated[str, typer.Option(metavar="NAME", help="Only those that name this automation.")]


@app.command("list")
def list_letters(
    context: typer.Context,
    reason: Reason = "",
    automation: Automation = "",
    replayed: Annotated[
        bool | None, typer.Option("--replayed/--not-replayed", help="Only those whose event was replayed, or never.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="So many at most.")] = 20,
) -> None:
    """List dead letters, newest first."""

    async def work(client: BridgeClient, screen: Screen) -> None:
        wanted = LetterFilter(reason, automation, replayed, with_event=screen.as_json)
        found = [letter async for letter in client.dead_letters(wanted, limit=limit)]
        if screen.as_json:
            screen.json(found)
        elif found:
            columns = ("id", "reason", "kept", "correlation id", "source", "attempts", "replays", "detail")
            screen.table(columns, [_row(letter) for letter in found])
        else:
            screen.note("There are no such dead letters." if reason or automation or replayed is not None else "There are no dead letters.")

    session.of(context).run(work)


@app.command()
def show(
    context: typer.Context,
    letter_id: Id,
    event: Annotated[bool, typer.Option("--event", help="Print nothing but the event, to be edited and replayed.")] = False,
) -> None:
    """Show one with the original event, where it came from and what came of its replays."""

    async def work(client: BridgeClient, screen: Screen) -> None:
        letter = await client.dead_letter(letter_id)
        if event:
            screen.raw(_event(letter).encode() + b"\n")
        elif screen.as_json:
            screen.json(letter)
        else:
            came_back = LetterFilter(replay_of=letter_id, with_event=False)
            children = [each async for each in client.dead_letters(came_back)] if letter.get("replays") or letter.get("replaying") else []
            screen.card(
                letter["id"], _facts(letter) | await _lineage(client, letter, children), letter.get("event", letter.get("body", ""))
            )

    session.of(context).run(work)


@app.command()
def replay(  # noqa: PLR0913, PLR0917 - one a flag; typer passes them by name
    context: typer.Context,
    letter_id: Annotated[str, typer.Argument(metavar="ID", show_default=False, help="The dead letter's id; or --all.")] = "",
    event: Annotated[str, typer.Option(metavar="FILE|-", help="Replay this edited event, from `show ID --event`, instead.")] = "",
    every: Annotated[
        bool, typer.Option("--all", help="Replay all that were never replayed, oldest first; the options below choose.")
    ] = False,
    reason: Reason = "",
    automation: Automation = "",
    rate: Annotated[str, typer.Option(metavar="RATE", help="So many at most: 50/s, 600/min or 1000/h.")] = "50/s",
    limit: Annotated[int | None, typer.Option(min=1, help="So many in all.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Also what was replayed before, or has come back from a replay.")] = False,
    before: Annotated[
        str, typer.Option(metavar="TIME", help="Only what was kept, and last replayed, before: 2026-01-31T12:00:00Z, 5m ago.")
    ] = "",
) -> None:
    """Publish the event once more, where it came from: of one dead letter, or of many."""
    if bool(letter_id) == every:
        raise typer.BadParameter("name one dead letter, or say --all." if not every else "name one dead letter or say --all, not both.")
    if every:
        _replay_all(context, event, Choice(reason, automation, limit, rate, again, _moment(before)))
        return
    if reason or automation or limit or again or before:
        raise typer.BadParameter("--reason, --automation, --limit, --again and --before choose among --all.")
    edited = inputs.build(event, []) if event else None

    async def work(client: BridgeClient, screen: Screen) -> None:
        letter = (await client.replay(letter_id, event=edited)).letter
        if screen.as_json:
            screen.json(letter)
        else:
            sent = letter["replays"][-1]["messageId"]
            what = "the event" if edited is None else "the edited event"
            screen.line(f"{letter_id}: {what} was published again as message {sent}. `bridge deadletters discard {letter_id}` removes it.")

    session.of(context).run(work)


def _replay_all(context: typer.Context, event: str, choice: Choice) -> None:
    if event:
        raise typer.BadParameter("--event is for one dead letter, not for --all.")
    try:
        pace = rates.Pace(rates.parse(choice.rate))
    except ValueError as fault:
        raise typer.BadParameter(f"--rate: {fault}.") from None
    session.of(context).run(lambda client, screen: replaying.replay_all(client, screen, choice, pace))


def _moment(text: str) -> datetime | None:
    return inputs.moment(text, ago=True) if text else None


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
    names = ("id", "reason", "keptAt", "correlationId", "source", "attempts", "replays", "detail")
    said = {**letter, "keptAt": _time(letter.get("keptAt", "")), "replays": len(letter.get("replays", []))}
    return tuple(str(said.get(name, ""))[:80] for name in names)


def _event(letter: dict[str, Any]) -> str:
    """The event as an editor takes it; what is no JSON as it came."""
    return json.dumps(letter["event"], indent=2, ensure_ascii=False) if "event" in letter else str(letter.get("body", ""))


def _facts(letter: dict[str, Any]) -> dict[str, str]:
    hidden = ("event", "body", "id", "replays", "replaying", "replayOf")
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in letter.items() if name not in hidden}


async def _lineage(client: BridgeClient, letter: dict[str, Any], children: list[dict[str, Any]]) -> dict[str, str]:
    """From the letter it came back from, over its replays, to those that came back from them, and to the run."""
    lines = {"came back from": await _ancestors(client, letter)}
    for number, made in enumerate(letter.get("replays", []), 1):
        lines[f"replay {number}"] = _made(made)
    if "replaying" in letter:
        lines["replaying"] = f"{_made(letter['replaying'])}; not confirmed, free again after {_time(letter['replaying']['until'])}"
    lines["came back as"] = ", ".join(f"{child['id']} ({child['reason']}, {_time(child['keptAt'])})" for child in children)
    lines["run"] = f"bridge get {letter['correlationId']}" if letter.get("correlationId") else ""
    return lines


async def _ancestors(client: BridgeClient, letter: dict[str, Any]) -> str:
    """The letters before this one, nearest first."""
    found: list[str] = []
    while (parent := letter.get("replayOf")) and len(found) < 20:
        found.append(parent)
        try:
            letter = await client.dead_letter(parent)
        except Problem as gone:
            if gone.status != 404:
                raise
            found[-1] += " (gone)"
            break
    return ", which came back from ".join(found)


def _made(replayed: dict[str, Any]) -> str:
    edited, unsure = ", edited" if replayed["edited"] else "", ", never confirmed" if replayed.get("unconfirmed") else ""
    return f"{_time(replayed['at'])} by {replayed['by']}{edited}{unsure}"


def _time(text: str) -> str:
    return text[:19].replace("T", " ")
