"""What the fixtures are made of, for use outside of pytest as well."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from greenimi import green
from greenimi.app import App
from greenimi.config import Config, read_conf
from greenimi.marks import ATTRIBUTE
from greenimi.servers.settings import ServerSettings
from greenimi.servers.sockets import open_sockets

T = TypeVar("T")

PATIENCE = 10.0
"""Seconds that a test waits for what should happen at once, before it fails."""

ANY_PORT = "127.0.0.1:0"


def wait_until(predicate: Callable[[], T], seconds: float = PATIENCE) -> T:
    """What ``predicate`` returns as soon as that is true.  Other greenlets run meanwhile.  Raises AssertionError after ``seconds``."""
    until = time.monotonic() + seconds
    while not (found := predicate()):
        if time.monotonic() > until:
            raise AssertionError(f"not within {seconds} seconds: {getattr(predicate, '__qualname__', predicate)}")
        green.sleep(0.002)
    return found


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    """A port of 127.0.0.1 that nobody used a moment ago, for processes that must be told one."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def gather(includes: Sequence[Any]) -> list[Any]:
    """``includes`` with marked classes and functions put into modules that can be included; everything else as it is."""
    found: list[Any] = []
    modules: dict[str, ModuleType] = {}
    for what in includes:
        if not (isinstance(what, type) or getattr(what, ATTRIBUTE, None)):
            found.append(what)
            continue
        name = what.__module__
        if name not in modules:
            modules[name] = ModuleType(name)
            found.append(modules[name])
        setattr(modules[name], what.__qualname__, what)
    return found


def make_app(conf: Mapping[str, Any] | str | Path, includes: Sequence[Any] = ()) -> App:
    """An application of a test, not committed yet: its conf is a table, or a file.

    Servers without an address, and all of a file, get a free port of 127.0.0.1.
    """
    if not isinstance(conf, Mapping):
        argv = [word for name in read_conf(conf).section("servers") for word in ("--set", f"servers.{name}.bind={ANY_PORT}")]
        return App.from_file(conf, argv=argv)
    servers = {name: {"bind": ANY_PORT, **settings} for name, settings in conf.get("servers", {}).items()}
    return App(Config({"environment": "test", **conf, "servers": servers}), gather(includes))


Sockets = dict[str, list[socket.socket]]


@contextmanager
def running(app: App, sockets: Sockets | None = None) -> Iterator[App]:
    """``app`` started, then stopped.  Without sockets only the clients in this package can reach it."""
    try:
        yield app.start(sockets or {})
    finally:
        app.stop()


@contextmanager
def serving(app: App) -> Iterator[tuple[App, Sockets]]:
    """``app`` started with its addresses open, then stopped."""
    names = app.config.section("servers")
    sockets = open_sockets({name: app.config.settings(f"servers.{name}", ServerSettings) for name in names})
    try:
        with running(app, sockets):
            yield app, sockets
    finally:
        for opened in sockets.values():
            for sock in opened:
                sock.close()
