"""Clients of the rooms: those who listen, each in a greenlet, and note what comes; and one who asks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import pairwise
from types import TracebackType
from typing import Any, Self

from greenimi import green
from greenimi.errors import ConnectionClosed
from greenimi.testing.clients import RequestFailed, WebSocketClient
from greenimi.testing.gunicorn import Gunicorn
from tests.soak.measures import percentile
from tests.soak.places import Verdict

PATIENCE = 30.0


def room_client(service: Gunicorn) -> WebSocketClient:
    return WebSocketClient(service.addresses["web"], "/rooms", timeout=PATIENCE)


class Listener:
    """A client in a group.

    id, pid    of its connection, and of the worker that has it
    numbers    those of the messages that came, in their order
    latencies  seconds from the sending of each to its arrival
    ended      its connection was closed; ``lost``: without a goodbye
    """

    def __init__(self, service: Gunicorn, *groups: str) -> None:
        self._client = room_client(service)
        found = self._client.request("where")
        self.id: str = found["id"]
        self.pid: int = found["pid"]
        for group in groups:
            self._client.request("join", group=group)
        self.numbers: list[int] = []
        self.latencies: list[float] = []
        self.ended = False

    def __enter__(self) -> Self:
        self._greenlet = green.spawn(self._listen)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._greenlet.kill()
        self._client._sock.close()

    def _listen(self) -> None:
        try:
            while True:
                self._take(self._client.receive(3600))
        except (ConnectionClosed, OSError):
            self.ended = True

    def _take(self, message: Any) -> None:
        if "offset" in message:
            message = message["data"]
        if "number" in message:
            self.numbers.append(message["number"])
            self.latencies.append(time.monotonic() - message["at"])

    @property
    def is_in_order(self) -> bool:
        """Nothing came twice, or before what was sent earlier."""
        return all(first < second for first, second in pairwise(self.numbers))

    def is_whole(self, first: int, last: int) -> bool:
        """Everything from ``first`` up to but not ``last`` came once and in order, and nothing else."""
        return self.numbers == list(range(first, last))


class Speaker:
    """A client of a worker that no harm is done to.  It speaks over one connection, and asks over another one meanwhile."""

    def __init__(self, service: Gunicorn) -> None:
        self._voice = room_client(service)
        self.pid: int = self._voice.request("where")["pid"]
        self.client = room_client(service)
        while self.client.request("where")["pid"] != self.pid:
            self.client.close()
            self.client = room_client(service)
        self.sent = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._voice.close()
        self.client.close()

    def shout(self, group: str, times: int, pause: float, size: int = 10) -> Any:
        """So many messages for a group; ``get`` of what is returned gives the seconds that the slowest call took."""
        first, self.sent = self.sent, self.sent + times
        self._voice.send({"action": "shout", "id": 0, "group": group, "first": first, "times": times, "pause": pause, "size": size})
        return green.spawn(lambda: self._voice.receive(PATIENCE)["result"])

    def ask(self, action: str, **fields: Any) -> dict[str, float]:
        found: dict[str, float] = self.client.request(action, **fields)
        return found


def listeners(ends: ExitStack, service: Gunicorn, number: int, *groups: str) -> list[Listener]:
    return [ends.enter_context(Listener(service, *groups)) for _ in range(number)]


def of_worker(found: Sequence[Listener], pid: int) -> list[Listener]:
    return [each for each in found if each.pid == pid]


def heard(found: Sequence[Listener], last: int) -> bool:
    """All of them have the message before ``last``; waits for it, but not for ever."""
    until = time.monotonic() + PATIENCE
    while not (done := all(each.numbers and each.numbers[-1] == last - 1 for each in found)):
        if time.monotonic() > until:
            break
        green.sleep(0.02)
    return done


def slow(found: Sequence[Listener], since: int = 0) -> float:
    """Seconds within which 99 of 100 messages from that number on arrived."""
    latencies = [latency for each in found for number, latency in zip(each.numbers, each.latencies, strict=True) if number >= since]
    return percentile(latencies, 0.99)


def judge_stalls(what: str, seconds: float, wait: float, verdict: Verdict) -> None:
    verdict.check(seconds <= wait, f"{what} took {seconds:.3f} s at most (at most {wait:g} s)")


def refusal(client: WebSocketClient, action: str, **fields: Any) -> int:
    """The code of the error that a request is answered with; 0 when it is not."""
    try:
        client.request(action, **fields)
    except RequestFailed as error:
        return error.status
    return 0
