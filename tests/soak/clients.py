"""Clients that ask again and again, and remember how long each answer took and what went wrong."""

from __future__ import annotations

import http.client
import itertools
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

from greenimi import green
from greenimi.errors import ConnectionClosed
from greenimi.testing.clients import DatagramClient, HttpClient, MessageClient, WebSocketClient
from greenimi.testing.links import Address

_GOODBYES = (1001, 1012)
_numbers = itertools.count()


class Asking:
    """One kind of client.  ``ask`` raises when the answer is wrong or does not come.

    crossed  how often a connection that was kept open was closed in order just when a request was on its way.  No request is lost that
             way: the client knows that it was not taken, and asks again.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self.crossed = 0

    def ask(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Nothing is open, unless a kind keeps something.  Asking again opens it again."""


class NewHttp(Asking):
    """A connection for each request."""

    name = "HTTP, a connection each"

    def ask(self) -> None:
        with HttpClient(self.address) as client:
            _expect(client.get("/hello").text, "hello")


class KeptHttp(Asking):
    """Requests on one connection."""

    name = "HTTP, keep-alive"

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        self._client = HttpClient(address)
        self._used = False

    def ask(self) -> None:
        try:
            found = self._client.get("/hello").text
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            if not self._used:
                raise
            self.crossed += 1
            self._client.close()
            found = self._client.get("/hello").text
        _expect(found, "hello")
        self._used = True

    def close(self) -> None:
        self._client.close()
        self._used = False


class _Messages(Asking):
    """Requests on one connection of a message protocol, and a new one after a goodbye."""

    _client: Any = None

    def connect(self) -> Any:
        raise NotImplementedError

    def said_goodbye(self) -> bool:
        return True

    def ask(self) -> None:
        used = self._client is not None
        if not used:
            self._client = self.connect()
        text = f"number {next(_numbers)}"
        try:
            found = self._client.request("echo", text=text)
        except (ConnectionClosed, BrokenPipeError, ConnectionResetError):
            if not (used and self.said_goodbye()):
                raise
            self.crossed += 1
            self._client.close()
            self._client = self.connect()
            found = self._client.request("echo", text=text)
        _expect(found, text)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


class Chat(_Messages):
    name = "WebSocket"

    def connect(self) -> WebSocketClient:
        return WebSocketClient(self.address, "/chat")

    def said_goodbye(self) -> bool:
        return self._client.close_code in _GOODBYES


class Till(_Messages):
    name = "TCP"

    def connect(self) -> MessageClient:
        return MessageClient(self.address)


class Beacon(Asking):
    """Datagrams from one port."""

    name = "UDP"

    _client: DatagramClient | None = None

    def ask(self) -> None:
        if self._client is None:
            self._client = DatagramClient(self.address)
        text = f"number {next(_numbers)}"
        _expect(self._client.request("echo", text=text), text)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def _expect(found: object, wanted: object) -> None:
    if found != wanted:
        raise AssertionError(f"{wanted!r} was expected, {found!r} came")


class Steady:
    """``asking`` in a greenlet of its own from enter to exit, every so many seconds.

    latencies  seconds that each answer took
    failures   when (monotonic) and how it went wrong
    """

    def __init__(self, asking: Asking, every: float = 0.02) -> None:
        self.asking = asking
        self.latencies: list[float] = []
        self.failures: list[tuple[float, BaseException]] = []
        self._every = every
        self._on = True

    def __enter__(self) -> Self:
        self._greenlet = green.spawn(self._go_on)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._on = False
        self._greenlet.join()
        self.asking.close()

    def _go_on(self) -> None:
        while self._on:
            began = time.monotonic()
            try:
                self.asking.ask()
            except Exception as error:
                self.failures.append((began, error))
                self.asking.close()
            else:
                self.latencies.append(time.monotonic() - began)
            green.sleep(max(0.0, began + self._every - time.monotonic()))

    @property
    def told(self) -> str:
        """Counts and the first failures, for people."""
        more = "".join(f"; {type(error).__name__}: {error}" for _, error in self.failures[:3])
        crossed = f", {self.asking.crossed} asked again after a goodbye" if self.asking.crossed else ""
        return f"{getattr(self.asking, 'name', 'client')}: {len(self.latencies)} answers, {len(self.failures)} failures{crossed}{more}"


def timed(ask: Callable[[], object]) -> float:
    """Seconds that one call takes."""
    began = time.monotonic()
    ask()
    return time.monotonic() - began


def settle(asking: Sequence[Steady], answers: int) -> None:
    """Wait until each of them has that many answers."""
    while any(len(each.latencies) < answers and not each.failures for each in asking):
        green.sleep(0.01)
