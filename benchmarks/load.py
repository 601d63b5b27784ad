"""Run one load against one server and read its figures: wrk for HTTP, h2load for HTTP/2, our own clients for all else."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.paths import FAN, LOAD, ORDER, PACED, POST, VISIT, BenchError
from benchmarks.probe import file, hello, order
from benchmarks.process import cpus, pinned
from benchmarks.servers import BROADCAST, HELLO, WEBSOCKET, Protocol, Row

GRACE = 80.0  # seconds a load may take beyond its length; the client's own alarm rings earlier
HOLD_SECONDS = 100
MICROSECONDS = {"us": 1.0, "ms": 1e3, "s": 1e6, "m": 60e6}


@dataclass(frozen=True)
class Load:
    """Latencies in microseconds; `errors` are time-outs, broken connections and lost datagrams; `busy` is the part of the time that the
    CPU of the load was at work for it, where that is known."""

    count: int
    seconds: float
    p50_us: float
    p99_us: float
    errors: int
    busy: float | None = None


def load(row: Row, port: int, seconds: int) -> Load:
    """Keep the server busy for so many seconds.  BenchError when it answers wrongly."""
    if row.load == "wrk":
        return wrk(row, port, seconds)
    if row.load == "h2load":
        return h2load(row, port, seconds)
    if row.load == "fan":
        return fan(row, port, seconds)
    return visits(row, port, seconds) if row.load == "visits" else client(row, port, seconds)


def run(command: Sequence[str | Path], seconds: int) -> str:
    try:
        done = subprocess.run(
            [*pinned(cpus()[1]), *command],
            check=False,
            capture_output=True,
            text=True,
            timeout=seconds + GRACE,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"the load did not end {GRACE:.0f} s after its time") from error
    if done.returncode:
        raise BenchError((done.stderr or done.stdout).strip().removeprefix("load: ")[-300:])
    return done.stdout


def wrk(row: Row, port: int, seconds: int) -> Load:
    options = ["-t1", f"-c{row.connections}", f"-d{seconds}s", "--latency", "--timeout", "10s"]
    headers = [part for header in row.headers for part in ("-H", header)]
    posting: list[str | Path] = ["-s", POST] if row.echo else []
    order: list[str | Path] = ["--", ORDER] if row.echo else []
    url = f"{row.protocol}://127.0.0.1:{port}{row.echo or row.file or HELLO + 'world'}"
    look(row, port)  # wrk looks at the status only, so look at the body here and after
    text = run(["wrk", *options, *headers, *posting, url, *order], seconds)
    look(row, port)
    return read_wrk(text)


def look(row: Row, port: int) -> None:
    """One right answer to what wrk asks."""
    if row.echo:
        order(port, row.echo)
    elif row.file:
        file(port, row.file)
    else:
        hello(row.protocol, port, "world")


def read_wrk(text: str) -> Load:
    """The figures in what wrk prints."""
    total = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m)", text)
    wrong = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    if total is None or int(total[1]) == 0:
        raise BenchError("no answers")
    if wrong is not None:
        raise BenchError(f"{wrong[1]} answers had a wrong status")
    latency = {part: float(value) * MICROSECONDS[unit] for part, value, unit in re.findall(r"(50|99)%\s+([\d.]+)(us|ms|s|m)\b", text)}
    return Load(
        count=int(total[1]),
        seconds=float(total[2]) * MICROSECONDS[total[3]] / 1e6,
        p50_us=latency["50"],
        p99_us=latency["99"],
        errors=sum(map(int, broken.groups())) if broken else 0,
    )


def h2load(row: Row, port: int, seconds: int) -> Load:
    """Requests over HTTP/2, by prior knowledge."""
    hello(row.protocol, port, "world")
    with tempfile.NamedTemporaryFile("r", encoding="ascii") as log:
        options = ["-t1", f"-c{row.connections}", f"-m{row.depth}", f"-D{seconds}", f"--log-file={log.name}"]
        text = run(["h2load", *options, f"{row.protocol}://127.0.0.1:{port}{HELLO}world"], seconds)
        return read_h2load(text, log)


def read_h2load(text: str, log: Iterable[str]) -> Load:
    """The figures in what h2load prints, and in its log: a line with begin, status and microseconds of each request."""
    total = re.search(r"finished in ([\d.]+)(us|ms|s|m), .*\n.*?(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", text)
    took = sorted(int(line.split("\t")[2]) for line in log)
    if total is None or not int(total[3]) or not took:
        raise BenchError("no answers")
    if int(total[4]) > int(total[5]) + int(total[6]):
        raise BenchError(f"{total[4]} answers had a wrong status")
    return Load(
        count=int(total[3]),
        seconds=float(total[1]) * MICROSECONDS[total[2]] / 1e6,
        p50_us=took[len(took) // 2],
        p99_us=took[len(took) * 99 // 100],
        errors=int(total[5]) + int(total[6]),
    )


def client(row: Row, port: int, seconds: int) -> Load:
    command: list[str | Path] = [LOAD, row.protocol, str(port), f"--seconds={seconds}"]
    command += [f"--connections={row.connections}", f"--depth={row.depth}", f"--size={row.size}"]
    if row.protocol == "http":
        hole = "#" * 8  # the client puts the number of each request there
        number = "0" * 8
        command += [f"--path={HELLO}{hole}", f"--expect={hello(row.protocol, port, number).replace(number, hole)}"]
    elif row.protocol == "ws":
        command.append(f"--path={WEBSOCKET}")
    figures = json.loads(run(command, seconds))
    return Load(figures["count"], figures["seconds"], figures["p50_us"], figures["p99_us"], figures["lost"])


def fan(row: Row, port: int, seconds: int) -> Load:
    """Latencies are those of whole broadcasts, the count is that of deliveries."""
    options = [
        f"--seconds={seconds}",
        f"--connections={row.connections}",
        f"--depth={row.depth}",
        f"--size={row.size}",
        f"--path={BROADCAST}",
    ]
    figures = json.loads(run([FAN, "broadcast", str(port), *options], seconds))
    return Load(figures["count"], figures["seconds"], figures["p50_us"], figures["p99_us"], errors=0)


def question(protocol: Protocol, port: int) -> list[str]:
    """The options by which `visit` and `paced` ask for HELLO and know the answer."""
    return [f"--path={HELLO}world", f"--expect={hello(protocol, port, 'world')}", *(["--tls"] if protocol == "https" else [])]


def visits(row: Row, port: int, seconds: int, *more: str) -> Load:
    command: list[str | Path] = [VISIT, str(port), f"--connections={row.connections}", f"--seconds={seconds}", *more]
    figures = json.loads(run([*command, *question(row.protocol, port)], seconds))
    return Load(figures["count"], figures["seconds"], figures["p50_us"], figures["p99_us"], errors=0, busy=figures["load"])


@contextlib.contextmanager
def running(command: Sequence[str | Path]) -> Iterator[subprocess.Popen[str]]:
    """A load that goes on beside us until the block ends."""
    child = subprocess.Popen(
        [*pinned(cpus()[1]), *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def line(child: subprocess.Popen[str]) -> str:
    """The next line it prints; its alarm bounds the waiting.  BenchError when it ended."""
    assert child.stdout is not None
    found = child.stdout.readline()
    if not found:
        assert child.stderr is not None
        raise BenchError(child.stderr.read().strip().removeprefix("load: ")[-300:] or "the load ended early")
    return found


@contextlib.contextmanager
def held(protocol: Protocol, port: int, connections: int) -> Iterator[None]:
    """So many idle connections, each of which had one question or message answered."""
    if protocol == "ws":
        command: list[str | Path] = [LOAD, "ws", str(port), f"--path={WEBSOCKET}"]
    else:
        command = [VISIT, str(port), *question(protocol, port)]
    with running([*command, "--hold", f"--connections={connections}", f"--seconds={HOLD_SECONDS}"]) as child:
        if not line(child).startswith("held"):
            raise BenchError("the idle connections could not be opened")
        yield
        if child.poll() is not None:
            line(child)


@dataclass(frozen=True)
class Phase:
    """A part of a paced load: right answers, failed requests and why the last one failed, connections opened; latencies from when a
    request was due."""

    count: int
    failed: int
    reason: str
    opened: int
    seconds: float
    p50_us: float
    p99_us: float
    max_us: float


class Paced:
    def __init__(self, child: subprocess.Popen[str]) -> None:
        self._child = child

    def end_phase(self) -> Phase:
        """What happened since the last one ended."""
        assert self._child.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # `line` tells why it ended
            self._child.stdin.write(".")
            self._child.stdin.flush()
        return Phase(**json.loads(line(self._child)))


@contextlib.contextmanager
def paced(row: Row, port: int, rate: float, seconds: int) -> Iterator[Paced]:
    """So many requests a second, for at most so many seconds."""
    command: list[str | Path] = [PACED, str(port), f"--rate={rate:.0f}", f"--connections={row.connections}", f"--seconds={seconds}"]
    with running([*command, *question(row.protocol, port)]) as child:
        yield Paced(child)
