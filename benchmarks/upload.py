"""A large file in a multipart form: how fast it arrives, what memory it costs, and what others notice meanwhile."""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.load import paced
from benchmarks.outcomes import Found, say
from benchmarks.paths import BenchError
from benchmarks.process import Process, cpus, pinned, resident, start
from benchmarks.results import Figures
from benchmarks.servers import UPLOAD, Row

FIRST_MIB = 8  # uploaded before memory is looked at, so that what is made once does not count
OTHERS_RATE = 200  # requests a second of other clients
QUIET_SECONDS = 3.0
SECONDS = 120  # at most, for an upload


def measure_upload(row: Row, found: Found, ports: Iterator[int]) -> None:
    for server in found.servers:
        with found.noting_failure(server), start(server, row, ports) as process:
            figures = upload_of(row, process)
            found.add(server, figures)
            say(f"  {server.name:<20}{figures['grown_mib']:>8.1f} MiB grown at {figures['mib_s']:,.0f} MiB/s")


def upload_of(row: Row, process: Process) -> Figures:
    with tempfile.TemporaryDirectory() as folder:
        first, file = sparse(Path(folder, "first"), FIRST_MIB), sparse(Path(folder, "file"), row.mebibytes)
        upload(process.port, first, FIRST_MIB)
        worker = process.worker()
        with paced(row, process.port, OTHERS_RATE, SECONDS) as others:
            time.sleep(QUIET_SECONDS)
            before = others.end_phase()
            forget_peak(worker)
            resting = resident(worker)
            seconds = upload(process.port, file, row.mebibytes)
            meanwhile = others.end_phase()
            grown = peak(worker) - resting
    process.check()
    if before.failed or meanwhile.failed:
        raise BenchError(f"requests of others failed: {meanwhile.reason or before.reason}")
    return {
        "mib_s": row.mebibytes / seconds,
        "grown_mib": grown / 2**20,
        "before_p99_us": before.p99_us,
        "upload_p99_us": meanwhile.p99_us,
        "upload_max_us": meanwhile.max_us,
    }


def sparse(path: Path, mebibytes: int) -> Path:
    """A file of zeros that takes no room."""
    with path.open("wb") as file:
        file.truncate(mebibytes * 2**20)
    return path


def upload(port: int, file: Path, mebibytes: int) -> float:
    """The seconds it took.  BenchError when the server did not get all of it."""
    command = ["curl", "--silent", "--show-error", "--form", f"file=@{file}", "--write-out", "\n%{time_total}"]
    try:
        done = subprocess.run(
            [*pinned(cpus()[1]), *command, f"http://127.0.0.1:{port}{UPLOAD}"], capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"the upload was not done after {SECONDS} s") from error
    answer, _, seconds = done.stdout.rpartition("\n")
    if done.returncode or answer != f'{{"bytes":{mebibytes * 2**20}}}':
        raise BenchError(f"the upload failed: {(done.stderr or answer).strip()[-300:]}")
    return float(seconds)


def forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak(pid: int) -> int:
    """The most resident bytes since `forget_peak`."""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    if found is None:
        raise BenchError("the kernel does not tell how much memory a process had")
    return int(found[1]) * 1024
