"""Our worker under Gunicorn, piece by piece; tests of the arbiter and of deployment run the real thing."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from gevent import get_hub
from gevent import socket as gsocket

from greenimi import green
from greenimi.errors import ConfigError
from greenimi.servers import gunicorn as module
from greenimi.servers.gunicorn import GreenWorker
from greenimi.servers.master.berth import Berth
from greenimi.servers.master.listeners import Listener
from greenimi.servers.settings import WorkerSettings
from greenimi.servers.sockets import Address
from greenimi.servers.watch.scoreboard import Scoreboard
from greenimi.testing.support import make_app, wait_until
from tests.apps import echo


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def _keep(self, text: str, *args: Any) -> None:
        self.lines.append(text % args)

    info = error = _keep


def listener(server: str, kind: str, slot: int = 0) -> Listener:
    sock = socket.socket(type=socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
    sock.bind(("127.0.0.1", 0))
    if kind != "udp":
        sock.listen()
    return Listener(server, kind, Address.of(sock), slot, sock)


@pytest.fixture
def berth() -> Iterator[Berth]:
    """As the master made it, with nobody in the worker yet."""
    made = Berth(0, 1, 1, Scoreboard(4), [], lambda: None)
    yield made
    made.close()
    made.worker.close()
    for one in made.listeners:
        one.sock.close()


@pytest.fixture
def worker(berth: Berth, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A worker that Gunicorn did not start."""
    monkeypatch.setattr(module, "_calm_collector", lambda: None)
    monkeypatch.setattr(module, "step_aside", lambda: None)  # it would be these tests that step back
    made: Any = GreenWorker.__new__(GreenWorker)
    made.berth = berth
    made.cfg = SimpleNamespace(graceful_timeout=30)
    made.log = Log()
    made.alive = True
    made.notify = lambda: None
    return made


class Stages:
    """An application that tells what is done to it."""

    def __init__(self) -> None:
        self.done: list[Any] = []
        self.doors = self
        self.settings = WorkerSettings()
        self.servers: dict[str, Any] = {}
        self.last_words = 1.0
        self.announced = self.drained = 0.0
        self.names: list[str] = []
        self.runtime = SimpleNamespace(each_second=[], retire=None)

    def start(self, sockets: Any, *, share: bool) -> None:
        self.done.append(("start", sorted(sockets), share))

    def read(self, slots: list[int]) -> None:
        self.done.append(("read", slots))

    def announce_drain(self, *, restart: bool, window: float) -> None:
        self.announced = time.monotonic()

    def drain(self, *, restart: bool, window: float) -> None:
        self.drained = time.monotonic()
        self.done.append(("drain", restart, window))

    def finish(self, seconds: float, meanwhile: Any) -> None:
        self.done.append(("finish", seconds))

    def stop(self) -> None:
        self.done.append(("stop",))

    @property
    def steps(self) -> list[str]:
        return [step[0] for step in self.done]


def run(worker: Any) -> Stages:
    stages = Stages()
    worker.application = lambda berth: stages
    worker.load_wsgi()
    return stages


def test_every_server_gets_its_sockets(worker: Any, berth: Berth) -> None:
    berth.listeners += [listener("web", "http"), listener("beacon", "udp"), listener("beacon", "udp", 1)]
    addresses = [one.sock.getsockname() for one in berth.listeners]
    found = worker._sockets(["web", "beacon"])
    opened = [sock for sockets in found.values() for sock in sockets]
    assert {name: len(sockets) for name, sockets in found.items()} == {"web": 1, "beacon": 2}
    assert [sock.getsockname() for sock in opened] == addresses
    assert all(isinstance(sock, gsocket.socket) and not sock.getblocking() for sock in opened)
    for sock in opened:
        sock.close()


def test_it_says_that_it_is_ready_serves_and_leaves_when_it_is_told_to(worker: Any, berth: Berth) -> None:
    stages = run(worker)
    running = green.spawn(worker.run)
    wait_until(lambda: berth.master.heard() == [{"ready": True}])
    berth.master.say(read=[1, 3])
    wait_until(lambda: ("read", [1, 3]) in stages.done)
    assert berth.master.heard() == [{"reads": [1, 3]}]
    berth.master.say(leave="restart")
    with green.timeout(10):
        running.get()
    assert stages.steps == ["start", "read", "drain", "finish", "stop"]
    assert stages.done[2] == ("drain", True, 5.0)
    assert berth.master.heard() == [{"leaving": True, "reads": []}]


@pytest.mark.parametrize(
    ("number", "steps"), [(signal.SIGTERM, ["start", "drain", "finish", "stop"]), (signal.SIGQUIT, ["start", "drain", "stop"])]
)
def test_signals_stop_it_too(worker: Any, berth: Berth, number: int, steps: list[str]) -> None:
    """SIGQUIT without waiting for the messages at hand."""
    stages = run(worker)
    running = green.spawn(worker.run)
    wait_until(lambda: stages.done)
    (worker.handle_quit if number == signal.SIGQUIT else worker.handle_exit)(number, None)
    with green.timeout(10):
        running.get()
    assert stages.steps == steps
    assert stages.done[1][:2] == ("drain", False)


def test_without_a_master_it_leaves_in_order(worker: Any, berth: Berth) -> None:
    stages = run(worker)
    running = green.spawn(worker.run)
    wait_until(lambda: stages.done)
    berth.master.close()
    with green.timeout(10):
        running.get()
    assert stages.steps == ["start", "drain", "finish", "stop"]


def test_it_asks_for_a_successor(worker: Any, berth: Berth) -> None:
    stages = run(worker)
    running = green.spawn(worker.run)
    wait_until(berth.master.heard)
    stages.runtime.retire("a handler does not stop")
    assert berth.master.heard() == [{"retire": "a handler does not stop"}]
    assert len(stages.runtime.each_second) == 1, "its limits are looked at"
    assert worker.alive
    worker.handle_exit(signal.SIGTERM, None)
    with green.timeout(10):
        running.get()


def test_it_serves_on_for_a_while_when_conf_says_so(worker: Any) -> None:
    """Load balancers see that it is not ready before its doors close.  A restart needs no such thing: others serve."""
    for restart, wait in ((False, 0.3), (True, 0.0)):
        worker.alive = True
        stages = run(worker)
        stages.settings = WorkerSettings(drain_delay=0.3)
        worker._restart = restart
        stages.announced = time.monotonic()
        worker._leave(stages)
        assert stages.drained - stages.announced >= wait


@pytest.mark.parametrize("patience", [1, 2, 3, 30])
def test_all_the_waiting_of_a_stop_fits_into_gunicorns_patience(worker: Any, patience: int) -> None:
    """A handler that hangs uses up every wait; afterwards the exit handlers must still have time, before the worker is killed."""
    worker.cfg.graceful_timeout = patience
    stages = run(worker)
    stages.last_words = min(1.0, patience * 0.2)
    worker.alive = False
    worker.run()
    (finish,) = [step[1] for step in stages.done if step[0] == "finish"]
    (window,) = [step[2] for step in stages.done if step[0] == "drain"]
    assert 0 < window < finish < patience - stages.last_words


def test_a_mistake_in_the_application_is_one_message_that_the_master_hears_too(worker: Any, berth: Berth) -> None:
    def application(berth: Berth) -> None:
        raise ConfigError("shop.py:5: no", hint="do otherwise")

    worker.application = application
    with pytest.raises(SystemExit) as caught:
        worker.load_wsgi()
    assert caught.value.code == 3
    assert worker.log.lines == ["the application cannot start: shop.py:5: no\n  hint: do otherwise"]
    assert berth.master.heard() == [{"failed": "shop.py:5: no\n  hint: do otherwise"}]


def test_a_mistake_that_shows_when_servers_are_built_ends_the_start(worker: Any, berth: Berth) -> None:
    """It is told like one that shows before."""
    worker._sockets = lambda names: {}
    wrong = make_app({"servers": {"web": {"layers": ["nothing.like:this"]}}}, [echo])
    worker.application = lambda berth: wrong.commit()
    try:
        worker.load_wsgi()
        with pytest.raises(SystemExit) as caught:
            worker.run()
    finally:
        wrong.stop()
    assert caught.value.code == 3
    assert "nothing.like" in worker.log.lines[0]


def test_a_server_without_a_socket_ends_the_start(worker: Any, berth: Berth) -> None:
    berth.listeners.append(listener("web", "http"))
    run(worker).names = ["web", "till"]
    with pytest.raises(SystemExit):
        worker.run()
    assert "the server till has no socket" in worker.log.lines[0]


def test_a_worker_must_say_what_it_serves(worker: Any, berth: Berth) -> None:
    with pytest.raises(NotImplementedError):
        worker.application(berth)


def test_another_arbiter_than_ours_is_refused() -> None:
    log = Log()
    with pytest.raises(SystemExit):
        GreenWorker.check_config(None, log)
    assert "call greenimi.deploy.on_starting(arbiter) in yours" in log.lines[0]


def test_nothing_turns_in_vain_when_the_master_is_gone(worker: Any, berth: Berth) -> None:
    """The end of a socket is always readable."""
    stages = run(worker)
    running = green.spawn(worker.run)
    wait_until(lambda: stages.done)
    calls = []
    worker._go, go = lambda: calls.append(True), worker._go
    berth.master.close()
    wait_until(lambda: calls)
    for _ in range(20):
        green.sleep(0)
        get_hub().loop.update_now()
    assert calls == [True]
    go()
    with green.timeout(10):
        running.get()
