"""Explains errors in a document of the catalogue with the names that the file uses."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

from pydantic import ValidationError

from bridge.catalog.document import Allow, AutomationSpec, CatalogDocument, Metadata
from bridge.catalog.failedwhen import FailedWhen
from bridge.catalog.target import BusTarget, HttpTarget, Target


def explain(fault: ValidationError) -> Iterator[str]:
    """Each problem as one sentence, with its place in the document."""
    for error in fault.errors(include_url=False):
        place = ".".join(str(part) for part in error["loc"]) or "document"
        message = str(error.get("ctx", {}).get("error") or error["msg"]).strip()
        if error["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(error["loc"][-1])[:100], _KNOWN, 1)
            message = "is not known here" + (f"; did you mean {near[0]!r}?" if near else "; remove it")
        elif error["type"] == "missing":
            message = "is missing; add it"
        elif error["type"] in _WORDS:
            message = _WORDS[error["type"]]
        elif not isinstance(error["input"], dict | list):
            field = str(error["loc"][-1]) if error["loc"] else ""
            words = _FORMS.get(field, "") if error["type"] == "string_pattern_mismatch" else ""
            message = f"{words or _SHOULD.sub('must', message)} (it is {_shortened(error['input'])})"
        yield f"{place}: {message}"


_KNOWN = sorted(
    {
        info.alias or name
        for model in (CatalogDocument, Metadata, AutomationSpec, Allow, Target, HttpTarget, BusTarget, FailedWhen)
        for name, info in model.model_fields.items()
    }
)


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}…"


#: What a text must look like, by the field that has it.
_FORMS = {
    "app": "must be the name of an app, of lower-case letters, digits and hyphens; addresses belong under function_apps in the settings",
    "path": "must be the path of a function, such as /api/items, without host and query",
}
_SHOULD = re.compile("^(?:Input|String|Value) should")
#: The expected kind of value, in the words of the file.
_WORDS = {
    "model_type": "must be a mapping",
    "dict_type": "must be a mapping",
    "tuple_type": "must be a list",
    "string_type": "must be a text; YAML reads no, off and numbers as something else, so put it in quotes",
}
