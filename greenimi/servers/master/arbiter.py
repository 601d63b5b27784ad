"""The master process: Gunicorn's arbiter, but a successor is ready before its predecessor goes, and no reload can stop the service.

What it does otherwise than Gunicorn's own: sockets stay open whatever conf says (see ``listeners``); a reload is checked in a fresh process
first, and only when every new worker is ready do the old ones leave (see ``roll``); a worker that asks for a successor (too many messages,
too much memory, a handler that does not stop) serves on until it has one; a worker that dies is replaced at once, with growing pauses when
it dies again and again; UDP slots have one reader at a time; ``greenimi status``, ``reload`` and ``drain`` are answered.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from queue import SimpleQueue
from typing import Any, Protocol

import gevent
from gevent import monkey
from gunicorn.arbiter import Arbiter
from gunicorn.errors import HaltServer

from greenimi.errors import StartError
from greenimi.hub.settings import HubSettings
from greenimi.servers.entrance import tls
from greenimi.servers.gunicorn import check_gunicorn
from greenimi.servers.master import systemd
from greenimi.servers.master.berth import BOOTING, LEAVING, READY, Berth
from greenimi.servers.master.control import Caller, Control, control_folder
from greenimi.servers.master.listeners import HANDED_OVER, Listeners
from greenimi.servers.master.priority import PATIENCE, come_forward, ending, may_return
from greenimi.servers.master.roll import Roll
from greenimi.servers.master.run_folder import MasterFolder
from greenimi.servers.master.status import status_of
from greenimi.servers.settings import ServerSettings, WorkerSettings
from greenimi.servers.watch import totals
from greenimi.servers.watch.scoreboard import Scoreboard

_poll = monkey.get_original("select", "poll")  # the master has nothing to do meanwhile: no hub turns
_close = monkey.get_original("os", "close")  # gevent's own waits for a turn of the hub
_Queue = monkey.get_original("queue", "SimpleQueue")

_YOUNG = 5.0
"""Seconds: a worker that dies younger than that is not replaced at once."""

_LONGEST_PAUSE = 30.0
_MARGIN = 2.0  # seconds beyond graceful_timeout after which a leaving worker is killed; it means to be gone before that


class Deployment(Protocol):
    """What is served, read anew whenever it is asked."""

    @property
    def conf(self) -> str:
        """The file, as it is told to people."""

    def servers(self, cfg: Any) -> Mapping[str, ServerSettings]:
        """The configured servers.  Raises StartError."""

    def workers(self) -> WorkerSettings: ...

    def hub(self) -> HubSettings: ...

    def check(self) -> None:
        """Return when the application would start; else say why on stderr and raise SystemExit, or raise what is wrong."""


class GreenArbiter(Arbiter):
    """See the module.  Gunicorn makes an Arbiter; ``take_over`` makes it one of ours before it opened anything."""

    WORKERS: dict[int, Any]
    START_CTX: dict[Any, Any]
    reexec_pid: int
    deployment: Deployment
    settings: WorkerSettings

    @classmethod
    def take_over(cls, arbiter: Any, deployment: Deployment) -> None:
        """Called from Gunicorn's ``on_starting``."""
        arbiter.__class__ = cls
        arbiter.begin(deployment)

    def begin(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.SIG_QUEUE: SimpleQueue[int] = _Queue()
        self._wake = os.pipe()
        for fd in self._wake:
            os.set_blocking(fd, False)
        # the command as it was typed: Gunicorn's own guess breaks `python -m gunicorn`
        self.START_CTX = {**self.START_CTX, "args": [sys.executable, *sys.orig_argv[1:]]}
        self._systemd = os.environ.pop("NOTIFY_SOCKET", "")  # Gunicorn would say READY before any worker is
        self.since = time.time()
        self.generation = self._generations = 1
        self.board = Scoreboard()
        self.roll: Roll | None = None
        self._again = False  # a HUP came during a reload
        self.last_roll: dict[str, Any] | None = None
        self._told_ready = False
        self._watched = 0.0  # when the watchdog was told
        self._next_successor: dict[int, float] = {}  # by place: when the next may be started for one that asks for it
        self._ever_ready = False
        self._may_return: bool | None = None  # not known yet
        self._stopping = False
        self._pauses: dict[int, tuple[int, float]] = {}  # by place: how often it failed in a row, and when to try again
        self.listeners = Listeners()
        try:
            check_gunicorn(self.cfg)
            self.settings = deployment.workers()
            self.hub = deployment.hub()
            self.listeners.adopt(os.environ)
            servers = deployment.servers(self.cfg)
            tls.prepare(servers.values())
            for listener in self.listeners.update(servers, self.cfg.workers).opened:
                listener.give(self.cfg.uid, self.cfg.gid)
            folder = control_folder(self.settings.control)
            self.run_folder = MasterFolder(folder, self.cfg.uid, self.cfg.gid, os.environ)
            self.control = Control(folder, self._asked)
        except StartError as error:
            self.log.error("%s", error)
            if self.pidfile is not None:
                self.pidfile.unlink()
            sys.exit(1)
        self.LISTENERS = self.listeners.addresses()

    # -- the loop ----------------------------------------------------------------------------------------------------
    def signal(self, sig: int, frame: Any) -> None:
        self.SIG_QUEUE.put(sig)
        try:
            os.write(self._wake[1], b"!")
        except OSError:
            pass  # it is full: the loop is awake anyway

    signal_chld = signal

    def wait_for_signals(self, timeout: float | None = 1.0) -> list[int]:
        """Wait for a signal, a word of a worker, a question at the control socket; answer all but the signals."""
        watched = _poll()
        for fd in (self._wake[0], *self.control.descriptors(), *(berth.master.fileno() for berth in self.berths())):
            watched.register(fd, 1)
        if self.roll is not None and self.roll.descriptor is not None:
            watched.register(self.roll.descriptor, 1)
        watched.poll(1000 * (timeout or 0))
        try:
            os.read(self._wake[0], 4096)
        except BlockingIOError:
            pass
        gevent.sleep(0)  # one turn of the hub, for what gevent leaves to it: ended children, closed descriptors
        self._listen()
        self.control.serve()
        found = []
        while not self.SIG_QUEUE.empty():
            found.append(self.SIG_QUEUE.get())
        return [number for number in found if number != self.WAKEUP_REQUEST]

    def _listen(self) -> None:
        for worker in list(self.WORKERS.values()):
            berth: Berth = worker.berth
            words = berth.master.heard()
            for word in words or ():
                self._heard(worker, berth, word)
        self.reap_workers()

    def _heard(self, worker: Any, berth: Berth, word: Mapping[str, Any]) -> None:
        if "ready" in word and berth.state == BOOTING:
            berth.move(READY)
            self._ever_ready = True
            self.log.info("Worker %d is ready (pid: %d, generation %d)", berth.place, worker.pid, berth.generation)
        if "reads" in word:
            berth.reads = frozenset(word["reads"])
        if "leaving" in word and berth.state != LEAVING:
            berth.move(LEAVING)
        if "retire" in word and not berth.retiring:
            berth.retiring = word["retire"]
            self.log.info("Worker %d (pid: %d) asks for a successor: %s", berth.place, worker.pid, berth.retiring)
        if "failed" in word:
            berth.failed = word["failed"]

    def berths(self) -> Iterator[Berth]:
        """Those of all living workers, the oldest first."""
        return (worker.berth for worker in sorted(self.WORKERS.values(), key=lambda worker: worker.age))

    # -- workers -----------------------------------------------------------------------------------------------------
    def manage_workers(self) -> None:
        """Once a turn of the loop: everything is compared with how it should be."""
        if self._systemd:
            os.environ.setdefault("NOTIFY_SOCKET", self._systemd)
        if self.roll is not None:
            self.roll.step()
        if self.roll is None or not self.roll.exclusive:
            self._fill()
        self._replace()
        self._assign()
        self._end_the_late()
        self._tell_systemd()

    def _tell_systemd(self) -> None:
        if not self._told_ready and self.is_complete():
            self._told_ready = systemd.notify(f"READY=1\nMAINPID={self.pid}\nSTATUS={self.num_workers} workers") or not self._systemd
        if time.monotonic() - self._watched >= 1.0:
            self._watched = time.monotonic()
            systemd.notify("WATCHDOG=1")

    def is_complete(self) -> bool:
        """Every place has a worker that is ready."""
        return {berth.place for berth in self.berths() if berth.state == READY} >= set(range(self.num_workers))

    def _staying(self, place: int) -> list[Berth]:
        return [berth for berth in self.berths() if berth.place == place and berth.state != LEAVING]

    def _fill(self) -> None:
        """Have a worker at each place, and a second one where the first asks for a successor."""
        for place in range(self.num_workers):
            staying = self._staying(place)
            if not staying:
                self.spawn(place)
            elif len(staying) == 1 and staying[0].retiring and time.monotonic() > self._next_successor.get(place, 0.0):
                self._next_successor[place] = time.monotonic() + _LONGEST_PAUSE  # else a limit that every worker breaks would fork for ever
                self.spawn(place)

    def _replace(self) -> None:
        """Who has a successor that is ready leaves, and who stands at a place that is not wanted any more."""
        for berth in self.berths():
            unwanted = berth.place >= self.num_workers
            if not unwanted and not (self.roll is not None and self.roll.exclusive):
                staying = self._staying(berth.place)
                unwanted = berth in staying and any(later.state == READY for later in staying[staying.index(berth) + 1 :])
            if unwanted:
                berth.leave(restart=True)

    def spawn(self, place: int) -> None:
        """Start a worker of the present generation, unless that failed a moment ago."""
        if time.monotonic() < self._pauses.get(place, (0, 0.0))[1]:
            return
        used = {berth.slot for berth in self.berths()}
        slot = next(number for number in range(1, 1 + len(used) + 1) if number not in used)
        if slot >= self.board.slots:
            self.log.error("Worker %d cannot be started: there are %d already", place, len(used))
            self._pauses[place] = (0, time.monotonic() + _LONGEST_PAUSE)
            return
        berth = Berth(place, self.generation, slot, self.board, list(self.listeners), self.leave_master)
        berth.modest = self._ever_ready and self.may_return()
        self.worker_class.berth = berth
        with ending(self.pid):
            self.spawn_worker()  # does not return in the worker
        berth.worker.close()

    def may_return(self) -> bool:
        """Whether processes that step back for those that serve can come forward again."""
        if self._may_return is None:
            self._may_return = may_return()
        return self._may_return

    def leave_master(self) -> None:
        """In a worker: close what only the master needs."""
        self.control.leave()
        self.run_folder.leave()
        for fd in self._wake:
            _close(fd)
        for berth in self.berths():
            berth.master.close()
        if self.roll is not None:
            self.roll.leave_master()

    def next_generation(self) -> int:
        self._generations += 1
        self.generation = self._generations
        self._pauses.clear()
        return self.generation

    def _assign(self) -> None:
        """Have each UDP slot read by the worker of its place, once its last reader confirmed that it stopped."""
        slots = {listener.slot for listener in self.listeners if listener.kind == "udp"}
        if not slots or self.master_pid:  # the master before us still reads
            return
        berths = list(self.berths())
        for berth in berths:
            wanted = frozenset[int]()
            if berth.state == READY and berth is self._readers().get(berth.place):
                own = {slot for slot in slots if slot % self.num_workers == berth.place}
                wanted = frozenset(own.difference(*(other.reads | other.asked for other in berths if other is not berth)))
            if berth.state == READY:
                berth.read(wanted)

    def _readers(self) -> dict[int, Berth]:
        """By place: the newest that is ready, of the generation that serves."""
        return {berth.place: berth for berth in self.berths() if berth.state == READY}

    def murder_workers(self) -> None:
        """Kill workers whose loop stands still.  One that still imports its application has ``boot_timeout`` instead."""
        for worker in self.WORKERS.values():
            if worker.berth.state == BOOTING:
                worker.tmp.notify()
        super().murder_workers()

    def _end_the_late(self) -> None:
        for pid, worker in list(self.WORKERS.items()):
            berth: Berth = worker.berth
            if berth.state == BOOTING and berth.modest and berth.age > PATIENCE:
                come_forward(pid)
            if berth.state == LEAVING and berth.age > worker.cfg.graceful_timeout + _MARGIN:
                self.log.error("Worker %d (pid: %d) did not leave in time and is killed", berth.place, pid)
            elif berth.state == BOOTING and berth.age > self.settings.boot_timeout:
                berth.failed = f"it was not ready after {self.settings.boot_timeout} s"
                self.log.error("Worker %d (pid: %d) was not ready after %d s and is killed", berth.place, pid, self.settings.boot_timeout)
            else:
                continue
            self.kill_worker(pid, signal.SIGKILL)

    # -- the end of a worker -----------------------------------------------------------------------------------------
    def reap_workers(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            code = os.waitstatus_to_exitcode(status)
            if pid == self.reexec_pid:
                self.reexec_pid = 0
                self.log.error("The new master (pid: %d) ended with %d; this one serves on", pid, code)
            elif pid == self.dirty_arbiter_pid:
                self.handle_dirty_arbiter_exit(pid, status)
            elif self.roll is not None and pid == self.roll.checker:
                self.roll.checked(code)
            elif pid in self.WORKERS:
                self._gone(self.WORKERS.pop(pid), code)

    def _gone(self, worker: Any, code: int) -> None:
        berth: Berth = worker.berth
        for word in berth.master.heard() or ():  # its last
            self._heard(worker, berth, word)
        berth.close()
        totals.retire(self.board, berth.slot)
        worker.tmp.close()
        self.cfg.child_exit(self, worker)
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
        if code == -signal.SIGKILL:
            how += " (out of memory?)"
        (self.log.info if berth.state == LEAVING and not code else self.log.error)("Worker %d (pid: %d) %s", berth.place, worker.pid, how)
        if self._stopping or berth.state == LEAVING:
            return
        why = f"worker {berth.place} {how}" + (f": {berth.failed}" if berth.failed else "")
        if self.roll is not None and berth.generation == self.roll.generation:
            self.roll.fail(why)
        elif berth.state == BOOTING and not self._ever_ready:
            raise HaltServer(why, self.WORKER_BOOT_ERROR)
        elif berth.age < _YOUNG or berth.state == BOOTING:
            failures = self._pauses.get(berth.place, (0, 0.0))[0] + 1
            pause = min(_LONGEST_PAUSE, 2.0 ** (failures - 1)) if failures > 1 else 0.0
            self._pauses[berth.place] = (failures, time.monotonic() + pause)
            self.log.error("Worker %d is started again in %.0f s, failure %d in a row", berth.place, pause, failures)
        else:
            self._pauses.pop(berth.place, None)

    def stop(self, graceful: bool = True) -> None:
        if self.roll is not None:
            self.roll.abandon("the service stops")
        self._stopping = True
        if not self.reexec_pid:  # else the service goes on, with another master
            systemd.notify("STOPPING=1")
        self.control.close()
        for berth in self.berths():  # a signal would be lost on a worker that has not yet its own handlers
            if graceful:
                berth.leave(restart=False)
            else:
                berth.leave_quickly()
        super().stop(graceful)
        self.run_folder.close(last=not self.reexec_pid)

    # -- reload and upgrade ------------------------------------------------------------------------------------------
    def handle_hup(self) -> None:
        if self.roll is not None:
            self.log.info("A reload is under way; another one follows")
            self._again = True
        else:
            self.reload()

    def reload(self, caller: Caller | None = None) -> None:
        """Begin a reload; :class:`Roll` goes on with it."""
        if self.roll is not None:
            if caller is not None:
                caller.answer(done=False, text="a reload is under way already")
            return
        self._stats["reloads"] += 1
        systemd.notify(systemd.reloading("reloading"))
        self.roll = Roll(self, caller)

    def rolled(self, *, done: bool, text: str) -> None:
        """The reload is over, well or not."""
        self.roll = None
        self.last_roll = {"ok": done, "text": text, "when": time.time()}
        if self._again:
            self._again = False
            self.SIG_QUEUE.put(signal.SIGHUP)
        systemd.notify(f"READY=1\n{systemd.status_line(text.splitlines()[0])}")

    def handle_usr2(self) -> None:
        """Start a new master beside this one, on the same sockets; it serves TCP and HTTP at once, UDP when this one is gone."""
        if self.roll is not None:
            self.log.error("USR2 is ignored during a reload")
            return
        self.cfg.env_orig[HANDED_OVER] = self.listeners.hand_over()
        self.run_folder.hand_over(self.cfg.env_orig)
        super().handle_usr2()

    # -- questions ---------------------------------------------------------------------------------------------------
    def _asked(self, question: Mapping[str, Any], caller: Caller) -> None:
        what = question.get("do")
        if what == "status":
            caller.answer(done=True, status=status_of(self))
        elif what == "reload":
            self.reload(caller)
        elif what == "upgrade" and (self.roll is not None or self.reexec_pid or self.master_pid):
            caller.answer(done=False, text="a reload or an upgrade is under way already")
        elif what == "upgrade":
            self.SIG_QUEUE.put(signal.SIGUSR2)
            caller.answer(done=True)
        elif what == "drain":
            self._drain(question.get("worker"), caller)
        else:
            caller.answer(done=False, text=f"this master does not know how to do {what!r}")

    def _drain(self, place: Any, caller: Caller) -> None:
        if place is None:
            caller.answer(done=True, pid=self.pid)
            self.SIG_QUEUE.put(signal.SIGTERM)
            return
        staying = self._staying(place) if isinstance(place, int) else []
        if not staying:
            caller.answer(done=False, text=f"there is no worker {place}; places are 0 to {self.num_workers - 1}")
            return
        staying[-1].retiring = staying[-1].retiring or "asked by an operator"
        self._next_successor.pop(place, None)
        caller.answer(done=True)
