"""Sessions of a whole application: cookies as conf says, written whatever becomes of the request."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from greenimi import Request, Response, get, http, post
from greenimi.errors import ConfigError, MissingBean, Refused, StartError
from greenimi.located import Told
from greenimi.testing.clients import HttpClient, TestResponse
from greenimi.testing.plugin import AppFactory
from greenimi.web import session_layer
from greenimi.web.session import Session
from greenimi.web.session_layer import SessionLayer
from greenimi.web.session_stores import MemoryStore
from greenimi.web.settings import SessionSettings

SHARED = Response("the same for all")


@http
class Shop:
    @get("/count")
    def count(self, session: Session) -> dict[str, Any]:
        session.set("n", session.get("n", 0) + 1)
        return {"n": session.get("n")}

    @get("/look")
    def look(self, session: Session) -> Any:
        return {"n": session.get("n"), "new": session.is_new}

    @get("/idle")
    def idle(self) -> str:
        return "nothing"

    @get("/shared")
    def shared(self, session: Session) -> Response:
        session.set("n", 1)
        return SHARED

    @get("/fail")
    def fail(self, session: Session, how: str) -> None:
        session.set("failed", how)
        if how == "refused":
            raise Refused("no")
        if how == "unwritable":
            session.set("list", [])
            session.get("list").append(object())
        if how in ("broken", "unwritable"):
            raise RuntimeError("broken")

    @get("/unwritable")
    def unwritable(self, session: Session) -> str:
        session.set("list", [])
        session.get("list").append(object())
        return "never sent"

    @get("/failed")
    def failed(self, session: Session) -> Any:
        return session.get("failed")

    @post("/login")
    def login(self, session: Session) -> None:
        session.regenerate()
        session.set("user", "ann")

    @post("/logout")
    def logout(self, session: Session) -> None:
        session.destroy()

    @get("/parts")
    def parts(self, session: Session) -> Iterator[str]:
        session.set("n", 5)

        def body() -> Iterator[str]:
            yield "a"
            session.set("n", 6)

        return body()


class Browser:
    """Keeps the cookies it is given."""

    def __init__(self, client: HttpClient) -> None:
        self._client = client
        self.cookies: dict[str, str] = {}

    def request(self, method: str, path: str, **headers: str) -> TestResponse:
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        response = self._client.request(method, path, headers={"Sec-Fetch-Site": "same-origin", **headers})
        for line in response.headers.get_all("set-cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            if "Max-Age=0" in line:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
        return response

    def get(self, path: str, **headers: str) -> TestResponse:
        return self.request("GET", path, **headers)


Visit = Callable[..., Browser]


@pytest.fixture
def visit(app_factory: AppFactory) -> Iterator[Visit]:
    clients: list[HttpClient] = []

    def start(**settings: Any) -> Browser:
        app = app_factory([Shop], {"servers": {"web": {"kind": "http", "session": {"driver": "memory", **settings}}}})
        clients.append(HttpClient(app))
        return Browser(clients[-1])

    yield start
    for client in clients:
        client.close()


def another(browser: Browser) -> Browser:
    return Browser(browser._client)


def test_values_stay_from_one_request_to_the_next(visit: Visit) -> None:
    ann = visit()
    bob = another(ann)
    assert [ann.get("/count").json()["n"] for _ in range(3)] == [1, 2, 3]
    assert bob.get("/count").json()["n"] == 1
    assert ann.get("/look").json() == {"n": 3, "new": False}


def test_the_cookie_is_sent_when_the_session_is_new_and_changed(visit: Visit) -> None:
    browser = visit()
    assert "set-cookie" not in browser.get("/look").headers
    first = browser.get("/count")
    assert re.fullmatch(r"session=[A-Za-z0-9_-]{32}; Path=/; HttpOnly; SameSite=Lax", first.headers["set-cookie"])
    assert first.headers["cache-control"] == "private"
    assert first.headers["vary"] == "Cookie"
    again = browser.get("/count")
    assert "set-cookie" not in again.headers
    assert again.headers["vary"] == "Cookie"


def test_a_request_without_use_for_it_has_nothing_of_it(visit: Visit) -> None:
    response = visit().get("/idle")
    assert "vary" not in response.headers
    assert "set-cookie" not in response.headers


def test_the_cookie_is_as_conf_says(visit: Visit) -> None:
    settings = {"cookie": "__Secure-id", "secure": "always", "http_only": False, "same_site": "none", "path": "/", "domain": "shop.example"}
    browser = visit(**settings, persistent=True, lifetime=600.0, idle=0.0)
    line = browser.get("/count").headers["set-cookie"]
    assert re.fullmatch(r"__Secure-id=\S{32}; Max-Age=600; Domain=shop.example; Path=/; Secure; SameSite=None", line)
    gone = browser.request("POST", "/logout").headers["set-cookie"]
    assert gone.startswith("__Secure-id=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Domain=shop.example; Path=/; Secure")


@pytest.mark.parametrize(("secure", "scheme", "expected"), [("auto", "https", True), ("auto", "http", False), ("never", "https", False)])
def test_over_tls_the_cookie_stays_there(secure: Any, scheme: str, *, expected: bool) -> None:
    request = Request("GET", "/", "/", "", "GET / HTTP/1.1\r\n\r\n")
    request.told = Told("192.0.2.1", scheme)
    settings = SessionSettings(secure=secure)
    layer = SessionLayer(MemoryStore(settings), settings)
    layer(request, lambda request: request.extra["session"].set("a", 1))
    [cookie] = [value for name, value in request.extra["late fields"] if name == "Set-Cookie"]
    assert ("; Secure" in cookie) is expected


def test_a_login_changes_the_id_and_a_logout_ends_it(visit: Visit) -> None:
    browser = visit()
    browser.get("/count")
    old = dict(browser.cookies)
    browser.request("POST", "/login")
    assert browser.cookies != old
    assert browser.get("/look").json()["n"] == 1
    thief = another(browser)
    thief.cookies = old
    assert thief.get("/look").json() == {"n": None, "new": True}
    thief.cookies = logged_in = dict(browser.cookies)
    assert browser.request("POST", "/logout").status == 204
    assert browser.cookies == {}
    assert thief.get("/look").json()["new"] is True
    assert thief.cookies == logged_in


@pytest.mark.parametrize("chosen", ["x" * 32, "../../../tmp/x", "%00", '"', "a b"])
def test_an_id_that_the_client_chose_is_not_used(visit: Visit, chosen: str) -> None:
    browser = visit()
    browser.cookies = {"session": chosen}
    assert browser.get("/count").json() == {"n": 1}
    assert browser.cookies["session"] != chosen
    attacker = another(browser)
    attacker.cookies = {"session": chosen}
    assert attacker.get("/look").json()["new"] is True


@pytest.mark.parametrize(("how", "status"), [("refused", 403), ("broken", 500)])
def test_it_is_written_when_the_handler_fails(visit: Visit, how: str, status: int) -> None:
    browser = visit()
    response = browser.get(f"/fail?how={how}")
    assert response.status == status
    assert "set-cookie" in response.headers
    assert browser.get("/failed").text == how


def test_what_cannot_be_written_is_a_failure(visit: Visit, caplog: pytest.LogCaptureFixture) -> None:
    browser = visit()
    assert browser.get("/unwritable").status == 500
    assert browser.get("/fail?how=unwritable").status == 500
    assert "a session was not written" in caplog.text
    assert browser.cookies == {}


def test_a_response_of_all_gets_nobodys_cookie(visit: Visit) -> None:
    browser = visit()
    assert "set-cookie" in browser.get("/shared").headers
    assert SHARED.headers == ()
    assert "set-cookie" not in browser.get("/shared").headers


def test_what_a_body_changes_while_it_is_sent_is_lost(visit: Visit) -> None:
    browser = visit()
    assert browser.get("/parts").text == "a"
    assert browser.get("/look").json()["n"] == 5


def test_sessions_that_are_over_are_removed_now_and_then(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    collected: list[int] = []
    monkeypatch.setattr(MemoryStore, "collect", lambda store, limit: collected.append(limit))
    browser = visit(collect=0.25)
    for chance in (0.3, 0.24, 0.9):
        monkeypatch.setattr(session_layer, "random", lambda chance=chance: chance)
        browser.get("/look")
    assert collected == [100]


def test_files_outlive_the_application(visit: Visit, tmp_path: Path) -> None:
    settings = {"driver": "file", "folder": str(tmp_path / "sessions")}
    before = visit(**settings)
    before.get("/count")
    after = visit(**settings)
    after.cookies = before.cookies
    assert after.get("/count").json() == {"n": 2}
    known = before.cookies["session"]
    assert not any(known in str(path) or known.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


# -- what conf cannot say ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "error", "why"),
    [
        ({"same_site": "none", "secure": "never"}, ConfigError, "need Secure"),
        ({"cookie": "a b"}, ConfigError, "cannot be the name"),
        ({"cookie": "__Host-a", "path": "/x"}, ConfigError, "no domain, and the path /"),
        ({"cookie": "__Host-a", "secure": "never"}, ConfigError, "must be secure"),
        ({"cookie": "__Host-a"}, ConfigError, "must be secure"),
        ({"same_site": "none"}, ConfigError, "need Secure"),
        ({"lifetime": 0.0}, ConfigError, "lifetime"),
        ({"idle": -1.0}, ConfigError, "idle"),
        ({"secure": "sometimes"}, ConfigError, "secure"),
        ({"driver": "file"}, ConfigError, "needs a folder"),
        ({"driver": "fiel"}, MissingBean, "fiel"),
    ],
)
def test_mistakes_are_found_at_start(visit: Visit, settings: dict[str, Any], error: type[Exception], why: str) -> None:
    with pytest.raises(error, match=why):
        visit(**settings)


def test_workers_do_not_share_memory(app_factory: AppFactory) -> None:
    conf = {"servers": {"web": {"kind": "http", "session": {"driver": "memory"}}}, "workers": {"count": 2}}
    with pytest.raises(ConfigError, match="2 workers cannot share"):
        app_factory([Shop], conf)


def test_a_handler_of_a_server_without_sessions_learns_so(app_factory: AppFactory) -> None:
    with pytest.raises(StartError, match="the server web has none"):
        app_factory([Shop])


def test_the_request_leads_to_it(app_factory: AppFactory) -> None:
    @http
    class Plain:
        @get("/plain")
        def plain(self, request: Request) -> str:
            return type(request.extra["session"]).__name__

    app = app_factory([Plain], {"servers": {"web": {"kind": "http", "session": {"driver": "memory"}}}})
    with HttpClient(app) as client:
        assert client.get("/plain").text == "Session"
