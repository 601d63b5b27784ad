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
from greenimi.servers.master.priority import come_forward, may_return, step_back
nice = lambda: [os.getpriority(os.PRIO_PROCESS, int(thread)) for thread in os.listdir("/proc/self/task")]
base = nice()[0]
step_back()
stop = threading.Event()
threading.Thread(target=stop.wait).start()
print([value - base for value in nice()])
come_forward()
print([value - base for value in nice()])
stop.set()
"""


def run() -> list[str]:
    found = subprocess.run([sys.executable, "-c", RUN], capture_output=True, text=True, timeout=30, check=False)
    assert found.returncode == 0, found.stderr
    return found.stdout.splitlines()


@pytest.mark.skipif(not may_return(), reason="this user may not lower nice again, so workers boot as fast as others serve")
def test_a_process_steps_back_and_comes_forward_with_its_threads() -> None:
    assert run() == ["[10, 10]", "[0, 0]"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become a user without the privilege")
def test_without_the_privilege_it_is_known_before() -> None:
    code = "import os; from greenimi.servers.master.priority import may_return; os.setuid(65534); print(may_return())"
    limit = resource.getrlimit(resource.RLIMIT_NICE)
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert found.stdout == f"{limit[0] >= 20 - os.getpriority(os.PRIO_PROCESS, 0)}\n", found.stderr
