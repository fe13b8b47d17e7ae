"""What the Functions host answers besides the functions: its home page, its state, and the list of functions.

Paths, statuses and headers are those of Azure's host; whoever lacks the master key learns nothing from them.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

from bridge.local.functions import manualruns
from bridge.local.functions.httpmessage import HttpRequest, HttpResponse
from bridge.local.functions.keys import AppKeys, KeyAccess

VERSION = "4.1037.0.0"  #: of the Functions host whose behaviour was recorded
UNAUTHORIZED = HttpResponse(401, [("WWW-Authenticate", "Bearer")])
NOT_RUNNING = HttpResponse(503, [], b"Function host is not running.", early=True)
_JSON = [("Content-Type", "application/json; charset=utf-8")]
_PING = HttpResponse(200, [("Cache-Control", "no-store,no-cache"), ("Pragma", "no-cache")])
_HOME = b"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Functions</title></head>
<body><h1>The function app is up and running</h1><p>This is the local functions host of the Automation Bridge.</p></body></html>
"""
#: Paths of Azure's host that this host has nothing for, which still ask for the master key.
_CLOSED = frozenset(
    {"/admin/host/drain", "/admin/host/drain/status", "/admin/instance/info", "/admin/host/keys", "/admin/host/extensionbundle"}
)


@dataclass(frozen=True, slots=True)
class ListedFunction:
    """A function as the list shows it. `problem` is why it does not run."""

    name: str
    bindings: Sequence[Mapping[str, object]] = ()
    language: str | None = None
    problem: str = ""
    disabled: bool = False
    listed: bool = True  #: False for one whose file cannot be read
    route: str = ""  #: with its prefix and methods
    note: str = ""  #: what of it does not happen here
    indexed: bool = True  #: False for one that cannot be run by hand either


@dataclass(frozen=True, slots=True)
class AppState:
    """What is shown of an app. `errors` is why none of its functions runs; nothing if they do."""

    functions: Sequence[ListedFunction] = ()
    errors: Sequence[str] = ()
    homepage: bool = True
    offline: bytes | None = None  #: the page of an app that was taken offline
    started: float = field(default_factory=time.monotonic)

    @property
    def runs(self) -> bool:
        """Whether the functions run."""
        return self.offline is None and not self.errors

    @property
    def state(self) -> str:
        """The word that Azure's host has for it."""
        return "Offline" if self.offline is not None else "Error" if self.errors else "Running"


class AdminPages:
    """Answers for one app."""

    def __init__(self, state: AppState, keys: AppKeys) -> None:
        self._state, self._keys = state, keys
        self._functions = {each.name.lower(): each for each in state.functions}

    @property
    def not_running(self) -> HttpResponse:
        """What a request gets while the functions do not run."""
        page = self._state.offline
        return NOT_RUNNING if page is None else HttpResponse(503, [("Content-Type", "text/html")], page, early=True)

    def home(self) -> HttpResponse:
        """The page at `/`, where no function is."""
        return HttpResponse(200, [("Content-Type", "text/html")], _HOME) if self._state.homepage else HttpResponse(204)

    def answer(self, request: HttpRequest) -> HttpResponse | None:  # noqa: C901, PLR0911 - one for each path
        """The response for a path of the host's own; None if it has no such path."""
        path = request.path.lower().rstrip("/")
        if path == "/admin/host/ping":
            return _PING if request.method in ("GET", "POST") else None
        if path == "/admin/warmup" and request.method == "GET":
            return HttpResponse(200)
        if path.startswith("/runtime/webhooks/"):
            return UNAUTHORIZED
        if path == "/admin/vfs":
            return self.refusal(request) or HttpResponse(403)
        if path in _CLOSED:
            return self.refusal(request) or HttpResponse(404)
        if request.method != "GET":
            return None
        if path == "/admin/host/status":
            return self.refusal(request) or self._status()
        if path == "/admin/bridge/functions":
            return self.refusal(request) or _json(
                {"errors": list(self._state.errors), "functions": [_row(each) for each in self._state.functions]}
            )
        if path == "/admin/functions":
            host = request.headers.get("host", "")
            return self.refusal(request) or _json([_shown(each, host) for each in self._state.functions if each.listed])
        if path.startswith(manualruns.PATH):
            return self.refusal(request) or self._function(request)
        return None

    def refusal(self, request: HttpRequest) -> HttpResponse | None:
        """The response for whoever lacks the master key."""
        access = self._keys.access(request.headers, request.query, "admin")
        if access is KeyAccess.MASTER:
            return None
        return HttpResponse(403) if access is KeyAccess.OTHER_KEY else UNAUTHORIZED

    def _status(self) -> HttpResponse:
        shown: dict[str, object] = {
            "id": "local",
            "state": self._state.state,
            "version": VERSION,
            "versionDetails": "the local functions host of the Automation Bridge",
            "processUptime": int((time.monotonic() - self._state.started) * 1000),
            "processId": os.getpid(),
        }
        return _json({**shown, "errors": list(self._state.errors)} if self._state.errors else shown)

    def _function(self, request: HttpRequest) -> HttpResponse:
        name, _, what = unquote(request.path.rstrip("/")[len(manualruns.PATH) :]).partition("/")
        found = self._functions.get(name.lower())
        if found is None or what.lower() not in ("", "status"):
            return HttpResponse(404)
        if not what:
            return _json(_shown(found, request.headers.get("host", ""))) if found.listed else HttpResponse(404)
        return _json({"errors": [found.problem]} if found.problem else {})


def _shown(function: ListedFunction, host: str) -> dict[str, object]:
    path = function.route.partition(" ")[2].lower()
    return {
        **({"invoke_url_template": f"http://{host}{path}"} if path else {}),
        "name": function.name,
        "language": function.language,
        "isDisabled": function.disabled,
        "config": {"name": function.name, "bindings": list(function.bindings)},
    }


def _row(function: ListedFunction) -> dict[str, object]:
    """A function as `bridge functions list` shows it."""
    trigger: Mapping[str, object] = next((each for each in function.bindings if str(each.get("type")).lower().endswith("trigger")), {})
    state = f"does not run: {function.problem}" if function.problem else "disabled" if function.disabled else "runs"
    if not function.problem and not function.indexed:
        state = "left out by functions of host.json"
    return {
        "function": function.name,
        "trigger": str(trigger.get("type", "")),
        "route": function.route,
        "state": function.note if state == "runs" and function.note else state,
    }


def _json(value: object) -> HttpResponse:
    return HttpResponse(200, _JSON, json.dumps(value, separators=(",", ":")).encode())
