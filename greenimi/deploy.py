"""An application under Gunicorn: ``greenimi serve`` and ``gunicorn -c conf/gunicorn.conf.py`` both start it from here."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gunicorn.app.base import BaseApplication

from greenimi.app import App, AppSettings, read_conf
from greenimi.errors import StartError
from greenimi.servers.configured import configured_servers
from greenimi.servers.gunicorn import GreenWorker
from greenimi.servers.settings import ServerSettings, WorkerSettings
from greenimi.servers.sockets import Address, open_stream

_conf: str | None = None
_argv: tuple[str, ...] = ()
_checked = False


def settings(conf: str | None = None, argv: Sequence[str] = ()) -> dict[str, Any]:
    """Gunicorn's settings for the application of ``conf`` (default: ``GREENIMI_CONF``, then ``conf/app.toml``).  Raises ConfigError."""
    global _conf, _argv
    _conf, _argv = conf, tuple(argv)
    config = read_conf(conf, argv=argv)
    workers = config.settings("workers", WorkerSettings)
    addresses = [Address.parse(found.bind) for found in configured_servers(config).values() if found.kind == "http"]
    _check_free(addresses)
    return {
        "bind": [str(address) for address in addresses] or [_private_bind()],
        "workers": workers.count,
        "worker_class": "greenimi.deploy.Worker",
        "wsgi_app": "greenimi.deploy:no_wsgi",
        "graceful_timeout": workers.graceful_timeout,
        "backlog": 2048,
        "proc_name": config.settings("app", AppSettings).name,
        "control_socket_disable": True,  # its default path is shared by every service of a user
    }


def deployment(conf: str | Path | None = None) -> dict[str, Any]:
    """What ``conf/gunicorn.conf.py`` takes over: :func:`settings`, where a mistake is one message and the end.

    ``conf`` is the application's file unless ``GREENIMI_CONF`` names another.
    """
    try:
        return settings(os.environ.get("GREENIMI_CONF") or (str(conf) if conf else None))
    except StartError as error:
        sys.stderr.write(f"greenimi: {error}\n")
        raise SystemExit(1) from None


def _check_free(addresses: Sequence[Address]) -> None:
    """Say at once that an address is taken, where Gunicorn would try for five seconds.  Not when they are our own already."""
    global _checked  # noqa: PLW0603 - a reload asks again, in the process that holds them
    if _checked or "GUNICORN_PID" in os.environ or "LISTEN_PID" in os.environ:
        return
    for address in addresses:
        if address.port or address.family == socket.AF_UNIX:
            open_stream(address).close()
    _checked = True


def _private_bind() -> str:
    """Gunicorn cannot do without an address: a socket file of our own when the application has no HTTP server."""
    return f"unix:{tempfile.gettempdir()}/greenimi-{os.getuid()}-{os.getpid()}.sock"


def no_wsgi(environ: Any, start_response: Any) -> Any:
    """What Gunicorn believes to serve.  Our worker never calls it."""
    raise StartError("this application is served by greenimi's own worker", hint="leave worker_class as greenimi sets it")


class Worker(GreenWorker):
    """Serves the application that :func:`settings` was told of."""

    @classmethod
    def server_settings(cls) -> Mapping[str, ServerSettings]:
        return configured_servers(read_conf(_conf, argv=_argv))

    def application(self) -> App:
        return App.from_file(_conf, argv=_argv).commit()


class Launcher(BaseApplication):
    """Gunicorn as ``greenimi serve`` starts it; ``extra`` are settings of Gunicorn that win over conf."""

    def __init__(self, conf: str | None = None, argv: Sequence[str] = (), **extra: Any) -> None:
        self._settings = {**settings(conf, argv), **extra}
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._settings.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        return no_wsgi
