"""TCP: packets, order, life cycle and limits."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from greenimi import green
from greenimi.app import App
from greenimi.errors import ConnectionClosed
from greenimi.servers.configured import framing_table
from greenimi.servers.settings import ServerSettings
from greenimi.testing.clients import MessageClient
from greenimi.testing.support import wait_until
from tests.apps.echo import Stage
from tests.servers.conftest import Link

Links = Callable[..., Link]
Make = Callable[..., App]


def note(number: int) -> bytes:
    return b'{"action":"note","number":%d}\n' % number


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
    (connection,) = app.doors.servers["till"].connections  # type: ignore[union-attr]
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
    wait_until(lambda: app.doors.servers["till"].connections)  # type: ignore[union-attr]
    (connection,) = app.doors.servers["till"].connections  # type: ignore[union-attr]
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
        (connection,) = app.doors.servers["till"].connections  # type: ignore[union-attr]
        sent = 0
        while connection.send("x" * 65536):
            sent += 1
            assert sent < 100
            green.sleep(0)
        wait_until(lambda: "closed" in stage.log)
        assert not app.doors.servers["till"].connections  # type: ignore[union-attr]
        assert sent > 10
    assert stage.log == ["opening", "opened", "closed"]


def test_ids_may_be_anything_but_null(app: App, link: Links) -> None:
    till = link(app, "till")
    for number in (0, "", False, "a", [1]):
        till.send(json.dumps({"action": "echo", "text": "x", "id": number}).encode() + b"\n")
        assert json.loads(till.line()) == {"id": number, "result": {"text": "x"}}
    till.send(b'{"action":"echo","text":"x","id":null}\n')
    assert json.loads(till.line()) == {"text": "x"}
