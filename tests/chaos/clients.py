"""Callers: they ask, ask again when they got no answer, repeat, contradict themselves, cancel and look, while the bridge comes and goes."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp

from tests.chaos.door import AWAY, Refused
from tests.chaos.ledger import Ledger
from tests.chaos.place import Place
from tests.chaos.wishes import WISHES, ReplayRequest, draw

AGAIN = 0.05  #: seconds until a caller without an answer asks again
#: What an honest repeat may be told: it is too late, or there is no room. The rest of a caller's mistakes it has made on purpose.
FAIR = frozenset(("DeadlinePassed", "Unavailable", "Full"))
PLAIN = ReplayRequest("echo", {"text": "in bad company"}, weight=0)


@dataclass
class Load:
    """What all callers share. `most`: how many requests are accepted before they stop asking, so that memory is bounded."""

    ledger: Ledger
    seed: int
    most: int
    wishes: Sequence[ReplayRequest] = WISHES
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    lately: deque[tuple[str, ReplayRequest]] = field(default_factory=lambda: deque(maxlen=200))

    @property
    def over(self) -> bool:
        return self.stopped.is_set() or len(self.ledger.accepted) >= self.most


@dataclass
class HttpCaller:
    """One client of the API."""

    load: Load
    number: int
    http: aiohttp.ClientSession
    pause: float

    async def run(self) -> None:
        chance = random.Random(f"{self.load.seed}/http/{self.number}")
        for count in itertools.count():
            if self.load.over:
                return
            wish, name = draw(chance, self.load.wishes), f"h{self.number}-{count}"
            await self.ask(name, wish, self._headers(chance))
            if name in self.load.ledger.accepted:
                await self._go_on(name, wish, chance)
            await asyncio.sleep(chance.uniform(0, self.pause))

    @staticmethod
    def _headers(chance: random.Random) -> dict[str, str]:
        headers = {}
        if chance.random() < 0.08:
            headers["X-Deadline"] = (datetime.now(UTC) + timedelta(seconds=chance.uniform(0.2, 3))).isoformat()
        if chance.random() < 0.2:
            headers["Prefer"] = "wait=2"
        return headers

    async def _go_on(self, name: str, wish: ReplayRequest, chance: random.Random) -> None:
        """What callers do with a request that was accepted."""
        self.load.lately.append((name, wish))
        what = chance.choices(["nothing", "repeat", "contradict", "cancel", "look"], [80, 5, 4, 6, 5])[0]
        if what == "repeat":
            await self.ask(*chance.choice(self.load.lately), {})
        elif what == "contradict":
            await self.contradict(name)
        elif what == "cancel":
            await self._call("DELETE", f"/v1/requests/{name}")
        elif what == "look":
            await self._call("GET", f"/v1/requests/{name}?wait=1")

    async def ask(self, name: str, wish: ReplayRequest, headers: dict[str, str]) -> None:
        """Until there is an answer: the same request again and again."""
        path = f"/v1/automations/{wish.automation}/requests"
        answer = await self._call("POST", path, headers={**headers, "X-Correlation-Id": name}, json=wish.input)
        if answer is None:
            return
        status, body = answer
        if status in (200, 202):
            self.load.ledger.accepted[name] = "http"
        elif wish.fits and body["code"] not in FAIR:
            self.load.ledger.surprises.append(f"{name}: a request that fits was answered {status} {body['code']}: {body['detail']}")

    async def contradict(self, name: str) -> None:
        """The id of a run, with an input that no run has."""
        path, headers = "/v1/automations/fan.all/requests", {"X-Correlation-Id": name}
        answer = await self._call("POST", path, headers=headers, json={"contradicts": name})
        if answer is not None and answer[0] != 409:
            self.load.ledger.surprises.append(f"{name}: a contradiction was answered {answer[0]}")

    async def _call(self, method: str, path: str, **request: Any) -> tuple[int, Any] | None:
        """The first answer that is not 503; None if there was none before the end."""
        while not self.load.stopped.is_set():
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with self.http.request(method, path, **request) as answer:
                    body = json.loads(await answer.read())
                    if answer.status < 300:
                        self.load.ledger.saw(body)
                        return answer.status, body
                    self.load.ledger.refused[body["code"]] += 1
                    if answer.status >= 500 and answer.status != 503:
                        self.load.ledger.surprises.append(f"{method} {path}: {answer.status} {body['code']}")
                    if answer.status != 503:
                        return answer.status, body
            await asyncio.sleep(AGAIN)
        return None


@dataclass
class Publisher:
    """A program that publishes requests on their topic; each until the queue has acknowledged it."""

    load: Load
    number: int
    place: Place
    pause: float

    async def run(self) -> None:
        chance = random.Random(f"{self.load.seed}/topic/{self.number}")
        pending: list[Event] = []
        count = itertools.count()
        while not self.load.over:
            with contextlib.suppress(*AWAY, Refused):
                async with self.place.door(self.number) as door:
                    while not self.load.over:
                        pending = pending or _events(self.number, next(count), chance, self.load)
                        for event in list(pending):
                            await door.send("automation-requests", event.body, messageId=event.name)
                            event.acknowledged(self.load.ledger)
                            pending.remove(event)
                        await asyncio.sleep(chance.uniform(0, self.pause))
            await asyncio.sleep(AGAIN)


@dataclass(frozen=True)
class Event:
    """What is published: `reason` is that of the dead letter it must become, if it cannot become a run."""

    name: str
    body: bytes
    reason: str = ""

    def acknowledged(self, ledger: Ledger) -> None:
        if self.reason:
            ledger.marks[self.name] = self.reason
        else:
            ledger.accepted[self.name] = "topic"


def _events(number: int, count: int, chance: random.Random, load: Load) -> list[Event]:
    """One event, in several copies, or one that leads nowhere."""
    bad, kind = f"bad-{number}-{count}", chance.random()
    if kind < 0.03:
        return [Event(bad, f'{{"specversion": "1.0", "id": "{bad}", '.encode(), "Malformed")]
    if kind < 0.05:
        return [_asking(bad, PLAIN, "InvalidCorrelationId", correlationid="not an id")]
    if kind < 0.08 and load.lately:
        return [_asking(bad, PLAIN, "CorrelationConflict", correlationid=chance.choice(load.lately)[0])]
    elsewhere = {"replytopic": "my-replies"} if chance.random() < 0.3 else {}
    event = _asking(f"t{number}-{count}", draw(chance, load.wishes), **elsewhere)
    return [event] * chance.choices([1, 2, 4], [8, 1, 1])[0]


def _asking(name: str, wish: ReplayRequest, reason: str = "", **attributes: str) -> Event:
    event = {"specversion": "1.0", "id": name, "source": "/chaos", "type": "automation.requested", "subject": wish.automation}
    return Event(name, json.dumps({**event, **attributes, "data": wish.input}).encode(), reason)
