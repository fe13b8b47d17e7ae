"""The messages of Azure's worker protocol as classes of protobuf. Importing this imports protobuf."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError

from bridge.local.functions.rpc import protofile

_FOLDER = Path(__file__).parent
_RPC = protofile.classes(_FOLDER / "functionrpc.proto")
_SETTLEMENT = protofile.classes(_FOLDER / "settlement.proto")

StreamingMessage: Any = _RPC["StreamingMessage"]
TypedData: Any = _RPC["TypedData"]
RpcLog: Any = _RPC["RpcLog"]
StatusResult: Any = _RPC["StatusResult"]
BindingInfo: Any = _RPC["BindingInfo"]
RpcRetryOptions: Any = _RPC["RpcRetryOptions"]

__all__ = ["BindingInfo", "Empty", "RpcLog", "RpcRetryOptions", "StatusResult", "StreamingMessage", "TypedData", "reader", "settlement"]


def settlement(name: str) -> Any:
    """The class of a message of the service `Settlement`."""
    return _SETTLEMENT[name]


def reader(kind: Any) -> Callable[[bytes], Any]:
    """What reads a message of this class; the message is None where the bytes are none."""

    def read(data: bytes) -> Any:
        try:
            return kind.FromString(data)
        except DecodeError:
            return None

    return read
