"""Workers that are killed, stand still or grow, while clients go on asking."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from greenimi import green
from greenimi.testing.clients import HttpClient
from greenimi.testing.gunicorn import Gunicorn
from greenimi.testing.support import wait_until
from tests.soak.clients import Asking, Beacon, Chat, KeptHttp, NewHttp, Steady, Till, settle
from tests.soak.measures import resident
from tests.soak.places import Verdict, serving

TIMEOUT = 4
"""Seconds after which a worker that stands still is replaced."""

REPLACED = 5.0
"""Seconds that this may take."""

MOST_LEAKED = 64
_MEBIBYTE = 1 << 20


def of_every_kind(service: Gunicorn, ends: ExitStack, each: int = 2, every: float = 0.02) -> list[Steady]:
    """Clients of every kind at work, until ``ends`` does."""
    web, till, beacon = (service.addresses[name] for name in ("web", "till", "beacon"))
    kinds: list[Asking] = []
    for _ in range(each):
        kinds += [NewHttp(web), KeptHttp(web), Chat(web), Till(till), Beacon(beacon)]
    return [ends.enter_context(Steady(kind, every)) for kind in kinds]


def told(clients: Sequence[Steady], verdict: Verdict) -> None:
    for client in clients:
        verdict.say(client.told)


def replaced(service: Gunicorn, gone: int, count: int) -> bool:
    ready = service.ready
    return gone not in ready and len(ready) == count


def killed(folder: Path, verdict: Verdict) -> None:
    """SIGKILL: what was on that worker's connections is lost, nothing else, and only then."""
    with ExitStack() as ends:
        service = ends.enter_context(serving(folder, workers=2))
        with ExitStack() as clients_end:
            clients = of_every_kind(service, clients_end)
            settle(clients, 10)
            victim = service.ready[0]
            began = time.monotonic()
            os.kill(victim, signal.SIGKILL)
            wait_until(lambda: replaced(service, victim, 2), 20)
            took = time.monotonic() - began
            green.sleep(2)
        told(clients, verdict)
        verdict.check(took < REPLACED, f"another worker was ready after {took:.1f} s (below {REPLACED:.0f} s)")
        most = max(len(client.failures) for client in clients)
        verdict.check(most <= 1, f"each client lost at most the request of that moment ({most})")
        lost = [when for client in clients for when, _ in client.failures if not began - 1 < when < began + 0.5]
        verdict.check(not lost, f"nothing failed later than that ({len(lost)} did)")


def stopped(folder: Path, verdict: Verdict) -> None:
    """SIGSTOP: the others serve on, and it is replaced when its time is over."""
    with ExitStack() as ends:
        service = ends.enter_context(serving(folder, {"workers.timeout": str(TIMEOUT)}, workers=2))
        victim, other = service.ready
        with ExitStack() as clients_end:
            os.kill(victim, signal.SIGSTOP)
            began = time.monotonic()
            fresh = clients_end.enter_context(Steady(NewHttp(service.addresses["web"])))
            wait_until(lambda: replaced(service, victim, 2), 30)
            took = time.monotonic() - began
            green.sleep(1)
        limit = TIMEOUT + 2 + REPLACED
        verdict.check(took < limit, f"another worker was ready after {took:.1f} s (below {limit:.0f} s)")
        verdict.check(not fresh.failures and len(fresh.latencies) > 50, f"meanwhile: {fresh.told}")
        verdict.check(max(fresh.latencies) < 1, f"the slowest answer of the other worker took {max(fresh.latencies):.2f} s (below 1 s)")
        verdict.check(other in service.ready, "the other worker is the same as before")


def leaking(folder: Path, verdict: Verdict) -> None:
    """More memory than ``workers.memory``: replaced in order."""
    with ExitStack() as ends:
        probe = ends.enter_context(serving(folder / "probe"))
        limit = resident(probe.ready[0]) + 40 * _MEBIBYTE
        probe.stop()
        service = ends.enter_context(serving(folder, {"workers.memory": str(limit), "workers.drain_window": "1"}))
        victim = service.ready[0]
        with ExitStack() as clients_end:
            clients = of_every_kind(service, clients_end)
            settle(clients, 10)
            for _ in range(MOST_LEAKED // 8):
                with HttpClient(service.addresses["web"]) as client:
                    client.get("/leak/8")
            wait_until(lambda: replaced(service, victim, 1), 30)
            green.sleep(1)
        told(clients, verdict)
        verdict.check(
            "workers.memory" in service.log,
            f"it was replaced above {limit // _MEBIBYTE} MiB, {resident(service.ready[0]) // _MEBIBYTE} MiB now",
        )
        failed = sum(len(client.failures) for client in clients)
        verdict.check(not failed, f"no request failed ({failed} did)")
