from __future__ import annotations

from bridge.adapters.embedded.messages import StoredMessage
from bridge.adapters.embedded.window import Window
from bridge.ports import Message


def stored(number: int, due: float | None = None, size: int = 1) -> StoredMessage:
    return StoredMessage(number, "orders/all", Message("orders", b"x" * size), float(number) if due is None else due, 0.0)


def popped(window: Window, now: float = 10_000) -> list[int]:
    numbers = []
    while (found := window.pop(now)) is not None:
        numbers.append(found.id)
    return numbers


def test_a_window_holds_nothing_before_it_was_read():
    window = Window(limit=10)
    window.add(stored(1))
    assert len(window) == 0
    assert window.runs_low


def test_a_window_that_has_read_everything_takes_every_new_message_and_reads_no_more():
    window = Window(limit=10)
    window.extend([stored(1)], last=True)
    window.add(stored(2))
    assert not window.runs_low
    assert popped(window) == [1, 2]


def test_messages_come_in_the_order_in_which_they_are_due():
    window = Window(limit=10)
    window.extend([], last=True)
    for number, due in ((1, 5.0), (2, 3.0), (3, 3.0)):
        window.add(stored(number, due))
    assert popped(window) == [2, 3, 1]


def test_a_message_that_is_not_due_stays():
    window = Window(limit=10)
    window.extend([stored(1, due=7.0)], last=True)
    assert (popped(window, now=6.9), window.next_due, popped(window, now=7.0)) == ([], 7.0, [1])


def test_what_lies_behind_the_horizon_is_left_to_the_database():
    window = Window(limit=2)
    window.extend([stored(1), stored(2)], last=False)
    window.add(stored(3))
    assert window.horizon == (2.0, 3)
    assert popped(window) == [1, 2]


def test_a_window_never_holds_more_than_twice_its_limit_and_keeps_the_first():
    window = Window(limit=10)
    window.extend([], last=True)
    sizes = []
    for number in range(100, 0, -1):
        window.add(stored(number))
        sizes.append(len(window))
    assert max(sizes) <= 20
    kept = popped(window)
    assert kept == list(range(1, len(kept) + 1))
    assert window.horizon == (float(len(kept) + 1), len(kept) + 1)


def test_large_messages_fill_a_window_by_their_bytes():
    window = Window(limit=1_000, budget=100_000)
    window.extend([], last=True)
    for number in range(100):
        window.add(stored(number, size=10_000))
    assert len(window) <= 20
    assert window.horizon[1] < 100


def test_a_window_keeps_its_horizon_while_somebody_reads_from_there():
    window = Window(limit=1)
    window.extend([stored(5)], last=False)
    window.reading = True
    for number in range(4, 0, -1):
        window.add(stored(number))
    assert window.horizon == (5.0, 6)
    window.extend([stored(6)], last=True)
    assert popped(window) == [1]
    assert window.horizon == (2.0, 2)
