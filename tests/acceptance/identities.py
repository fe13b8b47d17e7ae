"""Where Azure gives a process its identity: the endpoint of App Service and Container Apps, and tokens that the broker of the tests takes.

azure-identity finds it by IDENTITY_ENDPOINT and IDENTITY_HEADER. A token of Microsoft Entra is worth nothing to our broker, which checks
shared access signatures, so a signature stands in its place.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from bridge.local.functions.servicebus.tokens import signed

SECRET = "header-of-the-identity-endpoint"
RESOURCE = "https://servicebus.azure.net"


@dataclass
class Identities:
    """`life` is how many seconds a token is good for; `asked` has the resource of each request.

    azure-identity shows a token that it has until `refresh_in` seconds have passed; without that, almost until it ends if it lives for less
    than half a minute.
    """

    key_name: str
    key: str
    life: float = 3600.0
    refresh_in: int = 1800
    url: str = ""
    refuses: bool = False
    asked: list[str] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """What Azure sets for a process that has an identity."""
        return {"IDENTITY_ENDPOINT": self.url, "IDENTITY_HEADER": SECRET}

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.query.get("resource", "").rstrip("/"))
        if self.refuses or request.headers.get("X-IDENTITY-HEADER") != SECRET:
            return web.json_response({"statusCode": 400, "message": "no identity has been assigned to this app"}, status=400)
        expires = time.time() + self.life
        token = signed("sb://any", self.key_name, self.key, expires)
        return web.json_response(
            {
                "access_token": token,
                "expires_on": str(int(expires)),
                "refresh_in": self.refresh_in,
                "resource": RESOURCE,
                "token_type": "Bearer",
            }
        )


@asynccontextmanager
async def identities(key_name: str, key: str) -> AsyncIterator[Identities]:
    found = Identities(key_name, key)
    server = web.Application()
    server.router.add_get("/token", found.answer)
    runner = web.AppRunner(server, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/token"
    try:
        yield found
    finally:
        await runner.cleanup()
