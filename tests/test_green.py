"""The door to gevent: contexts, timeouts, and what stays native under patching."""

from __future__ import annotations

import _thread
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import gevent
import pytest
from gevent import monkey

from greenimi import green
from greenimi.testing.support import wait_until

colour = ContextVar("colour", default="none")


@pytest.fixture
def red() -> Iterator[None]:
    token = colour.set("red")
    yield
    colour.reset(token)


# -- greenlets -----------------------------------------------------------------------------------------------------


def test_spawn_inherits_context_variables_where_gevent_does_not(red: None) -> None:
    assert green.spawn(colour.get).get() == "red"
    assert gevent.spawn(colour.get).get() == "none"


def test_a_spawned_greenlet_has_a_copy_of_its_own(red: None) -> None:
    def change() -> str:
        colour.set("blue")
        return str(green.spawn(colour.get).get())

    first = green.spawn(change)
    later = green.spawn(colour.get)
    assert (first.get(), later.get(), colour.get()) == ("blue", "red", "red")


def test_spawn_takes_arguments_and_gives_back_results_and_errors() -> None:
    assert green.spawn(dict, [("a", 1)], b=2).get() == {"a": 1, "b": 2}
    failing = green.spawn(int, "x")
    with pytest.raises(ValueError):
        failing.get()


# -- timeouts ------------------------------------------------------------------------------------------------------


class Late(Exception):
    pass


@pytest.mark.parametrize("error", [Late, Late()])
def test_a_timeout_raises_what_it_is_told(error: Any) -> None:
    with pytest.raises(Late), green.timeout(0.001, error):
        green.Event().wait()
    with pytest.raises(TimeoutError), green.timeout(0.001):
        green.Event().wait()


def test_a_timeout_ends_with_its_block(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[Any] = []

    class Timer(green.Timeout):
        def close(self) -> None:
            super().close()
            closed.append(self.pending)

    monkeypatch.setattr(green, "Timeout", Timer)
    with green.timeout(1000):
        assert closed == []
    with pytest.raises(KeyError), green.timeout(1000):
        raise KeyError
    assert closed == [False, False]


def test_no_seconds_are_no_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(green, "Timeout", None)
    with green.timeout(None):
        green.sleep(0)
    assert green.Timeout is None


# -- native primitives under patching ------------------------------------------------------------------------------


def run_native(function: Any) -> Any:
    """What ``function`` returns in an operating-system thread of its own."""
    found: list[Any] = []
    green.native_thread_start(lambda: found.append(function()))
    return wait_until(lambda: found)[0]


def test_native_threads_are_threads() -> None:
    assert run_native(threading.get_native_id) != threading.get_native_id()
    patched: list[int] = []
    threading.Thread(target=lambda: patched.append(threading.get_native_id())).start()
    assert wait_until(lambda: patched) == [threading.get_native_id()]


def test_a_native_thread_is_given_arguments() -> None:
    found: list[int] = []
    green.native_thread_start(lambda *values: found.extend(values), 1, 2)
    assert wait_until(lambda: found) == [1, 2]


def test_native_locks_are_locks() -> None:
    real = type(monkey.get_original("_thread", "allocate_lock")())
    assert type(green.native_lock()) is real
    assert type(threading.Lock()) is not real
    lock = green.native_lock()
    with lock:
        assert not run_native(lambda: lock.acquire(False))
    assert run_native(lambda: lock.acquire(False))


def test_a_native_event_between_threads() -> None:
    ask, answer = green.native_event(), green.native_event()
    seen: list[bool] = []

    def serve() -> None:
        seen.append(ask.wait(10))
        answer.set()

    green.native_thread_start(serve)
    assert not answer.wait(0)
    ask.set()
    assert answer.wait(10)
    assert seen == [True]


def test_a_native_event_stays_set_until_it_is_cleared() -> None:
    event = green.native_event()
    assert not event.wait(0)
    event.set()
    event.set()
    assert [event.wait(0), event.wait(), event.wait(0)] == [True, True, True]
    event.clear()
    event.clear()
    assert not event.wait(0)
    event.set()
    assert event.wait(0)


def test_a_native_event_wakes_everybody_who_waits() -> None:
    event = green.native_event()
    woken: list[bool] = []
    waiting: list[int] = []

    def wait() -> None:
        waiting.append(1)
        woken.append(event.wait(30))

    for _ in range(3):
        green.native_thread_start(wait)
    wait_until(lambda: len(waiting) == 3)
    event.set()
    try:
        wait_until(lambda: len(woken) == 3)
    finally:
        for _ in range(3):  # let none of them wait on
            event.set()
    assert woken == [True] * 3


def test_what_another_thread_posts_runs_in_a_greenlet_here() -> None:
    post = green.poster()
    found: list[tuple[int, bool]] = []

    def work() -> None:
        green.sleep(0)  # it may switch
        found.append((threading.get_native_id(), isinstance(gevent.getcurrent(), gevent.Greenlet)))

    poster_thread = run_native(lambda: (post(work), threading.get_native_id())[1])
    assert poster_thread != threading.get_native_id()
    assert wait_until(lambda: found) == [(threading.get_native_id(), True)]


# -- patching ------------------------------------------------------------------------------------------------------


def python(code: str) -> str:
    """What a fresh, unpatched Python prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


REQUIRE = """
from greenimi import green
from greenimi.errors import StartError
try:
    green.require_patched()
except StartError as error:
    print(error)
else:
    print("patched")
"""


def test_what_was_imported_before_patching_is_named() -> None:
    found = python("import redis\n" + REQUIRE)
    assert "the standard library is not patched (redis was imported already)" in found
    assert "hint: start with `greenimi serve`" in found


def test_without_a_culprit_none_is_named() -> None:
    assert python(REQUIRE).startswith("the standard library is not patched\n")


def test_patching_is_enough_and_may_be_repeated() -> None:
    code = "from greenimi import green\ngreen.patch()\ngreen.patch()\nimport socket\nprint(socket.socket.__module__)"
    assert python(code + REQUIRE) == "gevent._socket3\npatched"


def test_importing_it_patches_nothing() -> None:
    assert python("import socket, threading, greenimi.green, greenimi.app\nprint(socket.socket.__module__, threading.Lock.__module__)") == (
        f"socket {_thread.__name__}"
    )
