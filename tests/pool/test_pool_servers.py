"""With servers that are there and die: connections to a small server of lines, which is killed and comes back."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from gevent.server import StreamServer

from greenimi import green
from greenimi.pool import Node, Pool, PoolError
from greenimi.testing.support import free_port, wait_until
from tests.pool.things import settings, turn


class Server:
    """Says each line again, until it is killed; silent after ``freeze``."""

    def __init__(self) -> None:
        self.port = free_port()
        self.clients: set[socket.socket] = set()
        self.frozen = False
        self._server: Any = None

    def start(self) -> None:
        self._server = StreamServer(("127.0.0.1", self.port), self._serve)
        self._server.start()

    def _serve(self, client: socket.socket, address: object) -> None:
        self.clients.add(client)
        try:
            while data := client.recv(100):
                while self.frozen:
                    green.sleep(0.01)
                client.sendall(data)
        except OSError:
            pass
        finally:
            self.clients.discard(client)
            client.close()

    def cut(self) -> None:
        """Close all connections."""
        for client in list(self.clients):
            client.shutdown(socket.SHUT_RDWR)

    def kill(self) -> None:
        self._server.stop(0)
        self.cut()


class Line:
    """A connection.  A call that is broken off, or fails, leaves it lost: its answer may come yet."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=1)
        self.lost = False

    def ask(self, text: str) -> str:
        lost, self.lost = self.lost, True
        assert not lost
        self.sock.sendall(text.encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n"):
            data = self.sock.recv(100)
            if not data:
                raise ConnectionError("the server has gone away")
            answer += data
        self.lost = False
        return answer.decode().rstrip("\n")


class Lines:
    """IResources"""

    def connect(self, node: Node) -> Line:
        return Line(node.settings)

    def close(self, resource: Line) -> None:
        resource.lost = True
        resource.sock.close()

    def is_open(self, resource: Line) -> bool:
        return not resource.lost

    def check(self, resource: Line) -> bool:
        return resource.ask("ping") == "ping"

    def reset(self, resource: Line) -> bool:
        return True


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    made.start()
    yield made
    made.frozen = False
    made.kill()
    wait_until(lambda: not made.clients)


@pytest.fixture
def pools() -> Iterator[list[Pool[Line]]]:
    made: list[Pool[Line]] = []
    yield made
    for pool in made:
        pool.stop()


def make(pools: list[Pool[Line]], *servers: Server, **changed: Any) -> Pool[Line]:
    nodes = [Node(f"node{number}", settings=server.port) for number, server in enumerate(servers)]
    pools.append(Pool("lines", Lines(), nodes, settings(**changed)))
    return pools[-1]


def fill(pool: Pool[Line], number: int) -> None:
    leases = [pool.take() for _ in range(number)]
    for lease in leases:
        assert lease.resource.ask("hello") == "hello"
        lease.release()


def test_connections_that_the_server_cut_are_replaced_on_take(server: Server, pools: list[Pool[Line]]) -> None:
    pool = make(pools, server, idle_check=0.0)
    fill(pool, 3)
    server.cut()
    wait_until(lambda: not server.clients)
    fill(pool, 3)
    assert pool.statistics().failed_checks == 1
    assert pool.statistics().connects == 6


def test_connections_that_the_server_cut_are_replaced_by_heartbeats(server: Server, pools: list[Pool[Line]]) -> None:
    pool = make(pools, server, heartbeat=0.02, min=3, eject=0.01)
    pool.start()
    wait_until(lambda: len(server.clients) == 3)
    old = set(server.clients)
    server.cut()
    wait_until(lambda: len(server.clients) == 3 and not old & server.clients)
    wait_until(lambda: pool.statistics().idle == 3)
    fill(pool, 3)
    assert pool.statistics().connects == 6


def test_a_server_that_is_silent(server: Server, pools: list[Pool[Line]]) -> None:
    """As behind a firewall that drops packets: one check is waited for, whatever there is."""
    pool = make(pools, server, idle_check=0.0, check_time=0.02, connect_time=1.0)
    fill(pool, 3)
    server.frozen = True
    lease = pool.take()  # a new connection: those that were there are gone
    assert pool.statistics().failed_checks == 1
    assert pool.size == 1
    server.frozen = False
    assert lease.resource.ask("still") == "still"
    lease.release()


def test_a_server_that_is_killed_and_comes_back_under_load(server: Server, pools: list[Pool[Line]]) -> None:
    """Errors while it is away, none before and after; no answer is another's; the counts are equal."""
    pool = make(pools, server, max=4, min=2, idle_check=0.01, eject=0.01, eject_limit=0.05, wait=1.0)
    pool.start()
    told: Counter[str] = Counter()
    running = True

    def work(number: int) -> None:
        times = 0
        while running:
            times += 1
            text = f"{number}-{times}"
            try:
                with gevent.Timeout(0.5, False), pool.use() as line:
                    assert line.ask(text) == text
                    told["good"] += 1
            except (OSError, PoolError):
                told["bad"] += 1
            green.sleep(0.001)

    def wait_for(what: str, times: int) -> None:
        told.clear()
        wait_until(lambda: told[what] >= times)

    workers = [green.spawn(work, number) for number in range(16)]
    for _ in range(3):
        wait_for("good", 50)
        server.kill()
        wait_for("bad", 20)
        server.start()
        wait_for("good", 50)
        wait_for("good", 50)
        assert not told["bad"]
    gevent.killall(workers[:8])
    wait_for("good", 100)
    running = False
    gevent.joinall(workers[8:], timeout=10, raise_error=True)
    pool.drain()
    wait_until(lambda: not pool.statistics().connecting)
    turn(2)
    found = pool.statistics()
    assert (found.busy, found.waiting) == (0, 0)
    assert found.connects - found.closed == found.idle == found.size
    wait_until(lambda: len(server.clients) == found.idle)


def test_when_one_of_two_servers_dies_the_other_takes_over(server: Server, pools: list[Pool[Line]]) -> None:
    other = Server()
    other.start()
    pool = make(pools, server, other, max=4, idle_check=0.0, balance="round_robin", eject=0.02, eject_limit=0.02)
    fill(pool, 4)
    assert [node.open for node in pool.nodes] == [2, 2]
    other.kill()
    wait_until(lambda: not other.clients)
    for _ in range(10):
        fill(pool, 4)  # nobody sees an error
    assert pool.nodes[1].open == 0
    other.start()
    pool.take().discard()
    wait_until(lambda: pool.nodes[1].available)
    leases = [pool.take() for _ in range(4)]
    for lease in leases:
        lease.discard()
    wait_until(lambda: pool.nodes[1].available)
    fill(pool, 4)
    assert pool.nodes[1].open > 0
    pool.stop()
    other.kill()
    wait_until(lambda: not other.clients)
