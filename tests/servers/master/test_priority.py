"""Stepping back while booting, in processes of their own."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

import pytest

from greenimi.servers.master.priority import may_return

RUN = """
import os, threading
from greenimi.servers.master.priority import come_forward, step_aside, step_back
threads = lambda: [int(thread) for thread in os.listdir("/proc/self/task")]
idle = lambda: [os.sched_getscheduler(thread) == os.SCHED_IDLE for thread in threads()]
step_back()
stop = threading.Event()
threading.Thread(target=stop.wait).start()
print(idle())
come_forward()
print(idle())
stop.set()
base = os.getpriority(os.PRIO_PROCESS, 0)
step_aside()
print(os.getpriority(os.PRIO_PROCESS, 0) - base)
"""


@pytest.mark.skipif(not may_return(), reason="this user may not come forward again, so workers boot as fast as others serve")
def test_a_process_steps_back_and_comes_forward_with_its_threads() -> None:
    found = subprocess.run([sys.executable, "-c", RUN], capture_output=True, text=True, timeout=30, check=False)
    assert found.stdout.splitlines() == ["[True, True]", "[False, False]", "10"], found.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become a user without the privilege")
def test_without_the_privilege_it_is_known_before() -> None:
    code = "import os; from greenimi.servers.master.priority import may_return; os.setuid(65534); print(may_return())"
    limit = resource.getrlimit(resource.RLIMIT_NICE)
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert found.stdout == f"{limit[0] >= 20 - os.getpriority(os.PRIO_PROCESS, 0)}\n", found.stderr


MAKE_WAY = """
import os, signal, time
from greenimi.servers.master.priority import make_way
make_way(0.1)
found = [os.sched_getscheduler(0) == os.SCHED_IDLE]
signal.sigtimedwait([], 0.3)
time.sleep(0.1)
print(*found, os.sched_getscheduler(0) == os.SCHED_IDLE)
"""


@pytest.mark.skipif(not may_return(), reason="this user may not come forward again, so commands are niced instead")
def test_a_command_makes_way_for_a_while() -> None:
    found = subprocess.run([sys.executable, "-c", MAKE_WAY], capture_output=True, text=True, timeout=30, check=False)
    assert found.stdout == "True False\n", found.stderr


ENDS_FIRST = """
import time
from greenimi.servers.master.priority import make_way
class Slow:
    def __del__(self): time.sleep(0.3)
slow = Slow()
make_way(0.2)
"""


@pytest.mark.skipif(not may_return(), reason="this user may not come forward again, so commands are niced instead")
def test_a_command_that_ends_before_it_came_forward_ends_well() -> None:
    found = subprocess.run([sys.executable, "-c", ENDS_FIRST], capture_output=True, text=True, timeout=30, check=False)
    assert found.returncode == 0, found.stderr


ENDING = """
import atexit, os, sys, threading, time
from greenimi.servers.master.priority import ending
class Told:
    def __del__(self): print("taken to pieces", flush=True)
told = Told()
atexit.register(print, "exit handler")
master = os.getpid()
with ending(master):
    pid = os.fork()
    if not pid:
        threading.Thread(target=lambda: (time.sleep(0.2), print("thread", flush=True))).start()
        sys.exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
try:
    with ending(master):
        sys.exit(3)
except SystemExit as error:
    print("the master goes on", error.code, flush=True)
os._exit(0)
"""


def test_a_worker_ends_with_its_threads_and_exit_handlers_but_is_not_taken_to_pieces() -> None:
    found = subprocess.run([sys.executable, "-c", ENDING], capture_output=True, text=True, timeout=30, check=False)
    assert found.stdout.splitlines() == ["thread", "exit handler", "7", "the master goes on 3"], found.stderr
