"""The Hub under ``greenimi serve`` with two workers: what is pushed by one reaches the clients of both."""

from __future__ import annotations

import http.client
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from greenimi.testing.clients import MessageClient
from greenimi.testing.gunicorn import Gunicorn
from greenimi.testing.support import wait_until
from tests.live.apps import pushes

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Gunicorn]:
    folder = tmp_path_factory.mktemp("pushes")
    conf = folder / "conf/app.toml"
    conf.parent.mkdir()
    conf.write_text(pushes.CONF)
    served = Gunicorn(pytestconfig.rootpath / "conf/gunicorn.conf.py", conf, 2, {}, folder / "log", ("-m", "greenimi", "serve", str(conf)))
    try:
        served.start()
        yield served
    finally:
        served.stop()


class Desk:
    """One worker, by a connection to it that stays."""

    def __init__(self, service: Gunicorn) -> None:
        self._link = http.client.HTTPConnection(*service.addresses["web"], timeout=10)
        self.pid: int = self.facts["pid"]
        self.process: int = self.facts["process"]

    @property
    def facts(self) -> Any:
        self._link.request("GET", "/worker")
        return json.loads(self._link.getresponse().read())

    def ask(self, path: str, **asked: Any) -> Any:
        self._link.request("POST", path, json.dumps(asked), {"Content-Type": "application/json"})
        answer = self._link.getresponse()
        body = answer.read()
        assert answer.status == 200, body
        return json.loads(body)

    def send(self, **asked: Any) -> tuple[int, int, int]:
        found = self.ask("/send", **asked)
        return found["delivered"], found["published"], found["unknown"]

    def call(self, call: str, *arguments: Any, **asked: Any) -> Any:
        return self.ask("/call", call=call, arguments=arguments, **asked)["result"]

    def context(self, connection: str, call: str, *arguments: Any) -> Any:
        return self.ask("/context", connection=connection, call=call, arguments=arguments)

    def close(self) -> None:
        self._link.close()


class Socket:
    """A client over WebSocket."""

    def __init__(self, service: Gunicorn) -> None:
        self._end = ExitStack()
        self.link: ClientConnection = self._end.enter_context(connect("ws://{}:{}/chat".format(*service.addresses["web"])))
        self._kept: list[Any] = []  # what came before an answer
        self.pid, self.id = self.ask("who").values()

    def ask(self, action: str, **fields: Any) -> Any:
        self.link.send(json.dumps({"action": action, "id": 1, **fields}))
        while "result" not in (found := self._next()):
            self._kept.append(found)
        return found["result"]

    def heard(self) -> Any:
        return self._kept.pop(0) if self._kept else self._next()

    def _next(self) -> Any:
        return json.loads(self.link.recv(timeout=10))

    def close(self) -> None:
        self._end.close()


class Till:
    """A client over TCP."""

    def __init__(self, service: Gunicorn) -> None:
        self.link = MessageClient(service.addresses["till"], "till")
        self.pid, self.id = self.ask("who").values()

    def ask(self, action: str, **fields: Any) -> Any:
        return self.link.request(action, **fields)

    def heard(self) -> Any:
        return self.link.receive()

    def close(self) -> None:
        self.link.close()


Kind = Callable[[Gunicorn], Any]


class Cluster:
    """Two workers, and clients of them."""

    def __init__(self, service: Gunicorn, ends: ExitStack) -> None:
        self._service = service
        self._ends = ends
        self.desks: list[Desk] = [self._of(pid, Desk) for pid in service.ready]
        wait_until(lambda: [len(desk.call("connections")) for desk in self.desks] == [0, 0])

    def _of(self, pid: int, kind: Kind) -> Any:
        """One of that worker: others come and go until there is one."""
        while True:
            found = kind(self._service)
            if found.pid == pid:
                self._ends.callback(found.close)
                return found
            found.close()

    def client(self, worker: int, kind: Kind) -> Any:
        return self._of(self.desks[worker].pid, kind)


@pytest.fixture
def cluster(service: Gunicorn) -> Iterator[Cluster]:
    with ExitStack() as ends:
        yield Cluster(service, ends)


@pytest.fixture
def clients(cluster: Cluster) -> list[Any]:
    """Three of two workers."""
    found = [cluster.client(0, Socket), cluster.client(1, Till), cluster.client(1, Socket)]
    assert found[0].ask("be", name="ann")
    for client in found[:2]:
        assert client.ask("join", group="pair")
    wait_until(lambda: [desk.call("count") for desk in cluster.desks] == [3, 3])
    return found


@pytest.mark.parametrize("raw", [False, True], ids=["encoded", "raw"])
def test_counts(cluster: Cluster, clients: list[Any], raw: bool) -> None:
    told = "raw" if raw else "hello"
    counts = dict.fromkeys(clients, 0)
    for desk in cluster.desks:
        assert desk.send(connection="0", data="hello", raw=raw) == (0, 0, 0)
        assert [desk.send(connection=client.id, data="hello", raw=raw)[0] for client in clients] == [1, 1, 1]
        assert sum(desk.send(connection=client.id, data="hello", raw=raw)[0] for client in clients[:2]) == 2
        assert desk.send(user="ann", data="hello", raw=raw)[0] == 1
        assert desk.send(user="bob", data="hello", raw=raw) == (0, 0, 0)
        assert desk.send(data="hello", raw=raw) == (3, 1, 0)
        assert desk.send(group="pair", data="hello", raw=raw) == (2, 1, 0)
        assert desk.send(server="till", data="hello", raw=raw)[0] == 1
        for client, more in zip(clients, (5, 5, 2), strict=True):
            counts[client] += more
    for client, count in counts.items():
        assert [client.heard() for _ in range(count)] == [told] * count


def one_is_left(desk: Desk, group: str) -> bool:
    return bool(desk.call("count", group=group) == 1)


def test_exists_and_count_until_it_is_closed(cluster: Cluster, clients: list[Any]) -> None:
    for desk, client in zip(cluster.desks, (clients[1], clients[0]), strict=True):  # the worker that does not have it
        group = f"of {client.id}"
        assert client.ask("join", group=group)
        assert desk.call("count", group=group) == 1
        assert desk.call("add", clients[2].id, group=group)
        assert [each.call("count", group=group) for each in cluster.desks] == [2, 2]
        assert desk.call("exists", connection=client.id)
        assert desk.call("close", 4000, "enough", connection=client.id) == 1
        assert not desk.call("exists", connection=client.id)
        client.close()
        wait_until(partial(one_is_left, desk, group))
        assert [each.call("connections", group=group) for each in cluster.desks] == [[clients[2].id]] * 2
    assert (clients[0].link.close_code, clients[0].link.close_reason) == (4000, "enough")


def test_messages_between_workers(cluster: Cluster) -> None:
    first, second = cluster.desks
    mark = os.urandom(8).hex()
    assert first.ask("/tell", data=mark)["delivered"] == 2
    assert first.ask("/tell", workers=[second.process], data=mark)["delivered"] == 1
    assert first.ask("/tell", workers=[first.process, second.process], data=mark)["delivered"] == 2
    wait_until(lambda: [desk.facts["heard"].count(mark) for desk in cluster.desks] == [2, 3])


def at_once(*functions: Callable[[], Any]) -> list[Any]:
    found: list[Any] = []

    def run(function: Callable[[], Any]) -> None:
        found.append(function())

    threads = [threading.Thread(target=run, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return found


def test_one_claims_a_user(cluster: Cluster, clients: list[Any]) -> None:
    here, there = cluster.desks
    for number in range(10):
        user = f"exclusive {number}"
        found = at_once(
            partial(here.call, "claim", clients[0].id, user=user),
            partial(there.call, "claim", clients[1].id, user=user),
        )
        assert sorted(found) == [False, True]
        (owner,) = here.call("connections", user=user)
        assert owner in (clients[0].id, clients[1].id)
        assert there.call("discard", owner, user=user)


def test_data_of_a_connection(cluster: Cluster, clients: list[Any]) -> None:
    here, there = cluster.desks
    number = clients[0].id
    for desk in cluster.desks:
        desk.context(number, "set", "a", [1])
        assert there.context(number, "get", "a") == {"result": [1]}
        assert desk.context(number, "remember", "a", 2) == {"result": [1]}
        assert here.context(number, "unset", "a") == {"result": True}
        assert desk.context(number, "wait", "a", 0.05) == {"error": "TimeoutError"}
    found = at_once(partial(there.context, number, "wait", "b", 10), partial(here.context, number, "set", "b", 5))
    assert {"result": 5} in found

    def add(desk: Desk) -> None:
        for _ in range(20):
            desk.ask("/add", connection=number)

    at_once(*[partial(add, desk) for desk in cluster.desks])
    assert there.context(number, "get", "count") == {"result": 40}
    clients[0].close()
    wait_until(lambda: there.context(number, "all") == {"error": "ConnectionClosed"})


def test_history_in_one_order_through_a_change_of_the_worker(cluster: Cluster) -> None:
    hello = "$hello"
    client, other = cluster.client(0, Socket), cluster.client(1, Till)
    for each in (client, other):
        assert each.ask("join", group="log")
    found = client.ask(hello)

    def talk(desk: Desk) -> None:
        for number in range(20):
            desk.send(group="log", data=f"{desk.pid} {number}")

    at_once(*[partial(talk, desk) for desk in cluster.desks])
    heard = [client.heard() for _ in range(40)]
    assert [other.heard() for _ in range(40)] == heard
    offsets = [message["offset"] for message in heard]
    assert offsets == list(range(offsets[0], offsets[0] + 40))
    assert {message["data"] for message in heard} == {f"{desk.pid} {n}" for desk in cluster.desks for n in range(20)}

    place = {"offset": offsets[-1], "epoch": found["positions"]["log"]["epoch"]}
    client.close()
    for number in range(5):
        cluster.desks[1].send(group="log", data=number)
    back = cluster.client(1, Socket)
    found = back.ask(hello, token=found["token"], positions={"log": place})
    assert found["restored"] is True
    assert found["recovered"]["log"]["recovered"] is True
    assert [back.heard()["data"] for _ in range(5)] == list(range(5))
    cluster.desks[0].send(group="log", data="next")
    assert back.heard()["data"] == "next"


def test_restored_from_an_open_connection_of_the_other_worker(cluster: Cluster) -> None:
    client = cluster.client(0, Socket)
    client.ask("be", name="cid")
    client.ask("join", group="room")
    assert client.heard()["event"] == "$join"
    token = client.ask("$hello")["token"]
    back = cluster.client(1, Till)
    assert back.ask("$hello", token=token)["restored"] is True
    with pytest.raises(ConnectionClosed) as closed:
        client.heard()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4409
    for desk in cluster.desks:
        assert desk.call("connections", user="cid") == [back.id]
        assert desk.call("present", group="room") == [["cid", None, 1]]
    assert cluster.desks[0].send(group="room", data="x")[0] == 1
    assert back.heard() == "x"  # and nobody joined or left


def test_worker_that_stands_still(cluster: Cluster, clients: list[Any]) -> None:
    """Nobody waits for it longer than conf says; it has missed nothing when it goes on."""
    here, there = cluster.desks
    os.kill(there.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        assert here.send(data="x") == (1, 1, 1)
        assert time.monotonic() - began < 3
    finally:
        os.kill(there.pid, signal.SIGCONT)
    assert [client.heard() for client in clients] == ["x", "x", "x"]
    assert here.send(data="y") == (3, 1, 0)


def test_worker_that_is_killed(service: Gunicorn, cluster: Cluster, clients: list[Any]) -> None:
    """Last here: there is another worker then."""
    here, there = cluster.desks
    for client in clients:
        client.ask("join", group="room:2")
    assert len(here.call("present", group="room:2")) == 3
    os.kill(there.pid, signal.SIGKILL)
    wait_until(lambda: here.send(data="x") in ((1, 0, 0), (1, 1, 0)))
    wait_until(lambda: here.call("present", group="room:2") == [["ann", None, 1]])
    assert here.call("connections", group="pair") == [clients[0].id]
    assert not here.call("exists", connection=clients[1].id)
    wait_until(lambda: len(service.ready) == 2, 30)
    new = next(pid for pid in service.ready if pid != here.pid)
    fresh = cluster._of(new, Socket)
    assert fresh.ask("join", group="pair")
    assert here.call("count", group="pair") == 2


def test_log_tells_of_no_error(service: Gunicorn) -> None:
    assert "Traceback" not in service.log
