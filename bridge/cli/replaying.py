"""Replays or discards many dead letters at a given rate. It can be stopped and continued, and replays no event twice."""

from __future__ import annotations

import asyncio
import shlex
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bridge.cli.edits import Edit
from bridge.cli.exits import Exit
from bridge.cli.rates import Pace
from bridge.cli.screen import Screen
from bridge.client import BridgeClient, DeadLetterQuery
from bridge.client.deadletterview import DeadLetterView, MissingView
from bridge.client.errors import Problem, Unreachable

AT_ONCE = 32  #: replays under way at a time
#: Seconds between tries while the bridge has no room or does not answer; a replay that is asked for twice is made once.
PAUSES = (0.5, 1, 2, 4)
_ALL = 10**9
_KINDS = 10  #: kinds of dead letters that are counted before anything is done to them
_NOT_NOW = frozenset({"BeingReplayed", "ChangedMeanwhile", "NotFound"})  #: somebody else is replaying the dead letter, or has discarded it
_FOR_ALL = frozenset({401, 403, 421})  #: refusals that every other dead letter would meet, too


@dataclass(frozen=True)
class Choice:
    """Which dead letters to take, how many, and how fast (`rate` as the user wrote it)."""

    reason: str = ""
    automation: str = ""
    limit: int | None = None
    rate: str = "50/s"
    again: bool = False
    before: datetime | None = None
    entity: str = ""
    text: str = ""
    both: bool = False  #: also what a replay brought back, beside the one that it came back from

    def query(self, *, replayed: bool | None) -> DeadLetterQuery:
        """The parameters for the bridge. The time of the last replay is checked afterwards, in the answer."""
        return DeadLetterQuery(
            self.reason, self.automation, replayed, with_event=False, entity=self.entity, text=self.text, before=self.before
        )

    def command(self, started: datetime, left: int) -> str:
        """The command that continues with the same choice. With `--again` it must not take what this one has replayed."""
        named = {"--reason": self.reason, "--automation": self.automation, "--entity": self.entity, "--text": self.text}
        named["--rate"] = self.rate
        named["--limit"] = str(left) if self.limit and left else ""
        named["--before"] = (self.before or started).isoformat() if self.again or self.before else ""
        options = [f"{name} {shlex.quote(value)}" for name, value in named.items() if value]
        return " ".join(["bridge deadletters replay --all", *(["--again"] if self.again else []), *options])

    def takes(self, dead_letter: DeadLetterView) -> bool:
        """Whether a listed dead letter belongs to the choice."""
        latest = [dead_letter["keptAt"], *(replay["at"] for replay in dead_letter.get("replays", []))][-1]
        return self.before is None or datetime.fromisoformat(latest) < self.before


@dataclass
class Tally:
    """The results so far. `skipped` and `failed` count by reason, and `examples` has one refusal for each reason."""

    chosen: int = 0
    done: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    @property
    def left(self) -> int:
        """How many dead letters were not reached."""
        return self.chosen - self.done - self.skipped.total() - self.failed.total()

    def view(self, verb: str) -> dict[str, Any]:
        """The results as JSON; `verb` is what was done."""
        return {"chosen": self.chosen, verb: self.done, "skipped": self.skipped, "failed": self.failed, "left": self.left}


@dataclass(frozen=True)
class Chosen:
    """A dead letter of the choice, and the number of its next replay."""

    id: str
    number: int
    source: str
    reason: str
    reaches: Sequence[str]


Act = Callable[[BridgeClient, Chosen], Awaitable[bool]]
"""Does something to a dead letter. Returns whether it was done now and not before. Raises Problem, Unreachable."""


async def replay_all(  # noqa: PLR0913 - each is one part of the command
    client: BridgeClient, screen: Screen, choice: Choice, pace: Pace, edit: Edit, *, dry_run: bool = False
) -> Exit:
    """Replay the dead letters that exist at the start, oldest first.

    Ctrl-C, or a bridge that cannot be reached, stops it between two dead letters.
    """

    async def replay(client: BridgeClient, one: Chosen) -> bool:
        event = edit.apply((await client.dead_letter(one.id)).get("event")) if edit else None
        return (await client.replay(one.id, event=event, number=one.number)).now

    started, sweep = datetime.now(UTC), _Sweep(client, replay)
    try:
        dead_letters = await chosen(client, screen, choice, replayed=None if choice.again else False)
        announce(screen, dead_letters, "replayed")
        if dry_run:
            return Exit.OK
        with _bar(screen, len(dead_letters), "replaying") as moved:
            await sweep.run(dead_letters, pace, moved)
    except (asyncio.CancelledError, Unreachable, Problem):
        _tell(screen, sweep.tally, "replayed")
        screen.note(f"Stopped between two dead letters. To go on: {choice.command(started, sweep.tally.left)}{edit.options}")
        raise
    _tell(screen, sweep.tally, "replayed")
    return Exit.REFUSED if sweep.tally.failed else Exit.OK


async def discard_all(client: BridgeClient, screen: Screen, choice: Choice, pace: Pace, agreed: Callable[[int], bool]) -> Exit:
    """Discard the dead letters that exist at the start, oldest first, if the user agrees.

    It stops like `replay_all`, and the same command continues.
    """

    async def discard(client: BridgeClient, one: Chosen) -> bool:
        await client.discard(one.id)
        return True

    sweep = _Sweep(client, discard)
    try:
        dead_letters = await chosen(client, screen, choice, replayed=None)
        announce(screen, dead_letters, "discarded")
        if dead_letters and not agreed(len(dead_letters)):
            return Exit.OK
        with _bar(screen, len(dead_letters), "discarding") as moved:
            await sweep.run(dead_letters, pace, moved)
    except (asyncio.CancelledError, Unreachable, Problem):
        _tell(screen, sweep.tally, "discarded")
        screen.note("Stopped between two dead letters. Run the same command again to continue.")
        raise
    _tell(screen, sweep.tally, "discarded")
    return Exit.REFUSED if sweep.tally.failed else Exit.OK


async def chosen(client: BridgeClient, screen: Screen, choice: Choice, *, replayed: bool | None) -> list[Chosen]:
    """The dead letters that exist at this moment: those of the bridge, then those of each entity, oldest first.

    The whole list is read first, so that dead letters that come back meanwhile are not taken. If a dead letter came back from another one
    in the list, a replay takes only the newer, because both hold the same event.
    """
    kept: dict[str, Chosen] = {}
    parked: dict[str, Chosen] = {}
    came_back: set[str] = set()
    async for dead_letter in client.dead_letters(choice.query(replayed=replayed), limit=_ALL, missing=partial(tell_missing, screen)):
        came_back.add(dead_letter.get("replayOf", ""))
        if choice.takes(dead_letter):
            number = len(dead_letter.get("replays", [])) + 1
            found = Chosen(dead_letter["id"], number, dead_letter["source"], dead_letter["reason"], dead_letter.get("reaches", []))
            (parked if "entity" in dead_letter else kept)[found.id] = found
    found_all = (*list(kept.values())[::-1], *parked.values())
    return [each for each in found_all if choice.both or each.id not in came_back][: choice.limit]


def announce(screen: Screen, dead_letters: Sequence[Chosen], verb: str) -> None:
    """Print how many dead letters there are, their origins and reasons, and which subscriptions their copies reach."""
    if not dead_letters:
        return
    kinds = Counter((each.source, each.reason) for each in dead_letters).most_common()
    screen.note(f"{len(dead_letters):,} {'is' if len(dead_letters) == 1 else 'are'} to be {verb}:")
    for (source, reason), count in kinds[:_KINDS]:
        screen.note(f"  {count:,} {reason} of {source}")
    if len(kinds) > _KINDS:
        screen.note(f"  and {len(kinds) - _KINDS} kinds more")
    reached = sorted({name for each in dead_letters for name in each.reaches})
    if reached and verb == "replayed":
        screen.note(f"  Their copies reach {', '.join(reached)}.")


def tell_missing(screen: Screen, missing: MissingView) -> None:
    """Print which of the broker's dead letters could not be listed."""
    whose = missing.get("entity", "the broker")
    screen.note(f"The dead letters of {whose} are missing here: {missing['detail']}", "yellow")


class _Sweep:
    """Makes several replays at a time, started at a given rate."""

    def __init__(self, client: BridgeClient, act: Act) -> None:
        self.tally = Tally()
        self._client, self._act = client, act
        self._under_way: set[asyncio.Task[None]] = set()
        self._stopping = False

    async def run(self, dead_letters: Sequence[Chosen], pace: Pace, moved: _Moved) -> None:
        """Replay or discard all. Finishes what it began.

        Raises Unreachable, or Problem for a refusal that would be the same for every dead letter.
        """
        self.tally.chosen = len(dead_letters)
        try:
            for one in dead_letters:
                await asyncio.sleep(pace.pause(time.monotonic()))
                await self._room(AT_ONCE - 1)
                self._under_way.add(asyncio.create_task(self._one(one, moved)))
            await self._room(0)
        finally:
            self._stopping = True
            await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _room(self, most: int) -> None:
        """Wait until at most `most` are in progress. Raises what a finished one has raised."""
        while True:
            done = {task for task in self._under_way if task.done()}
            self._under_way -= done
            for task in done:
                task.result()
            if len(self._under_way) <= most:
                return
            await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)

    async def _one(self, one: Chosen, moved: _Moved) -> None:
        try:
            now = await self._patiently(one)
        except Problem as problem:
            if problem.status in _FOR_ALL:
                raise
            kind = self.tally.skipped if problem.code in _NOT_NOW else self.tally.failed
            kind[problem.code] += 1
            self.tally.examples.setdefault(problem.code, f"{one.id}: {problem}")
        else:
            if now:
                self.tally.done += 1
            else:
                self.tally.skipped["AlreadyReplayed"] += 1
        moved(1)

    async def _patiently(self, one: Chosen) -> bool:
        for pause in PAUSES:
            try:
                return await self._act(self._client, one)
            except Unreachable:
                if self._stopping:
                    raise
            except Problem as problem:
                if problem.status != 503 or self._stopping:
                    raise
            await asyncio.sleep(pause)
        return await self._act(self._client, one)


class _Moved:
    """Moves the progress bar, if there is one."""

    def __init__(self, progress: Progress | None, total: int, doing: str) -> None:
        self._progress = progress
        self._task = progress.add_task(doing, total=total) if progress else None

    def __call__(self, count: int) -> None:
        if self._progress is not None and self._task is not None:
            self._progress.advance(self._task, count)


@contextmanager
def _bar(screen: Screen, total: int, doing: str) -> Iterator[_Moved]:
    if not screen.live:
        yield _Moved(None, total, doing)
        return
    columns = (TextColumn("{task.description}"), BarColumn(24), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=screen.err, transient=True) as progress:
        yield _Moved(progress, total, doing)


def _tell(screen: Screen, tally: Tally, verb: str) -> None:
    if screen.as_json:
        screen.json(tally.view(verb))
        return
    left = f", left {tally.left:,}" if tally.left else ""
    screen.line(f"{verb} {tally.done:,}, skipped {tally.skipped.total():,}, failed {tally.failed.total():,}{left}")
    for kind, counted in (("skipped", tally.skipped), ("failed", tally.failed)):
        for code, count in counted.most_common():
            example = f", such as {tally.examples[code]}" if code in tally.examples else ""
            screen.line(f"  {kind} {count:,} {code}{example}")
