"""Reads where the sidecar is and which components to use, from Dapr's environment variables and the settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge.errors import ConfigurationError
from bridge.settings import Settings, is_loopback

HTTP_PORT, APP_PORT = 3500, 8081  #: where nothing says otherwise
_LOOPBACK = (
    "host {}: expected a loopback address such as 127.0.0.1, because APP_API_TOKEN is not set and nothing tells the sidecar's deliveries "
    "from forged ones. Give the sidecar and the bridge one APP_API_TOKEN."
)


@dataclass(frozen=True)
class SidecarConfig:
    """The address of the sidecar, the port for its deliveries, and the names of the components.

    Queues are on the component `queues`. If there is none of that name (only Service Bus needs one), they are on `bus`.
    """

    address: str  #: such as http://127.0.0.1:3500
    app_port: int  #: where the sidecar delivers messages (its --app-port); 0 takes a free one
    app_token: str = field(repr=False)  #: what the sidecar must show there (its APP_API_TOKEN); empty: it need not
    api_token: str = field(default="", repr=False)  #: what it wants to be shown (its DAPR_API_TOKEN)
    bus: str = "bus"
    queues: str = "queues"
    store: str = "store"
    patience: float | None = 60.0  #: seconds to wait for it at the start; None waits without end

    @classmethod
    def read(cls, settings: Settings, environ: Mapping[str, str]) -> SidecarConfig:
        """Read Dapr's variables and the settings. Raises ConfigurationError."""
        port = _port(environ, "DAPR_HTTP_PORT", HTTP_PORT)
        app_port = _port(environ, "APP_PORT", APP_PORT) if settings.deliveries_port is None else settings.deliveries_port
        app_token = environ.get("APP_API_TOKEN", "")
        if not app_token and not is_loopback(settings.host):
            raise ConfigurationError([_LOOPBACK.format(settings.host)])
        return cls(
            address=environ.get("DAPR_HTTP_ENDPOINT") or f"http://127.0.0.1:{port}",
            app_port=app_port,
            app_token=app_token,
            api_token=environ.get("DAPR_API_TOKEN", ""),
            bus=settings.dapr_bus,
            queues=settings.dapr_queues,
            store=settings.dapr_store,
            patience=None,
        )


def _port(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name) or str(default)
    if not text.isdecimal() or not 0 < int(text) < 2**16:
        raise ConfigurationError([f"{name}: {text!r} is not a port; expected 1 to 65535."])
    return int(text)
