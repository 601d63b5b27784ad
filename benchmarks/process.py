"""A server under test as a session of processes: started on one CPU, looked at through /proc, and ended by its id."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.paths import CERTIFICATE, KEY, LOGS, PEERS, PROJECT, ROOT, BenchError
from benchmarks.probe import probe
from benchmarks.servers import DOORS, Row, Server

READY_SECONDS = 20.0
STOP_SECONDS = 5.0
TICK = 1 / os.sysconf("SC_CLK_TCK")
FIRST_PORT, LAST_PORT = 21000, 30000  # below the range the kernel takes clients' ports from


def cpus() -> tuple[int, int]:
    """The CPU of the servers and the CPU of the load."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise BenchError("two CPUs are needed: one for the server, one for the load")
    return allowed[0], allowed[1]


def pinned(*cpus: int) -> list[str]:
    """The start of a command that runs on these CPUs and gets SIGTERM should we die without cleaning up."""
    return ["setpriv", "--pdeathsig", "TERM", "taskset", "-c", ",".join(map(str, cpus))]


def free_ports() -> Iterator[int]:
    """Ports nobody listens on, each given once."""
    for port in range(FIRST_PORT, LAST_PORT):
        free = False
        with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagram:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                stream.bind(("127.0.0.1", port))
                datagram.bind(("127.0.0.1", port))
                free = True
        if free:
            yield port
    raise BenchError(f"no free port from {FIRST_PORT} to {LAST_PORT}")


@dataclass(frozen=True)
class Stat:
    """What /proc tells about one process; `cpu` includes its children that ended."""

    pid: int
    parent: int
    session: int
    cpu: float

    @classmethod
    def read(cls, pid: int) -> Stat:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return cls(pid, int(fields[1]), int(fields[3]), sum(map(int, fields[11:15])) * TICK)


class Process:
    """A running server.  Use `start`, which ends it whatever happens."""

    def __init__(self, server: Server, port: int, child: subprocess.Popen[bytes], env: Mapping[str, str], log: Path) -> None:
        self.server = server
        self.port = port
        self._child = child
        self._env = env
        self._log = log

    def _session(self) -> list[Stat]:
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    stat = Stat.read(int(entry.name))
                    if stat.session == self._child.pid:
                        found.append(stat)
        return found

    def cpu_seconds(self) -> float:
        """User and system time of all its processes so far."""
        return sum(stat.cpu for stat in self._session())

    def workers(self) -> set[int]:
        """The ids of its processes without children."""
        stats = self._session()
        return {stat.pid for stat in stats} - {stat.parent for stat in stats}

    def worker(self) -> int:
        """The id of the largest of its workers.  BenchError when there is none."""
        found = max(self.workers(), key=resident, default=0)
        if not found:
            raise BenchError(f"its processes are gone: {self._last_words()}")
        return found

    def worker_bytes(self) -> int:
        """Resident bytes of the largest of its workers."""
        return resident(self.worker())

    def reload(self, seconds: float) -> None:
        """Run the server's command that replaces its workers, until the old ones are gone."""
        old = self.workers()
        command = [part.format(pid=self._child.pid, project=PROJECT / "bin") for part in shlex.split(self.server.reload)]
        deadline = time.monotonic() + seconds
        try:
            done = subprocess.run(command, cwd=ROOT, env=self._env, capture_output=True, text=True, timeout=seconds, check=False)
        except subprocess.TimeoutExpired as error:
            raise BenchError(f"the reload was not done after {seconds:.0f} s") from error
        if done.returncode:
            raise BenchError(f"the reload failed: {(done.stderr or done.stdout).strip()[-300:]}")
        while self.workers() & old:
            if time.monotonic() > deadline:
                raise BenchError(f"old workers were still there {seconds:.0f} s after the reload began")
            time.sleep(0.05)

    def check(self) -> None:
        if self._child.poll() is not None:
            raise BenchError(f"ended with status {self._child.returncode}: {self._last_words()}")

    def wait_ready(self, row: Row) -> None:
        """Until it answers rightly, for at most 20 s."""
        deadline = time.monotonic() + READY_SECONDS
        while True:
            self.check()
            try:
                probe(row.protocol, self.port)
                return
            except OSError as error:
                if time.monotonic() > deadline:
                    raise BenchError(f"no right answer in {READY_SECONDS:.0f} s: {error}; {self._last_words()}") from error
            time.sleep(0.05)

    def said(self) -> str:
        """All that it wrote so far."""
        return self._log.read_text(errors="replace")

    def _last_words(self) -> str:
        text = self.said().replace(f"{ROOT}/", "")
        lines = [line.strip() for line in text.splitlines() if re.search(r"\w", line)]
        return (lines[-1][:200] if lines else "it said nothing") + " (see benchmarks/.build/logs)"

    def stop(self) -> None:
        """SIGTERM to the server, then SIGKILL to what is left of its process group."""
        try:
            self._child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(STOP_SECONDS)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGKILL)
            self._child.wait()


def resident(pid: int) -> int:
    """Bytes, exactly: the figure in /proc/PID/status may be some hundred KiB late."""
    return rollup(pid, "Rss")


def proportional(pid: int) -> int:
    """Bytes, of which those that it shares with others count in part."""
    return rollup(pid, "Pss")


def rollup(pid: int, name: str) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return 0


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


@contextlib.contextmanager
def start(server: Server, row: Row, ports: Iterator[int]) -> Iterator[Process]:
    """Start the server for this row and wait until it answers; BenchError when it does not."""
    missing = next((path for path in server.needs if not path.exists()), None)
    if missing is not None:
        raise BenchError(f"{missing.relative_to(ROOT) if missing.is_relative_to(ROOT) else missing.name} is missing")
    values: dict[str, object] = {"peers": PEERS / "bin", "project": PROJECT / "bin", "certificate": CERTIFICATE, "key": KEY}
    values |= {door: next(ports) for door in DOORS.values()}
    env = {name: text.format(**values) for name, text in server.env.items()}
    env |= {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(LOGS), "PYTHONPATH": str(ROOT)}
    command = [part.format(**values) for part in shlex.split(server.command)]
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"{row.name}.{server.name}.log"
    with log.open("wb") as output:
        child = subprocess.Popen(
            [*pinned(*(cpus() if row.load in ("reload", "crowd") else cpus()[:1])), *command],  # these are looked at as they are in life
            cwd=ROOT,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    port = values[row.door]
    assert isinstance(port, int)
    process = Process(server, port, child, env, log)
    try:
        process.wait_ready(row)
        yield process
    finally:
        process.stop()
