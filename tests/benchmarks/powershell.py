"""`python -m tests.benchmarks.powershell`: PowerShell functions in the local functions host, beside Python functions that do the same.

The first answer after the start of a host; warm calls, one at a time; calls a second with four runspaces; a hundred cold calls that take
300 ms each, all at once; what an error record costs; and the memory of the worker over 10,000 calls. Nothing is asserted: the last column
has the aim, and `others` says how much of the machine was busy with something else meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from bridge.errors import ConfigurationError
from bridge.local.functions import powershell
from tests.benchmarks import machine
from tests.benchmarks.functionshost import host, others
from tests.benchmarks.load import percentile
from tests.benchmarks.process import machine_cpu

STARTS, WARM_UP, CALLS, ROUNDS, COLD, SECONDS, ERRORS = 5, 200, 500, 5, 100, 0.3, 20
HTTP = [
    {"type": "httpTrigger", "direction": "in", "name": "Request", "authLevel": "anonymous", "methods": ["post"]},
    {"type": "http", "direction": "out", "name": "Response"},
]
_PUSH = "Push-OutputBinding -Name Response -Value @{ Body = @{ name = $Request.Body.name } }"
SCRIPTS = {
    "Echo": f"param($Request)\n{_PUSH}\n",
    "Sleep": f"param($Request)\nStart-Sleep -Milliseconds {SECONDS * 1000:.0f}\n{_PUSH}\n",
    "Errors": f'param($Request)\nfor ($i = 0; $i -lt {ERRORS}; $i++) {{ Write-Error "number $i" }}\n{_PUSH}\n',
}
PYTHON = """import json
import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route("Echo", methods=["POST"])
def echo(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(json.dumps({"name": req.get_json()["name"]}), mimetype="application/json")
"""


def write_apps(folder: Path) -> tuple[Path, Path]:
    """The folders with the PowerShell app and with the Python app."""
    scripts, python = folder / "powershell" / "speed", folder / "python" / "speed"
    for name, script in SCRIPTS.items():
        (scripts / name).mkdir(parents=True)
        (scripts / name / "run.ps1").write_text(script)
        (scripts / name / "function.json").write_text(json.dumps({"bindings": HTTP}))
    python.mkdir(parents=True)
    (python / "function_app.py").write_text(PYTHON)
    return scripts.parent, python.parent


async def first_answer(apps: Path, pwsh: str) -> str:
    """From the start of the host to the first answer, in the median, and the longest; in ms."""
    took = []
    for _ in range(STARTS):
        async with host(apps, BRIDGE_PWSH=pwsh) as one:
            await one.call("Echo")
            took.append((time.perf_counter() - one.began) * 1000)
    return f"{median(took):,.0f} (longest {max(took):,.0f})"


async def warm(apps: Path, pwsh: str) -> str:
    async with host(apps, BRIDGE_PWSH=pwsh, PSWorkerInProcConcurrencyUpperBound="1") as one:
        await one.calls("Echo", WARM_UP)
        took = await one.calls("Echo", CALLS)
    return f"{percentile(took, 50) * 1000:.1f}/{percentile(took, 99) * 1000:.1f}"


async def at_once(apps: Path, pwsh: str) -> str:
    """Calls a second with four callers, in the median of some rounds of a thousand."""
    async with host(apps, BRIDGE_PWSH=pwsh, PSWorkerInProcConcurrencyUpperBound="4") as one:
        await asyncio.gather(*(one.calls("Echo", WARM_UP) for _ in range(4)))
        rates = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            await asyncio.gather(*(one.calls("Echo", 250) for _ in range(4)))
            rates.append(1000 / (time.perf_counter() - began))
    return f"{median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f})"


async def cold(apps: Path, pwsh: str) -> str:
    async with host(apps, BRIDGE_PWSH=pwsh) as one:
        began = time.perf_counter()
        await asyncio.gather(*(one.call("Sleep") for _ in range(COLD)))
        return f"{time.perf_counter() - began:.1f}"


async def error_record(apps: Path, pwsh: str) -> str:
    """By how much a call with errors is slower than one without, for each of them; in ms."""
    async with host(apps, BRIDGE_PWSH=pwsh, PSWorkerInProcConcurrencyUpperBound="1") as one:
        for function in ("Echo", "Errors"):
            await one.calls(function, WARM_UP // 2)
        plain, with_errors = median(await one.calls("Echo", 100)), median(await one.calls("Errors", 100))
    return f"{(with_errors - plain) * 1000 / ERRORS:.2f}"


async def memory(apps: Path, pwsh: str) -> str:
    async with host(apps, BRIDGE_PWSH=pwsh, PSWorkerInProcConcurrencyUpperBound="4") as one:
        await one.call("Echo")
        seen = [one.memory()]
        for _ in range(4):
            await asyncio.gather(*(one.calls("Echo", 625) for _ in range(4)))
            seen.append(one.memory())
    return " → ".join(f"{each:.0f}" for each in seen)


async def measured(folder: Path, pwsh: str, only: str) -> Table:
    scripts, python = write_apps(folder)
    table = Table("what", "PowerShell", "Python", "aim", "others")
    rows = {
        "first": ("first answer after the start, ms", first_answer, True, "at most 1,000"),
        "warm": ("warm call, p50/p99 ms", warm, True, "p50 at most 2 over Python's"),
        "rate": ("calls/s, four runspaces, four callers", at_once, True, "at least 800"),
        "cold": (f"{COLD} cold calls of {SECONDS * 1000:.0f} ms at once, s", cold, False, "at most 3"),
        "error": ("an error record, ms", error_record, False, "at most 5"),
        "memory": ("memory of the worker over 10,000 calls, MiB", memory, False, "flat, at most 157"),
    }
    for title, measure, beside_python, aim in (row for name, row in rows.items() if only in ("", name)):
        busy, began, ours = machine_cpu(), time.perf_counter(), os.times()
        shown = await measure(scripts, pwsh)
        other = await measure(python, pwsh) if beside_python else ""
        table.add_row(title, shown, other, aim, others(machine_cpu() - busy, ours, time.perf_counter() - began))
    return table


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.powershell", description=__doc__)
    parser.add_argument("--only", default="", choices=["first", "warm", "rate", "cold", "error", "memory"], help="measure one row")
    chosen = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 140)
    try:
        pwsh = powershell.find()
    except ConfigurationError as reason:
        console.print(f"skipped: {reason}")
        return 0
    with tempfile.TemporaryDirectory(prefix="speed-") as folder:
        console.print(asyncio.run(measured(Path(folder), pwsh, chosen.only)))
    console.print("; ".join(f"{name}: {value}" for name, value in machine.facts().items()), highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
