"""Under Gunicorn: its arbiter supervises, our worker serves.

HTTP addresses are Gunicorn's own ``bind``; TCP and UDP sockets are opened once in the master and inherited by the workers, so that a
restarted worker loses nothing that waits in the kernel.  What application is served is said by a subclass (see ``greenimi.deploy``).
"""

from __future__ import annotations

import gc
import os
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from gevent import get_hub
from gevent import socket as gsocket
from gevent.event import Event
from gunicorn.workers.ggevent import GeventWorker

from greenimi.errors import StartError
from greenimi.servers.doors import Doors, Sockets
from greenimi.servers.settings import ServerSettings
from greenimi.servers.sockets import Address, open_sockets

_FDS = "GREENIMI_FDS"
"""Environment variable by which a re-executed master (USR2) finds the sockets of the one before: ``name=fd,name=fd``."""

_BOOT_ERROR = 3
"""Exit status that tells the arbiter that starting again is of no use."""

_inherited: dict[str, list[socket.socket]] = {}
"""TCP and UDP sockets by server name: opened in the master, there in every worker by fork."""


class Application(Protocol):
    """What a worker serves."""

    @property
    def doors(self) -> Doors: ...

    def start(self, sockets: Sockets, *, share: bool) -> object: ...

    def drain(self) -> None: ...

    def stop(self) -> None: ...


class GreenWorker(GeventWorker):
    """Gunicorn's gevent worker with our doors in the place of its request loop."""

    @classmethod
    def server_settings(cls) -> Mapping[str, ServerSettings]:
        """The configured servers, read in the master.  Raises StartError."""
        raise NotImplementedError

    def application(self) -> Application:
        """The application, built in the worker.  Raises StartError."""
        raise NotImplementedError

    # -- in the master -----------------------------------------------------------------------------------------------
    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Once, before the first fork: open the addresses that Gunicorn does not know."""
        try:
            settings = cls.server_settings()
            adopted = {name: sockets for name, sockets in _adopt().items() if _keep(settings.get(name), sockets)}
            _inherited.update(adopted)
            _inherited.update(open_sockets({name: found for name, found in settings.items() if name not in adopted}, ("tcp", "udp")))
        except StartError as error:
            log.error("%s", error)
            sys.exit(1)
        text = ",".join(f"{name}={sock.fileno()}" for name, sockets in _inherited.items() for sock in sockets)
        os.environ[_FDS] = cfg.env_orig[_FDS] = text
        for name, sockets in _inherited.items():
            for sock in sockets:
                log.info("Server %s at: %s", name, Address.of(sock))

    # -- in a worker -------------------------------------------------------------------------------------------------
    def load_wsgi(self) -> None:
        """Build the application in the place of a WSGI callable.  A mistake in it is one message, not a traceback."""
        self._stop = Event()
        self._quick = False
        with self._telling_why():
            self._application = self.application()

    @contextmanager
    def _telling_why(self) -> Iterator[None]:
        try:
            yield
        except StartError as error:
            self.log.error("the application cannot start: %s", error)
            sys.exit(_BOOT_ERROR)

    def run(self) -> None:
        application = self._application
        with self._telling_why():
            application.start(self._sockets(), share=self.cfg.workers > 1)
        _calm_collector()
        while self.alive:
            self.notify()
            self._stop.wait(1.0)
        application.drain()
        patience = self.cfg.graceful_timeout  # of the arbiter; some of it is left for the end, so that the exit handlers still run
        if not self._quick:
            application.doors.runtime.finish(patience - application.doors.last_words - min(1.0, patience * 0.2), self.notify)
        application.stop()

    def _sockets(self) -> dict[str, list[Any]]:
        """Every server's sockets: Gunicorn's listeners by their addresses, the rest was inherited."""
        http = {name: found.bind for name, found in self.server_settings().items() if found.kind == "http"}
        sockets: dict[str, list[Any]] = {name: [sock] for name, sock in _by_address(http, self.sockets).items()}
        for name, found in _inherited.items():
            sockets[name] = [gsocket.socket(sock.family, sock.type, fileno=sock.detach()) for sock in found]
        for listening in sockets.values():
            for sock in listening:
                sock.setblocking(False)
        return sockets

    def handle_quit(self, sig: int, frame: Any) -> None:
        """SIGINT, SIGQUIT: stop without waiting for the messages at hand."""
        self._quick = True
        self.handle_exit(sig, frame)

    def handle_exit(self, sig: int, frame: Any) -> None:
        self.alive = False
        get_hub().loop.run_callback_threadsafe(self._stop.set)


def _calm_collector() -> None:
    """Messages leave no cycles, so look for them less often, and never again among what an application is made of."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def _by_address(http: Mapping[str, str], listening: Sequence[Any]) -> dict[str, Any]:
    """Which listener of Gunicorn is whose.  One server and one listener that are left over belong together (``gunicorn -b``, port 0)."""
    free = {str(Address.of(sock)): sock for sock in listening}
    found = {}
    for name, bind in http.items():
        sock = free.pop(str(Address.parse(bind).resolved()), None)
        if sock is not None:
            found[name] = sock
    left = [name for name in http if name not in found]
    if len(left) == 1 and len(free) == 1:
        found[left[0]] = free.popitem()[1]
    elif left:
        raise StartError(
            f"servers.{left[0]}.bind ({http[left[0]]}) is not among the addresses that are open: {', '.join(free) or 'none is left'}",
            hint="addresses that change need a new start",
        )
    return found


def _keep(settings: ServerSettings | None, sockets: list[socket.socket]) -> bool:
    """Whether conf still has the server of these sockets; if not they are closed."""
    if settings is not None and settings.kind in ("tcp", "udp"):
        return True
    for sock in sockets:
        sock.close()
    return False


def _adopt() -> dict[str, list[socket.socket]]:
    """The sockets of the master that re-executed us, when there is one."""
    text = os.environ.get(_FDS, "")
    if not text or not os.environ.get("GUNICORN_PID"):
        return {}
    adopted: dict[str, list[socket.socket]] = {}
    for item in text.split(","):
        name, _, fd = item.rpartition("=")
        adopted.setdefault(name, []).append(socket.socket(fileno=int(fd)))
    return adopted
