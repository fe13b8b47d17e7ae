"""The command `bridge up`, which runs a bridge and, if asked for, the local functions host and a sidecar."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Annotated

import typer

from bridge import crashpoints, settings, telemetry
from bridge.cli import functions_host, serving, session
from bridge.cli.screen import LogScreen, Screen
from bridge.settings import LogFormat, Settings


def up(  # noqa: PLR0913, PLR0917 - one flag a setting; typer passes them by name
    context: typer.Context,
    runtime: Annotated[str | None, typer.Option(help="embedded, or dapr with a sidecar.", metavar="embedded|dapr")] = None,
    host: Annotated[str | None, typer.Option(help="Listen on this address (127.0.0.1).")] = None,
    port: Annotated[str | None, typer.Option(help="Listen on this port (8080); 0 takes a free one.")] = None,
    data_dir: Annotated[str | None, typer.Option(help="Keep files here (.bridge).", metavar="DIR")] = None,
    config: Annotated[str | None, typer.Option(help="Read settings from this file (bridge.yaml).", metavar="FILE")] = None,
    catalogue: Annotated[str | None, typer.Option(help="The automations (functions/automations.yaml).", metavar="FILE")] = None,
    functions: Annotated[str | None, typer.Option(help="Run the function apps below this folder, too.", metavar="DIR")] = None,
    functions_port: Annotated[str | None, typer.Option(help="The port of the local functions host (7071).")] = None,
    timers: Annotated[bool | None, typer.Option("--timers", help="Run timer functions on their schedules, too.")] = None,
    servicebus_port: Annotated[
        str | None, typer.Option(help="Let Service Bus clients reach the embedded queue on this port, such as 5672.")
    ] = None,
    servicebus_tls: Annotated[bool | None, typer.Option("--servicebus-tls", help="Use TLS there.")] = None,
    with_sidecar: Annotated[bool | None, typer.Option("--with-sidecar", help="Start a Dapr sidecar, too (runtime dapr).")] = None,
    resources: Annotated[str | None, typer.Option(help="Components for that sidecar (components/local).", metavar="DIR")] = None,
    log_format: Annotated[str | None, typer.Option(help="Log for people or machines.", metavar="console|json")] = None,
    log_level: Annotated[str | None, typer.Option(help="The least severe lines to log.", metavar="debug|info|warning|error")] = None,
) -> None:
    """Serve. Flags override BRIDGE_* variables, which override bridge.yaml. Settings without a flag, such as tokens and cors_origins, are
    in docs/running.md.
    """
    flags: dict[str, object] = {
        "runtime": runtime,
        "host": host,
        "port": port,
        "data_dir": data_dir,
        "config": config,
        "catalogue": catalogue,
        "functions": functions,
        "functions_port": functions_port,
        "timers": timers or None,
        "servicebus_port": servicebus_port,
        "servicebus_tls": servicebus_tls or None,
        "with_sidecar": with_sidecar or None,
        "resources": resources,
        "log_format": log_format,
        "log_level": log_level,
    }
    form = settings.log_format(flags, os.environ, Path.cwd())
    screen = LogScreen() if form is LogFormat.JSON else session.of(context).screen
    telemetry.setup(form=form)
    with serving.errors_shown(screen, "The bridge cannot run"):
        found = functions_host.addressed(settings.load(flags, os.environ, Path.cwd()))
        telemetry.setup(level=found.log_level, form=form)
        crashpoints.arm(os.environ, telemetry.SENTENCES)
        with asyncio.Runner(loop_factory=serving.loop_factory()) as runner:
            runner.run(_serve(found, screen))


async def _serve(found: Settings, screen: Screen) -> None:
    if found.log_format is LogFormat.JSON:
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # gRPC's C core writes text; what goes wrong there comes as an exception, too
    # The other commands start faster without the server.
    from bridge import server  # noqa: PLC0415
    from bridge.cli import sidecar  # noqa: PLC0415

    serve: Callable[[Settings, Callable[[str], None], Mapping[str, str]], Awaitable[None]] = server.serve
    async with sidecar.running(found, screen) as environ, functions_host.running(found, screen):
        await serve(found, lambda url: banner(screen, found, url), environ)


def banner(screen: Screen, found: Settings, url: str) -> None:
    """Print the addresses of the bridge and what to try first."""
    title, facts = f"Automation Bridge listens on {url}", _facts(found, url)
    if isinstance(screen, LogScreen):
        screen.entry(title, url=url, **facts)
        return
    screen.line(title, "bold green")
    aim = "" if url == "http://127.0.0.1:8080" else f"BRIDGE_URL={url} "
    facts |= {"try": f"{aim}bridge automations", "then": f"{aim}bridge submit NAME key=value --wait 20", "stop": "Ctrl-C"}
    for name, fact in facts.items():
        screen.line(f"  {name:<10}{fact}")


def _facts(found: Settings, url: str) -> dict[str, str]:
    facts = {"API": f"{url}/openapi.json", "runtime": str(found.runtime), "data": str(found.data_dir)}
    if found.servicebus_port is not None:
        facts["bus"] = f"Service Bus for Azure SDKs; the connection string is in {found.data_dir / 'servicebus.json'}"
    if found.with_sidecar:
        facts["sidecar"] = f"log in {found.data_dir / 'daprd.log'}"
    if found.functions is not None:
        where = f"http://127.0.0.1:{found.functions_port}, " if found.functions_port else ""
        facts["functions"] = f"{where}log in {functions_host.log_of(found)}"
    return facts
