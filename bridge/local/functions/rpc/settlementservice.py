"""The gRPC service `Settlement`: functions settle their own messages, and work with their sessions, while they run.

Only the locks and sessions that a running call of this worker holds are served; any other is refused as lost.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from bridge.amqp.clientframes import PeerError
from bridge.grpcserver import FAILED_PRECONDITION, INVALID_ARGUMENT, UNKNOWN, GrpcError, Headers, Method
from bridge.local.functions.feed import ActionKind, Feed, FeedError, HeldSession, MessageAction
from bridge.local.functions.rpc import protocol
from bridge.local.functions.servicebus import ownoutcomes
from bridge.local.functions.servicebus.tokens import TokenError

_SERVICE = "Settlement"
_ACTIONS = {"Complete": ActionKind.COMPLETE, "Abandon": ActionKind.ABANDON, "Defer": ActionKind.DEFER, "Deadletter": ActionKind.DEAD_LETTER}
_EMPTY = ("Complete", "Abandon", "Defer", "Deadletter", "RenewMessageLock", "SetSessionState", "ReleaseSession")

#: The feed and the lock of a message that a running call holds, by its lock or by its session; None if there is none.
Holder = Callable[[str, str], tuple[Feed, str] | None]


class SettlementService:
    """Answers for the calls of one worker."""

    def __init__(self, holder: Holder) -> None:
        self._holder = holder

    def methods(self) -> dict[str, Method]:
        """What a gRPC server serves, by path."""
        own = {
            "RenewMessageLock": self._renew,
            "GetSessionState": self._state,
            "SetSessionState": self._set_state,
            "ReleaseSession": self._release,
            "RenewSessionLock": self._renew_session,
        }
        methods = {**dict.fromkeys(_ACTIONS, self._act), **own}
        return {f"/{_SERVICE}/{name}": self._method(name, work) for name, work in methods.items()}

    @staticmethod
    def _method(name: str, work: Callable[[str, Any], Awaitable[Any]]) -> Method:
        answer = protocol.Empty if name in _EMPTY else protocol.settlement(f"{name}Response")
        read = protocol.reader(protocol.settlement(f"{name}Request"))

        async def answered(message: bytes, _headers: Headers) -> bytes:
            request = read(message)
            if request is None:
                raise GrpcError(INVALID_ARGUMENT, f"this is no request of {name}")
            try:
                return bytes((await work(name, request) or answer()).SerializeToString())
            except KeyError as lost:
                raise GrpcError(FAILED_PRECONDITION, f"no running call of this worker holds {lost.args[0]!r}") from None
            except ValueError as wrong:
                raise GrpcError(INVALID_ARGUMENT, str(wrong)) from None
            except (FeedError, PeerError, TokenError, TimeoutError) as fault:
                raise GrpcError(UNKNOWN, str(fault) or "the broker has not answered") from None

        return answered

    def _held(self, lock: str, session: str = "") -> tuple[Feed, str]:
        """Raises KeyError for what no running call holds."""
        found = self._holder(lock.lower(), session)
        if found is None:
            raise KeyError(lock or session)
        return found

    async def _act(self, name: str, request: Any) -> Any:
        feed, lock = self._held(request.locktoken)
        reason = description = None
        if name == "Deadletter":
            reason = request.deadletterReason.value if request.HasField("deadletterReason") else None
            description = request.deadletterErrorDescription.value if request.HasField("deadletterErrorDescription") else None
        changes = ownoutcomes.properties(request.propertiesToModify) if name != "Complete" else {}
        await feed.act(lock, MessageAction(_ACTIONS[name], changes, reason, description))

    async def _renew(self, _name: str, request: Any) -> Any:
        feed, lock = self._held(request.locktoken)
        await feed.renew(lock)

    def _session(self, request: Any) -> HeldSession:
        feed, lock = self._held("", request.sessionId)
        return feed.session(lock)

    async def _state(self, _name: str, request: Any) -> Any:
        return protocol.settlement("GetSessionStateResponse")(sessionState=await self._session(request).state())

    async def _set_state(self, _name: str, request: Any) -> Any:
        await self._session(request).set_state(request.sessionState)

    async def _release(self, _name: str, request: Any) -> Any:
        self._session(request).release()

    async def _renew_session(self, _name: str, request: Any) -> Any:
        session = self._session(request)
        await session.renew()
        answer = protocol.settlement("RenewSessionLockResponse")()
        if session.until is not None:
            answer.lockedUntil.FromDatetime(session.until)
        return answer
