"""Finds Helm and the language of Prometheus on this machine, or builds them, and fetches what the charts are held against: `make helm`.

It needs nothing but Python. Programs are looked for on the PATH, then in ~/.cache/automation-bridge/<version>.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from tools import goprograms
from tools.goprograms import Tool
from tools.helm import definitions

_TOOLS = Path(__file__).resolve().parents[1]
_HELM, _PROMQL = _TOOLS / "helm", _TOOLS / "promql"
HELM = Tool("helm", _HELM, "helm.sh/helm/v3/cmd/helm", goprograms.version(_HELM, "helm.sh/helm/v3"), "two minutes")
#: Not the name of a program of others, so that none of theirs is found on the PATH.
PROMQL = Tool("bridge-promql", _PROMQL, ".", goprograms.version(_PROMQL, "github.com/prometheus/prometheus"), "two minutes")


def main() -> int:
    """Say what there is, building it where there is nothing; the exit code."""
    return goprograms.report(_all)


def _all() -> Iterator[Path]:
    yield from (each.ensure() for each in (HELM, PROMQL))
    yield from map(definitions.fetch, definitions.MODULES)


if __name__ == "__main__":
    sys.exit(main())
