"""Who waits for a run is woken by its changes, and by nothing else until all are let go."""

from __future__ import annotations

from bridge.watchers import Watchers


def test_a_change_wakes_those_who_watch_that_run():
    watchers = Watchers()
    with watchers.watched("r-1") as one, watchers.watched("r-1") as two, watchers.watched("r-2") as other:
        watchers.wake("r-1")
        assert (one.is_set(), two.is_set(), other.is_set()) == (True, True, False)


def test_nobody_is_woken_who_has_left():
    watchers = Watchers()
    with watchers.watched("r-1") as changed:
        pass
    watchers.wake("r-1")
    assert not changed.is_set()


def test_all_are_let_go():
    watchers = Watchers()
    with watchers.watched("r-1") as one, watchers.watched("r-2") as two:
        watchers.let_go()
        assert (one.is_set(), two.is_set(), watchers.letting_go) == (True, True, True)
