"""The link to one other process of this machine: frames over a Unix stream socket, all in callbacks of the hub.

It sends once a turn of the loop, reads once when there is something, and watches for room only when its socket has none.  Each side says
hello, then all that it wants packets for, then that it is ready; only then packets go.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from functools import partial
from typing import Any, Protocol

from greenimi.green import io_watcher, run_soon
from greenimi.hub import frames
from greenimi.hub.frames import ANSWER, BEAT, CALL, HELLO, READY, TELL, UNWANT, WANT, FrameError, FrameReader
from greenimi.hub.relay import Calls, OpenCalls
from greenimi.interfaces import IRelayReceiver

log = logging.getLogger("greenimi.hub")

SILENCE = 5
"""Beats, one a second, after which a process that says nothing counts as lost."""

OPENED, GREETED, JOINED, CLOSED = range(4)
"""Nothing was said yet; it said who it is; it is ready."""

_READ = 65536
_BEAT = frames.frame(BEAT)
_READY = frames.frame(READY)


class Switchboard(Protocol):
    """The relay, as its links see it.  ``limit``: bytes that may wait for one process; ``process``: the number of this one."""

    limit: int
    process: int

    @property
    def receiver(self) -> IRelayReceiver: ...

    def flush_later(self, link: Link) -> None: ...

    def greeted(self, link: Link) -> None:
        """It is known whose link it is: what is wanted here is to be told."""

    def joined(self, link: Link) -> None: ...

    def wants(self, link: Link, target: str, wanted: bool) -> None: ...

    def closed(self, link: Link) -> None: ...


class Link:
    """See the module.  ``expected``: whom this process connected to; None: somebody connected to this one."""

    __slots__ = (
        "_expected",
        "_out",
        "_reader",
        "_silent",
        "_size",
        "_sock",
        "_switchboard",
        "_unsent",
        "_watcher",
        "_writer",
        "calls",
        "dropped",
        "limit",
        "name",
        "process",
        "state",
        "waits_for_flush",
        "wanted",
    )

    def __init__(self, switchboard: Switchboard, sock: Any, expected: int | None) -> None:
        self.process = -1
        self.name = "a process that did not say who it is" if expected is None else f"process {expected}"
        self.state = OPENED
        self.limit = switchboard.limit
        self.dropped = 0  # packets that had no room, and were not told of yet
        self.wanted: dict[str, None] = {}  # what it wants, until it is ready
        self.calls = OpenCalls(-1)
        self.waits_for_flush = False
        self._expected = expected
        self._switchboard = switchboard
        self._sock = sock
        self._out: list[bytes] = []
        self._size = 0  # bytes in it and in
        self._unsent: memoryview | None = None  # what the socket did not take
        self._silent = 0  # beats since it said anything
        self._reader = FrameReader()
        self._writer: Any = None
        self._watcher = io_watcher(sock.fileno(), 1, first=True)  # what is wanted there should be known before its clients speak to us
        self._watcher.start(self._readable)
        self.queue(frames.hello(switchboard.process, os.getpid()))

    # -- reading -----------------------------------------------------------------------------------------------------
    def _readable(self) -> None:
        try:
            data = self._sock.recv(_READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self._silent = 0
        found: list[tuple[int, bytes]] = []
        broken = None
        try:
            self._reader.receive(data, found)
        except FrameError as error:
            broken = error
        receiver = self._switchboard.receiver
        for kind, body in found:
            if self.state == CLOSED:
                return
            try:
                if self.state != JOINED or kind < TELL:
                    self._take(kind, body)
                elif kind == TELL:
                    receiver.told(body, self.process)
                else:
                    number = frames.number_of(body)
                    if kind == CALL:
                        receiver.called(body[4:], self.process, partial(self._answer, number))
                    else:
                        self.calls.answered(number, body[4:])
            except FrameError as error:
                broken = error
                break
            except Exception:
                log.exception("a packet of %s could not be taken", self.name)
        if broken is not None:
            self.close(f"it broke the protocol: {broken}")

    def _take(self, kind: int, body: bytes) -> None:
        """What is no packet, or comes before it may."""
        if kind == HELLO and self.state == OPENED:
            self._greet(body)
        elif self.state == OPENED or kind in (HELLO, TELL, CALL, ANSWER) or (kind == READY and self.state == JOINED):
            raise FrameError(f"a frame of kind {kind} comes too early or too late")
        elif kind == READY:
            self.state = JOINED
            self._switchboard.joined(self)
            self.wanted.clear()
        elif kind != BEAT:
            self._want(frames.target_of(body), kind == WANT)

    def _greet(self, body: bytes) -> None:
        greeting = frames.greeting_of(body)
        if greeting.process == self._switchboard.process or self._expected not in (None, greeting.process):
            raise FrameError(f"it says that it is process {greeting.process}")
        self.process = greeting.process
        self.name = f"process {greeting.process} (pid {greeting.pid})"
        self.calls = OpenCalls(self.process)
        self.state = GREETED
        self._switchboard.greeted(self)

    def _want(self, target: str, wanted: bool) -> None:
        if self.state == JOINED:
            self._switchboard.wants(self, target, wanted)
        elif wanted:
            self.wanted[target] = None
        else:
            self.wanted.pop(target, None)

    # -- writing -----------------------------------------------------------------------------------------------------
    def queue(self, frame: bytes) -> bool:
        """Send it at the end of this turn; False when that is over, or so much waits that it is dropped."""
        if self.state == CLOSED:
            return False
        size = self._size + len(frame)
        if size > self.limit:
            self.dropped += 1
            return False
        self._size = size
        self._out.append(frame)
        if not self.waits_for_flush and self._unsent is None:
            self.waits_for_flush = True
            self._switchboard.flush_later(self)
        return True

    def call(self, frame: bytes, number: int, calls: Calls) -> None:
        """``queue``, with answers for ``calls``."""
        if self.queue(frame):
            self.calls.add(number, calls)

    def _answer(self, number: int, packet: bytes) -> None:
        self.queue(frames.numbered(ANSWER, number, packet))

    def tell_table(self, targets: Iterable[str]) -> None:
        """Say all that is wanted here, and that this side is ready.  However much that is, there is room for it."""
        table = b"".join([*(frames.frame(WANT, target.encode()) for target in targets), _READY])
        self.limit += len(table)
        self.queue(table)
        self.flush()

    def tell_want(self, target: str, wanted: bool) -> None:
        """Say it at once: no packet that this process sends later reaches anybody sooner.

        Without room the link is closed: the next one begins with the whole table.
        """
        if self.queue(frames.frame(WANT if wanted else UNWANT, target.encode())):
            self.flush()
        else:
            run_soon(self.close, f"over {self.limit} bytes wait for it, and it must know what is wanted here")

    def flush(self) -> None:
        """Send what is queued, in one piece; what the socket does not take waits until there is room."""
        self.waits_for_flush = False
        if self._unsent is not None or not self._out:
            return
        out = self._out
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        sent = self._send(data)
        if sent == len(data):
            self._size = 0
            return
        self._size -= sent
        self._unsent = memoryview(data)[sent:]
        if self._writer is None:
            self._writer = io_watcher(self._sock.fileno(), 2)
        self._writer.start(self._writable)

    def _writable(self) -> None:
        unsent = self._unsent
        assert unsent is not None
        sent = self._send(unsent)
        self._size -= sent
        if sent < len(unsent):
            self._unsent = unsent[sent:]
            return
        self._unsent = None
        self._writer.stop()
        self.flush()

    def _send(self, data: bytes | memoryview) -> int:
        try:
            sent: int = self._sock.send(data)
        except BlockingIOError:
            return 0
        except (BrokenPipeError, ConnectionResetError):  # what it said before it left is still to be read, then comes the end
            return len(data)
        except OSError as error:
            run_soon(self.close, str(error))
            return len(data)
        return sent

    @property
    def unsent(self) -> bool:
        return self._size > 0

    # -- each second -------------------------------------------------------------------------------------------------
    def beat(self, since: float) -> None:
        """Say something, and see whether the other side did; calls made before ``since`` are over."""
        if self.dropped:
            log.warning("%d packets for %s were dropped: over %d bytes wait for it", self.dropped, self.name, self.limit)
            self.dropped = 0
        self.calls.end_older(since)
        if self.state == OPENED and self._expected is not None:
            return  # it may be stopped, and has this link waiting until it goes on
        self._silent += 1
        if self._silent > SILENCE:
            self.close(f"it has said nothing for {SILENCE} seconds")
        elif not self._size:
            self.queue(_BEAT)

    def close(self, why: str = "") -> None:
        """At once.  Calls end.  ``why``: to be told in the log."""
        if self.state == CLOSED:
            return
        if why:
            log.warning("the link to %s is closed: %s", self.name, why)
        self.state = CLOSED
        for watcher in (self._watcher, self._writer):
            if watcher is not None:
                watcher.stop()
                watcher.close()
        self._writer = self._unsent = None
        self._sock.close()
        self._out.clear()
        self._size = 0
        self.calls.end()
        self._switchboard.closed(self)
