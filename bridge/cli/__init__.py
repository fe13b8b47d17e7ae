"""The command line. Its commands call the same services as the API."""

from __future__ import annotations

from typing import Annotated

import typer
from typer.core import TyperGroup

from bridge.cli import (
    audit,
    automations,
    canary,
    check,
    deadletters,
    demo,
    doctor,
    functions,
    hammer,
    init,
    inputs,
    local,
    new,
    package,
    resilience,
    runs,
    up,
    why,
)
from bridge.cli.exits import Exit
from bridge.cli.screen import Screen
from bridge.cli.session import Session
from bridge.client import DEFAULT_URL

__all__ = ["Exit", "app", "main"]

_EPILOG = """\b
Examples:
  bridge init trial
  bridge new automation words.count --language powershell --trigger topic
  bridge up --functions functions
  bridge functions list
  bridge functions package python --out dist
  bridge up --runtime dapr --with-sidecar
  bridge automations certificate.inspect
  bridge submit certificate.inspect pem=@server.pem --wait 20
  bridge submit table.summarize csv=@costs.csv --correlation-id costs-2026-01
  bridge get costs-2026-01 --wait 60 --output | jq .
  bridge list --status Failed --since 2h --json
  bridge rerun costs-2026-01 csv=@corrected.csv --wait 60
  bridge deadletters list
  bridge audit --since 24h
  bridge doctor components/azure deploy
  bridge check --catalogue functions/automations.yaml
  bridge canary canary.yaml --once
  bridge resilience explain python-functions
  bridge hammer python-functions --errors 0.1 --breaks-at 30

\b
Exit codes:
  0    done; a run that was waited for succeeded
  1    the run failed; audit, canary, check or doctor found something
  2    the command line or the settings cannot be used
  3    the run timed out, or was unfinished when the wait ended
  4    the run was canceled
  5    no bridge answers at the URL
  6    the bridge refused, and said why
  130  Ctrl-C; a run that was waited for goes on
"""
_WITH_VALUE = frozenset({"--url", "--token", "--token-file"})


class _Anywhere(TyperGroup):
    """Accepts the options of `bridge` itself anywhere on the command line, up to `--`."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]  # typer keeps click's Context to itself
        for word in args:
            if not word.isascii() and any("\ud800" <= character <= "\udfff" for character in word):
                shown = word.encode("utf-8", "surrogateescape").decode("ascii", "backslashreplace")
                raise typer.BadParameter(f"{shown!r} is not text in UTF-8. Put what it should hold into a file, and write key=@FILE.")
        end = args.index("--") if "--" in args else len(args)
        words = args[:end]
        front: list[str] = []
        rest: list[str] = []
        while words:
            word = words.pop(0)
            if word == "--json" or ("=" in word and word.partition("=")[0] in _WITH_VALUE):
                front.append(word)
            elif word in _WITH_VALUE and words:
                front += [word, words.pop(0)]
            else:
                rest.append(word)
        return super().parse_args(ctx, [*front, *rest, *args[end:]])


app = typer.Typer(
    cls=_Anywhere, rich_markup_mode=None, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, epilog=_EPILOG
)


@app.callback()
def _bridge(
    context: typer.Context,
    url: Annotated[str, typer.Option(envvar="BRIDGE_URL", help="The bridge to talk to.")] = DEFAULT_URL,
    token: Annotated[
        str,
        typer.Option(envvar="BRIDGE_TOKEN", show_default=False, help="Bearer token; other users can read flags, so prefer the variable."),
    ] = "",
    token_file: Annotated[str | None, typer.Option(envvar="BRIDGE_TOKEN_FILE", metavar="FILE", help="Read the token from a file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """One entry point for hundreds of automations.

    The options below may appear anywhere on the line.
    """
    context.obj = Session(url, inputs.token(token_file, token), Screen(as_json))


app.command()(up.up)
app.command()(init.init)
app.command()(demo.demo)
app.command()(runs.submit)
app.command()(runs.get)
app.command("list")(runs.list_runs)
app.command()(why.why)
app.command()(runs.cancel)
app.command()(runs.rerun)
app.command()(automations.automations)
app.command()(audit.audit)
app.command()(doctor.doctor)
app.command()(check.check)
app.command()(canary.canary)
app.command()(hammer.hammer)
app.add_typer(deadletters.app, name="deadletters")
functions.app.command("package")(package.package)
app.add_typer(functions.app, name="functions")
app.add_typer(local.app, name="local")
app.add_typer(new.app, name="new")
app.add_typer(resilience.app, name="resilience")


def main() -> None:
    """Run the command line."""
    app()
