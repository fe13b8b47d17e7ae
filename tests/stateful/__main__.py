"""The long run: `python -m tests.stateful --steps 100000 --runs 10000 [--seed N]`. It ends at the first broken promise."""

from __future__ import annotations

import argparse
import random
import time

from rich.console import Console

from tests.harsh_kit import quiet
from tests.stateful.deadlines import fuzzed
from tests.stateful.machine import Bridge, explore

#: Stories of one round of the machine, and worlds of one round of the fuzz: how often progress is told.
ROUND = 50

console = Console()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.stateful", description=__doc__)
    parser.add_argument("--steps", type=int, default=100_000, help="how many steps the random sequences take at least")
    parser.add_argument("--runs", type=int, default=10_000, help="how many runs the fuzz of deadlines takes at least")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32), help="where to begin; the same seed is the same run")
    chosen = parser.parse_args()
    began = time.monotonic()
    console.print(f"seed {chosen.seed}", highlight=False)
    with quiet():
        sequences(chosen.steps, chosen.seed)
        deadlines(chosen.runs, chosen.seed)
    console.print(f"all promises held; {time.monotonic() - began:.0f} s", highlight=False)


def sequences(steps: int, seed: int) -> None:
    number = seed
    while Bridge.steps < steps:
        explore(ROUND, seed=number)
        number += 1
        console.print(f"{Bridge.steps:>8} steps and every promise held (next: --seed {number})", highlight=False)


def deadlines(runs: int, seed: int) -> None:
    done, number = 0, seed
    while done < runs:
        for _ in range(ROUND):
            done += fuzzed(number)
            number += 1
        console.print(f"{done:>8} runs and none started late (next: --seed {number})", highlight=False)


if __name__ == "__main__":
    main()
