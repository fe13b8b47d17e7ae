"""A Service Bus namespace, by Azure's own client: what the bridge needs of the broker beside its bus."""

from __future__ import annotations

from bridge.adapters.servicebus.deadletters import AzureDeadLetters
from bridge.adapters.servicebus.requester import AzureRequester

__all__ = ["AzureDeadLetters", "AzureRequester"]
