"""A worker that boots beside workers that serve gets less of the processors than they, until it is ready.

Importing an application is a second of pure computing.  On a machine with few processors it would take them from the clients.
"""

from __future__ import annotations

import os
from contextlib import suppress

_STEP = 10
"""By how much ``nice`` is raised: about a tenth of the share of a process that serves, and all that nobody else wants."""


def may_return() -> bool:
    """Whether this process could lower its ``nice`` again: it needs a privilege (CAP_SYS_NICE), or RLIMIT_NICE.  Tried in a child."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            base = os.getpriority(os.PRIO_PROCESS, 0)
            os.setpriority(os.PRIO_PROCESS, 0, min(19, base + 1))
            os.setpriority(os.PRIO_PROCESS, 0, base)
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def step_back(pid: int = 0) -> None:
    """Let others go first: this process, or another one.  Where the system does not allow it nothing happens."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, min(19, os.getpriority(os.PRIO_PROCESS, pid) + _STEP))


def come_forward() -> None:
    """Undo ``step_back`` for this process, and for the threads that it has started meanwhile."""
    with suppress(OSError):
        for thread in map(int, os.listdir("/proc/self/task")):  # noqa: PTH208 - numbers, not paths
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) - _STEP)
