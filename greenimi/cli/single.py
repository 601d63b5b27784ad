"""An application served in this very process, for development: ``breakpoint()`` has the terminal, Ctrl-C stops."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from greenimi import green
from greenimi.app import App
from greenimi.cli.output import say
from greenimi.config import Config
from greenimi.servers.configured import configured_servers
from greenimi.servers.settings import WorkerSettings
from greenimi.servers.sockets import Address, open_sockets

Sockets = dict[str, list[socket.socket]]


def serve(conf: Path, argv: Sequence[str], sockets: Sockets | None = None) -> int:
    """Serve until SIGINT or SIGTERM; messages at hand are finished.  With ``sockets`` also until the process that gave them is gone."""
    green.require_patched()
    parent = os.getppid() if sockets is not None else None
    app = App.from_file(conf, argv=argv).commit()
    opened = open_sockets(configured_servers(app.config)) if sockets is None else sockets
    stop = stop_on_signals()
    app.start(opened)
    try:
        _announce(app.config, opened)
        while not stop.wait(1.0) and (parent is None or os.getppid() == parent):
            pass
        app.drain()
        app.doors.runtime.finish(app.config.settings("workers", WorkerSettings).graceful_timeout)
    finally:
        app.stop()
    return 0


def stop_on_signals() -> Any:
    """An event that SIGTERM and SIGINT set.  A second SIGINT ends the process at once."""
    stop = green.Event()
    post = green.poster()

    def handle(number: int, frame: object) -> None:
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        post(stop.set)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)
    return stop


def _announce(config: Config, sockets: Mapping[str, Sequence[socket.socket]]) -> None:
    for name, settings in configured_servers(config).items():
        for sock in sockets.get(name, ()):
            say(f"{name}: {settings.kind} on {Address.of(sock)}")


# -- sockets from one process to the next ----------------------------------------------------------------------------


def handed_over(sockets: Sockets) -> str:
    """Open sockets as text for :func:`inherited` in a process that was given their file descriptors."""
    return ",".join(f"{name}={sock.fileno()}" for name, opened in sockets.items() for sock in opened)


def inherited(text: str | None) -> Sockets | None:
    if text is None:
        return None
    sockets: Sockets = {}
    for item in filter(None, text.split(",")):
        name, _, fd = item.rpartition("=")
        sock = socket.socket(fileno=int(fd))
        sock.set_inheritable(False)  # processes that the application starts have no use for it
        sock.setblocking(False)
        sockets.setdefault(name, []).append(sock)
    return sockets
