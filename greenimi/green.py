"""The only door to gevent (``servers`` is the other room that may use it, for its I/O loops).

Nothing here patches by itself: :func:`patch` is called first thing by ``greenimi.__main__``, ``conf/gunicorn.conf.py`` and the pytest
plugin.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any, TypeAlias, TypeVar

import gevent
from gevent import monkey
from gevent.event import Event
from gevent.lock import Semaphore
from gevent.pool import Pool
from gevent.timeout import Timeout

from greenimi.errors import StartError

__all__ = [
    "Event",
    "Greenlet",
    "Pool",
    "Semaphore",
    "Timeout",
    "native_event",
    "native_lock",
    "native_thread_start",
    "patch",
    "poster",
    "require_patched",
    "sleep",
    "spawn",
    "timeout",
]

Greenlet: TypeAlias = Any
sleep = gevent.sleep
T = TypeVar("T")


def patch() -> None:
    """Make the standard library cooperative.  Idempotent.  Must run before modules take from-imports of sockets, locks or sleep."""
    if not monkey.is_module_patched("socket"):
        monkey.patch_all()


def require_patched() -> None:
    """Raise StartError unless :func:`patch` ran.  Called before an application is imported for serving."""
    if monkey.is_module_patched("socket"):
        return
    culprits = [name for name in ("redis", "pymysql", "peewee", "requests", "urllib3") if name in sys.modules]
    imported = f" ({', '.join(culprits)} was imported already)" if culprits else ""
    raise StartError(
        f"the standard library is not patched{imported}",
        hint="start with `greenimi serve` or `gunicorn -c conf/gunicorn.conf.py`, or call greenimi.green.patch() before every other import",
    )


def spawn(function: Callable[..., T], *args: Any, **kwargs: Any) -> Greenlet:
    """Start ``function`` in a greenlet that sees a copy of the caller's context variables (gevent alone would give it none)."""
    greenlet = gevent.Greenlet(function, *args, **kwargs)
    greenlet.gr_context = copy_context()
    greenlet.start()
    return greenlet


def poster() -> Callable[[Callable[[], object]], None]:
    """A function that other operating-system threads may call: what it is given runs soon, in a greenlet of the calling thread's hub."""
    loop = gevent.get_hub().loop

    def post(function: Callable[[], object]) -> None:
        loop.run_callback_threadsafe(gevent.spawn, function)

    return post


@contextmanager
def timeout(seconds: float | None, error: type[BaseException] | BaseException = TimeoutError) -> Iterator[None]:
    """Raise ``error`` in the block after ``seconds`` (None: never).  Takes effect at the next switch, not in a CPU loop."""
    if seconds is None:
        yield
        return
    timer = Timeout(seconds, error)
    timer.start()
    try:
        yield
    finally:
        timer.close()


def native_thread_start(function: Callable[..., object], *args: Any) -> None:
    """Run ``function`` in a real operating-system thread, also when the standard library is patched.  It must not use gevent."""
    start = monkey.get_original("_thread", "start_new_thread")
    start(function, args)


def native_lock() -> Any:
    """A real lock, for a native thread and short critical sections only: holding it across a switch can deadlock the hub."""
    return monkey.get_original("_thread", "allocate_lock")()


def native_event() -> Any:
    """A real ``threading.Event``-like object (``set``, ``clear``, ``wait(timeout)``) for native threads."""
    return _NativeEvent()


class _NativeEvent:
    """An event on one native lock: ``wait`` acquires what ``set`` released."""

    def __init__(self) -> None:
        self._lock = native_lock()
        self._lock.acquire()
        self._set = False

    def set(self) -> None:
        self._set = True
        if self._lock.locked():
            try:
                self._lock.release()
            except RuntimeError:  # two setters raced; the event is set either way
                pass

    def clear(self) -> None:
        self._set = False
        self._lock.acquire(False)

    def wait(self, seconds: float | None = None) -> bool:
        if not self._set and self._lock.acquire(True, -1 if seconds is None else seconds):
            self._lock.release()  # for the next who waits
        return self._set
