"""Who comes in: limits of connections, of an address, of a second, and of file descriptors."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import pytest

from greenimi import green
from greenimi.app import App
from greenimi.servers.acceptor import Gate
from greenimi.servers.base import StreamHost
from greenimi.servers.settings import ServerSettings
from greenimi.testing.links import connect
from greenimi.testing.plugin import Serve, Served
from greenimi.testing.support import wait_until
from tests.apps import echo

Serving = Callable[..., Served]
ASK = b'{"action":"echo","text":"x"}\n'
ANSWER = b'{"text":"x"}\n'


@pytest.fixture
def till(serve: Serve) -> Serving:
    """The echo application on real sockets, its TCP server with these settings."""

    def start(**settings: Any) -> Served:
        servers: Mapping[str, Any] = {**echo.CONF["servers"], "till": {"kind": "tcp", **settings}}
        return serve([echo], {"servers": servers})

    return start


@pytest.fixture
def clients() -> Iterator[Callable[[Served], socket.socket]]:
    """Connects; everything is closed after the test."""
    with ExitStack() as ends:
        yield lambda served: ends.enter_context(socket.create_connection(served.addresses["till"], 5))


def host(served: Served) -> StreamHost:
    found = served.app.doors.servers["till"]
    assert isinstance(found, StreamHost)
    return found


def answered(client: socket.socket) -> bool:
    client.sendall(ASK)
    return client.recv(100) == ANSWER


def later(served: Served, seconds: float = 1) -> None:
    """What the clock does once a second."""
    served.app.doors.runtime.now += seconds
    host(served).sweep(served.app.doors.runtime.now)


# -- connections at a time -------------------------------------------------------------------------------------------


def test_who_is_over_the_limit_waits_until_there_is_room(till: Serving, clients: Any, caplog: pytest.LogCaptureFixture) -> None:
    served = till(connections=2)
    first, second, third, fourth = (clients(served) for _ in range(4))
    assert answered(first)
    assert answered(second)
    third.sendall(ASK)
    fourth.sendall(ASK)
    green.sleep(0.1)
    assert len(host(served).connections) == 2
    assert host(served).refused == 0, "they wait in the kernel and know of nothing"
    first.close()
    assert third.recv(100) == ANSWER
    assert len(host(served).connections) == 2
    second.close()
    assert fourth.recv(100) == ANSWER
    assert host(served).accepted_count == 4
    later(served)
    told = [record for record in caplog.records if "its limit" in record.getMessage()]
    assert [record.levelno for record in told] == [logging.WARNING], "once a second, however often it was met"
    assert told[0].getMessage().startswith("server till: it holds 2 connections, its limit: further ones wait")


def test_sockets_on_their_way_in_count(till: Serving, clients: Any) -> None:
    served = till(connections=2)

    class Way:
        count = 1

        def close(self) -> None: ...

    way: Any = Way()
    first, second = clients(served), clients(served)
    wait_until(lambda: len(host(served).connections) == 2)
    host(served).entrance = way
    for client in (first, second):
        client.close()
    wait_until(lambda: not host(served).connections)
    host(served).entrance = None
    assert answered(clients(served))
    host(served).entrance = way
    waits = clients(served)
    waits.sendall(ASK)
    green.sleep(0.05)
    assert len(host(served).connections) == 1
    way.count = 0
    host(served).entrance = None
    later(served)
    assert waits.recv(100) == ANSWER, "what the entrance lets go is seen at the next second"


# -- of one address --------------------------------------------------------------------------------------------------


def test_one_address_has_only_so_many(till: Serving, clients: Any, caplog: pytest.LogCaptureFixture) -> None:
    served = till(per_address=2)
    first, second = clients(served), clients(served)
    assert answered(first)
    assert answered(second)
    for _ in range(3):
        assert clients(served).recv(10) == b""
    assert host(served).refused == 3
    with connect(served.app, "till", address=("10.0.0.9", 1)) as other:
        assert answered(other)
    later(served)
    assert "server till: one address has 2 connections, its limit (3 times)" in caplog.text
    first.close()
    wait_until(lambda: len(host(served).connections) < 2)
    assert answered(clients(served))


def test_the_count_of_addresses_empties_itself(app: App) -> None:
    gate = Gate("till", ServerSettings(per_address=3), lambda: 0)
    for number in range(100):
        for _ in range(3):
            assert gate.admits((f"10.0.0.{number}", 1))
        assert not gate.admits((f"10.0.0.{number}", 2))
    assert len(gate._by_address) == 100
    for number in range(100):
        for _ in range(3):
            gate.forget((f"10.0.0.{number}", 7))
    assert gate._by_address == {}


@pytest.mark.parametrize("address", ["", "/run/x.sock", b"\0abstract"])
def test_unix_sockets_have_no_address_to_count(address: Any) -> None:
    gate = Gate("till", ServerSettings(per_address=1), lambda: 0)
    assert [gate.admits(address) for _ in range(5)] == [True] * 5
    gate.forget(address)


# -- in a second -----------------------------------------------------------------------------------------------------


def test_so_many_are_accepted_a_second_and_the_others_wait(till: Serving, clients: Any) -> None:
    served = till(accept_rate=2)
    served.app.doors.runtime.stop()  # its clock
    waiting = [clients(served) for _ in range(5)]
    for client in waiting:
        client.sendall(ASK)
    for already in (2, 4, 5):
        wait_until(lambda already=already: host(served).accepted_count == already)  # type: ignore[misc]
        green.sleep(0.05)
        assert host(served).accepted_count == already
        later(served)
    assert [client.recv(100) for client in waiting] == [ANSWER] * 5


def test_a_client_that_leaves_lets_nobody_in_before_the_second_is_over(till: Serving, clients: Any) -> None:
    served = till(accept_rate=1)
    served.app.doors.runtime.stop()
    first, second = clients(served), clients(served)
    assert answered(first)
    first.close()
    wait_until(lambda: not host(served).connections)
    green.sleep(0.05)
    assert host(served).accepted_count == 1
    later(served)
    assert answered(second)


# -- of file descriptors ---------------------------------------------------------------------------------------------

WITHOUT_DESCRIPTORS = """
    from greenimi import green
    green.patch()
    import errno, logging, resource, socket, sys, time
    from greenimi.servers.acceptor import Acceptor
    from greenimi.testing.support import make_app, serving
    from tests.apps import echo

    logging.basicConfig(stream=sys.stdout, format="%(message)s")
    ASK, ANSWER = b'{"action":"echo","text":"x"}\\n', b'{"text":"x"}\\n'
    tries = [0]
    own = Acceptor.do_read
    def do_read(acceptor):
        tries[0] += 1
        return own(acceptor)
    Acceptor.do_read = do_read

    with serving(make_app(echo.CONF, [echo])) as (app, sockets):
        address = sockets["till"][0].getsockname()
        clients = [socket.socket() for _ in range(60)]
        old = clients.pop()
        old.connect(address)
        old.sendall(ASK)
        assert old.recv(100) == ANSWER
        used = max(sock.fileno() for sock in clients)
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + 10, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        for client in clients:
            client.settimeout(5)
            client.connect(address)
        green.sleep(0.2)
        before, cpu = tries[0], time.process_time()
        until = time.monotonic() + 1.5
        served = 0
        while time.monotonic() < until:
            old.sendall(ASK)
            assert old.recv(100) == ANSWER
            served += 1
            green.sleep(0.05)
        print("tries", tries[0] - before)
        print("served", served > 5)
        print("cpu", time.process_time() - cpu < 0.8)
        for client in clients[:40]:
            client.close()
        last = clients[-1]
        last.sendall(ASK)
        print("last", last.recv(100) == ANSWER)
"""


def test_without_file_descriptors_it_neither_spins_nor_stops_serving() -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(WITHOUT_DESCRIPTORS)], capture_output=True, text=True, timeout=60, check=False
    )
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line for line in lines if line.startswith(("served", "cpu", "last"))] == ["served True", "cpu True", "last True"]
    (tries,) = [int(line.split()[1]) for line in lines if line.startswith("tries")]
    assert tries <= 10, "once a second or so"
    told = [line for line in lines if "no connection can be accepted now" in line]
    assert 1 <= len(told) <= 5
    assert "Too many open files" in told[0]
    assert "Traceback" not in done.stderr


# -- the accept loop -------------------------------------------------------------------------------------------------


class Gone:
    """A listening socket whose client has left, or that is broken."""

    family = socket.AF_INET

    def __init__(self, error: OSError) -> None:
        self.error = error

    def getsockname(self) -> tuple[str, int]:
        return ("127.0.0.1", 0)

    def accept(self) -> None: ...

    def _accept(self) -> Any:
        raise self.error


def test_a_client_that_left_before_it_was_accepted_is_nothing(app: App) -> None:
    from greenimi.servers.acceptor import Acceptor

    server = app.doors.servers["till"]
    assert isinstance(server, StreamHost)
    listening: Any = Gone(ConnectionAbortedError(103, "gone"))
    assert Acceptor(listening, server).do_read() is None
    broken: Any = Gone(OSError(9, "bad"))
    with pytest.raises(OSError, match="bad"):
        Acceptor(broken, server).do_read()


def test_behind_a_burst_a_shared_door_takes_more_each_turn_and_one_again_when_nobody_waits(app: App) -> None:
    from greenimi.servers.acceptor import Acceptor

    taken: list[Any] = []

    class Host:
        gate = Gate("till", ServerSettings(), lambda: 0)

        def accepted(self, sock: Any, address: Any) -> None:
            taken.append(sock)

    with socket.socket() as listening, ExitStack() as clients:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        acceptor = Acceptor(listening, Host())
        acceptor.shared = True
        for _ in range(20):
            clients.enter_context(socket.create_connection(listening.getsockname()))
        turns = []
        while len(taken) < 20:
            before = len(taken)
            acceptor._do_read()
            turns.append(len(taken) - before)
        acceptor._do_read()
        for sock in taken:
            sock.close()
        assert turns == [1, 2, 8, 9]
        assert acceptor.max_accept == 1
        acceptor.close()
