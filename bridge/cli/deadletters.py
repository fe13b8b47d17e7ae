"""Commands on dead letters: list, show, replay, discard."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from functools import partial
from typing import Annotated

import typer

from bridge.cli import edits, inputs, rates, replaying, session
from bridge.cli.edits import Edit
from bridge.cli.replaying import Choice
from bridge.cli.screen import Screen
from bridge.client import BridgeClient, DeadLetterQuery
from bridge.client.deadletterview import DeadLetterView, ReplayView
from bridge.client.errors import Problem

app = typer.Typer(help="Events that were refused or given up on (role admin).", no_args_is_help=True, rich_markup_mode=None)

Id = Annotated[str, typer.Argument(metavar="ID", help="The dead letter's id, from `bridge deadletters list`.")]
Reason = Annotated[str, typer.Option(metavar="REASON", help="Only those with this reason, such as GaveUp.")]
Automation = Annotated[str, typer.Option(metavar="NAME", help="Only those that name this automation.")]
Entity = Annotated[str, typer.Option(metavar="NAME", help="Only those of this queue, topic or topic/subscription.")]
Contains = Annotated[str, typer.Option("--text", metavar="TEXT", help="Only those that show this text somewhere.")]
Before = Annotated[str, typer.Option(metavar="TIME", help="Only those kept before: 2026-01-31T12:00:00Z, or 5m for 5 minutes ago.")]
Rate = Annotated[str, typer.Option(metavar="RATE", help="At most this many: 50/s, 600/min or 1000/h.")]
Most = Annotated[int | None, typer.Option("--limit", min=1, help="At most this many in all.")]


@app.command("list")
def list_dead_letters(  # noqa: PLR0913, PLR0917 - one a flag; typer passes them by name
    context: typer.Context,
    reason: Reason = "",
    automation: Automation = "",
    replayed: Annotated[
        bool | None, typer.Option("--replayed/--not-replayed", help="Only those whose event was replayed, or never was.")
    ] = None,
    entity: Entity = "",
    text: Contains = "",
    before: Before = "",
    limit: Annotated[int, typer.Option(min=1, help="At most this many.")] = 20,
) -> None:
    """List dead letters: those of the bridge, newest first, then those in the broker's dead-letter sub-queues."""
    moment = _moment(before)

    async def work(client: BridgeClient, screen: Screen) -> None:
        query = DeadLetterQuery(reason, automation, replayed, "", screen.as_json, entity, text, moment)
        missing = partial(replaying.tell_missing, screen)
        found = [dead_letter async for dead_letter in client.dead_letters(query, limit=limit + 1, missing=missing)]
        more, found = len(found) > limit, found[:limit]
        if screen.as_json:
            screen.json(found)
        elif found:
            columns = ("id", "reason", "kept", "correlation id", "source", "attempts", "replays", "detail")
            screen.table(columns, [_row(dead_letter) for dead_letter in found])
            if more:
                screen.note("There are more: --limit shows them; --entity, --reason and --text choose.")
        else:
            chosen = reason or automation or entity or text or before or replayed is not None
            screen.note("There are no such dead letters." if chosen else "There are no dead letters.")

    session.of(context).run(work)


@app.command()
def show(
    context: typer.Context,
    dead_letter_id: Id,
    event: Annotated[bool, typer.Option("--event", help="Print only the event, for editing and replaying.")] = False,
) -> None:
    """Show one dead letter with its event, its origin, and the results of its replays."""

    async def work(client: BridgeClient, screen: Screen) -> None:
        dead_letter = await client.dead_letter(dead_letter_id)
        if event:
            screen.raw(_event(dead_letter).encode() + b"\n")
        elif screen.as_json:
            screen.json(dead_letter)
        else:
            came_back = DeadLetterQuery(replay_of=dead_letter_id, with_event=False)
            replayed = dead_letter.get("replays") or dead_letter.get("replaying")
            children = [each async for each in client.dead_letters(came_back)] if replayed else []
            facts = _facts(dead_letter) | await _lineage(client, dead_letter, children)
            screen.card(dead_letter["id"], facts, dead_letter.get("event", dead_letter.get("body", "")))

    session.of(context).run(work)


@app.command()
def replay(  # noqa: PLR0913, PLR0917 - one a flag; typer passes them by name
    context: typer.Context,
    dead_letter_id: Annotated[str, typer.Argument(metavar="ID", show_default=False, help="The dead letter's id; or --all.")] = "",
    event: Annotated[str, typer.Option(metavar="FILE|-", help="Replay this edited event, from `show ID --event`, instead.")] = "",
    every: Annotated[
        bool, typer.Option("--all", help="Replay all that were never replayed, oldest first; the options below select.")
    ] = False,
    reason: Reason = "",
    automation: Automation = "",
    entity: Entity = "",
    text: Contains = "",
    rate: Rate = "50/s",
    limit: Most = None,
    again: Annotated[bool, typer.Option("--again", help="Also those that were replayed before, or came back from a replay.")] = False,
    before: Annotated[
        str, typer.Option(metavar="TIME", help="Only those kept, and last replayed, before: 2026-01-31T12:00:00Z, 5m ago.")
    ] = "",
    assignments: Annotated[
        list[str] | None, typer.Option("--set", metavar="POINTER=VALUE", help="Edit each event first: /data/region=west.")
    ] = None,
    remove: Annotated[
        list[str] | None, typer.Option("--remove", metavar="POINTER", help="Edit each event first: remove /expirytime.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many there are, and which subscriptions they reach.")] = False,
) -> None:
    """Publish the event of one dead letter, or of many, again to where it came from."""
    if bool(dead_letter_id) == every:
        raise typer.BadParameter("name one dead letter, or say --all." if not every else "name one dead letter or say --all, not both.")
    if every:
        choice = Choice(reason, automation, limit, rate, again, _moment(before), entity, text)
        _replay_all(context, event, choice, edits.read(assignments or (), remove or ()), dry_run=dry_run)
        return
    if any((reason, automation, entity, text, limit, again, before)):
        raise typer.BadParameter("--reason, --automation, --entity, --text, --limit, --again and --before choose among --all.")
    if dry_run or assignments or remove:
        raise typer.BadParameter("--set, --remove and --dry-run go with --all; --event edits one dead letter.")
    edited = inputs.build(event, []) if event else None

    async def work(client: BridgeClient, screen: Screen) -> None:
        reaches = (await client.dead_letter(dead_letter_id)).get("reaches")
        if reaches:
            screen.note(f"The copy reaches {', '.join(reaches)}.")
        dead_letter = (await client.replay(dead_letter_id, event=edited)).dead_letter
        if screen.as_json:
            screen.json(dead_letter)
        else:
            sent = dead_letter["replays"][-1]["messageId"]
            what = "the event" if edited is None else "the edited event"
            screen.line(
                f"{dead_letter_id}: {what} was published again as message {sent}. `bridge deadletters discard {dead_letter_id}` removes it."
            )

    session.of(context).run(work)


def _replay_all(context: typer.Context, event: str, choice: Choice, edit: Edit, *, dry_run: bool) -> None:
    if event:
        raise typer.BadParameter("--event is for one dead letter, not for --all; --set and --remove edit many.")
    pace = _pace(choice.rate)
    session.of(context).run(lambda client, screen: replaying.replay_all(client, screen, choice, pace, edit, dry_run=dry_run))


def _pace(rate: str) -> rates.Pace:
    try:
        return rates.Pace(rates.parse(rate))
    except ValueError as fault:
        raise typer.BadParameter(f"--rate: {fault}.") from None


def _moment(text: str) -> datetime | None:
    return inputs.moment(text, ago=True) if text else None


@app.command()
def discard(  # noqa: PLR0913, PLR0917 - one a flag; typer passes them by name
    context: typer.Context,
    dead_letter_id: Annotated[str, typer.Argument(metavar="ID", show_default=False, help="The dead letter's id; or --all.")] = "",
    every: Annotated[bool, typer.Option("--all", help="Discard all, oldest first; the options below select.")] = False,
    reason: Reason = "",
    automation: Automation = "",
    entity: Entity = "",
    text: Contains = "",
    before: Before = "",
    rate: Rate = "50/s",
    limit: Most = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Remove one dead letter, or many, permanently."""
    if bool(dead_letter_id) == every:
        raise typer.BadParameter("name one dead letter, or say --all." if not every else "name one dead letter or say --all, not both.")
    if every:
        choice, pace = Choice(reason, automation, limit, rate, False, _moment(before), entity, text, both=True), _pace(rate)
        session.of(context).run(
            lambda client, screen: replaying.discard_all(client, screen, choice, pace, lambda count: yes or _agreed(count))
        )
        return
    if any((reason, automation, entity, text, before, limit, yes)):
        raise typer.BadParameter("--reason, --automation, --entity, --text, --before, --limit and --yes go with --all.")

    async def work(client: BridgeClient, screen: Screen) -> None:
        await client.discard(dead_letter_id)
        if screen.as_json:
            screen.json({"discarded": dead_letter_id})
        else:
            screen.line(f"{dead_letter_id} was discarded.")

    session.of(context).run(work)


def _agreed(count: int) -> bool:
    """Whether the user confirms. Raises typer.BadParameter if there is no terminal to ask on."""
    if not sys.stdin.isatty():
        raise typer.BadParameter(f"{count:,} would be discarded for good; say --yes.")
    return typer.confirm(f"Discard {count:,} for good?", err=True)


def _row(dead_letter: DeadLetterView) -> tuple[str, ...]:
    names = ("id", "reason", "keptAt", "correlationId", "source", "attempts", "replays", "detail")
    shown = {**dead_letter, "keptAt": _time(dead_letter.get("keptAt", "")), "replays": len(dead_letter.get("replays", []))}
    return tuple(str(shown.get(name, ""))[:80] for name in names)


def _event(dead_letter: DeadLetterView) -> str:
    """The event in a form that can be edited: as JSON, or unchanged if it is not JSON."""
    return json.dumps(dead_letter["event"], indent=2, ensure_ascii=False) if "event" in dead_letter else str(dead_letter.get("body", ""))


def _facts(dead_letter: DeadLetterView) -> dict[str, str]:
    hidden = ("event", "body", "id", "replays", "replaying", "replayOf")
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in dead_letter.items() if name not in hidden}


async def _lineage(client: BridgeClient, dead_letter: DeadLetterView, children: list[DeadLetterView]) -> dict[str, str]:
    """The history of a dead letter: the one it came back from, its replays, the dead letters that came back from these, and its run."""
    lines = {"came back from": await _ancestors(client, dead_letter)}
    for number, made in enumerate(dead_letter.get("replays", []), 1):
        lines[f"replay {number}"] = _made(made)
    if "replaying" in dead_letter:
        lines["replaying"] = (
            f"{_made(dead_letter['replaying'])}; not confirmed, free again after {_time(dead_letter['replaying']['until'])}"
        )
    lines["came back as"] = ", ".join(f"{child['id']} ({child['reason']}, {_time(child['keptAt'])})" for child in children)
    lines["run"] = f"bridge get {dead_letter['correlationId']}" if dead_letter.get("correlationId") else ""
    return lines


async def _ancestors(client: BridgeClient, dead_letter: DeadLetterView) -> str:
    """The dead letters that this one came back from, nearest first."""
    found: list[str] = []
    while (parent := dead_letter.get("replayOf")) and len(found) < 20:
        found.append(parent)
        try:
            dead_letter = await client.dead_letter(parent)
        except Problem as gone:
            if gone.status != 404:
                raise
            found[-1] += " (gone)"
            break
    return ", which came back from ".join(found)


def _made(replayed: ReplayView) -> str:
    edited, unsure = ", edited" if replayed["edited"] else "", ", never confirmed" if replayed.get("unconfirmed") else ""
    return f"{_time(replayed['at'])} by {replayed['by']}{edited}{unsure}"


def _time(text: str) -> str:
    return text[:19].replace("T", " ")
