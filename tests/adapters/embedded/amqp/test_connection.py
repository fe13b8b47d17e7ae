from __future__ import annotations

import asyncio

import pytest

from bridge.adapters.embedded.amqp.incoming import incoming
from bridge.adapters.embedded.amqp.outgoing import bare_message
from bridge.adapters.embedded.amqp.service import Bounds
from bridge.amqp import frames, performatives
from bridge.amqp.amqptypes import Described, Symbol, UInt, ULong
from bridge.amqp.encode import encode
from bridge.amqp.performatives import ATTACH, BEGIN, DETACH, DISPOSITION, END, FLOW, OPEN, SASL_OUTCOME, TRANSFER
from bridge.amqp.sections import Parts
from tests.adapters.embedded.amqp.conftest import ENTITIES
from tests.adapters.embedded.amqp.connection_kit import codes, send, state
from tests.adapters.embedded.amqp.memory_broker import MemoryBroker
from tests.adapters.embedded.amqp.raw_client import ACCEPTED, MODIFIED, RELEASED, RawClient, message, opened, sas
from tests.adapters.embedded.amqp.sdk_kit import KEY, KEY_NAME


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker(ENTITIES)


async def test_a_connection_opens_whatever_mechanism_without_a_secret_is_chosen(broker: MemoryBroker) -> None:
    for mechanism in ("MSSBCBS", "ANONYMOUS", "EXTERNAL"):
        assert codes(RawClient(broker).open(mechanism=mechanism)) == [OPEN]


async def test_all_may_come_in_one_piece_or_byte_by_byte(broker: MemoryBroker) -> None:
    first = RawClient(broker)
    spoken: list[bytes] = []
    listen = first.connection.receive
    first.connection.receive = lambda data: (spoken.append(data), listen(data))[1]  # type: ignore[method-assign]
    first.open()
    first.begin()
    second, third = RawClient(broker), RawClient(broker)
    assert codes(second.say(b"".join(spoken)))[-2:] == [OPEN, BEGIN]
    heard = [each for data in spoken for byte in data for each in third.say(bytes((byte,)))]
    assert codes(heard)[-2:] == [OPEN, BEGIN]


async def test_a_key_by_sasl_plain_allows_everything_and_a_wrong_one_ends_the_connection(broker: MemoryBroker) -> None:
    client = RawClient(broker)
    assert codes(client.open(mechanism="PLAIN", initial=f"\0{KEY_NAME}\0{KEY}".encode())) == [OPEN]
    client.begin()
    assert codes(client.attach_sender("plain")[1]) == [ATTACH, FLOW]
    stranger = RawClient(broker)
    stranger.say(frames.SASL_HEADER)
    init = Described(ULong(performatives.SASL_INIT), [Symbol("PLAIN"), f"\0{KEY_NAME}\0wrong".encode()])
    said = stranger.say(frames.frame(0, encode(init), frames.SASL))
    assert [(each.code, each.fields[0]) for each in said] == [(SASL_OUTCOME, 1)]
    assert stranger.connection.is_over


@pytest.mark.parametrize(
    "token",
    [
        sas("sb://127.0.0.1/", key="wrong"),
        sas("sb://127.0.0.1/", expires=1),
        sas("sb://127.0.0.1/", name="another"),
        "eyJhbGciOiJub25lIn0.e30.",
        "SharedAccessSignature sr=&sig=&se=&skn=",
        "SharedAccessSignature " + "x" * 10_000,
    ],
)
async def test_a_token_that_is_worth_nothing_is_answered_with_401(broker: MemoryBroker, token: str) -> None:
    client = RawClient(broker)
    client.open()
    client.begin()
    (reply,) = client.authorize(token)
    assert Parts(reply.payload).mapping(0x74)["status-code"] == 401
    attach, detach = client.attach_sender("plain")[1]
    assert (attach.termini[1], detach.condition) == (None, "amqp:unauthorized-access")


async def test_a_token_allows_its_entity_and_what_is_below_it_only(broker: MemoryBroker) -> None:
    client = RawClient(broker)
    client.open()
    client.begin()
    client.authorize(sas("amqps://127.0.0.1/Plain"))
    assert codes(client.attach_sender("plain")[1]) == [ATTACH, FLOW]
    assert codes(client.attach_receiver("/plain/$DeadLetterQueue")[1]) == [ATTACH]
    assert codes(client.attach_sender("plain/$management")[1]) == [ATTACH, FLOW]
    for other in ("three", "plainer", "events"):
        assert client.attach_sender(other)[1][-1].condition == "amqp:unauthorized-access"


async def test_a_link_ends_when_its_token_has_expired(broker: MemoryBroker) -> None:
    client = RawClient(broker)
    client.open()
    client.begin()
    client.authorize(sas("sb://127.0.0.1/plain", expires=client.now + 100))
    handle, _ = client.attach_sender("plain")
    client.connection.drop_unauthorized()
    assert client.heard() == []
    client.now += 200
    client.connection.drop_unauthorized()
    (said,) = client.heard()
    assert (said.code, said.fields[0], said.condition) == (DETACH, handle, "amqp:unauthorized-access")


async def test_a_message_goes_in_and_out(broker: MemoryBroker) -> None:
    client = opened(broker)
    await send(client, b"one", b"two")
    handle, said = client.attach_receiver("/plain")
    assert codes(said) == [ATTACH]
    first, second = client.credit(handle, 10)
    assert [incoming(each.payload).body for each in (first, second)] == [b"one", b"two"]
    assert len(first.fields[2]) == 16
    client.settle(first.fields[1], state(ACCEPTED), last=second.fields[1])
    said = await client.settled()
    assert [each.fields[:4] for each in said] == [[False, number, number, True] for number in (first.fields[1], second.fields[1])]
    assert not broker.queue("plain").entries


async def test_an_outcome_is_confirmed_in_kind(broker: MemoryBroker) -> None:
    client = opened(broker)
    await send(client, b"x")
    handle, _ = client.attach_receiver("plain")
    (delivery,) = client.credit(handle, 1)
    client.settle(delivery.fields[1], state(MODIFIED, True, False, {Symbol("n"): 5}))
    (said,) = await client.settled()
    assert said.fields[4] == Described(MODIFIED, [True, False])
    (again,) = client.credit(handle, 1, count=1)
    assert incoming(again.payload).properties == {"n": 5}
    assert Parts(again.payload).fields(0x70)[4] == 1


async def test_messages_given_back_as_settled_are_not_answered(broker: MemoryBroker) -> None:
    client = opened(broker)
    await send(client, b"x")
    handle, _ = client.attach_receiver("plain")
    (delivery,) = client.credit(handle, 1)
    client.settle(delivery.fields[1], state(RELEASED), settled=True)
    assert await client.settled() == []
    assert next(iter(broker.queue("plain").entries.values())).stored.delivery_count == 0


async def test_draining_uses_up_the_credit(broker: MemoryBroker) -> None:
    client = opened(broker)
    handle, _ = client.attach_receiver("plain")
    assert client.credit(handle, 10) == []
    (said,) = client.credit(handle, 10, drain=True)
    assert (said.code, said.fields[4:9]) == (FLOW, [handle, 10, 0, 0, True])
    await send(client, b"later")
    assert [each for each in client.heard() if each.code == TRANSFER] == []


async def test_no_more_is_delivered_than_the_window_of_the_session_allows(broker: MemoryBroker) -> None:
    client = opened(broker)
    client.begin(1, window=2)
    await send(client, *(str(number).encode() for number in range(5)))
    handle, _ = client.attach_receiver("plain", channel=1)
    windows = (UInt(0), UInt(2), UInt(0), UInt(5000))
    said = client.frame(FLOW, *windows, UInt(handle), UInt(0), UInt(5), channel=1)
    assert codes(said) == [TRANSFER, TRANSFER]
    said = client.frame(FLOW, UInt(2), UInt(1), UInt(0), UInt(5000), channel=1)
    assert codes(said) == [TRANSFER]
    said = client.frame(FLOW, UInt(3), UInt(100), UInt(0), UInt(5000), channel=1)
    assert codes(said) == [TRANSFER, TRANSFER]


async def test_a_message_of_many_frames_is_put_together_and_taken_apart(broker: MemoryBroker) -> None:
    client = RawClient(broker)
    client.open(max_frame=512)
    client.begin()
    client.authorize()
    sender, _ = client.attach_sender("plain")
    whole = message(b"x" * 10_000)
    for start in range(0, len(whole), 400):
        client.transfer(sender, 0, whole[start : start + 400], more=start + 400 < len(whole))
    assert codes(await client.settled()) == [DISPOSITION]
    handle, _ = client.attach_receiver("plain")
    said = client.credit(handle, 1)
    assert [each.fields[5] for each in said] == [True] * (len(said) - 1) + [False]
    assert incoming(b"".join(each.payload for each in said)).body == b"x" * 10_000


async def test_a_message_that_is_too_large_is_refused_and_its_link_stays(broker: MemoryBroker) -> None:
    client = opened(broker, Bounds(max_message=1000))
    handle, _ = client.attach_sender("plain")
    for part in range(10):
        said = client.transfer(handle, 0, b"x" * 500, more=part < 9)
    assert [each.condition for each in said] == ["amqp:link:message-size-exceeded"]
    client.transfer(handle, 1, message(b"small"))
    assert [each.fields[4].descriptor for each in await client.settled()] == [ACCEPTED]


async def test_an_aborted_message_is_forgotten(broker: MemoryBroker) -> None:
    client = opened(broker)
    handle, _ = client.attach_sender("plain")
    client.transfer(handle, 0, b"junk", more=True)
    client.frame(TRANSFER, UInt(handle), None, None, None, None, False, None, None, None, True)
    client.transfer(handle, 1, message(b"x"))
    assert [each.fields[1] for each in await client.settled()] == [1]


async def test_what_is_no_message_is_refused(broker: MemoryBroker) -> None:
    client = opened(broker)
    handle, _ = client.attach_sender("plain")
    (said,) = client.transfer(handle, 0, b"\x00\x53\x73\xc0\xff")
    assert said.condition == "amqp:decode-error"


@pytest.mark.parametrize(
    ("address", "condition"),
    [("missing", "amqp:not-found"), ("sessions", "amqp:not-allowed"), ("", "amqp:invalid-field")],
)
async def test_a_receiver_that_cannot_be_is_refused_with_the_reason(broker: MemoryBroker, address: str, condition: str) -> None:
    attach, detach = opened(broker).attach_receiver(address)[1]
    assert (attach.termini[0], detach.condition) == (None, condition)


@pytest.mark.parametrize("address", ["plain", "/plain", "PLAIN", "sb://127.0.0.1:5672/plain", "amqps://host/plain/"])
async def test_an_address_may_have_scheme_and_host(broker: MemoryBroker, address: str) -> None:
    assert codes(opened(broker).attach_sender(address)[1]) == [ATTACH, FLOW]


async def test_transactions_are_refused_by_name(broker: MemoryBroker) -> None:
    client = opened(broker)
    target = Described(ULong(performatives.COORDINATOR), [])
    source = Described(ULong(0x28), ["me"])
    attach, detach = client.frame(ATTACH, "tx", UInt(9), False, None, None, source, target)
    assert (attach.termini[1], detach.condition) == (None, "amqp:not-implemented")


async def test_nothing_is_sent_or_settled_as_part_of_a_transaction(broker: MemoryBroker) -> None:
    client = opened(broker)
    within = Described(ULong(0x34), [b"tx"])
    handle, _ = client.attach_sender("plain")
    frame = frames.frame(
        0, encode(Described(ULong(TRANSFER), [UInt(handle), UInt(0), b"t", UInt(0), False, False, None, within])) + message(b"x")
    )
    assert [each.condition for each in client.say(frame)] == ["amqp:not-implemented"]
    assert await client.settled() == []
    assert not broker.queue("plain").entries
    await send(client, b"x")
    receiver, _ = client.attach_receiver("plain")
    (delivery,) = client.credit(receiver, 1)
    assert [each.condition for each in client.settle(delivery.fields[1], within)] == ["amqp:not-implemented"]
    assert len(broker.queue("plain").entries) == 1


@pytest.mark.parametrize("described", [True, False])
async def test_the_session_that_was_locked_is_named_in_the_form_of_the_question(broker: MemoryBroker, described: bool) -> None:
    client = opened(broker)
    await broker.send("sessions", [incoming(_with_session("a"))])
    asked = Described(ULong(0x137000000C), None) if described else None
    _, said = client.attach_receiver("sessions", filters={Symbol("com.microsoft:session-filter"): asked})
    assert said == []
    (attach,) = await client.settled()
    chosen = attach.fields[5].value[7]["com.microsoft:session-filter"]
    assert chosen == (Described(0x137000000C, "a") if described else "a")
    assert attach.fields[13]["com.microsoft:locked-until-utc"] > 621_355_968_000_000_000


def _with_session(session: str) -> bytes:
    return bare_message(b"x", message_id="m", session_id=session)


async def test_a_wait_for_a_session_that_is_detached_takes_no_later_session(broker: MemoryBroker) -> None:
    client = opened(broker)
    handle, _ = client.attach_receiver("sessions", filters={Symbol("com.microsoft:session-filter"): None})
    await asyncio.sleep(0.01)
    assert codes(client.frame(DETACH, UInt(handle), True)) == [DETACH]
    assert codes(client.frame(END)) == [END]
    await asyncio.sleep(0.01)
    await broker.send("sessions", [incoming(_with_session("later"))])
    assert broker.queue("sessions").held == {}


async def test_a_wait_for_a_session_ends_after_the_time_that_was_asked_for(broker: MemoryBroker) -> None:
    client = opened(broker)
    filters = {Symbol("com.microsoft:session-filter"): None}
    client.attach_receiver("sessions", filters=filters, **{"com.microsoft__timeout": UInt(50)})
    _, detach = await client.settled()
    assert detach.condition == "com.microsoft:timeout"
