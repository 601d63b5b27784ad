"""Our worker under Gunicorn, piece by piece; tests of deployment run the real thing."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from gevent import socket as gsocket

from greenimi import green
from greenimi.app import App
from greenimi.errors import ConfigError, StartError
from greenimi.servers import gunicorn as module
from greenimi.servers.gunicorn import GreenWorker
from greenimi.servers.runtime import Runtime
from greenimi.servers.settings import ServerSettings
from greenimi.testing.support import free_port, make_app, wait_until
from tests.apps import echo

FDS = "GREENIMI_FDS"


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def _keep(self, text: str, *args: Any) -> None:
        self.lines.append(text % args)

    info = error = _keep


@pytest.fixture
def inherited(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, list[socket.socket]]]:
    """What the master opened; closed after the test, the environment is as before."""
    opened: dict[str, list[socket.socket]] = {}
    monkeypatch.setattr(module, "_inherited", opened)
    monkeypatch.setenv(FDS, "")
    monkeypatch.delenv("GUNICORN_PID", raising=False)
    yield opened
    for sockets in opened.values():
        for sock in sockets:
            sock.close()


def kind_of_worker(servers: Mapping[str, ServerSettings]) -> type[GreenWorker]:
    class Worker(GreenWorker):
        @classmethod
        def server_settings(cls) -> Mapping[str, ServerSettings]:
            return servers

    return Worker


def local(kind: str, port: int = 0) -> ServerSettings:
    return ServerSettings(kind=kind, bind=f"127.0.0.1:{port}")


def config() -> Any:
    return SimpleNamespace(env_orig={}, workers=1, graceful_timeout=30)


# -- in the master -------------------------------------------------------------------------------------------------


def test_the_master_opens_what_gunicorn_does_not_know(inherited: dict[str, list[socket.socket]]) -> None:
    cfg, log = config(), Log()
    kind_of_worker({"web": local("http"), "till": local("tcp"), "beacon": local("udp")}).check_config(cfg, log)
    assert {name: [sock.type for sock in found] for name, found in inherited.items()} == {
        "till": [socket.SOCK_STREAM],
        "beacon": [socket.SOCK_DGRAM],
    }
    ports = {name: found[0].getsockname()[1] for name, found in inherited.items()}
    assert log.lines == [f"Server till at: 127.0.0.1:{ports['till']}", f"Server beacon at: 127.0.0.1:{ports['beacon']}"]
    assert all(sock.get_inheritable() for found in inherited.values() for sock in found)
    told = f"till={inherited['till'][0].fileno()},beacon={inherited['beacon'][0].fileno()}"
    assert os.environ[FDS] == cfg.env_orig[FDS] == told


def test_a_taken_address_ends_the_master_with_one_message(inherited: dict[str, list[socket.socket]]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        log = Log()
        with pytest.raises(SystemExit) as caught:
            kind_of_worker({"till": local("tcp", other.getsockname()[1])}).check_config(config(), log)
    assert caught.value.code == 1
    assert "is in use by another process" in log.lines[0]
    assert inherited == {}


@pytest.fixture
def before() -> Iterator[dict[str, socket.socket]]:
    """Sockets of the master before, by server."""
    found = {"till": socket.socket(), "beacon": socket.socket(type=socket.SOCK_DGRAM)}
    for sock in found.values():
        sock.bind(("127.0.0.1", 0))
    yield found
    for sock in found.values():
        sock.close()


def handed_over(monkeypatch: pytest.MonkeyPatch, before: Mapping[str, socket.socket]) -> dict[str, Any]:
    """As a re-executed master finds them: copies of the descriptors.  Their addresses."""
    monkeypatch.setenv(FDS, ",".join(f"{name}={os.dup(sock.fileno())}" for name, sock in before.items()))
    monkeypatch.setenv("GUNICORN_PID", "1")
    return {name: sock.getsockname() for name, sock in before.items()}


def test_a_new_master_adopts_the_sockets_of_the_one_before(
    inherited: dict[str, list[socket.socket]], before: dict[str, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses = handed_over(monkeypatch, before)
    cfg, log = config(), Log()
    kind_of_worker({name: local(kind, addresses[name][1]) for name, kind in (("till", "tcp"), ("beacon", "udp"))}).check_config(cfg, log)
    assert {name: found[0].getsockname() for name, found in inherited.items()} == addresses
    assert [inherited[name][0].type for name in before] == [sock.type for sock in before.values()]
    assert cfg.env_orig[FDS] == ",".join(f"{name}={found[0].fileno()}" for name, found in inherited.items())


def test_descriptors_that_no_master_before_left_are_not_taken(
    inherited: dict[str, list[socket.socket]], before: dict[str, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable may come from a process that merely started us."""
    monkeypatch.setenv(FDS, f"till={before['till'].fileno()}")
    kind_of_worker({"till": local("tcp")}).check_config(config(), Log())
    assert inherited["till"][0].getsockname() != before["till"].getsockname()


def test_several_sockets_of_a_server_are_adopted_together(
    inherited: dict[str, list[socket.socket]], before: dict[str, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = [os.dup(before["till"].fileno()) for _ in range(2)]
    monkeypatch.setenv(FDS, ",".join(f"till={fd}" for fd in copies))
    monkeypatch.setenv("GUNICORN_PID", "1")
    adopted = module._adopt()
    inherited.update(adopted)
    assert {name: [sock.fileno() for sock in found] for name, found in adopted.items()} == {"till": copies}


def test_a_server_that_the_master_before_did_not_have_is_opened(
    inherited: dict[str, list[socket.socket]], before: dict[str, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new master reads conf anew; a door that was added must not stay closed without a word."""
    addresses = handed_over(monkeypatch, {"till": before["till"]})
    kind_of_worker({"till": local("tcp", addresses["till"][1]), "scale": local("tcp", free_port())}).check_config(config(), Log())
    assert set(inherited) == {"till", "scale"}


def test_a_server_that_is_gone_from_conf_is_not_kept_open(
    inherited: dict[str, list[socket.socket]], before: dict[str, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its clients would connect and wait for ever."""
    addresses = handed_over(monkeypatch, before)
    kind_of_worker({"till": local("tcp", addresses["till"][1])}).check_config(config(), Log())
    assert set(inherited) == {"till"}


# -- in a worker ---------------------------------------------------------------------------------------------------


def worker(servers: Mapping[str, ServerSettings] = {}, sockets: Sequence[Any] = ()) -> Any:
    """A worker that Gunicorn did not start."""
    kind = kind_of_worker(servers)
    made: Any = kind.__new__(kind)
    made.cfg = config()
    made.log = Log()
    made.sockets = sockets
    made.alive = True
    made.notify = lambda: None
    return made


@pytest.fixture(autouse=True)
def _collector_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_calm_collector", lambda: None)


def test_every_server_gets_its_sockets(inherited: dict[str, list[socket.socket]]) -> None:
    """Gunicorn's listeners are told apart by their addresses: a changed order in conf must not put one server behind another's port."""
    listeners = [gsocket.socket() for _ in range(2)]
    for listener in listeners:
        listener.bind(("127.0.0.1", 0))
    ports = [listener.getsockname()[1] for listener in reversed(listeners)]
    inherited["till"] = [socket.socket()]
    descriptor = inherited["till"][0].fileno()
    servers = {"web": local("http", ports[0]), "till": local("tcp"), "admin": local("http", ports[1])}
    found = worker(servers, listeners)._sockets()
    try:
        assert (found["web"], found["admin"]) == ([listeners[1]], [listeners[0]])
        assert [sock.fileno() for sock in found["till"]] == [descriptor]
        assert isinstance(found["till"][0], gsocket.socket)
        assert not any(sock.getblocking() for opened in found.values() for sock in opened)
        assert set(found) == {"web", "till", "admin"}
    finally:
        for opened in found.values():
            for sock in opened:
                sock.close()


def test_a_server_without_an_open_address_does_not_start() -> None:
    with gsocket.socket() as one, gsocket.socket() as other:
        for listener in (one, other):
            listener.bind(("127.0.0.1", 0))
        servers = {"web": local("http", one.getsockname()[1]), "admin": local("http", 1), "more": local("http", 2)}
        with pytest.raises(StartError, match=r"servers.admin.bind \(127.0.0.1:1\) is not among the addresses that are open"):
            worker(servers, [one, other])._sockets()


def test_a_mistake_in_the_application_is_one_message_and_no_second_try() -> None:
    broken = worker()

    def application() -> App:
        raise ConfigError("shop.py:5: no", hint="do otherwise")

    broken.application = application
    with pytest.raises(SystemExit) as caught:
        broken.load_wsgi()
    assert caught.value.code == 3
    assert broken.log.lines == ["the application cannot start: shop.py:5: no\n  hint: do otherwise"]


def test_a_mistake_that_shows_when_servers_are_built_ends_the_start(inherited: dict[str, list[socket.socket]]) -> None:
    """It is told like one that shows before."""
    wrong = make_app({"servers": {"web": {"layers": ["nothing.like:this"]}}}, [echo])
    listener = gsocket.socket()
    listener.bind(("127.0.0.1", 0))
    broken = worker({"web": local("http", listener.getsockname()[1])}, [listener])
    broken.application = wrong.commit
    try:
        broken.load_wsgi()
        with pytest.raises(SystemExit) as caught:
            broken.run()
    finally:
        wrong.stop()
        listener.close()
    assert caught.value.code == 3
    assert "nothing.like" in broken.log.lines[0]


class Stages:
    """An application that tells what is done to it."""

    def __init__(self) -> None:
        self.done: list[Any] = []
        self.doors = SimpleNamespace(
            last_words=1.0,
            runtime=SimpleNamespace(finish=lambda seconds, meanwhile: self.done.append(("finish", seconds))),
        )

    def start(self, sockets: Any, *, share: bool) -> None:
        self.done.append(("start", sockets, share))

    def drain(self) -> None:
        self.done.append("drain")

    def stop(self) -> None:
        self.done.append("stop")


@pytest.mark.parametrize("workers", [1, 2])
def test_it_serves_until_it_is_told_to_stop(inherited: dict[str, list[socket.socket]], workers: int) -> None:
    stages, serving = Stages(), worker()
    serving.cfg.workers = workers
    serving.application = lambda: stages
    serving.load_wsgi()
    running = green.spawn(serving.run)
    wait_until(lambda: len(stages.done) == 1)
    serving.handle_exit(signal.SIGTERM, None)
    with green.timeout(10):
        running.get()
    assert not serving.alive
    assert [step if isinstance(step, str) else step[0] for step in stages.done] == ["start", "drain", "finish", "stop"]
    assert stages.done[0] == ("start", {}, workers > 1)
    assert 0 < stages.done[2][1] < serving.cfg.graceful_timeout


@pytest.mark.parametrize("patience", [1, 2, 3, 30])
def test_all_the_waiting_of_a_stop_fits_into_gunicorns_patience(
    inherited: dict[str, list[socket.socket]], monkeypatch: pytest.MonkeyPatch, patience: int
) -> None:
    """A handler that hangs uses up every wait; afterwards the exit handlers must still have time, before Gunicorn kills the worker."""
    waits: list[float] = []

    def finish(self: Runtime, seconds: float, meanwhile: Callable[[], object] = lambda: None) -> bool:
        waits.append(seconds)
        return False

    monkeypatch.setattr(Runtime, "finish", finish)
    app = make_app(echo.CONF, [echo])
    stopping = worker()
    stopping.cfg.graceful_timeout = patience
    stopping.application = app.commit
    stopping.load_wsgi()
    stopping.alive = False
    stopping.run()
    assert waits
    assert sum(waits) < patience


def test_a_worker_must_say_what_it_serves() -> None:
    plain: Any = GreenWorker.__new__(GreenWorker)
    for method in (plain.server_settings, plain.application):
        with pytest.raises(NotImplementedError):
            method()
