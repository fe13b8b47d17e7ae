"""The dead letters in the store. They are kept with the reason, listed in pages, replayed and discarded."""

from __future__ import annotations

import base64
import hashlib
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from bridge import telemetry
from bridge.cloudevents import REQUESTED
from bridge.deadletters import replay
from bridge.deadletters.deadletter import DeadLetter, Replay, attributes, short_text
from bridge.deadletters.filter import EVERYTHING, DeadLetterFilter
from bridge.deadletters.replay import ReplayRequest
from bridge.errors import BridgeError, ChangedMeanwhile, Conflict, Full, NotFound, NotReplayable, PortError, Undeliverable
from bridge.index import Entry, Index
from bridge.ports import Bus, Clock, Delivery, Message, Store, Stored
from bridge.redaction import Path
from bridge.timeslices import TimeSlices

#: How long one page of a list may be worked on, in seconds: then it ends with what it has, and its cursor goes on from there.
BUDGET = 0.02
#: About how many bytes of dead letters one page holds, unless a single one is larger.
PAGE_BYTES = 8 * 2**20
_COUNT = re.compile(r"[0-9]{1,9}")
_REPLAYED = re.compile(r"([0-9a-f]{24}|[A-Za-z0-9._~-]{1,90}@[0-9]{1,19})/[1-9][0-9]{0,5}(\.[0-9a-f]{8})?")


@dataclass(frozen=True, slots=True)
class DeadLetterSettings:
    """How long a dead letter is kept (`retention`), and how long a replay may stay unconfirmed before it counts as interrupted."""

    retention: timedelta
    lease: timedelta


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """A dead letter after a replay, and whether its event was published now or had been before."""

    dead_letter: DeadLetter
    now: bool


class DeadLetters:
    """Keeps, lists, replays and discards dead letters."""

    def __init__(self, store: Store, bus: Bus, index: Index, clock: Clock, settings: DeadLetterSettings) -> None:
        self._store, self._bus, self._index, self._clock = store, bus, index, clock
        self._retention, self._lease = settings.retention, settings.lease

    async def keep(  # noqa: PLR0913 - each is a part of the record
        self, delivery: Delivery, reason: str, detail: str, *, hint: str = "", secret_paths: tuple[Path, ...] = (), topic: str = ""
    ) -> None:
        """Keep a delivery that cannot be handled. The same delivery again is the same dead letter. Raises Unavailable.

        `hint` says what its sender can do. `topic` is where the event was first published, for buses that do not report this for dead
        letters.
        """
        parent = await self.parent(delivery.message)
        dead_letter = self._dead_letter(delivery, reason, detail, secret_paths, parent).model_copy(update={"hint": hint[:2000]})
        if topic and dead_letter.source == delivery.source:
            dead_letter = dead_letter.model_copy(update={"source": topic, "topic": topic})
        if await self._store.get(_key(dead_letter.id)) is not None or not await self._create(dead_letter):
            return
        telemetry.DEAD_LETTERS.labels(reason).inc()
        telemetry.step(
            "deadletter.kept", level="warning", run=dead_letter.correlation_id, deadletter=dead_letter.id, reason=reason, detail=detail
        )

    async def keep_replayed(self, dead_letter: DeadLetter) -> None:
        """Keep a dead letter of the broker after its replay, with who replayed it. Raises Unavailable."""
        await self._create(dead_letter.model_copy(update={"kept_at": self._clock.now(), "entity": "", "reaches": ()}))

    async def _create(self, dead_letter: DeadLetter) -> bool:
        """Create the record. Returns False if it exists."""
        await self._index.add(Entry(created_at=dead_letter.kept_at, id=dead_letter.id, subject=dead_letter.reason))
        try:
            await self._store.create(_key(dead_letter.id), dead_letter.model_dump_json(by_alias=True).encode(), self._retention)
        except PortError:
            if await self._store.get(_key(dead_letter.id)) is None:
                raise
            return False
        return True

    async def parent(self, message: Message) -> str:
        """The id of the dead letter whose replay this message is, or nothing. Raises Unavailable.

        Anybody can make up such an id, so the record of the dead letter must contain it.
        """
        match = _REPLAYED.fullmatch(message.message_id)
        found = await self._store.get(_key(match[1])) if match else None
        return match[1] if match and found and _read(found).has_sent(message.message_id) else ""

    def _dead_letter(self, delivery: Delivery, reason: str, detail: str, secret_paths: tuple[Path, ...], parent: str) -> DeadLetter:
        message = delivery.message
        try:
            body = {"body": message.body.decode()}
        except UnicodeDecodeError:
            body = {"body_base64": base64.b64encode(message.body).decode()}
        # The event of an interrupted replay may be on the bus twice and is one event all the same.
        came = delivery.enqueued_at.isoformat() if delivery.enqueued_at and not parent else ""
        identity = f"{delivery.source}\n{message.message_id}\n{came}\n".encode() + message.body
        counted = message.properties.get("deliveryCount", "")
        origin = message.properties.get("x-opt-deadletter-source", delivery.source)
        named = attributes(message.body)
        own = short_text(named, "id") if named.get("type") == REQUESTED else ""
        return DeadLetter(
            id=hashlib.sha256(identity).hexdigest()[:24],
            reason=reason,
            detail=detail[:2000],
            source=origin,
            topic=origin.partition("/")[0],
            attempts=int(counted) if _COUNT.fullmatch(counted) else delivery.attempt,
            kept_at=self._clock.now(),
            correlation_id=message.correlation_id or short_text(named, "correlationid") or own,
            causation_id=short_text(named, "causationid"),
            automation=message.label or short_text(named, "subject"),
            content_type=message.content_type,
            secret_paths=secret_paths,
            replay_of=parent,
            **body,
        )

    async def get(self, dead_letter_id: str) -> DeadLetter:
        """One dead letter. Raises NotFound, Unavailable."""
        return (await self._found(dead_letter_id))[0]

    async def page(self, limit: int, cursor: str, only: DeadLetterFilter = EVERYTHING) -> tuple[list[DeadLetter], str]:
        """The newest `limit` dead letters after `cursor`, and the cursor that continues, or nothing. Raises Malformed, Unavailable.

        A page may be short and still have a cursor. The pages of one list show every dead letter that existed when the first page was
        read, whatever is replayed meanwhile, and none that came later.
        """
        dead_letters: dict[str, DeadLetter] = {}
        looked_at = size = 0
        until, slices = time.perf_counter() + BUDGET, TimeSlices()
        async for batch in self._index.newest(cursor):
            for places in slices.pieces(range(len(batch.entries))):
                found = await self._fetched([batch.entries[place] for place in places], only.reason)
                for place, stored in zip(places, found, strict=True):
                    looked_at += 1
                    dead_letter = _read(stored) if stored else None
                    # A delivery that was kept at the second attempt has two entries; the record fits the later one.
                    is_its_own = dead_letter is not None and dead_letter.kept_at == batch.entries[place].created_at
                    if stored and dead_letter and is_its_own and not dead_letter.discarded and only.includes(dead_letter):
                        dead_letters[dead_letter.id] = dead_letter
                        size += len(stored.value)
                    is_late = looked_at >= limit and time.perf_counter() >= until
                    if len(dead_letters) >= limit or size >= PAGE_BYTES or is_late:
                        return list(dead_letters.values()), batch.cursor(place).write()
                await slices.rest()
        return list(dead_letters.values()), ""

    async def _fetched(self, entries: Sequence[Entry], reason: str) -> list[Stored | None]:
        """The dead letters of these entries; None for one that was removed or has another reason."""
        keys = [_key(entry.id) for entry in entries if not reason or entry.subject == reason]
        found = dict(zip(keys, await self._store.get_many(keys) if keys else [], strict=True))
        return [found.get(_key(entry.id)) for entry in entries]

    async def replay(self, dead_letter_id: str, request: ReplayRequest) -> ReplayResult:
        """Publish the event again where it came from. Of two simultaneous replays only one is made.

        After NotFound, Malformed, BeingReplayed, NotReplayable and Undeliverable nothing was published. After Unavailable and
        ChangedMeanwhile this is unknown. The same replay again has the same message id.
        """
        dead_letter, etag = await self._found(dead_letter_id)
        if request.number is not None and dead_letter.is_done(request.number):
            return ReplayResult(dead_letter, now=False)
        content = replay.body(dead_letter, request)
        made = Replay(at=self._clock.now(), by=request.by, edited=request.edited is not None)
        claimed = dead_letter.claimed(made, content, self._lease, numbered=request.number is not None)
        replay.message(claimed, content, made.at)
        etag = await self._save(claimed, etag, self._retention)
        telemetry.step("deadletter.claimed", level="debug", run=dead_letter.correlation_id, deadletter=dead_letter.id)
        try:
            await self._bus.publish([replay.message(claimed, content, self._clock.now())])
        except (PortError, NotReplayable) as fault:
            await self._release(claimed, etag, fault)
            raise
        telemetry.step("deadletter.published", level="debug", run=dead_letter.correlation_id, deadletter=dead_letter.id)
        done = claimed.confirmed()
        await self._save(done, etag, self._retention)
        sent = done.replays[-1]
        telemetry.step(
            "deadletter.replayed", run=dead_letter.correlation_id, deadletter=dead_letter.id, by=sent.by, message=sent.message_id
        )
        return ReplayResult(done, now=True)

    async def _release(self, claimed: DeadLetter, etag: str, fault: BridgeError) -> None:
        sure = isinstance(fault, Undeliverable | Full | NotReplayable)
        # If even this cannot be written, the claim ends with its time.
        with suppress(PortError, ChangedMeanwhile):
            await self._save(claimed.released(self._clock.now(), sure=sure), etag, self._retention)

    async def discard(self, dead_letter_id: str, by: str) -> None:
        """Remove a dead letter from the list, for the caller `by`. Raises NotFound, BeingReplayed, ChangedMeanwhile, Unavailable."""
        dead_letter, etag = await self._found(dead_letter_id)
        dead_letter.require_unclaimed(self._clock.now())
        gone = dead_letter.model_copy(update={"discarded": True, "body": "", "body_base64": ""})
        await self._save(gone, etag, timedelta(seconds=1))
        telemetry.step("deadletter.discarded", run=dead_letter.correlation_id, deadletter=dead_letter.id, by=by)

    async def _found(self, dead_letter_id: str) -> tuple[DeadLetter, str]:
        found = await self._store.get(_key(dead_letter_id))
        dead_letter = _read(found) if found else None
        if found is None or dead_letter is None or dead_letter.discarded:
            raise NotFound(f"There is no dead letter {dead_letter_id[:100]!r}.", hint="GET /v1/deadletters lists them.")
        return dead_letter, found.etag

    async def _save(self, dead_letter: DeadLetter, etag: str, ttl: timedelta) -> str:
        value = dead_letter.model_dump_json(by_alias=True).encode()
        try:
            return await self._store.save(_key(dead_letter.id), value, etag, ttl)
        except PortError as fault:
            # It is not known whether the value was written, so what the store holds now decides.
            found = await self._store.get(_key(dead_letter.id))
            if found is not None and found.value == value:
                return found.etag
            if isinstance(fault, Conflict):
                raise ChangedMeanwhile(f"Dead letter {dead_letter.id} was changed by somebody else.") from None
            raise


def broker_reason(message: Message) -> str:
    """Why a broker dead-lettered a message, in the words of the broker."""
    reasons = [message.properties.get(name, "") for name in ("DeadLetterReason", "DeadLetterErrorDescription")]
    return ": ".join(part for part in reasons if part) or "no reason given"


def _read(stored: Stored) -> DeadLetter:
    return DeadLetter.model_validate_json(stored.value)


def _key(dead_letter_id: str) -> str:
    return f"deadletter/{dead_letter_id}"
