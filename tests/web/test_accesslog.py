"""A line for each request."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from greenimi import Identity, Request, bean, get, http
from greenimi.app import App
from greenimi.container.context import Scope
from greenimi.container.registry import Container
from greenimi.errors import ConfigError
from greenimi.message import Response, Upgrade
from greenimi.testing.clients import HttpClient
from greenimi.testing.plugin import AppFactory
from greenimi.testing.support import wait_until
from greenimi.web.accesslog import AccessLog, masked
from greenimi.web.files import FileBody
from greenimi.web.settings import AccessLogSettings
from tests.web.sent import request


@bean
class Gate:
    def __init__(self) -> None:
        self.event = Event()


@http
class Pages:
    def __init__(self, gate: Gate) -> None:
        self.gate = gate

    @get("/page")
    def page(self, request: Request) -> str:
        request.identity = Identity("ann ŵ")
        return "süß"

    @get("/broken")
    def broken(self) -> None:
        raise RuntimeError

    @get("/parts")
    def parts(self) -> Iterator[str]:
        yield "süß"
        self.gate.event.wait()
        yield "end"

    @get("/nothing")
    def nothing(self) -> None: ...

    @get("/stopped")
    def stopped(self) -> None:
        raise SystemExit

    @get("/bytes")
    def bytes(self) -> bytes:
        return b"12345"


def make(app_factory: AppFactory, **settings: Any) -> App:
    settings.setdefault("format", "common")
    return app_factory([Gate, Pages], {"servers": {"web": {"kind": "http", "access_log": settings, "request_id": {"enabled": True}}}})


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "greenimi.access"]


@pytest.fixture(autouse=True)
def _all_records(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "greenimi.access")


def test_the_common_format(app_factory: AppFactory, caplog: pytest.LogCaptureFixture) -> None:
    with HttpClient(make(app_factory)) as web:
        web.get("/page?a=b")
    (line,) = lines(caplog)
    moment = r"\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}"
    assert re.fullmatch(rf'127\.0\.0\.1 - ann\\x20\\u0175 \[{moment}\] "GET /page\?a=b HTTP/1\.1" 200 5 \d+\.\d{{6}}', line)


def test_the_combined_format(app_factory: AppFactory, caplog: pytest.LogCaptureFixture) -> None:
    with HttpClient(make(app_factory, format="combined")) as web:
        web.get("/bytes", headers={"User-Agent": 'a "quoted\\" ü\tone', "Referer": "https://u:p@shop.example/?token=x"})
        web.get("/nothing")
    first, second = lines(caplog)
    assert "- - [" in first
    assert ' 200 5 "https://***@shop.example/?token=***" "a \\x22quoted\\x5c\\x22 \\xfc\\x09one" ' in first
    assert ' 204 0 "-" "-" ' in second


def test_json(app_factory: AppFactory, caplog: pytest.LogCaptureFixture) -> None:
    with HttpClient(make(app_factory, format="json")) as web:
        found = web.get("/page")
    (line,) = lines(caplog)
    fields = json.loads(line)
    assert fields.pop("seconds") >= 0
    assert fields.pop("time") > 1_600_000_000
    assert fields == {
        "client": "127.0.0.1",
        "identity": "ann ŵ",
        "method": "GET",
        "target": "/page",
        "version": "1.1",
        "status": 200,
        "bytes": 5,
        "id": found.headers["x-request-id"],
    }


def test_a_line_is_written_when_the_body_is_out(app_factory: AppFactory, caplog: pytest.LogCaptureFixture) -> None:
    app = make(app_factory)
    with HttpClient(app) as web:
        stream = iter(web.stream("GET", "/parts"))
        assert next(stream).decode() == "süß"
        assert lines(caplog) == []
        app.container.get(Gate).event.set()
        assert b"".join(stream) == b"end"
    wait_until(lambda: bool(lines(caplog)))
    assert " 200 8 " in lines(caplog)[0]


def test_errors_and_requests_that_nothing_takes(app_factory: AppFactory, caplog: pytest.LogCaptureFixture) -> None:
    with HttpClient(make(app_factory)) as web:
        for path in ("/broken", "/nowhere"):
            web.get(path)
        web.request("HEAD", "/page")
        web.get("/stopped")
    wait_until(lambda: len(lines(caplog)) == 4)
    statuses = [re.findall(r'" (\d+) (\d+) ', line)[0] for line in lines(caplog)]
    assert [status for status, _ in statuses] == ["500", "404", "200", "503"]
    assert [size == "0" for _, size in statuses] == [False, False, True, True]


def test_bodies_that_others_send(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    layer = AccessLog(AccessLogSettings(format="common"))
    (tmp_path / "file").write_bytes(b"1234567")
    file = FileBody(os.open(tmp_path / "file", os.O_RDONLY))
    own = Upgrade(lambda response, connection: None, [("Content-Length", "17")])
    switching = Upgrade(lambda response, connection: None, [("Upgrade", "websocket")])

    def size_of(response: Response) -> int:
        """The last number but one of its line."""
        asked = request()
        with Scope(Container("app"), asked.connection, asked):
            assert layer(asked, lambda request: response) is response
        return int(lines(caplog)[-1].split(" ")[-2])

    assert [size_of(response) for response in (Response(file), own, switching)] == [7, 17, 0]


def test_a_file(app_factory: AppFactory, tmp_path: Path) -> None:
    path = tmp_path / "logs" / "access.log"
    app = make(app_factory, path=str(path), format="json")
    with HttpClient(app) as web:
        for _ in range(3):
            web.get("/bytes")
    app.stop()  # writes what waits
    assert [json.loads(line)["bytes"] for line in path.read_text().splitlines()] == [5, 5, 5]


def test_a_file_that_cannot_be_written(app_factory: AppFactory, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="access_log"):
        make(app_factory, path=str(tmp_path))


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("/a?b=c", "/a?b=c"),
        ("/a?token=x&b=c", "/a?token=***&b=c"),
        ("/a?b=c&access_token=x;Password=y#z", "/a?b=c&access_token=***;Password=***#z"),
        ("/a?%74oken=x", "/a?%74oken=***"),
        ("/a?api_key=x&key=y&monkey=z", "/a?api_key=***&key=***&monkey=z"),
        ("/a?token=", "/a?token="),
        ("/a?to=http://u:p@host/", "/a?to=http://***@host/"),
        ("/a=b@c", "/a=b@c"),
    ],
)
def test_secrets_are_masked(target: str, shown: str) -> None:
    assert masked(target) == shown


@pytest.mark.parametrize("marks", ["?", "&", ";", "?a", "&a", "://"])
def test_masking_takes_no_longer_for_what_is_made_to_take_long(marks: str) -> None:
    """Each mark that was searched to the end of the text would make it minutes."""
    text = f"/?a={marks * 300_000}"
    assert masked(f"{text}&token=x") == f"{text}&token=***"
