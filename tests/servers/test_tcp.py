"""TCP: packets, order, life cycle and limits."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from greenimi import IConnection, authenticator, green, on, opened, tcp
from greenimi.app import App
from greenimi.codec.payload import Text, payload_from
from greenimi.errors import ConnectionClosed, NotFound
from greenimi.message import Identity, Message
from greenimi.servers.configured import framing_table
from greenimi.servers.settings import ServerSettings
from greenimi.servers.stream import StreamConnection
from greenimi.servers.tcp import TcpServer
from greenimi.testing.clients import MessageClient, RequestFailed
from greenimi.testing.plugin import AppFactory
from greenimi.testing.support import wait_until
from tests.apps.echo import Stage
from tests.servers.conftest import Link

Links = Callable[..., Link]
Make = Callable[..., App]


def note(number: int) -> bytes:
    return b'{"action":"note","number":%d}\n' % number


def till_of(app: App) -> TcpServer:
    server = app.doors.servers["till"]
    assert isinstance(server, TcpServer)
    return server


def only(app: App) -> StreamConnection:
    """The only connection of the till."""
    wait_until(lambda: len(till_of(app).connections) == 1)
    (connection,) = till_of(app).connections
    return connection


def test_random_segments_make_whole_packets(app: App, link: Links) -> None:
    till = link(app, "till")
    for byte in b'{"action":"echo","text":"x"}\r\n':
        till.send(bytes([byte]))
    assert till.line() == b'{"text":"x"}\n'
    till.send(b'{"action":"echo","text":"1"}\n{"action":"echo","text":"2"}\n{"action":')
    assert [till.line(), till.line()] == [b'{"text":"1"}\n', b'{"text":"2"}\n']
    till.send(b'"echo","text":"3"}\n')
    assert till.line() == b'{"text":"3"}\n'


@pytest.mark.parametrize("framing", [{"framing": "length16"}, {"framing": "delimiter", "framing_options": {"delimiter": "\x00"}}])
def test_replies_are_framed_like_requests(make_echo: Make, framing: dict[str, object]) -> None:
    with MessageClient(make_echo(till=framing), "till") as till:
        assert till.request("echo", text="a\nb") == {"text": "a\nb"}


def test_the_packet_limit_is_the_servers() -> None:
    assert framing_table(ServerSettings(max_message=5)) == {"kind": "line", "limit": 5}
    assert framing_table(ServerSettings(framing_options={"limit": 7})) == {"kind": "line", "limit": 7}
    assert framing_table(ServerSettings(framing="fixed", framing_options={"size": 3})) == {"kind": "fixed", "size": 3}


def test_a_packet_over_the_limit_ends_the_connection_after_those_before_it(make_echo: Make, link: Links) -> None:
    app = make_echo(till={"max_message": 100})
    till = link(app, "till")
    till.send(b'{"action":"echo","text":"x"}\n' + b"x" * 200)
    assert till.line() == b'{"text":"x"}\n'
    assert till.read_all() == b""


def test_opened_ends_before_the_first_message(app: App, stage: Stage, link: Links) -> None:
    stage.opening.clear()
    till = link(app, "till")
    till.send(note(1) + note(2))
    wait_until(lambda: stage.log == ["opening"])
    stage.opening.set()
    wait_until(lambda: len(stage.log) == 4)
    assert stage.log == ["opening", "opened", 1, 2]


def test_messages_are_handled_in_order_behind_a_blocked_one(app: App, stage: Stage, link: Links) -> None:
    till = link(app, "till")
    till.send(b'{"action":"wait"}\n' + b"".join(map(note, range(100))) + b'{"action":"echo","text":"x"}\n')
    wait_until(lambda: stage.waiting)
    assert stage.log == ["opening", "opened", "waiting"]
    stage.gate.set()
    assert [till.line(), till.line()] == [b'"waited"\n', b'{"text":"x"}\n']
    assert stage.log[3:] == list(range(100))


def test_a_full_inbox_stops_reading_and_loses_nothing(make_echo: Make, link: Links) -> None:
    app = make_echo(till={"inbox": 10})
    stage = app.container.get(Stage)
    till = link(app, "till")
    till.send(b'{"action":"wait"}\n' + b"".join(map(note, range(5000))))
    wait_until(lambda: stage.waiting)
    connection = only(app)
    wait_until(lambda: not connection._read_on)
    stage.gate.set()
    till.send(b'{"action":"echo","text":"x"}\n')
    assert [till.line(), till.line()] == [b'"waited"\n', b'{"text":"x"}\n']
    assert stage.log[3:] == list(range(5000))
    assert connection._read_on


def test_other_connections_go_on_beside_a_blocked_one(app: App, stage: Stage) -> None:
    with MessageClient(app, "till") as one, MessageClient(app, "till") as two:
        one.send({"action": "wait"})
        wait_until(lambda: stage.waiting)
        assert two.request("echo", text="x") == {"text": "x"}


def test_errors_are_answered_and_the_connection_goes_on(app: App) -> None:
    with MessageClient(app, "till") as till:
        till.send({"action": "fail"})
        assert till.receive() == {"error": {"code": 500, "message": "the server failed"}}
        till.send_raw(b"{")
        assert till.receive()["error"]["code"] == 400
        till.send({"action": "note", "id": 7})
        found = till.receive()
        assert (found["id"], found["error"]["code"], found["error"]["errors"][0]["field"]) == (7, 422, "number")
        assert till.request("echo", text="x") == {"text": "x"}


def test_closed_runs_once(app: App, stage: Stage) -> None:
    with MessageClient(app, "till") as till:
        till.send({"action": "leave"})
        till.wait_closed()
        assert till.receive() == "bye"
        with pytest.raises(ConnectionClosed):
            till.receive()
    wait_until(lambda: "closed" in stage.log)
    with MessageClient(app, "till") as till:
        assert till.request("note", number=1) is None
    wait_until(lambda: stage.log.count("closed") == 2)
    assert stage.log == ["opening", "opened", "closed", "opening", "opened", 1, "closed"]


def test_messages_before_a_half_close_are_answered(app: App, stage: Stage, link: Links) -> None:
    till = link(app, "till")
    till.send(b'{"action":"wait"}\n{"action":"echo","text":"x"}\n')
    till.sock.shutdown(1)
    wait_until(lambda: stage.waiting)
    stage.gate.set()
    assert till.read_all() == b'"waited"\n{"text":"x"}\n'
    wait_until(lambda: stage.log[-1] == "closed")


def test_half_a_packet_is_never_handled(app: App, stage: Stage, link: Links) -> None:
    till = link(app, "till")
    till.send(note(1) + b'{"action":"note","number":2}')
    till.sock.shutdown(1)
    assert till.read_all() == b""
    wait_until(lambda: "closed" in stage.log)
    assert stage.log == ["opening", "opened", 1, "closed"]


def test_send_says_when_the_peer_reads_too_slowly(make_echo: Make, link: Links) -> None:
    """One handler sends 64 MiB to a client that does not read, where 1 MB may wait: it is told so, and not much is kept."""
    app = make_echo(till={"outbox": 1_000_000})
    stage = app.container.get(Stage)
    till = link(app, "till")
    till.send(b'{"action":"flood","times":1000,"id":1}\n')
    wait_until(lambda: "closed" in stage.log)
    found = till.read_all()
    assert b'"result"' not in found
    assert len(found) < 10_000_000


def test_a_client_that_does_not_read_its_answers_is_held_back(make_echo: Make, link: Links) -> None:
    """Its messages wait, unread when there are many, until it reads; none is lost."""
    app = make_echo(till={"inbox": 10, "high_water": 100_000})
    stage = app.container.get(Stage)
    till = link(app, "till")
    sender = green.spawn(till.send, b'{"action":"flood","times":1}\n' * 50 + b"".join(map(note, range(20_000))))
    connection = only(app)
    wait_until(lambda: not connection._read_on)
    assert not sender.dead
    assert 0 not in stage.log
    assert len(connection._inbox) < 5000  # one read's worth
    for _ in range(50):
        assert len(till.line()) == 65536 + 3
        assert till.line() == b"[true]\n"
    wait_until(lambda: len(stage.log) == 20_002)
    assert stage.log == ["opening", "opened", *range(20_000)]


def test_a_slow_consumer_of_what_others_send_is_disconnected(make_echo: Make) -> None:
    app = make_echo(till={"outbox": 1_000_000})
    stage = app.container.get(Stage)
    with MessageClient(app, "till") as till:
        assert till.request("echo", text="x") == {"text": "x"}
        connection = only(app)
        sent = 0
        while connection.send("x" * 65536):
            sent += 1
            assert sent < 100
            green.sleep(0)
        wait_until(lambda: "closed" in stage.log)
        assert not till_of(app).connections
        assert sent > 10
    assert stage.log == ["opening", "opened", "closed"]


def test_ids_may_be_anything_but_null(app: App, link: Links) -> None:
    till = link(app, "till")
    for number in (0, "", False, "a", [1]):
        till.send(json.dumps({"action": "echo", "text": "x", "id": number}).encode() + b"\n")
        assert json.loads(till.line()) == {"id": number, "result": {"text": "x"}}
    till.send(b'{"action":"echo","text":"x","id":null}\n')
    assert json.loads(till.line()) == {"text": "x"}


# -- what goes out -------------------------------------------------------------------------------------------------


def test_a_reply_over_the_limit_is_the_servers_failure_and_not_the_clients(make_echo: Make, link: Links) -> None:
    app = make_echo(till={"max_message": 120})
    till = link(app, "till")
    till.send(b'{"action":"flood","times":1,"id":1}\n')
    assert json.loads(till.line()) == {"id": 1, "error": {"code": 500, "message": "the server failed"}}
    connection = only(app)
    with pytest.raises(ValueError, match="a packet of 122 bytes is over the limit of 120 bytes for what is sent"):
        connection.send("x" * 120)
    till.send(b'{"action":"tell","text":"' + b"x" * 80 + b'"}\n')
    assert json.loads(till.line()) == {"told": "x" * 80}


def test_what_is_sent_has_a_limit_of_its_own(make_echo: Make, link: Links) -> None:
    app = make_echo(till={"max_message": 60, "framing_options": {"send_limit": 80}})
    till = link(app, "till")
    till.send(b'{"action":"flood","times":1,"id":1}\n')
    assert json.loads(till.line()) == {"id": 1, "error": {"code": 500, "message": "the server failed"}}
    till.send(b'{"action":"tell","text":"' + b"x" * 25 + b'"}\n')
    assert json.loads(till.line()) == {"told": "x" * 25}


def test_not_even_the_error_can_be_carried(make_echo: Make, link: Links, caplog: pytest.LogCaptureFixture) -> None:
    """The framing takes answers of 20 bytes: the log tells, and the connection goes on."""
    app = make_echo(till={"framing_options": {"send_limit": 20}})
    till = link(app, "till")
    till.send(b'{"action":"fail","id":1}\n{"action":"echo","text":"x"}\n')
    assert till.line() == b'{"text":"x"}\n'
    assert "not even the error can be answered: a packet of" in caplog.text


# -- a client that ended its side ------------------------------------------------------------------------------------


def test_who_ended_its_side_is_pushed_to_as_long_as_the_server_says(make_echo: Make, stage: Stage, link: Links) -> None:
    app = make_echo(till={"half_close": 100, "idle": 5})
    stage = app.container.get(Stage)
    till = link(app, "till")
    till.send(b'{"action":"wait"}\n{"action":"echo","text":"x"}\n')
    till.sock.shutdown(1)
    wait_until(lambda: stage.waiting)
    connection = only(app)
    stage.gate.set()
    assert [till.line(), till.line()] == [b'"waited"\n', b'{"text":"x"}\n']
    assert connection.is_open
    assert connection.send("later")
    assert till.line() == b'"later"\n'
    app.doors.runtime.now += 50
    connection.server.sweep(app.doors.runtime.now)
    assert connection.send("much later")
    assert till.line() == b'"much later"\n'
    assert "closed" not in stage.log
    app.doors.runtime.now += 60
    connection.server.sweep(app.doors.runtime.now)
    assert till.read_all() == b""
    wait_until(lambda: stage.log[-1] == "closed")


def test_who_ended_its_side_cannot_reply(make_echo: Make, link: Links) -> None:
    app = make_echo(till={"half_close": 100})
    till = link(app, "till")
    connection = only(app)
    waiting = green.spawn(connection.request, {"action": "measure"}, 60)
    assert b'"measure"' in till.line()
    till.sock.shutdown(1)
    with pytest.raises(ConnectionClosed):
        waiting.get(timeout=5)
    with pytest.raises(ConnectionClosed, match="cannot reply any more"):
        connection.request({"action": "measure"})
    connection.close()
    assert till.read_all() == b""


def test_half_a_packet_ends_also_who_may_listen_on(make_echo: Make, link: Links) -> None:
    app = make_echo(till={"half_close": 100})
    till = link(app, "till")
    till.send(b'{"action":"echo","text":"x"}\n{"acti')
    till.sock.shutdown(1)
    assert till.read_all() == b'{"text":"x"}\n'


def test_a_client_that_listened_and_left_is_found_out_by_a_push(make_echo: Make, link: Links) -> None:
    app = make_echo(till={"half_close": 100})
    stage = app.container.get(Stage)
    till = link(app, "till")
    connection = only(app)
    till.sock.shutdown(1)
    wait_until(lambda: connection.codec.ended)
    assert connection.is_open
    till.close()
    wait_until(lambda: not connection.send("x"))
    wait_until(lambda: stage.log[-1] == "closed")


# -- a payload of its own --------------------------------------------------------------------------------------------


@tcp
class Polyglot:
    """Its clients say in which payload they go on."""

    @on("hello")
    def hello(self, connection: IConnection, speak: str) -> str:
        connection.payload = speak
        return f"{connection.payload.name} from now on"

    @on("echo")
    def echo(self, data: Any) -> Any:
        return data

    @on("unhappy")
    def unhappy(self, connection: IConnection) -> None:
        connection.payload = "msgpack"
        raise NotFound("but changed")


POLYGLOT = {"servers": {"till": {"kind": "tcp", "framing": "length16"}}}


def test_a_connection_changes_its_payload(app_factory: AppFactory) -> None:
    """The answer to the message at hand is in the old one; all that comes and goes later is in the new."""
    app = app_factory([Polyglot], POLYGLOT)
    with MessageClient(app, "till") as one, MessageClient(app, "till") as other, MessageClient(app, "till") as plain:
        for client in (one, other):
            assert client.request("hello", speak="msgpack") == "msgpack from now on"
            client.payload = "msgpack"
            assert client.request("echo", data=b"\xff") == b"\xff"
        assert plain.request("echo", data="x") == "x"
        server = till_of(app)
        assert len({connection.dialect for connection in server.connections}) == 2, "those of one payload share it"
        for connection in server.connections:
            assert connection.send({"pushed": 1})
            assert connection.dialect is not None
            assert connection.push(connection.dialect.frame(connection.dialect.payload.encode("framed")))
        for client in (one, other, plain):
            assert [client.receive(), client.receive()] == [{"pushed": 1}, "framed"]
        before = {connection.dialect for connection in server.connections}
        assert one.request("hello", speak="json") == "json from now on"
        one.payload = "json"
        assert one.request("echo", data="back") == "back"
        assert {connection.dialect for connection in server.connections} == before, "and who goes back has the one of the server"


def test_messages_behind_the_change_are_in_the_new_payload(app_factory: AppFactory) -> None:
    app = app_factory([Polyglot], POLYGLOT)
    with MessageClient(app, "till") as client:
        packed = payload_from("msgpack")
        raw = [b'{"action":"hello","speak":"msgpack","id":1}', packed.encode({"action": "echo", "data": b"\xff", "id": 2})]
        client._sock.sendall(b"".join(len(each).to_bytes(2, "big") + each for each in raw))
        assert client.receive() == {"id": 1, "result": "msgpack from now on"}
        client.payload = packed
        assert client.receive() == {"id": 2, "result": b"\xff"}


def test_an_error_is_told_in_the_old_payload(app_factory: AppFactory) -> None:
    app = app_factory([Polyglot], POLYGLOT)
    with MessageClient(app, "till") as client:
        with pytest.raises(RequestFailed, match="but changed"):
            client.request("unhappy")
        client.payload = "msgpack"
        assert client.request("echo", data=b"\xff") == b"\xff"


def test_a_payload_of_ones_own(app_factory: AppFactory) -> None:
    class Shouting(Text):
        name = "shouting"

        def encode(self, value: Any) -> bytes:
            return super().encode(value).upper()

    app = app_factory([Polyglot], POLYGLOT)
    with MessageClient(app, "till") as client:
        connection = only(app)
        connection.payload = Shouting()
        client.payload = "text"
        connection.send("hello")
        assert client.receive() == "HELLO"


@pytest.mark.parametrize("name", ["jsn", "os:system", "greenimi.codec.payload:Json", ""])
def test_only_known_names_are_taken_for_payloads(app_factory: AppFactory, name: str) -> None:
    """It may be the client who says them: nothing is imported for it."""
    app = app_factory([Polyglot], POLYGLOT)
    with MessageClient(app, "till") as client:
        with pytest.raises(RequestFailed) as caught:
            client.request("hello", speak=name)
        assert caught.value.status == 500
        assert client.request("echo", data="x") == "x"


def test_an_authenticator_says_in_which_payload_a_client_goes_on(app_factory: AppFactory) -> None:
    @authenticator(server="till")
    class Devices:
        def authenticate(self, message: Message) -> Identity | None:
            name = message.data.get("device")
            if name is None:
                return None
            message.connection.payload = "msgpack"
            return Identity(name)

    app = app_factory([Polyglot, Devices], POLYGLOT)
    with MessageClient(app, "till") as client:
        client.send({"device": "d1"})
        assert client.receive() == {"identity": "d1"}
        client.payload = "msgpack"
        assert client.request("echo", data=b"\xff") == b"\xff"


def test_opened_says_in_which_payload_a_client_begins(app_factory: AppFactory) -> None:
    @tcp
    class Packed:
        @opened
        def enter(self, connection: IConnection) -> None:
            connection.payload = "msgpack"

        @on("echo")
        def echo(self, data: Any) -> Any:
            return data

    with MessageClient(app_factory([Packed], POLYGLOT), "till") as client:
        client.payload = "msgpack"
        assert client.request("echo", data=b"\xff") == b"\xff"


# -- framings, end to end ----------------------------------------------------------------------------------------------


class Bang:
    """A framing of an application's own: packets end with "!"."""

    limit = 50

    def cut(self, buffer: bytes) -> tuple[list[bytes], bytes]:
        *packets, rest = buffer.split(b"!")
        return packets, rest

    def wrap(self, packet: bytes) -> bytes:
        if b"!" in packet:
            raise RuntimeError("not so loud")
        return packet + b"!"


@tcp
class Parrot:
    @on.default
    def echo(self, payload: bytes) -> bytes:
        return payload.replace(b"?", b"!")


@pytest.mark.parametrize(
    ("framing", "sent", "answers"),
    [
        ({"framing": "fixed", "framing_options": {"size": 4}}, b"abcdefgh", b"abcdefgh"),
        ({"framing": f"{__name__}:Bang"}, b"one!tw?!three!", b"one!three!"),
        ({"framing": "length8"}, b"\x02ab\x00\x01c", b"\x02ab\x00\x01c"),
    ],
    ids=["fixed", "own", "length8"],
)
def test_bytes_of_every_framing(app_factory: AppFactory, link: Links, framing: dict[str, Any], sent: bytes, answers: bytes) -> None:
    """What cannot be wrapped is told by the log, as bytes have no place for an error; the connection goes on."""
    app = app_factory([Parrot], {"servers": {"till": {"kind": "tcp", "payload": "raw", **framing}}})
    till = link(app, "till")
    for byte in sent:
        till.send(bytes([byte]))
    till.sock.shutdown(1)
    assert till.read_all() == answers
