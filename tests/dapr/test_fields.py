"""Every field of every file is one that Dapr or the component knows. Neither says a word about one it does not know."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import jsonschema_rs
import pytest
import yaml

from tests.dapr.modules import sources
from tests.dapr.resources import FILES, read

#: What the sidecar itself reads of a component of the kind, whatever its type.
OF_THE_RUNTIME = {"state": {"keyPrefix"}, "pubsub": {"consumerID", "publishingScopes", "subscriptionScopes"}}


@cache
def schemas() -> dict[tuple[str, str], dict[str, Any]]:
    """Dapr's own definitions for Kubernetes, by kind and version, made strict."""
    found = {}
    for path in (sources("github.com/dapr/dapr") / "charts" / "dapr" / "crds").glob("*.yaml"):
        for document in filter(None, yaml.safe_load_all(path.read_text())):
            for version in document["spec"]["versions"]:
                found[document["spec"]["names"]["kind"], version["name"]] = strict(version["schema"]["openAPIV3Schema"])
    return found


def strict(schema: Any) -> Any:
    """The schema that takes no other fields than it names, but for an object's name and the like."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: strict(value) for name, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        made.setdefault("additionalProperties", False)
    return made


@pytest.mark.parametrize("path", FILES, ids=str)
def test_every_field_is_one_of_daprs(path):
    for document in read(path):
        schema = schemas()[document["kind"], document["apiVersion"].partition("/")[2]]
        faults = [f"{fault.instance_path}: {fault.message}" for fault in jsonschema_rs.validator_for(schema).iter_errors(document)]
        assert faults == []


def test_a_field_that_dapr_does_not_know_is_noticed():
    schema = schemas()["Configuration", "v1alpha1"]
    document = {"apiVersion": "dapr.io/v1alpha1", "kind": "Configuration", "metadata": {"name": "x"}, "spec": {"acessControl": {}}}
    assert not jsonschema_rs.validator_for(schema).is_valid(document)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_every_value_of_a_component_is_one_it_reads(path):
    for document in read(path):
        if document["kind"] == "Component":
            kind = document["spec"]["type"]
            assert {each["name"] for each in document["spec"]["metadata"]} <= known(kind) | OF_THE_RUNTIME.get(
                kind.partition(".")[0], set()
            )


def test_a_value_that_a_component_does_not_read_is_noticed():
    assert "maxConcurrentHandlers" in known("pubsub.azure.servicebus.topics")
    assert "maxConcurentHandlers" not in known("pubsub.azure.servicebus.topics")


def known(kind: str) -> set[str]:
    """The names of all values that a component of the type says it reads."""
    contrib = sources("github.com/dapr/components-contrib")
    said = yaml.safe_load((contrib / kind.replace(".", "/") / "metadata.yaml").read_text())
    profiles = [*said.get("authenticationProfiles", ()), *said.get("builtinAuthenticationProfiles", ())]
    names = set(_names(said.get("metadata", ()))) | {name for each in profiles for name in _names(each.get("metadata", ()))}
    if any(each["name"] == "azuread" for each in said.get("builtinAuthenticationProfiles", ())):
        names |= _of_azure((contrib / "common" / "authentication" / "azure" / "metadata-properties.go").read_text())
    return names


def _names(values: Any) -> Iterator[str]:
    return (each["name"] for each in values)


def _of_azure(source: str) -> set[str]:
    """The names under which all components for Azure read how they sign in; their documents leave them out."""
    return set(re.findall(r'"(\w+)"', source))
