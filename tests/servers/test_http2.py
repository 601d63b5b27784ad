"""HTTP/2 as clients see it: streams beside each other, bodies in both directions, and what goes wrong."""

from __future__ import annotations

import contextvars
import gc
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from h2.errors import ErrorCodes

from greenimi import Body, IConnection, Request, Response, get, green, http, post
from greenimi.app import App
from greenimi.servers.http2 import Http2Connection, Http2Stream
from greenimi.testing.links import connect
from greenimi.testing.plugin import AppFactory
from greenimi.testing.support import wait_until
from greenimi.web.sse import Event, EventStream
from tests.apps.echo import Stage
from tests.codec.http2_peer import PREFACE, Peer, headers, request, settings
from tests.servers.http2_client import Answer, Http2Link

Make = Callable[..., App]


Dial = Callable[..., Http2Link]


def server_of(app: App) -> Any:
    return app.doors.servers["web"]


def test_many_requests_on_one_connection(app: App, dial: Dial) -> None:
    web = dial(app)
    for text in ("a", "b"):
        answer = web.get(f"/echo/{text}")
        assert (answer.status, answer.body) == (200, b'{"text":"%b"}' % text.encode())
        assert answer.headers["content-length"] == "12"
        assert "date" in answer.headers
    assert [type(each) for each in server_of(app).connections] == [Http2Connection]
    assert server_of(app).handled >= 2


def test_a_hundred_streams_beside_each_other(app: App, stage: Stage, dial: Dial) -> None:
    web = dial(app)
    waiting = [web.begin("GET", "/wait") for _ in range(50)]
    wait_until(lambda: stage.waiting == 50)
    others = [web.begin("GET", f"/item/{number}") for number in range(50)]
    for number, stream in enumerate(others):
        assert web.wait(stream).body == b"%d" % number
    stage.gate.set()
    assert {web.wait(stream).body for stream in waiting} == {b"waited"}


_who: contextvars.ContextVar[str] = contextvars.ContextVar("who")


@http
class Contexts:
    @get("/who/{name}")
    def who(self, name: str, request: Request, connection: IConnection) -> list[str]:
        _who.set(name)
        request.extra["name"] = name
        green.sleep(0.001)
        return [_who.get(), request.extra["name"], request.headers["x-name"], connection.id.rpartition("-")[2]]

    @post("/trailers")
    def trailers(self, body: Body) -> dict[str, Any]:
        return {"size": len(body.read()), "trailers": dict(body.trailers)}

    @get("/sum")
    def sum(self) -> Response:
        return Response(iter([b"one", b"two"]), trailers=[("X-Sum", "6")])

    @get("/status/{status}")
    def status(self, status: int) -> Response:
        return Response("said", status)

    @get("/cookies")
    def cookies(self, request: Request) -> dict[str, str]:
        return dict(request.cookies)

    @get("/facts")
    def facts(self, request: Request) -> list[Any]:
        return [request.version, request.headers["host"], request.target, request.path, request.connection.address[0]]

    @get("/news")
    def news(self) -> EventStream:
        return EventStream(self._told())

    def _told(self) -> Iterator[Event]:
        yield Event({"number": 1}, id="1")
        green.sleep(60)


@pytest.fixture
def contexts(app_factory: AppFactory) -> App:
    return app_factory([Contexts], {"servers": {"web": {"kind": "http"}}})


def test_contexts_of_a_hundred_streams_do_not_mix(contexts: App, dial: Dial) -> None:
    web = dial(contexts)
    streams = {number: web.begin("GET", f"/who/n{number}", [("x-name", f"n{number}")]) for number in range(100)}
    for number, stream in streams.items():
        name = f"n{number}"
        assert web.wait(stream).body.decode() == f'["{name}","{name}","{name}","{stream}"]'


def test_trailers_both_ways(contexts: App, dial: Dial) -> None:
    web = dial(contexts)
    answer = web.post("/trailers", b"x" * 70_000, trailers=[("x-sum", "70000")])
    assert answer.body == b'{"size":70000,"trailers":{"x-sum":"70000"}}'
    answer = web.get("/sum", ("te", "trailers"))
    assert (answer.body, answer.trailers) == (b"onetwo", {"x-sum": "6"})
    assert web.get("/sum").trailers == {}


def _has_event(answer: Answer) -> bool:
    return b"\n\n" in answer.body


def test_event_streams_end_with_their_stream_or_server(contexts: App, dial: Dial) -> None:
    web = dial(contexts)
    server = server_of(contexts)
    first, second = (web.begin("GET", "/news") for _ in range(2))
    for stream in (first, second):
        answer = web.answers[stream]
        web.until(partial(_has_event, answer))
        assert b'data: {"number":1}' in answer.body
    web.h2.reset_stream(first)
    web.flush()
    wait_until(lambda: len(server.live) == 1)
    next(iter(server.connections)).depart(1001, "the server stops", at_last=False)
    assert web.wait(second).ended
    assert not server.live


def test_cookie_crumbs_are_put_together(contexts: App, dial: Dial) -> None:
    assert dial(contexts).get("/cookies", ("cookie", "a=1"), ("cookie", "b=2")).body == b'{"a":"1","b":"2"}'


def test_facts_of_a_request(contexts: App, dial: Dial) -> None:
    assert dial(contexts).get("/facts?x=y").body == b'["2","x","/facts?x=y","/facts","127.0.0.1"]'


# -- answers -------------------------------------------------------------------------------------------------------


def test_head_no_content_and_errors(app: App, dial: Dial) -> None:
    web = dial(app)
    answer = web.get("/echo/a", method="HEAD")
    assert (answer.status, answer.headers["content-length"], answer.body) == (200, "12", b"")
    answer = web.get("/item/5", method="DELETE")
    assert (answer.status, "content-length" in answer.headers) == (204, False)
    assert web.get("/fail").status == 500
    assert web.get("/refuse").status == 403
    assert web.get("/nothing").status == 404
    assert web.get("/both", method="PUT").headers["allow"] == "GET, HEAD, OPTIONS, POST"


def test_fields_that_would_break_out_are_never_sent(app: App, dial: Dial) -> None:
    answer = dial(app).get("/bad-head")
    assert (answer.status, "set-cookie" in answer.headers) == (500, False)


def test_a_status_that_is_not_final_is_never_sent(contexts: App, dial: Dial) -> None:
    web = dial(contexts)
    assert [web.get(f"/status/{status}").status for status in (100, 101, 199, 200, 599, 600)] == [500, 500, 500, 200, 599, 500]


def test_a_streamed_answer(app: App, dial: Dial) -> None:
    web = dial(app)
    answer = web.get("/count/3")
    assert "content-length" not in answer.headers
    assert answer.body == b"".join(b"%06d\n" % at * 1000 for at in range(3))
    assert web.get("/count/3", method="HEAD").body == b""


def test_an_answer_that_breaks_in_the_middle_is_reset(app: App, dial: Dial) -> None:
    web = dial(app)
    answer = web.get("/broken")
    assert (answer.status, answer.body, answer.reset) == (200, b"begun", ErrorCodes.INTERNAL_ERROR)
    assert web.get("/item/1").body == b"1"


def test_a_client_that_does_not_read_parks_its_handler_and_no_other(app: App, stage: Stage, dial: Dial) -> None:
    web = dial(app, greedy=False)
    slow = web.begin("GET", "/count/1000")
    web.until(lambda: len(web.answers[slow].body) >= 65535)
    assert len(web.answers[slow].body) == 65535
    made = len(stage.log)
    assert made < 100
    web.h2.increment_flow_control_window(1 << 20)
    web.flush()
    assert web.get("/item/1").body == b"1"
    assert len(stage.log) == made
    web.h2.increment_flow_control_window(1 << 24)
    web.h2.increment_flow_control_window(1 << 24, slow)
    web.flush()
    assert len(web.wait(slow).body) == 7_000_000
    assert stage.log[-1] == "done"


def test_a_client_that_resets_ends_its_handler(app: App, stage: Stage, dial: Dial) -> None:
    web = dial(app, greedy=False)
    slow = web.begin("GET", "/count/1000")
    web.until(lambda: len(web.answers[slow].body) >= 65535)
    web.h2.reset_stream(slow, ErrorCodes.CANCEL)
    web.flush()
    wait_until(lambda: stage.log and stage.log[-1] == "done")
    wait_until(lambda: not server_of(app).handlers.busy)
    assert len(stage.log) < 100


def test_a_client_that_leaves_ends_its_handlers(app: App, stage: Stage, dial: Dial) -> None:
    web = dial(app, greedy=False)
    slow = web.begin("GET", "/count/1000")
    web.begin("POST", "/sizes", end=False)
    stage.gate.set()
    web.until(lambda: len(web.answers[slow].body) >= 65535)
    web.close()
    wait_until(lambda: not server_of(app).connections)
    wait_until(lambda: not server_of(app).handlers.busy)
    assert stage.log[-1] == "done"


# -- bodies --------------------------------------------------------------------------------------------------------


def test_bodies(app: App, dial: Dial) -> None:
    web = dial(app)
    assert web.post("/echo", b'{"a": 1}', ("content-type", "application/json")).body == b'{"a":1}'
    json = ("content-type", "application/json")
    assert web.post("/echo", b'{"a": 1}', json, ("content-length", "8")).body == b'{"a":1}'
    assert web.post("/ignore", b"x" * 100_000).body == b"not read"


def test_a_body_is_taken_as_fast_as_its_handler_reads(make_echo: Make, dial: Dial) -> None:
    app = make_echo(web={"http2": {"window": 65535}})
    stage = app.container.get(Stage)
    web = dial(app)
    slow = web.begin("POST", "/sizes", end=False)
    wait_until(lambda: stage.waiting)
    room = web.h2.local_flow_control_window(slow)
    assert room == 65535
    web.send(slow, b"x" * room)
    assert web.get("/item/1").body == b"1"
    assert web.h2.local_flow_control_window(slow) == 0
    stage.gate.set()
    web.send(slow, b"x" * 1_000_000, end=True)
    assert web.wait(slow).body == b"[1065535]"


def test_continue_is_said_when_the_body_is_wanted(app: App, stage: Stage, dial: Dial) -> None:
    web = dial(app)
    stage.gate.set()
    stream = web.begin("POST", "/sizes", [("expect", "100-continue")], end=False)
    web.until(lambda: web.answers[stream].interim)
    assert web.answers[stream].interim[0][0] == 100
    web.send(stream, b"hello", end=True)
    assert web.wait(stream).body == b"[5]"


def test_a_body_that_grows_too_large(make_echo: Make, dial: Dial) -> None:
    app = make_echo(web={"max_body": 10_000})
    app.container.get(Stage).gate.set()
    web = dial(app)
    assert web.post("/sizes", b"x" * 10_001).status == 413
    assert web.get("/item/1").body == b"1"


# -- doors ---------------------------------------------------------------------------------------------------------


WISH = b"GET /item/7 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: %b\r\n\r\n"


def test_upgrade_from_http_1_when_conf_says_so(make_echo: Make) -> None:
    wish = WISH % b"AAMAAABkAAQAAP__"
    sock = connect(make_echo(web={"http2": {"upgrade": True}}), "web")
    sock.sendall(wish)
    found = b""
    while b"\r\n\r\n" not in found:
        found += sock.recv(65536)
    head, _, rest = found.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    sock.sendall(PREFACE + settings() + headers(3, request("GET", "/item/8")))
    peer = Peer()
    said = peer.read(rest)
    while said.ended != {1, 3}:
        said = peer.read(sock.recv(65536))
    assert said.bodies == {1: b"7", 3: b"8"}
    sock.close()
    sock = connect(make_echo(), "web")
    sock.sendall(wish)
    assert sock.recv(100).startswith(b"HTTP/1.1 200 ")
    sock.close()


def test_settings_of_an_upgrade_that_are_none(make_echo: Make) -> None:
    app = make_echo(web={"http2": {"upgrade": True}})
    for unreadable in (b"!", b"AAIAAA"):
        sock = connect(app, "web")
        sock.sendall(WISH % unreadable)
        assert sock.recv(100).startswith(b"HTTP/1.1 200 ")
        sock.close()
    sock = connect(app, "web")
    sock.sendall(WISH % b"AAIAAAAC")  # ENABLE_PUSH is 2
    found = b""
    while data := sock.recv(65536):
        found += data
    said = Peer().read(found.partition(b"\r\n\r\n")[2])
    assert said.gone == ErrorCodes.PROTOCOL_ERROR
    assert not said.heads
    sock.close()


def test_http_2_can_be_switched_off(make_echo: Make) -> None:
    sock = connect(make_echo(web={"http2": {"enabled": False}}), "web")
    sock.sendall(PREFACE + settings())
    assert sock.recv(100).startswith(b"HTTP/1.1 505 ")
    sock.close()


def test_the_preface_may_come_in_pieces(app: App) -> None:
    sock = connect(app, "web")
    for at in range(len(PREFACE)):
        sock.sendall(PREFACE[at : at + 1])
    sock.sendall(settings() + headers(1, request("GET", "/item/8")))
    peer = Peer()
    said = peer.said
    while said.ended != {1}:
        said = peer.read(sock.recv(65536))
    assert said.bodies == {1: b"8"}
    sock.close()


def test_the_preface_behind_a_request_is_refused(app: App) -> None:
    sock = connect(app, "web")
    sock.sendall(b"GET /item/1 HTTP/1.1\r\nHost: x\r\n\r\n" + PREFACE)
    found = b""
    while data := sock.recv(65536):
        found += data
    assert b"HTTP/1.1 505 " in found
    sock.close()


# -- limits --------------------------------------------------------------------------------------------------------


def test_handlers_of_reset_streams_count(make_echo: Make, dial: Dial) -> None:
    app = make_echo(web={"http2": {"streams": 4}})
    stage = app.container.get(Stage)
    web = dial(app)
    for _ in range(4):
        stream = web.begin("GET", "/wait")
        web.h2.reset_stream(stream)
        web.flush()
    wait_until(lambda: stage.waiting == 4)
    refused = web.wait(web.begin("GET", "/item/1"))
    assert refused.reset == ErrorCodes.REFUSED_STREAM
    stage.gate.set()
    wait_until(lambda: not server_of(app).handlers.busy)
    assert web.get("/item/1").body == b"1"


def test_too_much_to_do_is_told_on_the_stream(make_echo: Make, dial: Dial) -> None:
    app = make_echo(handlers=1)
    server = server_of(app)
    server.handlers.queue = 1
    stage = app.container.get(Stage)
    web = dial(app)
    first = web.begin("GET", "/wait")
    wait_until(lambda: stage.waiting)
    second = web.begin("GET", "/item/2")
    wait_until(lambda: server.handlers.overloaded)
    assert web.get("/item/3").status == 503
    stage.gate.set()
    assert (web.wait(first).body, web.wait(second).body) == (b"waited", b"2")


def sweep(app: App, seconds: float) -> None:
    """As if so many seconds had passed."""
    server = server_of(app)
    server.sweep(app.doors.runtime.now)
    server.sweep(app.doors.runtime.now + seconds)


def test_a_window_that_stays_shut_resets_its_stream(app: App, dial: Dial) -> None:
    web = dial(app, greedy=False)
    slow = web.begin("GET", "/count/1000")
    web.until(lambda: len(web.answers[slow].body) >= 65535)
    sweep(app, 30)
    assert web.wait(slow).reset == ErrorCodes.CANCEL
    web.h2.increment_flow_control_window(1 << 20)
    assert web.get("/item/1").body == b"1"


def test_a_body_that_does_not_come_is_refused(app: App, dial: Dial) -> None:
    web = dial(app)
    held = web.begin("POST", "/sizes", [("content-length", "100")], end=False)
    web.send(held, b"x")
    app.container.get(Stage).gate.set()
    given = web.begin("POST", "/sizes", end=False)
    web.send(given, b"x")
    wait_until(lambda: app.doors.runtime.handlers.busy)
    web.get("/item/1")
    sweep(app, 30)
    assert web.wait(held).status == 408
    assert web.wait(given).status == 408


def test_a_body_that_nobody_wants_is_stopped(app: App, dial: Dial) -> None:
    web = dial(app)
    stream = web.begin("POST", "/ignore", end=False)
    web.until(lambda: web.answers[stream].ended)
    assert web.answers[stream].reset is None
    sweep(app, 1)
    web.until(lambda: web.answers[stream].reset is not None)
    assert web.answers[stream].reset == ErrorCodes.NO_ERROR


def test_a_frame_that_does_not_come_ends_the_connection(app: App, dial: Dial) -> None:
    web = dial(app)
    web.get("/item/1")
    web.sock.sendall(b"\0\0\x08\x06\0\0\0\0\0" + b"1234")
    wait_until(lambda: any(each.codec.partial for each in server_of(app).connections))
    sweep(app, 30)
    web.until(lambda: web.gone)
    assert web.gone[0][1] == ErrorCodes.ENHANCE_YOUR_CALM


def test_silence_ends_with_goaway(app: App, dial: Dial) -> None:
    web = dial(app)
    web.get("/item/1")
    sweep(app, 100)
    web.until(lambda: web.gone)
    assert web.gone == [(1, 0)]
    with pytest.raises(ConnectionError):
        web.until(lambda: False)


# -- leaving -------------------------------------------------------------------------------------------------------


def test_draining_announces_then_finishes(app: App, stage: Stage, dial: Dial) -> None:
    web = dial(app)
    slow = web.begin("GET", "/wait")
    wait_until(lambda: stage.waiting)
    server = server_of(app)
    server.drain()
    server.farewell(1001, 5)
    server.farewell(1001, 0)
    web.until(lambda: web.gone)
    last, code = web.gone[0]
    assert code == 0
    assert last in (2**31 - 1, slow)
    stage.gate.set()
    assert web.wait(slow).body == b"waited"
    while web.read():
        pass
    wait_until(lambda: not server.connections)
    server._farewell.end()
    server._farewell = None


def test_a_goodbye_in_two_steps_loses_nothing(app: App, dial: Dial) -> None:
    web = dial(app)
    web.get("/item/1")
    connection = next(iter(server_of(app).connections))
    assert not connection.depart(1001, "the server stops", at_last=False)
    stream = web.begin("GET", "/item/2")  # it has not heard of it yet
    assert web.wait(stream).body == b"2"
    web.until(lambda: len(web.gone) == 2)
    assert web.gone == [(2**31 - 1, 0), (stream, 0)]
    while web.read():
        pass


def test_a_handler_that_is_killed_resets_its_stream(app: App, stage: Stage, dial: Dial) -> None:
    web = dial(app)
    slow = web.begin("GET", "/wait")
    wait_until(lambda: stage.waiting)
    app.doors.runtime.handlers.kill()
    assert web.wait(slow).status == 503
    assert web.get("/item/1").body == b"1"


def test_a_handler_over_its_time_is_answered_for(app: App, stage: Stage, dial: Dial) -> None:
    web = dial(app)
    slow = web.begin("GET", "/wait")
    wait_until(lambda: stage.waiting)
    app.doors.runtime.overtime.look(app.doors.runtime.now + 1000)
    assert web.wait(slow).status == 503


def test_streams_leave_nothing_behind(app: App, dial: Dial) -> None:
    web = dial(app)
    gc.collect()
    gc.disable()
    try:
        for number in range(50):
            assert web.get(f"/item/{number}").body == b"%d" % number
            assert web.post("/echo", b"[1]", ("content-type", "application/json")).body == b"[1]"
        web.get("/count/3")
        wait_until(lambda: not server_of(app).handlers.busy)
        assert not [each for each in gc.get_objects() if type(each) is Http2Stream]
    finally:
        gc.enable()
    assert not [each for each in gc.get_objects() if type(each) is Http2Stream]
