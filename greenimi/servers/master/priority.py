"""What prepares a reload gets of the processors what those that serve leave over.

Importing an application is a second of pure computing.  On a machine with few processors it would take them from the clients: the kernel
lets a process that computes go on for some milliseconds before one that has just been woken, unless its policy is SCHED_IDLE.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

PATIENCE = 10.0
"""Seconds after which a process that stepped back is called forward again, whatever it does: on a busy machine it would never be done."""

_NICE = 10


def may_return() -> bool:
    """Whether a process of ours can come forward again: it needs a privilege (CAP_SYS_NICE), or RLIMIT_NICE.  Tried in a child."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def step_back(pid: int = 0) -> None:
    """Let all others go first: this process, or another one.  ``come_forward`` undoes it, where ``may_return`` says so."""
    with suppress(OSError):
        os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))


def come_forward(pid: int = 0) -> None:
    """Undo ``step_back``, for the threads that were started meanwhile as well."""
    with suppress(OSError):
        for thread in map(int, os.listdir(f"/proc/{pid or 'self'}/task")):  # noqa: PTH208 - numbers, not paths
            os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))


def step_aside(pid: int = 0) -> None:
    """Take a tenth of what others may have, for good: this process, or another one."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, min(19, os.getpriority(os.PRIO_PROCESS, pid) + _NICE))


def make_way(patience: float = 1.0) -> None:
    """For an operator's command: let all others go first for ``patience`` seconds, enough on any but a busy machine."""
    if may_return():
        step_back()
        signal.signal(signal.SIGALRM, lambda number, frame: come_forward())
        signal.setitimer(signal.ITIMER_REAL, patience)
        atexit.register(signal.setitimer, signal.ITIMER_REAL, 0)  # an interpreter that ends has no handler any more, and would be killed
    else:
        step_aside()


@contextmanager
def ending(master: int) -> Iterator[None]:
    """Around the fork of a worker: it ends here as by ``sys.exit``, exit handlers included, but is not taken to pieces by the interpreter.

    That would be 50 milliseconds of computing, while others serve in its place.
    """
    try:
        yield
    except SystemExit as error:
        if os.getpid() == master:
            raise
        _end(error.code)


def _end(code: Any) -> NoReturn:
    with suppress(BaseException):
        threading._shutdown()  # type: ignore[attr-defined]  # waits for threads, as the interpreter would
    with suppress(BaseException):
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)
