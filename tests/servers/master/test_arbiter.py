"""The master: what it does with workers that die, grow too old or are not wanted any more.  Real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from greenimi import green
from greenimi.testing.clients import DatagramClient, HttpClient
from greenimi.testing.gunicorn import Gunicorn
from greenimi.testing.plugin import ServeGunicorn
from greenimi.testing.support import free_port, wait_until

PATIENCE = 30.0
ROOT = Path(__file__).resolve().parents[3]

APP = """
import os, sys, time
from greenimi import get, http, listener, on, udp
from greenimi.event.lifecycle import WorkerDraining

@http
class Web:
    @get("/pid")
    def pid(self): return os.getpid()
    @get("/exit")
    def exit(self): os._exit(5)

@udp
class Beacon:
    @on("pid")
    def pid(self): return os.getpid()

@listener
def draining(event: WorkerDraining) -> None:
    print(f"<{os.getpid()} draining {event.restart}>", flush=True)
"""

CONF = """
include = ["service"]
[servers.web]
kind = "http"
[servers.beacon]
kind = "udp"
"""

Start = Callable[..., Gunicorn]


@pytest.fixture
def start(serve_gunicorn: ServeGunicorn, tmp_path: Path) -> Start:
    (tmp_path / "service.py").write_text(APP)
    (tmp_path / "app.toml").write_text(CONF)

    def make(workers: int = 2, **settings: str) -> Gunicorn:
        return serve_gunicorn(tmp_path / "app.toml", workers, {key.replace("__", "."): value for key, value in settings.items()})

    return make


def web_pid(gunicorn: Gunicorn) -> int:
    with HttpClient(gunicorn.addresses["web"], timeout=PATIENCE) as web:
        return int(web.get("/pid").json())


def leave(gunicorn: Gunicorn, path: str) -> None:
    """Ask for something that ends the worker instead of an answer."""
    with HttpClient(gunicorn.addresses["web"], timeout=PATIENCE) as web, pytest.raises(Exception):  # noqa: B017 - however it breaks
        web.get(path)


def _is_in_log(gunicorn: Gunicorn, text: str) -> bool:
    return text in gunicorn.log


def places(gunicorn: Gunicorn) -> dict[int, list[tuple[int, str]]]:
    found: dict[int, list[tuple[int, str]]] = {}
    for worker in gunicorn.status().get("workers", ()):
        found.setdefault(worker["place"], []).append((worker["pid"], worker["state"]))
    return found


@pytest.mark.live
def test_a_worker_that_dies_is_replaced_at_once_at_its_place(start: Start) -> None:
    gunicorn = start()
    before = gunicorn.ready
    os.kill(before[1], signal.SIGKILL)
    after = wait_until(lambda: len(found := gunicorn.ready) == 2 and found[1] != before[1] and found, PATIENCE)
    assert isinstance(after, list)
    assert after[0] == before[0]
    assert f"(pid: {before[1]}) was ended by SIGKILL" in gunicorn.log


@pytest.mark.live
def test_a_worker_that_dies_again_and_again_is_started_with_growing_pauses(start: Start) -> None:
    gunicorn = start(workers=1)
    for _ in range(2):
        wait_until(lambda: gunicorn.ready, PATIENCE)
        told = f"(pid: {gunicorn.ready[0]}) exited with 5"
        leave(gunicorn, "/exit")
        wait_until(partial(_is_in_log, gunicorn, told), PATIENCE)
    assert "started again in 0 s, failure 1 in a row" in gunicorn.log
    assert "started again in 2 s, failure 2 in a row" in gunicorn.log
    wait_until(lambda: gunicorn.ready, PATIENCE)
    assert web_pid(gunicorn) == gunicorn.ready[0]


@pytest.mark.live
def test_a_service_whose_first_worker_cannot_start_ends_and_says_why(tmp_path: Path, serve_gunicorn: ServeGunicorn) -> None:
    (tmp_path / "service.py").write_text(APP.replace("@http", "raise RuntimeError('not today')\n@http"))
    (tmp_path / "app.toml").write_text(CONF)
    with pytest.raises(AssertionError, match="gunicorn ended with 3"):
        serve_gunicorn(tmp_path / "app.toml")
    log = (tmp_path / "gunicorn.log").read_text() if (tmp_path / "gunicorn.log").exists() else ""
    assert not log or "not today" in log


@pytest.mark.live
def test_a_replacement_that_cannot_start_does_not_end_the_service(start: Start, tmp_path: Path) -> None:
    """The code on disk may be broken by then; whoever lives serves on."""
    gunicorn = start()
    (tmp_path / "service.py").write_text("no python")
    first, second = gunicorn.ready
    os.kill(second, signal.SIGKILL)
    wait_until(lambda: "failure 2 in a row" in gunicorn.log, PATIENCE)
    assert gunicorn.ready == [first]
    assert web_pid(gunicorn) == first
    (tmp_path / "service.py").write_text(APP)
    wait_until(lambda: len(gunicorn.ready) == 2, PATIENCE)


@pytest.mark.live
def test_a_worker_that_had_its_number_of_messages_serves_until_its_successor_is_ready(start: Start) -> None:
    gunicorn = start(workers=1, workers__max_messages="20")
    (first,) = gunicorn.ready
    asked = 0
    while web_pid(gunicorn) == first:
        asked += 1
        assert asked < 20_000
    assert "asks for a successor" in gunicorn.log
    wait_until(lambda: places(gunicorn).keys() == {0} and len(places(gunicorn)[0]) == 1, PATIENCE)
    ready = gunicorn.log.index(f"(pid: {gunicorn.booted[1]}, generation 1)")
    assert ready < gunicorn.log.index(f"<{first} draining True>"), "the first went before the second was ready"


@pytest.mark.live
def test_more_and_fewer_workers(start: Start) -> None:
    gunicorn = start()
    gunicorn.signal(signal.SIGTTIN)
    wait_until(lambda: len(gunicorn.ready) == 3, PATIENCE)
    first = gunicorn.ready[0]
    gunicorn.signal(signal.SIGTTOU)
    wait_until(lambda: list(places(gunicorn)) == [0, 1], PATIENCE)
    gunicorn.signal(signal.SIGTTOU)
    wait_until(lambda: list(places(gunicorn)) == [0], PATIENCE)
    assert gunicorn.ready == [first]
    assert {beacon_pid(gunicorn) for _ in range(8)} == {first}, "all slots of UDP have a reader"


def beacon_pid(gunicorn: Gunicorn) -> int:
    with DatagramClient(gunicorn.addresses["beacon"]) as beacon:
        return int(beacon.request("pid"))


@pytest.mark.live
def test_a_client_of_udp_has_one_worker_and_all_workers_have_clients(start: Start) -> None:
    gunicorn = start()
    found: list[int] = []
    for _ in range(16):
        with DatagramClient(gunicorn.addresses["beacon"]) as beacon:
            pids = {beacon.request("pid") for _ in range(5)}
        assert len(pids) == 1
        found += pids
    assert set(found) == set(gunicorn.ready)


@pytest.mark.live
def test_datagrams_of_a_dead_worker_are_read_by_its_successor(start: Start) -> None:
    gunicorn = start()
    clients = [DatagramClient(gunicorn.addresses["beacon"]) for _ in range(8)]
    before = {client: client.request("pid") for client in clients}
    os.kill(gunicorn.pid, signal.SIGSTOP)
    dead = gunicorn.booted[0]
    os.kill(dead, signal.SIGKILL)
    for client in clients:
        for number in range(5):
            client.send({"action": "pid", "id": number})
    os.kill(gunicorn.pid, signal.SIGCONT)
    for client in clients:
        answers = [client.receive(timeout=PATIENCE) for _ in range(5)]
        assert sorted(answer["id"] for answer in answers) == list(range(5))
        (pid,) = {answer["result"] for answer in answers}
        assert (pid == before[client]) == (before[client] != dead)
        client.close()


@pytest.mark.live
def test_a_worker_whose_loop_stands_still_is_killed_and_replaced(start: Start) -> None:
    gunicorn = start(workers__timeout="2")
    stopped, other = gunicorn.ready
    os.kill(stopped, signal.SIGSTOP)
    wait_until(lambda: [pid for pid in gunicorn.ready if pid != stopped][1:] == [other], PATIENCE)
    assert "WORKER TIMEOUT" in gunicorn.log


@pytest.mark.live
def test_workers_leave_in_order_when_the_master_is_killed(start: Start) -> None:
    gunicorn = start(workers=1)
    (worker,) = gunicorn.ready
    gunicorn.signal(signal.SIGKILL)
    wait_until(lambda: f"<{worker} draining False>" in gunicorn.log, PATIENCE)
    wait_until(lambda: f"Worker exiting (pid: {worker})" in gunicorn.log, PATIENCE)
    assert "Traceback" not in gunicorn.log


@pytest.mark.live
def test_a_limit_that_every_worker_breaks_does_not_fork_for_ever(start: Start) -> None:
    gunicorn = start(workers=1, workers__memory="1000000")
    wait_until(lambda: gunicorn.log.count("asks for a successor") == 2, PATIENCE)
    wait_until(lambda: places(gunicorn) == {0: [(gunicorn.booted[1], "ready")]}, PATIENCE)
    green.sleep(1.5)
    assert len(gunicorn.booted) == 2, "the next may be started half a minute later"


OWN = """
from greenimi import green
green.patch()
from greenimi.deploy import settings
globals().update(settings("app.toml"))
"""


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts Gunicorn with a file of its own: the usual lines and these."""
    started: list[subprocess.Popen[str]] = []
    (tmp_path / "service.py").write_text(APP)
    (tmp_path / "app.toml").write_text(
        f'include = ["service"]\n[servers.web]\nbind = "127.0.0.1:{free_port()}"\n[workers]\ncontrol = "{tmp_path}/run"\n'
    )

    def make(lines: str) -> subprocess.Popen[str]:
        (tmp_path / "gunicorn.conf.py").write_text(OWN + lines)
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py"],
                cwd=tmp_path,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return started[-1]

    yield make
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.mark.live
@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ("def on_starting(arbiter):\n    pass\n", "call greenimi.deploy.on_starting(arbiter) in yours"),
        ("preload_app = True\n", "preload_app cannot be used"),
        ("reuse_port = True\n", "reuse_port cannot be used"),
        ("workers = 0\n", "there must be at least one worker"),
    ],
)
def test_settings_of_gunicorn_that_would_do_harm_are_refused(run: Callable[..., subprocess.Popen[str]], lines: str, why: str) -> None:
    process = run(lines)
    _, told = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert why in told


@pytest.mark.live
def test_a_worker_that_has_just_been_forked_hears_that_it_is_to_stop(run: Callable[..., subprocess.Popen[str]]) -> None:
    """A signal at that moment would go to a handler of the master's, and be lost."""
    process = run(
        "import time\ndef post_fork(arbiter, worker):\n    print('FORKED', file=__import__('sys').stderr, flush=True)\n    time.sleep(1)\n"
    )
    assert process.stderr is not None
    while "FORKED" not in (line := process.stderr.readline()):
        assert line, "it ended"
    process.send_signal(signal.SIGTERM)
    before = time.monotonic()
    _, told = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert "was ended by SIGKILL" not in told
    assert time.monotonic() - before < 20, "graceful_timeout is 30 seconds"


@pytest.mark.live
def test_status_tells_the_master_its_listeners_and_its_workers(start: Start, tmp_path: Path) -> None:
    gunicorn = start()
    status = gunicorn.status()
    assert status["master"]["pid"] == gunicorn.pid
    assert status["master"]["conf"] == str(tmp_path / "app.toml")
    assert [(one["server"], one["kind"], one["address"]) for one in status["listeners"]] == [
        (name, kind, "{}:{}".format(*gunicorn.addresses[name])) for name, kind in (("web", "http"), ("beacon", "udp"))
    ]
    assert [(one["place"], one["generation"], one["state"]) for one in status["workers"]] == [(0, 1, "ready"), (1, 1, "ready")]

    def handled() -> int:
        return sum(worker.get("servers", {}).get("web", {}).get("handled", 0) for worker in gunicorn.status()["workers"])

    web_pid(gunicorn)
    wait_until(lambda: handled() == 1, PATIENCE)
