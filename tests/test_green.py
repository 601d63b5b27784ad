"""The door to gevent: contexts, timeouts, and what stays native under patching."""

from __future__ import annotations

import _thread
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType
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


def test_what_interrupts() -> None:
    assert not green.interrupts(None)
    assert not green.interrupts(TimeoutError())
    assert green.interrupts(gevent.GreenletExit())
    assert green.interrupts(gevent.Timeout())
    for error in (TimeoutError, LookupError("late")):
        with pytest.raises((TimeoutError, LookupError)) as caught, green.timeout(0.001, error):
            green.sleep(1.0)
        assert green.interrupts(caught.value)


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


def test_each_thread_has_a_number() -> None:
    assert green.spawn(green.thread_id).get() == green.thread_id()  # greenlets of a thread share it
    assert green.in_thread(green.thread_id) != green.thread_id()


def test_what_a_thread_of_the_pool_returns_or_raises(capfd: pytest.CaptureFixture[str]) -> None:
    assert green.in_thread(threading.get_native_id) != threading.get_native_id()
    assert green.in_thread(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        green.in_thread(divmod, 7, 0)
    assert capfd.readouterr() == ("", "")  # whoever called it says what is to be said of it


def test_a_pool_of_ones_own_leaves_the_hubs_free() -> None:
    pool = green.ThreadPool(1)
    go = green.native_event()
    held = green.spawn(green.in_thread, go.wait, 5.0, pool=pool)
    behind = green.spawn(green.in_thread, threading.get_native_id, pool=pool)
    assert green.in_thread(divmod, 7, 2) == (3, 1)
    assert not behind.ready()
    go.set()
    assert held.get(timeout=5)
    assert behind.get(timeout=5) != threading.get_native_id()
    pool.kill()


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
    assert found.startswith("the standard library is not patched; when these wait")
    assert "\n  redis.retry: sleep (time.sleep)\n" in found
    assert "hint: start with `greenimi serve`" in found


def test_without_a_culprit_none_is_named() -> None:
    assert python(REQUIRE).startswith("the standard library is not patched\n  hint")


EARLY = """
from queue import SimpleQueue
from socket import socket as make, create_connection
from time import sleep
import queue, socket, threading
lock = threading.Lock()
jobs = queue.Queue()
store = threading.local()
class Store(threading.local): ...
class Link(socket.socket): ...
time = __import__("time")
number = 1
from greenimi import green
green.patch()
"""


def test_everything_native_in_a_module_that_came_too_early_is_named(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(EARLY)
    found = python(
        f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\nimport shop, shop as other\nsys.modules['alias'] = shop\n" + REQUIRE
    )
    first, line, hint = found.splitlines()
    assert first.startswith("modules were imported before the standard library was patched; ")
    assert line == (
        "  shop: SimpleQueue (queue.SimpleQueue), make (socket.socket), create_connection (socket.create_connection), sleep (time.sleep), "
        "lock (a threading.Lock), jobs (a queue.Queue), store (a threading.local), Link (based on socket.socket), ..."
    )
    assert "call greenimi.green.patch() before every other import" in hint


def test_a_long_list_is_cut(tmp_path: Path) -> None:
    for number in range(11):
        (tmp_path / f"early{number}.py").write_text("from time import sleep")
    imports = "".join(f"import early{number}\n" for number in range(11))
    found = python(f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\n{imports}" + REQUIRE)
    assert "early7: sleep" in found
    assert "early8: sleep" not in found
    assert "\n  and 3 more modules\n" in found


def test_what_is_imported_after_patching_is_no_culprit(tmp_path: Path) -> None:
    code = """
from greenimi import green
green.patch()
import greenimi.app, greenimi.cli.serve, greenimi.deploy, greenimi.testing.clients
import concurrent.futures, asyncio, multiprocessing.pool, logging.handlers, http.client
import redis, pymysql, peewee
from time import sleep
from threading import Lock, local
from gevent import monkey
import module_of_a_driver
class Local(local): ...
lock = Lock()
"""
    (tmp_path / "module_of_a_driver.py").write_text("from gevent import monkey\nsleep = monkey.get_original('time', 'sleep')")
    code = f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\n" + code
    assert python(code + REQUIRE) == "patched"


def test_when_others_patch_too_late_that_is_told_as_well() -> None:
    code = "import redis\nfrom gevent import monkey\nmonkey.patch_all()\n"
    assert "\n  redis.retry: sleep (time.sleep)\n" in python(code + REQUIRE)
    code = "from gevent import monkey\nmonkey.patch_all()\nimport redis\n"
    assert python(code + REQUIRE) == "patched"


def test_who_runs_tests_is_no_culprit() -> None:
    assert green.early_imports() == {}
    green.require_patched()


def test_the_look_at_modules_is_short() -> None:
    began = time.perf_counter()
    green.early_imports()
    assert time.perf_counter() - began < 0.1  # 2 ms measured


def test_patching_is_enough_and_may_be_repeated() -> None:
    code = "from greenimi import green\ngreen.patch()\ngreen.patch()\nimport socket\nprint(socket.socket.__module__)"
    assert python(code + REQUIRE) == "gevent._socket3\npatched"


def test_importing_it_patches_nothing() -> None:
    assert python("import socket, threading, greenimi.green, greenimi.app\nprint(socket.socket.__module__, threading.Lock.__module__)") == (
        f"socket {_thread.__name__}"
    )


# -- callbacks -----------------------------------------------------------------------------------------------------


def test_run_soon_comes_at_the_end_of_the_turn() -> None:
    seen: list[str] = []
    green.run_soon(seen.append, "soon")
    assert seen == []
    green.sleep(0)
    assert seen == ["soon"]


def test_of_what_is_ready_in_one_turn_the_first_come_first() -> None:
    seen: list[str] = []
    pairs = [socket.socketpair() for _ in range(3)]
    watchers = []

    def take(name: str, sock: socket.socket) -> None:
        seen.append(name)
        sock.recv(1)

    for name, (ours, theirs) in zip(("one", "first", "two"), pairs, strict=True):
        watcher = green.io_watcher(ours.fileno(), 1, first=name == "first")
        watcher.start(take, name, ours)
        watchers.append(watcher)
        theirs.send(b"x")
    wait_until(lambda: len(seen) == 3)
    assert seen[0] == "first"
    for watcher in watchers:
        watcher.stop()
        watcher.close()
    for sock in (sock for pair in pairs for sock in pair):
        sock.close()


def test_a_timer_fires_again_and_again_until_it_is_stopped() -> None:
    seen: list[int] = []
    timer = green.timer(0.001)
    timer.start(seen.append, 1)
    wait_until(lambda: len(seen) >= 3)
    timer.stop()
    timer.close()
    fired = len(seen)
    green.sleep(0.01)
    assert len(seen) == fired


def test_a_native_thread_takes_from_a_queue_and_signals() -> None:
    queue, signal = green.native_queue(), green.thread_signal()
    found: list[object] = []

    def work() -> None:
        found.append(queue.get())
        signal.send()

    signal.start(found.append, "told")
    green.native_thread_start(work)
    green.sleep(0.01)
    assert found == []
    queue.put("job")
    wait_until(lambda: len(found) == 2)
    signal.stop()
    signal.close()
    assert found == ["job", "told"]


def test_a_native_socket_waits_for_nobody() -> None:
    ours, theirs = socket.socketpair()
    sock = green.native_socket(socket.AF_UNIX, socket.SOCK_STREAM, ours.detach())
    assert not isinstance(sock, socket.socket)
    with pytest.raises(BlockingIOError):
        sock.recv(1)
    theirs.send(b"x")
    assert sock.recv(1) == b"x"
    sock.close()
    theirs.close()


def test_what_there_is_to_read_is_told_at_once() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        unread = green.native_poll(ours.fileno())
        assert unread(0) == []
        theirs.send(b"x")
        assert unread(0)
        ours.recv(1)
        assert unread(0) == []
        theirs.close()
        assert unread(0)


def test_waiting_for_a_descriptor_again_and_again() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        readable = green.Readable(ours.fileno(), 0.02)
        for _ in range(3):
            assert not readable.wait()
            waiter = green.spawn(readable.wait)
            green.sleep(0)
            theirs.send(b"x")
            assert waiter.get()
            assert readable.wait()
            ours.recv(1)
        killed = green.spawn(readable.wait)
        green.sleep(0)
        killed.kill()
        assert killed.successful()
        readable.close()
        forever = green.Readable(ours.fileno(), 0)
        theirs.send(b"x")
        assert forever.wait()
        forever.close()


# -- drivers ---------------------------------------------------------------------------------------------------------
def driver(name: str, **names: Any) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(names)
    return module


def wait_c() -> None: ...


BLOCKING = {
    "MySQLdb": {"MySQLdb": driver("MySQLdb")},
    "mysql.connector": {"_mysql_connector": driver("_mysql_connector")},
    "psycopg2": {"psycopg2.extensions": driver("psycopg2.extensions", get_wait_callback=lambda: None)},
    "psycopg": {"psycopg.waiting": driver("psycopg.waiting", wait=wait_c, wait_c=wait_c)},
    "cx_Oracle": {"cx_Oracle": driver("cx_Oracle")},
    "oracledb": {"oracledb": driver("oracledb", is_thin_mode=lambda: False)},
    "pyodbc": {"pyodbc": driver("pyodbc")},
    "pymssql": {"pymssql": driver("pymssql")},
    "confluent_kafka": {"confluent_kafka": driver("confluent_kafka")},
    "grpc": {"grpc._cython.cygrpc": driver("grpc._cython.cygrpc")},
}
COOPERATIVE: dict[str, dict[str, ModuleType]] = {
    "nothing": {},
    "pymysql in the place of MySQLdb": {"MySQLdb": driver("pymysql")},
    "mysqlclient with a database of ours": {
        **BLOCKING["MySQLdb"],
        "greenimi.pool.database.mysqlclient": driver("greenimi.pool.database.mysqlclient"),
    },
    "mysql.connector in Python": {"mysql.connector": driver("mysql.connector")},
    "psycopg2 with psycogreen": {"psycopg2.extensions": driver("psycopg2.extensions", get_wait_callback=lambda: print)},
    "psycopg that saw gevent": {"psycopg.waiting": driver("psycopg.waiting", wait=print, wait_c=wait_c)},
    "psycopg in Python": {"psycopg.waiting": driver("psycopg.waiting", wait=print)},
    "oracledb that is thin": {"oracledb": driver("oracledb", is_thin_mode=lambda: True)},
    "grpc with gevent": {**BLOCKING["grpc"], "grpc.experimental.gevent": driver("grpc.experimental.gevent")},
}


@pytest.mark.parametrize("name", BLOCKING)
def test_drivers_that_block_are_told(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for loaded in ("MySQLdb", "greenimi.pool.database.mysqlclient"):  # by tests of databases
        monkeypatch.delitem(sys.modules, loaded, raising=False)
    for module, made in BLOCKING[name].items():
        monkeypatch.setitem(sys.modules, module, made)
    ((found, instead),) = green.blocking_drivers()
    assert found == name
    assert instead


@pytest.mark.parametrize("modules", COOPERATIVE.values(), ids=COOPERATIVE)
def test_drivers_that_do_not_block_are_not_told(modules: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch) -> None:
    for module, made in modules.items():
        monkeypatch.setitem(sys.modules, module, made)
    assert green.blocking_drivers() == []


def test_greenlets_of_other_threads_are_told_apart() -> None:
    found: list[Any] = []
    told: list[bool] = []
    done = green.native_event()

    def elsewhere() -> None:
        told.append(green.is_of_this_thread(found[0]))
        done.set()

    found.append(green.spawn(green.sleep, 0))
    assert green.is_of_this_thread(found[0])
    green.native_thread_start(elsewhere)
    done.wait(5)
    assert told == [False]
    found[0].join()


def test_an_error_is_thrown_where_a_greenlet_waits_and_only_if_it_still_may_be() -> None:
    def wait() -> None:
        green.sleep(3600)

    told, left = green.spawn(wait), green.spawn(wait)
    green.sleep(0)
    green.throw_soon(told, KeyError("told"), lambda: True)
    green.throw_soon(left, KeyError("left"), lambda: False)
    with pytest.raises(KeyError, match="told"):
        told.get(timeout=10)
    assert not left.ready()
    left.kill()
    green.throw_soon(left, KeyError("dead"), lambda: True)
    green.sleep(0)
    assert left.successful()


@pytest.mark.parametrize("seconds", [0.0, 30.0])
def test_closing_ends_the_wait_for_a_descriptor(seconds: float) -> None:
    mine, other = socket.socketpair()
    with mine, other:
        readable = green.Readable(mine.fileno(), seconds)
        killed = green.spawn(readable.wait)
        green.sleep(0)
        killed.kill()
        waiting = green.spawn(readable.wait)
        green.sleep(0)
        readable.close()
        with gevent.Timeout(5.0):
            assert waiting.get()
