"""Rules about host.json of function apps: what Azure's host rejects, and whether its times and routes fit the other files."""

from __future__ import annotations

import copy
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from bridge.doctor import hostplaces
from bridge.doctor.document import ConfigDocument, Key
from bridge.doctor.findings import FindingLevel, Hit, hit, misspelt, rule
from bridge.doctor.project import DoctorProject
from bridge.durations import show
from bridge.errors import ConfigurationError
from bridge.local.functions import apphostjson
from bridge.local.functions.hostjson import HostJson

_log = logging.getLogger("bridge.functions")
_MOST = 20  #: problems of one file that are looked for
_FRONT_END = timedelta(seconds=230)
_OLD_BUNDLE = re.compile(r"\[\s*[123]\.")


def _files(project: DoctorProject) -> Iterator[ConfigDocument]:
    return (each for each in project.named("host.json") if each.kind == "")


class _LogLines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """What the host would log about a file, instead of logging it."""
    kept, propagated = _LogLines(), _log.propagate
    _log.addHandler(kept)
    _log.propagate = False
    try:
        yield kept.texts
    finally:
        _log.removeHandler(kept)
        _log.propagate = propagated


def _read(document: ConfigDocument) -> tuple[HostJson | None, list[str], list[str]]:
    """The settings, the problems for which Azure rejects the file, and the settings that have no effect."""
    content = copy.deepcopy(document.value)
    problems: list[str] = []
    with _warnings() as told:
        while isinstance(content, dict) and len(problems) < _MOST:
            try:
                found = apphostjson.check(content, document.file, {})
            except ConfigurationError as fault:
                problems += fault.problems
                # The others are found when the first one is not there.
                if not all(_remove(content, hostplaces.of_problem(content, _text(document, each))) for each in fault.problems):
                    break
                continue
            return (None if problems else found), problems, list(dict.fromkeys(told))
    return None, problems or [f"{document.file} must hold one JSON object."], list(dict.fromkeys(told))


def _remove(content: dict[str, Any], path: tuple[Key, ...]) -> bool:
    if path == ("version",) or not path:
        return content.get("version") != "2.0" and content.update(version="2.0") is None
    for key in path[:-1]:
        content = content[str(key)]
    return content.pop(str(path[-1]), None) is not None


def _text(document: ConfigDocument, problem: str) -> str:
    return problem.removeprefix(f"{document.file}").lstrip(": ").rstrip(".")


def _settings(project: DoctorProject) -> Iterator[tuple[ConfigDocument, HostJson]]:
    """The files that Azure's host accepts, with their settings."""
    for document in _files(project):
        if (found := _read(document)[0]) is not None:
            yield document, found


def _about(document: ConfigDocument, problem: str) -> Hit:
    """The problem, at the setting that it names."""
    text = _text(document, problem)
    return hit(document, hostplaces.of_problem(document.value, text), f"{text}.", "Correct it, or remove it.")


def _place(document: ConfigDocument, *names: str) -> tuple[Key, ...]:
    return hostplaces.found(document.value, names)


@rule("host-json-invalid", FindingLevel.ERROR, "Azure's host does not start, so no function of the app runs.")
def host_json_invalid(project: DoctorProject) -> Iterator[Hit]:
    """A host.json, or a setting in it, that Azure's host rejects."""
    for document in _files(project):
        yield from (_about(document, problem) for problem in (*_read(document)[1], *hostplaces.refused(document.value)))


@rule("host-setting-without-effect", FindingLevel.WARNING, "The setting has no effect, and the default applies.")
def host_setting_without_effect(project: DoctorProject) -> Iterator[Hit]:
    """A host.json setting that no version 4 host knows, or that only Service Bus extensions before version 5 had."""
    for document in _files(project):
        for problem in _read(document)[2]:
            names, is_list, rest = _text(document, problem).partition(" has no effect, here or in Azure")
            yield from (_about(document, f"{name}{is_list}{rest}") for name in (names.split(", ") if is_list else [names]))
        for name, meant in hostplaces.unknown_extensions(document.value):
            path = _place(document, "extensions", name)
            told, mend = f"extensions.{name} is not the section of an extension", "Move it into the section of its extension."
            yield misspelt(hit(document, path, f"{told}.", mend), document, path, meant, is_key=True)


@rule(
    "lock-ends-before-function",
    FindingLevel.ERROR,
    "The lock on the message expires while its function runs. The message is delivered again, and the work runs twice.",
)
def lock_ends_before_function(project: DoctorProject) -> Iterator[Hit]:
    """A maxAutoLockRenewalDuration shorter than functionTimeout, where Service Bus is configured."""
    for document, found in _settings(project):
        if apphostjson.entry(document.value, "extensions", "serviceBus") is None:
            continue
        renewal, timeout = found.extensions.service_bus.max_auto_lock_renewal_duration, found.function_timeout
        if timeout is None or renewal < timeout:
            runs = "without end" if timeout is None else show(timeout)
            message = f"A function may run {runs}, but its lock is renewed for {show(renewal)} only."
            path = _place(document, "extensions", "serviceBus", "maxAutoLockRenewalDuration")
            yield hit(document, path, message, "Set functionTimeout, and set maxAutoLockRenewalDuration to one minute more.")


@rule(
    "function-timeout-unbounded",
    FindingLevel.WARNING,
    "A function that hangs keeps its worker, its message and its concurrency slot for ever.",
)
def function_timeout_unbounded(project: DoctorProject) -> Iterator[Hit]:
    """A functionTimeout of -1."""
    for document in _files(project):
        if str(apphostjson.entry(document.value, "functionTimeout")).strip() == "-1":
            yield hit(
                document, _place(document, "functionTimeout"), "functionTimeout is -1.", "Write the longest time that a function may take."
            )


@rule(
    "messages-prefetched",
    FindingLevel.WARNING,
    "Locks are not renewed while messages wait in the worker. The locks expire, and the messages are handled twice.",
)
def messages_prefetched(project: DoctorProject) -> Iterator[Hit]:
    """A prefetchCount above 0."""
    for document, found in _settings(project):
        if found.extensions.service_bus.prefetch_count > 0:
            path = _place(document, "extensions", "serviceBus", "prefetchCount")
            yield hit(document, path, f"prefetchCount is {found.extensions.service_bus.prefetch_count}.", "Write 0.")


@rule("bundle-ended", FindingLevel.WARNING, "Bundles of that age receive no fixes, and their Service Bus settings are different.")
def bundle_ended(project: DoctorProject) -> Iterator[Hit]:
    """An extension bundle before version 4."""
    for document in _files(project):
        version = str(apphostjson.entry(document.value, "extensionBundle", "version") or "")
        if _OLD_BUNDLE.match(version):
            yield hit(
                document,
                _place(document, "extensionBundle", "version"),
                f"The version of the bundle is {version}.",
                'Write "[4.0.0, 5.0.0)".',
            )


@rule("route-prefix-differs", FindingLevel.ERROR, "The app answers every call of its functions with 404.")
def route_prefix_differs(project: DoctorProject) -> Iterator[Hit]:
    """A catalogue whose paths do not begin with the routePrefix of the app's host.json."""
    for document, found in _settings(project):
        app = f"{document.file.parent.name}-functions"
        prefix = f"/{found.extensions.http.route_prefix.strip('/')}/".replace("//", "/")
        for path, catalogue in project.catalogues.items():
            targets = [target.http for each in catalogue for target in each.targets if target.http and target.http.app == app]
            wrong = next((each.path for each in targets if not each.path.startswith(prefix)), None)
            if wrong is not None and path.parent == document.file.parent.parent:
                message = f"Routes of {app} begin with {prefix}, and the catalogue asks for {wrong}."
                yield hit(
                    document, _place(document, "extensions", "http", "routePrefix"), message, "Change one of the two so that they agree."
                )


@rule(
    "call-longer-than-front-end",
    FindingLevel.ERROR,
    "Azure's front end closes the connection after 230 s. The call fails and is retried although the function is still running.",
)
def call_longer_than_front_end(project: DoctorProject) -> Iterator[Hit]:
    """A timeout above 230 seconds for a function call, in the bridge's policy file."""
    for path, policies in project.policies.items():
        [document, *_] = project.of_file(path)
        used = {each.timeout for each in (policies.otherwise, *policies.by_app.values())}
        for name, value in document.mapping("spec", "policies", "timeouts").items():
            span = next((each for each in used if each > _FRONT_END and show(each) == str(value)), None)
            if span is not None:
                place = ("spec", "policies", "timeouts", name)
                yield hit(
                    document,
                    place,
                    f"A call may take {value}.",
                    "Use at most 230s. For longer work, let the function answer 202 or put it behind a topic.",
                )
