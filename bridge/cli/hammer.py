"""The command `bridge hammer`, which finds a policy for a function app by load-testing one of its functions."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Annotated

import typer

from bridge import durations
from bridge.cli import session
from bridge.cli.exits import Exit
from bridge.errors import ConfigurationError
from bridge.files import textfile

_SECONDS, _MOST = 60, 5000
_FRONT_END = 230  #: seconds after which Azure's front end hangs up, so that no call takes longer
_APP = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def _span(text: str, most: float = 86_400) -> float:
    try:
        seconds = durations.parse(text).total_seconds()
    except ValueError as fault:
        raise typer.BadParameter(str(fault)) from None
    if not 0 < seconds <= most:
        raise typer.BadParameter(f"{text!r} is not above 0 and {most:g} s at most.")
    return seconds


def hammer(  # noqa: PLR0913, PLR0917 - these are the options of a command
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="APP", help="The app for which a policy is found, by its name in the catalogue.")],
    function: Annotated[str, typer.Option(help="A function of a staging app; otherwise a scripted one is started.", metavar="URL")] = "",
    allow_host: Annotated[
        list[str] | None, typer.Option("--allow-host", metavar="HOST", help="A machine other than this one that may be called.")
    ] = None,
    key_env: Annotated[str | None, typer.Option(metavar="VARIABLE", help="The variable with the function key.")] = None,
    body: Annotated[Path | None, typer.Option(metavar="FILE", help="JSON that is sent with each call; otherwise {}.")] = None,
    errors: Annotated[float, typer.Option(min=0, max=1, help="Scripted: the share of calls that get 503.")] = 0.2,
    hangs: Annotated[float, typer.Option(min=0, max=1, help="Scripted: the share of calls that hang.")] = 0.02,
    latency: Annotated[str, typer.Option(help="Scripted: how long an answer usually takes.")] = "50ms",
    breaks_at: Annotated[float, typer.Option(min=0, help="Scripted: calls a second above which all get 503; 0 means never.")] = 50,
    seed: Annotated[int, typer.Option(help="Scripted: the seed of the random faults.")] = 1,
    first: Annotated[float, typer.Option("--from", min=0.1, help="Calls a second at the start.")] = 5,
    last: Annotated[float, typer.Option("--to", min=0.1, help="The most calls a second.")] = 200,
    seconds: Annotated[int, typer.Option(min=5, max=3600, help="How long it sends in total.")] = _SECONDS,
    most: Annotated[int, typer.Option(min=50, max=1_000_000, help="The most calls.")] = _MOST,
    patience: Annotated[str, typer.Option(help="How long until a call counts as hung while measuring.")] = "5s",
    deadline: Annotated[
        str, typer.Option(help="The deadline of a request; otherwise the shortest of the automations that call APP, or 1m.")
    ] = "",
    aim: Annotated[float, typer.Option(min=1, max=99.999, help="The percentage of requests that should succeed.")] = 99.9,
    concurrency: Annotated[int, typer.Option(min=1, max=10_000, help="Calls at a time, as in the catalogue.")] = 20,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Where the policy goes; otherwise hammer-APP.yaml.")] = None,
    svg: Annotated[Path | None, typer.Option(metavar="FILE", help="Where the picture goes; otherwise hammer-APP.svg.")] = None,
) -> None:
    """Call a function at rising load, find timeout, retries and circuit breaker for it, try them, and write them with the reasons.

    Without --function, the command starts a function on this machine that fails as the options say. With --function, that function runs for
    every call, so use one in a staging environment. Only this machine and the hosts that --allow-host names are called. When the time is
    up, the command waits for the calls in progress.

    Exit code 0: the policy reaches --aim; 1: it does not, or none was found; 2: the command cannot be carried out.
    """
    # Other commands start faster without it.
    from bridge.cli import hammerrun  # noqa: PLC0415
    from bridge.hammer import guard  # noqa: PLC0415
    from bridge.hammer.faults import Faults  # noqa: PLC0415

    screen = session.of(context).screen
    if not _APP.fullmatch(name):
        raise typer.BadParameter(f"APP {name!r} is not a name of an app; it has 1 to 63 of a-z, 0-9 and -.")
    if first > last:
        raise typer.BadParameter(f"--from {first:g} is more than --to {last:g}.")
    if key_env is not None and not os.environ.get(key_env):
        raise typer.BadParameter(f"--key-env: the variable {key_env} is not set.")
    try:
        request = hammerrun.HammerRequest(
            app=name,
            target=guard.checked(function, allow_host or ()) if function else None,
            faults=Faults(errors, hangs, durations.parse(f"{_span(latency)}s"), breaks_at or None),
            seed=seed,
            load=(first, last, seconds, most),
            patience=_span(patience, _FRONT_END),
            deadline=_span(deadline) if deadline else None,
            share=aim / 100,
            concurrency=concurrency,
            input=json.loads(textfile.read(body)) if body is not None else {},
            key_env=key_env,
            files=(out or Path(f"hammer-{name}.yaml"), svg or Path(f"hammer-{name}.svg")),
        )
        code = hammerrun.run(request, screen)
    except ConfigurationError as fault:
        raise typer.BadParameter("; ".join(fault.problems)) from None
    except (OSError, ValueError) as fault:
        screen.note(f"{getattr(fault, 'filename', None) or ''} {getattr(fault, 'strerror', None) or fault}".strip(), "red")
        code = Exit.USAGE
    raise typer.Exit(code)
