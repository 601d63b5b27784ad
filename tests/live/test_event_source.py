"""Event streams as a browser's EventSource hears them."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from greenimi import Request, Response, bean, get, http, view
from greenimi.testing.plugin import Serve
from greenimi.testing.support import wait_until
from greenimi.web.sse import Event, EventStream, last_event_id
from tests.browser import opened_browser

pytestmark = pytest.mark.live

PAGE = """
<title>news</title>
<link rel="icon" href="data:,">
<script>
  const heard = [];
  const source = new EventSource("/news");
  source.onopen = () => heard.push(["open"]);
  source.onmessage = event => heard.push([event.type, event.data, event.lastEventId]);
  source.addEventListener("sold", event => heard.push([event.type, JSON.parse(event.data).sku, event.lastEventId]));
</script>
"""


@bean
@dataclass
class Board:
    news: queue.Queue[Any] = field(default_factory=queue.Queue)
    asked: list[str] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)


@http
@dataclass
class Paper:
    board: Board

    @get("/")
    @view("html")
    def page(self) -> str:
        return PAGE

    @get("/news")
    def news(self, request: Request) -> Response:
        self.board.asked.append(last_event_id(request))
        return EventStream(self._told(), retry=0.05)

    def _told(self) -> Iterator[Any]:
        try:
            while (news := self.board.news.get()) is not None:
                yield news
        finally:
            self.board.ends.append("ended")


@pytest.mark.parametrize("compression", [False, True])
def test_a_browser_hears_events_comes_back_and_leaves(serve: Serve, tmp_path: Path, compression: bool) -> None:
    web = {"kind": "http", "compression": {"enabled": compression}}
    app, addresses = serve([Board, Paper], {"servers": {"web": web}})
    board = app.container.get(Board)
    host, port = addresses["web"]
    with opened_browser(tmp_path) as page:
        page.open(f"http://{host}:{port}/")
        page.wait("heard.length == 1")
        board.news.put("two\nlines")
        page.wait("heard.length == 2")  # each as it is told, before there is another one
        board.news.put(Event({"sku": "tëa"}, event="sold", id="7"))
        page.wait("heard.length == 3")
        assert page.evaluate("heard") == [["open"], ["message", "two\nlines", ""], ["sold", "tëa", "7"]]
        board.news.put(None)  # the stream ends: the browser asks again
        wait_until(lambda: board.asked == ["", "7"])
        board.news.put("again")
        page.wait("heard.length == 5")
        assert page.evaluate("heard.slice(3)") == [["open"], ["message", "again", "7"]]
        assert board.ends == ["ended"]
        page.evaluate("source.close()")
        wait_until(lambda: board.ends == ["ended", "ended"])
        assert not page.problems
