"""A rolling reload, step by step: nothing of what serves is touched before everything new is known to work.

1. *checking*: a fresh process reads conf and builds the application.  It fails: nothing else happens.
2. *booting*: the master reads conf, opens new addresses and starts the new workers, a few at a time, with a pause between.  One fails: all
   of them end, the master takes back its settings, the old workers serve on.
3. *settling*: all of them are ready and stay so for a moment.
4. *retiring*: the old workers finish their work and leave; then addresses that are gone from conf are closed.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from gevent import monkey
from gunicorn import util

from greenimi.errors import StartError
from greenimi.servers.entrance import tls
from greenimi.servers.gunicorn import check_gunicorn
from greenimi.servers.master.berth import BOOTING, LEAVING, READY
from greenimi.servers.master.priority import PATIENCE, come_forward, step_aside, step_back

if TYPE_CHECKING:
    from greenimi.hub.settings import HubSettings
    from greenimi.servers.master.arbiter import GreenArbiter
    from greenimi.servers.master.control import Caller
    from greenimi.servers.master.listeners import Change
    from greenimi.servers.settings import WorkerSettings

_close = monkey.get_original("os", "close")  # gevent's own waits for a turn of the hub, and none turns in the master

_BREATH = 0.5
"""Seconds that a new worker has been ready before the next one is started: clients that waited for the processors are served meanwhile."""

_SETTLES = 1.0
"""Seconds that new workers must stay ready before the old ones leave."""

_MOST_OUTPUT = 8192


class Roll:
    """One reload of one master.  ``step`` goes on as far as it can without waiting."""

    def __init__(self, arbiter: GreenArbiter, caller: Caller | None) -> None:
        self._arbiter = arbiter
        self._caller = caller
        self.generation = -1
        self.checker = 0
        self.descriptor: int | None = None
        self._output = b""
        self._code: int | None = None
        self._change: Change | None = None
        self._before: tuple[Any, int, int, WorkerSettings, HubSettings] | None = None
        self._settled = 0.0
        self._phase: Callable[[], None] = self._checking
        self._began = time.monotonic()
        self._deadline = self._began + arbiter.settings.boot_timeout
        self._say("checking the configuration and the application in a fresh process")
        self._check()

    def _say(self, text: str) -> None:
        self._arbiter.log.info("Reload: %s", text)
        if self._caller is not None:
            self._caller.say(text)

    def step(self) -> None:
        self._phase()

    @property
    def exclusive(self) -> bool:
        """While it starts workers nobody else does."""
        return self._phase in (self._booting, self._settling)

    # -- checking ----------------------------------------------------------------------------------------------------
    def _check(self) -> None:
        read, write = os.pipe()
        os.set_blocking(read, False)
        step = step_back if self._arbiter.may_return() else step_aside
        self.checker = os.fork()
        if not self.checker:
            self._check_apart(write, step)
        _close(write)
        self.descriptor = read

    def _check_apart(self, output: int, step: Callable[[], None]) -> NoReturn:
        """In the checking process: a fork of the master, as new workers will be, and like them without anything of the application.

        Starting Python anew would find nothing that a new worker would not, and take half a second of computing from those who serve.
        """
        code = 1
        try:
            for number in (*self._arbiter.SIGNALS, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            step()
            for stream in (1, 2):
                os.dup2(output, stream)
            self._arbiter.leave_master()
            self._arbiter.app.reload()
            check_gunicorn(self._arbiter.app.cfg)
            self._arbiter.deployment.check()
            code = 0
        except SystemExit as error:  # the reason was told
            code = error.code if isinstance(error.code, int) else code
        except StartError as error:
            sys.stderr.write(f"{error}\n")
        except BaseException:
            traceback.print_exc()
        finally:
            for text in (sys.stdout, sys.stderr):
                text.flush()
            os._exit(code)

    def checked(self, code: int) -> None:
        """The checking process ended."""
        self._code = code

    def _checking(self) -> None:
        self._read_output()
        if self._code is None:
            if time.monotonic() > self._began + PATIENCE and self._arbiter.may_return():
                come_forward(self.checker)
            if time.monotonic() > self._deadline:
                os.kill(self.checker, signal.SIGKILL)
                self._code = -signal.SIGKILL
            return
        self._read_output()
        self._close_output()
        if self._code:
            told = self._output.decode(errors="replace").strip() or f"the check ended with {self._code}"
            self._end(done=False, text=f"refused, nothing was changed:\n{told}")
            return
        self._take_settings()

    def _read_output(self) -> None:
        while self.descriptor is not None:
            try:
                data = os.read(self.descriptor, 65536)
            except BlockingIOError:
                return
            if not data:
                self._close_output()
            self._output = (self._output + data)[-_MOST_OUTPUT:]

    def _close_output(self) -> None:
        if self.descriptor is not None:
            _close(self.descriptor)
            self.descriptor = None

    def leave_master(self) -> None:
        """In a worker: close the copies."""
        self._close_output()
        if self._caller is not None:
            self._caller.sock.close()
        for listener in self._change.gone if self._change is not None else ():
            listener.close()

    # -- booting -----------------------------------------------------------------------------------------------------
    def _take_settings(self) -> None:
        """Read conf in the master as well; all as before when that fails after all (it changed again, an address is taken)."""
        arbiter = self._arbiter
        self._before = (arbiter.app.cfg, arbiter.num_workers, arbiter.generation, arbiter.settings, arbiter.hub)
        try:
            arbiter.app.reload()
            check_gunicorn(arbiter.app.cfg)
            settings = arbiter.deployment.workers()
            hub = arbiter.deployment.hub()
            servers = arbiter.deployment.servers(arbiter.app.cfg)
            tls.prepare(servers.values())
            self._change = arbiter.listeners.update(servers, arbiter.app.cfg.workers)
            for listener in self._change.opened:
                listener.give(arbiter.app.cfg.uid, arbiter.app.cfg.gid)
        except (Exception, SystemExit) as error:  # Gunicorn exits on settings that it does not understand
            arbiter.app.cfg = arbiter.cfg
            if self._change is not None:  # it had opened new addresses already
                arbiter.listeners.undo(self._change)
            why = str(error) if isinstance(error, StartError) else f"the settings cannot be used ({error!r})"
            self._end(done=False, text=f"refused, nothing was changed:\n{why}")
            return
        arbiter.settings, arbiter.hub = settings, hub
        arbiter.setup(arbiter.app)
        arbiter.log.reopen_files()
        arbiter.LISTENERS = arbiter.listeners.addresses()
        arbiter.cfg.on_reload(arbiter)
        util._setproctitle(f"master [{arbiter.proc_name}]")
        self.generation = arbiter.next_generation()
        self._say(f"starting {arbiter.num_workers} new workers, generation {self.generation}")
        self._phase = self._booting
        self._booting()

    def _booting(self) -> None:
        arbiter = self._arbiter
        mine = {berth.place: berth for berth in arbiter.berths() if berth.generation == self.generation and berth.state != LEAVING}
        if len(mine) == arbiter.num_workers and all(berth.state == READY for berth in mine.values()):
            self._say("all new workers are ready")
            self._settled = time.monotonic() + _SETTLES
            self._phase = self._settling
            return
        together = max(1, arbiter.num_workers // 4)  # so that those that serve keep most of the processors
        for place in range(arbiter.num_workers):
            if place not in mine and sum(berth.state == BOOTING or berth.age < _BREATH for berth in mine.values()) < together:
                arbiter.spawn(place)
                mine = {berth.place: berth for berth in arbiter.berths() if berth.generation == self.generation}

    def _settling(self) -> None:
        if time.monotonic() < self._settled:
            return
        self._say("the old workers finish their work")
        for berth in self._arbiter.berths():
            if berth.generation != self.generation:
                berth.leave(restart=True)
        self._phase = self._retiring
        self.generation = -1  # a new worker that dies from now on is simply replaced

    def fail(self, why: str) -> None:
        """A new worker failed: end all new ones, be as before."""
        arbiter = self._arbiter
        assert self._before is not None
        assert self._change is not None
        for berth in arbiter.berths():
            if berth.generation == self.generation:
                if berth.state == READY:  # it may have clients already
                    berth.leave(restart=True)
                else:
                    berth.leave_quickly()
        arbiter.app.cfg, workers, arbiter.generation, arbiter.settings, arbiter.hub = self._before
        arbiter.listeners.undo(self._change)
        arbiter.LISTENERS = arbiter.listeners.addresses()
        arbiter.setup(arbiter.app)
        arbiter.num_workers = workers
        self._end(done=False, text=f"rolled back, the old workers serve on:\n{why}")

    # -- retiring ----------------------------------------------------------------------------------------------------
    def _retiring(self) -> None:
        arbiter = self._arbiter
        old = [berth for berth in arbiter.berths() if berth.generation < arbiter.generation]
        if old:
            return
        assert self._change is not None
        for listener in self._change.gone:
            listener.remove()
        self._end(done=True, text=f"done: generation {arbiter.generation}, {arbiter.num_workers} workers")

    def abandon(self, why: str) -> None:
        """The master stops in the middle of it."""
        if self.checker and self._code is None:
            os.kill(self.checker, signal.SIGKILL)
        self._close_output()
        self._end(done=False, text=why)

    def _end(self, *, done: bool, text: str) -> None:
        (self._arbiter.log.info if done else self._arbiter.log.error)("Reload: %s", text)
        if self._caller is not None:
            self._caller.answer(done=done, text=text)
        self._arbiter.rolled(done=done, text=text)
