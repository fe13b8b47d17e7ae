"""Catalogues, policies and settings to compare, as their files would say it."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from bridge import catalog, resilience
from bridge.api.configuration import configuration
from bridge.client import ConfigurationView
from bridge.rollout import RolloutChange, changes
from bridge.settings import Settings

HTTP = {"name": "here", "http": {"app": "shop", "path": "/api/items"}}
TOPIC = {"name": "there", "topic": {"name": "work", "attempts": 2}}


def automation(name: str = "one", **spec: Any) -> dict[str, Any]:
    usual = {"input": {"type": "object"}, "deadline": "5m", "targets": [HTTP]}
    return {"apiVersion": "bridge/v1", "kind": "Automation", "metadata": {"name": name}, "spec": {**usual, **spec}}


def policies(timeout: str = "10s", breaker: dict[str, Any] | None = None, **retry: Any) -> dict[str, Any]:
    spec: dict[str, Any] = {"timeouts": {"DefaultAppTimeoutPolicy": timeout}}
    spec["retries"] = {"DefaultAppRetryPolicy": {"policy": "constant", "duration": "1s", "maxRetries": 3, **retry}}
    if breaker is not None:
        spec["circuitBreakers"] = {"DefaultAppCircuitBreakerPolicy": breaker}
    return {"apiVersion": "dapr.io/v1alpha1", "kind": "Resiliency", "metadata": {"name": "r"}, "spec": {"policies": spec}}


def side(*automations: dict[str, Any], rules: dict[str, Any] | None = None, **settings: Any) -> ConfigurationView:
    with TemporaryDirectory() as folder:
        files = Path(folder, "automations.yaml"), Path(folder, "resiliency.yaml")
        files[0].write_text(yaml.dump_all(automations or [automation()]))
        files[1].write_text(yaml.dump(rules or policies()))
        return configuration(catalog.load(files[0]), resilience.load(files[1]), Settings.model_validate(settings))


def between(before: ConfigurationView, after: ConfigurationView) -> dict[str, RolloutChange]:
    """The changes by their kind; each kind stands once."""
    found = changes(before, after)
    assert len({each.kind.name for each in found}) == len(found), [each.message for each in found]
    return {each.kind.name: each for each in found}
