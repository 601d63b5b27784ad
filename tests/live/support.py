"""Raw clients of a served application, and the watch that nobody else is hurt by what they send."""

from __future__ import annotations

import base64
import json
import os
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from greenimi.testing.gunicorn import Gunicorn
from greenimi.testing.support import wait_until

PATIENCE = 5.0
TEXT, BINARY, CLOSE = 1, 2, 8

_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


class Raw:
    """Bytes to a door and back."""

    def __init__(self, address: tuple[str, int], kind: int = socket.SOCK_STREAM) -> None:
        self.sock = socket.socket(socket.AF_INET, kind)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(address)
        self._kept = b""

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *error: object) -> None:
        self.sock.close()

    def send(self, data: bytes) -> Raw:
        """Send; a server that refuses may have hung up in the middle."""
        try:
            self.sock.sendall(data)
        except OSError:
            pass
        return self

    def end(self) -> Raw:
        """Say that nothing more will come."""
        self.sock.shutdown(socket.SHUT_WR)
        return self

    def receive(self, size: int) -> bytes:
        """Exactly so many bytes.  ConnectionError when the server ends before."""
        while len(self._kept) < size:
            self._more()
        data, self._kept = self._kept[:size], self._kept[size:]
        return data

    def until(self, mark: bytes) -> bytes:
        """Everything up to ``mark``, with it."""
        while mark not in self._kept:
            self._more()
        return self.receive(self._kept.index(mark) + len(mark))

    def rest(self) -> bytes:
        """Everything until the server ends the connection.  TimeoutError when it does not."""
        data, self._kept = self._kept, b""
        while more := self.sock.recv(65536):
            data += more
        return data

    def _more(self) -> None:
        data = self.sock.recv(65536)
        if not data:
            raise ConnectionError(f"the server ended the connection after {self._kept[:200]!r}")
        self._kept += data


# -- HTTP ------------------------------------------------------------------------------------------------------------
def statuses(text: bytes) -> list[int]:
    """The status of every response in ``text``."""
    return [int(status) for status in _STATUS.findall(text)]


def response(link: Raw) -> tuple[int, bytes]:
    """The next response with a body of known length."""
    head = link.until(b"\r\n\r\n")
    length = re.search(rb"Content-Length: (\d+)", head)
    return statuses(head)[0], link.receive(int(length[1])) if length else b""


def request(target: str, *fields: str, method: str = "GET", body: bytes = b"", version: str = "1.1") -> bytes:
    lines = [f"{method} {target} HTTP/{version}", "Host: doors", *fields]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def ask(link: Raw, target: str, *fields: str, method: str = "GET", body: bytes = b"") -> tuple[int, bytes]:
    return response(link.send(request(target, *fields, method=method, body=body)))


# -- WebSocket -------------------------------------------------------------------------------------------------------
def handshake(path: str = "/chat", **changed: str) -> bytes:
    """The request that opens a WebSocket; ``changed``: other values for fields, an empty one leaves the field out."""
    fields = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
    }
    fields.update({name.replace("_", "-"): value for name, value in changed.items()})
    return request(path, *(f"{name}: {value}" for name, value in fields.items() if value))


def shake(link: Raw, path: str = "/chat") -> Raw:
    assert response(link.send(handshake(path)))[0] == 101
    return link


def frame(
    opcode: int, payload: bytes = b"", *, final: bool = True, reserved: int = 0, masked: bool = True, size: int | None = None
) -> bytes:
    """One frame as no library would send it; ``size``: a length that need not be true."""
    size = len(payload) if size is None else size
    first = bytes([(0x80 if final else 0) | reserved << 4 | opcode])
    bit = 0x80 if masked else 0
    if size < 126:
        head = first + bytes([bit | size])
    elif size < 65536:
        head = first + bytes([bit | 126]) + size.to_bytes(2, "big")
    else:
        head = first + bytes([bit | 127]) + size.to_bytes(8, "big")
    return head + bytes(4) + payload if masked else head + payload


def read_frame(link: Raw) -> tuple[int, bytes]:
    """Opcode and payload of the next frame of the server."""
    first, size = link.receive(2)
    if size >= 126:
        size = int.from_bytes(link.receive(2 if size == 126 else 8), "big")
    return first & 0x0F, link.receive(size)


def close_code(link: Raw) -> int:
    """The code of the server's Close frame, which must be the next, and the last thing it says."""
    opcode, payload = read_frame(link)
    assert opcode == CLOSE, f"a frame of opcode {opcode}: {payload!r}"
    assert link.rest() == b""
    return int.from_bytes(payload[:2], "big")


def message(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def packet(payload: bytes) -> bytes:
    """As the door with length prefixes wants it."""
    return len(payload).to_bytes(4, "big") + payload


# -- the application under Gunicorn ------------------------------------------------------------------------------------
class Neighbour:
    """A well-behaved client with a connection to each door, which stays open while others misbehave."""

    def __init__(self, service: Service) -> None:
        self.web = service.link("web")
        self.chat = shake(service.link("web"))
        self.till = service.link("till")
        self.scale = service.link("scale")
        self.beacon = service.link("beacon", socket.SOCK_DGRAM)
        self._count = 0

    def ask(self) -> None:
        """Every door answers, on the connections that were open all along."""
        self._count += 1
        text = f"number {self._count}"
        said = message(action="echo", text=text, id=self._count)
        wanted = {"id": self._count, "result": {"text": text}}
        assert ask(self.web, f"/hello/{self._count}") == (200, f"hello {self._count}".encode())
        self.chat.send(frame(TEXT, said))
        assert json.loads(read_frame(self.chat)[1]) == wanted
        self.till.send(said + b"\n")
        assert json.loads(self.till.until(b"\n")) == wanted
        self.scale.send(packet(said))
        assert json.loads(self.scale.receive(int.from_bytes(self.scale.receive(4), "big"))) == wanted
        self.beacon.send(said)
        assert json.loads(self.beacon.sock.recv(65536)) == wanted

    def levels(self) -> dict[str, int]:
        status, body = ask(self.web, "/levels")
        assert status == 200, body
        found: dict[str, int] = json.loads(body)
        return found

    def close(self) -> None:
        for link in (self.web, self.chat, self.till, self.scale, self.beacon):
            link.sock.close()


class Watch:
    """What the service wrote since the watch began."""

    def __init__(self, gunicorn: Gunicorn) -> None:
        self._gunicorn = gunicorn
        self._from = len(gunicorn.log)
        self._own: list[str] = []
        self.tracebacks = 0
        """How many are in order."""

    def settle(self) -> None:
        """Wait until everything that happened so far is in the log, which another thread writes: our own bad request is, then."""
        with Raw(self._gunicorn.addresses["web"]) as link:
            self._own.append(str(link.sock.getsockname()))
            link.send(b"GET / HTTP/9.9\r\n\r\n").rest()
        wait_until(lambda: self._own[-1] in self._gunicorn.log)

    def lines(self, text: str = "") -> list[str]:
        """Those that hold ``text``."""
        self.settle()
        lines = self._gunicorn.log[self._from :].splitlines()
        return [line for line in lines if text in line and not any(own in line for own in self._own)]

    @property
    def log(self) -> str:
        return "\n".join(self.lines())

    def one_line(self, text: str = "") -> str:
        """The only line that was written, which holds ``text``."""
        lines = self.lines()
        assert len(lines) == 1, "\n".join(lines)
        assert text in lines[0]
        return lines[0]


class Service:
    """The application of ``apps/doors.py`` with its good client."""

    def __init__(self, gunicorn: Gunicorn) -> None:
        self.gunicorn = gunicorn
        self.neighbour = Neighbour(self)

    def link(self, server: str, kind: int = socket.SOCK_STREAM) -> Raw:
        return Raw(self.gunicorn.addresses[server], kind)

    @contextmanager
    def unharmed(self) -> Iterator[Watch]:
        """What happens inside hurts nobody: the neighbour is served, the worker lives and holds no more than before."""
        self.neighbour.ask()
        before = self.neighbour.levels()
        watch = Watch(self.gunicorn)
        yield watch
        self.neighbour.ask()
        after: dict[str, int] = {}

        def level() -> bool:
            after.update(self.neighbour.levels())
            return all(after[name] <= before[name] for name in before)

        try:
            wait_until(level)
        except AssertionError:
            raise AssertionError(
                f"left behind: { ({name: (before[name], after[name]) for name in before if after[name] > before[name]}) }"
            ) from None
        assert after["pid"] == before["pid"]
        assert len(self.gunicorn.booted) == 1
        log = watch.log
        assert log.count("Traceback") == watch.tracebacks, log


@contextmanager
def served(conf: str, folder: Path, gunicorn_conf: Path) -> Iterator[Service]:
    """An application of this folder under Gunicorn."""
    file = folder / "app.toml"
    file.write_text(conf)
    with ExitStack() as ends:
        gunicorn = Gunicorn(gunicorn_conf, file, 1, {}, folder / "gunicorn.log")
        ends.callback(gunicorn.stop)
        gunicorn.start()
        service = Service(gunicorn)
        ends.callback(service.neighbour.close)
        yield service
