"""`python -m tests.fuzz.guided PARSER SECONDS FOLDER`: atheris drives one parser; what it finds is left in FOLDER. Ends its process."""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["bridge", "yaml", "rfc8785"]):
    from tests.fuzz.parsers import PARSERS, seeds

LONGEST_INPUT = 4_096  #: bytes


def main(parser: str, seconds: str, folder: Path) -> None:
    corpus = folder / "corpus"
    corpus.mkdir(parents=True)
    for number, seed in enumerate(seeds(parser)):
        (corpus / f"seed-{number}").write_bytes(seed)
    flags = [
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST_INPUT}",
        f"-artifact_prefix={folder}/",
        "-print_final_stats=1",
        "-timeout=10",
    ]
    atheris.Setup([sys.argv[0], *flags, str(corpus)], PARSERS[parser])
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
