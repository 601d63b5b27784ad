"""Under Gunicorn: its arbiter (see ``arbiter``) supervises, our worker serves.

All sockets are opened in the master and inherited, so that a restarted worker loses nothing that waits in the kernel.  What application
is served is said by a subclass (see ``greenimi.deploy``).
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import gevent
from gevent import get_hub
from gevent import socket as gsocket
from gevent.event import Event
from gunicorn.workers.ggevent import GeventWorker

from greenimi import green
from greenimi.errors import StartError
from greenimi.servers.doors import Doors, Sockets
from greenimi.servers.master.berth import Berth
from greenimi.servers.master.limits import WorkerLimits
from greenimi.servers.master.priority import come_forward, step_aside, step_back

_BOOT_ERROR = 3
"""Exit status that tells the arbiter that starting again is of no use."""

_RESERVE = 1.0
"""Seconds of ``graceful_timeout`` that are left for the end, so that exit handlers still run; less when it is short."""


class Application(Protocol):
    """What a worker serves."""

    @property
    def doors(self) -> Doors: ...

    def start(self, sockets: Sockets, *, share: bool) -> object: ...

    def announce_drain(self, *, restart: bool, window: float) -> None: ...

    def drain(self, *, restart: bool, window: float) -> None: ...

    def stop(self) -> None: ...


class GreenWorker(GeventWorker):
    """Gunicorn's gevent worker with our doors in the place of its request loop."""

    berth: Berth
    """Set by the arbiter on the class before Gunicorn makes a worker, which keeps it as its own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.berth = type(self).berth

    def application(self, berth: Berth) -> Application:
        """The application, built in the worker.  Raises StartError."""
        raise NotImplementedError

    # -- in the master -----------------------------------------------------------------------------------------------
    @classmethod
    def check_config(cls, _cfg: Any, log: Any) -> None:
        """Once, before the first fork."""
        if not cls.supervised:
            log.error("the hook on_starting was replaced: call greenimi.deploy.on_starting(arbiter) in yours")
            sys.exit(1)

    supervised = False
    """Our arbiter took over."""

    # -- in a worker -------------------------------------------------------------------------------------------------
    def init_process(self) -> None:
        self.berth.settle()
        if self.berth.modest:
            step_back()
        super().init_process()

    def patch(self) -> None:
        """Gunicorn would make its own sockets of our listeners here."""
        green.patch()

    def load_wsgi(self) -> None:
        """Build the application in the place of a WSGI callable.  A mistake in it is one message, not a traceback."""
        self._stop = Event()
        self._quick = False
        self._restart = False
        with self._telling_why():
            self._application = self.application(self.berth)
            green.require_patched()
        gc.collect()  # now, not with the doors open
        for module, instead in green.blocking_drivers():
            self.log.warning("%s lets nobody else run while it waits: %s", module, instead)

    @contextmanager
    def _telling_why(self) -> Iterator[None]:
        try:
            yield
        except StartError as error:
            self.log.error("the application cannot start: %s", error)
            self.berth.worker.say(failed=str(error)[:4000])
            sys.exit(_BOOT_ERROR)

    def run(self) -> None:
        application = self._application
        if self.berth.modest:
            come_forward()  # before a door opens: whoever comes in is served like everybody else
        with self._telling_why():
            application.start(self._sockets(application.doors.names), share=True)
        doors = application.doors
        doors.runtime.retire = self._retire
        doors.runtime.each_second.append(WorkerLimits(doors.settings, doors, self._retire).look)
        _calm_collector()
        self._orders = get_hub().loop.io(self.berth.worker.fileno(), 1)
        self._orders.start(self._listen)
        self.berth.worker.say(ready=True)
        while self.alive:
            self.notify()
            self._stop.wait(1.0)
        self._leave(application)
        self._orders.stop()
        self._orders.close()

    def _retire(self, why: str) -> None:
        """Ask for a successor."""
        self.berth.worker.say(retire=why)

    def _leave(self, application: Application) -> None:
        """Finish the work at hand and go, within ``graceful_timeout``, the exit handlers included."""
        self.berth.worker.say(leaving=True, reads=[])
        patience = self.cfg.graceful_timeout
        reserve = application.doors.last_words + min(_RESERVE, patience * 0.2)
        settings = application.doors.settings
        if not self._restart and not self._quick:
            application.announce_drain(restart=False, window=settings.drain_window)
            patience -= self._serve_on(min(settings.drain_delay, (patience - reserve) / 2))
        window = min(settings.drain_window, (patience - reserve) / 2)
        application.drain(restart=self._restart, window=0.0 if self._quick else window)
        if not self._quick:
            application.doors.finish(patience - reserve, self.notify)
        step_aside()  # what is left is ours alone
        application.stop()

    def _serve_on(self, seconds: float) -> float:
        """Go on for so many seconds, or until a signal asks to be quick."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self._quick:
            self.notify()
            gevent.sleep(min(0.1, seconds))
        return seconds

    def _sockets(self, names: Sequence[str]) -> dict[str, list[Any]]:
        """Every server's sockets, as gevent knows them.  StartError when the master opened none for one of ``names``."""
        sockets: dict[str, list[Any]] = {}
        for name in names:
            if all(listener.server != name for listener in self.berth.listeners):
                raise StartError(f"the server {name} has no socket", hint="conf changed while the application was starting: start again")
        for listener in self.berth.listeners:
            sock = listener.sock
            opened = gsocket.socket(sock.family, sock.type, fileno=sock.detach())
            opened.setblocking(False)
            sockets.setdefault(listener.server, []).append(opened)
        return sockets

    # -- orders of the master ----------------------------------------------------------------------------------------
    def _listen(self) -> None:
        """In the hub."""
        words = self.berth.worker.heard()
        if words is None:  # the master is gone
            self._orders.stop()
            self._go()
        for word in words or ():
            self._obey(word)

    def _obey(self, word: Mapping[str, Any]) -> None:
        if "read" in word and self.alive:
            self._application.doors.read(word["read"])
            self.berth.worker.say(reads=word["read"])
        if "leave" in word:
            self._restart = word["leave"] == "restart"
            self._quick = self._quick or word["leave"] == "quickly"
            self._go()

    def _go(self) -> None:
        self.alive = False
        self._stop.set()

    def notify(self) -> None:
        """Tell the arbiter that this worker is alive; leave in order when there is no arbiter any more."""
        self.tmp.notify()
        if self.ppid != os.getppid():
            self.alive = False

    def handle_quit(self, sig: int, frame: Any) -> None:
        """SIGINT, SIGQUIT: stop without waiting for the messages at hand."""
        self._quick = True
        self.handle_exit(sig, frame)

    def handle_exit(self, sig: int, frame: Any) -> None:
        self.alive = False
        get_hub().loop.run_callback_threadsafe(self._stop.set)


def check_gunicorn(cfg: Any) -> None:
    """Refuse settings of Gunicorn that have no meaning here and would do harm.  Raises StartError."""
    if cfg.preload_app:
        raise StartError(
            "preload_app cannot be used", hint="take it out of Gunicorn's settings: each worker imports the application itself"
        )
    if cfg.reuse_port:
        raise StartError("reuse_port cannot be used", hint="take it out of Gunicorn's settings: the master opens all sockets")
    if cfg.workers < 1:
        raise StartError("there must be at least one worker", hint="set workers.count in conf, or -w")


def _calm_collector() -> None:
    """Messages leave no cycles, so look for them less often, and never again among what an application is made of."""
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
