"""What never breaks (the seven promises), held against what was seen of a bridge.

`broken(journal)` names every breach, each with the number of its promise. It reads the journal alone: messages, versions of stored records,
calls, answers to deliveries. So it judges any runtime of which such a journal was kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise

from pydantic_core import from_json, to_json

from bridge.errors import CallFailed
from bridge.ports import FunctionResponse
from tests.observed import Admitted, Handled, Journal
from tests.seen import FINAL, Made, Record, Seen, Sent, moment, part_of, read

ENDINGS = {f"automation.{kind}" for kind in FINAL.values()}
REPEATABLE = {408, 429, *range(500, 600)}
#: How long the sending of one work item may take before it counts as lost.
LEASE = timedelta(seconds=30)

#: The topics and the queue that the bridge itself reads.
OWN = {"automation-requests", "automation-invocations", "automation-results", "automation-timers", "automation-deadletters"}


def durable_before_yes(seen: Seen) -> Iterator[str]:
    """1. A 202, or an acknowledgement to the broker, comes only after run and work are stored."""
    for place, entry in enumerate(seen.entries):
        if isinstance(entry, Admitted):
            if seen.latest(entry.correlation_id, place) is None:
                yield f"a door said yes to {entry.correlation_id} before its run was stored"
            asked = (each for each in seen.by_kind["automation.requested"] if each.event.get("correlationid") == entry.correlation_id)
            if not any(each.place < place for each in asked) and (missing := _work_missing(seen, entry.correlation_id, place)):
                yield f"the API accepted {entry.correlation_id} before its request was published, and {missing}"
    for place, handled, event in seen.handled:
        reason = _ACKNOWLEDGED.get(str(event.get("type")), _any)(seen, place, handled, event)
        if reason:
            yield f"{handled.delivery.source} acknowledged {event.get('type')} {event.get('id')} although {reason}"


def _work_missing(seen: Seen, correlation_id: str, place: int) -> str:
    """What starts a run that is stored together with its work: its timer, and the work of every target."""
    run = seen.latest(correlation_id, place)
    if run is None:
        return "there is no run"
    if not any(each.place < place for each in seen.by_kind["automation.deadline"] if each.event["correlationid"] == correlation_id):
        return "its deadline is not scheduled"
    published = {str(each.event.get("id")) for each in seen.by_kind["automation.invoked"] if each.place < place}
    missing = [part["target"] for part in run["invocations"] if f"{correlation_id}/{part['target']}" not in published]
    return f"the work of {missing} was not published" if missing else ""


def _requested(seen: Seen, place: int, handled: Handled, event: Record) -> str:
    body = handled.delivery.message.body
    run = seen.latest(str(event.get("correlationid") or event.get("id")), place)
    if seen.is_letter(body, place):
        return ""
    if run is None:
        return "neither its run nor a dead letter is stored"
    if run["automation"] != str(event.get("subject"))[:100] or run.get("input", event.get("data")) != event.get("data"):
        return "its id belongs to another request and no dead letter tells so"
    if _closed(run, handled.at) or seen.published_before(body, place, handled.since):
        return ""
    if not any(each.place < place for each in seen.by_kind["automation.deadline"] if each.event["correlationid"] == run["correlationId"]):
        return "its deadline is not scheduled"
    unsent = [part["target"] for part in run["invocations"] if not _sent(seen, run, part, place)]
    return f"the work of {unsent} was not sent" if unsent else ""


def _sent(seen: Seen, run: Record, part: Record, place: int) -> bool:
    """Whether the work is on its way: published, or its call was answered 202 while the request was handled."""
    work = seen.work.get(f"{run['correlationId']}/{part['target']}", ())
    called = part["control"]["target"].get("http") is not None and bool(part["attempts"])
    accepted = called and part["attempts"][-1]["outcome"] == "Accepted"
    return part["status"] in FINAL or accepted or any(each.place < place for each in work)


def _invoked(seen: Seen, place: int, handled: Handled, event: Record) -> str:
    if handled.delivery.source != "automation-invocations/bridge":
        return ""
    body = handled.delivery.message.body
    run = seen.latest(str(event["correlationid"]), place)
    if run is None:
        return "" if seen.is_letter(body, place) else "there is neither its run nor a dead letter"
    part = part_of(run, str(event["id"]))
    accepted = bool(part["attempts"]) and part["attempts"][-1]["outcome"] == "Accepted"
    if part["status"] in FINAL or accepted or _closed(run, handled.at) or seen.is_letter(body, place):
        return ""
    return "" if seen.published_before(body, place, handled.since) else "the work has not ended and does not come again"


def _result(seen: Seen, place: int, handled: Handled, event: Record) -> str:
    body = handled.delivery.message.body
    run = seen.latest(str(event.get("correlationid")), place)
    if seen.is_letter(body, place):
        return ""
    if run is None or not rightful(run, event):
        return "it is not a rightful result, and no dead letter holds it"
    if event["data"]["status"] == "running":
        return ""
    part = part_of(run, str(event["causationid"]))
    told = [attempt for attempt in part["attempts"] if attempt["outcome"] in ("Succeeded", "Failed")]
    return "" if told or part["status"] in FINAL else "what it says is not stored"


def _timer(seen: Seen, place: int, handled: Handled, event: Record) -> str:
    run = seen.latest(str(event["correlationid"]), place)
    if run is None or run["status"] in FINAL:
        return ""
    if seen.published_before(handled.delivery.message.body, place, handled.since):
        return ""
    return "the run goes on and the timer does not come again"


def _any(seen: Seen, place: int, handled: Handled, event: Record) -> str:
    return "" if seen.is_letter(handled.delivery.message.body, place) else "no dead letter holds it"


_ACKNOWLEDGED = {
    "automation.requested": _requested,
    "automation.invoked": _invoked,
    "automation.result": _result,
    "automation.deadline": _timer,
    "automation.cancel": _timer,
}


def one_ending(seen: Seen) -> Iterator[str]:
    """2. A run reaches exactly one final status and never leaves it. What comes later sets `lateResult` and nothing else."""
    for name, versions in seen.runs.items():
        final = [version.record for version in versions if version.record["status"] in FINAL]
        unended = [version.place for version in versions if version.record["status"] not in FINAL]
        if not final:
            continue
        if unended and unended[-1] > next(version.place for version in versions if version.record["status"] in FINAL):
            yield f"{name} was {final[0]['status']} and then {versions[-1].record['status']}"
        if final[0]["status"] == "TimedOut" and moment(final[0]["updatedAt"]) < moment(final[0]["deadline"]):
            yield f"{name} timed out before its deadline"
        for later in final[1:]:
            changed = _differences(_without_late(final[0]), _without_late(later))
            if changed:
                yield f"{name} had ended and was changed in {changed}"


def always_a_reply(seen: Seen) -> Iterator[str]:
    """3. A run that ended has its reply published at least once, or that reply is a dead letter; and every reply says the same."""
    replies: dict[str, list[Sent]] = defaultdict(list)
    for kind in sorted(ENDINGS):
        for each in seen.by_kind[kind]:
            replies[str(each.event["id"])].append(each)
    kept = {str(read(body).get("id")) for body, letters in seen.letters.items() if letters[0][1]["reason"] == "ReplyUndeliverable"}
    for name, versions in seen.runs.items():
        ended = next((version for version in versions if version.record["status"] in FINAL), None)
        if ended is None:
            continue
        if name not in replies and name not in kept:
            yield f"{name} ended {ended.record['status']} and has no reply"
        expected = f"automation.{FINAL[ended.record['status']]}"
        for reply in replies.get(name, ()):
            if reply.event["type"] != expected:
                yield f"{name} ended {ended.record['status']}, and {reply.event['type']} was sent"
            if reply.place < ended.place:
                yield f"{name} was replied to before its end was stored"
    yield from (f"the reply {name} belongs to no run" for name in replies if name not in seen.runs)


def repeats_are_harmless(seen: Seen) -> Iterator[str]:
    """4. Each target runs once, unless an attempt failed or its outcome is unknown; every repeat carries the same invocation id."""
    for name, calls in seen.calls.items():
        numbers = [made.called.call.headers["x-attempt"] for made in calls]
        if len(set(numbers)) != len(numbers):
            yield f"{name} was called twice for one attempt: {numbers}"
        if len({(made.called.call.headers["x-invocation-token"], made.called.call.body) for made in calls}) > 1:
            yield f"{name} was not called with the same token and input each time"
        for first, second in pairwise(calls):
            if not _may_follow(seen, name, first, second):
                yield f"{name} was called again although {_told(first)}"
    for name, work in seen.work.items():
        yield from _sent_again(seen, name, [each for each in work if each.message.topic not in OWN])


def _may_follow(seen: Seen, name: str, first: Made, second: Made) -> bool:
    failed = isinstance(first.outcome, CallFailed) or (first.outcome is not None and first.outcome.status in REPEATABLE)
    if failed and first.returned is not None and first.returned < second.place:
        return True
    correlation_id, _, _ = name.rpartition("/")
    if seen.went_wrong(correlation_id, first.place, second.place, {"store", "crash"}):
        return True
    return second.at >= first.at + first.called.call.timeout and _is_unknown(seen, name, first, second)


def _is_unknown(seen: Seen, name: str, first: Made, second: Made) -> bool:
    correlation_id, _, _ = name.rpartition("/")
    run = seen.latest(correlation_id, second.place)
    number = int(first.called.call.headers["x-attempt"]) - 1
    return run is not None and part_of(run, name)["attempts"][number]["outcome"] == "Unknown"


def _told(made: Made) -> str:
    outcome = made.outcome
    if outcome is None:
        return "the call before it had not ended"
    return f"the call before it gave {outcome.status if isinstance(outcome, FunctionResponse) else outcome.reason}"


def _sent_again(seen: Seen, name: str, work: list[Sent]) -> Iterator[str]:
    """Work of a topic target is sent again only after a retriable failure, or where nobody knows whether it was sent."""
    correlation_id, _, _ = name.rpartition("/")
    failures = [each for each in seen.by_kind["automation.result"] if _is_retriable_failure(seen, name, each)]
    used = 0
    for first, second in pairwise(work):
        if seen.went_wrong(correlation_id, first.place, second.place, {"store", "bus", "crash"}):
            continue
        used += 1
        reasons = len({str(each.event["id"]) for each in failures if each.place < second.place}) + _lapsed(seen, name, second)
        if reasons < used:
            yield f"the work {name} was sent again although no attempt had failed"


def _lapsed(seen: Seen, name: str, sent: Sent) -> int:
    """How many attempts were given up because nobody said in time that the work was sent."""
    run = seen.latest(name.rpartition("/")[0], sent.place)
    attempts = part_of(run, name)["attempts"] if run else []
    return sum(each["outcome"] == "Unknown" and moment(each["startedAt"]) + LEASE <= sent.at for each in attempts)


def _is_retriable_failure(seen: Seen, name: str, sent: Sent) -> bool:
    correlation_id, _, _ = name.rpartition("/")
    run = seen.latest(correlation_id, sent.place)
    if sent.event.get("causationid") != name or run is None or not rightful(run, sent.event):
        return False
    data = sent.event["data"]
    return bool(data["status"] == "failed" and (data.get("error") or {}).get("retriable"))


def no_start_after_the_deadline(seen: Seen) -> Iterator[str]:
    """5. No call starts, and no work is sent that could start, at or after the deadline."""
    for name, calls in seen.calls.items():
        for made in calls:
            deadline, until = moment(made.called.call.headers["x-deadline"]), made.at + made.called.call.timeout
            run = seen.latest(name.rpartition("/")[0], made.place)
            if run is None or moment(run["deadline"]) != deadline:
                yield f"{name} was called with another deadline than its run has"
            if max(made.at, until) > deadline or made.at == deadline:
                yield f"{name} was called at {made.at} until {until}; its deadline is {deadline}"
    for name, work in seen.work.items():
        for each in (sent for sent in work if sent.message.topic not in OWN):
            lasts = each.message.time_to_live
            if lasts is None or lasts <= timedelta(0):
                yield f"the work {name} was sent at {each.at} to last {lasts}; its deadline is {each.event['expirytime']}"


def nothing_vanishes(seen: Seen) -> Iterator[str]:
    """6. Accepted = ended + unfinished, and once nothing waits any more, nothing is unfinished; what was refused is a dead letter."""
    for name, versions in seen.runs.items():
        if versions[-1].record["status"] not in FINAL:
            yield f"{name} is {versions[-1].record['status']} for ever"
    for entry in seen.entries:
        if isinstance(entry, Admitted) and entry.correlation_id not in seen.by_correlation:
            yield f"{entry.correlation_id} was accepted and is no run"
    told = {handled.delivery.message.body for _, handled, _ in seen.handled}
    ended = {versions[-1].record["correlationId"] for versions in seen.runs.values() if versions[-1].record["status"] in FINAL}
    for each in seen.sent:
        # The timer of a run that has ended is obsolete: an outbox takes it off the bus with the end.
        obsolete = each.event.get("type") == "automation.deadline" and each.event.get("correlationid") in ended
        if each.message.topic in OWN and each.message.body not in told and not obsolete:
            yield f"{each.event.get('type')} {each.event.get('id')} on {each.message.topic} was never handled"
    for letters in (kept for held in seen.letters.values() for _, kept in held):
        if not letters["reason"] or letters["attempts"] < 1:
            yield f"the dead letter {letters['id']} does not say why, or after how many attempts"
        if letters["reason"] == "InternalError":
            yield f"the bridge made a mistake: {letters['detail']} ({letters.get('body')})"


def nobody_ends_what_is_not_theirs(seen: Seen) -> Iterator[str]:
    """7. Every output comes from a call of its own function, or from a result that echoes its token."""
    own = _rightful_outputs(seen)
    for name, versions in seen.runs.items():
        parts = (part for version in versions for part in version.record["invocations"])
        for part in parts:
            invocation = f"{versions[0].record['correlationId']}/{part['target']}"
            outputs = [part["output"]] if part["status"] == "Succeeded" else []
            outputs += [part["lateResult"].get("output")] if (part.get("lateResult") or {}).get("status") == "Succeeded" else []
            if any(to_json(output) not in own[invocation] for output in outputs):
                yield f"{name}: {part['target']} has an output that its function never gave"


def _rightful_outputs(seen: Seen) -> dict[str, set[bytes]]:
    found: dict[str, set[bytes]] = defaultdict(set)
    for name, calls in seen.calls.items():
        answers = (made.outcome for made in calls if isinstance(made.outcome, FunctionResponse) and 200 <= made.outcome.status < 300)
        found[name] |= {to_json(from_json(answer.body)) for answer in answers if answer.body}
    for each in seen.by_kind["automation.result"]:
        name = str(each.event.get("causationid"))
        run = seen.latest(name.rpartition("/")[0], each.place)
        if run is not None and rightful(run, each.event) and each.event["data"].get("status") == "succeeded":
            found[name].add(to_json(each.event["data"].get("output")))
    return found


def rightful(run: Record, event: Record) -> bool:
    """Whether a result carries the token of the invocation it names."""
    part = part_of(run, str(event.get("causationid")))
    return bool(part) and part["control"]["token"] == event.get("invocationtoken") and isinstance(event.get("data"), dict)


PROMISES = (
    durable_before_yes,
    one_ending,
    always_a_reply,
    repeats_are_harmless,
    no_start_after_the_deadline,
    nothing_vanishes,
    nobody_ends_what_is_not_theirs,
)
#: What can only be said once nothing waits any more.
AT_REST = {always_a_reply, nothing_vanishes}


def broken(journal: Journal, *, at_rest: bool = True) -> list[str]:
    """Every breach of a promise, with its number."""
    seen = Seen(journal.entries)
    return [
        f"promise {number}: {breach}"
        for number, promise in enumerate(PROMISES, start=1)
        if at_rest or promise not in AT_REST
        for breach in promise(seen)
    ]


def hold(journal: Journal, *, at_rest: bool = True) -> None:
    """Fails with every breach."""
    breaches = broken(journal, at_rest=at_rest)
    assert not breaches, "\n".join(breaches)


def _closed(run: Record, now: datetime) -> bool:
    """Whether nothing more may start."""
    return run["status"] in FINAL or run["status"] == "Canceling" or now >= moment(run["deadline"])


def _without_late(record: Record) -> Record:
    """Without what may change after the end: late results, and the name of the write."""
    parts = [{name: value for name, value in part.items() if name != "lateResult"} for part in record["invocations"]]
    return {**record, "invocations": parts, "control": {**record["control"], "write": ""}}


def _differences(first: Record, second: Record) -> list[str]:
    return sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))
