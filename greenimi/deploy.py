"""An application under Gunicorn: ``greenimi serve`` and ``gunicorn -c conf/gunicorn.conf.py`` both start it from here."""

from __future__ import annotations

import gc
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gunicorn.app.base import BaseApplication

from greenimi.app import App, AppSettings
from greenimi.config import DEFAULT_CONF, read_conf
from greenimi.errors import ConfigError, StartError
from greenimi.hub.settings import HubSettings
from greenimi.servers.configured import configured_servers
from greenimi.servers.gunicorn import GreenWorker
from greenimi.servers.master.arbiter import GreenArbiter
from greenimi.servers.master.berth import Berth
from greenimi.servers.settings import ServerSettings, WorkerSettings
from greenimi.servers.sockets import Address
from greenimi.servers.watch.statistics import Statistics


class _Deployment:
    """What this process serves: conf as it is now, with the assignments of the command line.  The arbiter asks it, so do the workers."""

    def __init__(self) -> None:
        self.file: str | None = None
        self.argv: tuple[str, ...] = ()
        self.bind: list[str] = []  # as conf says

    @property
    def conf(self) -> str:
        return str(Path(self.file or os.environ.get("GREENIMI_CONF", DEFAULT_CONF)).resolve())

    def servers(self, cfg: Any) -> Mapping[str, ServerSettings]:
        """Those of conf; ``gunicorn -b`` moves the only HTTP server."""
        found = configured_servers(read_conf(self.file, argv=self.argv))
        asked = list(cfg.bind)
        if asked != self.bind:
            http = [name for name, settings in found.items() if settings.kind == "http"]
            if len(http) != 1 or len(asked) != 1:
                raise ConfigError("gunicorn's bind cannot replace the addresses of conf here", hint="set servers.NAME.bind in conf")
            found[http[0]] = replace(found[http[0]], bind=asked[0])
        return found

    def workers(self) -> WorkerSettings:
        return read_conf(self.file, argv=self.argv).settings("workers", WorkerSettings)

    def hub(self) -> HubSettings:
        return read_conf(self.file, argv=self.argv).settings("hub", HubSettings)

    def check(self) -> None:
        checked()


_deployment = _Deployment()


def settings(conf: str | None = None, argv: Sequence[str] = ()) -> dict[str, Any]:
    """Gunicorn's settings for the application of ``conf`` (default: ``GREENIMI_CONF``, then ``conf/app.toml``).  Raises ConfigError."""
    _deployment.file, _deployment.argv = conf, tuple(argv)
    config = read_conf(conf, argv=argv)
    workers = config.settings("workers", WorkerSettings)
    http = [str(Address.parse(found.bind)) for found in configured_servers(config).values() if found.kind == "http"]
    _deployment.bind = http or [_private_bind()]
    return {
        "bind": _deployment.bind,
        "workers": workers.count,
        "worker_class": "greenimi.deploy.Worker",
        "wsgi_app": "greenimi.deploy:checked()",
        "on_starting": on_starting,
        "graceful_timeout": workers.graceful_timeout,
        "timeout": workers.timeout,
        "proc_name": config.settings("app", AppSettings).name,
        "control_socket_disable": True,  # ours knows what is served, and its path belongs to one master
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


def on_starting(arbiter: Any) -> None:
    """Gunicorn's hook of that name: from here on the arbiter is ours."""
    Worker.supervised = True
    GreenArbiter.take_over(arbiter, _deployment)
    gc.collect()
    gc.freeze()  # so that collectors of workers leave it alone: else each of them would soon have a copy of its own of all that is shared


def _private_bind() -> str:
    """Gunicorn cannot do without an address: a socket file of our own when the application has no server at all."""
    return f"unix:{tempfile.gettempdir()}/greenimi-{os.getuid()}-{os.getpid()}.sock"


def checked() -> Any:
    """What ``gunicorn --check-config`` loads, and a reload tries first: the application, built and thrown away.

    A stock worker must not serve it.
    """
    try:
        app = App.from_file(_deployment.file, argv=_deployment.argv)
        try:
            app.commit().doors.build()
        finally:
            app.stop()
    except StartError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(1) from None
    return _no_wsgi


def _no_wsgi(environ: Any, start_response: Any) -> Any:
    raise StartError("this application is served by greenimi's own worker", hint="leave worker_class as greenimi sets it")


class Worker(GreenWorker):
    """Serves the application that :func:`settings` was told of."""

    def application(self, berth: Berth) -> App:
        app = App.from_file(_deployment.file, argv=_deployment.argv).commit()
        app.container.get(Statistics).report_to(berth.board, berth.slot, place=berth.place, generation=berth.generation)
        return app


class Launcher(BaseApplication):
    """Gunicorn as ``greenimi serve`` starts it; ``extra`` are settings of Gunicorn that win over conf."""

    def __init__(self, conf: str | None = None, argv: Sequence[str] = (), **extra: Any) -> None:
        self._conf = conf
        self._argv = tuple(argv)
        self._extra = extra
        settings(conf, argv)  # a mistake is told in our words, not in Gunicorn's
        super().__init__()

    def load_config(self) -> None:
        """Also called for a reload: conf may say something else by then."""
        for name, value in {**settings(self._conf, self._argv), **self._extra}.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        return _no_wsgi
