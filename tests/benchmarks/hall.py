"""A WebSocket server, in threads, that says what a test wants to whom it wants."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
"""For the one key that load clients send."""

Answer = Callable[[str, int], Sequence[tuple[int, str]]]
"""What a server says to whom, by the numbers of connections, when one of them says something: texts, or whole frames (latin-1) of another
kind."""


def framed(text: str, opcode: int = 1) -> bytes:
    assert len(text) < 126
    return bytes([0x80 | opcode, len(text)]) + text.encode()


def read(stream: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = stream.recv(count - len(data))
        if not more:
            raise OSError("the end")
        data += more
    return data


def said(stream: socket.socket) -> str:
    """The next text of a client; pongs are given as ``pong``."""
    head = read(stream, 2)
    mask, body = read(stream, 4), read(stream, head[1] & 127)
    text = bytes(byte ^ mask[at % 4] for at, byte in enumerate(body)).decode()
    return text if head[0] & 15 == 1 else "pong"


@contextmanager
def hall(answer: Answer, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server whose connections hear what ``answer`` gives."""
    streams: list[socket.socket] = []
    lock = threading.Lock()

    def talk(peer: socket.socket) -> None:
        with suppress(OSError), peer:  # the client leaves first
            peer.settimeout(10)
            with context.wrap_socket(peer, server_side=True) if context else peer as stream:
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    head += read(stream, 1)
                with lock:
                    stream.sendall(UPGRADED)
                    streams.append(stream)
                    number = len(streams) - 1
                while True:
                    tell(answer(said(stream), number))

    def tell(what: Sequence[tuple[int, str]]) -> None:
        with lock:
            for to, text in what:
                if to < len(streams):
                    with suppress(OSError):
                        streams[to].sendall(text.encode("latin-1") if text[:1] > "\x7f" else framed(text))

    def accept() -> None:
        while True:
            try:
                peer = listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=talk, args=(peer,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def to_all(text: str, number: int) -> list[tuple[int, str]]:
    """To the first five connections."""
    return [(each, text) for each in range(5)]
