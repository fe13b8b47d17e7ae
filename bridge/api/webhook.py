"""The handshake of CloudEvents web hooks (HTTP 1.1 Web Hooks for Event Delivery 1.0.2, section 4), which Event Grid makes before it sends.

It authenticates nobody. Consent only means that events are expected here, and each delivery needs a token like any other request. So every
sender that names itself gets consent. The callback URL that a sender may offer is never called, because the sender could choose any
address.
"""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.responses import Response

from bridge.errors import Malformed

_DNS_NAME = re.compile(r"[A-Za-z0-9*._-]{1,253}")


async def handshake(request: Request) -> Response:
    """Consent to deliveries, at any rate, from the sender that `WebHook-Request-Origin` names. Without that header, list the methods."""
    headers = {"allow": "OPTIONS, POST"}
    sender = request.headers.get("webhook-request-origin")
    if sender is None:
        return Response(headers=headers)
    if not _DNS_NAME.fullmatch(sender):
        raise Malformed(f"WebHook-Request-Origin {sender[:100]!r} is not a DNS name.", hint="Send one such as eventgrid.azure.net.")
    return Response(headers={**headers, "webhook-allowed-origin": sender, "webhook-allowed-rate": "*"})
