"""The pod that the Deployment of the chart makes; no controller is there to make it."""

from __future__ import annotations

from tests.deploy import helm
from tests.deploy.helm import NEEDED, Json


def pod(name: str, **values: object) -> Json:
    """A pod of that name, with further values for the chart."""
    template = helm.only(helm.documents(NEEDED, values), "Deployment")["spec"]["template"]
    return {"apiVersion": "v1", "kind": "Pod", **template, "metadata": {**template["metadata"], "name": name}}
