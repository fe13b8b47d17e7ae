from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from bridge.adapters.embedded.amqp.brokervalues import SCHEDULED, BrokerMessage
from bridge.adapters.embedded.amqp.incoming import BATCH, batch, incoming
from bridge.adapters.embedded.amqp.outgoing import bare_message, decode_properties, deliver, encode_properties
from bridge.adapters.embedded.amqp.rewriting import rewrite
from bridge.amqp.amqptypes import Described, Long, Symbol, UInt, ULong
from bridge.amqp.encode import encode
from bridge.amqp.scan import BadEncoding
from bridge.amqp.sections import Parts

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
HEADER, ANNOTATIONS, PROPERTIES, APPLICATION, DATA, SEQUENCE, VALUE, FOOTER = 0x70, 0x72, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78


def section(code: int, value: Any) -> bytes:
    return encode(Described(ULong(code), value))


def kept(encoded: bytes, **fields: Any) -> BrokerMessage:
    return BrokerMessage(7, NOW, encoded, **fields)


def test_what_a_broker_needs_is_read_from_a_message() -> None:
    at = NOW + timedelta(hours=1)
    sent = b"".join(
        (
            section(HEADER, [True, UInt(4), UInt(5000)]),
            section(0x71, {Symbol("x-opt-hop"): 1}),
            section(ANNOTATIONS, {Symbol("x-opt-scheduled-enqueue-time"): at, Symbol("x-opt-partition-key"): "p"}),
            section(PROPERTIES, ["m", None, "to", "label", "reply", "corr", Symbol("text/plain"), None, None, None, "s", None, "rs"]),
            section(APPLICATION, {"n": Long(5)}),
            section(DATA, b"one"),
            section(DATA, b"two"),
        )
    )
    found = incoming(sent)
    assert (found.message_id, found.to, found.label, found.reply_to, found.correlation_id) == ("m", "to", "label", "reply", "corr")
    assert (found.content_type, found.session_id, found.reply_to_session_id, found.partition_key) == ("text/plain", "s", "rs", "p")
    assert (found.properties, type(found.properties["n"])) == ({"n": 5}, Long)
    assert (found.body, found.time_to_live, found.scheduled) == (b"onetwo", timedelta(seconds=5), at)
    assert (found.durable, found.priority) == (True, 4)
    assert found.encoded == sent[len(section(HEADER, [True, UInt(4), UInt(5000)])) + len(section(0x71, {Symbol("x-opt-hop"): 1})) :]


@pytest.mark.parametrize(
    ("given", "text"),
    [(ULong(2**63), str(2**63)), (UUID(int=5), str(UUID(int=5))), (b"\x01\xff", "01ff"), ("text", "text")],
)
def test_ids_of_all_types_are_known_as_text_and_sent_on_as_they_came(given: Any, text: str) -> None:
    found = incoming(section(PROPERTIES, [given, None, None, None, None, given]) + section(DATA, b""))
    assert (found.message_id, found.correlation_id) == (text, text)
    assert encode(given) in found.encoded


@pytest.mark.parametrize("properties", [None, [], [None, None, "to"]])
def test_a_message_without_an_id_is_given_one_and_keeps_the_rest(properties: list[Any] | None) -> None:
    before = section(ANNOTATIONS, {Symbol("x-opt-mine"): 1})
    sent = before + (b"" if properties is None else section(PROPERTIES, properties)) + section(DATA, b"x")
    found = incoming(sent)
    assert len(found.message_id) == 32
    again = incoming(found.encoded)
    assert (again.message_id, again.body, again.to) == (found.message_id, b"x", "to" if properties else "")
    assert found.encoded.startswith(before)


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (section(VALUE, "text"), b"text"),
        (section(VALUE, b"bytes"), b"bytes"),
        (section(VALUE, 7), b""),
        (section(SEQUENCE, [1, 2]) + section(SEQUENCE, [3]), b""),
        (b"", b""),
    ],
)
def test_bodies_of_other_forms_keep_their_bytes(body: bytes, read: bytes) -> None:
    found = incoming(section(PROPERTIES, ["m"]) + body + section(FOOTER, {Symbol("f"): 1}))
    assert found.body == read
    assert deliver(kept(found.encoded), None).endswith(body + section(FOOTER, {Symbol("f"): 1}))


def test_sections_described_by_name_or_at_length_are_understood() -> None:
    long = b"\x00\x80" + PROPERTIES.to_bytes(8, "big") + encode(["m"])
    named = b"\x00" + encode(Symbol("amqp:data:binary")) + encode(b"x")
    found = incoming(long + named)
    assert (found.message_id, found.body) == ("m", b"x")
    assert incoming(deliver(kept(found.encoded), NOW)).body == b"x"


def test_a_batch_is_taken_apart_and_its_envelope_left() -> None:
    inner = [section(PROPERTIES, [str(number)]) + section(DATA, b"x") for number in range(3)]
    sent = section(PROPERTIES, ["envelope"]) + b"".join(section(DATA, each) for each in inner)
    assert [each.message_id for each in batch(sent, BATCH)] == ["0", "1", "2"]
    assert [each.message_id for each in batch(inner[0], 0)] == ["0"]


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"\xa0\x01x", id="no section"),
        pytest.param(section(DATA, b"x") + section(PROPERTIES, ["m"]), id="sections in a wrong order"),
        pytest.param(section(PROPERTIES, ["m"]) * 2, id="a section twice"),
        pytest.param(section(PROPERTIES, {"a": 1}), id="properties that are no list"),
        pytest.param(section(APPLICATION, [1]), id="application properties that are no map"),
        pytest.param(section(0x79, [1]), id="an unknown section"),
        pytest.param(section(APPLICATION, {"a": "x" * 70_000}), id="more properties than 64 KiB"),
        pytest.param(section(DATA, b"x")[:-1], id="cut off"),
    ],
)
def test_what_is_no_message_is_refused(sent: bytes) -> None:
    with pytest.raises(BadEncoding):
        incoming(sent)


def test_a_receiver_is_told_what_the_broker_knows() -> None:
    stored = kept(
        bare_message(b"x", message_id="m", properties={"kept": 1, "changed": "old"}),
        expires=NOW + timedelta(minutes=1),
        delivery_count=3,
        state=SCHEDULED,
        scheduled_for=NOW + timedelta(seconds=9),
        dead_letter_source="orders",
        properties_to_add={"changed": Long(5), "DeadLetterReason": "why"},
        priority=7,
        durable=True,
    )
    token = uuid4()
    parts = Parts(deliver(stored, NOW + timedelta(seconds=30), token))
    assert parts.fields(HEADER) == [True, 7, 60_000, None, 3]
    assert parts.mapping(0x71) == {"x-opt-lock-token": token}
    assert parts.mapping(ANNOTATIONS) == {
        "x-opt-sequence-number": 7,
        "x-opt-enqueue-sequence-number": 7,
        "x-opt-enqueued-time": NOW,
        "x-opt-message-state": 2,
        "x-opt-locked-until": NOW + timedelta(seconds=30),
        "x-opt-deadletter-source": "orders",
        "x-opt-scheduled-enqueue-time": NOW + timedelta(seconds=9),
    }
    properties = parts.mapping(APPLICATION, typed=True)
    assert properties == {"kept": 1, "changed": 5, "DeadLetterReason": "why"}
    assert type(properties["changed"]) is Long
    types = {key: type(value) for key, value in parts.mapping(ANNOTATIONS, typed=True).items()}
    assert (types["x-opt-sequence-number"], types["x-opt-message-state"].__name__) == (Long, "Int")


def test_annotations_of_the_sender_stay_but_for_those_that_are_the_brokers() -> None:
    sent = section(ANNOTATIONS, {Symbol("x-opt-mine"): "kept", Symbol("x-opt-sequence-number"): Long(99)}) + section(DATA, b"x")
    found = Parts(deliver(kept(incoming(sent).encoded), None)).mapping(ANNOTATIONS)
    assert (found["x-opt-mine"], found["x-opt-sequence-number"]) == ("kept", 7)


def test_a_message_is_rewritten_where_it_is_asked_to_be_and_nowhere_else() -> None:
    sent = b"".join(
        (
            section(ANNOTATIONS, {Symbol("x-opt-mine"): 1}),
            section(PROPERTIES, ["m", b"user", "to", "label", None, None, Symbol("text/plain")]),
            section(APPLICATION, {"keep": Long(1), "drop": 2, "change": 3}),
            section(DATA, b"x"),
            section(FOOTER, {Symbol("f"): 1}),
        )
    )
    found = rewrite(
        sent,
        system={"label": "new", "to": None, "session_id": "s", "content_type": "a/b", "partition_key": "p"},
        application={"change": "c", "add": True},
        removed=["drop"],
    )
    read = incoming(found)
    assert (read.label, read.to, read.session_id, read.content_type, read.partition_key) == ("new", "", "s", "a/b", "p")
    assert read.properties == {"keep": 1, "change": "c", "add": True}
    assert found.endswith(section(DATA, b"x") + section(FOOTER, {Symbol("f"): 1}))
    assert Parts(found).fields(PROPERTIES)[1] == b"user"
    assert rewrite(sent, system={}, application={}) == sent
    assert incoming(rewrite(section(DATA, b"x"), system={}, application={"a": 1})).properties == {"a": 1}


def test_what_the_bridge_sends_is_a_message() -> None:
    found = incoming(bare_message(b"{}", message_id="m", correlation_id="c", label="l", to="t", content_type="a/b", session_id="s"))
    assert (found.message_id, found.correlation_id, found.label, found.to, found.content_type) == ("m", "c", "l", "t", "a/b")
    assert (found.session_id, found.body) == ("s", b"{}")


def test_properties_are_stored_with_their_types() -> None:
    found = decode_properties(encode_properties({"long": Long(1), "time": NOW, "id": UUID(int=1), "nothing": None}))
    assert found == {"long": 1, "time": NOW, "id": UUID(int=1), "nothing": None}
    assert type(found["long"]) is Long
    with pytest.raises(BadEncoding):
        decode_properties(encode([1]))
