"""Run one load against one server and read its figures: wrk for plain HTTP, our own client for all else."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.paths import LOAD, BenchError
from benchmarks.probe import hello
from benchmarks.process import cpus, pinned
from benchmarks.servers import HELLO, WEBSOCKET, Row

GRACE = 80.0  # seconds a load may take beyond its length; the client's own alarm rings earlier
HOLD_SECONDS = 100
MICROSECONDS = {"us": 1.0, "ms": 1e3, "s": 1e6, "m": 60e6}


@dataclass(frozen=True)
class Load:
    """Latencies in microseconds; `errors` are time-outs, broken connections and lost datagrams."""

    count: int
    seconds: float
    p50_us: float
    p99_us: float
    errors: int


def load(row: Row, port: int, seconds: int) -> Load:
    """Keep the server busy for so many seconds.  BenchError when it answers wrongly."""
    return wrk(row, port, seconds) if row.load == "wrk" else client(row, port, seconds)


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
    hello(port, "world")  # wrk looks at the status only, so look at the body here and after
    text = run(["wrk", *options, *headers, f"http://127.0.0.1:{port}{HELLO}world"], seconds)
    hello(port, "world")
    return read_wrk(text)


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


def client(row: Row, port: int, seconds: int) -> Load:
    command: list[str | Path] = [LOAD, row.protocol, str(port), f"--seconds={seconds}"]
    command += [f"--connections={row.connections}", f"--depth={row.depth}"]
    if row.protocol == "http":
        hole = "#" * 8  # the client puts the number of each request there
        number = "0" * 8
        command += [f"--path={HELLO}{hole}", f"--expect={hello(port, number).replace(number, hole)}"]
    elif row.protocol == "ws":
        command.append(f"--path={WEBSOCKET}")
    figures = json.loads(run(command, seconds))
    return Load(figures["count"], figures["seconds"], figures["p50_us"], figures["p99_us"], figures["lost"])


@contextlib.contextmanager
def held(port: int, connections: int) -> Iterator[None]:
    """So many idle WebSockets, each of which had one message answered."""
    command: list[str | Path] = [*pinned(cpus()[1]), LOAD, "ws", str(port), f"--path={WEBSOCKET}", f"--connections={connections}"]
    command += ["--hold", f"--seconds={HOLD_SECONDS}"]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        assert child.stderr is not None
        if not child.stdout.readline().startswith("held"):  # its alarm bounds this
            raise BenchError(child.stderr.read().strip().removeprefix("load: ")[-300:])
        yield
        if child.poll() is not None:
            raise BenchError(child.stderr.read().strip().removeprefix("load: ")[-300:] or "the idle connections ended early")
    finally:
        child.kill()
        child.communicate()
