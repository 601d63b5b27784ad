"""A client of HTTP/2 on h2, another's work: what both understand is no mistake of our own."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from h2.config import H2Configuration
from h2.connection import ConnectionState, H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    InformationalResponseReceived,
    PingAckReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.settings import SettingCodes


@dataclass
class Answer:
    """What came back on one stream."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    trailers: dict[str, str] = field(default_factory=dict)
    interim: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    ended: bool = False
    reset: int | None = None


class Http2Link:
    """One connection.  Windows are given back as DATA arrives, unless ``greedy`` is False."""

    def __init__(self, sock: socket.socket, *, window: int | None = None, greedy: bool = True) -> None:
        self.sock = sock
        self.greedy = greedy
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self.answers: dict[int, Answer] = {}
        self.gone: list[tuple[int, int]] = []  # last stream and code of each GOAWAY
        self.pongs: list[bytes] = []
        self.left = False
        self._rest = b""
        if window is not None:
            self.h2.local_settings[SettingCodes.INITIAL_WINDOW_SIZE] = window
        self.h2.initiate_connection()
        self.flush()

    def flush(self) -> None:
        self.sock.sendall(self.h2.data_to_send())

    def begin(self, method: str, path: str, fields: Iterable[tuple[str, str]] = (), *, end: bool = True) -> int:
        """Send a request's head; its stream."""
        number = self.h2.get_next_available_stream_id()
        pseudo = [(":method", method), (":scheme", "http"), (":authority", "x"), (":path", path)]
        self.h2.send_headers(number, [*pseudo, *fields], end_stream=end)
        self.answers[number] = Answer()
        self.flush()
        return number

    def send(self, number: int, data: bytes, *, end: bool = False) -> None:
        """Send a body, as far as the windows go; wait for them."""
        while data:
            room = min(self.h2.local_flow_control_window(number), self.h2.max_outbound_frame_size)
            if room:
                self.h2.send_data(number, data[:room])
                data = data[room:]
                self.flush()
            else:
                self.read()
        if end:
            self.h2.end_stream(number)
            self.flush()

    def get(self, path: str, *fields: tuple[str, str], method: str = "GET") -> Answer:
        return self.wait(self.begin(method, path, fields))

    def post(self, path: str, body: bytes, *fields: tuple[str, str], trailers: Sequence[tuple[str, str]] = ()) -> Answer:
        number = self.begin("POST", path, fields, end=False)
        self.send(number, body, end=not trailers)
        if trailers:
            self.h2.send_headers(number, trailers, end_stream=True)
            self.flush()
        return self.wait(number)

    def wait(self, number: int) -> Answer:
        """Read until the stream is over."""
        self.until(lambda: self.answers[number].ended or self.answers[number].reset is not None)
        return self.answers[number]

    def until(self, done: Callable[[], object]) -> None:
        while not done():
            if not self.read():
                raise ConnectionError("the server left")

    def read(self) -> bool:
        """Read once; False at the end."""
        data = self.sock.recv(65536)
        if not data:
            self.left = True
            return False
        self._rest += data
        while len(self._rest) >= 9 and len(self._rest) >= 9 + int.from_bytes(self._rest[:3], "big"):
            size = 9 + int.from_bytes(self._rest[:3], "big")
            frame, self._rest = self._rest[:size], self._rest[size:]
            for event in self.h2.receive_data(frame):
                self._take(event)
        self.flush()
        return True

    def give_back(self, number: int, size: int) -> None:
        self.h2.acknowledge_received_data(size, number)
        self.flush()

    def _take(self, event: Any) -> None:
        answer = self.answers.get(getattr(event, "stream_id", 0) or 0, Answer())
        if isinstance(event, ResponseReceived):
            answer.headers = dict(event.headers)  # type: ignore[arg-type]  # text, as we asked for
            answer.status = int(answer.headers.pop(":status"))
        elif isinstance(event, InformationalResponseReceived):
            fields: dict[str, str] = dict(event.headers)  # type: ignore[arg-type]
            answer.interim.append((int(fields.pop(":status")), fields))
        elif isinstance(event, DataReceived):
            answer.body += event.data or b""
            if self.greedy and event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, TrailersReceived):
            answer.trailers = dict(event.headers)  # type: ignore[arg-type]
        elif isinstance(event, StreamEnded):
            answer.ended = True
        elif isinstance(event, StreamReset):
            answer.reset = int(event.error_code)
        elif isinstance(event, ConnectionTerminated):
            self.gone.append((event.last_stream_id or 0, int(event.error_code or 0)))
            self.h2.state_machine.state = ConnectionState.CLIENT_OPEN  # h2 takes it for the end, though it is not
        elif isinstance(event, PingAckReceived):
            self.pongs.append(event.ping_data)

    def close(self) -> None:
        self.sock.close()
