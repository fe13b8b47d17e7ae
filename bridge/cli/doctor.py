"""The command `bridge doctor`, which finds errors in configuration files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from bridge.cli import session


def doctor(  # noqa: PLR0913, PLR0917 - these are the options of a command
    context: typer.Context,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[PATH]...",
            help="Files and folders, or - for standard input. Without any: the files that the settings name.",
            show_default=False,
        ),
    ] = None,
    advice: Annotated[bool, typer.Option("--advice", help="Show advice too. Advice never changes the exit code.")] = False,
    fix: Annotated[bool, typer.Option("--fix", help="Change the files to fix what needs no decision, such as a misspelt name.")] = False,
    sarif_file: Annotated[
        Path | None, typer.Option("--sarif", metavar="FILE", help="Write the findings as SARIF too, for code hosts.")
    ] = None,
    certificate: Annotated[
        list[str] | None,
        typer.Option(
            "--certificates",
            metavar="FILE|URL",
            help="Show when the certificates in this file, or the authorities of this server, expire.",
        ),
    ] = None,
    schema: Annotated[
        Literal["catalogue", "settings"] | None, typer.Option("--schema", help="Print the JSON Schema of this file instead, for editors.")
    ] = None,
    sidecar: Annotated[str, typer.Option(metavar="URL", help="Compare the files with what this running sidecar has loaded.")] = "",
) -> None:
    """Find errors in Dapr resources, Kubernetes manifests, values of Dapr's chart, files of function apps, catalogue and entities.

    Each is shown with its place, why it matters, and the fix.

    Exit code 0: nothing was found; 1: an error or a warning was found; 2: the files, server or sidecar could not be read.
    """
    # Other commands start faster without it.
    from bridge.cli import examination  # noqa: PLC0415
    from bridge.doctor import editors  # noqa: PLC0415

    if schema is not None:
        session.of(context).screen.json(editors.schema(editors.EditorSchema(schema)))
        return

    request = examination.DoctorRequest(paths or (), certificate or (), sidecar, advice, fix, sarif_file)
    raise typer.Exit(examination.run(session.of(context).screen, request))
