"""Reloads that cannot hurt: checked first, rolled when all is well, rolled back when not.  Real processes under real clients."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from greenimi import green
from greenimi.errors import ConfigError
from greenimi.hub.settings import HubSettings
from greenimi.servers.master.calling import ask
from greenimi.servers.master.control import control_path
from greenimi.servers.master.listeners import Listener, Listeners
from greenimi.servers.master.priority import may_return
from greenimi.servers.master.roll import Roll
from greenimi.servers.settings import ServerSettings, WorkerSettings
from greenimi.testing.clients import DatagramClient, HttpClient, MessageClient, WebSocketClient
from greenimi.testing.gunicorn import Gunicorn
from greenimi.testing.support import free_port, wait_until

PATIENCE = 40.0
ROOT = Path(__file__).resolve().parents[3]

APP = """
import os, time
from greenimi import get, http, listener, on, tcp, udp, websocket
from greenimi.event.lifecycle import WorkerStarting

VERSION = 1
IMPORTED_AS = os.sched_getscheduler(0)
started_as = []

@http
class Web:
    @get("/version")
    def version(self): return VERSION
    @get("/policies")
    def policies(self): return [IMPORTED_AS, *started_as]
    @get("/slow")
    def slow(self):
        time.sleep(0.5)
        return os.getpid()

@websocket("/chat")
class Chat:
    @on("version")
    def version(self): return VERSION

@tcp
class Till:
    @on("version")
    def version(self): return VERSION

@udp
class Beacon:
    @on("pid")
    def pid(self): return os.getpid()

@listener
def starting(event: WorkerStarting) -> None:
    started_as.append(os.sched_getscheduler(0))
    if VERSION == 13 and os.path.exists(f"{os.path.dirname(__file__)}/unlucky"):
        raise RuntimeError("no database")
"""

CONF = """
include = ["service"]
[servers.web]
kind = "http"
[servers.till]
kind = "tcp"
[servers.beacon]
kind = "udp"
"""

COMMANDS = {
    "gunicorn -c": ("-m", "gunicorn", "-c", str(ROOT / "conf/gunicorn.conf.py")),
    "greenimi serve": ("-m", "greenimi", "serve"),
}


class Service:
    """A running service whose code and conf can be changed."""

    def __init__(self, folder: Path, command: str, workers: int = 2, **settings: str) -> None:
        self.folder = folder
        self.write("service.py", APP)
        self.write("app.toml", CONF)
        more = {"workers.drain_window": "0.5", **{key.replace("__", "."): value for key, value in settings.items()}}
        words = COMMANDS[command]
        words = (*words, str(folder / "app.toml")) if words[-1] == "serve" else words
        self.gunicorn = Gunicorn(ROOT / "conf/gunicorn.conf.py", folder / "app.toml", workers, more, folder / "log", words)

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def version(self, number: int | str) -> None:
        self.write("service.py", APP.replace("VERSION = 1\n", f"VERSION = {number}\n"))

    def get(self, path: str = "/version") -> Any:
        with HttpClient(self.gunicorn.addresses["web"], timeout=PATIENCE) as web:
            return web.get(path).json()

    def reload(self) -> tuple[bool, str]:
        answer = ask(control_path(self.gunicorn.control, self.gunicorn.pid), {"do": "reload"}, patience=PATIENCE)
        return answer["done"], answer["text"]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    served: list[Service] = []

    def start(command: str = "gunicorn -c", workers: int = 2, **settings: str) -> Service:
        served.append(Service(tmp_path, command, workers, **settings))
        served[-1].gunicorn.start()
        return served[-1]

    yield start
    for service in served:
        service.gunicorn.stop()
        for path in service.gunicorn.control.glob("*.sock"):  # a master that an upgrade started, when its test failed
            with suppress(ProcessLookupError):
                os.kill(int(path.stem), signal.SIGTERM)


@contextmanager
def asking(service: Service) -> Iterator[list[Any]]:
    """Clients that ask all the time, each on a connection of its own that it opens anew when it is told to; what went wrong."""
    wrong: list[Any] = []
    stop = green.Event()

    def ask_on() -> None:
        web = HttpClient(service.gunicorn.addresses["web"], timeout=PATIENCE)
        try:
            while not stop.is_set():
                answer = web.get("/version")
                if answer.status != 200:
                    wrong.append(answer)
        except Exception as error:  # whatever a client sees
            wrong.append(error)
        finally:
            web.close()

    clients = [green.spawn(ask_on) for _ in range(4)]
    try:
        yield wrong
    finally:
        stop.set()
        for client in clients:
            client.join(PATIENCE)


@pytest.mark.live
@pytest.mark.parametrize("command", COMMANDS)
def test_new_code_serves_after_a_reload_and_no_request_fails(serve: Callable[..., Service], command: str) -> None:
    service = serve(command)
    before, master = service.gunicorn.ready, service.gunicorn.pid
    service.version(2)
    with asking(service) as wrong:
        done, text = service.reload()
    assert (done, text) == (True, "done: generation 2, 2 workers")
    assert wrong == []
    assert service.get() == 2
    assert not set(service.gunicorn.ready) & set(before)
    assert service.gunicorn.status()["master"]["pid"] == master
    assert service.gunicorn.stop() == 0


@pytest.mark.live
@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("service.py", "this is no python", "SyntaxError"),
        ("service.py", APP.replace("VERSION = 1\n", "VERSION = undefined\n"), "name 'undefined' is not defined"),
        ("app.toml", CONF + "\n[wokers]\ncount = 3\n", "wokers"),
        ("app.toml", "[servers.web\n", "app.toml"),
        ("app.toml", CONF + '[servers.more]\nkind = "htpt"\n', "htpt"),
        ("app.toml", CONF + '[servers.more]\nlayers = ["nothing.like:this"]\n', "nothing.like"),
    ],
    ids=["syntax", "import", "unknown key", "no toml", "no such kind", "no such layer"],
)
@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_broken_is_refused_and_nothing_is_touched(
    serve: Callable[..., Service], command: str, name: str, text: str, why: str
) -> None:
    service = serve(command, workers=1)
    before = service.gunicorn.ready
    service.write(name, text)
    done, told = service.reload()
    assert not done
    assert told.startswith("refused, nothing was changed:\n")
    assert why in told
    service.gunicorn.signal(signal.SIGHUP)
    wait_until(lambda: service.gunicorn.log.count("refused, nothing was changed") == 2, PATIENCE)
    assert service.gunicorn.ready == before
    assert service.get() == 1
    assert service.gunicorn.status()["master"]["last_reload"]["ok"] is False


@pytest.mark.live
def test_a_broken_file_of_gunicorn_does_not_end_the_service(tmp_path: Path) -> None:
    """Gunicorn's own master exits on that."""
    service = Service(tmp_path, "gunicorn -c", 1)
    own = tmp_path / "gunicorn.conf.py"
    own.write_text(
        "from greenimi import green\ngreen.patch()\nfrom greenimi.deploy import deployment\nglobals().update(deployment())\nkeepalive = 3\n"
    )
    service.gunicorn = Gunicorn(own, tmp_path / "app.toml", 1, {}, tmp_path / "log")
    service.gunicorn.start()
    try:
        for text in ("nonsense =", own.read_text() + "timeout = 'soon'\n"):
            own.write_text(text)
            done, told = service.reload()
            assert not done
            assert "refused, nothing was changed" in told
            assert service.get() == 1
    finally:
        service.gunicorn.stop()


@pytest.mark.live
def test_workers_that_cannot_start_are_rolled_back(serve: Callable[..., Service]) -> None:
    """The check finds nothing, the worker fails: the old ones serve on, on the old addresses, and the next reload can do better."""
    service = serve(workers=2)
    before = service.gunicorn.ready
    service.version(13)
    service.write("unlucky", "")
    port = free_port()
    service.write("app.toml", f'{CONF}[servers.more]\nkind = "tcp"\nbind = "127.0.0.1:{port}"\n')
    with asking(service) as wrong:
        done, told = service.reload()
    assert not done
    assert told.startswith("rolled back, the old workers serve on:\nworker ")
    assert wrong == []
    assert service.gunicorn.ready == before
    assert service.get() == 1
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
    (service.folder / "unlucky").unlink()
    assert service.reload()[0]
    assert service.get() == 13
    with MessageClient(("127.0.0.1", port), timeout=PATIENCE) as more:
        more.send({"action": "version"})
        assert more.receive() == 13


@pytest.mark.live
def test_addresses_follow_conf_and_what_stays_is_never_closed(serve: Callable[..., Service]) -> None:
    service = serve(workers=1)
    old = service.gunicorn.addresses["till"]
    port = free_port()
    del service.gunicorn._env["GREENIMI__SERVERS__TILL__BIND"]
    gunicorn = service.gunicorn
    gunicorn.stop()
    service.write("app.toml", CONF.replace('kind = "tcp"', f'kind = "tcp"\nbind = "127.0.0.1:{old[1]}"'))
    gunicorn.start()
    service.write("app.toml", CONF.replace('kind = "tcp"', f'kind = "tcp"\nbind = "127.0.0.1:{port}"'))
    with asking(service) as wrong, MessageClient(old, timeout=PATIENCE) as till:
        assert till.request("version") == 1
        done, _ = service.reload()
        till.wait_closed(PATIENCE)
    assert done
    assert wrong == []
    with MessageClient(("127.0.0.1", port), timeout=PATIENCE) as till:
        assert till.request("version") == 1
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(old, timeout=5)


@pytest.mark.live
def test_the_number_of_workers_follows_conf(serve: Callable[..., Service]) -> None:
    service = serve(workers=2)
    del service.gunicorn._env["GREENIMI__WORKERS__COUNT"]
    service.gunicorn.stop()
    service.write("app.toml", f"{CONF}[workers]\ncount = 1\n")
    service.gunicorn.start()
    assert len(service.gunicorn.ready) == 1
    service.write("app.toml", f"{CONF}[workers]\ncount = 3\n")
    assert service.reload() == (True, "done: generation 2, 3 workers")
    assert len(service.gunicorn.ready) == 3


@pytest.mark.live
def test_clients_are_told_that_the_service_restarts(serve: Callable[..., Service]) -> None:
    service = serve(workers=1)
    with WebSocketClient(service.gunicorn.addresses["web"], "/chat", timeout=PATIENCE) as chat:
        assert chat.request("version") == 1
        service.version(2)
        assert service.reload()[0]
        chat.wait_closed(PATIENCE)
        assert chat.close_code == 1012
    with WebSocketClient(service.gunicorn.addresses["web"], "/chat", timeout=PATIENCE) as chat:
        assert chat.request("version") == 2


@pytest.mark.live
def test_requests_at_work_are_finished_by_the_old_workers(serve: Callable[..., Service]) -> None:
    service = serve(workers=1)
    (old,) = service.gunicorn.ready
    stop = green.Event()
    found: list[int] = []

    def slow() -> None:
        while not stop.is_set():
            found.append(service.get("/slow"))

    clients = [green.spawn(slow) for _ in range(3)]
    wait_until(lambda: found, PATIENCE)
    assert service.reload()[0]
    stop.set()
    for client in clients:
        client.get(timeout=PATIENCE)
    assert set(found) <= {old, *service.gunicorn.ready}


@pytest.mark.live
def test_a_reload_under_way_is_not_disturbed_by_another(serve: Callable[..., Service]) -> None:
    service = serve(workers=1)
    first = green.spawn(service.reload)
    wait_until(lambda: "checking the configuration" in service.gunicorn.log, PATIENCE)
    assert service.reload() == (False, "a reload is under way already")
    assert first.get(timeout=PATIENCE)[0]


@pytest.mark.live
def test_a_hup_during_a_reload_is_not_lost(serve: Callable[..., Service]) -> None:
    """Of two deployments the second must serve in the end."""
    service = serve(workers=1)
    service.version(2)
    service.gunicorn.signal(signal.SIGHUP)
    wait_until(lambda: "generation 2" in service.gunicorn.log, PATIENCE)
    service.version(3)
    service.gunicorn.signal(signal.SIGHUP)
    wait_until(lambda: "done: generation 3" in service.gunicorn.log, PATIENCE)
    assert service.get() == 3


@pytest.mark.live
def test_the_master_keeps_no_descriptors_of_its_reloads(serve: Callable[..., Service]) -> None:
    service = serve(workers=1)

    def descriptors() -> int:
        return len(list(Path(f"/proc/{service.gunicorn.pid}/fd").iterdir()))

    assert service.reload()[0]
    before = descriptors()
    for _ in range(3):
        assert service.reload()[0]
    wait_until(lambda: descriptors() <= before, PATIENCE)
    assert descriptors() <= before


@pytest.mark.live
def test_datagrams_sent_during_a_reload_are_all_answered(serve: Callable[..., Service]) -> None:
    service = serve(workers=2)
    clients = [DatagramClient(service.gunicorn.addresses["beacon"]) for _ in range(6)]
    reload = green.spawn(service.reload)
    asked = 0
    while not reload.ready():
        for client in clients:
            client.send({"action": "pid", "id": asked})
        for client in clients:
            assert client.receive(timeout=PATIENCE)["id"] == asked
        asked += 1
    assert reload.get()[0]
    assert asked > 10
    assert {client.request("pid") for client in clients} <= set(service.gunicorn.ready)
    for client in clients:
        client.close()


@pytest.mark.live
@pytest.mark.parametrize("command", COMMANDS)
def test_usr2_starts_a_new_master_on_the_same_sockets(serve: Callable[..., Service], command: str) -> None:
    service = serve(command)
    gunicorn = service.gunicorn
    old = gunicorn.pid
    beacon = DatagramClient(gunicorn.addresses["beacon"])
    assert beacon.request("pid") in gunicorn.ready
    service.version(2)
    with asking(service) as wrong:
        gunicorn.signal(signal.SIGUSR2)

        def heir() -> int:
            for path in gunicorn.control.glob("*.sock"):
                status = gunicorn.status(int(path.stem))
                if status and status["master"]["before"] == old and status["master"]["complete"]:
                    return int(status["master"]["pid"])
            return 0

        new = wait_until(heir, PATIENCE)
        assert beacon.request("pid") in gunicorn.ready, "the old master's worker reads as long as it lives"
        gunicorn.signal(signal.SIGTERM)
        assert gunicorn.process is not None
        assert gunicorn.process.wait(PATIENCE) == 0
        wait_until(lambda: gunicorn.status(new)["master"]["before"] == 0, PATIENCE)
        assert beacon.request("pid") in [worker["pid"] for worker in gunicorn.status(new)["workers"]]
    beacon.close()
    assert wrong == []
    assert service.get() == 2
    assert ask(control_path(gunicorn.control, new), {"do": "drain"})["done"]
    wait_until(lambda: not gunicorn.status(new), PATIENCE)


@pytest.mark.live
def test_a_new_master_that_cannot_start_leaves_the_old_one_alone(serve: Callable[..., Service]) -> None:
    service = serve(workers=1)
    service.write("service.py", "no python")
    before = service.gunicorn.ready
    service.gunicorn.signal(signal.SIGUSR2)
    wait_until(lambda: "this one serves on" in service.gunicorn.log, PATIENCE)
    assert service.gunicorn.ready == before
    assert service.get() == 1
    service.version(2)
    assert service.reload()[0]
    assert service.get() == 2


def test_addresses_that_were_opened_are_closed_when_the_settings_cannot_be_used_after_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check found nothing, and the last step fails: the file of a socket cannot be given to Gunicorn's user.  With a stand-in for the
    arbiter, because the tests may run as a user who can."""

    def refuse(listener: Listener, user: int, group: int) -> None:
        raise ConfigError("it cannot be given away")

    monkeypatch.setattr(Listener, "give", refuse)
    port, told = free_port(), []
    cfg = SimpleNamespace(preload_app=False, reuse_port=False, workers=1, uid=0, gid=0)
    servers = {"web": ServerSettings(bind=f"127.0.0.1:{port}")}
    deployment = SimpleNamespace(workers=WorkerSettings, hub=HubSettings, servers=lambda cfg: servers)
    arbiter: Any = SimpleNamespace(
        app=SimpleNamespace(cfg=cfg, reload=lambda: None),
        cfg=cfg,
        num_workers=1,
        generation=1,
        settings=WorkerSettings(),
        hub=HubSettings(),
        deployment=deployment,
        listeners=Listeners(),
        log=SimpleNamespace(info=lambda *args: None, error=lambda *args: None),
        rolled=lambda **result: told.append(result["text"]),
    )
    roll: Any = Roll.__new__(Roll)
    roll._arbiter, roll._caller, roll._change = arbiter, None, None
    roll._take_settings()
    assert told == ["refused, nothing was changed:\nit cannot be given away"]
    assert arbiter.listeners.open == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


@pytest.mark.skipif(not may_return(), reason="this user may not come forward again, so workers boot as fast as others serve")
def test_a_new_worker_steps_back_until_its_doors_open(serve: Callable[..., Service]) -> None:
    """One that lets clients in and has only what others leave of the processors would keep them waiting."""
    service = serve(workers=1)
    assert service.get("/policies") == [os.SCHED_OTHER, os.SCHED_OTHER]
    assert service.reload()[0]
    assert service.get("/policies") == [os.SCHED_IDLE, os.SCHED_OTHER]
