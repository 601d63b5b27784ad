"""Reload after reload under constant load of every kind: no request fails, and the master holds no more afterwards."""

from __future__ import annotations

import signal
import time
from contextlib import ExitStack
from pathlib import Path

from greenimi.testing.gunicorn import Gunicorn
from greenimi.testing.support import wait_until
from tests.soak.bad_workers import of_every_kind
from tests.soak.clients import settle
from tests.soak.measures import descriptors, in_ms, percentile, resident
from tests.soak.places import Verdict, serving

RELOADS = 20
WARM_UP = 3
"""Reloads before the master is measured."""

EVERY = 0.05
PATIENCE = 30.0
GROWTH = 4 << 20
"""Bytes that the master may have grown by: what its allocator keeps."""


def reload(service: Gunicorn) -> float:
    """One, to its end; how long it took."""
    generation = service.status()["master"]["generation"]
    began = time.monotonic()
    service.signal(signal.SIGHUP)

    def done() -> bool:
        status = service.status()
        workers = status.get("workers", ())
        return (
            bool(status)
            and status["master"]["generation"] == generation + 1
            and all(worker["generation"] == generation + 1 and worker["state"] == "ready" for worker in workers)
            and status["master"]["last_reload"] is not None
            and f"generation {generation + 1}" in status["master"]["last_reload"]["text"]
        )

    wait_until(done, PATIENCE)
    return time.monotonic() - began


def run(folder: Path, verdict: Verdict) -> None:
    with ExitStack() as ends:
        service = ends.enter_context(serving(folder, {"workers.drain_window": "1", "workers.graceful_timeout": "10"}, workers=2))
        with ExitStack() as clients_end:
            clients = of_every_kind(service, clients_end, each=3, every=EVERY)
            settle(clients, 10)
            took = [reload(service) for _ in range(WARM_UP)]
            files, memory = descriptors(service.pid), resident(service.pid)
            took += [reload(service) for _ in range(RELOADS - WARM_UP)]
            now = descriptors(service.pid), resident(service.pid)
        verdict.say(f"{len(took)} reloads took {sum(took) / len(took):.1f} s on average, {max(took):.1f} s at most")
        for client in clients:
            verdict.check(not client.failures, client.told)
            verdict.say(f"   99 % within {in_ms(percentile(client.latencies, 0.99))}, the slowest {in_ms(max(client.latencies))}")
        verdict.check(now[0] <= files, f"the master has {now[0]} descriptors, {files} after {WARM_UP} reloads")
        grown = now[1] - memory
        verdict.check(grown < GROWTH, f"the master grew by {grown >> 10} KiB in {RELOADS - WARM_UP} reloads (below {GROWTH >> 10} KiB)")
        verdict.check("Traceback" not in service.log, "nothing was reported")
