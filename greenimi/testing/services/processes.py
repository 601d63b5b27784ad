"""Programs that run beside this one: started, ended, and stopped with everything that they started themselves."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from greenimi.errors import GreenimiError

PROGRAM_FOLDERS = ("/usr/sbin", "/sbin")
"""Where Debian puts servers, besides the PATH."""

_PAUSE = 0.01
_KILLED_WITHIN = 10.0


class ServiceFailed(GreenimiError):
    """A service could not be started, or does not do what it was told; the text shows the end of its log."""


def wait_for(condition: Callable[[], object], seconds: float) -> bool:
    """Whether ``condition`` became true within that time.  Other greenlets run meanwhile where the standard library is patched."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(_PAUSE)
    return True


def program(name: str, package: str, folders: Sequence[str] = ()) -> str:
    """The path of an installed program.  ServiceFailed names the Debian package that brings it."""
    found = shutil.which(name, path=os.pathsep.join((*folders, os.environ.get("PATH", os.defpath), *PROGRAM_FOLDERS)))
    if found is None:
        raise ServiceFailed(f"the program {name} is not installed", hint=f"on Debian: apt-get install {package}")
    return found


@dataclass(frozen=True)
class ProcessId:
    """A process for good: another one that gets the same number later was started at another time.

    started  clock ticks after the start of the machine.
    """

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> ProcessId:
        """ServiceFailed when there is no such process."""
        return cls(pid, _started(pid) or _missing(pid))

    @property
    def alive(self) -> bool:
        """A process that ended, and whose parent did not ask how, is not alive."""
        return _started(self.pid) == self.started

    def signal(self, number: int) -> None:
        """Send a signal to this process alone; nothing happens when it is gone."""
        if self.alive:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def pause(self) -> None:
        """Stop it, then all that it started: what stands still starts nothing new."""
        if self.alive:
            _send(self.pid, signal.SIGSTOP)
            for pid in _tree(self.pid):
                _send(pid, signal.SIGSTOP)

    def resume(self) -> None:
        if self.alive:
            for pid in reversed(_tree(self.pid)):
                _send(pid, signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL for it and all that it started; waits until they are gone."""
        if not self.alive:
            return
        self.pause()
        family = [ProcessId(pid, started) for pid in _tree(self.pid) if (started := _started(pid))]
        for process in family:
            process.signal(signal.SIGKILL)
        if not wait_for(lambda: not any(process.alive for process in family), _KILLED_WITHIN):
            raise ServiceFailed(f"process {self.pid} does not end although it was killed")

    def end(self, number: int, seconds: float) -> None:
        """Ask it to end by a signal, and kill it when it does not within that time."""
        self.resume()
        self.signal(number)
        wait_for(lambda: not self.alive, seconds)
        self.kill()


class Process:
    """A program in the foreground whose output goes to a log.

    attached  it is killed when this process ends, however that comes about (by the kernel: ``prctl(PR_SET_PDEATHSIG)``).  It also ends with
              the OS thread that started it, so start it from the main thread.
    user      who runs it, when this process is root; None is this process' user.
    """

    def __init__(
        self, command: Sequence[str], log: Path, *, env: Mapping[str, str] = {}, user: str | None = None, attached: bool = True
    ) -> None:
        words: list[str] = []
        if user is not None:
            words += [f"--reuid={user}", f"--regid={user}", "--clear-groups"]
        if attached:
            words += ["--pdeathsig=KILL"]
        if words:
            words.insert(0, program("setpriv", "util-linux"))
        with log.open("ab") as output:
            self._popen = subprocess.Popen(  # noqa: S603 - programs that were looked up here
                [*words, *command],
                env={**os.environ, **env},
                cwd=log.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # so that Ctrl-C in a terminal ends the tests first, then what they use
            )
        self.id = ProcessId.of(self._popen.pid)

    @property
    def ended(self) -> int | None:
        """Its exit status; None while it runs."""
        return self._popen.poll()

    def kill(self) -> None:
        self.id.kill()
        self._popen.wait()

    def end(self, number: int, seconds: float) -> None:
        self.id.end(number, seconds)
        self._popen.wait()

    def let_go(self) -> None:
        """It goes on without this process."""
        self._popen.returncode = 0


def _missing(pid: int) -> int:
    raise ServiceFailed(f"there is no process {pid}")


def _stat(pid: int) -> list[str]:
    """What the kernel tells of a process, from its state on; empty when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _started(pid: int) -> int | None:
    """When a process was started; None when it is gone, or ended and only waits for its parent."""
    fields = _stat(pid)
    return int(fields[19]) if fields and fields[0] not in "ZX" else None


def _tree(pid: int) -> list[int]:
    """A process and those that it started, the parents before their children."""
    parents = {int(path.name): _stat(int(path.name))[1:2] for path in Path("/proc").iterdir() if path.name.isdigit()}
    found = [pid]
    for parent in found:
        found += [child for child, its in parents.items() if its == [str(parent)]]
    return found


def _send(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
