"""Commands that replace Azure on a laptop."""

from __future__ import annotations

import typer

from bridge.cli.servicebus import servicebus

app = typer.Typer(help="Azure on a laptop.", no_args_is_help=True, rich_markup_mode=None)
app.command()(servicebus)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def functions(context: typer.Context) -> None:
    """Run function apps as Azure would, without Core Tools. `bridge local functions --help` shows its options."""
    from bridge.local.functions import main  # noqa: PLC0415 - only this command needs the host

    raise typer.Exit(main(context.args))
