"""How such a program measures: `run(call)` calls it for the seconds of the command line and prints the figures as JSON."""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable

BATCH = 1000
WARM_UP_SECONDS = 0.2


def run(call: Callable[[], object]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=1.0)
    measure(call, WARM_UP_SECONDS)
    print(json.dumps(measure(call, parser.parse_args().seconds)))


def run_many(call: Callable[[int], object], greenlets: int) -> None:
    """As `run`, but so many greenlets of gevent make `call(number)`, each one call after the other, with numbers that count up."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=1.0)
    seconds = parser.parse_args().seconds
    measure_many(call, greenlets, WARM_UP_SECONDS)
    print(json.dumps(measure_many(call, greenlets, seconds)))


def measure_many(call: Callable[[int], object], greenlets: int, seconds: float) -> dict[str, float]:
    """What `measure` tells."""
    import gevent

    calls = 0
    cpu, began = time.process_time(), time.monotonic()
    end = began + seconds

    def work() -> None:
        nonlocal calls
        number = 0
        while time.monotonic() < end:
            number += 1
            call(number)
        calls += number

    gevent.joinall([gevent.spawn(work) for _ in range(greenlets)], raise_error=True)
    took, used = time.monotonic() - began, time.process_time() - cpu
    return {"calls": calls, "seconds": took, "cpu": used, "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


def measure(call: Callable[[], object], seconds: float) -> dict[str, float]:
    """`calls`, the `seconds` and the processor time `cpu` that they took, and the memory `rss` in bytes at most."""
    calls, took = 0, -1.0
    cpu, began = time.process_time(), time.monotonic()
    while took < seconds:
        for _ in range(BATCH):
            call()
        calls += BATCH
        took = time.monotonic() - began
    used = time.process_time() - cpu
    return {"calls": calls, "seconds": took, "cpu": used, "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}
