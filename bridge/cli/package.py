"""The command `bridge functions package`, which makes the zip file for publishing a function app."""

from __future__ import annotations

import errno
import os
import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bridge import settings
from bridge.cli import session
from bridge.cli.exits import Exit
from bridge.cli.screen import Screen, short
from bridge.errors import ConfigurationError
from bridge.files import packaged

if TYPE_CHECKING:
    from bridge.publishing.apppackage import AppPackage

_HOST_JSON = Path("host.json")
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def package(
    context: typer.Context,
    app: Annotated[str, typer.Argument(metavar="APP", help="Its folder, or its name in the catalogue, such as python-functions.")],
    out: Annotated[Path, typer.Option(help="The folder to write the zip into.", metavar="DIR")],
    host_json: Annotated[
        Path, typer.Option("--host-json", help="The host.json of apps that have none of their own.", metavar="FILE")
    ] = _HOST_JSON,
) -> None:
    """Make the zip with which a function app is published to Azure, and say how to publish it.

    It contains the app, its host.json and the helper modules that it uses. It leaves out what must not be published: local.settings.json,
    virtual environments, tests, and what .funcignore names. The same files give the same zip, byte for byte.
    """
    from bridge.publishing import apppackage, namedapp  # noqa: PLC0415 - they take long to load, and other commands need none of it

    screen, target = session.of(context).screen, out
    try:
        functions = settings.load({}, os.environ, Path.cwd()).functions or Path.cwd() / "functions"
        shared = packaged.instead_of(host_json, _HOST_JSON.name) if host_json == _HOST_JSON else host_json
        made = apppackage.of(namedapp.find(functions, app), out, shared)
        target = made.path
        digest = made.write()
    except ConfigurationError as fault:
        screen.problems(fault)
        raise typer.Exit(Exit.USAGE) from None
    except OSError as fault:
        # One about a file that is open, such as a full disk, does not name it.
        screen.note(f"{fault.filename or target} cannot be read or written: {fault.strerror}.", "red")
        if fault.errno in _NO_ROOM:
            screen.note(f"Free space in {target.parent}, or name another folder with --out.")
        raise typer.Exit(Exit.FAILED) from None
    _show(screen, made, digest)


def _show(screen: Screen, made: AppPackage, digest: str) -> None:
    if screen.as_json:
        screen.json(
            {
                "app": made.app.name,
                "language": made.app.language.value,
                "zip": str(made.path),
                "bytes": made.path.stat().st_size,
                "sha256": digest,
                "files": [each.name for each in made.files],
                "added": list(made.added),
                "leftOut": list(made.left_out),
                "hostJson": made.host_json,
                "notes": list(made.notes),
                "next": _next(made),
            }
        )
        return
    screen.table(("in the package", "files", "bytes"), _rows(made))
    screen.line(f"host.json:  {made.host_json}")
    for named, names in (("added", _by_top(made.added)), ("left out", made.left_out)):
        if names:
            screen.line(f"{named + ':':<11} {', '.join(names)}")
    screen.line(f"wrote       {short(made.path)}  {made.path.stat().st_size:,} bytes, SHA-256 {digest}")
    for note in made.notes:
        screen.note(note, "yellow")
    screen.line("Next:")
    screen.line(f"  {_next(made)}")


def _rows(made: AppPackage) -> list[tuple[str, str, str]]:
    """A row for each file and folder at the top of the package, and one row for all .NET libraries."""
    files, sizes = Counter[str](), Counter[str]()
    for each in made.files:
        top = _top(each.name)
        files[top] += 1
        sizes[top] += each.size
    return [(top, str(files[top]), f"{sizes[top]:,}") for top in sorted(files)]


def _by_top(names: Sequence[str]) -> list[str]:
    return sorted({f"Modules/{name.split('/')[1]}/" if name.startswith("Modules/") else name for name in names})


def _top(name: str) -> str:
    first, slash, _ = name.partition("/")
    return first + slash if slash or not name.endswith(".dll") else "*.dll"


def _next(made: AppPackage) -> str:
    """The command that publishes the package, for every hosting plan that accepts one."""
    build = " --build-remote true" if made.builds else ""
    return f"az functionapp deployment source config-zip -g GROUP -n NAME --src {shlex.quote(str(short(made.path)))}{build}"
