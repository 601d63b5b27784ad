"""Messages per second: of a connection, and of a user on all of his connections."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from greenimi import IConnection, authenticator, on, tcp
from greenimi.app import App
from greenimi.hub.links import links_of
from greenimi.message import Identity, Message
from greenimi.servers.base import StreamHost
from greenimi.servers.rates import Rates
from greenimi.testing.clients import HttpClient, MessageClient, WebSocketClient
from greenimi.testing.plugin import AppFactory
from greenimi.testing.support import wait_until
from tests.apps import echo
from tests.servers.conftest import Link

Make = Callable[..., App]
Links = Callable[..., Link]

ECHO = b'{"action":"echo","text":"%d","id":%d}\n'


def host(app: App, name: str = "till") -> StreamHost:
    found = app.doors.servers[name]
    assert isinstance(found, StreamHost)
    return found


def rates(app: App, name: str = "till") -> Rates:
    found = host(app, name).rates
    assert found is not None
    return found


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock stands still: seconds pass when a test says so."""
    monkeypatch.setattr("greenimi.servers.runtime.Runtime._tick", lambda self: None)


def ask(link: Link, *numbers: int) -> None:
    link.send(b"".join(ECHO % (number, number) for number in numbers))


def answers(link: Link, count: int) -> list[int]:
    return [int(link.line().partition(b'"id":')[2].partition(b",")[0]) for _ in range(count)]


@pytest.mark.usefixtures("clock")
def test_what_is_over_the_rate_waits_for_the_next_second(make_echo: Make, link: Links) -> None:
    app = make_echo(till={"message_rate": 3})
    till = link(app, "till")
    ask(till, *range(1, 8))
    assert answers(till, 3) == [1, 2, 3]
    wait_until(lambda: rates(app).held == 1)
    assert host(app).handled == 3
    ask(till, 8)
    rates(app).tick(0)
    assert answers(till, 3) == [4, 5, 6]
    wait_until(lambda: rates(app).held == 2)
    rates(app).tick(0)
    assert answers(till, 2) == [7, 8]
    rates(app).tick(0)
    assert rates(app).held == 2
    ask(till, 9)
    assert answers(till, 1) == [9]


@pytest.mark.usefixtures("clock")
def test_others_do_not_wait(make_echo: Make, link: Links) -> None:
    app = make_echo(till={"message_rate": 2})
    one, other = link(app, "till"), link(app, "till")
    ask(one, 1, 2, 3)
    assert answers(one, 2) == [1, 2]
    wait_until(lambda: rates(app).held == 1)
    ask(other, 1, 2)
    assert answers(other, 2) == [1, 2]
    assert app.doors.runtime.handlers.busy == 0, "nobody stands and waits for the next second"


@pytest.mark.usefixtures("clock")
def test_reading_stops_when_the_inbox_is_full_and_nothing_is_lost(make_echo: Make, link: Links) -> None:
    app = make_echo(till={"message_rate": 1, "inbox": 10})
    till = link(app, "till")
    ask(till, 0)
    assert answers(till, 1) == [0]
    ask(till, *range(1, 60))
    (connection,) = host(app).connections
    wait_until(lambda: not connection._read_on)
    found: list[int] = []
    for _ in range(59):
        wait_until(lambda: rates(app)._waiting)
        rates(app).tick(0)
        found += answers(till, 1)
    assert found == list(range(1, 60))
    wait_until(lambda: connection._read_on)


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("leave", ["end", "close"])
def test_a_client_that_leaves_while_its_messages_wait(make_echo: Make, link: Links, leave: str) -> None:
    """What it sent before it ended its side is still handled, second by second; after that it is as gone as any other."""
    app = make_echo(till={"message_rate": 1})
    till = link(app, "till")
    ask(till, 1, 2, 3)
    assert answers(till, 1) == [1]
    wait_until(lambda: rates(app)._waiting)
    if leave == "close":
        till.close()
    else:
        till.sock.shutdown(1)
        for number in (2, 3):
            wait_until(lambda: rates(app)._waiting)
            rates(app).tick(0)
            assert answers(till, 1) == [number]
        assert till.read_all() == b""

    def gone() -> bool:
        rates(app).tick(0)
        return not host(app).connections

    wait_until(gone)
    stage = app.container.get(echo.Stage)
    wait_until(lambda: stage.log[-1] == "closed")


@pytest.mark.usefixtures("clock")
def test_a_server_that_stops_waits_for_nobody(make_echo: Make, link: Links) -> None:
    app = make_echo(till={"message_rate": 1})
    till = link(app, "till")
    ask(till, 1, 2, 3)
    assert answers(till, 1) == [1]
    wait_until(lambda: rates(app)._waiting)
    app.stop()
    assert till.read_all() == b""


@pytest.mark.usefixtures("clock")
def test_requests_of_http_are_not_counted_and_messages_of_websockets_are(make_echo: Make) -> None:
    app = make_echo(web={"message_rate": 2})
    with HttpClient(app) as client:
        for number in range(5):
            assert client.get(f"/item/{number}").json() == number
    with WebSocketClient(app, "/chat") as chat:
        for _ in range(3):
            chat.send({"action": "echo", "text": "x"})
        assert [chat.receive(), chat.receive()] == [{"text": "x"}] * 2
        wait_until(lambda: rates(app, "web").held == 1)
        chat.ping(b"pings are answered meanwhile")
        rates(app, "web").tick(0)
        assert chat.receive() == {"text": "x"}


@pytest.mark.usefixtures("clock")
def test_a_broken_peer_is_told_behind_what_waits(make_echo: Make, link: Links) -> None:
    app = make_echo(till={"message_rate": 1, "max_message": 60})
    till = link(app, "till")
    ask(till, 1, 2)
    till.send(b"x" * 100)
    assert answers(till, 1) == [1]
    wait_until(lambda: rates(app)._waiting)
    rates(app).tick(0)
    assert answers(till, 1) == [2]
    assert till.read_all() == b""


def test_without_a_rate_nothing_is_counted(make_echo: Make) -> None:
    app = make_echo()
    assert host(app).rates is None
    with MessageClient(app, "till") as till:
        till.request("echo", text="x")
    assert app.doors.runtime.user_messages == {}


def test_the_clock_of_the_server_lets_them_go_on(make_echo: Make, link: Links) -> None:
    app = make_echo(till={"message_rate": 2})
    till = link(app, "till")
    ask(till, *range(1, 5))
    assert answers(till, 4) == [1, 2, 3, 4]
    assert rates(app).held >= 1


# -- users ---------------------------------------------------------------------------------------------------------


@authenticator(server=("till", "desk"))
class Names:
    def authenticate(self, message: Message) -> Identity | None:
        name = message.data.get("name")
        return None if name is None else Identity(name)


@tcp(server=("till", "desk"))
class Open:
    @on("echo")
    def echo(self, text: str) -> str:
        return text

    @on("who")
    def who(self, connection: IConnection) -> str | None:
        return connection.identity.id if connection.identity else None


def named(app: App, name: str, server: str = "till") -> MessageClient:
    client = MessageClient(app, server)
    client.send({"name": name})
    assert client.receive() == {"identity": name}
    return client


@pytest.mark.usefixtures("clock")
def test_a_user_has_one_rate_for_all_connections_of_all_servers(app_factory: AppFactory) -> None:
    app = app_factory([Names, Open], {"servers": {name: {"kind": "tcp", "user_rate": 3} for name in ("till", "desk")}})
    with named(app, "ada") as one, named(app, "ada", "desk") as two, named(app, "bob") as other:
        assert [one.request("echo", text="1"), two.request("echo", text="2"), two.request("echo", text="3")] == ["1", "2", "3"]
        one.send({"action": "echo", "text": "4"})
        two.send({"action": "echo", "text": "5"})
        wait_until(lambda: rates(app).held == rates(app, "desk").held == 1)
        assert other.request("echo", text="x") == "x"
        for name in ("till", "desk"):
            rates(app, name).tick(0)
        assert (one.receive(), two.receive()) == ("4", "5")


@pytest.mark.usefixtures("clock")
def test_who_is_nobody_has_no_rate_of_a_user(app_factory: AppFactory) -> None:
    app = app_factory([Names, Open], {"servers": {name: {"kind": "tcp", "user_rate": 1} for name in ("till", "desk")}})
    with MessageClient(app, "till") as till:
        for _ in range(5):
            assert till.request("who") is None
    assert app.doors.runtime.user_messages == {}


@pytest.mark.usefixtures("clock")
def test_a_user_of_the_hub_counts_before_the_identity(app_factory: AppFactory) -> None:
    @tcp
    class Bound:
        @on("echo")
        def echo(self, text: str) -> str:
            return text

    app = app_factory([Bound], {"servers": {"till": {"kind": "tcp", "user_rate": 2}}})
    with MessageClient(app, "till") as one, MessageClient(app, "till") as two:
        wait_until(lambda: len(host(app).connections) == 2)
        for connection in host(app).connections:
            links_of(connection).user = "ada"
        assert [one.request("echo", text="1"), two.request("echo", text="2")] == ["1", "2"]
        two.send({"action": "echo", "text": "3"})
        wait_until(lambda: rates(app).held == 1)
        rates(app).tick(0)
        assert two.receive() == "3"
