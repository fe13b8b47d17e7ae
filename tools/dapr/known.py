"""Writes what Dapr knows, from its own sources: `python -m tools.dapr.known`. It needs Go, which fetches them.

Component types, the names of their metadata, annotations, calls of the sidecar, and the fields of Dapr's own kinds, for `bridge doctor`.
A component that has no description among the sources has no list of names, so nothing is said of its metadata.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tools.dapr.binaries import VERSION
from tools.helm import definitions

TARGET = Path(__file__).parents[2] / "bridge" / "doctor" / "dapr.json"
_PREFIXES = {
    "bindings": "bindings",
    "configuration": "configuration",
    "conversation": "conversation",
    "crypto": "crypto",
    "lock": "lock",
    "middleware_http": "middleware.http",
    "nameresolution": "nameresolution",
    "pubsub": "pubsub",
    "secretstores": "secretstores",
    "state": "state",
}
_REGISTERED = re.compile(r'RegisterComponentWithVersions\("([^"]+)"|[,}]\s*((?:"[^"]+"(?:,\s*)?)+)\)$', re.MULTILINE)
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")
_VERSION = re.compile(r'Version:\s*"(v[0-9]+)"')
_TAG = re.compile(r'mapstructure:"([A-Za-z][A-Za-z0-9._-]*)')
_OF_EVERY_KIND = ("apiVersion", "kind", "status")
_CHECKED = ("number", "bool", "duration")
#: What Dapr's parts put on Pods and Services of their own accord.
_OWN_ANNOTATIONS = frozenset({"dapr.io/control-plane", "dapr.io/metrics-enabled", "dapr.io/sidecar-injected", "dapr.io/watchdog-patched"})
_SHARED = re.compile(r'"github.com/dapr/components-contrib/(common/[^"]+|pubsub|state/postgresql[^"]*)"')
_ALIASES = re.compile(r'mapstructurealiases:"([A-Za-z0-9_,]+)"')
_KEY = re.compile(r'^\s*\w+\s*=\s*"([a-z][A-Za-z0-9]+)"$|\["([a-z][A-Za-z0-9]+)"\]', re.MULTILINE)
_ASKED = re.compile(r'MetadataProperty\([\w.]+((?:, "[A-Za-z0-9]+")+)')
_PREFIXED = re.compile(r'DecodeConfigWithPrefix\([^)]*?"(\w+)"\s*\)')
#: The fields of a retry that a component reads with a prefix, such as `backOffMaxRetries` (dapr/kit, retry.Config).
_RETRY = ("Policy", "Duration", "InitialInterval", "RandomizationFactor", "Multiplier", "MaxInterval", "MaxElapsedTime", "MaxRetries")
#: What another component takes for one of its versions, by the constructor that Dapr registers.
_BUILT_FROM = {"state.cockroachdb": "state.postgresql"}
_FIELD = re.compile(r"^\t([A-Z][A-Za-z0-9]+)\s+[*\[\]a-zA-Z.]+\s*(?:`.*)?$", re.MULTILINE)
_FEATURE = re.compile(r'^\t\w+ +Feature = "(\w+)"', re.MULTILINE)
_GROUP = re.compile(r'EndpointGroupName = "(\w+)"')
_GRPC = re.compile(r'^\t"(\w+\.v\w+)": \{', re.MULTILINE)
_LITERAL = re.compile(r'"([A-Za-z][A-Za-z0-9]+)"')


def sources(name: str) -> Path:
    """The folder of one of Dapr's modules in Go's module cache, which Go fetches where it is not there yet. Raises NotThere."""
    return definitions.fetch(definitions.of_dapr(name))


def known() -> dict[str, Any]:
    """The content of the file."""
    dapr, contrib = sources("dapr"), sources("components-contrib")
    names = _metadata_names(contrib)
    types = dict(sorted(_types(dapr, names)))
    return {
        "version": VERSION,
        "types": types,
        "versions": dict(sorted(_versions(dapr))),
        "values": dict(sorted(_values(dapr, contrib))),
        "annotations": sorted(_annotations(dapr)),
        "apis": dict(sorted(_apis(dapr).items())),
        "features": sorted(_FEATURE.findall((dapr / "pkg/config/configuration.go").read_text())),
        "kinds": dict(sorted(_kinds(dapr))),
        "chart": _chart(dapr / "charts/dapr"),
    }


def _registered(dapr: Path) -> Iterator[tuple[list[str], str]]:
    """The types that each file of daprd registers, which are names of one component, and the text of the file."""
    for file in sorted((dapr / "cmd/daprd/components").glob("*.go")):
        prefix = next((text for start, text in _PREFIXES.items() if file.name.startswith(f"{start}_")), None)
        if prefix is not None:
            text = file.read_text()
            yield [f"{prefix}.{name}" for parts in _REGISTERED.findall(text) for part in parts for name in _NAME.findall(part)], text


def _versions(dapr: Path) -> Iterator[tuple[str, list[str]]]:
    """The versions of the types that have others than v1."""
    for names, text in _registered(dapr):
        if found := sorted({"v1", *_VERSION.findall(text)} - {"v1"}):
            yield from ((each, ["v1", *found]) for each in names)


def _types(dapr: Path, names: Mapping[str, list[str]]) -> Iterator[tuple[str, list[str] | None]]:
    """The types, each with the names of its metadata, where these are known."""
    for found, _ in _registered(dapr):
        described = next((names[each] for each in found if each in names), None)
        yield from ((each, described) for each in found)


def _metadata_names(contrib: Path) -> dict[str, list[str]]:
    found: dict[str, set[str]] = {}
    for file in contrib.rglob("metadata.yaml"):
        described = yaml.safe_load(file.read_text().expandtabs(2))
        name = f"{described['type'] if described['type'] != 'middleware' else 'middleware'}.{described['name']}"
        found.setdefault(name, set()).update(_described(described), _in_code(file.parent, contrib))
    for name, other in _BUILT_FROM.items():
        found[name] |= found[other]
    return {kind: sorted(names, key=lambda name: (name.lower(), name)) for kind, names in found.items()}


def _described(described: dict[str, Any]) -> Iterator[str]:
    profiles = [*described.get("authenticationProfiles", ()), *described.get("builtinAuthenticationProfiles", ())]
    for part in (described, *profiles):
        yield from (each["name"] for each in part.get("metadata") or ())


def _values(dapr: Path, contrib: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """What values of metadata are: `number`, `bool`, `duration`, or the words that a component takes. Where versions differ, nothing."""
    found: dict[str, dict[str, Any]] = {}
    for file in sorted(contrib.rglob("metadata.yaml")):
        described = yaml.safe_load(file.read_text().expandtabs(2))
        of_type = found.setdefault(f"{described['type']}.{described['name']}", {})
        for each in described.get("metadata") or ():
            value = each.get("allowedValues") or (each.get("type") if each.get("type") in _CHECKED else None)
            name = each["name"]
            of_type[name] = value if name not in of_type or of_type[name] == value else None
    for names, _ in _registered(dapr):
        values = next((found[each] for each in names if each in found), {})
        if known := {name: value for name, value in sorted(values.items()) if value}:
            yield from ((each, known) for each in names)


def _in_code(folder: Path, contrib: Path) -> Iterator[str]:
    """Names that the code of a component reads, and the packages that it shares with others."""
    files = [*folder.glob("*.go")]
    seen: set[str] = set()
    for file in files:  # which grows by the packages that are found
        if file.name.endswith("_test.go"):
            continue
        for path in set(_SHARED.findall(file.read_text())) - seen:
            seen.add(path)
            files += sorted((contrib / path).glob("*.go"))
    for file in files:
        text = file.read_text()
        if file.name.endswith("_test.go"):
            continue
        yield from _TAG.findall(text)
        yield from (name for names in _ALIASES.findall(text) for name in names.split(","))
        yield from (name for names in _KEY.findall(text) for name in names if name)
        yield from (name for names in _ASKED.findall(text) for name in _LITERAL.findall(names))
        yield from (f"{prefix}{name}" for prefix in _PREFIXED.findall(text) for name in _RETRY)
        if "metadata" in file.name:
            yield from (name[0].lower() + name[1:] for name in _FIELD.findall(text))
        if "authentication" in file.parts:
            yield from (name for name in _LITERAL.findall(text) if name[0].islower())


def _annotations(dapr: Path) -> set[str]:
    text = (dapr / "pkg/injector/annotations/annotations.go").read_text()
    return {*re.findall(r'"(dapr\.io/[a-z0-9-]+)"', text), *_OWN_ANNOTATIONS}


def _apis(dapr: Path) -> dict[str, list[str]]:
    """The names of a sidecar's calls that a Configuration may allow by protocol; those of gRPC with their versions, such as `state.v1`."""
    groups = (dapr / "pkg/api/http/endpoints/endpointgroup.go").read_text()
    return {
        "grpc": sorted(_GRPC.findall((dapr / "pkg/api/grpc/endpoints.go").read_text())),
        "http": sorted(_GROUP.findall(groups)),
    }


def _kinds(dapr: Path) -> Iterator[tuple[str, Any]]:
    for file in sorted((dapr / "charts/dapr/crds").glob("*.yaml")):
        yield from of_definition(file)


def _chart(folder: Path) -> dict[str, Any]:
    """The values of Dapr's chart: for each key those below it, or the type of its default; null where any value may stand."""
    below = {each.parent.name: _typed(yaml.safe_load(each.read_text())) for each in sorted(folder.glob("charts/*/values.yaml"))}
    return {**_typed(yaml.safe_load((folder / "values.yaml").read_text())), **below}


def _typed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _typed(each) for name, each in value.items()} or None
    return next((name for kind, name in ((bool, "boolean"), (int, "integer")) if isinstance(value, kind)), None)


def of_definition(file: Path) -> Iterator[tuple[str, Any]]:
    """The versions of the kind that a CustomResourceDefinition defines, each with its fields."""
    definition = yaml.safe_load(file.read_text())["spec"]
    kind, group = definition["names"]["kind"], definition["group"]
    for version in definition["versions"]:
        found = _shape(version["schema"]["openAPIV3Schema"])
        yield f"{group}/{version['name']} {kind}", {name: each for name, each in found.items() if name not in _OF_EVERY_KIND}


def _shape(schema: dict[str, Any]) -> Any:
    """The keys that may stand in an object, each with those of its value; `*` is any key, a word the type of a value, null any value."""
    if schema.get("type") == "array":
        return [_shape(schema["items"])]
    if "properties" in schema:
        return {name: _shape(each) for name, each in schema["properties"].items()}
    if isinstance(schema.get("additionalProperties"), dict):
        return {"*": _shape(schema["additionalProperties"])}
    return schema["type"] if schema.get("type") in ("string", "boolean", "integer", "number") else None


if __name__ == "__main__":
    TARGET.write_text(json.dumps(known(), indent=1) + "\n")
