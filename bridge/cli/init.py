"""The command `bridge init`, which writes a first set of files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bridge.cli import session
from bridge.cli.exits import Exit
from bridge.files import packaged

_BESIDE = {"functions/resiliency.yaml": "resiliency.yaml", "components/servicebus.json": "servicebus.json"}


def init(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Write them here; the folder must not contain any of them yet.")],
) -> None:
    """Write a commented set of files and a first function that works at once: settings, catalogue, policy, topics and queues."""
    screen = session.of(context).screen
    files = {str(each.relative_to(packaged.INIT)): each for each in sorted(packaged.INIT.rglob("*")) if each.is_file()}
    files |= {name: packaged.FOLDER / source for name, source in _BESIDE.items()}
    files = {name: source for name, source in files.items() if "__pycache__" not in name}
    if there := [name for name in files if (folder / name).exists()]:
        screen.note(f"{folder} already has {', '.join(there)}; nothing was written. Name an empty folder.", "red")
        raise typer.Exit(Exit.USAGE)
    try:
        for name, source in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(source.read_bytes())
    except OSError as fault:
        screen.note(f"{fault.filename} cannot be written: {fault.strerror}.", "red")
        raise typer.Exit(Exit.FAILED) from None
    if screen.as_json:
        screen.json(sorted(files))
        return
    screen.line(f"Wrote {len(files)} files to {folder}. Next:")
    screen.line(f"  cd {folder}")
    screen.line("  bridge up")
    screen.line("  bridge submit greeting.write name=Ada --wait 60")
