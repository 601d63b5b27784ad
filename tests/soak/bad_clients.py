"""Many writers on one connection, and clients that never read what they asked for."""

from __future__ import annotations

import socket
import time
from collections import Counter
from pathlib import Path

from greenimi import green
from greenimi.errors import ConnectionClosed
from greenimi.testing.clients import MessageClient, WebSocketClient
from tests.soak.clients import KeptHttp, NewHttp, Steady
from tests.soak.measures import descriptors, in_ms, percentile, resident
from tests.soak.places import Verdict, serving

SENDERS, TIMES, SIZE = 100, 50, 2000
WRITE = 5.0
SLACK = 4.0
OUTBOX = 1 << 20
READERS = 20
"""Of each kind."""

APART = 0.02
"""Seconds between two of them: all at once would be a flood of work for the handlers, which is not what is looked at here."""

PIPELINED = 20
"""Requests that each of those over HTTP sends at once."""

GROWTH = 3 * READERS
"""MiB: an answer of 1 MiB and the high-water mark for each, twice, because it is copied."""

_MEBIBYTE = 1 << 20


def crowd(folder: Path, verdict: Verdict) -> None:
    """Every frame arrives whole, and each sender's in order."""
    with serving(folder) as service, WebSocketClient(service.addresses["web"], "/chat", timeout=30) as client:
        client.send({"action": "crowd", "id": 1, "senders": SENDERS, "times": TIMES, "size": SIZE})
        next_of: Counter[int] = Counter()
        wrong = 0
        while "result" not in (found := client.receive(30)):
            sender = found["sender"]
            wrong += found["number"] != next_of[sender] or found["text"] != chr(97 + sender % 26) * SIZE
            next_of[sender] += 1
        verdict.check(found["result"] == SENDERS * TIMES == next_of.total(), f"{next_of.total()} frames of {SENDERS} senders came")
        verdict.check(not wrong, f"all were whole and in order ({wrong} were not)")
        verdict.check("Traceback" not in service.log, "nothing was reported")


def never_reading(folder: Path, verdict: Verdict) -> None:
    """Closed at the limit of bytes, or at the deadline for reading; others are served as before."""
    settings = {f"servers.{name}.write_time": str(WRITE) for name in ("web", "till")}
    settings |= {f"servers.{name}.outbox": str(OUTBOX) for name in ("web", "till")}
    with serving(folder, settings) as service:
        web = service.addresses["web"]
        worker = service.ready[0]
        with Steady(KeptHttp(web), 0.01) as kept, Steady(NewHttp(web), 0.01) as fresh:
            green.sleep(3)
            calm = [percentile(each.latencies, 0.99) for each in (kept, fresh)]
            base = descriptors(worker)
            memory = resident(worker)
            kept.latencies.clear()
            fresh.latencies.clear()
            pushed = [WebSocketClient(web, "/chat") for _ in range(READERS)]
            pushed_tcp = [MessageClient(service.addresses["till"]) for _ in range(READERS)]
            asking = [socket.create_connection(web) for _ in range(READERS)]
            for client in (*pushed, *pushed_tcp):
                green.sleep(APART)
                client.send({"action": "flood", "size": 65536, "times": 200})
            for sock in asking:
                green.sleep(APART)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                sock.sendall(b"GET /big HTTP/1.1\r\nHost: soak\r\n\r\n" * PIPELINED)
            began = time.monotonic()
            most = memory
            while descriptors(worker) > base and time.monotonic() - began < WRITE + SLACK + 5:
                most = max(most, resident(worker))
                green.sleep(0.05)
            took = time.monotonic() - began
        verdict.check(
            took <= WRITE + SLACK, f"{3 * READERS} clients that do not read were closed after {took:.1f} s (at most {WRITE + SLACK:.0f} s)"
        )
        grown = (most - memory) / _MEBIBYTE
        verdict.check(grown <= GROWTH, f"the worker grew by {grown:.0f} MiB meanwhile (at most {GROWTH} MiB)")
        verdict.check(_hung_up(pushed[0]), "they see that the connection ended")
        for each, was in zip((kept, fresh), calm, strict=True):
            found = percentile(each.latencies, 0.99)
            verdict.check(not each.failures, each.told)
            verdict.check(found <= max(3 * was, was + 0.005), f"99 % answered within {in_ms(found)}, {in_ms(was)} without them")
        for client in (*pushed, *pushed_tcp):
            client._sock.close()
        for sock in asking:
            sock.close()


def _hung_up(client: WebSocketClient) -> bool:
    try:
        while True:
            client.receive(5)
    except (ConnectionClosed, OSError) as error:
        return not isinstance(error, TimeoutError)
