"""host.json of function apps, as Azure's host reads it, and what its times and routes mean together with the other files."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from bridge.doctor.document import ConfigDocument, Key
from bridge.doctor.findings import FindingLevel, Hit, hit, rule
from bridge.doctor.project import DoctorProject
from bridge.durations import show
from bridge.errors import ConfigurationError
from bridge.local.functions import apphostjson
from bridge.local.functions.hostjson import HostJson

_log = logging.getLogger("bridge.functions")
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
    """The settings, the problems that Azure refuses the file for, and what has no effect."""
    with _warnings() as told:
        try:
            found, _ = apphostjson.read(document.file, {})
        except ConfigurationError as fault:
            return None, list(fault.problems), told
    return found, [], told


def _settings(project: DoctorProject) -> Iterator[tuple[ConfigDocument, HostJson]]:
    """The files that Azure's host takes, with their settings."""
    for document in _files(project):
        if (found := _read(document)[0]) is not None:
            yield document, found


def _about(document: ConfigDocument, problem: str) -> Hit:
    """The problem at the setting that it names."""
    text = problem.removeprefix(f"{document.file}").lstrip(": ").rstrip(".")
    named = re.search(r"[A-Za-z]+(\.[A-Za-z]+)*", text)
    path: tuple[Key, ...] = tuple(named[0].split(".")) if named else ()
    return hit(document, path, f"{text}.", "Correct it, or remove it.")


@rule("host-json-invalid", FindingLevel.ERROR, "Azure's host does not start with it: no function of the app runs.")
def host_json_invalid(project: DoctorProject) -> Iterator[Hit]:
    """What Azure's host refuses."""
    for document in _files(project):
        yield from (_about(document, problem) for problem in _read(document)[1])


@rule("host-setting-without-effect", FindingLevel.WARNING, "It looks as if it did something, and the default counts.")
def host_setting_without_effect(project: DoctorProject) -> Iterator[Hit]:
    """A section or setting that no version 4 host knows, or that belongs to extensions of Service Bus before version 5."""
    for document in _files(project):
        yield from (_about(document, problem) for problem in _read(document)[2])


@rule(
    "lock-ends-before-function",
    FindingLevel.ERROR,
    "The lock of the message ends while its function runs: it is delivered again, and the work runs twice.",
)
def lock_ends_before_function(project: DoctorProject) -> Iterator[Hit]:
    """maxAutoLockRenewalDuration below functionTimeout, where Service Bus is configured."""
    for document, found in _settings(project):
        if apphostjson.entry(document.value, "extensions", "serviceBus") is None:
            continue
        renewal, timeout = found.extensions.service_bus.max_auto_lock_renewal_duration, found.function_timeout
        if timeout is None or renewal < timeout:
            runs = "without end" if timeout is None else show(timeout)
            message = f"A function may run {runs}, and its lock is renewed for {show(renewal)}."
            path = ("extensions", "serviceBus", "maxAutoLockRenewalDuration")
            yield hit(document, path, message, "Give functionTimeout a value, and maxAutoLockRenewalDuration a minute more.")


@rule("function-timeout-unbounded", FindingLevel.WARNING, "A function that hangs holds its worker, its message and its place for ever.")
def function_timeout_unbounded(project: DoctorProject) -> Iterator[Hit]:
    """functionTimeout -1."""
    for document in _files(project):
        if str(apphostjson.entry(document.value, "functionTimeout")).strip() == "-1":
            yield hit(document, ("functionTimeout",), "functionTimeout is -1.", "Write the longest time that a function may need.")


@rule(
    "messages-prefetched",
    FindingLevel.WARNING,
    "Locks of messages that wait in the worker are not renewed: they end, and the messages run twice.",
)
def messages_prefetched(project: DoctorProject) -> Iterator[Hit]:
    """A prefetchCount above 0."""
    for document, found in _settings(project):
        if found.extensions.service_bus.prefetch_count > 0:
            path = ("extensions", "serviceBus", "prefetchCount")
            yield hit(document, path, f"prefetchCount is {found.extensions.service_bus.prefetch_count}.", "Write 0.")


@rule("bundle-ended", FindingLevel.WARNING, "Extensions of that age get no corrections, and their Service Bus settings are others.")
def bundle_ended(project: DoctorProject) -> Iterator[Hit]:
    """A bundle of extensions before version 4."""
    for document in _files(project):
        version = str(apphostjson.entry(document.value, "extensionBundle", "version") or "")
        if _OLD_BUNDLE.match(version):
            yield hit(document, ("extensionBundle", "version"), f"The bundle is {version}.", 'Write "[4.0.0, 5.0.0)".')


@rule("route-prefix-differs", FindingLevel.ERROR, "Every call of the app's functions is answered with 404.")
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
                yield hit(document, ("extensions", "http", "routePrefix"), message, "Change one of the two.")


@rule(
    "call-longer-than-front-end",
    FindingLevel.ERROR,
    "Azure's front end hangs up after 230 s: the call fails although the function goes on, and is tried again.",
)
def call_longer_than_front_end(project: DoctorProject) -> Iterator[Hit]:
    """A timeout of a function call above 230 seconds, in the bridge's policy file."""
    for path, policies in project.policies.items():
        [document, *_] = project.of_file(path)
        used = {each.timeout for each in (policies.otherwise, *policies.by_app.values())}
        for name, value in document.mapping("spec", "policies", "timeouts").items():
            span = next((each for each in used if each > _FRONT_END and show(each) == str(value)), None)
            if span is not None:
                place = ("spec", "policies", "timeouts", name)
                yield hit(document, place, f"A call may take {value}.", "Take at most 230s; longer work answers 202, or goes over a topic.")
