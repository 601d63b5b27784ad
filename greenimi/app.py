"""An application: read conf, include, commit, start, stop.

The same object serves under Gunicorn (one in each worker), in one process, in tests and in scripts.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from greenimi import green, standard
from greenimi.config import DEFAULT_CONF, Config, option, read_conf
from greenimi.container import Container, Scope, Services, Setup, set_default_container
from greenimi.errors import ConfigError
from greenimi.event import Bridge, Events
from greenimi.event.lifecycle import (
    AppInit,
    AppRun,
    Committed,
    ConfigLoaded,
    Scanned,
    WorkerDraining,
    WorkerStarted,
    WorkerStarting,
    WorkerStopped,
    WorkerStopping,
)
from greenimi.servers.doors import Doors, Sockets
from greenimi.servers.master.meeting import meeting
from greenimi.servers.watch.health import Health

log = logging.getLogger("greenimi")
T = TypeVar("T")


@dataclass(frozen=True)
class AppSettings:
    """``[app]``"""

    name: str = option("greenimi", "Name of the application, in logs and process titles.")
    debug: bool = option(False, "Show clients the text of unexpected errors.  Never in production.")
    secrets: list[str] = option(
        [], "Secrets of 32 characters or more that sign cookies: the first signs, all are believed.  Best given by the environment."
    )


class App:
    """One application in one process.  ``commit`` finds every mistake it can; ``start`` and ``stop`` bracket its life."""

    def __init__(self, config: Config, includes: Sequence[Any] = ()) -> None:
        self.config = config
        self.setup = Setup(config)
        self._includes = includes
        self._committed = False
        self._started = False
        self._drained = False
        self._before: Container | None = None
        self._file: Path | None = None

    @classmethod
    def from_file(cls, path: str | Path | None = None, *, argv: Sequence[str] = ()) -> App:
        """Read conf, and put the folder that holds the application on the import path: that of the file, or its parent for ``conf/``."""
        config = read_conf(path, argv=argv)
        file = Path(path or os.environ.get("GREENIMI_CONF", DEFAULT_CONF)).resolve()
        folder = file.parent.parent if file.parent.name == "conf" else file.parent
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
        app = cls(config)
        app._file = file
        return app

    @property
    def container(self) -> Container:
        return self.setup.container

    @property
    def events(self) -> Events:
        return self.container.get(Events)

    @property
    def doors(self) -> Doors:
        return self.container.get(Doors)

    def commit(self) -> App:
        """Include the core and the application, check everything, freeze.  Raises a StartError that says what and where."""
        if self._committed:
            return self
        setup = self.setup
        setup.include(standard)
        setup.settings("app", AppSettings)
        found = self.config.get("include", [])
        if isinstance(found, str) or not all(isinstance(name, str) for name in found):
            raise ConfigError('include must be a list of module names: include = ["shop"]')
        for what in (*found, *self._includes):
            setup.include(what)
        container = setup.commit()
        self.config.check(allowed=("include", "environment"))
        self._committed = True
        self._before = set_default_container(container)
        events = self.events
        self.config.on_change.append(events.emit)
        for event in (ConfigLoaded(), Scanned(), Committed()):
            events.emit(event)
        return self

    def start(self, sockets: Sockets | None = None, *, share: bool = False) -> App:
        """Commit, then start every service; the doors serve on ``sockets`` (by server name).  What started is stopped when one fails."""
        self.commit()
        try:
            self._start(sockets or {}, share)
        except BaseException:
            self.stop()
            raise
        return self

    def _start(self, sockets: Sockets, share: bool) -> None:
        self._started = True
        events = self.events
        self.container.get(Bridge).post = green.poster()
        events.emit(AppRun())
        events.emit(AppInit())
        self.doors.listen(sockets, share=share)
        if sockets:  # nobody is let in before all that the application needs is well
            self.doors.before_opening = self.container.get(Health).verify
        events.emit(WorkerStarting())
        self.container.get(Services).start()
        events.emit(WorkerStarted())

    def announce_drain(self, *, restart: bool = False, window: float = 0.0) -> None:
        """Say that no new work will be taken soon: readiness ends, listeners of WorkerDraining hear it.  ``drain`` says so, too."""
        if not self._drained:
            self._drained = True
            self._quietly(self.events.emit, WorkerDraining(restart, window))

    def drain(self, *, restart: bool = False, window: float = 0.0) -> None:
        """Take no new work and say goodbye to clients, to all of them over ``window`` seconds.  ``restart``: they may come back at once."""
        self.announce_drain(restart=restart, window=window)
        self.container.get(Services).drain()
        self.doors.farewell(1012 if restart else 1001, window)

    def stop(self) -> None:
        """Close doors, stop work, close resources, end the beans.  Errors are logged: everything is stopped."""
        if not self._committed:
            return
        events = self.events
        if self._started:
            if not self._drained:
                self._quietly(self.drain)
            self._quietly(events.emit, WorkerStopping())
            self._quietly(self.container.get(Services).stop)
            self._quietly(events.emit, WorkerStopped())
            self._started = False
        set_default_container(self._before)
        self._quietly(self.container.close)
        self._committed = False

    @staticmethod
    def _quietly(call: Callable[..., object], *args: Any) -> None:
        try:
            call(*args)
        except Exception:
            log.exception("while stopping")

    @contextmanager
    def running(self) -> Iterator[App]:
        """Start without doors, inside a scope: for scripts, shells and one-off jobs.

        Where a master serves the same conf on this machine, the Hub reaches its clients.
        """
        with meeting(self._file, self.config):
            self.start()
        try:
            with Scope(self.container):
                yield self
        finally:
            self.stop()

    @contextmanager
    def at_rest(self) -> Iterator[App]:
        """Commit and start nothing, inside a scope: for what must be done before the services can start."""
        self.commit()
        try:
            with Scope(self.container):
                yield self
        finally:
            self.stop()


def run_app(path: str | Path, function: Callable[[App], T]) -> T:
    """Run one function inside a fully started application without doors, then stop it (a single-file script's whole life)."""
    with App.from_file(path).running() as app:
        return function(app)
