"""Bodies compressed on their way out and decompressed on their way in."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import brotli
import pytest

from greenimi import Body, Request, Response, get, green, http, post
from greenimi.app import App
from greenimi.errors import BadMessage, Refusal, TooLarge
from greenimi.testing.clients import HttpClient
from greenimi.testing.plugin import AppFactory
from greenimi.web.compression import CompressionLayer, DecompressionLayer, GzipBody
from greenimi.web.downloads import FileResponse
from greenimi.web.settings import CompressionSettings
from greenimi.web.sse import Event, EventStream
from tests.web.asking import asking

TEXT = "to be, or not to be; " * 200


def through(response: Response, *, accept_encoding: str = "gzip", method: str = "GET", **settings: Any) -> Response:
    layer = CompressionLayer(CompressionSettings(enabled=True, **settings))
    return layer(asking(method=method, accept_encoding=accept_encoding), lambda request: response)


def fields(response: Response) -> dict[str, str]:
    assert len({name.lower() for name, _ in response.headers}) == len(response.headers)
    return {name.lower(): value for name, value in response.headers}


def test_a_body_in_the_best_coding() -> None:
    found = through(Response(TEXT, headers=[("ETag", '"v"'), ("X-Own", "1")]))
    assert isinstance(found.body, bytes)
    assert gzip.decompress(found.body).decode() == TEXT
    assert fields(found) == {"etag": 'W/"v"', "x-own": "1", "content-encoding": "gzip", "vary": "Accept-Encoding"}
    found = through(Response(TEXT), accept_encoding="gzip;q=0.5, br")
    assert isinstance(found.body, bytes)
    assert (fields(found)["content-encoding"], brotli.decompress(found.body).decode()) == ("br", TEXT)


@pytest.mark.parametrize(
    "response",
    [
        Response("short"),
        Response(TEXT, 204),
        Response(TEXT, 206, "image/png"),
        Response(TEXT, content_type="image/png"),
        Response(TEXT, content_type=""),
        Response(TEXT, headers=[("Content-Encoding", "gzip")]),
        Response(TEXT, headers=[("Cache-Control", "max-age=5, No-Transform")]),
        Response(TEXT, headers=[("Content-Range", "bytes 0-1/2")]),
        Response(TEXT, headers=[("Repr-Digest", "sha-256=:x:")]),
    ],
)
def test_what_is_left_as_it_is(response: Response) -> None:
    assert through(response) is response
    assert "vary" not in fields(response)


@pytest.mark.parametrize("accepts", ["", "identity", "gzip;q=0", "deflate"])
def test_a_client_that_takes_none_learns_that_it_depends(accepts: str) -> None:
    found = through(Response(TEXT, headers=[("Vary", "Cookie")]), accept_encoding=accepts)
    assert (found.body, fields(found)) == (TEXT, {"vary": "Cookie, Accept-Encoding"})


@pytest.mark.parametrize("vary", ["Accept-Encoding", "accept-encoding, Cookie", "*"])
def test_vary_is_said_once(vary: str) -> None:
    for accepts in ("gzip", "identity"):
        assert fields(through(Response(TEXT, headers=[("Vary", vary)]), accept_encoding=accepts))["vary"] == vary
    assert fields(through(Response(b"", 304, "", [("ETag", '"v"')]))) == {"etag": '"v"', "vary": "Accept-Encoding"}
    for kind in ("text/plain", "multipart/byteranges; boundary=x"):
        found = through(Response(TEXT, 206, kind))
        assert (found.body, fields(found)) == (TEXT, {"vary": "Accept-Encoding"})


@pytest.mark.parametrize("kind", ["application/json", "application/problem+json", "text/html; charset=utf-8", "IMAGE/SVG+XML"])
def test_types_that_are_compressed(kind: str) -> None:
    assert fields(through(Response(TEXT, content_type=kind)))["content-encoding"] == "gzip"
    assert "content-encoding" not in fields(through(Response(TEXT, content_type=kind), types=["application/x-own"]))
    assert "content-encoding" not in fields(through(Response(TEXT, content_type=kind), types=[]))


def test_a_response_that_is_kept_for_all_requests_stays_what_it_is() -> None:
    kept = Response(TEXT)
    through(kept)
    assert (kept.body, kept.headers) == (TEXT, ())


def test_a_large_body_lets_others_run() -> None:
    others: list[int] = []

    def other() -> None:
        for at in range(3):
            others.append(at)
            green.sleep(0)

    greenlet = green.spawn(other)
    found = through(Response(os.urandom(400_000).hex()))
    assert isinstance(found.body, bytes)
    assert len(gzip.decompress(found.body)) == 800_000
    assert len(others) == 3
    greenlet.join()


def test_parts_leave_one_by_one() -> None:
    closed = []

    def parts() -> Iterator[str | bytes]:
        try:
            yield "one"
            yield b""
            yield b"two"
        finally:
            closed.append(1)

    found = through(Response(parts(), headers=[("Content-Length", "6"), ("Accept-Ranges", "bytes")]))
    assert fields(found) == {"content-encoding": "gzip", "vary": "Accept-Encoding"}
    body: Any = found.body
    unpack = zlib.decompressobj(wbits=31)
    assert unpack.decompress(next(body)) == b"one"
    assert unpack.decompress(next(body)) == b"two"
    assert unpack.decompress(next(body)) == b""
    assert unpack.eof
    assert list(body) == []
    body.close()
    assert closed == [1]


def test_closing_ends_the_maker() -> None:
    closed = []

    def parts() -> Iterator[str]:
        try:
            yield "one"
        finally:
            closed.append(1)

    body: Any = through(Response(parts())).body
    next(body)
    body.close()
    assert closed == [1]


def test_events_and_what_is_said_between_them() -> None:
    stream = EventStream(iter([Event("a")]), retry=2, heartbeat=3)
    body: Any = through(stream).body
    assert body.heartbeat == 3
    unpack = zlib.decompressobj(wbits=31)
    assert unpack.decompress(next(body)) == b"retry: 2000\n\n"
    assert unpack.decompress(body.beat()) == b":\n\n"
    assert unpack.decompress(next(body)) == b"data: a\n\n"
    assert unpack.decompress(body.goodbye()) == b""
    assert unpack.eof
    assert list(body) == []


# -- over the wire -------------------------------------------------------------------------------------------------
@http
class Texts:
    folder = Path()

    @get("/text")
    def text(self) -> str:
        return TEXT

    @get("/file")
    def file(self) -> Response:
        return FileResponse(self.folder / "file.txt")

    @get("/bad")
    def bad(self) -> None:
        raise Refusal(TEXT, status=418)

    @post("/echo")
    def echo(self, payload: Any, request: Request) -> list[Any]:
        return [payload, "content-encoding" in request.headers]

    @post("/count")
    def count(self, body: Body) -> int:
        return sum(map(len, body))


def make(app_factory: AppFactory, **web: Any) -> App:
    return app_factory([Texts], {"servers": {"web": {"kind": "http", **web}}})


def test_answers_over_the_wire(app_factory: AppFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Texts, "folder", tmp_path)
    (tmp_path / "file.txt").write_text(TEXT * 50)
    accepts = {"Accept-Encoding": "gzip"}
    with HttpClient(make(app_factory, compression={"enabled": True}, etag=True)) as client:
        first = client.get("/text", headers=accepts)
        assert gzip.decompress(first.body).decode() == TEXT
        assert first.headers["content-length"] == str(len(first.body))
        assert first.headers["etag"].startswith('W/"')
        again = client.get("/text", headers={**accepts, "If-None-Match": first.headers["etag"]})
        assert (again.status, again.headers["etag"], again.headers["vary"]) == (304, first.headers["etag"], "Accept-Encoding")
        assert client.get("/text").text == TEXT
        head = client.request("HEAD", "/text", headers=accepts)
        assert (head.headers["content-encoding"], head.headers["content-length"]) == ("gzip", str(len(first.body)))
        found = client.get("/file", headers=accepts)
        assert gzip.decompress(found.body).decode() == TEXT * 50
        assert "content-length" not in found.headers
        found = client.get("/file", headers={**accepts, "Range": "bytes=0-4"})
        assert (found.status, found.text) == (206, TEXT[:5])
        assert "content-length" not in client.request("HEAD", "/file", headers=accepts).headers
        found = client.get("/bad", headers=accepts)
        assert (found.status, found.headers["content-encoding"]) == (418, "gzip")


def test_nothing_is_compressed_unless_conf_says_so(app_factory: AppFactory) -> None:
    with HttpClient(make(app_factory)) as client:
        assert client.get("/text", headers={"Accept-Encoding": "gzip"}).text == TEXT


# -- requests ------------------------------------------------------------------------------------------------------
def unpacked(packed: bytes, *, pieces: int = 1 << 20, limit: int = 1 << 24, ratio: int = 100) -> bytes:
    inner = Body()
    for at in range(0, len(packed), pieces):
        inner.feed(packed[at : at + pieces])
    inner.finish()
    body = GzipBody(inner, limit, ratio)
    if pieces < len(packed):  # as they arrive
        chunks = [packed[at : at + pieces] for at in range(0, len(packed), pieces)]
        inner.chunks.clear()
        inner.finished = False
        inner.received = 0

        def pull() -> None:
            if chunks:
                inner.feed(chunks.pop(0))
            else:
                inner.finish()

        inner.pull = pull
    found = body.read()
    assert body.finished
    return found


@pytest.mark.parametrize("data", [b"", b"x", b"hello" * 1000, os.urandom(200_000), bytes(500_000)])
@pytest.mark.parametrize("pieces", [1 << 20, 7])
def test_gzip_bodies(data: bytes, pieces: int) -> None:
    assert unpacked(gzip.compress(data), pieces=pieces, ratio=2000) == data


@pytest.mark.parametrize(
    "packed",
    [
        b"this is no gzip",
        gzip.compress(b"x" * 1000)[:-1],
        gzip.compress(b"x")[:5],
        gzip.compress(b"x") + b"more",
        gzip.compress(b"x") + gzip.compress(b"y"),
        gzip.compress(b"hello" * 100)[:-4] + b"\0\0\0\0",
        zlib.compress(b"x"),
    ],
)
@pytest.mark.parametrize("pieces", [1 << 20, 3])
def test_what_is_no_gzip(packed: bytes, pieces: int) -> None:
    with pytest.raises(BadMessage):
        unpacked(packed, pieces=pieces)


def test_bombs_are_found_out_early() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    body = GzipBody(fed(bomb), 1 << 30, 100)
    with pytest.raises(TooLarge, match="over 100 times"):
        body.read()
    assert body.received <= 100 * len(bomb) + (2 << 16)
    with pytest.raises(TooLarge):
        unpacked(gzip.compress(b"x" * 1001), limit=1000)
    assert unpacked(gzip.compress(b"x" * 1000), limit=1000) == b"x" * 1000


def test_what_a_route_takes_counts_for_what_comes_out() -> None:
    body = GzipBody(fed(gzip.compress(b"x" * 1001)), 1 << 20, 100)
    body.most = 1000
    with pytest.raises(TooLarge, match="over 1000 bytes"):
        body.read()


def fed(data: bytes) -> Body:
    body = Body()
    body.feed(data)
    body.finish()
    return body


def test_a_layer_without_work() -> None:
    layer = DecompressionLayer(100, 10)
    plain = asking("/", "POST", b"x")
    assert layer(plain, lambda request: request.stream) is plain.stream
    assert layer(asking(content_encoding="gzip"), lambda request: "no body") == "no body"
    with pytest.raises(Refusal) as caught:
        layer(asking("/", "POST", b"x", content_encoding="br"), lambda request: None)
    assert (caught.value.status, caught.value.headers) == (415, (("Accept-Encoding", "gzip"),))


@pytest.fixture
def decompressing(app_factory: AppFactory) -> Iterator[Callable[..., Any]]:
    app = make(app_factory, compression={"requests": True}, max_body=1_000_000)
    with HttpClient(app) as client:
        yield lambda path, body, coding="gzip": client.post(
            path, body=body, headers={"Content-Encoding": coding, "Content-Type": "application/json"}
        )
        assert client.post("/echo", json=1).json() == [1, False]  # no worker was harmed


def test_requests_over_the_wire(decompressing: Callable[..., Any]) -> None:
    assert decompressing("/echo", gzip.compress(b'{"a": 1}')).json() == [{"a": 1}, False]
    text = os.urandom(50_000).hex()
    assert decompressing("/echo", iter([gzip.compress(f'"{text}"'.encode())])).json() == [text, False]
    assert decompressing("/echo", b'{"a": 1}', "identity").json() == [{"a": 1}, True]
    assert decompressing("/count", gzip.compress(os.urandom(500_000))).json() == 500_000


@pytest.mark.parametrize(
    ("body", "coding", "status"),
    [
        (b'{"a": 1}', "gzip", 400),
        (gzip.compress(b"{}")[:-1], "gzip", 400),
        (gzip.compress(bytes(100_000_000)), "gzip", 413),
        (gzip.compress(b"1" * 1_000_001), "gzip", 413),
        (b"x", "br", 415),
        (b"x", "gzip, gzip", 415),
    ],
)
def test_bad_requests_over_the_wire(decompressing: Callable[..., Any], body: bytes, coding: str, status: int) -> None:
    for path in ("/echo", "/count"):
        assert decompressing(path, body, coding).status == status


def test_bodies_are_handed_on_as_they_are_unless_conf_says_otherwise(app_factory: AppFactory) -> None:
    packed = gzip.compress(b"x" * 1000)
    with HttpClient(make(app_factory)) as client:
        assert client.post("/count", body=packed, headers={"Content-Encoding": "gzip"}).json() == len(packed)
        found = client.post("/echo", body=packed, headers={"Content-Encoding": "gzip", "Content-Type": "application/json"})
        assert (found.status, found.headers["accept-encoding"]) == (415, "identity")
