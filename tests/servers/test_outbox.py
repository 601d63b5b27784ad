"""What a connection has to send: joined, bounded, and waited for by nobody who did not ask to."""

from __future__ import annotations

from collections.abc import Callable

from greenimi import on, tcp
from greenimi.app import App
from greenimi.servers.stream import StreamConnection
from greenimi.testing.plugin import AppFactory
from greenimi.testing.support import wait_until
from tests.servers.conftest import Link

Links = Callable[..., Link]
Make = Callable[..., App]


def connections(app: App, server: str = "till") -> set[StreamConnection]:
    found: set[StreamConnection] = app.doors.servers[server].connections  # type: ignore[union-attr]
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
