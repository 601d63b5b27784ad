"""Bearer tokens, keys, passwords and sessions."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from typing import Any

import pytest

from greenimi import Identity, Request, get, http, post
from greenimi.errors import ConfigError, Refusal, Unauthorized
from greenimi.message import Message
from greenimi.testing.clients import HttpClient
from greenimi.testing.plugin import AppFactory
from greenimi.web import Account, ApiKey, Basic, Bearer, hash_key, hash_password, log_in, log_out
from greenimi.web.authenticators import SessionIdentity
from greenimi.web.session import NoSession
from tests.web.sent import Connection, request

ANN = Identity("ann", frozenset({"admin"}))
KEPT = hash_password("sesame: ü", work=2)


class Tokens(Bearer):
    realm = "shop"

    def find(self, token: str) -> Identity | None:
        return ANN if token == "good" else None


class Keys(ApiKey):
    query = "key"

    def find(self, digest: str) -> Identity | None:
        return ANN if digest == hash_key("good") else None


class Users(Basic):
    guesses = 3

    def find(self, user: str) -> Account | None:
        return Account(ANN, KEPT) if user == "ann" else None


def message(data: Any) -> Message:
    found = Message(b"", Connection())  # type: ignore[arg-type]
    found.data = data
    return found


def field(value: str) -> Request:
    return request(headers={"Authorization": value})


def basic(text: str) -> Request:
    return field(f"Basic {base64.b64encode(text.encode()).decode()}")


@pytest.mark.parametrize(
    ("authenticator", "shown"),
    [
        (Tokens(), field("Bearer good")),
        (Tokens(), field("bearer  good ")),
        (Tokens(), message({"token": "good"})),
        (Keys(), request(headers={"X-API-Key": "good"})),
        (Keys(), request("/?key=bad&key=good")),
        (Keys(), message({"key": "good"})),
        (Users(), basic("ann:sesame: ü")),
        (Users(), message({"user": "ann", "password": "sesame: ü"})),
    ],
)
def test_who_says_it_right(authenticator: Any, shown: Message) -> None:
    assert authenticator.authenticate(shown) is ANN


@pytest.mark.parametrize(
    "shown",
    [request(), field("Digest x"), field(""), message({"text": "x"}), message(b"raw"), message({"token": 1, "key": None, "user": "ann"})],
)
@pytest.mark.parametrize("authenticator", [Tokens(), Keys(), Users()])
def test_who_says_nothing(authenticator: Any, shown: Message) -> None:
    assert authenticator.authenticate(shown) is None


@pytest.mark.parametrize(
    ("authenticator", "shown", "challenge"),
    [
        (Tokens(), field("Bearer bad"), 'Bearer realm="shop", error="invalid_token"'),
        (Tokens(), field("Bearer"), 'Bearer realm="shop", error="invalid_token"'),
        (Tokens(), message({"token": ""}), 'Bearer realm="shop", error="invalid_token"'),
        (Keys(), request(headers={"X-API-Key": "bad"}), 'ApiKey realm="greenimi"'),
        (Keys(), request("/?key="), 'ApiKey realm="greenimi"'),
        (Users(), basic("ann:wrong"), 'Basic realm="greenimi", charset="UTF-8"'),
        (Users(), basic("mallory:sesame: ü"), 'Basic realm="greenimi", charset="UTF-8"'),
        (Users(), basic(f"ann{'n' * 300}:x"), 'Basic realm="greenimi", charset="UTF-8"'),
        (Users(), basic("no colon"), 'Basic realm="greenimi", charset="UTF-8"'),
        (Users(), field("Basic %%%"), 'Basic realm="greenimi", charset="UTF-8"'),
        (Users(), field("Basic /w=="), 'Basic realm="greenimi", charset="UTF-8"'),
        (Users(), message({"user": "ann", "password": "wrong"}), 'Basic realm="greenimi", charset="UTF-8"'),
    ],
)
def test_who_says_it_wrong(authenticator: Any, shown: Message, challenge: str) -> None:
    with pytest.raises(Unauthorized) as caught:
        authenticator.authenticate(shown)
    assert caught.value.headers == (("WWW-Authenticate", challenge),)


def test_guessing_ends() -> None:
    users = Users()
    for _ in range(3):
        with pytest.raises(Unauthorized):
            users.authenticate(basic("ann:wrong"))
    with pytest.raises(Refusal) as caught:
        users.authenticate(basic("ann:sesame: ü"))
    assert caught.value.status == 429


def test_what_is_kept_is_not_shown() -> None:
    assert KEPT not in repr(Account(ANN, KEPT))


# -- sessions ------------------------------------------------------------------------------------------------------


@http
class Login:
    @post("/in")
    def enter(self, request: Request, seconds: float = 100) -> str:
        log_in(request, Identity("ann", frozenset({"b", "a"}), time.time() + seconds, {"name": "Ann"}))
        assert request.identity is not None
        return request.identity.id

    @post("/out")
    def leave(self, request: Request) -> str:
        log_out(request)
        return "nobody" if request.identity is None else "somebody"

    @get("/me")
    def me(self, identity: Identity) -> list[Any]:
        return [identity.id, sorted(identity.roles), dict(identity.claims)]


@pytest.fixture
def web(app_factory: AppFactory) -> Callable[[], HttpClient]:
    conf = {"servers": {"web": {"kind": "http", "identity": {"session": True}, "session": {"driver": "memory", "secure": "never"}}}}
    app = app_factory([Login], conf)
    return lambda: HttpClient(app)


def cookie_of(answer: Any) -> dict[str, str]:
    return {"Cookie": answer.headers["set-cookie"].partition(";")[0]}


def test_a_session_remembers_who_logged_in(web: Callable[[], HttpClient]) -> None:
    with web() as client:
        assert client.get("/me").status == 401
        entered = client.post("/in")
        assert entered.text == "ann"
        cookie = cookie_of(entered)
        assert client.get("/me", headers=cookie).json() == ["ann", ["a", "b"], {"name": "Ann"}]
        again = client.post("/in", headers={**cookie, "Sec-Fetch-Site": "same-origin"})
        assert cookie_of(again) != cookie  # an id that was known before the login is worth nothing after it
        assert client.get("/me", headers=cookie).status == 401
        cookie = cookie_of(again)
        assert client.post("/out", headers={**cookie, "Sec-Fetch-Site": "same-origin"}).text == "nobody"
        assert client.get("/me", headers=cookie).status == 401


def test_a_login_ends_with_its_identity(web: Callable[[], HttpClient]) -> None:
    with web() as client:
        cookie = cookie_of(client.post("/in?seconds=-1"))
        assert client.get("/me", headers=cookie).status == 401


def test_sessions_are_for_requests() -> None:
    assert SessionIdentity().authenticate(message({})) is None
    with pytest.raises(NoSession):
        SessionIdentity().authenticate(request())


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"keys": {"robot": {"digest": "open sesame"}}}, r"servers\.web: identity\.keys\.robot\.digest: .*\n  hint: greenimi.web.hash_key"),
        ({"users": {"ann": {"password": "open sesame"}}}, r"servers\.web: identity\.users\.ann\.password: .* greenimi.web.hash_password"),
    ],
)
def test_what_conf_keeps_was_made_by_our_own(app_factory: AppFactory, table: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        app_factory(conf={"servers": {"web": {"identity": table}}})
    assert "open sesame" not in str(caught.value)
