"""The command `bridge local servicebus`, which runs the queue alone, as a Service Bus namespace on this machine."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Annotated

import typer

from bridge import telemetry
from bridge.cli import serving, session
from bridge.cli.screen import Screen
from bridge.errors import ConfigurationError
from bridge.files import packaged

ENTITIES = Path("components/servicebus.json")


def servicebus(  # noqa: PLR0913, PLR0917 - one flag a setting; typer passes them by name
    context: typer.Context,
    entities: Annotated[
        Path, typer.Option(help="Queues, topics and subscriptions, as for Microsoft's emulator.", metavar="FILE")
    ] = ENTITIES,
    host: Annotated[str, typer.Option(help="Listen on this address. One that others can reach needs --tls.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Listen on this port; 0 takes a free one.", min=0, max=65535)] = 5672,
    data_dir: Annotated[Path, typer.Option(help="Keep messages here; not the folder of a bridge.", metavar="DIR")] = Path(".servicebus"),
    tls: Annotated[bool, typer.Option("--tls", help="Use TLS, with a certificate that is made in the folder.")] = False,
    max_message: Annotated[int, typer.Option(help="The most bytes of a message or batch.", min=1024)] = 2**20,
    queue_limit: Annotated[int, typer.Option(help="The most messages of one queue or subscription.", min=1)] = 200_000,
    emulator_config: Annotated[
        Path | None, typer.Option(help="Only write the entities as a file that Microsoft's emulator takes.", metavar="OUT")
    ] = None,
) -> None:
    """Run Azure Service Bus on this machine: any Azure SDK, Dapr or a functions host can talk to it. Ctrl-C stops it.

    The connection string is in DIR/servicebus.json once it listens. In a folder without an entities file the packaged one is used.
    """
    screen = session.of(context).screen
    if entities == ENTITIES:
        entities = packaged.instead_of(entities, "servicebus.json")
    with serving.errors_shown(screen, "Service Bus cannot run"):
        if emulator_config is not None:
            _write_emulator_config(screen, entities, emulator_config)
            return
        telemetry.setup()
        with asyncio.Runner(loop_factory=serving.loop_factory()) as runner:
            bounds = {"max_message": max_message, "queue_limit": queue_limit}
            runner.run(_serve(screen, entities, data_dir, bounds, host=host, port=port, tls=tls))


async def _serve(  # noqa: PLR0913 - what the command was given
    screen: Screen, entities: Path, data_dir: Path, bounds: dict[str, int], *, host: str, port: int, tls: bool
) -> None:
    from bridge import app  # noqa: PLC0415 - the other commands start faster without it

    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with app.open_namespace(entities, data_dir, host=host, port=port, tls=tls, **bounds) as found:
        screen.line(f"Service Bus listens on {found.address}", "bold green")
        facts = {"connect": f"the connection string is in {data_dir / 'servicebus.json'}", "entities": str(entities)}
        facts |= {"trust": f"{found.certificate} (SSL_CERT_FILE)"} if found.certificate else {}
        for name, fact in {**facts, "data": str(data_dir), "stop": "Ctrl-C"}.items():
            screen.line(f"  {name:<10}{fact}")
        await stop.wait()


def _write_emulator_config(screen: Screen, file: Path, out: Path) -> None:
    """Write the entities for Microsoft's emulator, and print what had to be changed. Raises ConfigurationError, OSError."""
    from bridge import entities  # noqa: PLC0415 - the other commands start faster without it
    from bridge.entities import emulatorconfig  # noqa: PLC0415 - likewise

    made = emulatorconfig.emulator_config(entities.load(file))
    if made.problems:
        raise ConfigurationError([f"{file}: {problem}." for problem in made.problems])
    out.write_text(json.dumps(made.document, indent=2) + "\n")
    screen.line(f"{out} is written for Microsoft's emulator.", "bold green")
    for change in made.changes:
        screen.line(f"  changed   {change}")
