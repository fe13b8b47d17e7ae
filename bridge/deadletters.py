"""Dead letters: kept with the reason, listed, replayed and discarded (DESIGN 3.5.6)."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from bridge import replay, telemetry
from bridge.crashpoints import CrashPoint, passed
from bridge.deadletter import DeadLetter, Replay, attributes
from bridge.errors import BridgeError, ChangedMeanwhile, Conflict, Full, NotFound, NotReplayable, PortError, Undeliverable
from bridge.index import Cursor, Entry, Index
from bridge.masking import Path
from bridge.ports import Bus, Clock, Delivery, Message, Store, Stored
from bridge.replay import Wish
from bridge.request import REQUESTED

#: How many index entries one page of a filtered list looks through before it answers with what it has.
LOOK_THROUGH = 5_000
#: About how many bytes of dead letters one page holds, unless a single one is larger.
PAGE_BYTES = 8 * 2**20
_TOGETHER = 50  #: dead letters read at a time
_COUNT = re.compile(r"[0-9]{1,9}")
_REPLAYED = re.compile(r"([0-9a-f]{24})/[1-9][0-9]{0,5}")


@dataclass(frozen=True, slots=True)
class Terms:
    """How long a dead letter is kept, and how long a replay may take to be confirmed before it counts as interrupted."""

    keep: timedelta
    lease: timedelta


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which dead letters a list shows. `replayed`: whether their event has been published again; `replay_of`: what came back of one."""

    reason: str = ""
    automation: str = ""
    replayed: bool | None = None
    replay_of: str = ""

    def fits(self, letter: DeadLetter) -> bool:
        """Whether a letter is shown."""
        return (
            (not self.reason or letter.reason == self.reason)
            and (not self.automation or letter.automation == self.automation)
            and (self.replayed is None or letter.was_replayed == self.replayed)
            and (not self.replay_of or letter.replay_of == self.replay_of)
        )


@dataclass(frozen=True, slots=True)
class Replayed:
    """The letter after a replay, and whether it was published now or before."""

    letter: DeadLetter
    now: bool


class DeadLetters:
    """Keeps, lists, replays and discards them."""

    def __init__(self, store: Store, bus: Bus, index: Index, clock: Clock, terms: Terms) -> None:
        self._store, self._bus, self._index, self._clock = store, bus, index, clock
        self._lifetime, self._lease = terms.keep, terms.lease

    async def keep(self, delivery: Delivery, reason: str, detail: str, *, secret_paths: tuple[Path, ...] = (), topic: str = "") -> None:
        """Keep a delivery that leads nowhere. The same delivery again is the same dead letter. Raises Unavailable.

        `topic` is where it was published at first, for buses that do not say so of a dead letter.
        """
        parent = await self._parent(delivery.message)
        letter = self._letter(delivery, reason, detail, secret_paths, parent)
        if topic and letter.source == delivery.source:
            letter = letter.model_copy(update={"source": topic, "topic": topic})
        if await self._store.get(_key(letter.id)) is not None:
            return
        await self._index.add(Entry(created_at=letter.kept_at, id=letter.id, subject=reason))
        try:
            await self._store.create(_key(letter.id), letter.model_dump_json(by_alias=True).encode(), self._lifetime)
        except PortError:
            if await self._store.get(_key(letter.id)) is None:
                raise
            return
        telemetry.DEAD_LETTERS.labels(reason).inc()
        telemetry.step("deadletter.kept", level="warning", run=letter.correlation_id, deadletter=letter.id, reason=reason, detail=detail)

    async def _parent(self, message: Message) -> str:
        """The letter whose replay this message is; what the message says of itself counts only if that letter says so too."""
        named = _REPLAYED.fullmatch(message.message_id)
        found = await self._store.get(_key(named[1])) if named else None
        return named[1] if named and found and _read(found).has_sent(message.message_id) else ""

    def _letter(self, delivery: Delivery, reason: str, detail: str, secret_paths: tuple[Path, ...], parent: str) -> DeadLetter:
        message = delivery.message
        try:
            body = {"body": message.body.decode()}
        except UnicodeDecodeError:
            body = {"body_base64": base64.b64encode(message.body).decode()}
        # A replay that was interrupted may be on the bus twice, and is one event all the same.
        came = delivery.enqueued_at.isoformat() if delivery.enqueued_at and not parent else ""
        identity = f"{delivery.source}\n{message.message_id}\n{came}\n".encode() + message.body
        counted = message.properties.get("deliveryCount", "")
        origin = message.properties.get("x-opt-deadletter-source", delivery.source)
        named = attributes(message.body)
        own = _text(named, "id") if named.get("type") == REQUESTED else ""
        return DeadLetter(
            id=hashlib.sha256(identity).hexdigest()[:24],
            reason=reason,
            detail=detail[:2000],
            source=origin,
            topic=origin.partition("/")[0],
            attempts=int(counted) if _COUNT.fullmatch(counted) else delivery.attempt,
            kept_at=self._clock.now(),
            correlation_id=message.correlation_id or _text(named, "correlationid") or own,
            causation_id=_text(named, "causationid"),
            automation=message.label or _text(named, "subject"),
            content_type=message.content_type,
            secret_paths=secret_paths,
            replay_of=parent,
            **body,
        )

    async def find(self, letter_id: str) -> DeadLetter:
        """One dead letter. Raises NotFound, Unavailable."""
        return (await self._found(letter_id))[0]

    async def page(self, limit: int, cursor: str, wanted: Wanted = Wanted()) -> tuple[list[DeadLetter], str]:
        """The newest `limit` dead letters after `cursor`, and the cursor that continues or nothing. Raises Malformed, Unavailable.

        A page may be short and still have a cursor. The pages of one list show every letter that was there when the first one was read,
        whatever is replayed meanwhile, and none that came later.
        """
        letters: dict[str, DeadLetter] = {}
        looked_at = size = 0
        async with aclosing(self._together(cursor, wanted.reason)) as groups:
            async for group in groups:
                for stored, reached in group:
                    looked_at += 1
                    letter = _read(stored) if stored else None
                    if stored and letter and not letter.discarded and wanted.fits(letter):
                        letters[letter.id] = letter
                        size += len(stored.value)
                    if len(letters) >= limit or looked_at >= LOOK_THROUGH or size >= PAGE_BYTES:
                        return list(letters.values()), reached.write()
        return list(letters.values()), ""

    async def _together(self, cursor: str, reason: str) -> AsyncGenerator[list[tuple[Stored | None, Cursor]]]:
        """The letters of the index, newest first, some at a time; None for what is gone or has another reason."""
        taken: list[tuple[Entry, Cursor]] = []
        async for each in self._index.newest(cursor):
            taken.append(each)
            if len(taken) == _TOGETHER:
                yield await self._fetched(taken, reason)
                taken = []
        yield await self._fetched(taken, reason)

    async def _fetched(self, taken: Sequence[tuple[Entry, Cursor]], reason: str) -> list[tuple[Stored | None, Cursor]]:
        keys = [_key(entry.id) for entry, _ in taken if not reason or entry.subject == reason]
        found = dict(zip(keys, await self._store.get_many(keys) if keys else [], strict=True))
        return [(found.get(_key(entry.id)), reached) for entry, reached in taken]

    async def replay(self, letter_id: str, wish: Wish) -> Replayed:
        """Publish the event once more where it came from: claimed before, confirmed after, so that of two who replay at once one does.

        Raises NotFound, Malformed, BeingReplayed, NotReplayable and Undeliverable: nothing was published. Raises Unavailable and
        ChangedMeanwhile: that is not known, and the same replay again has the same message id.
        """
        letter, etag = await self._found(letter_id)
        if wish.number is not None and letter.is_done(wish.number):
            return Replayed(letter, now=False)
        content = replay.body(letter, wish)
        made = Replay(at=self._clock.now(), by=wish.by, edited=wish.edited is not None)
        claimed = letter.claimed(made, content, self._lease, numbered=wish.number is not None)
        replay.message(claimed, content, made.at)
        etag = await self._save(claimed, etag, self._lifetime)
        passed(CrashPoint.REPLAY_CLAIMED_NOT_PUBLISHED)
        try:
            await self._bus.publish([replay.message(claimed, content, self._clock.now())])
        except (PortError, NotReplayable) as fault:
            await self._release(claimed, etag, fault)
            raise
        passed(CrashPoint.REPLAY_PUBLISHED_NOT_CONFIRMED)
        done = claimed.confirmed()
        await self._save(done, etag, self._lifetime)
        sent = done.replays[-1]
        telemetry.step("deadletter.replayed", run=letter.correlation_id, deadletter=letter.id, by=sent.by, message=sent.message_id)
        return Replayed(done, now=True)

    async def _release(self, claimed: DeadLetter, etag: str, fault: BridgeError) -> None:
        sure = isinstance(fault, Undeliverable | Full | NotReplayable)
        # Where even this cannot be written, the claim ends with its time.
        with suppress(PortError, ChangedMeanwhile):
            await self._save(claimed.released(self._clock.now(), sure=sure), etag, self._lifetime)

    async def discard(self, letter_id: str) -> None:
        """Take it off the list. Raises NotFound, BeingReplayed, ChangedMeanwhile, Unavailable."""
        letter, etag = await self._found(letter_id)
        letter.require_unclaimed(self._clock.now())
        gone = letter.model_copy(update={"discarded": True, "body": "", "body_base64": ""})
        await self._save(gone, etag, timedelta(seconds=1))

    async def _found(self, letter_id: str) -> tuple[DeadLetter, str]:
        found = await self._store.get(_key(letter_id))
        letter = _read(found) if found else None
        if found is None or letter is None or letter.discarded:
            raise NotFound(f"There is no dead letter {letter_id[:100]!r}.", hint="GET /v1/deadletters lists them.")
        return letter, found.etag

    async def _save(self, letter: DeadLetter, etag: str, ttl: timedelta) -> str:
        value = letter.model_dump_json(by_alias=True).encode()
        try:
            return await self._store.save(_key(letter.id), value, etag, ttl)
        except PortError as fault:
            # Whether it was written is not known: what stands there decides.
            found = await self._store.get(_key(letter.id))
            if found is not None and found.value == value:
                return found.etag
            if isinstance(fault, Conflict):
                raise ChangedMeanwhile(f"Dead letter {letter.id} was changed by somebody else.") from None
            raise


def broker_reason(message: Message) -> str:
    """Why a broker dead-lettered a message, in its own words."""
    said = [message.properties.get(name, "") for name in ("DeadLetterReason", "DeadLetterErrorDescription")]
    return ": ".join(part for part in said if part) or "no reason given"


def _read(stored: Stored) -> DeadLetter:
    return DeadLetter.model_validate_json(stored.value)


def _text(named: Mapping[str, Any], name: str) -> str:
    """An attribute that may be an id or a name; what is too long for one is none."""
    value = named.get(name)
    return value if isinstance(value, str) and len(value) <= 130 else ""


def _key(letter_id: str) -> str:
    return f"deadletter/{letter_id}"
