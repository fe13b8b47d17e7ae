"""A message before it is stored: what rules see of it, and what their actions make of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from uuid import uuid4

from bridge import sqlfilter
from bridge.adapters.embedded.amqp.brokervalues import Incoming, Value
from bridge.adapters.embedded.amqp.incoming import LARGEST_PROPERTIES, incoming
from bridge.adapters.embedded.amqp.outgoing import bare_message
from bridge.adapters.embedded.amqp.rewriting import rewrite
from bridge.adapters.embedded.rules import CompiledRule
from bridge.amqp.scan import BadEncoding
from bridge.ports import Message
from bridge.sqlfilter import Changes, MessageProperties

_LONGEST_HEADER = timedelta(milliseconds=2**32 - 1)  #: what clients send for any longer time to live, as the header takes no more
REASON, DESCRIPTION, SOURCE, DELIVERIES = "DeadLetterReason", "DeadLetterErrorDescription", "x-opt-deadletter-source", "deliveryCount"
#: Properties that only the bus may set: a sender that could set them would choose where a replay of its dead letter goes.
DEAD_LETTER_PROPERTIES = frozenset((REASON, DESCRIPTION, SOURCE, DELIVERIES))
NOT_ON_THE_WIRE = frozenset((SOURCE, DELIVERIES))  #: they are told in a message's annotations and header
RULE_NAME = "RuleName"  #: the application property that names the rule whose action made a copy


@dataclass(frozen=True, slots=True)
class AmqpForm:
    """What a message that came over AMQP has beside the fields of `Message`, whose body and properties are empty then.

    `encoded` is the bare message as it was sent, `header` its priority (None if it had none) and durability.
    """

    encoded: bytes
    session: str | None = None
    header: tuple[int | None, bool] = (None, False)


@dataclass(frozen=True, slots=True)
class Draft:
    """A message on its way to the queues that store it. `added` are the properties that the broker added, as in `BrokerMessage`.

    `sent` is what `amqp` holds, where it is decoded already.
    """

    message: Message
    amqp: AmqpForm | None = None
    added: Mapping[str, Value] = field(default_factory=dict)
    sent: Incoming | None = field(default=None, compare=False)

    @classmethod
    def of_incoming(cls, topic: str, sent: Incoming) -> Draft:
        """A message that came over AMQP for a queue or topic."""
        message = Message(
            topic,
            b"",
            message_id=sent.message_id,
            correlation_id=sent.correlation_id,
            label=sent.label,
            content_type=sent.content_type,
            deliver_at=sent.scheduled,
            time_to_live=None if sent.time_to_live == _LONGEST_HEADER else sent.time_to_live,
        )
        return cls(message, AmqpForm(sent.encoded, sent.session_id, (sent.priority, sent.durable)), sent=sent)

    @property
    def session(self) -> str:
        """The session id; empty if the message has none. That of a message of the bridge is its correlation id."""
        return (self.amqp.session or "") if self.amqp is not None else self.message.correlation_id

    def over_amqp(self) -> Draft:
        """The same message in the form of one that came over AMQP, as queues with sessions store it."""
        if self.amqp is not None:
            return self
        message = self.message
        about = {name: value for name, value in message.properties.items() if name in DEAD_LETTER_PROPERTIES}
        encoded = bare_message(
            message.body,
            message_id=message.message_id or uuid4().hex,
            correlation_id=message.correlation_id,
            label=message.label,
            content_type=message.content_type,
            session_id=self.session,
            properties={name: value for name, value in message.properties.items() if name not in NOT_ON_THE_WIRE},
        )
        return replace(self, message=replace(message, body=b"", properties=about, event=None), amqp=AmqpForm(encoded, self.session))

    def properties(self) -> MessageProperties:
        """What rules see."""
        message = self.message
        system: dict[str, Value] = {
            "label": message.label,
            "correlation_id": message.correlation_id,
            "message_id": message.message_id,
            "content_type": message.content_type,
            "time_to_live": message.time_to_live,
            "scheduled_enqueue_time": message.deliver_at,
            "session_id": self.session,
            "size": len(message.body),
        }
        if self.amqp is None:
            return MessageProperties(system, {**message.properties, **self.added})
        sent = self.sent or incoming(self.amqp.encoded)
        system |= {
            "to": sent.to,
            "reply_to": sent.reply_to,
            "reply_to_session_id": sent.reply_to_session_id,
            "partition_key": sent.partition_key,
            "size": len(sent.encoded),
        }
        return MessageProperties(system, {**sent.properties, **self.added})

    def changed_by(self, rule: CompiledRule, properties: MessageProperties) -> Draft:
        """The copy that the action of a rule makes. `properties` are those of this draft."""
        if rule.action is None:
            return self
        changes = sqlfilter.apply_action(rule.action, properties)
        message = _with_texts(self.message, changes)
        added = {**changes.user, RULE_NAME: rule.name}
        if self.amqp is None:
            kept = {name: value for name, value in message.properties.items() if name not in changes.removed}
            return replace(self, message=replace(message, properties=kept | {name: _text(value) for name, value in added.items()}))
        encoded = rewrite(self.amqp.encoded, system=changes.system, application=added, removed=changes.removed)
        if len(encoded) > LARGEST_PROPERTIES and not _is_readable(encoded):
            return self  # the action made the properties larger than a message may have: it is kept as it was sent
        session = changes.system.get("session_id", self.amqp.session)
        return replace(self, message=message, amqp=replace(self.amqp, encoded=encoded, session=session), sent=None)


def _is_readable(encoded: bytes) -> bool:
    try:
        incoming(encoded)
    except BadEncoding:
        return False
    return True


def _with_texts(message: Message, changes: Changes) -> Message:
    """The message with the changed system properties that `Message` has as well."""

    def changed(name: str, text: str) -> str:
        return (changes.system[name] or "") if name in changes.system else text

    return replace(
        message,
        label=changed("label", message.label),
        correlation_id=changed("correlation_id", message.correlation_id),
        message_id=changed("message_id", message.message_id),
        content_type=changed("content_type", message.content_type),
    )


def _text(value: Value) -> str:
    return "" if value is None else sqlfilter.text_of(value)
