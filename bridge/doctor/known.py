"""What Dapr, Kubernetes and KEDA accept.

`dapr.json` has Dapr's component types with their metadata names, its annotations and the fields of its kinds. `tools.dapr.known` makes
it from the sources of the Dapr version that it names. `kubernetes.json` has the fields of Kubernetes and KEDA kinds. `tools.helm.kinds`
makes it.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

#: Metadata names that every component may have, because the Dapr runtime reads them.
COMMON_METADATA = frozenset(
    [
        "actorstatestore",
        "allowedtopics",
        "concurrencymode",
        "consumerid",
        "direction",
        "keyprefix",
        "outboxdiscardwhenmissingstate",
        "outboxpublishpubsub",
        "outboxpublishtopic",
        "outboxpubsub",
        "primaryencryptionkey",
        "protectedtopics",
        "publishingscopes",
        "rawpayload",
        "route",
        "secondaryencryptionkey",
        "subscriptionscopes",
        "ttlinseconds",
        "azureclientid",
        "azureclientsecret",
        "azuretenantid",
        "azureenvironment",
        "azurecertificate",
        "azurecertificatefile",
        "azurecertificatepassword",
        "azureauthmethods",
        "accesskey",
        "secretkey",
        "sessiontoken",
        "region",
        "awsregion",
        "endpoint",
        "assumerolearn",
        "trustanchorarn",
        "trustprofilearn",
    ]
)


_MOST_MISSING = 2  #: letters
_SURE = 0.85
_ALIKE = 0.88  #: how similar two names must be to mean the same


@cache
def _content() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((Path(__file__).parent / "dapr.json").read_text())
    return content


def types() -> dict[str, list[str] | None]:
    """The component types, each with its metadata names; None where the names are not known."""
    found: dict[str, list[str] | None] = _content()["types"]
    return found


def versions(kind: str) -> list[str]:
    """The versions of a component type; the first is the default."""
    found: list[str] = _content()["versions"].get(kind, ["v1"])
    return found


def value_of(kind: str, name: str) -> str | list[str] | None:
    """The type of a metadata value: `number`, `bool`, `duration`, or a list of the allowed words. None if it is not known."""
    found: str | list[str] | None = _values(kind).get(name.lower())
    return found


@cache
def _values(kind: str) -> dict[str, Any]:
    return {name.lower(): value for name, value in _content()["values"].get(kind, {}).items()}


def pod_annotations() -> frozenset[str]:
    """The `dapr.io/…` annotations and labels that Dapr reads."""
    return frozenset(_content()["annotations"])


def features() -> list[str]:
    """The preview features that a Configuration may switch."""
    found: list[str] = _content()["features"]
    return found


def calls(protocol: str) -> list[str]:
    """The calls of a sidecar that a Configuration may allow: names for HTTP, names with their versions such as `state.v1` for gRPC."""
    found: list[str] = _content()["apis"][protocol]
    return found


def kinds() -> dict[str, Any]:
    """The shape of each `apiVersion kind` of Dapr: a mapping of fields, a list with one shape, a type, or None for any value."""
    found: dict[str, Any] = _content()["kinds"]
    return found


def shape_of(api: str, kind: str) -> Any:
    """The shape of a kind of Dapr, Kubernetes or KEDA; None if it is not known. `resolved` looks up shapes written as `#Name`."""
    name = f"{api} {kind}"
    return kinds().get(name) or _kubernetes()["kinds"].get(name)


def resolved(shape: Any) -> Any:
    """The shape behind a name such as `#PodSpec`; any other shape is returned unchanged."""
    return _kubernetes()["types"][shape[1:]] if isinstance(shape, str) and shape.startswith("#") else shape


def chart() -> dict[str, Any]:
    """The values of Dapr's Helm chart: for each key those below it, the type of the value, or None for any value."""
    found: dict[str, Any] = _content()["chart"]
    return found


def scalers() -> list[str]:
    """The types of KEDA's triggers."""
    found: list[str] = _kubernetes()["scalers"]
    return found


@cache
def _kubernetes() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((Path(__file__).parent / "kubernetes.json").read_text())
    return content


def version() -> str:
    """The Dapr version that `dapr.json` describes."""
    return str(_content()["version"])


def near(name: str, names: Iterable[str]) -> str | None:
    """The name that `name` surely misspells; None if that is not sure, because the first letter differs or the length differs much."""
    meant = perhaps(name, names)
    if meant is None or abs(len(meant) - len(name)) > _MOST_MISSING:
        return None
    is_same_start = meant[:1].lower() == name[:1].lower()
    return meant if is_same_start or difflib.SequenceMatcher(None, name.lower(), meant.lower()).ratio() > _SURE else None


def one_typo(name: str, names: Iterable[str]) -> str | None:
    """The name that `name` misspells by one wrong letter or two swapped letters; None if there is none."""
    meant = near(name, names)
    if meant is None or abs(len(meant) - len(name)) > 1:
        return None
    is_exchanged = sorted(name) == sorted(meant)
    return meant if is_exchanged or difflib.SequenceMatcher(None, name, meant).ratio() > _ALIKE else None


def perhaps(name: str, names: Iterable[str]) -> str | None:
    """The name that `name` may misspell; None if there is none."""
    spelled = {each.lower(): each for each in names}
    found = difflib.get_close_matches(name.lower()[:200], list(spelled), 1, 0.75)
    return spelled[found[0]] if found and _alike(name.lower(), found[0]) else None


def _alike(name: str, other: str) -> bool:
    """Whether the last parts of two names are similar too, because a common prefix such as `middleware.http.` proves nothing."""
    return difflib.SequenceMatcher(None, re.split("[./]", name)[-1], re.split("[./]", other)[-1]).ratio() > 0.7
