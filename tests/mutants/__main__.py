"""`python -m tests.mutants [WORD ...]`: seeds faults one at a time and says which test noticed each. Exit code 1 if one went unnoticed."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from rich.console import Console
from rich.markup import escape

from tests.mutants.mutant import Mutant, mutants
from tests.mutants.trial import Tree, Trial, Verdict

WORKERS = 2


def tried(chosen: Sequence[Mutant], folder: Path) -> Iterator[Trial]:
    """Every mutant on one of the copies, in the order of the list. Raises SystemExit if the tests fail without any fault."""
    trees: SimpleQueue[Tree] = SimpleQueue()
    with ThreadPoolExecutor(WORKERS) as pool:
        for tree, wrong in pool.map(_checked, (folder / str(number) for number in range(WORKERS))):
            if wrong:
                raise SystemExit(f"Nothing can be said of mutants: {wrong}")
            trees.put(tree)

        def attempt(mutant: Mutant) -> Trial:
            tree = trees.get()
            try:
                return tree.attempt(mutant)
            finally:
                trees.put(tree)

        yield from pool.map(attempt, chosen)


def _checked(folder: Path) -> tuple[Tree, str]:
    tree = Tree(folder)
    return tree, tree.check()


def told(trial: Trial, width: int) -> str:
    """One line: what became of the mutant; of one that went unnoticed also what that would have cost."""
    lost = trial.verdict is not Verdict.KILLED
    by = f"{trial.by}. It breaks: {trial.mutant.breaks}" if lost else trial.by.partition("::")[2] or trial.by
    file = trial.mutant.file.removeprefix("bridge/")
    line = escape(f"{trial.verdict:9}{trial.seconds:5.1f} s  {file:22}{trial.mutant.name:{width}}  {by}")
    return f"[red]{line}[/]" if lost else line


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("words", metavar="WORD", nargs="*", help="only mutants whose name or file has one of these words")
    words = parser.parse_args().words
    chosen = [each for each in mutants() if not words or any(word in f"{each.name} {each.file}" for word in words)]
    console, started, killed = Console(), time.monotonic(), 0
    width = max((len(each.name) for each in chosen), default=0)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        for trial in tried(chosen, Path(folder)):
            console.print(told(trial, width), soft_wrap=True, highlight=False)
            killed += trial.verdict is Verdict.KILLED
    console.print(f"{killed} of {len(chosen)} mutants killed in {time.monotonic() - started:.0f} s", highlight=False)
    return 0 if chosen and killed == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
