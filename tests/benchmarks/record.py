"""One run as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.aims import aims
from tests.benchmarks.figures import Figures, Latency
from tests.benchmarks.measure import Plan
from tests.benchmarks.notes import promise


@dataclass(frozen=True)
class Measured:
    """The machine, how much was sent, and what came out."""

    facts: Mapping[str, str]
    plan: Plan
    rows: Sequence[Figures]


def as_json(measured: Measured) -> str:
    """All of it, with what is computed from it, for whoever reads it elsewhere."""
    rows = [asdict(row) | {"promise": promise(row.name)} for row in measured.rows]
    reached = [asdict(aim) | {"reached": aim.is_reached} for aim in aims(measured.rows)]
    return json.dumps({"machine": dict(measured.facts), "plan": asdict(measured.plan), "rows": rows, "aims": reached}, indent=2)


def read_json(path: Path) -> Measured:
    """What `as_json` wrote."""
    said = json.loads(path.read_text())
    return Measured(said["machine"], Plan(**said["plan"]), [_figures(row) for row in said["rows"]])


def _figures(row: dict[str, Any]) -> Figures:
    row = {name: value for name, value in row.items() if name != "promise"}
    latencies = {name: Latency(**row[name]) if row[name] else None for name in ("busy", "steady")}
    return Figures(**row | latencies | {"rates": tuple(row["rates"])})
