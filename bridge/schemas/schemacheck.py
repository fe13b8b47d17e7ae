"""Checks a JSON Schema (2020-12): whether it can be used, and without anything that is fetched."""

from __future__ import annotations

from typing import Any

import jsonschema_rs

from bridge.schemas import subschemas
from bridge.schemas.inputschema import CompiledSchema

#: What `$schema` may say, at the top or in an embedded schema. The library knows these; any other it would fetch.
_DIALECTS = (
    "https://json-schema.org/draft/2020-12/schema",
    "https://json-schema.org/draft/2020-12/schema#",
    "https://json-schema.org/draft/2019-09/schema",
    "https://json-schema.org/draft/2019-09/schema#",
    *(f"http://json-schema.org/draft-0{number}/schema{end}" for number in (4, 6, 7) for end in ("", "#")),
)


def check(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema itself. Raises ValueError with the second half of a sentence about it."""
    try:
        if not all(each in _DIALECTS for each in subschemas.dialects(schema)):
            raise ValueError("names a $schema that is not known here; leave it out, 2020-12 is meant")
        jsonschema_rs.meta.validate({"$schema": _DIALECTS[0], **schema})
        CompiledSchema(schema)
    except jsonschema_rs.ValidationError as fault:
        place = "/".join(str(part) for part in fault.instance_path)
        raise ValueError(f"is not JSON Schema 2020-12 at {place or 'its top'}: {fault.message[:500]}") from None
    except jsonschema_rs.ReferencingError as fault:
        raise ValueError(f"refers to what is not in it, and nothing is fetched: {str(fault)[:300]}") from None
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    except (TypeError, OverflowError) as fault:
        raise ValueError(f"holds a value that JSON does not have: {str(fault)[:200]}") from None
    return schema
