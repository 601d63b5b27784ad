"""Requests that pages of other sites make in the name of their visitors are refused."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenimi import Request, csrf_exempt, get, http, post
from greenimi.errors import ConfigError, Refused, StartError
from greenimi.located import Told
from greenimi.testing.clients import HttpClient, TestResponse
from greenimi.testing.plugin import AppFactory
from greenimi.web import csrf_token
from greenimi.web.csrf import CsrfLayer, _mask, _unmask
from greenimi.web.settings import CsrfSettings

SESSIONS = {"session": {"driver": "memory"}}
FORM = "application/x-www-form-urlencoded"


@http
class Bank:
    @get("/form")
    def form(self) -> str:
        return csrf_token()

    @post("/pay")
    def pay(self, request: Request) -> str:
        return "paid"

    @post("/hook")
    @csrf_exempt
    def hook(self) -> str:
        return "heard"


@csrf_exempt
@http("/open")
class Open:
    @post("/pay")
    def pay(self) -> str:
        return "paid"


class Site:
    """A client that says whose page it shows by the header fields it is given."""

    def __init__(self, client: HttpClient) -> None:
        self._client = client
        self.cookie = ""

    def get(self, path: str = "/form") -> str:
        response = self._client.get(path, headers={"Cookie": self.cookie} if self.cookie else {})
        for line in response.headers.get_all("set-cookie"):
            self.cookie = line.partition(";")[0]
        return response.text

    def post(self, path: str = "/pay", *, body: str | bytes = "", method: str = "POST", **fields: str) -> TestResponse:
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        if self.cookie:
            headers.setdefault("Cookie", self.cookie)
        return self._client.request(method, path, body=body, headers=headers)


Visit = Callable[..., Site]


@pytest.fixture
def visit(app_factory: AppFactory) -> Iterator[Visit]:
    clients: list[HttpClient] = []

    def start(csrf: Any = None, **more: Any) -> Site:
        conf = {"servers": {"web": {"kind": "http", "csrf": csrf or {}, **(more or SESSIONS)}}}
        clients.append(HttpClient(app_factory([Bank, Open], conf)))
        return Site(clients[-1])

    yield start
    for client in clients:
        client.close()


# -- what browsers say ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"Sec_Fetch_Site": "same-origin", "Origin": "http://bank.example"}, 200),
        ({"Sec_Fetch_Site": "none"}, 200),
        ({"Sec_Fetch_Site": "cross-site", "Origin": "http://evil.example"}, 403),
        ({"Sec_Fetch_Site": "same-site", "Origin": "http://other.bank.example"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "cross-site", "Origin": "http://bank.example"}, 403),
        ({"Sec_Fetch_Site": "rubbish"}, 403),
        ({"Sec_Fetch_Site": "cross-site", "Origin": "https://partner.example"}, 200),
        ({"Origin": "http://bank.example"}, 200),
        ({"Origin": "HTTP://BANK.example:80"}, 200),
        ({"Origin": "https://bank.example"}, 200),  # TLS ends in a proxy that is not known
        ({"Origin": "http://bank.example:8000"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://bank.example.evil.example"}, 403),
        ({"Origin": "http://evil@bank.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "ftp://bank.example"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Origin": "https://partner.example"}, 200),
        ({"Origin": "https://partner.example:8443"}, 403),
    ],
)
def test_a_browser_says_whose_page_it_is(visit: Visit, fields: dict[str, str], status: int) -> None:
    site = visit({"origins": ["https://Partner.example"]})
    site.get()
    assert site.cookie
    response = site.post(Host="bank.example", **fields)
    assert response.status == status
    if status == 403:
        assert response.json()["detail"] == "this request comes from the page of another site"


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "POST"])
def test_every_method_that_changes_something_is_checked(visit: Visit, method: str) -> None:
    assert visit().post(method=method, Sec_Fetch_Site="cross-site").status == (403 if method == "POST" else 405)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_others_are_not(visit: Visit, method: str) -> None:
    assert visit().post("/form", method=method, Sec_Fetch_Site="cross-site").status in (200, 204)


def test_who_brings_no_cookies_and_is_no_browser_is_let_in(visit: Visit) -> None:
    assert visit().post().text == "paid"


def test_a_bearer_token_is_nothing_that_another_page_can_send(visit: Visit) -> None:
    site = visit()
    site.get()
    assert site.post(Authorization="Bearer abc", Sec_Fetch_Site="cross-site").status == 200
    assert site.post(Authorization="Basic abc", Sec_Fetch_Site="cross-site").status == 403


# -- the token -----------------------------------------------------------------------------------------------------


@pytest.fixture(params=[SESSIONS, {"uploads": {}}], ids=["in the session", "in a cookie"])
def silent(request: pytest.FixtureRequest, visit: Visit) -> Site:
    """An old browser, which does not say whose page it shows."""
    return visit({"check": "always"}, **request.param)


def test_where_the_browser_says_nothing_the_token_is_asked_for(silent: Site) -> None:
    token = silent.get()
    assert silent.post().status == 403
    assert silent.post(X_CSRF_Token=token).status == 200
    assert silent.post(X_CSRF_Token=token[:-1] + ("A" if token[-1] != "A" else "B")).status == 403
    assert silent.post(X_CSRF_Token="").status == 403
    assert silent.post(X_CSRF_Token="ä" * 10).status == 403


def test_a_form_brings_it_as_a_field(silent: Site) -> None:
    token = silent.get()
    assert silent.post(Content_Type=FORM, body=f"amount=1&csrf_token={token}").status == 200
    assert silent.post(Content_Type=FORM, body="amount=1").status == 403
    assert silent.post(Content_Type=FORM, body=f"csrf_token={token}&csrf_token={token}").status == 403
    assert silent.post(Content_Type="application/json", body=f'{{"csrf_token": "{token}"}}').status == 403
    body = f'--x\r\nContent-Disposition: form-data; name="csrf_token"\r\n\r\n{token}\r\n--x--'
    assert silent.post(Content_Type="multipart/form-data; boundary=x", body=body).status == 200
    assert silent.post(Content_Type="multipart/form-data; boundary=x", body="--x--").status == 403
    assert silent.post(Content_Type=FORM, body="%ff").status == 400


def test_it_is_another_text_each_time_and_all_are_good(silent: Site) -> None:
    tokens = {silent.get() for _ in range(5)}
    assert len(tokens) == 5
    assert all(silent.post(X_CSRF_Token=token).status == 200 for token in tokens)


def test_it_is_of_one_client(silent: Site) -> None:
    token = silent.get()
    other = Site(silent._client)
    other.get()
    assert other.cookie != silent.cookie
    assert other.post(X_CSRF_Token=token).status == 403


def test_a_cookie_without_a_secret_is_no_token(silent: Site) -> None:
    silent.cookie = "a=1; csrf=x"
    for token in ("", "x", "AAAA", base64.urlsafe_b64encode(bytes(36)).decode()):
        assert silent.post(X_CSRF_Token=token).status == 403


def test_the_cookie_that_has_the_secret(visit: Visit) -> None:
    site = visit({"check": "always", "cookie": "token"}, uploads={})
    line = site._client.get("/form").headers["set-cookie"]
    assert line.startswith("token=")
    assert line.endswith("; Path=/; HttpOnly; SameSite=Lax")
    site.get()
    assert "set-cookie" not in site._client.get("/form", headers={"Cookie": site.cookie}).headers


def test_it_may_be_asked_for_always(visit: Visit) -> None:
    site = visit({"token": True, "header": "X-Mine", "field": "mine"})
    token = site.get()
    assert site.post(Sec_Fetch_Site="same-origin").status == 403
    assert site.post(Sec_Fetch_Site="same-origin", X_Mine=token).status == 200
    assert site.post(Sec_Fetch_Site="same-origin", Content_Type=FORM, body=f"mine={token}").status == 200
    assert site.post(Sec_Fetch_Site="cross-site", X_Mine=token).status == 403


@given(st.binary(min_size=1, max_size=50))
def test_a_mask_is_taken_off_again(secret: bytes) -> None:
    assert _unmask(_mask(secret)) == secret


@given(st.text())
def test_any_text_can_be_unmasked(text: str) -> None:
    assert len(_unmask(text)) <= len(text)


# -- where ---------------------------------------------------------------------------------------------------------


def test_exempt_is_what_says_so(visit: Visit) -> None:
    site = visit()
    assert site.post("/hook", Sec_Fetch_Site="cross-site").text == "heard"
    assert site.post("/open/pay", Sec_Fetch_Site="cross-site").text == "paid"


def test_and_what_conf_says(visit: Visit) -> None:
    assert visit({"exempt": ["/pay"]}).post(Sec_Fetch_Site="cross-site").status == 200
    assert visit({"exempt": ["/p*"]}).post(Sec_Fetch_Site="cross-site").status == 200
    assert visit({"exempt": ["/p", "/pay/", "/pay/*"]}).post(Sec_Fetch_Site="cross-site").status == 403


def test_without_sessions_there_is_nothing_to_guard(visit: Visit) -> None:
    site = visit({}, uploads={})
    assert site.post(Sec_Fetch_Site="cross-site").status == 200
    assert site.get() == ""


def test_unless_conf_says_so_and_the_other_way_round(visit: Visit) -> None:
    assert visit({"check": "always"}, uploads={}).post(Sec_Fetch_Site="cross-site").status == 403
    assert visit({"check": "never"}).post(Sec_Fetch_Site="cross-site").status == 200


def test_an_origin_is_one(visit: Visit) -> None:
    for origin in ("shop.example", "https://shop.example/", "https://", "*"):
        with pytest.raises(ConfigError, match="no origin"):
            visit({"origins": [origin]})


def test_the_cookie_has_a_name(visit: Visit) -> None:
    with pytest.raises(ConfigError, match=r"csrf.cookie: 'a b' cannot be the name"):
        visit({"cookie": "a b"})


def test_the_mark_stands_in_a_controller(app_factory: AppFactory) -> None:
    @csrf_exempt
    def function() -> None: ...

    with pytest.raises(StartError, match="csrf_exempt"):
        app_factory([function])


def over_tls(cookie: str = "", **fields: str) -> Request:
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    request = Request("POST", "/pay", "/pay", "", f"POST /pay HTTP/1.1\r\nHost: bank.example\r\nCookie: {cookie}\r\n{lines}\r\n")
    request.told = Told("192.0.2.1", "https")
    return request


def test_over_tls_a_page_without_it_is_another_site() -> None:
    layer = CsrfLayer(CsrfSettings())
    assert layer(over_tls(Origin="https://bank.example"), lambda request: "paid") == "paid"
    with pytest.raises(Refused):
        layer(over_tls(Origin="http://bank.example"), lambda request: "paid")


def test_over_tls_no_other_host_can_set_the_cookie() -> None:
    layer = CsrfLayer(CsrfSettings())
    request = over_tls()
    token = layer.token(request)
    [(_, line)] = request.extra["late fields"]
    assert line.startswith("__Host-csrf=")
    assert "; Secure; HttpOnly" in line
    again = over_tls(line.partition(";")[0], **{"X-CSRF-Token": token})
    assert layer(again, lambda request: "paid") == "paid"
