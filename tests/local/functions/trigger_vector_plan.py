"""Recorded vectors of the Service Bus trigger with their names here: the apps, the functions and the entities of each.

Each vector has a function and entities of its own, told from those of the others by a suffix, which is taken away again of what is seen.
Waits that the recording made are shorter here: locks, timeouts, delays and pauses between retries.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.entities import Entities

from .trigger_vector_broker import DEAD_LETTERS, properties, queue

Json = dict[str, Any]

HANDLER = Path(__file__).parent / "handlers" / "vector_handler.py"
FASTER = 5  #: times that everything waits less than in the recording
SHORT_LOCK, LONG_LOCK = "PT1S", "PT30S"  #: the recording had 5 and 30 s
_NO_ENTITY = "nosuch"  #: the name of an entity that the recording did not have
_USUAL_OUTPUTS = ("out1", "out2", "out3")  #: what `{name}` of the recorded outputs may lead to
_OTHER = "Other"  #: the function on the second subscription of a recorded topic
_FAILS: Json = {"status": 500, "body": {}}


@dataclass
class PlannedVector:
    """A vector with the names that it has here."""

    vector: Json
    number: int
    app: str = ""

    @property
    def function_suffix(self) -> str:
        return f"_v{self.number:03}"

    @property
    def suffix(self) -> str:
        return f"-v{self.number:03}"

    @property
    def function(self) -> str:
        return f"{self.vector['function']}{self.function_suffix}"

    @property
    def trigger(self) -> Json:
        found: Json = next(each for each in self.vector["functionJson"]["bindings"] if each["type"].lower() == "servicebustrigger")
        return found

    @property
    def is_powershell(self) -> bool:
        return bool(self.vector["runtime"] == "powershell")

    @property
    def base(self) -> str:
        """The queue or topic that the messages are sent to."""
        named = str(self.trigger.get("queueName") or self.trigger["topicName"])
        return (named[: -len(DEAD_LETTERS)] if self.reads_dead_letters else named) + self.suffix

    @property
    def reads_dead_letters(self) -> bool:
        return str(self.trigger.get("queueName", "")).lower().endswith(DEAD_LETTERS)

    @property
    def receives(self) -> list[str]:
        """The entities whose messages are watched."""
        if "topicName" in self.trigger:
            return [f"{self.base}/Subscriptions/{name}" for name in self.subscriptions]
        return [self.base, f"{self.base}/$DeadLetterQueue"] if self.reads_dead_letters else [self.base]

    @property
    def subscriptions(self) -> list[str]:
        return [self.trigger["subscriptionName"], _OTHER]

    @property
    def outputs(self) -> dict[str, str]:
        """The entities that are sent to, by their names here, with those of the vector."""
        named = [str(each.get("queueName") or each["topicName"]) for each in self.vector["functionJson"]["bindings"] if _is_out(each)]
        expressions = _USUAL_OUTPUTS if any("{" in name for name in named) else ()
        return {f"{name}{self.suffix}": name for name in [*named, *expressions] if "{" not in name and not name.startswith(_NO_ENTITY)}

    @property
    def dumps(self) -> str:
        """The output that a script writes what it has seen to; none without one."""
        bindings = self.vector["functionJson"]["bindings"]
        return next((f"{each['queueName']}{self.suffix}" for each in bindings if _is_out(each) and each["name"] == "dump"), "")

    @property
    def lock(self) -> str:
        return SHORT_LOCK if "short" in self.base else LONG_LOCK

    def function_json(self) -> Json:
        """As recorded, with the names and the pauses of here."""
        content: Json = json.loads(json.dumps(self.vector["functionJson"]))
        for binding in content["bindings"]:
            for key in ("queueName", "topicName"):
                if key in binding:
                    name, slash, rest = binding[key].partition("/")
                    binding[key] = name + self.suffix + slash + rest
        if "retry" in content:
            content["retry"] = {name: _shorter(value) for name, value in content["retry"].items()}
        return content

    def answer(self) -> Json:
        """What the handler answers."""
        found = dict(self.vector["handlerAnswer"])
        return {**found, "delay": found["delay"] / FASTER} if "delay" in found else found

    def seen(self, value: Any) -> Any:
        """A value without the suffixes."""
        text = json.dumps(value).replace(self.function_suffix, "")
        return json.loads(re.sub(re.escape(self.suffix), "", text, flags=re.IGNORECASE))


def _is_out(binding: Json) -> bool:
    return str(binding.get("direction", "in")).lower() == "out"


def _shorter(value: Any) -> Any:
    if not isinstance(value, str) or not re.fullmatch(r"\d\d:\d\d:\d\d", value):
        return value
    hours, minutes, seconds = map(int, value.split(":"))
    total = (hours * 3600 + minutes * 60 + seconds) / FASTER
    return f"{int(total // 3600):02}:{int(total // 60 % 60):02}:{total % 60:06.3f}"


def planned(vectors: Sequence[Json]) -> list[PlannedVector]:
    """The vectors, in apps of equal settings. What ends its handler or its time has an app of its own, so that no neighbour suffers."""
    apps: dict[str, str] = {}
    found = []
    for number, vector in enumerate(vectors):
        alone = number if vector["topic"] in ("timeout", "crash") or "exit" in vector.get("handlerAnswer", {}) else -1
        key = json.dumps([vector["runtime"], vector.get("hostJson"), alone], sort_keys=True)
        found.append(PlannedVector(vector, number, apps.setdefault(key, f"a{len(apps):03}")))
    return found


def entities(plans: Sequence[PlannedVector]) -> Entities:
    queues, topics = [], []
    for plan in plans:
        sessions = bool(plan.trigger.get("isSessionsEnabled"))
        if "topicName" in plan.trigger:
            its = [{"Name": name, "Properties": properties(plan.lock, sessions=sessions), "Rules": []} for name in plan.subscriptions]
            topics.append({"Name": plan.base, "Subscriptions": its})
        else:
            queues.append(queue(plan.base, lock=plan.lock, sessions=sessions))
        queues += [queue(name, lock=LONG_LOCK) for name in plan.outputs]
    return Entities.model_validate({"Queues": queues, "Topics": topics})


def write_apps(folder: Path, plans: Sequence[PlannedVector], connection_string: str) -> None:
    for name in sorted({plan.app for plan in plans}):
        its, app = [plan for plan in plans if plan.app == name], folder / "apps" / name
        app.mkdir(parents=True)
        runtime = "powershell" if its[0].is_powershell else "custom"
        values = {"FUNCTIONS_WORKER_RUNTIME": runtime, "SB": connection_string}
        (app / "local.settings.json").write_text(json.dumps({"IsEncrypted": False, "Values": values}))
        (app / "host.json").write_text(json.dumps(_host_json(folder, name, its)))
        for plan in its:
            _write_function(app, plan.function, plan.function_json(), plan.vector.get("files") or {})
        if runtime == "custom":
            answers = {plan.function: plan.answer() for plan in its}
            for plan in its:
                for other, content in _companions(plan).items():
                    _write_function(app, other, content, {})
                    answers[other] = _FAILS if plan.reads_dead_letters else {"body": {}}
            (folder / f"{name}.answers.json").write_text(json.dumps(answers))
        else:
            for plan in its:
                for other, content in _companions(plan).items():
                    script = "param($msg)\nthrow 'always'\n" if plan.reads_dead_letters else "param($msg)\n'done'\n"
                    _write_function(app, other, content, {"run.ps1": script})


def _companions(plan: PlannedVector) -> dict[str, Json]:
    """Functions that the recording had beside that of the vector: what made the dead letters, or read a second subscription."""
    name, trigger = f"{_OTHER}{plan.function_suffix}", {**plan.function_json()["bindings"][0]}
    if plan.reads_dead_letters:
        return {name: {"bindings": [{**trigger, "queueName": plan.base}]}}
    if "topicName" in plan.trigger:
        return {name: {"bindings": [{**trigger, "subscriptionName": _OTHER}]}}
    return {}


def _write_function(app: Path, name: str, content: Json, files: Mapping[str, str]) -> None:
    folder = app / name
    folder.mkdir()
    (folder / "function.json").write_text(json.dumps(content))
    for file, text in files.items():
        (folder / file).write_text(text)


def _host_json(folder: Path, name: str, plans: Sequence[PlannedVector]) -> Json:
    content: Json = {"version": "2.0", **(plans[0].vector.get("hostJson") or {})}
    if plans[0].vector["topic"] == "timeout":
        content["functionTimeout"] = "00:00:01"
    if not plans[0].is_powershell:
        files = [str(HANDLER), str(folder / f"{name}.answers.json"), str(folder / f"{name}.asked")]
        content["customHandler"] = {"description": {"defaultExecutablePath": sys.executable, "arguments": files}}
    return content
