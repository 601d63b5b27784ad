"""What waits in the kernel is not lost: connections that nobody accepted yet, datagrams that nobody read yet.

Workers are suspended, so that nothing is taken; a hundred clients of each kind ask; then something happens to the workers.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from greenimi import green
from greenimi.testing.gunicorn import Gunicorn
from greenimi.testing.support import wait_until
from tests.soak.clients import Beacon, NewHttp, Steady, Till
from tests.soak.places import Verdict, serving

CLIENTS = 100
"""Of each kind."""

PATIENCE = 30.0
MESSAGES = 400
"""Messages after which a worker is replaced."""

WORKERS = 2
SETTINGS = {"workers.drain_window": "1", "workers.timeout": "60"}


class Waiting:
    """Clients of each kind that have asked, and whose answers are still to come."""

    def __init__(self, service: Gunicorn) -> None:
        self._of: dict[str, list[socket.socket]] = {"HTTP": [], "TCP": [], "UDP": []}
        for number in range(CLIENTS):
            http = socket.create_connection(service.addresses["web"], timeout=PATIENCE)
            http.sendall(b"GET /hello HTTP/1.1\r\nHost: soak\r\nConnection: close\r\n\r\n")
            tcp = socket.create_connection(service.addresses["till"], timeout=PATIENCE)
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            udp.connect(service.addresses["beacon"])
            message = json.dumps({"action": "echo", "id": number, "text": "hello"}).encode()
            tcp.sendall(message + b"\n")
            udp.send(message)
            for kind, sock in (("HTTP", http), ("TCP", tcp), ("UDP", udp)):
                self._of[kind].append(sock)

    def check(self, verdict: Verdict, what: str) -> None:
        """All of them are answered."""
        until = time.monotonic() + PATIENCE
        told = {kind: sum(_is_answered(sock, until) for sock in socks) for kind, socks in self._of.items()}
        ok = all(number == CLIENTS for number in told.values())
        verdict.check(ok, f"{what}: answered {', '.join(f'{number} {kind}' for kind, number in told.items())} of {CLIENTS} each")
        for sock in [sock for socks in self._of.values() for sock in socks]:
            sock.close()


def _is_answered(sock: socket.socket, until: float) -> bool:
    try:
        sock.settimeout(max(0.01, until - time.monotonic()))
        return b"hello" in sock.recv(65536)
    except OSError:
        return False


@contextmanager
def suspended(pids: list[int]) -> Iterator[None]:
    """They stand still inside; those that live go on afterwards."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass


def killed(folder: Path, verdict: Verdict) -> None:
    """All workers at once, while the master cannot start others."""
    with serving(folder, SETTINGS, WORKERS) as service:
        workers = service.ready
        with suspended([service.pid]):
            for pid in workers:
                os.kill(pid, signal.SIGKILL)
            waiting = Waiting(service)
        waiting.check(verdict, "all workers were killed")


def reloaded(folder: Path, verdict: Verdict) -> None:
    """HUP: the new ones take what the old ones did not."""
    with serving(folder, SETTINGS, WORKERS) as service:
        workers = service.ready
        with suspended(workers):
            waiting = Waiting(service)
            service.signal(signal.SIGHUP)
            wait_until(lambda: len(set(service.ready) - set(workers)) == WORKERS, PATIENCE)
        wait_until(lambda: service.ready and not set(service.ready) & set(workers), PATIENCE)
        waiting.check(verdict, "reload")


def recycled(folder: Path, verdict: Verdict) -> None:
    """Workers that are replaced again and again, because they handled enough messages."""
    with serving(folder, {**SETTINGS, "workers.max_messages": str(MESSAGES)}, WORKERS) as service:
        web, till, beacon = (service.addresses[name] for name in ("web", "till", "beacon"))
        with Steady(NewHttp(web)) as http, Steady(Till(till)) as tcp, Steady(Beacon(beacon)) as udp:
            for _ in range(5):
                Waiting(service).check(verdict, f"at worker {len(service.booted)}")
                green.sleep(3)
        for client in (http, tcp, udp):
            verdict.check(not client.failures and client.latencies, client.told)
        verdict.check(len(service.booted) >= WORKERS + 3, f"{len(service.booted) - WORKERS} workers were replaced")


def upgraded(folder: Path, verdict: Verdict) -> None:
    """USR2, and TERM for the master of before."""
    with serving(folder, SETTINGS, WORKERS) as service:
        workers = service.ready
        with suspended(workers):
            waiting = Waiting(service)
            service.signal(signal.SIGUSR2)
            successor = wait_until(lambda: service.status()["master"]["successor"], PATIENCE)
            try:
                wait_until(lambda: (service.status(successor) or {"master": {}})["master"].get("complete"), PATIENCE)
            except BaseException:
                os.kill(successor, signal.SIGTERM)
                raise
        try:
            verdict.check(service.stop() == 0, "the master of before left in order")
            waiting.check(verdict, "upgrade")
            Waiting(service).check(verdict, "by the new master")
        finally:
            os.kill(successor, signal.SIGTERM)
            wait_until(lambda: not _lives(successor), PATIENCE)


def _lives(pid: int) -> bool:
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False


def run(folder: Path, verdict: Verdict) -> None:
    for happening in (killed, reloaded, recycled, upgraded):
        verdict.part(happening.__name__)
        happening(folder / happening.__name__, verdict)
