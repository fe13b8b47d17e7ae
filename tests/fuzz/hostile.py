"""What hostile or broken clients do to `bridge local servicebus`, over real sockets. Each story returns what the broker said of it.

The broker must name the fault by one of Service Bus's own conditions, go on serving others, and keep little.
"""

from __future__ import annotations

import random
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from bridge.amqp import frames, performatives
from bridge.amqp.amqptypes import Symbol, UInt
from tests.adapters.embedded.amqp.raw_client import RawClient, Said, heard_in, message, sas
from tests.adapters.embedded.amqp.sdk_kit import KEY_NAME

PATIENCE = 30  #: seconds that an answer may take
DIALOGUES = 30  #: that one story of changed bytes has
GONE = "gone"  #: the connection ended without a word, as where a client has not begun to speak AMQP
_EVERYTHING = "sb://127.0.0.1/"
_PART = bytes(60_000)


class WireClient(RawClient):
    """A client that says whatever a story wants, over a socket. What it is answered is read when the story asks for it."""

    def __init__(self, port: int, key: str) -> None:
        self.key, self._handles, self._buffer = key, 0, b""
        self._said: list[Said] = []
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)

    def say(self, data: bytes) -> list[Said]:
        self.socket.sendall(data)
        return []

    def until(self, *codes: int) -> Said | None:
        """The next frame with one of the codes; None if the connection ends before."""
        while True:
            while self._said:
                if (said := self._said.pop(0)).code in codes:
                    return said
            try:
                data = self.socket.recv(2**20)
            except ConnectionError:
                data = b""
            if not data:
                return None
            self._buffer += data
            whole = _whole(self._buffer)
            self._said, self._buffer = list(heard_in(self._buffer[:whole])), self._buffer[whole:]

    def fault(self, *codes: int) -> str:
        """The condition in the next frame with one of the codes, which by default end the connection, a session or a link."""
        said = self.until(*(codes or (performatives.CLOSE, performatives.END, performatives.DETACH)))
        return GONE if said is None else said.condition


def _whole(data: bytes) -> int:
    """Up to where there are only whole frames."""
    position = 0
    while len(data) - position >= 8:
        size = 8 if data[position : position + 4] == b"AMQP" else struct.unpack_from(">I", data, position)[0]
        if position + size > len(data):
            break
        position += size
    return position


class Hostile:
    """Opens clients to one broker. `key` is the one that its connection string has."""

    def __init__(self, port: int, key: str, seed: int = 0) -> None:
        self.port, self.key, self.random = port, key, random.Random(seed)

    @contextmanager
    def client(self, *, opened: bool = True, token: str | None = None) -> Iterator[WireClient]:
        """A client that has put a token for everything, unless another is given."""
        client = WireClient(self.port, self.key)
        with client.socket:
            if opened:
                client.open()
                client.begin()
                client.authorize(token or sas(_EVERYTHING, key=self.key, name=KEY_NAME))
                client.until(performatives.TRANSFER)
            yield client


def frames_cut_off(broker: Hostile) -> str:
    """Connections that end in the middle of what they say."""
    spoken = frames.SASL_HEADER + frames.frame(0, b"\x00\x53\x41\xc0\x0c\x01\xa3\x09ANONYMOUS", frames.SASL) + frames.AMQP_HEADER
    for length in range(0, len(spoken), 7):
        with broker.client(opened=False) as client:
            client.say(spoken[:length])
    return GONE


def frames_of_wrong_sizes(broker: Hostile) -> str:
    """Frames that are smaller than their head, larger than allowed, or begin behind their end."""
    said = set()
    for head in (">IBBH", 7, 2, 0, 0), (">IBBH", 100_000_000, 2, 0, 0), (">IBBH", 16, 200, 0, 0), (">IBBH", 16, 1, 0, 0):
        with broker.client() as client:
            client.say(struct.pack(*head) + bytes(64))
            said.add(client.fault())
    return ", ".join(sorted(said))


def unknown_performatives(broker: Hostile) -> str:
    said = set()
    for code in (0x19, 0x00, 0xFFFF):
        with broker.client() as client:
            client.frame(code, UInt(1))
            said.add(client.fault())
    return ", ".join(sorted(said))


def a_message_of_100_megabytes(broker: Hostile) -> str:
    """In frames of the largest size; the client does not wait for an answer."""
    with broker.client() as client:
        handle, _ = client.attach_sender("plain")
        for _ in range(100_000_000 // len(_PART)):
            client.transfer(handle, 0, _PART, more=True)
        client.transfer(handle, 0, b"")
        return client.fault(performatives.DISPOSITION, performatives.CLOSE)


def messages_that_never_end(broker: Hostile) -> str:
    """Parts of messages on many links, none of which is finished."""
    with broker.client() as client:
        for _ in range(20):
            handle, _ = client.attach_sender("plain")
            for _ in range(14):
                client.transfer(handle, 0, _PART, more=True)
        return client.fault(performatives.CLOSE)


def very_many_links(broker: Hostile) -> str:
    """Until the broker takes no more, and some after that."""
    with broker.client() as client:
        said = set()
        for channel in range(1, 18):
            client.begin(channel)
            client._handles = 0
            for _ in range(250):
                client.attach_receiver("plain", channel=channel)
        while len(said) < 1:
            said.add(client.fault())
        return ", ".join(said)


def very_many_links_in_one_session(broker: Hostile) -> str:
    with broker.client() as client:
        for _ in range(300):
            client.attach_sender("plain")
        return client.fault()


def very_many_sessions(broker: Hostile) -> str:
    with broker.client() as client:
        for channel in range(1, 1100):
            client.begin(channel)
        return client.fault()


def very_many_connections(broker: Hostile) -> str:
    """Those that are one too many are not taken; the others stay."""
    with ExitStack() as stack:
        clients = [stack.enter_context(broker.client(opened=False)) for _ in range(1010)]
        for client in clients:
            client.socket.settimeout(0.05)
        clients[-1].socket.settimeout(PATIENCE)
        return clients[-1].fault()


def a_client_that_never_reads(broker: Hostile) -> str:
    """It asks for everything there is, again and again."""
    with broker.client() as sender:
        handle, _ = sender.attach_sender("slow")
        for number in range(40):
            whole = message(bytes(500_000))
            for start in range(0, len(whole), len(_PART)):
                sender.transfer(handle, number, whole[start : start + len(_PART)], more=start + len(_PART) < len(whole))
            sender.until(performatives.DISPOSITION)
    with broker.client() as client:
        handle, _ = client.attach_receiver("slow")
        client.socket.settimeout(2)
        try:
            for number in range(200_000):
                client.credit(handle, 1000, count=number % 40)
        except TimeoutError:
            return "not read"
    return "read on"


def a_window_that_stays_shut(broker: Hostile) -> str:
    """Deliveries wait for the window, and everything that the client asks for waits behind them."""
    with broker.client() as client:
        sender, _ = client.attach_sender("shut")
        client.transfer(sender, 0, message(b"x"))
        client.until(performatives.DISPOSITION)
        receiver, _ = client.attach_receiver("shut")
        client.credit(receiver, 10, window=0)
        time.sleep(1)  # for the message to wait for the window
        for _ in range(10_002):
            client.credit(receiver, 10, window=0, drain=True)
        return client.fault(performatives.CLOSE)


def a_wrong_key(broker: Hostile) -> str:
    with broker.client(token=sas(_EVERYTHING, key="wrong", name=KEY_NAME)) as client:
        client.attach_receiver("plain")
        return client.fault()


def entities_that_do_not_exist(broker: Hostile) -> str:
    said = set()
    with broker.client() as client:
        for address in ("missing", "events/Subscriptions/missing", "plain/$DeadLetterQueue/more", "x" * 5000, "../plain"):
            client.attach_receiver(address)
            said.add(client.fault())
            client.attach_sender(address)
            said.add(client.fault())
    return ", ".join(sorted(said))


def filters_that_do_not_parse(broker: Hostile) -> str:
    said = set()
    with broker.client() as client:
        requests, _ = client.attach_sender("events/Subscriptions/all/$management")
        replies, _ = client.attach_receiver("events/Subscriptions/all/$management")
        client.credit(replies, 100)
        texts = ("a =", "(" * 1000, "a = " * 1000, "x" * 2000, "'", "@p = 1", "1" * 500 + " = 1e999999")
        for number, text in enumerate(texts):
            rule = {"rule-name": f"r{number}", "rule-description": {"sql-filter": {"expression": text}}}
            asked = message(b"", value=rule, message_id="m", properties={"operation": "com.microsoft:add-rule"})
            client.transfer(requests, number, asked)
            reply = client.until(performatives.TRANSFER)
            assert reply is not None
            said.add("amqp:invalid-field" if b"amqp:invalid-field" in reply.payload else text)
    return ", ".join(sorted(said))


def sessions_that_cannot_be(broker: Hostile) -> str:
    """Filters of other kinds than there are, and a session where there are none."""
    said = set()
    with broker.client() as client:
        for address, wanted in (("plain", "a"), ("plain", 7), ("sessions", [1]), ("sessions", {}), ("sessions", None)):
            client.attach_receiver(address, filters={Symbol("com.microsoft:session-filter"): wanted}, **{"com.microsoft:timeout": UInt(1)})
            said.add(client.fault(performatives.DETACH))
    return ", ".join(sorted(said))


def deep_and_wide_values(broker: Hostile) -> str:
    """Lists in lists, and an array that says it has four billion items of no bytes."""
    said = set()
    deep = b"\xc0\x02\x01" * 20_000 + b"\x40"
    wide = b"\xf0\xff\xff\xff\xff\xff\xff\xff\xff\x41"
    for value in (deep, wide, b"\x00" * 30_000, b"\xd0\x00\x00\x00\x04\xff\xff\xff\xff"):
        with broker.client() as client:
            client.say(frames.frame(0, b"\x00\x53\x12" + value))
            said.add(client.fault())
    return ", ".join(sorted(said))


def a_dialogue_with_bytes_changed(broker: Hostile) -> str:
    """A good dialogue, of which some bytes are others."""
    spoken: list[bytes] = []
    recorder = WireClient.__new__(WireClient)
    recorder._handles = 0
    recorder.say = lambda data: (spoken.append(data), [])[1]  # type: ignore[method-assign, func-returns-value]
    recorder.open()
    recorder.begin()
    recorder.authorize(sas(_EVERYTHING, key=broker.key, name=KEY_NAME))
    sender, _ = recorder.attach_sender("plain")
    recorder.transfer(sender, 0, message(b"x", properties={"a": 1}))
    receiver, _ = recorder.attach_receiver("plain", delete=True)
    recorder.credit(receiver, 5)
    for _ in range(DIALOGUES):
        whole = bytearray(b"".join(spoken))
        for _ in range(broker.random.randint(1, 6)):
            whole[broker.random.randrange(len(whole))] = broker.random.randrange(256)
        with broker.client(opened=False) as client:
            try:
                client.say(bytes(whole[: broker.random.randrange(len(whole))]))
            except ConnectionError:
                continue
    return GONE


#: Each story, and what the broker says of it.
STORIES: dict[Callable[[Hostile], str], str] = {
    frames_cut_off: GONE,
    frames_of_wrong_sizes: "amqp:connection:framing-error",
    unknown_performatives: "amqp:decode-error",
    a_message_of_100_megabytes: "amqp:link:message-size-exceeded",
    messages_that_never_end: "amqp:resource-limit-exceeded",
    very_many_links: "amqp:resource-limit-exceeded",
    very_many_links_in_one_session: "amqp:session:errant-link",
    very_many_sessions: "amqp:not-allowed",
    very_many_connections: GONE,
    a_client_that_never_reads: "not read",
    a_window_that_stays_shut: "amqp:resource-limit-exceeded",
    a_wrong_key: "amqp:unauthorized-access",
    entities_that_do_not_exist: "amqp:not-found",
    filters_that_do_not_parse: "amqp:invalid-field",
    sessions_that_cannot_be: "amqp:not-allowed, com.microsoft:timeout",
    deep_and_wide_values: "amqp:decode-error",
    a_dialogue_with_bytes_changed: GONE,
}
