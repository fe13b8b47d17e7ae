"""Charts as the real Helm renders them, without a cluster."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml

from tests.sharedtools import CHECKOUT
from tools.goprograms import NotThere
from tools.helm import binaries, definitions
from tools.helm.definitions import Module

Json = dict[str, Any]
CHART = CHECKOUT / "deploy" / "chart"
KUBERNETES = "1.34.1"  #: the version that charts are rendered for and held against
RELEASE = "automation-bridge"
#: What must be given, as `deploy/azure` puts it out.
NEEDED: Json = {
    "clientId": "11111111-2222-3333-4444-555555555555",
    "sidecarEnvironment": {
        "SERVICEBUS_NAMESPACE": "bridge-abc.servicebus.windows.net",
        "KEYVAULT_NAME": "bridge-abc",
        "REDIS_HOST": "bridge-abc.westeurope.redis.azure.net:10000",
    },
    "bridgeEnvironment": {"BRIDGE_MAX_EVENT_BYTES": "256000", "BRIDGE_MAX_INPUT_BYTES": "200000", "BRIDGE_MAX_OUTPUT_BYTES": "1000000"},
    "functionHosts": [{"name": "python-functions", "host": "bridge-python-functions-abc.azurewebsites.net"}],
    "image": {"repository": "bridge.azurecr.io/automation-bridge", "digest": f"sha256:{'0' * 64}"},
    "catalogue": (CHECKOUT / "functions" / "automations.yaml").read_text(),
    "tokens": [{"name": "canary", "sha256": "1" * 64, "roles": []}],
}
#: The same with the other store.
ON_COSMOSDB: Json = {
    **NEEDED,
    "sidecarEnvironment": {
        "SERVICEBUS_NAMESPACE": "bridge-abc.servicebus.windows.net",
        "KEYVAULT_NAME": "bridge-abc",
        "COSMOSDB_URL": "https://bridge-abc.documents.azure.com:443/",
    },
}
#: Everything that is off by default.
EVERYTHING: Json = {
    "resiliency": (CHECKOUT / "functions" / "resiliency.yaml").read_text(),
    "entities": (CHECKOUT / "components" / "servicebus.json").read_text(),
    "publicUrl": "https://bridge.example.com",
    "tracesHeadersSecret": "collector-key",
    "kedaClientId": "33333333-2222-3333-4444-555555555555",
    "applicationClientIds": [{"name": f"{RELEASE}-canary", "clientId": "22222222-2222-3333-4444-555555555555"}],
    "autoscaling": {"by": "queue"},
    "monitoring": {"enabled": True, "labels": {"release": "prometheus"}},
    "canary": {"enabled": True, "plan": "canary"},
}


class Refused(Exception):
    """Helm does not render the chart with these values; the text says why."""


def program() -> Path:
    """Helm. Skips where it is missing; on CI, fails."""
    try:
        return binaries.HELM.find()
    except NotThere as reason:
        return missing(str(reason))


def folder(module: Module) -> Path:
    """The folder of a module that ships definitions or a chart. Skips where it cannot be had; on CI, fails."""
    try:
        return definitions.fetch(module)
    except NotThere as reason:
        return missing(str(reason))


def missing(reason: str) -> Path:
    """Skip the test with the reason; on CI, fail it."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)


def render(
    *values: Json | Path, chart: Path = CHART, release: str = RELEASE, namespace: str = "bridge", definitions_too: bool = False
) -> str:
    """What Helm would send to the cluster with these values, of which later ones win. Raises Refused."""
    with TemporaryDirectory() as place:
        files = [each if isinstance(each, Path) else _written(Path(place, f"{at}.json"), each) for at, each in enumerate(values)]
        done = subprocess.run(
            [program(), "template", release, chart, "--namespace", namespace, "--kube-version", KUBERNETES]
            + [f"--values={each}" for each in files]
            + ["--include-crds"] * definitions_too,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    if done.returncode:
        raise Refused(done.stderr)
    return done.stdout


def documents(*values: Json | Path, **how: Any) -> list[Json]:
    """The same, read."""
    return [each for each in yaml.safe_load_all(render(*values, **how)) if each]


def only(rendered: list[Json], kind: str, name: str = RELEASE) -> Json:
    """The one document of a kind and name."""
    (found,) = (each for each in rendered if each["kind"] == kind and each["metadata"]["name"] == name)
    return found


def _written(path: Path, values: Json) -> Path:
    path.write_text(json.dumps(values))
    return path
