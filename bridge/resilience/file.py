"""Reads the policy file, and reports all of its problems at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from bridge.errors import ConfigurationError
from bridge.files import yamlfile
from bridge.resilience import schema
from bridge.resilience.policy import DEFAULT_TIMEOUT, Policies, Policy

T = TypeVar("T")

#: Keys of a target, each with the place where the policies that it names are defined.
_NAMED = {"timeout": "timeouts", "retry": "retries", "circuitBreaker": "circuitBreakers"}

#: Keys of Dapr's schema that belong elsewhere or have no meaning here.
_ELSEWHERE = {
    "actors": "is not read here, this file is for function apps; move it to a Resiliency file in components/",
    "components": "is not read here, this file is for function apps; move it to a Resiliency file in components/",
    "circuitBreakerCacheSize": "has no meaning here, each function has one breaker; remove it",
}

#: The keys that are allowed at each place; `*` stands for a name that the author chooses.
_PLACES: Mapping[tuple[str, ...], type[BaseModel]] = {
    (): schema.DocumentShape,
    ("metadata",): schema.MetadataShape,
    ("spec",): schema.SpecShape,
    ("spec", "policies"): schema.PoliciesShape,
    ("spec", "policies", "retries", "*"): schema.RetryShape,
    ("spec", "policies", "retries", "*", "matching"): schema.Matching,
    ("spec", "policies", "circuitBreakers", "*"): schema.BreakerShape,
    ("spec", "targets"): schema.TargetsShape,
    ("spec", "targets", "apps", "*"): schema.TargetShape,
}


def load(path: Path) -> Policies:
    """Read the policy file. Raises ConfigurationError with every problem: file, document, path and how to fix it."""
    document, problems = _document(path)
    where = f"{path}, document 1"
    read: schema.DocumentShape | None = None
    try:
        read = schema.DocumentShape.model_validate(document)
    except ValidationError as fault:
        problems += [f"{where}, {_explain(error)}" for error in fault.errors(include_url=False)]
    problems += [f"{where}, {problem}" for problem in _undefined(document)]
    if problems or read is None:
        raise ConfigurationError(problems)
    return _policies(read.spec)


def _document(path: Path) -> tuple[Any, list[str]]:
    documents = [each for each in yamlfile.read(path, "Name the policy file with --resiliency or BRIDGE_RESILIENCY.") if each is not None]
    if not documents:
        raise ConfigurationError([f"{path}: is empty; write one document of kind Resiliency"])
    extra = range(2, len(documents) + 1)
    return documents[0], [
        f"{path}, document {number}: daprd reads only the first document of such a file; move its content there" for number in extra
    ]


def _policies(spec: schema.SpecShape) -> Policies:
    timeouts = spec.policies.timeouts
    retries = {name: shape.value() for name, shape in spec.policies.retries.items()}
    breakers = {name: shape.value() for name, shape in spec.policies.circuit_breakers.items()}
    by_app = {
        app: Policy(
            timeouts[names.timeout] if names.timeout else DEFAULT_TIMEOUT,
            retries[names.retry] if names.retry else None,
            breakers[names.circuit_breaker] if names.circuit_breaker else None,
        )
        for app, names in spec.targets.apps.items()
    }
    otherwise = Policy(_default(timeouts, "Timeout") or DEFAULT_TIMEOUT, _default(retries, "Retry"), _default(breakers, "CircuitBreaker"))
    return Policies(by_app, otherwise)


def _default(named: Mapping[str, T], kind: str) -> T | None:
    """The policy for apps that are not listed, which Dapr finds by its reserved name."""
    return named.get(f"DefaultApp{kind}Policy", named.get(f"Default{kind}Policy"))


def _undefined(document: Any) -> Iterator[str]:
    """Names of policies that are not defined. daprd ignores such a name silently, or crashes."""
    spec = _mapping(document, "spec")
    for app, target in _mapping(_mapping(spec, "targets"), "apps").items():
        for key, kind in _NAMED.items():
            known = _mapping(_mapping(spec, "policies"), kind)
            name = _mapping({"target": target}, "target").get(key)
            if isinstance(name, str) and name not in known:
                yield f"spec.targets.apps.{app}.{key}: nothing under spec.policies.{kind} is named {name!r}{_meant(name, known)}"


def _mapping(value: Any, key: str) -> Mapping[Any, Any]:
    inner = value.get(key) if isinstance(value, Mapping) else None
    return inner if isinstance(inner, Mapping) else {}


def _explain(error: ErrorDetails) -> str:
    loc = tuple(str(part) for part in error["loc"] if part != "[key]")
    message = str(error.get("ctx", {}).get("error") or error["msg"]).strip()
    if error["type"] == "extra_forbidden":
        message = _ELSEWHERE.get(loc[-1]) or f"is not known here{_meant(loc[-1], _keys(loc[:-1]))}"
    elif error["type"] == "missing":
        message = "is missing; add it"
    elif error["type"] != "value_error" and not isinstance(error["input"], dict | list):
        shown = repr(error["input"])
        message = f"{message} (it is {shown if len(shown) <= 100 else shown[:100] + '…'})"
    return f"{'.'.join(loc) or 'the document'}: {message}"


def _keys(place: tuple[str, ...]) -> list[str]:
    model = _PLACES[tuple("*" if index == 3 else part for index, part in enumerate(place))]
    return [info.alias or name for name, info in model.model_fields.items()]


def _meant(name: str, known: Iterable[Any]) -> str:
    names = [str(each) for each in known]
    near = difflib.get_close_matches(name, names, 1)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; there is {', '.join(names)}" if names else "; define it there"
