"""The command `bridge new`, which writes a new automation, or the catalogue entry of an existing function."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Annotated

import typer

from bridge import settings
from bridge.cli import session
from bridge.cli.exits import Exit
from bridge.cli.screen import Screen, short
from bridge.errors import ConfigurationError
from bridge.files import packaged
from bridge.scaffold import names
from bridge.scaffold.choices import Places, ScaffoldLanguage, ScaffoldTrigger
from bridge.scaffold.textchange import FileChanges

app = typer.Typer(help="Write something new.", no_args_is_help=True, rich_markup_mode=None)

_BUILD_SECONDS = 300.0


@app.callback()
def _new() -> None:
    """Write something new."""


@app.command()
def automation(  # noqa: PLR0913, PLR0917 - these are the options of a command
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The automation's name in the catalogue, such as words.count.")],
    language: Annotated[ScaffoldLanguage | None, typer.Option(help="What the function is written in.")] = None,
    trigger: Annotated[ScaffoldTrigger, typer.Option(help="What starts it: a call, or work on a topic.")] = ScaffoldTrigger.HTTP,
    folder: Annotated[str, typer.Option("--app", metavar="FOLDER", help="The app's folder; otherwise that of the language.")] = "",
    source: Annotated[
        str, typer.Option("--from", metavar="APP/FUNCTION", help="Draft the catalogue entry of this existing function.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing; show what would be written.")] = False,
) -> None:
    """Write function, sample event, test, catalogue entry and, for a topic, the subscription of an automation that works at once.

    Existing files are added to and never overwritten. With --from only the catalogue entry is written: method, route and
    fields come from the function's code, and what cannot be known is a comment.
    """
    screen = session.of(context).screen
    try:
        found = settings.load({}, os.environ, Path.cwd())
        places = places_of(found)
        changes = _planned(name, language, trigger, folder, source, places)
        if not dry_run:
            changes.write()
    except ConfigurationError as fault:
        screen.problems(fault)
        raise typer.Exit(Exit.USAGE) from None
    except OSError as fault:
        screen.note(f"{fault.filename} cannot be written: {fault.strerror}.", "red")
        raise typer.Exit(Exit.FAILED) from None
    _show(screen, changes, dry_run=dry_run)
    if language is ScaffoldLanguage.GO and not dry_run:
        _build(screen, places.functions / (folder or language))
    if not screen.as_json and not dry_run:
        samples = _samples(places, language, folder) if language else None
        _next(screen, name, "" if found.functions else f" --functions {short(places.functions)}", samples)


def places_of(found: settings.Settings) -> Places:
    """Where new files go: the paths in the settings, or the usual ones in the working directory."""
    usual = {name: Path.cwd() / settings.Settings.model_fields[name].default for name in ("catalogue", "entities")}
    named = {name: getattr(found, name) for name in usual}
    own = {name: usual[name] if path.parent == packaged.FOLDER else path for name, path in named.items()}
    return Places(functions=found.functions or Path.cwd() / "functions", **own)


def _planned(  # noqa: PLR0913, PLR0917 - as above
    name: str, language: ScaffoldLanguage | None, trigger: ScaffoldTrigger, folder: str, source: str, places: Places
) -> FileChanges:
    if language is not None and not source:
        return _new_function(name, language, trigger, folder, places)
    if source and language is None:
        return _draft(name, source, places)
    raise ConfigurationError(["Say --language python, powershell or go for a new function, or --from APP/FUNCTION for an existing one."])


def _new_function(name: str, language: ScaffoldLanguage, trigger: ScaffoldTrigger, folder: str, places: Places) -> FileChanges:
    from bridge.scaffold import newautomation  # noqa: PLC0415 - the catalogue takes long to load, and other commands need none of it

    found = names.of(name, folder or language.value, topic=trigger is ScaffoldTrigger.TOPIC)
    return newautomation.plan(found, language, trigger, places)


def _draft(name: str, source: str, places: Places) -> FileChanges:
    from bridge.scaffold import catalogueentry, draft, existingapp  # noqa: PLC0415 - as above

    names.check(name)
    entry = draft.entry(name, existingapp.find(places.functions, source))
    changes = FileChanges()
    changes.replace(places.catalogue, catalogueentry.added(changes.text(places.catalogue), entry, name, places.catalogue))
    return changes


def _show(screen: Screen, changes: FileChanges, *, dry_run: bool) -> None:
    texts = {str(short(path)): text for path, text in {**changes.created, **changes.changed}.items()}
    if screen.as_json:
        screen.json(texts if dry_run else sorted(texts))
        return
    for path in dict.fromkeys(map(_shown, changes.created)):
        screen.line(f"{'would write' if dry_run else 'wrote'}     {path}")
    for path in changes.changed:
        screen.line(f"{'would add to' if dry_run else 'added to'}  {short(path)}")


def _shown(path: Path) -> Path:
    """The path as it is shown; for a file in a PowerShell module, the path of the module."""
    module = next((each for each in path.parents if each.parent.name == "Modules"), path)
    return short(module)


def _build(screen: Screen, app_folder: Path) -> None:
    """Build the custom handler that the host starts."""
    go = shutil.which("go")
    command = f"cd {short(app_folder)} && go build -o handler ."
    if go is None:
        screen.note(
            f"There is no go on this machine, so the handler is not built and the app cannot start. Install Go, then: {command}", "yellow"
        )
        return
    try:
        built = subprocess.run(  # noqa: S603 - no word of it comes from outside
            [go, "build", "-o", "handler", "."], cwd=app_folder, capture_output=True, text=True, timeout=_BUILD_SECONDS, check=False
        )
        said = built.stderr if built.returncode else ""
    except subprocess.TimeoutExpired:
        said = f"it took more than {_BUILD_SECONDS:g} s"
    if said:
        screen.note(f"The handler is not built, so the app cannot start: {said.strip()[:2000]}\nFix it, then: {command}", "yellow")


def _samples(places: Places, language: ScaffoldLanguage, folder: str) -> Path:
    return places.functions / (folder or language) / ("testdata" if language is ScaffoldLanguage.GO else "tests")


def _next(screen: Screen, name: str, option: str, samples: Path | None) -> None:
    screen.line("Next:")
    screen.line(f"  bridge up{option}")
    if samples is None:
        screen.line(f"  bridge automations {name}")
        return
    sample = short(samples / f"{name}.json")
    screen.line(f"  curl -s localhost:8080/v1/events -H 'content-type: application/cloudevents+json' -d @{sample}")
    screen.line(f"  bridge submit {name} text='how many words' --wait 20")
