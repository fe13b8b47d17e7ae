from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

from hypothesis import given
from hypothesis import strategies as st

from bridge.adapters.embedded import messages, sessions
from bridge.adapters.embedded.drafts import AmqpForm
from bridge.adapters.embedded.messages import StoredMessage
from bridge.ports import Message

NOW = 100.0


@contextmanager
def database(rows: list[tuple[str, float]]) -> Iterator[sqlite3.Connection]:
    """Messages of the queue `jobs`, each of a session and with a due time; those of another queue beside them."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for statement in (*messages.SCHEMA, *sessions.SCHEMA):
            connection.execute(statement)
        stored = [
            StoredMessage(2 * number + other, name, Message(name, b""), due, 0.0, amqp=AmqpForm(b"", session))
            for number, (session, due) in enumerate(rows)
            for other, name in enumerate(("jobs", "other"))
        ]
        messages.insert([*stored, StoredMessage(10_000, "jobs", Message("jobs", b"without a session"), 0.0, 0.0)], connection)
        yield connection


names = st.sampled_from("abcd")
dues = st.sampled_from([NOW - 1, NOW, NOW + 5, NOW + 9, math.inf])


@given(st.lists(st.tuples(names, dues)), st.sampled_from(["", "a", "b", "c", "d", "x"]), st.frozensets(names))
def test_the_next_free_session_is_the_one_behind_the_last_that_has_a_message_that_is_due(rows, last, locked):
    with database(rows) as connection:
        found = sessions.find_free("jobs", last, NOW, locked, connection)
    free = {session for session, due in rows if due <= NOW} - locked
    in_turn = sorted(free, key=lambda session: (session <= last, session))
    if in_turn:
        assert found == (in_turn[0], None)
    else:
        waiting = [min(due for session, due in rows if session == name) for name in {session for session, _ in rows} - locked]
        first = min(waiting, default=math.inf)
        assert found == (None, first if first < math.inf else None)


@given(st.lists(st.tuples(names, dues)), st.frozensets(st.sampled_from("bxy")), st.integers(0, 3), st.integers(1, 3))
def test_sessions_with_messages_or_a_state_are_listed_once_each_in_order(rows, with_state, skip, top):
    with database(rows) as connection:
        for name in with_state:
            sessions.set_state("jobs", name, b"x", NOW, connection)
        listed = [row[0] for row in connection.execute(*sessions.with_messages("jobs", skip, top))]
    assert listed == sorted({session for session, _ in rows} | with_state)[skip : skip + top]


def test_a_session_that_has_most_messages_costs_no_more_steps():
    with database([("a", NOW)] * 3_000 + [("b", NOW)]) as connection:
        steps = 0

        def count() -> None:
            nonlocal steps
            steps += 1

        connection.set_progress_handler(count, 100)
        assert sessions.find_free("jobs", "", NOW, frozenset("a"), connection) == ("b", None)
        assert steps < 20
