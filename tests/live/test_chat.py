"""examples/chat under ``greenimi serve`` with two workers: pages in a browser and clients in Python, through a restart."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from greenimi import green
from greenimi.errors import ConnectionClosed
from greenimi.testing.clients import HttpClient, WebSocketClient
from greenimi.testing.gunicorn import Gunicorn
from greenimi.testing.resuming import ResumingClient
from greenimi.testing.support import wait_until
from tests.browser import Page, opened_browser

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Gunicorn]:
    conf = pytestconfig.rootpath / "examples/chat/conf"
    log = tmp_path_factory.mktemp("chat") / "log"
    settings = {"workers.drain_window": "1"}
    served = Gunicorn(conf / "gunicorn.conf.py", conf / "app.toml", 2, settings, log, ("-m", "greenimi", "serve"))  # started in its folder
    try:
        served.start()
        yield served
    finally:
        served.stop()


class Member:
    """A client in Python that talks in a room."""

    def __init__(self, chat: Gunicorn, room: str, name: str) -> None:
        self.client = ResumingClient(lambda: WebSocketClient(chat.addresses["web"], "/chat"))
        self.name = name
        self.found: dict[str, Any] = self.client.wait_open().call("enter", room=room, name=name)

    @property
    def heard(self) -> list[str]:
        return [each.data["text"] for each in self.client.heard if each.event == "said"]

    def say(self, text: str) -> bool:
        """False when nobody knows whether it was said: the connection was lost before the answer."""
        try:
            self.client.wait_open().call("say", text=text)
        except ConnectionClosed:
            return False
        return True


def enter(page: Page, chat: Gunicorn, room: str, name: str) -> None:
    page.open("http://{}:{}/".format(*chat.addresses["web"]))
    page.evaluate(f"Object.assign($('door').elements.name, {{value: {name!r}}}); $('door').elements.room.value = {room!r}")
    page.evaluate("$('door').requestSubmit()")
    page.wait("$('state').textContent == 'connected'")


def say(page: Page, text: str) -> None:
    page.evaluate(f"$('say').elements.text.value = {text!r}; $('say').requestSubmit()")
    page.wait("!$('say').elements.text.value")


def lines(page: Page) -> list[str]:
    found: list[str] = page.evaluate("[...$('said').children].map(line => line.firstChild.textContent + line.childNodes[1].textContent)")
    return found


def here(page: Page) -> list[str]:
    found: list[str] = page.evaluate("[...$('here').children].map(line => line.textContent)")
    return sorted(found)


@pytest.fixture
def pages(tmp_path: Path) -> Iterator[tuple[Page, Page]]:
    with ExitStack() as browsers:
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
        yield browsers.enter_context(opened_browser(tmp_path / "one")), browsers.enter_context(opened_browser(tmp_path / "two"))


def test_pages_talk_are_loaded_anew_and_survive_a_restart(chat: Gunicorn, pages: tuple[Page, Page]) -> None:
    one, two = pages
    enter(one, chat, "kitchen", "Ada")
    say(one, "anybody there?")
    enter(two, chat, "kitchen", "Bob")
    wait_until(lambda: here(one) == here(two) == ["Ada", "Bob"])
    assert lines(two) == ["Ada anybody there?"]
    two.evaluate("$('say').elements.text.value = 'y'; $('say').dispatchEvent(new Event('input'))")
    one.wait("$('typing').textContent == 'Bob is typing'")
    say(two, "yes <b>me</b>")
    wait_until(lambda: lines(one) == lines(two) == ["Ada anybody there?", "Bob yes <b>me</b>"])
    one.wait("!$('typing').textContent")

    number = one.evaluate("client.id")
    one.open("http://{}:{}/".format(*chat.addresses["web"]))  # as it is loaded anew
    one.wait("$('state').textContent == 'connected'")
    assert one.evaluate("client.id") != number
    before_that = lines(two)
    assert (lines(one), here(one), here(two)) == (before_that, ["Ada", "Bob"], ["Ada", "Bob"])

    talker = Member(chat, "kitchen", "Eve")
    before = chat.ready
    chat.signal(signal.SIGHUP)
    texts: list[str] = []
    sure: list[str] = []
    while len(talker.client.absences) < 1 or len(chat.ready) < 2 or set(chat.ready) & set(before):
        texts.append(f"during the restart {len(texts)}")
        if talker.say(texts[-1]):
            sure.append(texts[-1])
        green.sleep(0.01)
    assert talker.say("over")
    for page in pages:
        page.wait("$('said').lastChild.childNodes[1].textContent == ' over'", 20)
    wait_until(lambda: talker.heard[-1] == "over")
    talker.client.close()
    heard = talker.heard
    assert len(set(heard)) == len(heard)  # nothing twice
    assert [text for text in heard if text in sure] == sure  # nothing lost, and in order
    assert set(heard) <= {*texts, "over"}
    assert lines(one) == lines(two) == [*before_that, *(f"Eve {text}" for text in heard)]
    assert all(absence.restored and absence.seconds is not None and absence.seconds < 5 for absence in talker.client.absences)
    wait_until(lambda: here(one) == here(two) == ["Ada", "Bob"])  # who says goodbye is gone at once
    assert one.problems == two.problems == []


def test_its_files_are_served_safely(chat: Gunicorn) -> None:
    with HttpClient(chat.addresses["web"]) as client:
        script = client.get("/greenimi.js")
        assert (script.status, script.headers["content-type"]) == (200, "text/javascript; charset=utf-8")
        assert client.get("/greenimi.js", headers={"If-None-Match": script.headers["etag"]}).status == 304
        assert "default-src 'self'" in client.get("/").headers["content-security-policy"]
