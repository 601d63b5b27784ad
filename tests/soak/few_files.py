"""A thousand clients where two hundred files may be open: who is in is served, nobody spins, and all is well again afterwards."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from pathlib import Path

from greenimi import green
from greenimi.testing.gunicorn import Gunicorn
from tests.soak.clients import Asking, Chat, KeptHttp, NewHttp, Steady, Till, settle
from tests.soak.measures import Cpu, descriptors, in_ms, percentile
from tests.soak.places import Verdict, most_files, serving

FILES = 200
CLIENTS = 1000
OLD = 10
"""Clients of each kind that were connected before."""

LOOK = 10.0
"""Seconds at the limit."""

SHARE = 0.2
"""Of a core that the worker may use then."""

PATIENCE = 15.0
_REQUEST = b"GET /hello HTTP/1.1\r\nHost: soak\r\n\r\n"


def crowd(address: tuple[str, int]) -> list[socket.socket]:
    """A thousand connections with a request each.  The kernel takes those that the service cannot take."""
    found = []
    for _ in range(CLIENTS):
        sock = socket.create_connection(address, timeout=10)
        sock.sendall(_REQUEST)
        found.append(sock)
    return found


def answered(clients: list[socket.socket]) -> int:
    """How many of them have an answer; they stay open."""
    count = 0
    for client in clients:
        client.setblocking(False)
        try:
            count += client.recv(4096, socket.MSG_PEEK).startswith(b"HTTP/1.1 200")
        except OSError:
            pass
    return count


def old_clients(service: Gunicorn, ends: ExitStack) -> list[Steady]:
    kinds: list[Asking] = [KeptHttp(service.addresses["web"]) for _ in range(OLD)]
    kinds += [Chat(service.addresses["web"]) for _ in range(OLD)]
    kinds += [Till(service.addresses["till"]) for _ in range(OLD)]
    found = [ends.enter_context(Steady(kind, 1.0)) for kind in kinds]
    settle(found, 1)
    return found


def run(folder: Path, verdict: Verdict) -> None:
    with ExitStack() as ends:
        with most_files(FILES):
            service = ends.enter_context(serving(folder, {"servers.web.keep_alive": "300", "servers.web.first_byte": "300"}))
        worker = service.ready[0]
        base = descriptors(worker)
        with ExitStack() as old_ends:
            old = old_clients(service, old_ends)
            before = [len(each.latencies) for each in old]
            clients = crowd(service.addresses["web"])
            green.sleep(2)
            cpu = Cpu(worker)
            green.sleep(LOOK)
            share = cpu.share
            verdict.say(f"{descriptors(worker)} files are open, {answered(clients)} of {CLIENTS} clients were answered, the others wait")
            verdict.check(descriptors(worker) >= FILES - 2, "the limit was reached")
            verdict.check(share < SHARE, f"the worker used {100 * share:.0f} % of a core at the limit (below {100 * SHARE:.0f} %)")
            latencies = [seconds for each, number in zip(old, before, strict=True) for seconds in each.latencies[number:]]
            failures = [error for each in old for error in each.failures]
            slow = in_ms(percentile(latencies, 0.99)) if latencies else "never"
            text = f"the clients of before: {len(latencies)} answers, 99 % within {slow}, {len(failures)} failures {failures[:2] or ''}"
            verdict.check(len(latencies) >= 3 * OLD * (LOOK - 3) and not failures, text)
            half, rest = clients[: CLIENTS // 2], clients[CLIENTS // 2 :]
            for client in half:
                client.close()
            verdict.say(f"{len(half)} clients left")
            for client in rest[: len(rest) // 2]:
                client.close()
            last = rest[len(rest) // 2 :]
            verdict.say("half of the others as well")
            drained = _all_answered(last, FILES - base - 3 * OLD - 5)
            verdict.check(drained, "as many of those who waited as there is room for were answered")
            for client in last:
                client.close()
        _afterwards(service, base, verdict)
        verdict.check(service.ready == [worker], "one worker served all of it")


def _all_answered(clients: list[socket.socket], wanted: int) -> bool:
    until = time.monotonic() + PATIENCE
    while answered(clients) < min(wanted, len(clients)):
        if time.monotonic() > until:
            return False
        green.sleep(0.1)
    return True


def _afterwards(service: Gunicorn, base: int, verdict: Verdict) -> None:
    """Everybody is served, and nothing is left."""
    with Steady(NewHttp(service.addresses["web"]), 0.01) as fresh:
        green.sleep(3)
    verdict.check(len(fresh.latencies) > 100 and not fresh.failures, f"afterwards: {fresh.told}")
    worker = service.ready[0]
    until = time.monotonic() + PATIENCE
    while descriptors(worker) > base and time.monotonic() < until:
        green.sleep(0.1)
    verdict.check(descriptors(worker) <= base, f"{descriptors(worker)} files are open, {base} were at the beginning")
