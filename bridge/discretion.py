"""Keeps what a function was told in confidence, `writeOnly` input and its token, out of what is recorded of its answer."""

from __future__ import annotations

from dataclasses import replace

from bridge.masking import MASK, SHORTEST, texts, unsaid
from bridge.outcome import MAX_MESSAGE, Accepted, Failed, Outcome, Succeeded
from bridge.run import Run


def confidences(run: Run) -> tuple[str, ...]:
    """The texts that nothing recorded of this run may repeat."""
    return (*texts(run.input, run.control.secret_paths), *(part.control.token for part in run.invocations))


def discreet(outcome: Outcome, run: Run) -> Outcome:
    """The outcome of a call for `run`, with `***` for what was told in confidence; the very same one if it repeats nothing."""
    secrets = confidences(run)
    match outcome:
        case Accepted():
            return outcome
        case Succeeded():
            output = unsaid(outcome.output, secrets)
            return outcome if output is outcome.output else Succeeded(output)
        case Failed():
            return replace(
                outcome,
                code=said(outcome.code, secrets),
                message=said(outcome.message, secrets),
                hint=said(outcome.hint, secrets),
            )


def said(text: str, secrets: tuple[str, ...]) -> str:
    """A text without the secrets, nor the beginning of one that was cut off with the text."""
    text = str(unsaid(text, secrets))
    if len(text) < MAX_MESSAGE - len(MASK):
        return text
    kept = text.removesuffix("…")
    begun = max((_begun(kept, secret) for secret in secrets), default=0)
    return f"{kept[:-begun]}{MASK}" if begun else text


def _begun(text: str, secret: str) -> int:
    """How many characters of `secret` stand at the end of `text`; fewer than SHORTEST are none."""
    longest = min(len(secret) - 1, len(text))
    return next((length for length in range(longest, SHORTEST - 1, -1) if text.endswith(secret[:length])), 0)
