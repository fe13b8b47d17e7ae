"""What is open on a connection to a namespace: tokens, links that send, and links that ask for locks to be renewed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from bridge.amqp.amqptypes import Array, UInt, time_of
from bridge.amqp.client import AmqpClient
from bridge.amqp.clientframes import PeerError
from bridge.amqp.clientlinks import RequestLinks, SenderLink
from bridge.local.functions.servicebus.namespaces import NamespaceAddress
from bridge.local.functions.servicebus.tokens import TokenError

log = logging.getLogger("bridge.functions")

ANSWER = 30.0  #: seconds that the broker may take for an answer
CONNECT = 20.0  #: seconds in which a connection must be open
UNAUTHORIZED = "amqp:unauthorized-access"
_RENEW_AFTER = 2 / 3  #: of its life, a token is shown anew
_SHORTEST = 0.2  #: seconds between two rounds of renewing tokens
_UUID = 0x98
_OK = range(200, 300)


class BrokerConnection:
    """A connection that is open. Nothing here connects again; whoever uses it makes another."""

    def __init__(self, client: AmqpClient, where: NamespaceAddress) -> None:
        self.client = client
        self._where = where
        self._renew_at: dict[str, float] = {}
        self._shown = asyncio.Event()
        self._cbs: RequestLinks | None = None
        self._cbs_lock = asyncio.Lock()
        self._nodes: dict[str, RequestLinks] = {}
        self._senders: dict[str, SenderLink] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    @property
    def host(self) -> str:
        """The host name of the namespace."""
        return self._where.host

    @classmethod
    async def open(cls, where: NamespaceAddress) -> BrokerConnection:
        """Connect. Raises PeerError, OSError or TimeoutError."""
        return cls(await AmqpClient.connect(where.host, where.port, where.tls, CONNECT), where)

    # --- tokens

    async def authorize(self, address: str) -> None:
        """Show a token for an address, and keep showing new ones while `keep_tokens` runs. Raises PeerError, TokenError, TimeoutError."""
        token = await self._where.tokens.token(self._where.audience(address))
        properties = {
            "operation": "put-token",
            "type": token.kind,
            "name": self._where.audience(address),
            "expiration": time_of(int(token.expires * 1000)),
        }
        reply = await (await self._token_links()).ask(properties, token.text, ANSWER)
        status = reply.properties.get("status-code")
        if not isinstance(status, int) or status not in _OK:
            raise PeerError(str(reply.properties.get("status-description") or f"the token was refused ({status})"), UNAUTHORIZED)
        now = time.time()
        self._renew_at[address] = now + (token.expires - now) * _RENEW_AFTER
        self._shown.set()

    async def _token_links(self) -> RequestLinks:
        async with self._cbs_lock:
            if self._cbs is None or not self._cbs.is_open:
                self._cbs = await RequestLinks(self.client, "$cbs").attach()
            return self._cbs

    async def keep_tokens(self) -> None:
        """Show tokens anew before they end, until cancelled."""
        while True:
            await self._shown.wait()
            await asyncio.sleep(max(min(self._renew_at.values()) - time.time(), _SHORTEST))
            for address, moment in list(self._renew_at.items()):
                if moment <= time.time():
                    await self._authorize_again(address)

    async def _authorize_again(self, address: str) -> None:
        try:
            await self.authorize(address)
        except (PeerError, TokenError, TimeoutError) as fault:
            log.warning("%s: the token for %s could not be renewed: %s", self._where.title, address, fault)
            self._renew_at[address] = time.time() + 1.0

    # --- links

    async def sender(self, address: str) -> SenderLink:
        """The link that sends to an address. Raises PeerError, TokenError, TimeoutError."""
        async with self._locks.setdefault(address, asyncio.Lock()):
            found = self._senders.get(address)
            if found is None or found.detached.done():
                await self.authorize(address)
                found = SenderLink(self.client, address)
                async with asyncio.timeout(ANSWER):
                    await self.client.attach(found)
                self._senders[address] = found
            return found

    async def _node(self, entity: str) -> RequestLinks:
        address = f"{entity}/$management"
        async with self._locks.setdefault(address, asyncio.Lock()):
            found = self._nodes.get(address)
            if found is None or not found.is_open:
                await self.authorize(address)
                found = self._nodes[address] = await RequestLinks(self.client, address).attach()
            return found

    async def _ask(self, entity: str, operation: str, body: Mapping[str, Any], link_name: str = "") -> Mapping[Any, Any]:
        """Ask the entity's $management node. Raises PeerError, TokenError, TimeoutError."""
        properties = {"operation": f"com.microsoft:{operation}", "com.microsoft:server-timeout": UInt(int(ANSWER * 1000))}
        if link_name:
            properties["associated-link-name"] = link_name
        async with asyncio.timeout(ANSWER):
            reply = await (await self._node(entity)).ask(properties, dict(body), ANSWER)
        status = reply.properties.get("statusCode")
        if not isinstance(status, int) or status not in _OK:
            condition = str(reply.properties.get("errorCondition") or "")
            raise PeerError(str(reply.properties.get("statusDescription") or f"{operation} was refused ({status})"), condition)
        return reply.body if isinstance(reply.body, Mapping) else {}

    async def renew_lock(self, entity: str, token: UUID) -> datetime | None:
        """Lock a message anew; returns when the lock ends. Raises PeerError, TokenError, TimeoutError."""
        found = (await self._ask(entity, "renew-lock", {"lock-tokens": Array(_UUID, [token])})).get("expirations")
        return found[0] if isinstance(found, list) and found and isinstance(found[0], datetime) else None

    async def renew_session(self, entity: str, session_id: str, link_name: str) -> datetime | None:
        """Lock a session anew; returns when the lock ends. Raises PeerError, TokenError, TimeoutError."""
        found = (await self._ask(entity, "renew-session-lock", {"session-id": session_id}, link_name)).get("expiration")
        return found if isinstance(found, datetime) else None

    async def session_state(self, entity: str, session_id: str, link_name: str) -> bytes:
        """What is kept for a session; nothing by default. Raises PeerError, TokenError, TimeoutError."""
        found = (await self._ask(entity, "get-session-state", {"session-id": session_id}, link_name)).get("session-state")
        return found if isinstance(found, bytes) else b""

    async def set_session_state(self, entity: str, session_id: str, link_name: str, state: bytes) -> None:
        """Keep something for a session. Raises PeerError, TokenError, TimeoutError."""
        await self._ask(entity, "set-session-state", {"session-id": session_id, "session-state": state or None}, link_name)

    async def update_disposition(self, entity: str, token: UUID, status: str) -> None:
        """Settle a message whose link is gone, by its lock. Raises PeerError, TokenError, TimeoutError."""
        await self._ask(entity, "update-disposition", {"disposition-status": status, "lock-tokens": Array(_UUID, [token])})


def seconds_until(moment: datetime | None, otherwise: float) -> float:
    """From now; `otherwise` if the moment is not known."""
    return otherwise if moment is None else max((moment - datetime.now(moment.tzinfo)) / timedelta(seconds=1), 0.0)
