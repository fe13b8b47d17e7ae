"""What Dapr knows: component types with the names of their metadata, annotations, and the fields of its kinds (`dapr.json`, made by
`tools.dapr.known` from the sources of the version that it names); and the fields of kinds of Kubernetes and KEDA (`kubernetes.json`,
made by `tools.helm.kinds`)."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

#: What every component may have, read by the runtime and not by the component.
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
_ALIKE = 0.88  #: how alike two names are that one person wrote for the same


@cache
def _content() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((Path(__file__).parent / "dapr.json").read_text())
    return content


def types() -> dict[str, list[str] | None]:
    """The types of components, each with the names of its metadata; None where they are not known."""
    found: dict[str, list[str] | None] = _content()["types"]
    return found


def versions(kind: str) -> list[str]:
    """The versions of a type of components, the first of them the default."""
    found: list[str] = _content()["versions"].get(kind, ["v1"])
    return found


def value_of(kind: str, name: str) -> str | list[str] | None:
    """What a value of a component's metadata is: `number`, `bool`, `duration`, or the words that it may be; None if it is not known."""
    found: str | list[str] | None = _values(kind).get(name.lower())
    return found


@cache
def _values(kind: str) -> dict[str, Any]:
    return {name.lower(): value for name, value in _content()["values"].get(kind, {}).items()}


def pod_annotations() -> frozenset[str]:
    """The annotations and labels `dapr.io/…` that mean something."""
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
    """The fields of each `apiVersion kind` of Dapr: a mapping of keys, a list of one shape, the type of a value, None for any value."""
    found: dict[str, Any] = _content()["kinds"]
    return found


def shape_of(api: str, kind: str) -> Any:
    """The fields of a kind of Dapr, Kubernetes or KEDA in the same form; what `#Name` is says `resolved`. None if it is not known."""
    name = f"{api} {kind}"
    return kinds().get(name) or _kubernetes()["kinds"].get(name)


def resolved(shape: Any) -> Any:
    """The shape that a name such as `#PodSpec` stands for; any other shape as it is."""
    return _kubernetes()["types"][shape[1:]] if isinstance(shape, str) and shape.startswith("#") else shape


def scalers() -> list[str]:
    """The types of KEDA's triggers."""
    found: list[str] = _kubernetes()["scalers"]
    return found


@cache
def _kubernetes() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((Path(__file__).parent / "kubernetes.json").read_text())
    return content


def version() -> str:
    """The version of Dapr that is meant."""
    return str(_content()["version"])


def near(name: str, names: Iterable[str]) -> str | None:
    """The name that was meant and is misspelt; None if it is not sure, as where one begins otherwise or is much longer."""
    meant = perhaps(name, names)
    if meant is None or abs(len(meant) - len(name)) > _MOST_MISSING:
        return None
    is_same_start = meant[:1].lower() == name[:1].lower()
    return meant if is_same_start or difflib.SequenceMatcher(None, name.lower(), meant.lower()).ratio() > _SURE else None


def one_typo(name: str, names: Iterable[str]) -> str | None:
    """The name of an application that one person wrote for the same, with a letter wrong or two exchanged."""
    meant = near(name, names)
    if meant is None or abs(len(meant) - len(name)) > 1:
        return None
    is_exchanged = sorted(name) == sorted(meant)
    return meant if is_exchanged or difflib.SequenceMatcher(None, name, meant).ratio() > _ALIKE else None


def perhaps(name: str, names: Iterable[str]) -> str | None:
    """The name that was perhaps meant."""
    spelled = {each.lower(): each for each in names}
    found = difflib.get_close_matches(name.lower()[:200], list(spelled), 1, 0.75)
    return spelled[found[0]] if found and _alike(name.lower(), found[0]) else None


def _alike(name: str, other: str) -> bool:
    """Whether two names are alike in their last parts, too: what `middleware.http.` adds to both says nothing."""
    return difflib.SequenceMatcher(None, re.split("[./]", name)[-1], re.split("[./]", other)[-1]).ratio() > 0.7
