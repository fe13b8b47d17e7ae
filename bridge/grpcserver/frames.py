"""Frames of HTTP/2 (RFC 9113), and the headers with which gRPC answers."""

from __future__ import annotations

from urllib.parse import quote

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MAX_FRAME, WINDOW, MAX_WINDOW = 16384, 65535, 2**31 - 1  # what RFC 9113 has both sides begin with, and its largest window
DATA, HEADERS, RST_STREAM, SETTINGS, PUSH, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 5, 6, 7, 8, 9
ACK = END_STREAM = 0x1
END_HEADERS, PADDED, PRIORITY = 0x4, 0x8, 0x20
PROTOCOL_ERROR, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, COMPRESSION_ERROR = 1, 3, 6, 9
REPLENISH = 2**20  #: bytes received after which the peer may send as many more
_READABLE = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")
_LONGEST = 1000  #: characters of the text of a status


class Http2Error(Exception):
    """The peer did something that ends the connection with this code of RFC 9113."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def frame(kind: int, flags: int, stream: int, payload: bytes | memoryview) -> bytes:
    """The bytes of a frame, whose payload has 16,384 bytes at most."""
    return b"".join((len(payload).to_bytes(3, "big"), bytes((kind, flags)), stream.to_bytes(4, "big"), payload))


def window_update(stream: int, size: int) -> bytes:
    """The frame that lets the peer send so many bytes more; `stream` is 0 for the connection."""
    return frame(WINDOW_UPDATE, 0, stream, size.to_bytes(4, "big"))


def literal(name: bytes, value: bytes) -> bytes:
    """A header that enters no table of the compression (RFC 7541, 6.2.2)."""
    return b"\x00" + _length(len(name)) + name + _length(len(value)) + value


def _length(size: int) -> bytes:
    """A length with a prefix of 7 bits (RFC 7541, 5.1)."""
    if size < 127:
        return bytes((size,))
    written, size = bytearray(b"\x7f"), size - 127
    while size >= 128:
        written.append(size % 128 + 128)
        size //= 128
    return bytes([*written, size])


RESPONSE = b"\x88" + literal(b"content-type", b"application/grpc")  # 0x88 is ":status: 200"
SUCCESS = literal(b"grpc-status", b"0")


def status(code: int, message: str) -> bytes:
    """The trailers of a call that did not succeed. The text is percent-encoded, as gRPC over HTTP/2 wants it."""
    return literal(b"grpc-status", b"%d" % code) + literal(b"grpc-message", quote(message[:_LONGEST], safe=_READABLE).encode())


def unpadded(flags: int, payload: bytes) -> bytes:
    """The payload without its padding. Raises Http2Error."""
    if not flags & PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise Http2Error(PROTOCOL_ERROR)
    return payload[1 : len(payload) - payload[0]]
