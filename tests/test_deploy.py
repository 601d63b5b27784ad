"""An application under Gunicorn: real processes, killed, told to stop, told to start anew."""

from __future__ import annotations

import gc
import os
import re
import signal
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from greenimi import deploy
from greenimi.errors import ConfigError, StartError
from greenimi.event.lifecycle import ORDER
from greenimi.testing.clients import DatagramClient, HttpClient, MessageClient, WebSocketClient
from greenimi.testing.gunicorn import Gunicorn
from greenimi.testing.plugin import ServeGunicorn
from greenimi.testing.support import wait_until
from tests.apps import ports

PATIENCE = 30.0
Start = Callable[..., Gunicorn]


@pytest.fixture
def start(serve_gunicorn: ServeGunicorn, tmp_path: Path) -> Start:
    """The application of ``ports.py`` with two workers, unless told otherwise; it is up when its listener heard so."""

    def make(conf: str = ports.CONF, workers: int = 2, **settings: str) -> Gunicorn:
        file = tmp_path / "app.toml"
        file.write_text(conf)
        gunicorn = serve_gunicorn(file, workers, {key.replace("_", ".", 1): value for key, value in settings.items()})
        wait_until(lambda: gunicorn.log.count("WorkerStarted") == workers, PATIENCE)
        return gunicorn

    return make


def gone(pid: int) -> bool:
    """Whether a process ended, waited for by its parent or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def ask_web(gunicorn: Gunicorn, server: str = "web") -> dict[str, Any]:
    with HttpClient(gunicorn.addresses[server], timeout=PATIENCE) as web:
        found: dict[str, Any] = web.get("/seen").json()
        return found


@contextmanager
def suspended(pid: int) -> Iterator[None]:
    """A process that does nothing meanwhile: the master, so that it starts no worker."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


# -- every door ----------------------------------------------------------------------------------------------------


@pytest.mark.live
def test_each_port_sees_its_own_server_only(start: Start) -> None:
    gunicorn = start()
    found = {"web": ask_web(gunicorn), "admin": ask_web(gunicorn, "admin")}
    with WebSocketClient(gunicorn.addresses["web"], "/chat") as chat:
        found["chat"] = chat.request("seen")
    with MessageClient(gunicorn.addresses["till"]) as till:
        found["till"] = till.request("seen")
    with DatagramClient(gunicorn.addresses["beacon"]) as beacon:
        found["beacon"] = beacon.request("seen")
    assert {found[door].pop("pid") for door in found} <= set(gunicorn.booted)
    assert found == {
        "web": {"container": "web", "badges": ["web"]},
        "admin": {"container": "admin", "badges": ["admin"]},
        "chat": {"container": "web", "badges": ["web"]},
        "till": {"container": "till", "badges": ["till"]},
        "beacon": {"container": "beacon", "badges": ["beacon"]},
    }
    with HttpClient(gunicorn.addresses["admin"]) as admin:
        assert admin.get("/chat").status == 404


NO_HTTP = """
from greenimi import on, tcp, udp
@tcp
class Till:
    @on("hello")
    def hello(self): return "till"
@udp
class Beacon:
    @on("hello")
    def hello(self): return "beacon"
"""


@pytest.mark.live
def test_an_application_without_http_starts(serve_gunicorn: ServeGunicorn, tmp_path: Path) -> None:
    (tmp_path / "messages_only.py").write_text(NO_HTTP)
    (tmp_path / "app.toml").write_text('include = ["messages_only"]\n[servers.till]\nkind = "tcp"\n[servers.beacon]\nkind = "udp"\n')
    gunicorn = serve_gunicorn(tmp_path / "app.toml")
    with MessageClient(gunicorn.addresses["till"], timeout=PATIENCE) as till, DatagramClient(gunicorn.addresses["beacon"]) as beacon:
        assert till.request("hello") == "till"
        assert beacon.request("hello") == "beacon"
    addresses = ("{}://{}:{}".format(kind, *gunicorn.addresses[name]) for name, kind in (("till", "tcp"), ("beacon", "udp")))
    assert f"Listening at: {','.join(addresses)} (" in gunicorn.log
    assert gunicorn.stop() == 0


@pytest.mark.live
def test_an_application_without_servers_does_its_other_work(serve_gunicorn: ServeGunicorn, tmp_path: Path) -> None:
    """Gunicorn cannot do without an address: it gets the file of a socket, which is gone afterwards."""
    (tmp_path / "app.toml").write_text('include = ["greenimi.enums"]\n')
    gunicorn = serve_gunicorn(tmp_path / "app.toml")
    (private,) = re.findall(r"Listening at: unix:(\S+)", gunicorn.log)
    assert stat.S_ISSOCK(Path(private).stat().st_mode)
    assert gunicorn.stop() == 0
    assert not Path(private).exists()


@pytest.mark.live
def test_a_worker_tells_its_life_in_the_documented_order(start: Start) -> None:
    gunicorn = start('include = ["tests.apps.ports"]\n[servers.web]\nkind = "http"\n', workers=1)
    assert gunicorn.stop() == 0
    (worker,) = gunicorn.booted
    names = [kind.__name__ for kind in ORDER]
    assert [word for word in re.findall(rf"<{worker} (\w+)", gunicorn.log) if word in names] == names[:-2]


# -- a worker dies -------------------------------------------------------------------------------------------------


@pytest.mark.live
def test_what_comes_while_no_worker_lives_is_answered_by_the_next(start: Start) -> None:
    gunicorn = start()
    killed = list(gunicorn.booted)
    with suspended(gunicorn.pid):
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: all(map(gone, killed)), PATIENCE)
        till = MessageClient(gunicorn.addresses["till"], timeout=PATIENCE)
        beacon = DatagramClient(gunicorn.addresses["beacon"])
        web = HttpClient(gunicorn.addresses["web"], timeout=PATIENCE)
        with till, beacon, web:
            till.send({"action": "seen"})
            for number in range(20):
                beacon.send({"action": "seen", "id": number})
            web._link.request("GET", "/seen")
            os.kill(gunicorn.pid, signal.SIGCONT)
            answers = [beacon.receive(timeout=PATIENCE) for _ in range(20)]
            pids = {answer["result"]["pid"] for answer in answers} | {till.receive(timeout=PATIENCE)["pid"]}
            assert web._link.getresponse().status == 200
            assert till.request("seen")["container"] == "till"
    assert sorted(answer["id"] for answer in answers) == list(range(20))
    assert pids <= set(gunicorn.booted) - set(killed)
    wait_until(lambda: len(gunicorn.booted) == 4, PATIENCE)
    assert ask_web(gunicorn)["container"] == "web"


@pytest.mark.live
def test_the_other_worker_serves_on_when_one_is_killed(start: Start) -> None:
    gunicorn = start()
    with WebSocketClient(gunicorn.addresses["web"], "/chat") as chat:
        mine = chat.request("seen")["pid"]
        (other,) = set(gunicorn.booted) - {mine}
        os.kill(other, signal.SIGKILL)
        wait_until(lambda: len(gunicorn.booted) == 3, PATIENCE)
        assert chat.request("seen")["pid"] == mine
    new = gunicorn.booted[-1]
    wait_until(lambda: ask_web(gunicorn)["pid"] == new, PATIENCE)


# -- the end -------------------------------------------------------------------------------------------------------


@pytest.mark.live
def test_term_says_goodbye_and_runs_what_is_to_run_at_the_end(start: Start) -> None:
    gunicorn = start()
    with WebSocketClient(gunicorn.addresses["web"], "/chat") as chat:
        worker = chat.request("seen")["pid"]
        gunicorn.signal(signal.SIGTERM)
        chat.wait_closed(PATIENCE)
        assert (chat.close_code, chat.close_reason) == (1001, "the server stops")
    assert gunicorn.stop() == 0
    words = re.findall(rf"<{worker} (\w+)>", gunicorn.log)
    assert words[-4:] == ["WorkerDraining", "closed", "WorkerStopping", "WorkerStopped"]
    assert "SIGKILL" not in gunicorn.log


@pytest.mark.live
def test_term_does_not_wait_for_ever_for_a_handler(start: Start) -> None:
    """The worker ends by itself, before Gunicorn kills it: then what is to run at the end would not run."""
    gunicorn = start(workers=1, workers_graceful_timeout="3")
    (worker,) = gunicorn.booted
    with WebSocketClient(gunicorn.addresses["web"], "/chat") as busy, WebSocketClient(gunicorn.addresses["web"], "/chat") as idle:
        busy.send({"action": "hang"})
        assert busy.receive() == "hanging"
        assert idle.request("seen")["pid"] == worker
        gunicorn.signal(signal.SIGTERM)
        idle.wait_closed(PATIENCE)
        assert idle.close_code == 1001
        assert gunicorn.stop() == 0
    words = re.findall(rf"<{worker} (\w+)>", gunicorn.log)
    assert "closed" in words
    assert words[-1] == "WorkerStopped"
    assert f"Worker exiting (pid: {worker})" in gunicorn.log


# -- settings ------------------------------------------------------------------------------------------------------

WITH_MORE = """
from greenimi import green
green.patch()
from greenimi.deploy import settings
globals().update(settings())
workers = 1
proc_name = "from the file"
def post_worker_init(worker):
    print("my hook ran", flush=True)
"""


@pytest.mark.live
def test_what_stands_in_gunicorns_file_wins(tmp_path: Path) -> None:
    conf = tmp_path / "conf/app.toml"
    conf.parent.mkdir()
    conf.write_text('include = ["shop"]\n[servers.web]\nkind = "http"\n')
    (tmp_path / "shop.py").write_text(
        "from greenimi import get, http\n@http\nclass Shop:\n    @get('/')\n    def show(self): return 'open'\n"
    )
    (tmp_path / "conf/gunicorn.conf.py").write_text(WITH_MORE)
    gunicorn = Gunicorn(tmp_path / "conf/gunicorn.conf.py", conf, 1, {"workers.count": "3"}, tmp_path / "log")
    try:
        gunicorn.start()
        wait_until(lambda: "my hook ran" in gunicorn.log, PATIENCE)
        with HttpClient(gunicorn.addresses["web"]) as web:
            assert web.get("/").text == "open"
    finally:
        gunicorn.stop()
    assert len(gunicorn.booted) == 1


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Writes conf; what :func:`deploy.settings` remembers is forgotten after the test."""
    monkeypatch.setattr(deploy, "_deployment", deploy._Deployment())

    def write(text: str) -> str:
        (tmp_path / "app.toml").write_text(text)
        return str(tmp_path / "app.toml")

    return write


SHOP = """
[app]
name = "owl"
[workers]
count = 3
graceful_timeout = 7
[servers.web]
bind = ":8000"
[servers.till]
kind = "tcp"
bind = "127.0.0.1:9000"
[servers.admin]
kind = "http"
bind = "[::1]:8001"
"""


def test_conf_in_gunicorns_words(conf: Callable[[str], str]) -> None:
    found = deploy.settings(conf(SHOP), ["--set", "workers.count=4"])
    assert found["bind"] == ["0.0.0.0:8000", "[::1]:8001"]
    assert (found["workers"], found["graceful_timeout"], found["proc_name"]) == (4, 7, "owl")
    assert found["control_socket_disable"] is True
    served = deploy._deployment.servers(SimpleNamespace(bind=found["bind"]))
    assert {name: settings.bind for name, settings in served.items()} == {"web": ":8000", "till": "127.0.0.1:9000", "admin": "[::1]:8001"}
    assert deploy._deployment.workers().count == 4


def test_gunicorns_bind_moves_the_only_http_server(conf: Callable[[str], str]) -> None:
    asked = SimpleNamespace(bind=["127.0.0.1:7000"])
    deploy.settings(conf('[servers.web]\n[servers.till]\nkind = "tcp"\n'))
    assert deploy._deployment.servers(asked)["web"].bind == "127.0.0.1:7000"
    deploy.settings(conf(SHOP))
    with pytest.raises(ConfigError, match="cannot replace the addresses of conf"):
        deploy._deployment.servers(asked)


def test_without_http_the_address_is_a_private_one(conf: Callable[[str], str]) -> None:
    (bind,) = deploy.settings(conf('[servers.till]\nkind = "tcp"\n'))["bind"]
    assert bind.startswith("unix:/")
    assert bind.endswith(f"-{os.getpid()}.sock")


def test_mistakes_in_conf_are_found_in_the_master(conf: Callable[[str], str]) -> None:
    with pytest.raises(ConfigError, match="'nowhere' is no address"):
        deploy.settings(conf('[servers.web]\nbind = "nowhere"\n'))
    with pytest.raises(ConfigError, match="unknown key coutn"):
        deploy.settings(conf("[workers]\ncoutn = 1\n"))


def test_the_launcher_takes_more_settings_that_win(conf: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["greenimi"])
    launcher = deploy.Launcher(conf(SHOP), ["--set", "app.name=eagle"], workers=9, accesslog="-")
    assert (launcher.cfg.workers, launcher.cfg.accesslog, launcher.cfg.proc_name) == (9, "-", "eagle")
    assert launcher.cfg.worker_class is deploy.Worker
    with pytest.raises(StartError, match="greenimi's own worker"):
        launcher.load()({}, None)


def test_a_reload_of_the_launcher_reads_conf_anew(conf: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["greenimi"])
    launcher = deploy.Launcher(conf(SHOP))
    conf(SHOP.replace("count = 3", "count = 5"))
    launcher.reload()
    assert launcher.cfg.workers == 5


def test_what_gunicorn_checks_is_the_whole_application(conf: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    deploy.settings(conf('include = ["tests.apps.ports"]\n[servers.web]\nlayers = ["nothing.like:this"]\n'))
    with pytest.raises(SystemExit) as caught:
        deploy.checked()
    assert caught.value.code == 1
    assert "nothing.like" in capsys.readouterr().err


def test_workers_share_what_the_master_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("greenimi.servers.master.arbiter.GreenArbiter.take_over", lambda arbiter, deployment: None)
    gc.unfreeze()
    deploy.on_starting(None)
    found = gc.get_freeze_count()
    gc.unfreeze()
    assert found > 1000
