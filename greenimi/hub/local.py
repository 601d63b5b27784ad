"""The relay between the processes of one machine: a link from each to each, over sockets in the run folder.

Who came later connects to those who were there before, when it comes and whenever a link is lost; so there is one link between two, and
never two.  A look once a second finds whoever was missed, removes what the dead left, and mends this process's own place.
"""

from __future__ import annotations

import errno
import logging
import socket
import time
from collections.abc import Sequence
from itertools import count
from typing import Any

from zope.interface import implementer

from greenimi.errors import StartError
from greenimi.green import Event, io_watcher, native_socket, run_soon, sleep, timer
from greenimi.hub import frames
from greenimi.hub.frames import CALL, TELL
from greenimi.hub.ids import PROCESSES
from greenimi.hub.local_link import Link
from greenimi.hub.relay import ANSWER_TIME, Calls, Interests
from greenimi.hub.run_folder import VARIABLE, Place, RunFolder, folder_of
from greenimi.hub.settings import HubSettings
from greenimi.interfaces import IRelay, IRelayReceiver

log = logging.getLogger("greenimi.hub")

_BEAT = 1.0
_PARTING = 0.02  # seconds between looks at a process whose link ended,
_LOOKS = 10  # and so many of them: the system closes the sockets of a killed process up to some milliseconds before it lets go of its lock
_LAST_WORDS = 0.25  # seconds for what is queued when this process leaves
_AT_ONCE = 16  # processes let in in one turn of the loop
_NUMBERS = 1 << 32
_LARGEST = frames.LARGEST - 4  # with the number of a call


def _end(watcher: Any) -> None:
    if watcher is not None:
        watcher.stop()
        watcher.close()


def is_younger(process: int, other: int) -> bool:
    """Whether of two processes this one got its number later.  Numbers come round; of two one is always the younger."""
    ahead = (process - other) % PROCESSES
    return process > other if ahead in (0, PROCESSES // 2) else ahead < PROCESSES // 2


@implementer(IRelay)
class LocalRelay:
    """See IRelay and the module.  ``process`` is known from ``start`` on.

    healthy  False while this process cannot be found by others, or cannot reach them for a reason of its own
    dropped  packets that had no room in a queue, since the start
    """

    def __init__(self, settings: HubSettings) -> None:
        self.limit = settings.queue
        self.process = -1
        self.receiver: IRelayReceiver
        self.dropped = 0
        self._node = settings.node
        self._wait = settings.wait
        self._path = folder_of(settings)
        self._folder: RunFolder
        self._place: Place | None = None  # None: it does not run
        self._trouble = ""  # why others cannot be met,
        self._told = ""  # and what of that is in the log
        self._wanted: dict[str, None] = {}
        self._interests = Interests()
        self._links: dict[int, Link] = {}  # those that packets may go over
        self._greeted: dict[int, Link] = {}  # those too, and those that are about to
        self._all: dict[Link, int | None] = {}  # every one, with whom this process connected to
        self._parting: dict[int, int] = {}  # who is to be told lost, with the looks that are left to see whether it has ended
        self._unflushed: list[Link] = []
        self._awaited: set[int] = set()  # those who were there at the start, and have not joined yet
        self._all_joined = Event()
        self._numbers = count()
        self._acceptor: Any = None
        self._timer: Any = None
        self._parting_timer: Any = None

    # -- coming and going --------------------------------------------------------------------------------------------
    def start(self, receiver: IRelayReceiver) -> None:
        """Returns when all who are there have joined, at the latest after ``[hub] wait``."""
        if self._place is not None:
            raise StartError("the relay runs already")
        if self._path is None:
            raise StartError("no folder is known where processes could meet", hint=f"set [hub] folder, or {VARIABLE} in the environment")
        self.receiver = receiver
        self._folder = RunFolder(self._path)
        self._place, others = self._folder.enter(self._node)
        self.process = self._place.process
        try:
            self._listen()
            self._timer = timer(_BEAT)
            self._timer.start(self._beat)
            self._parting_timer = timer(_PARTING)
            self._all_joined.clear()
            self._awaited.update(others)
            for process in others:
                self._dial(process)
            if self._awaited:
                self._all_joined.wait(self._wait)
            self._awaited.clear()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        place, self._place = self._place, None
        if place is None:
            return
        for watcher in (self._acceptor, self._timer, self._parting_timer):
            _end(watcher)
        self._acceptor = self._timer = self._parting_timer = None
        self._parting.clear()
        self._folder.leave(place)
        self._flush_all()
        until = time.monotonic() + _LAST_WORDS
        while any(link.unsent for link in self._all) and time.monotonic() < until:
            sleep(0.005)
        for link in list(self._all):
            link.close()

    def _listen(self) -> None:
        assert self._place is not None
        _end(self._acceptor)
        self._acceptor = io_watcher(self._place.listening.fileno(), 1)
        self._acceptor.start(self._accept)

    def _accept(self) -> None:
        assert self._place is not None
        for _ in range(_AT_ONCE):
            try:
                fd, _ = self._place.listening._accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ECONNABORTED:
                    self._acceptor.stop()  # until the next beat
                    self._be_in_trouble(f"no process can be let in: {error.strerror}")
                return
            self._add(native_socket(socket.AF_UNIX, socket.SOCK_STREAM, fd), None)

    def _dial(self, process: int) -> None:
        try:
            sock = native_socket(socket.AF_UNIX, socket.SOCK_STREAM)
        except OSError as error:
            self._be_in_trouble(f"no socket can be opened: {error.strerror}")
            return
        try:
            sock.connect(self._folder.socket_path(process))
        except OSError:  # it is gone, or so many wait for it: the next beat tries again
            sock.close()
            self._came(process)
            return
        self._add(sock, process)

    def _add(self, sock: Any, expected: int | None) -> None:
        self._all[Link(self, sock, expected)] = expected

    def _came(self, process: int) -> None:
        """``start`` need not wait for it any more."""
        self._awaited.discard(process)
        if not self._awaited:
            self._all_joined.set()

    # -- each second -------------------------------------------------------------------------------------------------
    def _beat(self) -> None:
        try:
            since = time.monotonic() - ANSWER_TIME
            for link in list(self._all):
                self.dropped += link.dropped
                link.beat(since)
            self._look()
        except (OSError, StartError) as error:
            self._be_in_trouble(str(error))
        except Exception:
            log.exception("the relay of this process cannot look after itself")

    def _look(self) -> None:
        """See that this process is in its place, and linked to all others."""
        assert self._place is not None
        self._trouble = ""
        if not self._folder.has(self._place):
            old, self._place = self._place, self._folder.enter_again(self._place)
            self._listen()
            old.close()
        self._acceptor.start(self._accept)
        self._accept()
        linked = {process for process in self._all.values() if process is not None} | self._greeted.keys() | {self.process}
        if not self._folder.processes() <= linked:
            for process in self._living(linked):
                if is_younger(self.process, process):
                    self._dial(process)
        if self._told and not self._trouble:
            log.warning("processes can meet in %s again", self._path)
            self._told = ""

    def _living(self, known: set[int]) -> Sequence[int]:
        try:
            return self._folder.clear(known)
        except BlockingIOError:  # somebody comes: the next beat looks again
            return ()

    def _be_in_trouble(self, why: str) -> None:
        self._trouble = why
        if why != self._told:
            log.warning("processes cannot meet in %s: %s", self._path, why)
            self._told = why

    @property
    def healthy(self) -> bool:
        return self._place is not None and not self._trouble

    # -- what links say ----------------------------------------------------------------------------------------------
    def greeted(self, link: Link) -> None:
        before = self._greeted.get(link.process)
        if before is not None:  # the other side has given that one up already
            before.close()
        if self._parting.pop(link.process, None) is not None:
            self._tell_lost(link.process)
        self._greeted[link.process] = link
        link.tell_table(self._wanted)

    def joined(self, link: Link) -> None:
        self._links[link.process] = link
        for target in link.wanted:
            self._interests.set(link.process, target, wanted=True)
        self._came(link.process)
        self.receiver.joined(link.process)

    def wants(self, link: Link, target: str, wanted: bool) -> None:
        self._interests.set(link.process, target, wanted)

    def closed(self, link: Link) -> None:
        self.dropped += link.dropped
        expected = self._all.pop(link)
        if expected is not None:
            self._came(expected)
        if self._greeted.get(link.process) is link:
            del self._greeted[link.process]
        if self._links.get(link.process) is link:
            del self._links[link.process]
            self._interests.forget(link.process)
            if self._place is not None:
                self._parting[link.process] = _LOOKS
                self._part()

    def _part(self) -> None:
        """Tell who is lost as soon as it has ended, or is seen to live: ``lives`` is right about it from then on."""
        for process, looks in list(self._parting.items()):
            if looks and self._folder.is_alive(process):
                self._parting[process] = looks - 1
            else:
                del self._parting[process]
                self._tell_lost(process)
        if self._parting:
            self._parting_timer.start(self._part)
        elif self._parting_timer is not None:
            self._parting_timer.stop()

    def _tell_lost(self, process: int) -> None:
        try:
            self.receiver.lost(process)
        except Exception:
            log.exception("that process %d is gone could not be told", process)

    def flush_later(self, link: Link) -> None:
        if not self._unflushed:
            run_soon(self._flush_all)
        self._unflushed.append(link)

    def _flush_all(self) -> None:
        unflushed, self._unflushed = self._unflushed, []
        for link in unflushed:
            if link.waits_for_flush:
                link.flush()

    # -- what the Hub asks -------------------------------------------------------------------------------------------
    def processes(self) -> Sequence[int]:
        return tuple(self._links)

    def lives(self, process: int) -> bool:
        return process in self._links or self._folder.is_alive(process)

    def interest(self, target: str, here: bool) -> None:
        if here == (target in self._wanted):
            return
        if here:
            self._wanted[target] = None
        else:
            del self._wanted[target]
        for link in list(self._greeted.values()):
            link.tell_want(target, here)

    def interested(self, target: str) -> Sequence[int]:
        return self._interests.of(target)

    def tell(self, processes: Sequence[int], packet: bytes) -> int:
        if self._is_too_large(packet):
            return 0
        frame = frames.frame(TELL, packet)
        handed = 0
        for process in processes:
            link = self._links.get(process)
            if link is not None:
                handed += link.queue(frame)
        return handed

    def call(self, processes: Sequence[int], packet: bytes) -> Calls:
        calls = Calls(time.monotonic())
        if self._is_too_large(packet):
            return calls
        number = next(self._numbers) % _NUMBERS
        frame = frames.numbered(CALL, number, packet)
        for process in processes:
            link = self._links.get(process)
            if link is not None:
                link.call(frame, number, calls)
        return calls

    def _is_too_large(self, packet: bytes) -> bool:
        if len(packet) <= _LARGEST:
            return False
        self.dropped += 1
        log.warning("a packet of %d bytes was dropped: %d at most", len(packet), _LARGEST)
        return True
