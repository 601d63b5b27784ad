"""What a connection has to send: joined, bounded, and waited for by nobody who did not ask to."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from greenimi import green, on, tcp
from greenimi.app import App
from greenimi.hub import Hub
from greenimi.servers.stream import StreamConnection
from greenimi.testing.plugin import AppFactory
from greenimi.testing.support import wait_until
from tests.servers.conftest import Link

Links = Callable[..., Link]
Make = Callable[..., App]


def server_of(app: App, server: str = "till") -> Any:
    return app.doors.servers[server]


def connections(app: App, server: str = "till") -> set[StreamConnection]:
    found: set[StreamConnection] = server_of(app, server).connections
    return found


def only(app: App, server: str = "till") -> StreamConnection:
    (found,) = connections(app, server)
    return found


def test_the_outbox_is_bounded_from_the_first_send_on(make_echo: Make, link: Links) -> None:
    """All that one turn of the loop queued goes out in one send; what the socket does not take counts at once."""
    app = make_echo(till={"outbox": 1_000_000})
    link(app, "till")
    connection = only(app)
    for _ in range(100):
        connection.send("x" * 100_000)
    wait_until(lambda: not connections(app))
    assert not connection.is_open


def test_send_tells_that_the_outbox_is_full(make_echo: Make, link: Links) -> None:
    """Over the limit the connection is closed and False returned, also when the sender never lets anybody else run."""
    app = make_echo(till={"outbox": 1_000_000})
    link(app, "till")
    connection = only(app)
    assert not all(connection.send("x" * 100_000) for _ in range(100))


def test_a_reader_that_catches_up_is_kept(make_echo: Make, link: Links) -> None:
    app = make_echo(till={"outbox": 2_000_000})
    till = link(app, "till")
    connection = only(app)
    for _ in range(10):
        assert connection.send("x" * 100_000)
    wait_until(lambda: connection._outbox)
    assert till.read(10 * 100_003) == (b'"' + b"x" * 100_000 + b'"\n') * 10
    wait_until(lambda: connection._outbox is None)
    assert connection.is_open


def test_a_push_that_was_sent_does_not_count_against_later_answers(make_echo: Make, link: Links) -> None:
    app = make_echo(web={"outbox": 300_000, "high_water": 200_000}, till={"outbox": 300_000, "high_water": 200_000})
    till = link(app, "till")
    connection = only(app)
    assert connection.send("small")
    wait_until(lambda: not connection.codec.out)
    assert till.read(8) == b'"small"\n'
    assert not connection._pushed


def test_answers_of_one_read_do_not_pile_up(app_factory: AppFactory, link: Links) -> None:
    """Handlers that never wait let nothing be sent meanwhile: small requests for large answers must not fill the memory."""

    @tcp
    class Large:
        @on("large")
        def large(self) -> str:
            return "x" * 100_000

    app = app_factory([Large], {"servers": {"till": {"kind": "tcp", "high_water": 200_000}}})
    till = link(app, "till")
    till.send(b'{"action":"large"}\n' * 300)
    connection = only(app)
    wait_until(lambda: connection._outbox is not None and not connection._busy)
    assert connection.unfinished
    assert connection._front, "what is left of the 300"
    assert connection._outbox is not None
    assert len(connection._outbox) < 3_000_000
    for _ in range(300):
        assert len(till.line()) == 100_003


# -- pushes to those who read slowly ---------------------------------------------------------------------------------
SLOW = {"outbox": 300_000, "high_water": 100_000}


def stuffed(app: App) -> StreamConnection:
    """The only connection, with as much before it as the kernel takes, and something more."""
    connection = only(app)
    for _ in range(1000):
        assert push(connection, b"-" * 50_000)
        connection.flush()
        if connection._outbox:
            return connection
    raise AssertionError("the kernel takes everything")


def push(connection: StreamConnection, data: bytes, key: str | None = None) -> bool:
    dialect = connection.dialect
    assert dialect is not None
    return connection.push(dialect.frame(data), key)


def lines(till: Link, last: bytes) -> list[bytes]:
    """What it gets up to a line, without what it was stuffed with."""
    found: list[bytes] = []
    while not found or found[-1] != last:
        line = till.line().rstrip(b"\n")
        assert line or found, "the server ended it"
        if not line.startswith(b"---"):
            found.append(line)
    return found


@pytest.mark.parametrize("limit", ["outbox", "outbox_messages"])
def test_one_who_does_not_read_is_closed(make_echo: Make, link: Links, limit: str, caplog: pytest.LogCaptureFixture) -> None:
    app = make_echo(till={**SLOW, "outbox_messages": 10})
    link(app, "till")
    connection = stuffed(app)
    message = b"x" * (100_000 if limit == "outbox" else 1)
    pushed = 0
    while push(connection, message):
        pushed += 1
    assert 1 <= pushed <= (3 if limit == "outbox" else 10)
    assert not connection.is_open
    assert server_of(app).cut_count == 1
    assert repr(connection.number) in caplog.text
    assert app.container.get(Hub).connections == {}


def test_oldest_are_dropped(make_echo: Make, link: Links) -> None:
    app = make_echo(till={**SLOW, "slow": "drop", "outbox_messages": 10})
    till = link(app, "till")
    connection = stuffed(app)
    assert all(push(connection, b"%d" % number, "key") for number in range(500))
    assert connection._backlog is not None
    assert len(connection._backlog) == 10
    assert server_of(app).dropped == 490
    assert lines(till, b"499") == [b"%d" % number for number in range(490, 500)]
    wait_until(lambda: connection._outbox is None)
    assert push(connection, b"500")
    assert lines(till, b"500") == [b"500"]  # and then it is like others


def test_oldest_are_dropped_by_size(make_echo: Make, link: Links) -> None:
    app = make_echo(till={**SLOW, "slow": "drop"})
    till = link(app, "till")
    connection = stuffed(app)
    assert all(push(connection, b"%04d" % number * 10_000) for number in range(100))
    assert connection._outbox is not None
    assert connection._backlog is not None
    assert len(connection._outbox) + connection._backlog.size <= 300_000
    found = lines(till, b"0099" * 10_000)
    assert [line[:4] for line in found] == [b"%04d" % number for number in range(100 - len(found), 100)]
    assert 1 <= len(found) <= 7


def test_those_of_one_key_are_conflated(make_echo: Make, link: Links) -> None:
    app = make_echo(till={**SLOW, "slow": "conflate"})
    till = link(app, "till")
    connection = stuffed(app)
    for number in range(500):
        assert push(connection, b"a%d" % number, "a")
        assert push(connection, b"b%d" % number, "b")
        if number in (1, 400):
            assert push(connection, b"plain%d" % number)
    assert push(connection, b"end")
    assert lines(till, b"end") == [b"a499", b"b499", b"plain1", b"plain400", b"end"]


def test_answers_are_never_dropped_and_wait_in_order(make_echo: Make, link: Links) -> None:
    """However many requests the client sends: when it does not read they wait, and are not made."""
    app = make_echo(till={**SLOW, "slow": "drop", "outbox_messages": 50, "high_water": 20_000})
    till = link(app, "till")
    connection = stuffed(app)
    assert push(connection, b"first")
    requests = 2000
    till.sock.settimeout(None)
    sending = green.spawn(till.send, b"".join(b'{"action":"echo","text":"%d","id":%d}\n' % (number, number) for number in range(requests)))
    wait_until(lambda: connection._backlog is not None and connection._is_full() and not connection._busy)
    assert connection._backlog is not None
    assert connection._backlog.size < 20_000 + 20_000
    assert all(push(connection, b"%d" % number) for number in range(500))
    assert connection.is_open
    till.sock.settimeout(10)
    answers: list[int] = []
    pushes: list[bytes] = []
    while len(answers) < requests:
        line = till.line()
        if line.startswith(b"{"):
            answers.append(json.loads(line)["id"])
        elif not line.startswith(b"---"):
            pushes.append(line.strip())
    sending.get()
    assert answers == list(range(requests))
    assert pushes == sorted(pushes, key=lambda line: -1 if line == b"first" else int(line))
    assert pushes[-1] == b"499"
    assert server_of(app).dropped > 400


def test_others_are_not_delayed_by_one_who_does_not_read(make_echo: Make, link: Links) -> None:
    app = make_echo(till={**SLOW, "slow": "drop"})
    hub = app.container.get(Hub)
    link(app, "till")
    stuffed(app)
    readers = [link(app, "till") for _ in range(5)]
    wait_until(lambda: len(hub.connections) == 6)
    for number in range(300):
        assert hub.everyone("till").send("x" * 10_000 + str(number)).delivered == 6
        for reader in readers:
            assert reader.line() == b'"' + b"x" * 10_000 + b'%d"\n' % number


def test_what_is_pushed_in_one_turn_leaves_in_one_send(make_echo: Make, link: Links) -> None:
    app = make_echo()
    till = link(app, "till")
    connection = only(app)
    sent: list[bytes] = []
    sock = connection._sock

    class Watched:
        def send(self, data: bytes) -> int:
            sent.append(data)
            return int(sock.send(data))

        def __getattr__(self, name: str) -> Any:
            return getattr(sock, name)

    connection._sock = Watched()
    for number in range(5):
        push(connection, b"%d" % number)
    assert lines(till, b"4") == [b"0", b"1", b"2", b"3", b"4"]
    assert len(sent) == 1
    for number in range(40):  # the sender lets nobody else run
        push(connection, b"%d" % number)
    assert len(sent) == 3


def test_nothing_is_pushed_to_one_that_closes(make_echo: Make, link: Links) -> None:
    app = make_echo()
    till = link(app, "till")
    connection = only(app)
    connection.close()
    assert not push(connection, b"x")
    till.close()
    wait_until(lambda: not connections(app))
    assert not push(connection, b"x")
    assert app.container.get(Hub).everyone().send("x").delivered == 0


def test_end_of_a_message_in_parts_comes_before_what_was_pushed_meanwhile(make_echo: Make, link: Links) -> None:
    """Also when the client has not read the parts yet."""
    app = make_echo(till={"outbox": 3_000_000, "high_water": 1_000_000})
    till = link(app, "till")
    connection = only(app)
    with connection.holding():
        while connection._outbox is None:
            connection.codec.out.append(b"-" * 50_000 + b"\n")
            connection.flush()
        assert push(connection, b"pushed")
        connection.codec.out.append(b"end\n")
    assert push(connection, b"behind")
    assert lines(till, b"behind") == [b"end", b"pushed", b"behind"]
