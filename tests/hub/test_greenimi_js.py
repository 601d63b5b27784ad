"""greenimi.js in a real browser, against a server that does what each test says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser import Page, opened_browser
from tests.hub.scripted import ScriptedServer, scripted_server

pytestmark = pytest.mark.live

_NAMES = ["open", "restored", "lost", "closed", "gap", "error", "message", "said"]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with opened_browser(tmp_path_factory.mktemp("browser")) as page:
        yield page


@pytest.fixture(scope="module")
def _server() -> Iterator[ScriptedServer]:
    with scripted_server() as found:
        yield found


@pytest.fixture
def server(_server: ScriptedServer) -> Iterator[ScriptedServer]:
    yield _server
    _server.forget()


class Client:
    """A ``Greenimi`` in a page; what it tells is collected."""

    def __init__(self, page: Page, server: ScriptedServer, options: str = "") -> None:
        self.page = page
        page.open(server.url)
        page.problems.clear()
        self.make(options)

    def make(self, options: str = "") -> None:
        self.page.evaluate(
            f"globalThis.heard = []; globalThis.client = new Greenimi('/chat', {{first: 0.01, most: 0.05, {options}}});"
            f"for (const name of {json.dumps(_NAMES)})"
            "  client.on(name, (...values) => heard.push([name, ...values]));"
        )

    def wait(self, script: str) -> None:
        self.page.wait(script)

    def evaluate(self, script: str) -> Any:
        return self.page.evaluate(script)

    def heard(self, *names: str) -> list[list[Any]]:
        """What was told so far under these names, all without one."""
        told: list[list[Any]] = self.page.evaluate("JSON.parse(JSON.stringify(heard))")
        return [each for each in told if not names or each[0] in names]

    def said(self) -> list[Any]:
        """The data of the events called said."""
        return [each[1] for each in self.heard("said")]

    def call(self, action: str, args: str = "{}") -> None:
        """Begin a call; what comes of it will be told as "done"."""
        self.page.evaluate(
            f"void client.call({action!r}, {args}).then(value => heard.push(['done', value]),"
            "error => heard.push(['done', error.name, error.status, error.message]))"
        )


@pytest.fixture
def client(browser: Page, server: ScriptedServer) -> Iterator[Client]:
    found = Client(browser, server)
    yield found
    browser.evaluate("client.close()")


def test_it_opens_calls_and_hears(client: Client, server: ScriptedServer) -> None:
    link = server.next()
    assert link.path == "/chat"
    hello = link.hear("$hello")
    assert (hello["positions"], "token" in hello) == ({}, False)
    assert client.evaluate("[client.state, client.send('early')]") == ["connecting", False]
    link.answer(hello, {"id": "9223372036854775807", "token": "t", "keep": 60, "ping": 25, "restored": False, "recovered": {}})
    client.wait("client.state == 'open'")
    assert client.evaluate("client.id") == "9223372036854775807"
    assert client.heard() == [["open", {"id": "9223372036854775807", "restored": False, "recovered": {}, "again": False}]]

    client.call("add", "{a: 1, b: 2}")
    first = link.hear("add")
    client.call("fail")
    second = link.hear("fail")
    assert first == {"action": "add", "id": first["id"], "a": 1, "b": 2}
    link.say({"id": second["id"], "error": {"code": 422, "message": "a: is missing", "errors": [1]}})
    link.answer(first, None)
    client.wait("heard.length == 3")
    assert client.heard("done") == [["done", "GreenimiError", 422, "a: is missing"], ["done", None]]

    assert client.evaluate("client.send('note', {text: 'x'})") is True
    assert link.hear("note") == {"action": "note", "text": "x"}
    link.say({"event": "said", "data": 1})
    link.say({"event": "$join", "data": {"user": "ada", "info": None}, "group": "room"})
    for value in ({"event": "unknown", "data": 2}, {"event": "open", "data": 3}, [4], "5", None, {"id": 6}):
        link.say(value)
    link.say({"error": {"code": 404, "message": "no handler takes this message"}})
    link.answer({"id": 12345}, "nobody waits for this")
    link.say({"event": "said", "data": "last"})
    client.wait("heard.at(-1)?.[1] == 'last'")
    assert client.heard()[3:] == [
        ["said", 1, {"event": "said"}],
        ["message", {"user": "ada", "info": None}, {"event": "$join", "group": "room"}],
        ["message", 2, {"event": "unknown"}],
        ["message", 3, {"event": "open"}],  # the server cannot tell what only the client knows
        ["message", [4], {}],
        ["message", "5", {}],
        ["message", None, {}],
        ["message", {"id": 6}, {}],
        ["error", {"name": "GreenimiError", "status": 404, "details": {"code": 404, "message": "no handler takes this message"}}],
        ["said", "last", {"event": "said"}],
    ]
    assert client.page.problems == []


def test_listeners_can_be_removed_and_their_errors_hurt_nobody(client: Client, server: ScriptedServer) -> None:
    link = server.next()
    link.welcome()
    client.evaluate(
        "globalThis.off = client.on('said', () => { throw new Error('first') });"
        "client.on('said', async () => { throw new Error('second') })"
    )
    link.say({"event": "said", "data": 1})
    client.wait("heard.length == 2")
    client.evaluate("off()")
    link.say({"event": "said", "data": 2})
    client.wait("heard.length == 3")
    client.wait("true")
    assert [problem.splitlines()[0].split("Error: ")[-1] for problem in client.page.problems] == ["first", "second", "second"]


def test_it_comes_back_with_token_and_positions(client: Client, server: ScriptedServer) -> None:
    link = server.next()
    link.welcome(recovered={"old": {"recovered": True, "offset": 4, "epoch": "e1", "missed": 0}})
    link.tell("old", 5, 6)
    link.place("new", 2, "e2")
    link.tell("new", 3)
    client.wait("heard.filter(each => each[0] == 'said').length == 3")
    client.call("slow")
    link.hear("slow")
    link.cut()
    client.wait("heard.some(each => each[0] == 'lost')")
    assert client.heard("done") == [["done", "GreenimiError", 0, "the connection is lost"]]
    lost = client.heard("lost")[0][1]
    assert (lost["code"], lost["attempt"]) == (1006, 1)
    assert 0 <= lost["delay"] <= 0.01

    link = server.next()
    hello = link.hear("$hello")
    assert hello["token"] == "7.secret"
    assert hello["positions"] == {"old": {"offset": 6, "epoch": "e1"}, "new": {"offset": 3, "epoch": "e2"}}
    recovered = {
        "old": {"recovered": True, "offset": 8, "epoch": "e1", "missed": 2},
        "new": {"recovered": False, "offset": 40, "epoch": "e3", "missed": 1},
    }
    link.tell("old", 7, 9)  # 9 came before the server read the $hello: it is among what follows, in its place
    link.answer(hello, {"id": "8", "token": "8.other", "keep": 60, "ping": 0, "restored": True, "recovered": recovered})
    link.tell("old", 7, 8)
    link.tell("new", 40, 41)
    link.tell("old", 9, 10)
    client.wait("heard.filter(each => each[0] == 'said').length == 9")
    assert client.said() == [5, 6, 3, 7, 8, 40, 41, 9, 10]
    told = {"id": "8", "restored": True, "recovered": recovered, "again": True}
    assert client.heard("open", "restored", "gap")[1:] == [["gap", "new"], ["open", told], ["restored", told]]


def test_doubles_are_dropped_and_holes_are_filled(client: Client, server: ScriptedServer) -> None:
    link = server.next()
    link.welcome(recovered={"room": {"recovered": True, "offset": 2, "epoch": "e", "missed": 0}})
    link.tell("room", 3, 5, 6)
    recover = link.hear("$recover")
    assert (recover["group"], recover["offset"], recover["epoch"]) == ("room", 3, "e")
    link.answer(recover, {"recovered": True, "offset": 6, "epoch": "e", "missed": 3})
    link.tell("room", 4, 5, 6, 7)
    client.wait("heard.filter(each => each[0] == 'said').length == 5")

    link.tell("room", 1)  # the history began anew
    recover = link.hear("$recover")
    assert recover["offset"] == 7
    link.tell("room", 2)  # while the answer is under way nothing is asked for again
    link.answer(recover, {"recovered": False, "offset": 2, "epoch": "f", "missed": 2})
    link.tell("room", 1, 2, 3)
    client.wait("heard.filter(each => each[0] == 'said').length == 8")
    assert client.said() == [3, 4, 5, 6, 7, 1, 2, 3]
    assert client.heard("gap") == [["gap", "room"]]


def test_what_is_not_for_this_client_is_asked_for_once(client: Client, server: ScriptedServer) -> None:
    link = server.next()
    link.welcome(recovered={"room": {"recovered": True, "offset": 2, "epoch": "e", "missed": 0}})
    link.tell("room", 6)
    link.answer(link.hear("$recover"), {"recovered": True, "offset": 6, "epoch": "e", "missed": 4})
    link.tell("room", 3, 5, 6, 7)
    client.wait("heard.at(-1)?.[1] == 7")
    assert [each[1] for each in client.heard("said", "gap")] == [3, 5, 6, 7]
    link.tell("room", 9)  # what was promised is over: this is another hole
    assert link.hear("$recover")["offset"] == 7


def test_a_message_without_data_only_moves_on(client: Client, server: ScriptedServer) -> None:
    link = server.next()
    link.welcome(recovered={"room": {"recovered": True, "offset": 2, "epoch": "e", "missed": 0}})
    link.say({"group": "room", "offset": 3})
    link.tell("room", 4)
    client.wait("heard.at(-1)?.[1] == 4")
    assert client.heard("said", "gap", "message") == [["said", 4, {"event": "said", "group": "room", "offset": 4}]]


def test_who_joins_again_gets_what_was_said_meanwhile(client: Client, server: ScriptedServer) -> None:
    link = server.next()
    link.welcome()
    link.place("room", 5, "e")
    link.tell("room", 6)
    link.place("room", 8, "e")
    recover = link.hear("$recover")
    assert recover == {"action": "$recover", "id": recover["id"], "group": "room", "offset": 6, "epoch": "e"}
    link.answer(recover, {"recovered": True, "offset": 8, "epoch": "e", "missed": 2})
    link.tell("room", 7, 8)
    client.wait("heard.at(-1)?.[1] == 8")
    link.place("room", 3, "f")  # it began anew
    link.tell("room", 4)
    link.place("room", 6, "f", recovered=False)  # the server knows that messages are lost
    link.tell("room", 7)
    client.wait("heard.at(-1)?.[1] == 7")
    assert [each[1] for each in client.heard("said", "gap")] == [6, 7, 8, "room", 4, "room", 7]
    assert client.evaluate("client.position('room')") == {"offset": 7, "epoch": "f"}
    client.evaluate("client.forget('room')")
    link.place("room", 20, "f")
    link.tell("room", 21)
    client.wait("heard.at(-1)?.[1] == 21")


def test_recover_asks_from_where_the_application_was(client: Client, server: ScriptedServer) -> None:
    link = server.next()
    link.welcome()
    client.wait("client.state == 'open'")
    client.evaluate("void client.recover('room', {offset: 9, epoch: 'd'}).then(answer => heard.push(['done', answer]))")
    recover = link.hear("$recover")
    assert (recover["group"], recover["offset"], recover["epoch"]) == ("room", 9, "d")
    answer = {"recovered": False, "offset": 12, "epoch": "e", "missed": 3}
    link.answer(recover, answer)
    link.tell("room", 10, 11, 12, 13)
    client.wait("heard.filter(each => each[0] == 'said').length == 4 && heard.some(each => each[0] == 'done')")
    assert client.heard("gap", "done") == [["gap", "room"], ["done", answer]]
    client.evaluate("void client.recover('room', {offset: 13, epoch: 'd'}).catch(error => heard.push(['done', error.status]))")
    link.refuse(link.hear("$recover"), 404)
    link.tell("room", 14)
    client.wait("heard.at(-1)?.[1] == 14")
    assert client.heard("done")[1:] == [["done", 404]]


def test_a_group_that_was_heard_of_before_its_place(client: Client, server: ScriptedServer) -> None:
    link = server.next()
    hello = link.hear("$hello")
    link.tell("room", 5, 6)
    answer = {"id": "7", "token": "t", "keep": 60, "ping": 0, "restored": False, "recovered": {}}
    link.answer(hello, {**answer, "positions": {"room": {"offset": 4, "epoch": "e"}}})
    link.tell("room", 7)
    client.wait("heard.at(-1)?.[1] == 7")
    link.cut()
    link = server.next()
    hello = link.hear("$hello")
    assert hello["positions"] == {"room": {"offset": 7, "epoch": "e"}}
    link.answer(hello, {**answer, "positions": {"room": {"offset": 9, "epoch": "e"}}})
    recover = link.hear("$recover")  # the server could not do it at once
    assert recover["offset"] == 7
    link.answer(recover, {"recovered": True, "offset": 9, "epoch": "e", "missed": 2})
    link.tell("room", 8, 9, 10)
    client.wait("heard.at(-1)?.[1] == 10")
    assert client.said() == [5, 6, 7, 8, 9, 10]
    assert client.heard("gap") == []


def test_it_answers_requests_of_the_server(client: Client, server: ScriptedServer) -> None:
    link = server.next()
    link.welcome()
    client.evaluate(
        "client.answer('add', message => message.a + message.b); client.answer('nothing', async () => {});"
        "client.answer('fail', async () => { throw new Error('out of paper') });"
    )
    for number, action in (("a1", "add"), ("a2", "nothing"), ("a3", "fail"), ("a4", "unknown")):
        link.say({"id": number, "action": action, "a": 1, "b": 2})
    answers = {answer["id"]: answer for answer in (link.hear_any() for _ in range(4))}
    assert answers == {
        "a1": {"id": "a1", "result": 3},
        "a2": {"id": "a2", "result": None},
        "a3": {"id": "a3", "error": {"code": 500, "message": "out of paper"}},
        "a4": {"id": "a4", "error": {"code": 404, "message": "this client knows no unknown"}},
    }


def test_it_does_not_come_back_after_some_codes(client: Client, server: ScriptedServer) -> None:
    for code in (1000, 1002, 1003, 1008, 1009, 3000, 4001, 4003, 4401, 4403, 4409):
        link = server.next()
        link.welcome()
        link.close(code, "over")
        client.wait("client.state == 'closed'")
        assert client.heard("lost", "closed") == [["closed", {"code": code, "reason": "over"}]]
        assert client.evaluate("[client.send('more'), client.state]") == [False, "closed"]
        client.evaluate("heard.length = 0; client.connect()")  # the application knows better
    assert server.next().welcome()["token"] == "7.secret"


def test_it_comes_back_after_others(client: Client, server: ScriptedServer) -> None:
    for code in (1001, 1011, 1012, 1013, 4408, 4429, 4503):
        server.next().close(code, "away")
        client.wait("heard.length")
        assert [each[1]["code"] for each in client.heard("lost", "closed")] == [code]
        client.evaluate("heard.length = 0")
    server.next().welcome()
    client.wait("client.state == 'open'")


def test_it_waits_longer_each_time_and_hurries_back_to_a_restarted_server(browser: Page, server: ScriptedServer) -> None:
    client = Client(browser, server, "first: 8, most: 60, stable: 0")
    client.evaluate("globalThis.random = Math.random; Math.random = () => 1;")
    try:
        link = server.next()
        link.welcome()
        link.close(1012, "restart")
        link = server.next()  # it would not be here yet by the other rule
        link.welcome()
        client.evaluate("client.on('lost', () => client.state == 'waiting' && heard.length < 40 && client.connect())")
        for _ in range(5):
            link.close(1001)
            link = server.next()
        link.welcome()
        client.wait("client.state == 'open'")
        link.close(1001)
        server.next()
        assert [each[1]["delay"] for each in client.heard("lost")] == [0.25, 8, 16, 32, 60, 60, 8]
    finally:
        browser.evaluate("Math.random = random; client.close()")


def test_a_silent_server_is_asked_and_left(browser: Page, server: ScriptedServer) -> None:
    client = Client(browser, server, "answer: 0.2")
    link = server.next()
    link.welcome(ping=0.05)
    link.answer(link.hear("$ping"))
    link.hear("$ping")
    link.say("anything is a sign of life")
    link.hear("$ping")
    server.next().welcome()
    client.wait("heard.filter(each => each[0] == 'open').length == 2")
    assert [each[1]["reason"] for each in client.heard("lost")] == ["the server does not answer"]
    browser.evaluate("client.close()")


def test_it_looks_at_once_when_the_network_is_back(browser: Page, server: ScriptedServer) -> None:
    client = Client(browser, server, "first: 60, most: 60")
    link = server.next()
    link.welcome()
    client.wait("client.state == 'open'")
    client.evaluate("dispatchEvent(new Event('online'))")  # is the connection still one?
    link.hear("$ping")
    link.cut()
    client.wait("client.state == 'waiting'")
    client.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    server.next().welcome()
    client.wait("client.state == 'open'")
    client.evaluate("client.close(); dispatchEvent(new Event('online'))")
    assert client.evaluate("client.state") == "closed"


def test_calls_wait_in_a_bounded_queue(browser: Page, server: ScriptedServer) -> None:
    client = Client(browser, server, "queue: 2, timeout: 0.2")
    link = server.next()
    hello = link.hear("$hello")
    client.call("one")
    assert client.evaluate("[client.send('two'), client.send('three')]") == [True, False]
    client.call("four")
    client.wait("heard.length == 1")
    assert client.heard() == [["done", "GreenimiError", 0, "not connected"]]
    link.answer(hello, {})
    link.answer(link.hear("one"), 1)
    assert link.hear("two") == {"action": "two"}
    client.call("five")
    link.hear("five")
    client.wait("heard.length == 4")
    assert client.heard("done")[1:] == [["done", 1], ["done", "GreenimiError", 504, "no answer to five within 0.2 s"]]
    browser.evaluate("client.close()")


def test_a_call_that_waited_too_long_is_not_sent_later(browser: Page, server: ScriptedServer) -> None:
    client = Client(browser, server, "queue: 2")
    link = server.next()
    hello = link.hear("$hello")
    client.evaluate("void client.call('one', {}, 0.01).catch(error => heard.push(['done', error.status]))")
    client.wait("heard.length == 1")
    client.evaluate("client.send('two')")
    link.answer(hello, {})
    link.hear("two")
    assert client.heard("done") == [["done", 504]]
    browser.evaluate("client.close()")


def test_close_says_goodbye_for_good(client: Client, server: ScriptedServer) -> None:
    link = server.next()
    link.welcome()
    client.wait("client.state == 'open'")
    client.call("slow")
    link.hear("slow")
    client.evaluate("client.close()")
    assert link.hear("$bye") == {"action": "$bye"}
    assert link.wait_closed() == (1000, "")
    assert client.heard("closed", "lost") == [["closed", {"code": 1000, "reason": ""}]]
    assert client.heard("done") == [["done", "GreenimiError", 0, "the connection is lost"]]


def test_a_page_that_is_loaded_anew_is_the_same_client(browser: Page, server: ScriptedServer) -> None:
    client = Client(browser, server, "storage: sessionStorage")
    assert "token" not in server.next().welcome(token="first")
    client.wait("client.state == 'open'")
    client = Client(browser, server, "storage: sessionStorage")
    assert server.next().welcome()["token"] == "first"
    client.wait("client.state == 'open'")
    browser.evaluate("client.close()")
    client.make("storage: sessionStorage")
    assert "token" not in server.next().welcome()
    browser.evaluate("client.close()")


def test_a_server_that_keeps_nobody_will_do(client: Client, server: ScriptedServer) -> None:
    link = server.next()
    link.refuse(link.hear("$hello"), 404, "no handler takes this message")
    client.wait("client.state == 'open'")
    client.call("echo")
    link.answer(link.hear("echo"), "yes")
    client.wait("heard.length == 2")
    assert client.heard("done") == [["done", "yes"]]


def test_a_server_that_cannot_greet_now_is_asked_later(client: Client, server: ScriptedServer) -> None:
    server.next().welcome()
    client.wait("client.state == 'open'")
    server.links[0].cut()
    link = server.next()
    hello = link.hear("$hello")
    link.refuse(hello, 503, "the server is overloaded")
    link = server.next()
    hello = link.hear("$hello")
    assert hello["token"] == "7.secret"
    link.refuse(hello, 403, "this token is another user's")  # somebody else has logged in
    assert "token" not in server.next().welcome()
    client.wait("client.state == 'open'")
    assert [each[1]["reason"] for each in client.heard("lost")] == ["", "the server is overloaded", "this token is another user's"]


def test_what_is_no_json_is_an_error_and_no_more(client: Client, server: ScriptedServer) -> None:
    link = server.next()
    link.welcome()
    link._connection.send("{")
    link.say(1)
    client.wait("heard.some(each => each[0] == 'message')")
    assert client.evaluate("heard.find(each => each[0] == 'error')[1].message") == "the server sent what is no JSON"


def test_it_is_a_module_as_well(browser: Page, server: ScriptedServer) -> None:
    browser.open(server.url)
    browser.evaluate("delete globalThis.Greenimi")
    browser.evaluate("import('/greenimi.js')")
    assert browser.evaluate("typeof Greenimi + typeof Greenimi.Error") == "functionfunction"
