"""Replaying many dead letters: at a pace, none twice, to be stopped and continued at any time."""

from __future__ import annotations

import asyncio
import shlex
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bridge.answers import Problem, Unreachable
from bridge.cli.exits import Exit
from bridge.cli.screen import Screen
from bridge.client import BridgeClient, LetterFilter
from bridge.rates import Pace

AT_ONCE = 32  #: replays under way at a time
#: Seconds between tries while the bridge has no room or does not answer; a replay that is asked for twice is made once.
PAUSES = (0.5, 1, 2, 4)
_ALL = 10**9
_NOT_NOW = frozenset({"BeingReplayed", "ChangedMeanwhile", "NotFound"})  #: somebody else has the letter in hand, or has discarded it
_FOR_ALL = frozenset({401, 403, 421})  #: refusals that the next letter would meet too


@dataclass(frozen=True)
class Choice:
    """Which dead letters, how many of them, and how fast (`rate` as it was written)."""

    reason: str = ""
    automation: str = ""
    limit: int | None = None
    rate: str = "50/s"
    again: bool = False
    before: datetime | None = None

    def command(self, started: datetime, left: int) -> str:
        """The command that goes on with the same choice. One that takes what was replayed must not take what this one has replayed."""
        named = {"--reason": self.reason, "--automation": self.automation, "--rate": self.rate}
        named["--limit"] = str(left) if self.limit and left else ""
        named["--before"] = (self.before or started).isoformat() if self.again or self.before else ""
        options = [f"{name} {shlex.quote(value)}" for name, value in named.items() if value]
        return " ".join(["bridge deadletters replay --all", *(["--again"] if self.again else []), *options])

    def takes(self, letter: dict[str, Any]) -> bool:
        """Whether a listed letter is of the choice."""
        latest = [letter["keptAt"], *(replay["at"] for replay in letter.get("replays", []))][-1]
        return self.before is None or datetime.fromisoformat(latest) < self.before


@dataclass
class Tally:
    """What became of the letters. `skipped` and `failed` count by reason; `examples` has one refusal of each kind."""

    chosen: int = 0
    replayed: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    @property
    def left(self) -> int:
        """How many were not come to."""
        return self.chosen - self.replayed - self.skipped.total() - self.failed.total()

    def view(self) -> dict[str, Any]:
        """As JSON."""
        return {"chosen": self.chosen, "replayed": self.replayed, "skipped": self.skipped, "failed": self.failed, "left": self.left}


async def replay_all(client: BridgeClient, screen: Screen, choice: Choice, pace: Pace) -> Exit:
    """Replay what was there at the start, oldest first. Ctrl-C, or a bridge that is gone, stops it between two letters."""
    started, sweep = datetime.now(UTC), _Sweep(client)
    try:
        letters = await chosen(client, choice)
        with _bar(screen, len(letters)) as moved:
            await sweep.run(letters, pace, moved)
    except (asyncio.CancelledError, Unreachable, Problem):
        _tell(screen, sweep.tally)
        screen.note(f"Stopped between two letters. To go on: {choice.command(started, sweep.tally.left)}")
        raise
    _tell(screen, sweep.tally)
    return Exit.REFUSED if sweep.tally.failed else Exit.OK


async def chosen(client: BridgeClient, choice: Choice) -> list[tuple[str, int]]:
    """The ids of the letters that are there now and which replay of each it will be, oldest first.

    The whole list comes first, so that nothing is taken that comes back meanwhile. Of a letter that has come back from a replay and the one
    it came from, only the newer is taken: they hold the same event.
    """
    wanted = LetterFilter(choice.reason, choice.automation, None if choice.again else False, with_event=False)
    found: dict[str, int] = {}
    came_back: set[str] = set()
    async for letter in client.dead_letters(wanted, limit=_ALL):
        came_back.add(letter.get("replayOf", ""))
        if letter["id"] not in came_back and choice.takes(letter):
            found[letter["id"]] = len(letter.get("replays", [])) + 1
    return list(found.items())[::-1][: choice.limit]


class _Sweep:
    """Several replays at a time, begun at a pace."""

    def __init__(self, client: BridgeClient) -> None:
        self.tally = Tally()
        self._client = client
        self._under_way: set[asyncio.Task[None]] = set()
        self._stopping = False

    async def run(self, letters: list[tuple[str, int]], pace: Pace, moved: _Moved) -> None:
        """Replay them all. Raises Unreachable, or Problem for a refusal that would meet every letter; what was begun is finished first."""
        self.tally.chosen = len(letters)
        try:
            for letter_id, number in letters:
                await asyncio.sleep(pace.pause(time.monotonic()))
                await self._room(AT_ONCE - 1)
                self._under_way.add(asyncio.create_task(self._one(letter_id, number, moved)))
            await self._room(0)
        finally:
            self._stopping = True
            await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _room(self, most: int) -> None:
        """Wait until `most` are under way. Raises what a finished one has raised."""
        while True:
            done = {task for task in self._under_way if task.done()}
            self._under_way -= done
            for task in done:
                task.result()
            if len(self._under_way) <= most:
                return
            await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)

    async def _one(self, letter_id: str, number: int, moved: _Moved) -> None:
        try:
            replayed = await self._patiently(letter_id, number)
        except Problem as problem:
            if problem.status in _FOR_ALL:
                raise
            kind = self.tally.skipped if problem.code in _NOT_NOW else self.tally.failed
            kind[problem.code] += 1
            self.tally.examples.setdefault(problem.code, f"{letter_id}: {problem}")
        else:
            if replayed:
                self.tally.replayed += 1
            else:
                self.tally.skipped["AlreadyReplayed"] += 1
        moved(1)

    async def _patiently(self, letter_id: str, number: int) -> bool:
        for pause in PAUSES:
            try:
                return (await self._client.replay(letter_id, number=number)).now
            except Unreachable:
                if self._stopping:
                    raise
            except Problem as problem:
                if problem.status != 503 or self._stopping:
                    raise
            await asyncio.sleep(pause)
        return (await self._client.replay(letter_id, number=number)).now


class _Moved:
    """Moves the bar, if there is one."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task("replaying", total=total) if progress else None

    def __call__(self, count: int) -> None:
        if self._progress is not None and self._task is not None:
            self._progress.advance(self._task, count)


@contextmanager
def _bar(screen: Screen, total: int) -> Iterator[_Moved]:
    if not screen.live:
        yield _Moved(None, total)
        return
    columns = (TextColumn("{task.description}"), BarColumn(24), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=screen.err, transient=True) as progress:
        yield _Moved(progress, total)


def _tell(screen: Screen, tally: Tally) -> None:
    if screen.as_json:
        screen.json(tally.view())
        return
    left = f", left {tally.left:,}" if tally.left else ""
    screen.line(f"replayed {tally.replayed:,}, skipped {tally.skipped.total():,}, failed {tally.failed.total():,}{left}")
    for kind, counted in (("skipped", tally.skipped), ("failed", tally.failed)):
        for code, count in counted.most_common():
            example = f", such as {tally.examples[code]}" if code in tally.examples else ""
            screen.line(f"  {kind} {count:,} {code}{example}")
