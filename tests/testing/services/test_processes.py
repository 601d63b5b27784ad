"""Programs beside this one: known for good, ended with everything they started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from greenimi.testing.services.processes import Process, ProcessId, ServiceFailed, program, wait_for

FAMILY = "import subprocess, time; print(subprocess.Popen(['sleep', '60']).pid, flush=True); time.sleep(60)"


def family(folder: Path) -> tuple[Process, ProcessId]:
    """A process and the child that it started."""
    process = Process([sys.executable, "-c", FAMILY], folder / "log")
    assert wait_for((folder / "log").read_text, 20)
    return process, ProcessId.of(int((folder / "log").read_text()))


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_kill_takes_what_it_started_along(tmp_path: Path) -> None:
    process, child = family(tmp_path)
    assert [member.alive for member in (process.id, child)] == [True, True]
    process.kill()
    assert [member.alive for member in (process.id, child)] == [False, False]
    assert process.ended == -signal.SIGKILL


def test_it_stands_still_with_what_it_started(tmp_path: Path) -> None:
    process, child = family(tmp_path)
    process.id.pause()
    assert wait_for(lambda: state(process.id.pid) == state(child.pid) == "T", 5)
    process.id.resume()
    assert wait_for(lambda: "T" not in state(process.id.pid) + state(child.pid), 5)
    process.id.pause()
    process.end(signal.SIGTERM, 20)  # one that stands still hears no signal
    assert process.ended == -signal.SIGTERM
    child.kill()


def test_who_does_not_end_is_killed(tmp_path: Path) -> None:
    ignores = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    process = Process([sys.executable, "-c", ignores], tmp_path / "log")
    assert wait_for((tmp_path / "log").read_text, 20)
    process.end(signal.SIGTERM, 0.1)
    assert process.ended == -signal.SIGKILL


def test_a_number_that_was_given_to_another_process_is_not_taken_for_it() -> None:
    me = ProcessId.of(os.getpid())
    another = ProcessId(me.pid, me.started + 1)
    assert me.alive
    assert not another.alive
    another.signal(signal.SIGKILL)
    another.kill()
    another.end(signal.SIGKILL, 1)
    with pytest.raises(ServiceFailed, match="no process 99999999"):
        ProcessId.of(99999999)


@pytest.mark.parametrize(("attached", "survives"), [(True, False), (False, True)])
def test_an_attached_one_ends_with_the_process_that_started_it_even_by_kill(tmp_path: Path, attached: bool, survives: bool) -> None:
    starts = (
        "import sys, time; from pathlib import Path; from greenimi.testing.services.processes import Process\n"
        f"print(Process(['sleep', '60'], Path({str(tmp_path)!r}) / 'log', attached={attached}).id.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", starts], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        started = ProcessId.of(int(parent.stdout.readline()))
        assert wait_for(lambda: Path(f"/proc/{started.pid}/comm").read_text() == "sleep\n", 5)
        parent.kill()
    try:
        assert wait_for(lambda: not started.alive, 0.3 if survives else 10) is not survives
    finally:
        started.kill()


def test_a_program_that_is_missing_is_named_with_its_package() -> None:
    assert program("sh", "dash").endswith("/sh")
    with pytest.raises(ServiceFailed, match=r"no-such-server is not installed\n.*apt-get install such-package"):
        program("no-such-server", "such-package")
