"""Dead letters: events that could not become a run, or were given up, kept with the reason until somebody replays or discards them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from bridge import telemetry
from bridge.envelope import parse_json
from bridge.errors import ChangedMeanwhile, Conflict, Malformed, NotFound, PortError
from bridge.index import Entry, Index
from bridge.masking import MASK, masked
from bridge.ports import Bus, Clock, Delivery, Message, Store

_TOKENS = {"invocationtoken", "authsignature"}


class DeadLetter(BaseModel):
    """One event that was refused or given up. `body` is the original, as text or, if it is none, in base64."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)

    id: str
    reason: str
    detail: str
    source: str
    topic: str
    attempts: int
    kept_at: datetime
    correlation_id: str = ""
    automation: str = ""
    content_type: str = ""
    body: str = ""
    body_base64: str = ""
    secret_paths: tuple[tuple[str, ...], ...] = ()
    replayed_at: tuple[datetime, ...] = ()
    discarded: bool = False

    def original(self) -> bytes:
        """The event as it came."""
        return base64.b64decode(self.body_base64) if self.body_base64 else self.body.encode()

    def view(self) -> dict[str, Any]:
        """What an admin sees: the event decoded where it can be, tokens and `writeOnly` input masked."""
        shown = self.model_dump(
            mode="json", by_alias=True, exclude={"secret_paths", "discarded", "body", "body_base64"}, exclude_defaults=True
        )
        try:
            event = parse_json(self.original())
        except Malformed:
            return {**shown, "body": self.body or self.body_base64}
        return {**shown, "event": [self._masked(each) for each in event] if isinstance(event, list) else self._masked(event)}

    def _masked(self, event: Any) -> Any:
        if not isinstance(event, dict):
            return event
        hidden = {*_TOKENS, "data_base64"} if self.secret_paths else _TOKENS
        event = {name: MASK if name in hidden else value for name, value in event.items()}
        return {**event, "data": masked(event["data"], self.secret_paths)} if "data" in event else event


class DeadLetters:
    """Keeps, lists and replays them."""

    def __init__(self, store: Store, bus: Bus, index: Index, clock: Clock, *, keep: timedelta) -> None:
        self._store, self._bus, self._index, self._clock, self._lifetime = store, bus, index, clock, keep

    async def keep(self, delivery: Delivery, reason: str, detail: str, *, secret_paths: tuple[tuple[str, ...], ...] = ()) -> None:
        """Keep a delivery that leads nowhere. The same delivery again is the same dead letter. Raises Unavailable."""
        letter = self._letter(delivery, reason, detail, secret_paths)
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

    def _letter(self, delivery: Delivery, reason: str, detail: str, secret_paths: tuple[tuple[str, ...], ...]) -> DeadLetter:
        message = delivery.message
        try:
            body = {"body": message.body.decode()}
        except UnicodeDecodeError:
            body = {"body_base64": base64.b64encode(message.body).decode()}
        came = delivery.enqueued_at.isoformat() if delivery.enqueued_at else ""
        identity = f"{delivery.source}\n{message.message_id}\n{came}\n".encode() + message.body
        counted = message.properties.get("deliveryCount", "")
        origin = message.properties.get("x-opt-deadletter-source", delivery.source)
        return DeadLetter(
            id=hashlib.sha256(identity).hexdigest()[:24],
            reason=reason,
            detail=detail[:2000],
            source=origin,
            topic=origin.partition("/")[0],
            attempts=int(counted) if counted.isdecimal() else delivery.attempt,
            kept_at=self._clock.now(),
            correlation_id=message.correlation_id,
            automation=message.label,
            content_type=message.content_type,
            secret_paths=secret_paths,
            **body,
        )

    async def find(self, letter_id: str) -> DeadLetter:
        """One dead letter. Raises NotFound, Unavailable."""
        return (await self._found(letter_id))[0]

    async def page(self, limit: int, cursor: str) -> tuple[list[DeadLetter], str]:
        """The newest `limit` dead letters after `cursor`, and the cursor that continues or nothing. Raises Malformed, Unavailable."""
        letters: dict[str, DeadLetter] = {}
        async for entry, reached in self._index.newest(cursor):
            found = await self._store.get(_key(entry.id))
            letter = DeadLetter.model_validate_json(found.value) if found else None
            if letter is not None and not letter.discarded:
                letters[letter.id] = letter
            if len(letters) >= limit:
                return list(letters.values()), reached.write()
        return list(letters.values()), ""

    async def replay(self, letter_id: str) -> DeadLetter:
        """Publish the original once more where it came from.

        Raises NotFound, Undeliverable, Unavailable, and ChangedMeanwhile after it was published.
        """
        letter, etag = await self._found(letter_id)
        await self._bus.publish(
            [
                Message(
                    topic=letter.topic,
                    body=letter.original(),
                    message_id=f"{letter.id}/{len(letter.replayed_at) + 1}",
                    correlation_id=letter.correlation_id,
                    label=letter.automation,
                    content_type=letter.content_type,
                )
            ]
        )
        telemetry.step("deadletter.replayed", run=letter.correlation_id, deadletter=letter.id)
        return await self._save(letter, etag, {"replayed_at": (*letter.replayed_at, self._clock.now())}, self._lifetime)

    async def discard(self, letter_id: str) -> None:
        """Take it off the list. Raises NotFound, ChangedMeanwhile, Unavailable."""
        letter, etag = await self._found(letter_id)
        await self._save(letter, etag, {"discarded": True, "body": "", "body_base64": ""}, timedelta(seconds=1))

    async def _found(self, letter_id: str) -> tuple[DeadLetter, str]:
        found = await self._store.get(_key(letter_id))
        letter = DeadLetter.model_validate_json(found.value) if found else None
        if found is None or letter is None or letter.discarded:
            raise NotFound(f"There is no dead letter {letter_id[:100]!r}.", hint="GET /v1/deadletters lists them.")
        return letter, found.etag

    async def _save(self, letter: DeadLetter, etag: str, update: Mapping[str, Any], ttl: timedelta) -> DeadLetter:
        changed = letter.model_copy(update=update)
        try:
            await self._store.save(_key(letter.id), changed.model_dump_json(by_alias=True).encode(), etag, ttl)
        except Conflict:
            raise ChangedMeanwhile(f"Dead letter {letter.id} was changed by somebody else.") from None
        return changed


def broker_reason(message: Message) -> str:
    """Why a broker dead-lettered a message, in its own words."""
    said = [message.properties.get(name, "") for name in ("DeadLetterReason", "DeadLetterErrorDescription")]
    return ": ".join(part for part in said if part) or "no reason given"


def _key(letter_id: str) -> str:
    return f"deadletter/{letter_id}"
