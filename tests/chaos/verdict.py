"""Holds what was accepted against what came of it. Pure: what it says can be tested without a bridge."""

from __future__ import annotations

from dataclasses import dataclass

from tests.chaos.ledger import Ledger

#: Outcomes of an attempt after which another one may follow (promise 4).
REPEATABLE = frozenset(("Failed", "Unknown"))
CRASHED = "CrashedProcess"  #: the reason of any event that was in hand at three kills, whatever else is wrong with it
SETTLED = "csharp"  #: the target whose attempts succeed once its function has sent what it was given


@dataclass(frozen=True)
class Verdict:
    """The figures, and every broken promise in words."""

    accepted: int
    rows: tuple[tuple[str, str], ...]
    wrong: tuple[str, ...]


def judge(ledger: Ledger) -> Verdict:
    """What is missing, without a reply, done twice without a reason, or ended twice."""
    known = {each: ledger.runs[each] for each in ledger.accepted if each in ledger.runs}
    missing = sorted(ledger.accepted.keys() - ledger.runs.keys())
    unreplied = sorted(each for each in known if not ledger.replies.get(each))
    doubled = sorted(each for each, count in ledger.effects.items() if not _explained(ledger, each, count))
    twice = sorted(each for each, seen in ledger.endings.items() if len(seen) > 1)
    lost = sorted(mark for mark, reason in ledger.marks.items() if not {reason, CRASHED} & ledger.letters.get(mark, set()))
    wrong = (
        *(f"{each}: accepted over {ledger.accepted[each]}, and it has not ended or nobody knows it" for each in missing),
        *(f"{each}: ended without a reply" for each in unreplied),
        *(f"{each}: {'; '.join(sorted(ledger.endings[each]))}" for each in twice),
        *(f"{each}: run {ledger.effects[each]} times with the attempts {list(_attempts(ledger, each))}" for each in doubled),
        *(f"{each}: succeeded, and the function has sent nothing" for each in unseen(ledger)),
        *(f"{mark}: acknowledged, and there is no dead letter {ledger.marks[mark]}" for mark in lost),
        *ledger.surprises,
    )
    repeated = [each for each, count in ledger.effects.items() if count > 1 and each not in doubled]
    unknown = sum("Unknown" in _attempts(ledger, each) for each in repeated)
    statuses = [run.status for run in known.values()]
    over = {way: sum(each == way for each in ledger.accepted.values()) for way in ("http", "topic")}
    rows = (
        ("accepted", f"{len(ledger.accepted):,} (HTTP {over['http']:,}, topic {over['topic']:,})"),
        ("ended", f"{len(known):,} ({', '.join(f'{name} {statuses.count(name):,}' for name in sorted(set(statuses)))})"),
        ("missing", f"{len(missing):,}"),
        ("without a reply", f"{len(unreplied):,}"),
        ("with two final statuses", f"{len(twice):,}"),
        ("effects", f"{ledger.effects.total():,} of {len(ledger.effects):,} invocations"),
        ("duplicated without a reason", f"{len(doubled):,}"),
        ("repeated for a reason", f"{len(repeated):,} ({unknown:,} after an unknown attempt, the others after a failed one)"),
        ("work redelivered by the bus", f"{ledger.redelivered:,}"),
        ("succeeded as a C# function settled its message", f"{_settled(ledger):,}, without what it sends {len(unseen(ledger)):,}"),
        ("replies", f"{sum(map(len, ledger.replies.values())):,}, and {_again(ledger):,} duplicates"),
        ("dead letters", ", ".join(f"{reason} {count:,}" for reason, count in sorted(ledger.letter_count.items())) or "none"),
        ("bad events without a dead letter", f"{len(lost):,} of {len(ledger.marks):,}"),
        ("refused", ", ".join(f"{code} {count:,}" for code, count in sorted(ledger.refused.items())) or "none"),
        ("unexpected answers", f"{len(ledger.surprises):,}"),
    )
    return Verdict(len(ledger.accepted), rows, wrong)


def unseen(ledger: Ledger) -> list[str]:
    """The invocations that succeeded because what their function sends was sent, and nobody has received it."""
    done = (f"{each}/{SETTLED}" for each, run in ledger.runs.items() if "Succeeded" in run.attempts.get(SETTLED, ()))
    return sorted(each for each in done if not ledger.effects.get(each))


def _settled(ledger: Ledger) -> int:
    return sum(run.status == "Succeeded" for run in ledger.runs.values() if SETTLED in run.attempts)


def _explained(ledger: Ledger, invocation: str, count: int) -> bool:
    """Whether there was an attempt for each effect, and for each effect but one an attempt that failed or was not known to have run.

    Which of them does not matter: an attempt whose answer comes after all, when the next one has started, has succeeded.
    """
    attempts = _attempts(ledger, invocation)
    return count <= len(attempts) and count <= 1 + sum(outcome in REPEATABLE for outcome in attempts)


def _attempts(ledger: Ledger, invocation: str) -> tuple[str, ...]:
    correlation_id, _, target = invocation.rpartition("/")
    run = ledger.runs.get(correlation_id)
    return run.attempts.get(target, ()) if run else ()


def _again(ledger: Ledger) -> int:
    return sum(count - 1 for seen in ledger.replies.values() for count in seen.values())
