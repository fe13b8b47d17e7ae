"""Outputs that the local functions host could not send, such as a blob. The attempt has succeeded, and names them.

The host reports them in a header of its answer, or in its report on a message: the binding, and the size of the value in bytes.
"""

from __future__ import annotations

import re
from dataclasses import replace

from bridge.outcome import Outcome, Succeeded

HEADER = "x-outputs-not-sent"
CODE = "OutputNotSent"
_MOST = 20  #: bindings that are named
_ENTRY = re.compile(r"(\$?[A-Za-z0-9_]{1,128})=(\d{1,15})")


def noted(outcome: Outcome, text: str) -> Outcome:
    """The success with the outputs that were not sent, from a text such as `copy=10, audit=250`. Any other text is ignored."""
    entries = [found for each in text.split(", ")[:_MOST] if (found := _ENTRY.fullmatch(each))]
    if not entries or not isinstance(outcome, Succeeded):
        return outcome
    sizes = ", ".join(f"{int(found[2]):,} bytes on {found[1]}" for found in entries)
    return replace(outcome, not_sent=f"The local functions host did not send {sizes}; Azure does.")
