"""The only door to gevent (``servers`` is the other room that may use it, for its I/O loops).

Nothing here patches by itself: :func:`patch` is called first thing by ``greenimi.__main__``, ``conf/gunicorn.conf.py`` and the pytest
plugin.
"""

from __future__ import annotations

import _socket
import select
import sys
from _queue import SimpleQueue
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from types import ModuleType
from typing import Any, TypeAlias, TypeVar, cast

import gevent
from gevent import monkey
from gevent.event import Event
from gevent.lock import Semaphore
from gevent.pool import Pool
from gevent.threadpool import ThreadPool
from gevent.timeout import Timeout
from gevent.util import wrap_errors

from greenimi.errors import StartError

__all__ = [
    "Event",
    "Greenlet",
    "Pool",
    "Readable",
    "Semaphore",
    "ThreadPool",
    "Timeout",
    "blocking_drivers",
    "current_greenlet",
    "current_hub",
    "early_imports",
    "interrupts",
    "io_watcher",
    "is_of_this_thread",
    "native_close",
    "native_event",
    "native_lock",
    "native_poll",
    "native_queue",
    "native_socket",
    "native_thread_start",
    "patch",
    "poster",
    "require_patched",
    "run_soon",
    "sleep",
    "spawn",
    "thread_id",
    "thread_signal",
    "throw_soon",
    "timeout",
    "timer",
]

Greenlet: TypeAlias = Any
sleep = gevent.sleep
current_greenlet = gevent.getcurrent
current_hub: Callable[[], Any] = gevent.get_hub
"""What runs the loop of this thread: its ``switch()`` waits until somebody switches back to the greenlet that called it."""
T = TypeVar("T")


def patch() -> None:
    """Make the standard library cooperative.  Idempotent.  Must run before modules take from-imports of sockets, locks or sleep."""
    global _early  # noqa: PLW0603 - patching is a matter of the whole process
    if not monkey.is_module_patched("socket"):
        _early = frozenset(sys.modules)
        monkey.patch_all()


def require_patched() -> None:
    """Raise StartError unless :func:`patch` ran, and before the modules that hold what it replaces.  Called when an application starts."""
    global _looked  # noqa: PLW0603 - what is imported after patching needs no second look
    if _looked:
        return
    patched = monkey.is_module_patched("socket")
    found = early_imports()
    if patched and not found:
        _looked = True
        return
    what = "modules were imported before the standard library was patched" if patched else "the standard library is not patched"
    lines = [f"\n  {module}: {', '.join(names[:_SHOWN])}{', ...' if len(names) > _SHOWN else ''}" for module, names in found.items()]
    if found:
        what += "; when these wait, or keep something for a thread, it concerns all handlers:"
    if len(lines) > _SHOWN:
        lines[_SHOWN:] = [f"\n  and {len(lines) - _SHOWN} more modules"]
    raise StartError(
        what + "".join(lines),
        hint="start with `greenimi serve` or `gunicorn -c conf/gunicorn.conf.py`, or call greenimi.green.patch() before every other import",
    )


_early: frozenset[str] | None = None
"""The modules that :func:`patch` came too late for; None when it was not the one who patched."""

_looked = False
_SHOWN = 8

_REPLACED = {
    "_thread": ("allocate_lock", "start_new_thread", "get_ident"),
    "queue": ("Queue", "LifoQueue", "PriorityQueue", "SimpleQueue"),
    "select": ("select", "poll", "epoll"),
    "selectors": ("DefaultSelector",),
    "socket": ("socket", "create_connection", "socketpair", "getaddrinfo", "gethostbyname", "gethostbyaddr", "getnameinfo"),
    "ssl": ("SSLContext", "SSLSocket"),
    "subprocess": ("Popen", "run", "call", "check_call", "check_output"),
    "threading": ("Event", "Lock", "get_ident", "local"),
    "time": ("sleep",),
}
"""What blocks, or goes by threads where greenlets are meant, unless it is taken from its module after patching."""

_MAY_HOLD = {"gevent", "greenimi", "greenlet", "gunicorn", "zope", "pluggy", "coverage", "hypothesis", "pydevd", "debugpy"}
_MAY_HOLD_PREFIXES = ("pytest", "_pytest", "_pydev")
"""Those that know what they do, or serve no client: besides the standard library, test runners and debuggers."""


def early_imports() -> dict[str, list[str]]:
    """Modules that hold native sockets, locks, queues, thread-local values or ``sleep``: those imported before patching.

    Whoever asks for originals afterwards knows what he does, and is not told, where it was :func:`patch` that patched.

    For each what it holds: ``sleep (time.sleep)``, ``lock (a threading.Lock)`` for an object, ``Local (based on threading.local)``.
    """
    natives = _natives()
    by_id = {id(value): name for name, value in natives.items()}
    kinds = {value: name for name, value in natives.items() if isinstance(value, type)}
    kinds[type(monkey.get_original("_thread", "allocate_lock")())] = "threading.Lock"
    found: dict[str, list[str]] = {}
    modules = {id(module): (name, module) for name, module in reversed(list(sys.modules.items()))}  # of several names the first
    for module_name, module in reversed(modules.values()):
        if _is_exempt(module_name) or type(module) is not ModuleType:
            continue
        for name, value in list(vars(module).items()):
            if id(value) in by_id:
                found.setdefault(module_name, []).append(f"{name} ({by_id[id(value)]})")
            elif type(value) in kinds:
                found.setdefault(module_name, []).append(f"{name} (a {kinds[type(value)]})")
    derived: type
    for base, base_name in kinds.items():
        for derived in type.__subclasses__(base):
            if not _is_exempt(derived.__module__):
                found.setdefault(derived.__module__, []).append(f"{derived.__qualname__} (based on {base_name})")
    return found


def _natives() -> dict[str, Any]:
    """The originals by their names.  Of what patching leaves alone nothing is wrong."""
    patched = monkey.is_module_patched("socket")
    natives: dict[str, Any] = {}
    for module, names in _REPLACED.items():
        for name in names:
            try:
                original = monkey.get_original(module, name)
            except AttributeError:  # not on this system
                continue
            if not patched or getattr(sys.modules[module], name, None) is not original:
                natives[f"{module}.{name}"] = original
    return natives


def _is_exempt(module: str) -> bool:
    """Whether it came after patching, and asked for what is native then, or may hold it."""
    root = module.partition(".")[0]
    came_later = _early is not None and module not in _early
    return came_later or root in _MAY_HOLD or root in sys.stdlib_module_names or root.startswith(_MAY_HOLD_PREFIXES)


# -- drivers that no patching reaches --------------------------------------------------------------------------------


def _loaded(name: str) -> Callable[[], bool]:
    """Whether the module itself is loaded, and nothing that took its name."""
    return lambda: getattr(sys.modules.get(name), "__name__", "") == name


def _mysqlclient_blocks() -> bool:
    return _loaded("MySQLdb")() and "greenimi.pool.database.mysqlclient" not in sys.modules  # which does not wait in C


def _psycopg2_blocks() -> bool:
    extensions = sys.modules.get("psycopg2.extensions")
    return extensions is not None and extensions.get_wait_callback() is None


def _psycopg_blocks() -> bool:
    waiting = sys.modules.get("psycopg.waiting")
    wait_c = getattr(waiting, "wait_c", None)
    return wait_c is not None and getattr(waiting, "wait", None) is wait_c


def _oracledb_blocks() -> bool:
    oracledb = sys.modules.get("oracledb")
    return oracledb is not None and not oracledb.is_thin_mode()


def _grpc_blocks() -> bool:
    return "grpc._cython.cygrpc" in sys.modules and "grpc.experimental.gevent" not in sys.modules


_DRIVERS: dict[str, tuple[Callable[[], bool], str]] = {
    "MySQLdb": (_mysqlclient_blocks, 'PyMySQL, or [database] with driver = "mysqlclient"'),
    "mysql.connector": (_loaded("_mysql_connector"), "PyMySQL, or connect(use_pure=True)"),
    "psycopg2": (_psycopg2_blocks, "psycogreen: psycogreen.gevent.patch_psycopg() at start"),
    "psycopg": (_psycopg_blocks, "psycopg 3.1.14 or newer, imported after patching"),
    "cx_Oracle": (_loaded("cx_Oracle"), "oracledb in its thin mode"),
    "oracledb": (_oracledb_blocks, "its thin mode: leave init_oracle_client() out"),
    "pyodbc": (_loaded("pyodbc"), "a driver in Python, such as python-tds, or gevent.get_hub().threadpool"),
    "pymssql": (_loaded("pymssql"), "python-tds"),
    "confluent_kafka": (_loaded("confluent_kafka"), "kafka-python"),
    "grpc": (_grpc_blocks, "grpc.experimental.gevent.init_gevent() at start"),
}


def blocking_drivers() -> list[tuple[str, str]]:
    """Loaded drivers that wait in C, where nothing else can run meanwhile, and what to use instead: ``("MySQLdb", "PyMySQL")``."""
    return [(name, instead) for name, (blocks, instead) in _DRIVERS.items() if blocks()]


# -- greenlets, timeouts, threads ------------------------------------------------------------------------------------


def spawn(function: Callable[..., T], *args: Any, **kwargs: Any) -> Greenlet:
    """Start ``function`` in a greenlet that sees a copy of the caller's context variables (gevent alone would give it none)."""
    greenlet = gevent.Greenlet(function, *args, **kwargs)
    greenlet.gr_context = copy_context()
    greenlet.start()
    return greenlet


def is_of_this_thread(greenlet: Greenlet) -> bool:
    """Whether this thread can wait for it: greenlets of other threads cannot be switched to."""
    return greenlet.parent is gevent.get_hub()


def throw_soon(greenlet: Greenlet, error: BaseException, still: Callable[[], bool]) -> None:
    """Raise ``error`` in a greenlet of this thread, where it waits, in the next turn of the loop, if ``still()`` says then that it may."""
    run_soon(_throw, greenlet, error, still)


def _throw(greenlet: Greenlet, error: BaseException, still: Callable[[], bool]) -> None:
    if still() and not greenlet.dead:
        greenlet.throw(error)


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
    found = error() if isinstance(error, type) else error
    setattr(found, _INTERRUPTS, True)
    timer = Timeout(seconds, found)
    timer.start()
    try:
        yield
    finally:
        timer.close()


_INTERRUPTS = "_greenimi_interrupts"


def interrupts(error: BaseException | None) -> bool:
    """Whether it was thrown at a greenlet from outside, to end what that waits for: a kill, a gevent Timeout, the error of :func:`timeout`.

    Whoever catches what others raise must let it pass: the fault is not theirs, and it is not thrown again.
    """
    return error is not None and (not isinstance(error, Exception) or hasattr(error, _INTERRUPTS))


# -- callbacks in the hub, which must not block ------------------------------------------------------------------------


def run_soon(callback: Callable[..., object], *args: Any) -> None:
    """Call it in the hub, after what runs now and is ready to run: at the end of this turn of the loop."""
    gevent.get_hub().loop.run_callback(callback, *args)


def io_watcher(fd: int, events: int, *, first: bool = False) -> Any:
    """Tells when a raw descriptor is readable (1) or writable (2): ``start(callback)``, ``stop()``, ``close()`` before the descriptor is.

    ``first``: of all that is ready in one turn of the loop it is called before the others.
    """
    loop = gevent.get_hub().loop
    return loop.io(fd, events, True, loop.MAXPRI if first else None)


class Readable:
    """Waits until a raw descriptor can be read, for one greenlet at a time: its watchers are kept, so that a wait costs little."""

    __slots__ = ("_hub", "_seconds", "_switch", "_timer", "_watcher")

    def __init__(self, fd: int, seconds: float) -> None:
        """``seconds``: how long a wait takes at most; 0: any time."""
        self._hub = gevent.get_hub()
        self._switch: Any = None  # of who waits
        self._seconds = seconds
        self._watcher = self._hub.loop.io(fd, 1)
        self._timer = self._hub.loop.timer(seconds, seconds)

    def wait(self) -> bool:
        """False when it took too long.  When it is closed meanwhile the wait is over, too."""
        switch = self._switch = gevent.getcurrent().switch
        try:
            if self._seconds:
                self._timer.again(switch, False)
            self._watcher.start(switch, True)
            return bool(self._hub.switch())
        finally:
            self._switch = None
            self._watcher.stop()
            self._timer.stop()

    def close(self) -> None:
        """To be called before the descriptor is closed."""
        self._watcher.close()
        self._timer.close()
        if self._switch is not None:
            self._hub.loop.run_callback(self._end_wait)

    def _end_wait(self) -> None:
        if self._switch is not None:
            self._switch(True)


def timer(seconds: float) -> Any:
    """Fires again and again: ``start(callback)``, ``stop()``, ``close()``.  A loop that was late fires once for all it missed."""
    return gevent.get_hub().loop.timer(seconds, seconds)


def in_thread(function: Callable[..., T], *args: Any, pool: ThreadPool | None = None) -> T:
    """What ``function`` returns, run in an operating-system thread of the hub's pool; other greenlets go on meanwhile.

    For what computes in C without the interpreter's lock.  It must not use gevent, nor anything that greenlets share.  What may wait for
    long needs a ``pool`` of its own: all others share the hub's ten threads.
    """
    result: Any = (pool or gevent.get_hub().threadpool).apply(wrap_errors(Exception, function), args)
    if isinstance(result, Exception):  # gevent would print what is raised in its threads
        raise result
    return cast("T", result)


def native_thread_start(function: Callable[..., object], *args: Any) -> None:
    """Run ``function`` in a real operating-system thread, also when the standard library is patched.  It must not use gevent."""
    start = monkey.get_original("_thread", "start_new_thread")
    start(function, args)


def native_queue() -> SimpleQueue[Any]:
    """A real ``queue.SimpleQueue``, for native threads that wait for work: ``put`` never waits."""
    return SimpleQueue()


def thread_signal() -> Any:
    """Lets other operating-system threads wake this one's loop: ``start(callback, *args)``, ``stop()``, ``close()``; they call ``send()``.

    What is sent while it is not started is lost.
    """
    return gevent.get_hub().loop.async_()


def native_close() -> Callable[[int], None]:
    """The ``os.close`` of the system, for files and folders that nobody watches: gevent's own waits a turn of the loop for folders."""
    close: Callable[[int], None] = monkey.get_original("os", "close")
    return close


def native_socket(family: int, kind: int, fd: int | None = None) -> Any:
    """A socket as the system has it, non-blocking, also when the standard library is patched: for callbacks in the hub.

    ``fd``: of a descriptor that is open already.
    """
    sock = _socket.socket(family, kind, 0, fd)
    sock.setblocking(False)
    return sock


def native_poll(fd: int) -> Callable[[int], list[tuple[int, int]]]:
    """Asks the system what there is to read from a raw descriptor: called with 0 it waits for nothing, and its answer is empty when idle.

    The other end's goodbye counts as something to read.
    """
    poll = monkey.get_original("select", "poll")()
    poll.register(fd, select.POLLIN | select.POLLRDHUP)
    return cast("Callable[[int], list[tuple[int, int]]]", poll.poll)


thread_id: Callable[[], int] = monkey.get_original("_thread", "get_ident")
"""The number of the operating-system thread, also when the standard library is patched."""


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
