"""Strict schemas of everything that is sent to a cluster: Kubernetes' own, and the definitions of Dapr, KEDA and Prometheus."""

from __future__ import annotations

from functools import cache
from typing import Any

import jsonschema
import kubernetes_validate
import yaml

from tests.deploy import helm
from tests.deploy.helm import KUBERNETES, Json
from tools.helm.definitions import DAPR, KEDA, PROMETHEUS


class Wrong(Exception):
    """A document that the cluster would refuse, or of which it would drop a field."""


def check(document: Json) -> None:
    """Raises Wrong if the document has a field, type or value that its kind does not know."""
    group = document["apiVersion"].rpartition("/")[0]
    try:
        if "." not in group or group.endswith(".k8s.io"):
            kubernetes_validate.validate(document, KUBERNETES.rpartition(".")[0], strict=True)
        else:
            _schema(document["apiVersion"], document["kind"]).validate(document)
    except (jsonschema.ValidationError, kubernetes_validate.ValidationError) as fault:
        raise Wrong(f"{document['kind']} {document['metadata']['name']}: {fault.message}") from None


@cache
def _schema(version: str, kind: str) -> jsonschema.Draft4Validator:
    """The schema of a kind, from its definition; the file of a definition has the kind in its name."""
    folders = [helm.folder(DAPR) / "crds", helm.folder(KEDA), helm.folder(PROMETHEUS)]
    for path in (path for folder in folders for path in folder.glob(f"*{kind.lower()}*.yaml")):
        for each in (each["spec"] for each in yaml.safe_load_all(path.read_text()) if each):
            schemas = {f"{each['group']}/{it['name']}": it["schema"]["openAPIV3Schema"] for it in each["versions"]}
            if each["names"]["kind"] == kind and version in schemas:
                return jsonschema.Draft4Validator(_strict(schemas[version]))
    raise Wrong(f"no definition has {version} {kind}")


def _strict(schema: Any) -> Any:
    """The schema as the API server reads it with strict validation: what it does not name is refused.

    Of `x-kubernetes-…` only what changes the meaning counts (https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources).
    """
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: _strict(value) for name, value in schema.items() if not name.startswith("x-kubernetes-") and name != "nullable"}
    if schema.get("x-kubernetes-int-or-string"):
        made["type"] = ["integer", "string"]
    if schema.get("nullable") and isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
    if (
        isinstance(schema.get("properties"), dict)
        and schema.get("type") == "object"
        and not schema.get("x-kubernetes-preserve-unknown-fields")
    ):
        # The API server knows these of every document, and definitions seldom name them.
        made.setdefault("additionalProperties", False)
        if "apiVersion" in made["properties"]:
            made["properties"].setdefault("metadata", {"type": "object"})
    return made
