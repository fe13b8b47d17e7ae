"""The options of the functions host."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

START_REFUSED = 2  #: exit code of a host that cannot start as things are
CANNOT_START = "Cannot start: "  #: what it writes then, before the reasons


@dataclass(frozen=True, slots=True)
class Options:
    """Where the apps are and how to serve them."""

    apps: Path = Path("functions")  #: folder whose subfolders are function apps
    data_dir: Path = Path(".bridge")  #: where `servicebus.json` is read and `functions.json` written
    port: int = 7071  #: of the first app, the next app has the next one; 0 picks free ports
    host_json: Path = Path("host.json")  #: merged with each app's `host.override.json`
    python: str = ""  #: interpreter for Python apps; empty: see `interpreter.for_apps`
    parent: int = 0  #: id of the process to end with; 0: none
    log: Path | None = None  #: file that standard error goes to, begun anew at a size; None: as it is
    servicebus_namespace: str = ""  #: host name of the namespace that functions without a connection use, with an identity
    servicebus_connection_string_file: Path | None = None  #: the same by a connection string; neither: the queue of `data_dir`
    public_url: str = ""  #: of the bridge that sends work; no other address is reported to. Empty: nothing is work of the bridge
    timers: bool = False  #: whether timer functions run by their schedules, not only by hand
