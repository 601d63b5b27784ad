"""The pytest plugin: patches the standard library before pytest collects anything, and brings fixtures for applications and servers."""

from __future__ import annotations

from greenimi import green

green.patch()  # before anything else is imported

import gc  # noqa: E402
import sys  # noqa: E402
from collections.abc import Callable, Iterator, Mapping, Sequence  # noqa: E402
from contextlib import ExitStack  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any, NamedTuple, Protocol  # noqa: E402

import pytest  # noqa: E402
from greenlet import greenlet  # noqa: E402

from greenimi.app import App  # noqa: E402
from greenimi.container.registry import set_default_container  # noqa: E402
from greenimi.servers.stream import StreamConnection  # noqa: E402
from greenimi.testing import support  # noqa: E402
from greenimi.testing.gunicorn import Gunicorn  # noqa: E402

pytest_plugins = ["greenimi.testing.services.fixtures"]

WEB: Mapping[str, Any] = {"servers": {"web": {"kind": "http"}}}
"""What an application of a test serves unless it says otherwise."""


class AppFactory(Protocol):
    """Makes started applications without sockets; they are stopped after the test."""

    def __call__(self, includes: Sequence[Any] = (), conf: Mapping[str, Any] | str | Path = ...) -> App:
        """``includes``: modules, their names, functions that take a setup, marked classes and functions.  ``conf``: a table or a file."""


class Served(NamedTuple):
    """An application whose doors are open in this process."""

    app: App
    addresses: Mapping[str, Any]


class Serve(Protocol):
    """Starts applications on free ports of 127.0.0.1, in this process; they are stopped after the test."""

    def __call__(self, includes: Sequence[Any] = (), conf: Mapping[str, Any] | str | Path = ...) -> Served:
        """Takes what ``app_factory`` takes."""


class ServeGunicorn(Protocol):
    """Starts ``gunicorn -c conf/gunicorn.conf.py`` for an application's conf, on free ports; it is ended after the test."""

    def __call__(self, conf: str | Path, workers: int = 1, settings: Mapping[str, str] = ...) -> Gunicorn:
        """``settings``: more keys of conf by their dotted names."""


@pytest.fixture
def _tidy() -> Iterator[ExitStack]:
    """What has to end after the test; afterwards the default container and the import path are what they were."""
    path = list(sys.path)
    before = set_default_container(None)
    with ExitStack() as ends:
        yield ends
    set_default_container(before)
    sys.path[:] = path


@pytest.fixture
def app_factory(_tidy: ExitStack) -> AppFactory:
    def make(includes: Sequence[Any] = (), conf: Mapping[str, Any] | str | Path = WEB) -> App:
        return _tidy.enter_context(support.running(support.make_app(conf, includes)))

    return make


@pytest.fixture
def serve(_tidy: ExitStack) -> Serve:
    def start(includes: Sequence[Any] = (), conf: Mapping[str, Any] | str | Path = WEB) -> Served:
        app, sockets = _tidy.enter_context(support.serving(support.make_app(conf, includes)))
        return Served(app, {name: opened[0].getsockname() for name, opened in sockets.items()})

    return start


@pytest.fixture
def serve_gunicorn(_tidy: ExitStack, tmp_path: Path, pytestconfig: pytest.Config) -> ServeGunicorn:
    def start(conf: str | Path, workers: int = 1, settings: Mapping[str, str] = {}) -> Gunicorn:
        gunicorn = Gunicorn(pytestconfig.rootpath / "conf/gunicorn.conf.py", Path(conf), workers, settings, tmp_path / "gunicorn.log")
        _tidy.callback(gunicorn.stop)
        gunicorn.start()
        return gunicorn

    return start


@pytest.fixture
def free_port() -> Callable[..., int]:
    """A function that gives a port of 127.0.0.1 which nobody used a moment ago."""
    return support.free_port


@pytest.fixture
def no_leaks() -> Iterator[None]:
    """After the test as many connections, handler greenlets and file descriptors as before.  Name it before the fixtures it is to check."""
    green.sleep(0)  # gevent's own descriptors are there from now on
    gc.collect()
    before = _levels()
    yield
    wrong: dict[str, str] = {}

    def level() -> bool:
        gc.collect()
        wrong.clear()
        wrong.update({name: f"{before[name]} before, {now} now" for name, now in _levels().items() if now > before[name]})
        return not wrong

    try:
        support.wait_until(level, support.PATIENCE)
    except AssertionError:
        pytest.fail(f"left behind: {wrong}")


def _levels() -> dict[str, int]:
    found = [type(thing) for thing in gc.get_objects()]
    return {
        "connections": sum(issubclass(kind, StreamConnection) for kind in found),
        "handler greenlets": sum(kind is greenlet for kind in found),
        "file descriptors": len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").is_dir() else 0,
    }
