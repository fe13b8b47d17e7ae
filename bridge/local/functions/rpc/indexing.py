"""What a worker reports of its functions, or `functions.metadata` of a published app says, as the host reads functions."""

from __future__ import annotations

import json
from typing import Any

from bridge.local.functions import functionjson, retries
from bridge.local.functions.retries import FunctionRetry
from bridge.local.functions.rpc.protocol import BindingInfo, RpcRetryOptions, StatusResult, StreamingMessage
from bridge.local.functions.worker import Json

_LONGEST_NAME = 127
_DATA_TYPES = ("undefined", "string", "binary", "stream")  #: by their numbers in BindingInfo


def described(metadata: Any) -> Json:
    """`{name, bindings, retry?, problem?}` of a reported function. The problem is why it cannot run; it keeps no other from running."""
    try:
        functionjson.check_name(metadata.name)
        found: Json = {"name": metadata.name, "bindings": [_binding(each) for each in metadata.raw_bindings]}
    except ValueError as wrong:
        return {"name": metadata.name, "bindings": [], "problem": f"{metadata.name[:_LONGEST_NAME]!r} does not fit: {wrong}"}
    return {**found, "retry": _retry(metadata.retry_options)} if metadata.HasField("retry_options") else found


def _binding(raw: str) -> Json:
    """Raises ValueError."""
    try:
        binding = json.loads(raw)
    except (ValueError, RecursionError):
        binding = None
    if not isinstance(binding, dict) or not all(isinstance(binding.get(key), str) for key in ("name", "type")):
        raise ValueError(f"it has the binding {raw[:200]!r}, which is no object with the texts 'name' and 'type'")
    functionjson.check_words(binding)
    return {**binding, "direction": str(binding.get("direction", "in")).lower()}


def _retry(options: Any) -> Json:
    """The policy in the form of function.json."""
    if options.retry_strategy == RpcRetryOptions.fixed_delay:
        return {"strategy": "fixedDelay", "maxRetryCount": options.max_retry_count, "delayInterval": _span(options.delay_interval)}
    return {
        "strategy": "exponentialBackoff",
        "maxRetryCount": options.max_retry_count,
        "minimumInterval": _span(options.minimum_interval),
        "maximumInterval": _span(options.maximum_interval),
    }


def _span(duration: Any) -> str:
    minutes, seconds = divmod(duration.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}.{duration.nanos // 100:07d}"


def to_load(metadata: Any, function_id: str) -> Any:
    """What a worker is told when it shall load a function: as Azure's host does, without what is the host's business alone.

    The bindings are those that the function was reported with as JSON; not every worker repeats them in the form that it wants them in.
    """
    made = StreamingMessage().function_load_request
    made.function_id = function_id
    made.metadata.name, made.metadata.directory = metadata.name, metadata.directory
    made.metadata.script_file, made.metadata.entry_point = metadata.script_file, metadata.entry_point
    for raw in metadata.raw_bindings:
        binding = json.loads(raw)
        made.metadata.bindings[binding["name"]].CopyFrom(_info(binding))
    made.metadata.properties.update({**metadata.properties, "FunctionId": function_id})
    return made


def _info(binding: Json) -> Any:
    data_type = str(binding.get("dataType") or "undefined").lower()
    return BindingInfo(
        type=binding["type"],
        direction=getattr(BindingInfo, str(binding.get("direction", "in")).lower(), 0),
        data_type=_DATA_TYPES.index(data_type) if data_type in _DATA_TYPES else 0,
    )


def problem(metadata: Any) -> str:
    """Why the worker could not index a function; nothing if it could."""
    if not metadata.HasField("status") or metadata.status.status == StatusResult.Success:
        return ""
    return str(metadata.status.exception.message or "the worker could not index it")


def from_file(content: Json) -> Any:
    """The metadata for an entry of `functions.metadata`, as Azure's host gives it to a worker that does not index."""
    metadata = StreamingMessage().function_load_request.metadata
    metadata.name, metadata.script_file = str(content["name"]), str(content.get("scriptFile") or "")
    metadata.entry_point, metadata.language = str(content.get("entryPoint") or ""), str(content.get("language") or "")
    metadata.directory = str(content.get("directory") or "")
    for each in content.get("bindings") or ():
        metadata.raw_bindings.append(json.dumps(each))
    try:
        _fill_retry(metadata.retry_options, retries.policy(retries.described(content.get("retry"))))
    except ValueError as wrong:
        metadata.status.exception.message = f"{metadata.name}: {wrong}"
    if not metadata.retry_options.ListFields():
        metadata.ClearField("retry_options")
    return metadata


def _fill_retry(options: Any, policy: FunctionRetry | None) -> None:
    if policy is None:
        return
    options.max_retry_count = policy.most
    options.retry_strategy = RpcRetryOptions.exponential_backoff if policy.grows else RpcRetryOptions.fixed_delay
    named = (
        {"minimum_interval": policy.shortest, "maximum_interval": policy.longest} if policy.grows else {"delay_interval": policy.shortest}
    )
    for name, seconds in named.items():
        span = getattr(options, name)
        span.seconds, span.nanos = int(seconds), round(seconds % 1 * 1_000_000_000)
