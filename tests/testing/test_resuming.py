"""The client that comes back, against a server that does what each test says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenimi import IConnection, green, on, tcp, websocket
from greenimi.errors import ConnectionClosed
from greenimi.facades import Hub
from greenimi.hub.links import comes_back
from greenimi.testing.clients import MessageClient, WebSocketClient
from greenimi.testing.messages import RequestFailed
from greenimi.testing.plugin import Serve
from greenimi.testing.resuming import Heard, Places, ResumingClient
from greenimi.testing.support import wait_until
from tests.hub.scripted import Link, ScriptedServer, scripted_server


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as found:
        yield found


@pytest.fixture
def start(server: ScriptedServer) -> Iterator[Callable[..., ResumingClient]]:
    with ExitStack() as clients:

        def make(**options: Any) -> ResumingClient:
            options = {"first": 0.01, "most": 0.05, **options}
            return clients.enter_context(ResumingClient(lambda: WebSocketClient(server.address, "/chat"), **options))

        yield make
        server.forget()


Start = Callable[..., ResumingClient]


def in_background(link: Link, action: str, result: Any) -> None:
    green.spawn(lambda: link.answer(link.hear(action), result))


def failed_call(client: ResumingClient) -> str:
    with pytest.raises(ConnectionClosed) as caught:
        client.call("slow")
    return str(caught.value)


def test_it_calls_hears_and_answers(start: Start, server: ScriptedServer) -> None:
    client = start()
    with pytest.raises(ConnectionClosed, match="not connected"):
        client.call("early")
    link = server.next()
    assert link.welcome() == {"action": "$hello", "id": 1, "positions": {}}
    assert (client.wait_open().id, client.token, client.restored) == ("7", "7.secret", False)
    in_background(link, "add", 3)
    assert client.call("add", a=1, b=2) == 3
    green.spawn(lambda: link.refuse(link.hear("fail"), 422, "a: is missing"))
    with pytest.raises(RequestFailed) as caught:
        client.call("fail")
    assert caught.value.status == 422
    client.send("note", text="x")
    assert link.hear("note") == {"action": "note", "text": "x"}

    client.answers["add"] = lambda message: message["a"] + 1
    link.say({"id": "a1", "action": "add", "a": 1})
    assert link.hear_any() == {"id": "a1", "result": 2}
    link.say({"id": "a2", "action": "other"})
    assert link.hear_any() == {"id": "a2", "error": {"code": 404, "message": "this client knows no other"}}

    link.say({"event": "said", "data": 1})
    link.say({"event": "$join", "data": {"user": "ada", "info": None}, "group": "room"})
    for value in ([4], {"id": 6}, {"error": {"code": 404}}, {"id": 99, "result": "nobody waits"}, "end"):
        link.say(value)
    wait_until(lambda: len(client.heard) == 5)
    joined = Heard({"user": "ada", "info": None}, "$join", "room")
    assert client.heard == [Heard(1, "said"), joined, Heard([4]), Heard({"id": 6}), Heard("end")]
    assert client.problems == [{"code": 404}]


def test_it_comes_back_with_token_and_positions(start: Start, server: ScriptedServer) -> None:
    client = start()
    link = server.next()
    link.welcome(recovered={"old": {"recovered": True, "offset": 4, "epoch": "e1", "missed": 0}})
    link.place("new", 2, "e2")
    link.tell("old", 5, 6)
    link.tell("new", 3)
    wait_until(lambda: len(client.heard) == 3)
    calling = green.spawn(failed_call, client)
    link.hear("slow")
    link.cut()
    assert calling.get(timeout=5) == "the connection is lost"

    link = server.next()
    hello = link.hear("$hello")
    assert hello["token"] == "7.secret"
    assert hello["positions"] == {"old": {"offset": 6, "epoch": "e1"}, "new": {"offset": 3, "epoch": "e2"}}
    link.tell("old", 7, 9)
    recovered = {
        "old": {"recovered": True, "offset": 8, "epoch": "e1", "missed": 2},
        "new": {"recovered": False, "offset": 40, "epoch": "e3", "missed": 1},
    }
    link.answer(hello, {"id": "8", "token": "8.other", "keep": 60, "ping": 0, "restored": True, "recovered": recovered})
    link.tell("old", 7, 8, 9)
    link.tell("new", 40, 41)
    wait_until(lambda: len(client.heard) == 8)
    assert (client.offsets("old"), client.offsets("new"), client.gaps) == ([5, 6, 7, 8, 9], [3, 40, 41], ["new"])
    absence = client.absences[0]
    assert (len(client.absences), absence.code, absence.attempts, absence.restored) == (1, 1006, 1, True)
    assert absence.seconds is not None
    assert client.id == "8"


def test_holes_are_filled_as_far_as_they_are_for_us(start: Start, server: ScriptedServer) -> None:
    client = start()
    link = server.next()
    link.welcome(recovered={"room": {"recovered": True, "offset": 2, "epoch": "e", "missed": 0}})
    link.tell("room", 3, 6)
    recover = link.hear("$recover")
    assert (recover["group"], recover["offset"], recover["epoch"]) == ("room", 3, "e")
    link.answer(recover, {"recovered": True, "offset": 6, "epoch": "e", "missed": 3})
    link.tell("room", 4, 6, 7)
    link.place("room", 9, "e")  # joined again
    link.answer(link.hear("$recover"), {"recovered": True, "offset": 9, "epoch": "e", "missed": 2})
    link.tell("room", 8, 9)
    link.place("room", 1, "f")  # begun anew
    link.tell("room", 2)
    link.say({"group": "room", "offset": 3})
    link.tell("room", 4, 9)
    link.refuse(link.hear("$recover"), 500)
    link.tell("room", 5)
    wait_until(lambda: client.offsets("room") == [3, 4, 6, 7, 8, 9, 2, 4, 5])
    assert client.gaps == ["room"]


def test_which_codes_end_it(start: Start, server: ScriptedServer) -> None:
    assert [code for code in range(1000, 5000) if comes_back(code)] == [
        *(1001, 1005, 1006, 1011, 1012, 1013, 1014, 1015, 4408, 4429),
        *range(4500, 4600),
    ]
    client = start()
    server.next().close(1013, "come back later")
    link = server.next()
    link.welcome()
    link.close(4409, "taken over")
    wait_until(lambda: client.closed)
    assert client.closed == (4409, "taken over")
    assert [(absence.code, absence.reason, absence.attempts) for absence in client.absences] == [(1013, "come back later", 1)]


def test_it_hurries_back_to_a_server_that_restarts(start: Start, server: ScriptedServer) -> None:
    client = start(first=600, most=600)
    link = server.next()
    link.welcome()
    client.wait_open()
    link.close(1012, "restart")
    server.next().welcome()
    wait_until(lambda: client.absences and client.absences[0].seconds is not None)
    seconds = client.absences[0].seconds
    assert seconds is not None
    assert seconds < 5


def test_a_silent_server_is_asked_and_left(start: Start, server: ScriptedServer) -> None:
    client = start(timeout=0.2)
    link = server.next()
    link.welcome(ping=0.05)
    link.answer(link.hear("$ping"))
    link.hear("$ping")
    link.say("anything is a sign of life")
    link.hear("$ping")
    server.next().welcome()
    wait_until(lambda: client.absences and client.absences[0].seconds is not None)
    assert len(client.absences) == 1


def test_who_cannot_be_reached_or_greeted_is_tried_again(start: Start, server: ScriptedServer) -> None:
    client = start()
    server.next().welcome()
    client.wait_open()
    server.links[0].cut()
    for status, token in ((503, "7.secret"), (403, "7.secret"), (404, None)):
        link = server.next()
        hello = link.hear("$hello")
        assert hello.get("token") == token
        link.refuse(hello, status)
    client.wait_open()  # it keeps nobody, but that will do
    assert (client.token, client.absences[0].attempts) == (None, 3)


def test_a_group_that_was_heard_of_before_its_place(start: Start, server: ScriptedServer) -> None:
    client = start()
    link = server.next()
    hello = link.hear("$hello")
    link.tell("room", 5, 6)
    answer = {"id": "7", "token": "t", "keep": 60, "ping": 0, "restored": False, "recovered": {}}
    link.answer(hello, {**answer, "positions": {"room": {"offset": 4, "epoch": "e"}}})
    link.tell("room", 7)
    wait_until(lambda: client.offsets("room") == [5, 6, 7])
    client.cut()
    link = server.next()
    hello = link.hear("$hello")
    assert hello["positions"] == {"room": {"offset": 7, "epoch": "e"}}
    link.answer(hello, {**answer, "positions": {"room": {"offset": 9, "epoch": "e"}}})
    recover = link.hear("$recover")  # the server could not do it at once
    assert recover["offset"] == 7
    link.answer(recover, {"recovered": True, "offset": 9, "epoch": "e", "missed": 2})
    link.tell("room", 8, 9, 10)
    wait_until(lambda: client.offsets("room") == [5, 6, 7, 8, 9, 10])
    assert client.gaps == []


def test_close_says_goodbye(start: Start, server: ScriptedServer) -> None:
    client = start()
    link = server.next()
    link.welcome()
    client.wait_open()
    closing = green.spawn(client.close)
    assert link.hear("$bye") == {"action": "$bye"}
    assert link.wait_closed() == (1000, "")
    closing.join(5)
    assert client.closed == (1000, "")
    with pytest.raises(ConnectionClosed):
        client.send("more")


# -- what is made of offsets, whatever happens -------------------------------------------------------------------------
class History:
    """A server with one group, and the client of it.  Answers come later than what was sent before them."""

    def __init__(self) -> None:
        self.places = Places()
        self.told: list[int] = []
        self.last = 0
        self.sent = 0  # up to here the connection was told
        self.asked: list[int] = []
        self.connected = False

    def answer(self, offset: int) -> None:
        self.places.recovered("room", {"recovered": True, "offset": self.sent, "epoch": "e", "missed": self.sent - offset})
        for each in range(offset + 1, self.sent + 1):
            self.send(each)

    def send(self, offset: int) -> None:
        told, ask = self.places.take("room", offset)
        if told:
            self.told.append(offset)
        if ask:
            place = self.places.known["room"]
            place.asking = True
            self.asked.append(place.offset)

    def do(self, step: str) -> None:
        if step == "say":
            self.last += 1
        elif step == "deliver" and self.connected and self.sent < self.last:
            self.sent += 1
            self.send(self.sent)
        elif step == "drop" and self.connected and self.sent < self.last:  # the client read too slowly
            self.sent += 1
        elif step == "lose":
            self.connected = False
            self.asked.clear()
        elif step in ("connect", "connect late") and not self.connected:
            self.connected = True
            position = self.places.positions().get("room", {"offset": self.last})["offset"]
            self.places.ask()
            self.sent = self.last
            if step == "connect late":  # the server tells news before it has read the greeting
                self.last += 1
                self.do("deliver")
            self.places.asked()
            self.answer(position)
        elif step == "answer" and self.asked:
            self.answer(self.asked.pop(0))


@given(st.lists(st.sampled_from(["say", "say", "deliver", "deliver", "drop", "lose", "connect", "connect late", "answer"]), max_size=60))
def test_whatever_happens_all_is_told_once_and_in_order(steps: list[str]) -> None:
    history = History()
    history.do("connect")
    for step in steps:
        history.do(step)
    history.do("lose")
    history.do("connect")
    assert history.told == list(range(1, history.last + 1))
    assert history.places.gaps == []


# -- against greenimi --------------------------------------------------------------------------------------------------
@tcp
class Till:
    @on("add")
    def add(self, a: int) -> int:
        return a + 1


@websocket("/rooms")
class Rooms:
    @on("enter")
    def enter(self, connection: IConnection) -> bool:
        return Hub.group("room").add(connection)

    @on("say")
    def say(self, text: str) -> None:
        Hub.group("room").send(text, event="said")

    @on("whisper")
    def whisper(self, text: str, connection: IConnection) -> None:
        Hub.group("room").send(text, event="said", skip=[connection])


def test_who_is_skipped_asks_once_and_misses_nothing(serve: Serve) -> None:
    served = serve([Rooms], {"servers": {"web": {}}, "hub": {"groups": {"room": {"history": 100}}}})

    def connect() -> WebSocketClient:
        return WebSocketClient(served.addresses["web"], "/rooms")

    with ResumingClient(connect) as one, ResumingClient(connect) as two:
        for client in (one, two):
            client.wait_open().call("enter")
        one.call("whisper", text="not for me")
        one.call("say", text="for all")
        wait_until(lambda: (one.offsets("room"), two.offsets("room")) == ([2], [1, 2]))
        assert one.gaps == two.gaps == []


def test_many_come_back_and_miss_nothing(serve: Serve) -> None:
    served = serve([Rooms], {"servers": {"web": {}}, "hub": {"groups": {"room": {"history": 100}}}})
    with ExitStack() as stack:
        clients = [
            stack.enter_context(ResumingClient(lambda: WebSocketClient(served.addresses["web"], "/rooms"), first=0.01, most=0.1))
            for _ in range(100)
        ]
        for client in clients:
            assert client.wait_open().call("enter") is True
        clients[0].call("say", text="one")
        for client in clients[1:]:
            client.cut()
        clients[0].call("say", text="two")
        clients[0].call("say", text="three")
        wait_until(lambda: all(client.offsets("room") == [1, 2, 3] for client in clients))
        assert [each.data for each in clients[-1].heard] == ["one", "two", "three"]
        assert all(client.absences[0].restored and not client.gaps for client in clients[1:])


def test_a_device_on_a_line_is_a_client_too(serve: Serve) -> None:
    served = serve([Till], {"servers": {"tcp": {"kind": "tcp"}}})
    with ResumingClient(lambda: MessageClient(served.addresses["tcp"], "tcp"), first=0.01, most=0.05) as client:
        assert client.wait_open().call("add", a=1) == 2
        client.cut()
        wait_until(lambda: client.absences and client.absences[0].restored)
        assert client.call("add", a=2) == 3
