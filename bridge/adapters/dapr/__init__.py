"""The dapr runtime: bus and store are components of a Dapr sidecar, which the bridge calls over HTTP on loopback."""

from bridge.adapters.dapr.components import DaprComponents
from bridge.adapters.dapr.config import SidecarConfig
from bridge.adapters.dapr.runtime import DaprRuntime

__all__ = ["DaprComponents", "DaprRuntime", "SidecarConfig"]
