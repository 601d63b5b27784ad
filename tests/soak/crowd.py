"""A crowd of WebSocket clients, a process of its own: ``python -m tests.soak.crowd PORT NUMBER``.

Each of them asks for an echo when it is connected, and connects again whenever its connection ends: at once, or after ``RETRY`` seconds
where it was not let in.  They come from 127.0.0.2, 127.0.0.3, ..., because one address has not enough ports.  Lines on standard input:

tell  print what happened since it was last asked, in one line of JSON (see :meth:`Crowd.tell`)
ask   whoever is connected asks again

It ends with its standard input.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import time
from collections import defaultdict, deque
from typing import Any

from greenimi.codec.websocket import ClientCodec
from greenimi.codec.websocket_frames import ABNORMAL

RETRY = 0.2
RESTART = 1012
"""The code of a goodbye that says: come back."""

AN_ADDRESS = 4000
"""Clients of one address."""

OPENING_AT_ONCE = 256
"""Those that have not been let in yet, as long as they come for the first time."""

STEADY_ONE_IN, STEADY_EVERY = 100, 0.5
"""One in so many asks all the time, every so many seconds."""

_SHAKE = (
    b"GET /chat HTTP/1.1\r\nHost: soak\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


class Client:
    """One of them.

    asked  when it asked what was not answered yet; 0 when there is nothing of the kind.
    """

    def __init__(self, crowd: Crowd, number: int) -> None:
        self._crowd = crowd
        self._number = number
        self._from = (f"127.0.0.{2 + number // AN_ADDRESS}", 0)
        self._sock: socket.socket | None = None
        self._head = b""  # of the answer to the handshake, as far as it came
        self._codec: ClientCodec | None = None  # once it was let in
        self._questions = 0  # on this connection
        self.asked = 0.0

    @property
    def is_whole(self) -> bool:
        """It is connected, and everything it asked was answered."""
        return self._codec is not None and not self.asked

    def connect(self) -> None:
        self._sock = sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_BIND_ADDRESS_NO_PORT, 1)  # the port is chosen at connect, so more fit
        sock.bind(self._from)
        sock.connect_ex(self._crowd.address)
        self._crowd.watch(self, sock, select.EPOLLOUT)

    def ready(self) -> None:
        """Something came, or the connection did."""
        sock = self._sock
        assert sock is not None, "nothing is watched that is closed"
        try:
            data = sock.recv(65536)
        except BlockingIOError:  # it is connected, and nothing came: a server does not speak first
            sock.send(_SHAKE)
            self._crowd.watch(self, sock, select.EPOLLIN)
        except OSError:
            self._take(b"")
        else:
            self._take(data)

    def _take(self, data: bytes) -> None:
        if self._codec is None:
            self._shake_hands(data)
        else:
            self._hear(self._codec, data)

    def _shake_hands(self, data: bytes) -> None:
        self._head += data
        head, end, rest = self._head.partition(b"\r\n\r\n")
        if end and head.startswith(b"HTTP/1.1 101 "):
            self._codec = ClientCodec()
            self._crowd.note("opened")
            self.ask()
            if rest:
                self._hear(self._codec, rest)
        elif end or not data:
            self._close()
            self._crowd.refused(self)

    def ask(self) -> None:
        """An echo, unless it waits for one."""
        if self.is_whole and self._codec is not None:
            self._questions += 1
            self.asked = time.monotonic()
            self._codec.send_raw(json.dumps({"action": "echo", "id": self._questions, "text": self._text}))
            self._send(self._codec)

    @property
    def _text(self) -> str:
        return f"{self._questions} of {self._number}"

    def _send(self, codec: ClientCodec) -> None:
        try:
            if codec.out and self._sock is not None:
                self._sock.send(codec.outgoing())
        except OSError:
            pass  # the end of it is told by the next read

    def _hear(self, codec: ClientCodec, data: bytes) -> None:
        for message in codec.receive(data):
            self._answered(json.loads(getattr(message, "raw", "null")))
        if codec.ended:
            codec.close(1000, "")
        self._send(codec)
        if codec.ended:
            self._crowd.note({RESTART: "told", ABNORMAL: "lost"}.get(codec.close_code, "dismissed"))
            self._close()
            self.connect()

    def _answered(self, found: Any) -> None:
        if found != {"id": self._questions, "result": self._text} or not self.asked:
            self._crowd.note("wrong")
        elif self._questions == 1:
            self._crowd.note("answered")
        else:
            self._crowd.waits.append((self.asked, time.monotonic() - self.asked))
        self.asked = 0.0

    def _close(self) -> None:
        assert self._sock is not None, "it is closed once"
        self._crowd.forget(self._sock)
        self._sock.close()
        self._sock = self._codec = None
        self._head = b""
        self._questions = 0
        self.asked = 0.0


class Crowd:
    """All of them, and the loop that drives them."""

    def __init__(self, port: int, number: int) -> None:
        self.address = ("127.0.0.1", port)
        self.waits: list[tuple[float, float]] = []
        self._happened: defaultdict[str, list[float]] = defaultdict(list)
        self._clients = [Client(self, each) for each in range(number)]
        self._to_come = deque(self._clients)
        self._refused: deque[tuple[float, Client]] = deque()
        self._watched: dict[int, Client] = {}
        self._epoll = select.epoll()
        self._input = sys.stdin.fileno()
        self._epoll.register(self._input, select.EPOLLIN)
        self._orders = b""
        self._opened = 0
        self._steadily = 0.0

    # -- for the clients ---------------------------------------------------------------------------------------------
    def watch(self, client: Client, sock: socket.socket, events: int) -> None:
        if sock.fileno() in self._watched:
            self._epoll.modify(sock, events)
        else:
            self._epoll.register(sock, events)
            self._watched[sock.fileno()] = client

    def forget(self, sock: socket.socket) -> None:
        del self._watched[sock.fileno()]

    def note(self, what: str) -> None:
        self._happened[what].append(time.monotonic())
        self._opened += what == "opened"

    def refused(self, client: Client) -> None:
        """It was not let in."""
        self.note("refused")
        self._refused.append((time.monotonic() + RETRY, client))

    # -- the loop ----------------------------------------------------------------------------------------------------
    def run(self) -> None:
        """Until standard input ends."""
        while True:
            self._bring_in()
            for fd, _ in self._epoll.poll(0.02):
                if fd != self._input:
                    self._watched[fd].ready()
                elif not self._obey():
                    return

    def _bring_in(self) -> None:
        now = time.monotonic()
        while self._to_come and len(self._clients) - len(self._to_come) - self._opened < OPENING_AT_ONCE:
            self._to_come.popleft().connect()
        while self._refused and self._refused[0][0] <= now:
            self._refused.popleft()[1].connect()
        if now >= self._steadily + STEADY_EVERY:
            self._steadily = now
            for client in self._clients[::STEADY_ONE_IN]:
                client.ask()

    def _obey(self) -> bool:
        data = os.read(self._input, 4096)
        *orders, self._orders = (self._orders + data).split(b"\n")
        for order in orders:
            if order == b"ask":
                for client in self._clients:
                    client.ask()
            elif order == b"tell":
                print(json.dumps(self.tell()), flush=True)
        return bool(data)

    def tell(self) -> dict[str, Any]:
        """What happened since the last time.  Moments are those of the monotonic clock, which all processes share.

        whole     how many are connected now and have their answers
        happened  moments by their kinds: a client was opened, answered (for the first time on a connection), refused (not let in), told to
                  come back (1012), dismissed (any other goodbye), lost (without a goodbye); an answer was wrong
        waits     of all later answers: when it was asked for, and how many seconds it took
        """
        found = {"whole": sum(client.is_whole for client in self._clients), "happened": self._happened, "waits": self.waits}
        self._happened = defaultdict(list)
        self.waits = []
        return found


if __name__ == "__main__":
    Crowd(int(sys.argv[1]), int(sys.argv[2])).run()
