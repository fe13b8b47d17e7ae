"""`python -m tests.chaos`: kills a bridge under load again and again, and counts what came of everything it had accepted.

Exit code 1 if anything accepted is missing, has no reply, was done twice without a reason, or ended in two ways.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tests.chaos import report
from tests.chaos.on_dapr import on_dapr
from tests.chaos.on_servicebus import on_servicebus
from tests.chaos.place import embedded
from tests.chaos.storm import Opening, Plan, Storm, end_on_sigterm, storm
from tests.dapr.sidecar import COMPONENTS

_OPENINGS: Mapping[str, Callable[[Path], Opening]] = {
    "embedded": lambda folder: partial(embedded, folder),
    "dapr": lambda folder: partial(on_dapr, folder, COMPONENTS / "redis"),
    "dapr-servicebus": lambda folder: partial(on_servicebus, folder),
}
SHOWN = 30  #: lines of what is wrong


def rows(plan: Plan, came: Storm) -> list[tuple[str, str]]:
    """Everything that was counted, in words."""
    account = came.audit
    ends = ", ".join(f"{how} {count}" for how, count in sorted(came.ends.items()))
    ended = sum(account["ended"].values()) + account["forgotten"]
    sums = f"accepted {account['accepted']:,} = ended {ended:,} + unfinished {account['unfinished']:,}; replies {account['replies']:,}"
    return [
        ("load", f"{plan.seconds:g} s, {plan.callers} HTTP callers, {plan.publishers} publishers; seed {plan.seed}"),
        ("the process was ended", f"{came.ends.total()} times ({ends})"),
        *came.verdict.rows,
        ("seconds to drain", f"{came.drained:.1f}"),
        ("bridge audit", f"{sums}; {account['misfitCount']:,} do not fit; exit code {came.audit_code}"),
    ]


def show(console: Console, shown: list[tuple[str, str]], wrong: tuple[str, ...]) -> None:
    table = Table(show_header=False, box=None)
    for name, value in shown:
        table.add_row(name, escape(value))
    console.print(table)
    for line in wrong[:SHOWN]:
        console.print(f"[red]{escape(line)}[/]", highlight=False)
    console.print(f"[red]{len(wrong)} promises broken[/]" if wrong else "[green]Every promise held.[/]")


def read() -> tuple[Plan, str, bool]:
    """The options: the plan, the runtime, and whether to write the report."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=Plan.seconds, help="of load (%(default)s)")
    parser.add_argument("--kills", type=int, default=Plan.kills, help="within them (%(default)s)")
    parser.add_argument(
        "--runtime",
        choices=list(_OPENINGS),
        default="embedded",
        help="dapr: two bridges, sidecars, Redis; dapr-servicebus: and a Service Bus namespace",
    )
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="decides the moments and what is asked")
    parser.add_argument("--report", action="store_true", help="write the figures into docs/reliability.md, too")
    chosen = parser.parse_args()
    return Plan(chosen.seconds, chosen.kills, chosen.seed), chosen.runtime, chosen.report


async def _storm(plan: Plan, runtime: str, folder: Path) -> Storm:
    end_on_sigterm()
    return await storm(plan, _OPENINGS[runtime](folder))


def main() -> int:
    plan, runtime, wants_report = read()
    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(f"{plan.kills} kills in {plan.seconds:g} s of load, --seed {plan.seed}", highlight=False)
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    came = asyncio.run(_storm(plan, runtime, folder))
    shown = rows(plan, came)
    show(console, shown, came.wrong)
    if came.wrong:
        console.print(f"Data and logs are kept in {folder}", highlight=False)
    else:
        shutil.rmtree(folder)
    if wants_report:
        report.write("chaos" if runtime == "embedded" else f"chaos-{runtime}", shown)
    return 1 if came.wrong or came.audit_code else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(130)
