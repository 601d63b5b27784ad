"""A machine that has no room left for the log, and one whose clock is set back."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path

from greenimi import green
from greenimi.testing.clients import HttpClient
from greenimi.testing.gunicorn import Gunicorn
from tests.soak.clients import KeptHttp, NewHttp, Steady
from tests.soak.places import NotRun, Verdict, environment, need, serving

DISK = "256k"
LINES = 5000
KEEP_ALIVE = 3.0
SLACK = 3.0
HOUR = 3600


@contextmanager
def tiny_disk(folder: Path, size: str = DISK) -> Iterator[Path]:
    """A folder on a disk of its own that has no more room than that."""
    need("mount", "umount")
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotRun(f"a small disk cannot be had: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=False)


def full_disk(folder: Path, verdict: Verdict) -> None:
    """The service goes on while the log has no room, and logs again when it has."""
    with tiny_disk(folder / "disk") as disk:
        file = disk / "app.log"
        settings = {"log.handlers.0.kind": "file", "log.handlers.0.path": str(file), "log.handlers.0.max_bytes": "0"}
        with serving(folder, settings) as service:
            address = service.addresses["web"]
            with HttpClient(address) as client, Steady(KeptHttp(address)) as kept, Steady(NewHttp(address)) as fresh:
                for _ in range(3):
                    client.get(f"/log/{LINES}")
                green.sleep(3)
                room = os.statvfs(disk).f_bavail
                verdict.check(not room, f"the disk is full ({file.stat().st_size} bytes of log, {room} blocks left)")
                green.sleep(2)
                os.truncate(file, 0)
                client.get("/log/10")
                green.sleep(2)
            for asking in (kept, fresh):
                verdict.check(not asking.failures and len(asking.latencies) > 50, asking.told)
            verdict.check(max(kept.latencies) < 1, f"the slowest answer took {max(kept.latencies):.2f} s (below 1 s)")
            verdict.check(b"line 9 of 10" in file.read_bytes(), "with room again it logs again")
            verdict.check(len(service.booted) == 1, "one worker served all of it")


def _faketime() -> str:
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not found:
        raise NotRun("libfaketime is not installed")
    return str(found[0])


def clock_set_back(folder: Path, verdict: Verdict) -> None:
    """Clocks jump; deadlines do not."""
    library = _faketime()
    folder.mkdir(parents=True, exist_ok=True)
    clock = folder / "clock"
    clock.write_text("+0")
    faked = {
        "LD_PRELOAD": library,
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",  # nobody can set that clock
        "DONT_FAKE_MONOTONIC": "1",  # as older releases call it
    }
    settings = {"servers.web.keep_alive": str(KEEP_ALIVE), "servers.web.first_byte": str(KEEP_ALIVE), "workers.timeout": "5"}
    with ExitStack() as ends:
        with environment(**faked):
            service = ends.enter_context(serving(folder, settings))
        _judge_clock(service, clock, verdict)


def _judge_clock(service: Gunicorn, clock: Path, verdict: Verdict) -> None:
    worker = service.ready
    address = service.addresses["web"]
    with Steady(KeptHttp(address)) as kept, Steady(NewHttp(address)) as fresh, socket.create_connection(address) as silent:
        verdict.check(abs(_date_of(address) - time.time()) < 10, "the answers tell the time")
        clock.write_text(f"-{HOUR}")
        began = time.monotonic()
        green.sleep(2.5)
        behind = time.time() - _date_of(address)
        verdict.check(abs(behind - HOUR) < 10, f"the answers tell a time that is {behind:.0f} s earlier")
        silent.settimeout(KEEP_ALIVE + SLACK + 5)
        gone = silent.recv(1) == b""
        took = time.monotonic() - began
        verdict.check(gone and took < KEEP_ALIVE + SLACK, f"a silent client was closed after {took:.1f} s")
        clock.write_text(f"+{HOUR}")
        green.sleep(2.5)
        ahead = _date_of(address) - time.time()
        verdict.check(abs(ahead - HOUR) < 10, f"two hours forward: a time that is {ahead:.0f} s later")
        green.sleep(5)
    for asking in (kept, fresh):
        verdict.check(not asking.failures and not asking.asking.crossed and len(asking.latencies) > 50, asking.told)
    verdict.check(service.ready == worker and len(service.booted) == 1, "no worker was taken for dead")


def _date_of(address: tuple[str, int]) -> float:
    with HttpClient(address) as client:
        return parsedate_to_datetime(client.get("/hello").headers.get("date", "")).timestamp()
