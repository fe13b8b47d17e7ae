"""Whether a soak was flat. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from tests.soak.samples import MB, Pick, Sample, slope

GROWTH = 1 * MB  #: bytes of memory in ten minutes
HANDLES = 5  #: file handles; the fewest of each half are compared, because callers come and go
DATABASE = 0.10  #: share by which the database without its indexes may differ between the two halves


@dataclass(frozen=True)
class Verdict:
    """The figures after the warm-up, and what was not flat."""

    rows: tuple[tuple[str, str], ...]
    wrong: tuple[str, ...]


def judge(samples: Sequence[Sample], warm_up: float) -> Verdict:
    """`warm_up` is in seconds: what was sampled before does not count. Raises ValueError if too little is left."""
    warm = [each for each in samples if each.at >= warm_up]
    if len(warm) < 4:
        raise ValueError(f"{len(warm)} samples after a warm-up of {warm_up:g} s are too few to tell")
    half = len(warm) // 2
    early, late = warm[:half], warm[half:]
    growth = slope(warm, lambda each: each.rss)
    handles = min(each.handles for each in late) - min(each.handles for each in early)
    threads = max(each.threads for each in late) - max(each.threads for each in early)
    before, after = (median(_kept(each) for each in part) for part in (early, late))
    wrong = []
    if growth >= GROWTH:
        wrong.append(f"memory grows by {growth / MB:.1f} MB in ten minutes; {GROWTH / MB:g} are allowed")
    if handles > HANDLES:
        wrong.append(f"{handles} file handles more in the second half than in the first")
    if threads > 0:
        wrong.append(f"{threads} threads more in the second half than in the first")
    if after > before * (1 + DATABASE):
        wrong.append(f"the database without its indexes grew from {before / MB:.1f} to {after / MB:.1f} MB")
    return Verdict(_rows(samples, warm, growth), tuple(wrong))


def _kept(sample: Sample) -> float:
    return sample.used - sample.index


def _rows(samples: Sequence[Sample], warm: Sequence[Sample], growth: float) -> tuple[tuple[str, str], ...]:
    last = samples[-1]
    asked = sum(each.rate * (each.at - before.at) for before, each in pairwise(samples))
    early, late = warm[: len(warm) // 2], warm[len(warm) // 2 :]
    return (
        ("requests a second", _range(warm, lambda each: each.rate)),
        ("memory (RSS)", f"{_range(warm, lambda each: each.rss / MB)} MB; {growth / MB:+.2f} MB in ten minutes"),
        ("file handles", _range(warm, lambda each: each.handles)),
        ("threads", _range(warm, lambda each: each.threads)),
        ("runs kept", _range(warm, lambda each: each.runs)),
        ("database without indexes", f"{_range(warm, lambda each: _kept(each) / MB)} MB"),
        (
            "indexes, kept for retention and a day",
            f"{last.index / MB:.1f} MB at the end, {last.index / max(asked, 1):,.0f} bytes a request",
        ),
        ("bridge.db, write-ahead log", f"{last.file / MB:.1f} MB, {max(each.log for each in warm) / MB:.1f} MB at most"),
        ("load of the machine, one-minute average", f"{min(each.load for each in warm):.1f} to {max(each.load for each in warm):.1f}"),
        ("p99", f"{median(each.p99 for each in early):.0f} ms in the first half, {median(each.p99 for each in late):.0f} ms in the second"),
    )


def _range(samples: Sequence[Sample], of: Pick) -> str:
    low, high = min(map(of, samples)), max(map(of, samples))
    return f"{low:,.0f}" if round(low) == round(high) else f"{low:,.0f} to {high:,.0f}"
