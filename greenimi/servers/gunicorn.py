"""Under Gunicorn: its arbiter supervises, our worker serves.

``greenimi serve`` and ``gunicorn -c conf/gunicorn.conf.py`` start the same thing.  HTTP addresses are Gunicorn's own ``bind``; TCP and UDP
sockets are opened once in the master and inherited by the workers, so that a restarted worker loses nothing that waits in the kernel.
"""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

import gevent
from gevent import get_hub
from gevent import socket as gsocket
from gevent.event import Event
from gunicorn.app.base import BaseApplication
from gunicorn.workers.ggevent import GeventWorker

from greenimi.app import App, read_conf
from greenimi.config import Config
from greenimi.errors import StartError
from greenimi.servers.settings import ServerSettings, WorkerSettings
from greenimi.servers.sockets import Address, open_sockets

_FDS = "GREENIMI_FDS"
"""Environment variable by which a re-executed master (USR2) finds the sockets of the one before: ``name=fd,name=fd``."""

_inherited: dict[str, list[socket.socket]] = {}
"""TCP and UDP sockets by server name: opened in the master, there in every worker by fork."""

_conf: str | None = None
_argv: tuple[str, ...] = ()


def settings(conf: str | None = None, argv: Sequence[str] = ()) -> dict[str, Any]:
    """Gunicorn's settings for an application, from its conf.  ``conf/gunicorn.conf.py`` and ``greenimi serve`` both use it.

    Raises ConfigError.
    """
    global _conf, _argv  # noqa: PLW0603 - one application a process
    _conf, _argv = conf, tuple(argv)
    config = read_conf(conf, argv=argv)
    workers = config.settings("workers", WorkerSettings)
    http = _servers(config, "http")
    return {
        "bind": [str(Address.parse(found.bind)) for found in http.values()] or [_private_bind()],
        "workers": workers.count,
        "worker_class": "greenimi.servers.gunicorn.GreenWorker",
        "wsgi_app": "greenimi.servers.gunicorn:no_wsgi",
        "graceful_timeout": workers.graceful_timeout,
        "backlog": 2048,
        "proc_name": str(config.get("app.name", "greenimi")),
        "control_socket_disable": True,
    }


def _servers(config: Config, *kinds: str) -> dict[str, ServerSettings]:
    found = {name: config.settings(f"servers.{name}", ServerSettings) for name in config.section("servers")}
    return {name: server for name, server in found.items() if server.kind in kinds}


def _private_bind() -> str:
    """Gunicorn cannot do without an address: a socket file of our own when the application has no HTTP server."""
    return f"unix:{tempfile.gettempdir()}/greenimi-{os.getuid()}-{os.getpid()}.sock"


def no_wsgi(environ: Any, start_response: Any) -> Any:
    """What Gunicorn believes to serve.  GreenWorker never calls it."""
    raise StartError("this application is served by greenimi's own worker", hint="leave worker_class to greenimi")


class GreenWorker(GeventWorker):  # type: ignore[misc]  # gunicorn has no types
    """Gunicorn's gevent worker with our doors in the place of its request loop."""

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """In the master, once, before the first fork: open what Gunicorn does not know."""
        try:
            config = read_conf(_conf, argv=_argv)
            _inherited.update(_adopt() or open_sockets(_servers(config, "tcp", "udp")))
        except StartError as error:
            log.error("%s", error)
            sys.exit(1)
        text = ",".join(f"{name}={sock.fileno()}" for name, sockets in _inherited.items() for sock in sockets)
        os.environ[_FDS] = cfg.env_orig[_FDS] = text
        for name, sockets in _inherited.items():
            for sock in sockets:
                log.info("Server %s at: %s", name, sock.getsockname())

    def load_wsgi(self) -> None:
        """Build the application instead of loading a WSGI callable.  A mistake in it is one message, not a traceback."""
        try:
            self.greenimi = App.from_file(_conf, argv=_argv).commit()
            self.greenimi.doors.build()
        except StartError as error:
            self.log.error("the application cannot start: %s", error)
            sys.exit(self.WORKER_BOOT_ERROR if hasattr(self, "WORKER_BOOT_ERROR") else 3)

    def run(self) -> None:
        self._stop = Event()
        share = self.cfg.workers > 1
        self.greenimi.start(self._sockets(), share=share)
        while self.alive:
            self.notify()
            self._stop.wait(1.0)
        self.greenimi.drain()
        self._wait_for_handlers()
        self.greenimi.stop()

    def _sockets(self) -> dict[str, list[Any]]:
        """Every server's sockets: Gunicorn's listeners stand in the order of ``bind``, the rest was inherited."""
        http = _servers(self.greenimi.config, "http")
        found: dict[str, list[Any]] = {name: [sock] for name, sock in zip(http, self.sockets, strict=False)}
        for name, sockets in _inherited.items():
            found[name] = [gsocket.socket(sock.family, sock.type, fileno=sock.detach()) for sock in sockets]
        for listening in found.values():
            for sock in listening:
                sock.setblocking(False)
        return found

    def _wait_for_handlers(self) -> None:
        """Let the messages at hand be finished, a second less than Gunicorn's patience."""
        handlers = self.greenimi.doors.runtime.handlers
        patience = gevent.Timeout(max(0.1, self.cfg.graceful_timeout - 1), False)
        with patience:
            while handlers.busy or handlers.waiting:
                self.notify()
                gevent.sleep(0.05)

    def handle_exit(self, sig: int, frame: Any) -> None:
        self.alive = False
        stop = getattr(self, "_stop", None)
        if stop is not None:
            get_hub().loop.run_callback_threadsafe(stop.set)


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


class Launcher(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """Gunicorn started by ``greenimi serve``."""

    def __init__(self, conf: str | None = None, argv: Sequence[str] = (), **extra: Any) -> None:
        self._settings = {**settings(conf, argv), **extra}
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._settings.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        return no_wsgi
