"""HTTP/1.1 as clients see it: order, keep-alive, bodies in both directions, and what goes wrong."""

from __future__ import annotations

import gc
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from gevent import get_hub
from greenlet import GreenletExit, greenlet

from greenimi import green
from greenimi.app import App
from greenimi.errors import ConnectionClosed
from greenimi.message import Request, Response
from greenimi.testing.clients import HttpClient
from greenimi.testing.support import wait_until
from tests.apps.echo import Stage
from tests.servers.conftest import Link

Links = Callable[..., Link]
Make = Callable[..., App]


def get(path: str, *fields: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\n{''.join(f'{field}{chr(13)}{chr(10)}' for field in ('Host: x', *fields))}\r\n".encode()


def post(path: str, body: bytes, *fields: str) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{''.join(field + chr(13) + chr(10) for field in fields)}\r\n"
    return head.encode() + body


# -- one connection, many requests ---------------------------------------------------------------------------------


def test_keep_alive_is_the_default(app: App, link: Links) -> None:
    web = link(app)
    for text in ("a", "b"):
        web.send(get(f"/echo/{text}"))
        status, headers, body = web.response()
        assert (status, body) == (200, b'{"text":"%b"}' % text.encode())
        assert "connection" not in headers
    assert len(app.doors.servers["web"].connections) == 1


def test_connection_close_is_obeyed_and_said(app: App, link: Links) -> None:
    web = link(app)
    web.send(get("/echo/a", "Connection: close"))
    status, headers, _ = web.response()
    assert (status, headers["Connection"]) == (200, "close")
    assert web.read_all() == b""


def test_http_1_0_closes_unless_asked_not_to(app: App, link: Links) -> None:
    web = link(app)
    web.send(b"GET /echo/a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert web.response()[1]["Connection"] == "keep-alive"
    web.send(b"GET /echo/a HTTP/1.0\r\n\r\n")
    assert web.response()[0] == 200
    assert web.read_all() == b""


def test_pipelined_requests_are_answered_in_order(app: App, link: Links) -> None:
    web = link(app)
    web.send(b"".join(get(f"/item/{number}") for number in range(500)))
    assert [web.response()[2] for _ in range(500)] == [b"%d" % number for number in range(500)]


def test_a_blocked_handler_does_not_hold_back_earlier_answers(app: App, stage: Stage, link: Links) -> None:
    web = link(app)
    web.send(get("/item/1") + get("/item/2") + get("/wait") + get("/item/3"))
    assert [web.response()[2], web.response()[2]] == [b"1", b"2"]
    assert stage.waiting == 1
    stage.gate.set()
    assert [web.response()[2], web.response()[2]] == [b"waited", b"3"]


def test_requests_behind_connection_close_are_not_handled(app: App, stage: Stage, link: Links) -> None:
    web = link(app)
    web.send(get("/item/1", "Connection: close") + b"DELETE /item/7 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert web.response()[2] == b"1"
    assert web.read_all() == b""
    assert stage.log == []


def test_a_client_that_half_closes_gets_its_answer(app: App, stage: Stage, link: Links) -> None:
    web = link(app)
    web.send(get("/item/1") + get("/wait"))
    web.sock.shutdown(1)
    assert web.response()[2] == b"1"
    stage.gate.set()
    assert web.response()[2] == b"waited"
    assert web.read_all() == b""


def test_a_client_that_leaves_frees_its_connection(app: App, stage: Stage, link: Links) -> None:
    web = link(app)
    web.send(get("/wait"))
    wait_until(lambda: stage.waiting)
    web.close()
    stage.gate.set()
    wait_until(lambda: not app.doors.servers["web"].connections)
    assert not app.doors.runtime.handlers.busy


# -- answers -------------------------------------------------------------------------------------------------------


def test_head_is_get_without_its_body(app: App, link: Links) -> None:
    web = link(app)
    web.send(b"HEAD /echo/a HTTP/1.1\r\nHost: x\r\n\r\n" + get("/item/1"))
    status, headers, body = web.response("HEAD")
    assert (status, headers["Content-Length"], body) == (200, "12", b"")
    assert web.response()[2] == b"1"


def test_head_of_a_stream_runs_no_more_than_its_beginning(app: App, stage: Stage, link: Links) -> None:
    web = link(app)
    web.send(b"HEAD /count/5 HTTP/1.1\r\nHost: x\r\n\r\n" + get("/item/1"))
    assert web.response("HEAD")[0] == 200
    assert web.response()[2] == b"1"
    assert 1 not in stage.log
    assert 0 not in stage.log or stage.log[-1] == "done"


def test_no_content(app: App, link: Links) -> None:
    web = link(app)
    web.send(b"DELETE /item/5 HTTP/1.1\r\nHost: x\r\n\r\n" + get("/item/1"))
    status, headers, body = web.response()
    assert (status, headers["Content-Length"], body) == (204, None, b"")
    assert web.response()[2] == b"1"


def test_fields_that_would_break_out_of_their_line_are_never_sent(app: App, link: Links) -> None:
    web = link(app)
    web.send(get("/bad-head") + get("/item/1"))
    status, headers, _ = web.response()
    assert (status, headers["Set-Cookie"]) == (500, None)
    assert web.response()[2] == b"1"


def test_a_streamed_answer_is_chunked_and_the_connection_goes_on(app: App, link: Links) -> None:
    web = link(app)
    web.send(get("/count/3") + get("/item/1"))
    status, headers, body = web.response()
    assert (status, headers["Transfer-Encoding"]) == (200, "chunked")
    assert body == b"".join(b"%06d\n" % at * 1000 for at in range(3))
    assert web.response()[2] == b"1"


def test_a_streamed_answer_to_http_1_0_ends_with_the_connection(app: App, link: Links) -> None:
    web = link(app)
    web.send(b"GET /count/3 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    status, headers, body = web.response()
    assert (status, headers["Transfer-Encoding"], len(body)) == (200, None, 21000)
    assert web.read_all() == b""


def test_a_slow_reader_holds_back_the_stream(make_echo: Make, link: Links) -> None:
    app = make_echo(web={"high_water": 50_000})
    stage = app.container.get(Stage)
    web = link(app)
    web.send(get("/count/1000"))
    wait_until(lambda: stage.log and not _moves(stage))
    assert len(stage.log) < 200  # 7000 bytes each: the high-water mark and what the sockets hold
    connection: Any
    (connection,) = app.doors.servers["web"].connections
    assert len(connection._outbox or b"") < 100_000
    status, _, body = web.response()
    assert (status, len(body)) == (200, 7_000_000)
    assert stage.log == [*range(1000), "done"]


def _moves(stage: Stage) -> bool:
    before = len(stage.log)
    green.sleep(0.05)
    return len(stage.log) != before


def test_a_reader_that_leaves_ends_the_stream(app: App, stage: Stage, link: Links) -> None:
    web = link(app)
    web.send(get("/count/100000"))
    assert web.read(1000)
    web.close()
    wait_until(lambda: "done" in stage.log)
    assert len(stage.log) < 1000


def test_a_stream_that_fails_is_cut_short(app: App) -> None:
    with HttpClient(app) as client:
        answer = client.stream("GET", "/broken")
        assert answer.status == 200
        with pytest.raises(ConnectionClosed):
            answer.read()


class _Body:
    """Parts, an error behind them, and an end that takes long."""

    def __init__(self, *parts: bytes, error: BaseException | None = None, stage: Stage | None = None) -> None:
        self._parts = iter(parts)
        self._error = error
        self._stage = stage

    def __iter__(self) -> _Body:
        return self

    def __next__(self) -> bytes:
        for part in self._parts:
            return part
        raise self._error or StopIteration

    def close(self) -> None:
        if self._stage is not None:
            self._stage.wait()


@pytest.mark.parametrize(("parts", "end"), [((), b""), ((b"one",), b"\r\n\r\n3\r\none\r\n")])
def test_a_stream_that_lost_another_connection_ends_its_own(app: App, link: Links, parts: tuple[bytes, ...], end: bytes) -> None:
    server: Any = app.doors.servers["web"]
    server.pipeline.mount("/stream", lambda request: Response(_Body(*parts, error=ConnectionClosed("another one"))))
    web = link(app)
    web.send(get("/stream") + get("/item/1"))
    answer = web.read_all()
    assert answer.endswith(end)
    assert answer.count(b"HTTP/1.1") == len(parts)


def test_a_handler_stopped_behind_its_answer_gives_no_second_one(make_echo: Make, link: Links) -> None:
    app = make_echo(web={"handler_time": 0.5})
    stage = app.container.get(Stage)
    server: Any = app.doors.servers["web"]
    server.pipeline.mount("/stream", lambda request: Response(_Body(b"one", stage=stage)))
    web = link(app)
    web.send(get("/stream") + get("/item/1"))
    answer = web.read_all()
    stage.gate.set()
    assert answer.endswith(b"\r\n\r\n3\r\none\r\n0\r\n\r\n")


def test_a_wish_for_another_protocol_is_not_answered_at_once(app: App, link: Links) -> None:
    """Whoever answers it has to go on with HTTP, which a handler does."""
    server: Any = app.doors.servers["web"]
    server.at_once["/live"] = lambda request: Response(b"ok")
    connection: Any = None
    plain, upgrade = Request("GET", "/live", "/live", "", ""), Request("GET", "/live", "/live", "", "")
    upgrade.upgrade = True
    assert not server.answer_at_once(connection, [upgrade])
    answered: list[Any] = []
    connection = SimpleNamespace(answer=lambda *what: answered.append(what))
    assert server.answer_at_once(connection, [plain])
    assert answered[0][0] is plain


# -- bodies --------------------------------------------------------------------------------------------------------


def test_a_body_is_read_while_it_arrives(app: App, stage: Stage, link: Links) -> None:
    web = link(app)
    web.send(b"POST /sizes HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    wait_until(lambda: stage.log == ["reading"])
    stage.gate.set()
    web.send(b"5\r\ndefgh\r\n")
    web.send(b"0\r\n\r\n" + get("/item/1"))
    assert web.response()[2] == b"[8]"
    assert web.response()[2] == b"1"


def test_a_large_body_waits_in_the_socket_until_it_is_read(app: App, stage: Stage, link: Links) -> None:
    web = link(app, timeout=10)
    size = 8_000_000
    sender = green.spawn(web.send, post("/sizes", b"x" * size))
    wait_until(lambda: stage.log == ["reading"])
    connection: Any
    (connection,) = app.doors.servers["web"].connections
    wait_until(lambda: not connection._read_on)
    assert not sender.dead
    stage.gate.set()
    assert web.response()[2] == b"[%d]" % size
    assert sender.get() is None


def test_continue_is_sent_when_the_body_is_wanted(app: App, stage: Stage, link: Links) -> None:
    web = link(app)
    web.send(b"POST /sizes HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
    wait_until(lambda: stage.log == ["reading"])
    stage.gate.set()
    assert web.line() == b"HTTP/1.1 100 Continue\r\n"
    assert web.line() == b"\r\n"
    web.send(b"abc")
    assert web.response()[2] == b"[3]"


def test_continue_is_not_sent_when_the_body_is_not_wanted(app: App, link: Links) -> None:
    web = link(app)
    web.send(b"POST /ignore HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
    status, headers, body = web.response()
    assert (status, headers["Connection"], body) == (200, "close", b"not read")
    assert web.read_all() == b""


def test_a_body_that_nobody_reads_is_not_the_next_request(app: App, stage: Stage, link: Links) -> None:
    web = link(app)
    web.send(post("/ignore", b"DELETE /item/7 HTTP/1.1\r\nHost: x\r\n\r\n") + get("/item/1"))
    assert web.response()[2] == b"not read"
    assert web.response()[2] == b"1"
    assert stage.log == []


def test_a_client_that_leaves_in_the_middle_of_a_body(app: App, stage: Stage, link: Links) -> None:
    stage.gate.set()
    web = link(app)
    web.send(b"POST /sizes HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + b"x" * 90000)
    wait_until(lambda: stage.log == ["reading"])
    web.close()
    wait_until(lambda: not app.doors.runtime.handlers.busy)
    wait_until(lambda: not app.doors.servers["web"].connections)
    assert stage.log == ["reading"]


def test_a_malformed_body_is_refused_in_the_middle(app: App, stage: Stage, link: Links) -> None:
    web = link(app)
    web.send(b"POST /sizes HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    wait_until(lambda: stage.log == ["reading"])
    stage.gate.set()
    web.send(b"zzz\r\n")
    status, headers, _ = web.response()
    assert (status, headers["Connection"]) == (400, "close")
    assert web.read_all() == b""


# -- refusals ------------------------------------------------------------------------------------------------------


def test_a_413_can_be_read_while_the_client_still_sends(make_echo: Make, link: Links) -> None:
    app = make_echo(web={"max_body": 1000})
    web = link(app)
    web.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n")
    for _ in range(5):
        web.send(b"x" * 100_000)
    status, headers, _ = web.response()
    assert (status, headers["Connection"]) == (413, "close")
    assert web.read_all() == b""


def test_a_client_that_sends_for_ever_is_not_read_for_ever(make_echo: Make, link: Links) -> None:
    app = make_echo(web={"max_body": 1000})
    web = link(app)
    web.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n")
    with pytest.raises(ConnectionError):
        web.send(b"x" * 5_000_000)
    assert not app.doors.servers["web"].connections


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /\r\n\r\n", 400),
        (b"NONSENSE / HTTP/1.1\r\nHost: x\r\n\r\n", 501),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", 505),
        (get("/" + "x" * 9000), 414),
        (get("/", "X: " + "x" * 40000), 431),
        (post("/echo", b"x", "Expect: miracles"), 417),
    ],
)
def test_a_broken_request_is_answered_after_those_before_it(app: App, link: Links, data: bytes, status: int) -> None:
    web = link(app)
    web.send(get("/item/1") + data)
    assert web.response()[2] == b"1"
    found, headers, _ = web.response()
    assert (found, headers["Connection"]) == (status, "close")
    assert web.read_all() == b""


def test_a_stopped_handler_is_answered_503_and_others_live(app: App, stage: Stage, link: Links) -> None:
    first, second = link(app), link(app)
    first.send(get("/wait"))
    wait_until(lambda: stage.waiting == 1)
    _kill_waiting(stage)
    status, headers, _ = first.response()
    assert (status, headers["Connection"]) == (503, "close")
    second.send(get("/item/1"))
    assert second.response()[2] == b"1"


def _kill_waiting(stage: Stage) -> None:
    """Stop the handler that stands at the gate from outside, as a time limit would."""

    def stands_at_the_gate(found: Any) -> bool:
        frame = found.gr_frame if type(found) is greenlet and not found.dead else None
        while frame is not None and frame.f_code is not Stage.wait.__code__:
            frame = frame.f_back
        return frame is not None

    (handler,) = [found for found in gc.get_objects() if stands_at_the_gate(found)]
    get_hub().loop.run_callback(handler.throw, GreenletExit)
    wait_until(lambda: not stage.waiting)


def test_idle_connections_are_closed_and_working_ones_are_not(app: App, stage: Stage, link: Links) -> None:
    idle, working = link(app), link(app)
    working.send(get("/wait"))
    wait_until(lambda: stage.waiting)
    server = app.doors.servers["web"]
    server.sweep(app.doors.runtime.now + 1000)
    assert idle.read_all() == b""
    stage.gate.set()
    assert working.response()[2] == b"waited"


def test_the_server_stops_with_everything_sent(app: App, link: Links) -> None:
    web = link(app)
    web.send(get("/item/1"))
    assert web.response()[2] == b"1"
    app.stop()
    assert web.read_all() == b""
