"""UDP under Gunicorn: a client has one worker that remembers it, also over a reload and a crash."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from greenimi.servers.master.calling import ask
from greenimi.servers.master.control import control_path
from greenimi.testing.clients import DatagramClient
from greenimi.testing.gunicorn import Gunicorn
from greenimi.testing.support import wait_until

PATIENCE = 40.0

APP = """
import os
from greenimi import IConnection, closed, on, opened, udp
from greenimi.facades import Hub

def note(what, connection):
    with open(f"{os.path.dirname(__file__)}/notes", "a") as notes:
        notes.write(f"{what} {connection.address[1]} {os.getpid()}\\n")

@udp
class Beacon:
    @opened
    def enter(self, connection: IConnection):
        note("opened", connection)
    @closed
    def leave(self, connection: IConnection):
        note("closed", connection)
    @on("count")
    def count(self, connection: IConnection):
        connection.data["count"] = connection.data.get("count", 0) + 1
        return [os.getpid(), connection.data["count"]]
    @on("join")
    def join(self, connection: IConnection):
        return Hub.group("all").add(connection)
    @on("leave")
    def go(self, connection: IConnection):
        connection.close()
    @on("members")
    def members(self):
        return Hub.group("all").count()
    @on("tell")
    def tell(self, text: str):
        return Hub.group("all").send(text).delivered
"""

CONF = """
include = ["beacons"]
[servers.beacon]
kind = "udp"
[workers]
drain_window = 0.2
"""

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("beacons")
    (folder / "beacons.py").write_text(APP)
    (folder / "app.toml").write_text(CONF)
    return folder


@pytest.fixture(scope="module")
def gunicorn(folder: Path, pytestconfig: pytest.Config) -> Iterator[Gunicorn]:
    gunicorn = Gunicorn(pytestconfig.rootpath / "conf/gunicorn.conf.py", folder / "app.toml", 2, {}, folder / "log")
    try:
        gunicorn.start()
        yield gunicorn
    finally:
        gunicorn.stop()


@pytest.fixture
def clients(gunicorn: Gunicorn) -> Iterator[list[DatagramClient]]:
    """One of each worker."""
    found: dict[int, DatagramClient] = {}
    with ExitStack() as ends:
        while len(found) < 2:
            client = ends.enter_context(DatagramClient(gunicorn.addresses["beacon"]))
            worker, _ = client.request("count")
            if worker not in found:
                client.request("join")
                found[worker] = client
        yield list(found.values())
        for client in found.values():
            client.request("leave")


def notes(folder: Path) -> list[str]:
    return (folder / "notes").read_text().splitlines()


def port(client: DatagramClient) -> int:
    return int(client._sock.getsockname()[1])


def test_a_push_reaches_the_peers_of_all_workers(clients: list[DatagramClient]) -> None:
    for teller in clients:
        wait_until(lambda teller=teller: teller.request("members") == 2, PATIENCE)  # type: ignore[misc]
        assert teller.request("tell", text="news") == 2
        assert [client.receive() for client in clients] == ["news", "news"]


def test_over_a_reload_a_peer_is_closed_here_and_opened_there(gunicorn: Gunicorn, clients: list[DatagramClient], folder: Path) -> None:
    old = {port(client): client.request("count") for client in clients}
    assert {count for _, count in old.values()} == {2}
    answer = ask(control_path(gunicorn.control, gunicorn.pid), {"do": "reload"}, patience=PATIENCE)
    assert answer["done"], answer["text"]
    for client in clients:
        before, _ = old[port(client)]
        assert f"closed {port(client)} {before}" in notes(folder), "the old worker is gone"
        worker, count = client.request("count")
        assert (worker in gunicorn.ready, worker != before, count) == (True, True, 1)
        assert client.request("count") == [worker, 2], "and there it stays"
        assert notes(folder)[-1] == f"opened {port(client)} {worker}"


def test_the_peers_of_a_worker_that_dies_are_opened_by_its_successor(gunicorn: Gunicorn, clients: list[DatagramClient]) -> None:
    dying, staying = clients
    worker, _ = dying.request("count")
    before = staying.request("count")
    os.kill(worker, signal.SIGKILL)
    dying.send({"action": "count", "id": 1})
    successor, count = dying.receive(timeout=PATIENCE)["result"]
    assert (successor != worker, count) == (True, 1)
    assert staying.request("count") == [before[0], before[1] + 1]
