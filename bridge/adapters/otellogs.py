"""What the OpenTelemetry SDK writes into the log: each message once a minute, and without what an address may hold."""

from __future__ import annotations

import logging
import re

from bridge.logs import OncePerMinute

_EXPORTERS = ("opentelemetry.exporter.otlp.proto.http.trace_exporter", "opentelemetry.exporter.otlp.proto.http.metric_exporter")
#: They write a line for each export that failed, each span that the queue had no room for, and each text of a caller that they cannot read.
_LIMITED = (*_EXPORTERS, "opentelemetry.sdk._shared_internal", "opentelemetry.trace.span", "opentelemetry.util.re")
#: They name the address of the collector; the last one only at the level debug.
_NAMING = (*_EXPORTERS, "urllib3.connectionpool")
_USER_OR_QUERY = re.compile(r"(?<=//)[^/\s]*@|\?\S*")
#: One for each, because the lines about spans and about metrics have the same form.
_limits = {name: OncePerMinute() for name in _LIMITED}


def _without_query(record: logging.LogRecord) -> bool:
    """Put the message in place of its form, without user, password and query of an address. It passes."""
    message = record.getMessage()
    masked = _USER_OR_QUERY.sub("…", message)
    if masked != message:
        record.msg, record.args = masked, ()
    return True


def tame() -> None:
    """Set the filters. That is done once, however often it is called."""
    for name, once_per_minute in _limits.items():
        logging.getLogger(name).addFilter(once_per_minute)
    # After the limit, because that knows a message by its form.
    for name in _NAMING:
        logging.getLogger(name).addFilter(_without_query)
