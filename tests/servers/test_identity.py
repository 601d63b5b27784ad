"""Who is calling, at every door: authenticators, guards, and what conf says about them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from greenimi import Identity, authenticator, closed, get, http, inherit, on, public, requires, tcp
from greenimi.app import App
from greenimi.errors import ConfigError, ConnectionClosed, StartError
from greenimi.testing.clients import DatagramClient, HttpClient, MessageClient, NotUpgraded, RequestFailed, WebSocketClient
from greenimi.testing.plugin import AppFactory
from greenimi.web import hash_key, hash_password
from tests.apps import members
from tests.apps.members import Members


@pytest.fixture
def app(app_factory: AppFactory) -> App:
    return app_factory([members], members.CONF)


@pytest.fixture
def known(app: App) -> Members:
    return app.container.get(Members)


def shown(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


# -- HTTP ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "nobody", "bob", "ann"),
    [
        ("/open", 200, 200, 200),
        ("/who", 200, 200, 200),
        ("/me", 401, 200, 200),
        ("/any", 401, 200, 200),
        ("/admin", 401, 403, 200),
        ("/either", 401, 403, 200),
        ("/own/bob", 401, 200, 403),
        ("/staff/inside", 401, 403, 200),
        ("/staff/admin", 401, 403, 403),
        ("/staff/door", 200, 200, 200),
        ("/nowhere", 404, 404, 404),
    ],
)
def test_who_gets_through(app: App, path: str, nobody: int, bob: int, ann: int) -> None:
    with HttpClient(app) as web:
        assert [web.get(path, headers=shown(token)).status for token in ("", "bob", "ann")] == [nobody, bob, ann]


def test_handlers_are_told_who_is_calling(app: App) -> None:
    with HttpClient(app) as web:
        assert web.get("/me", headers=shown("ann")).json() == ["ann", "admin", "staff"]
        assert web.get("/who").text == "nobody"
        assert web.get("/who", headers=shown("bob")).text == "bob"


def test_a_401_says_what_would_be_accepted(app: App) -> None:
    with HttpClient(app) as web:
        assert web.get("/me").headers.get_all("www-authenticate") == ['Bearer realm="greenimi"']
        wrong = web.get("/me", headers=shown("mallory"))
        assert (wrong.status, wrong.headers["www-authenticate"]) == (401, 'Bearer realm="greenimi", error="invalid_token"')
        assert "www-authenticate" not in web.get("/admin", headers=shown("bob")).headers


def test_nobody_is_asked_before_somebody_wants_to_know_and_then_once(app: App, known: Members) -> None:
    with HttpClient(app) as web:
        assert web.get("/open", headers=shown("mallory")).status == 200
        assert known.asked == []
        assert web.get("/me", headers=shown("ann")).status == 200
        assert known.asked == ["ann"]
        assert web.get("/me", headers=shown("bob")).json() == ["bob"]  # nothing is left of the request before it


def test_an_identity_that_expired_counts_for_nothing(app: App, known: Members) -> None:
    known.lasts("ann", -1)
    with HttpClient(app) as web:
        assert web.get("/me", headers=shown("ann")).status == 401


# -- WebSocket -----------------------------------------------------------------------------------------------------


def test_a_websocket_knows_its_client_before_it_opens(app: App, known: Members) -> None:
    with WebSocketClient(app, "/talk", headers=shown("ann")) as chat:
        assert chat.request("who") == "ann"
        assert known.happened == ["enter ann"]
        assert chat.request("admin") == "admin"
    with WebSocketClient(app, "/talk") as chat:
        assert chat.request("who") == "nobody"
        for action, status in (("admin", 401), ("me", 401)):
            with pytest.raises(RequestFailed) as caught:
                chat.request(action)
            assert caught.value.status == status
    with WebSocketClient(app, "/talk", headers=shown("bob")) as chat:
        with pytest.raises(RequestFailed) as caught:
            chat.request("admin")
        assert caught.value.status == 403


@pytest.mark.parametrize(("path", "token", "status"), [("/club", "", 401), ("/club", "bob", 403), ("/club", "x", 401), ("/talk", "x", 401)])
def test_a_handshake_is_refused_before_the_upgrade(app: App, known: Members, path: str, token: str, status: int) -> None:
    with pytest.raises(NotUpgraded) as caught:
        WebSocketClient(app, path, headers=shown(token))
    assert caught.value.status == status
    assert ("www-authenticate" in caught.value.response.headers) == (status == 401)
    assert known.happened == []


def test_who_passes_the_guard_of_a_websocket(app: App) -> None:
    with WebSocketClient(app, "/club", headers=shown("ann")) as club:
        assert club.request("me") == "ann"


def test_a_handler_may_say_who_it_is_from_now_on(app: App) -> None:
    with WebSocketClient(app, "/talk") as chat:
        chat.request("become", name="carol")
        assert chat.request("me") == "carol"
        chat.request("become", name="")
        with pytest.raises(RequestFailed):
            chat.request("me")


# -- TCP and UDP ---------------------------------------------------------------------------------------------------


def test_the_first_message_of_a_tcp_connection_says_who_its_client_is(app: App, known: Members) -> None:
    with MessageClient(app, "till") as till:
        till.send({"token": "ann"})
        assert till.receive() == {"identity": "ann"}
        assert till.request("me") == "ann"
        assert till.request("admin") == "admin"
        assert till.request("who", token="bob") == "ann"
        assert known.asked == ["ann"]


def test_the_message_that_says_it_is_answered_by_its_id(app: App) -> None:
    with MessageClient(app, "till") as till:
        assert till.request("anything", token="bob") == {"identity": "bob"}
        with pytest.raises(RequestFailed) as caught:
            till.request("admin")
        assert caught.value.status == 403


def test_who_says_nothing_gets_what_is_public(app: App) -> None:
    with MessageClient(app, "till") as till:
        assert till.request("who") == "nobody"
        with pytest.raises(RequestFailed) as caught:
            till.request("me")
        assert caught.value.status == 401
        assert till.request("x", token="ann") == {"identity": "ann"}  # still welcome


def test_wrong_credentials_are_answered_and_end_the_connection(app: App, known: Members) -> None:
    with MessageClient(app, "till") as till:
        till.send({"token": "mallory"})
        till.send({"token": "ann"})
        assert till.receive()["error"]["code"] == 401
        with pytest.raises(ConnectionClosed):
            till.receive()
        assert known.asked == ["mallory"]


def test_the_token_of_a_hello_is_the_hubs(app: App, known: Members) -> None:
    with MessageClient(app, "till") as till:
        token = till.request("$hello")["token"]
    with MessageClient(app, "till") as till:
        assert till.request("$hello", token=token)["restored"]
        assert known.asked == []
        assert till.request("x", token="ann") == {"identity": "ann"}


def test_each_datagram_says_who_sent_it(app: App) -> None:
    with DatagramClient(app, "beacon") as beacon:
        assert beacon.request("admin", token="ann") == "admin"
        assert beacon.request("who") == "nobody"
        for token, status in (("bob", 403), ("mallory", 401), ("", 401)):
            with pytest.raises(RequestFailed) as caught:
                beacon.request("admin", token=token)
            assert caught.value.status == status


# -- conf ----------------------------------------------------------------------------------------------------------


def test_a_server_whose_handlers_are_not_public(app_factory: AppFactory) -> None:
    required = {"identity": {"default": "required"}}
    app = app_factory([members], {"servers": {name: {**own, **required} for name, own in members.CONF["servers"].items()}})
    with HttpClient(app) as web:
        assert [web.get("/open", headers=shown(token)).status for token in ("", "bob")] == [401, 200]
        assert web.get("/staff/door").status == 200
        assert web.get("/staff/inside", headers=shown("bob")).status == 403
    with pytest.raises(NotUpgraded) as refused:
        WebSocketClient(app, "/talk")
    assert refused.value.status == 401
    with WebSocketClient(app, "/talk", headers=shown("bob")) as chat:
        assert chat.request("who") == "bob"
    with MessageClient(app, "till") as till, pytest.raises(RequestFailed) as caught:
        till.request("who")
    assert caught.value.status == 401


@http
class Me:
    @get("/me")
    def me(self, identity: Identity) -> list[str]:
        return [identity.id, *sorted(identity.roles)]


def test_users_and_keys_of_conf(app_factory: AppFactory) -> None:
    identity = {
        "users": {"ann": {"password": hash_password("sesame", work=2**4), "roles": ["admin"]}},
        "keys": {"robot": {"digest": hash_key("k1"), "roles": ["worker"]}},
        "realm": 'the "shop"',
    }
    app = app_factory([Me], {"servers": {"web": {"kind": "http", "identity": identity}}})
    with HttpClient(app) as web:
        assert web.get("/me", headers={"Authorization": "Basic YW5uOnNlc2FtZQ=="}).json() == ["ann", "admin"]
        assert web.get("/me", headers={"X-API-Key": "k1"}).json() == ["robot", "worker"]
        assert web.get("/me", headers={"X-API-Key": "k2"}).status == 401
        assert web.get("/me?api_key=k1").status == 401
        assert web.get("/me").headers.get_all("www-authenticate") == [
            'ApiKey realm="the \\"shop\\""',
            'Basic realm="the \\"shop\\"", charset="UTF-8"',
        ]
    identity |= {"key_query": "api_key", "key_header": "X-Key"}
    app = app_factory([Me], {"servers": {"web": {"kind": "http", "identity": identity}}})
    with HttpClient(app) as web:
        assert web.get("/me?api_key=k1").json() == ["robot", "worker"]
        assert web.get("/me", headers={"X-Key": "k1"}).status == 200


class Listed:
    """Named in conf."""

    challenge = "Listed"

    def authenticate(self, message: Any) -> Identity | None:
        return Identity("listed") if message.headers.get("x-list") else None


class Later(Listed):
    challenge = "Listed"

    def authenticate(self, message: Any) -> Identity | None:
        return Identity("later") if "x-list" in message.headers or "x-later" in message.headers else None


def test_several_are_asked_in_order(app_factory: AppFactory) -> None:
    names = [f"{__name__}:Listed", f"{__name__}:Later"]
    app = app_factory([Me], {"servers": {"web": {"kind": "http", "identity": {"authenticators": names}}}})
    with HttpClient(app) as web:
        assert web.get("/me", headers={"X-List": "1"}).json() == ["listed"]
        assert web.get("/me", headers={"X-Later": "1"}).json() == ["later"]
        assert web.get("/me").headers.get_all("www-authenticate") == ["Listed"]


@authenticator
class Both:
    """Marked, and named in conf."""

    asked = 0

    def authenticate(self, message: Any) -> Identity | None:
        Both.asked += 1
        return None


def test_one_that_is_marked_and_listed_is_asked_once(app_factory: AppFactory) -> None:
    conf = {"servers": {"web": {"kind": "http", "identity": {"authenticators": [f"{__name__}:Both"]}}}}
    with HttpClient(app_factory([Me, Both], conf)) as web:
        assert web.get("/me").status == 401
    assert Both.asked == 1


# -- mistakes ------------------------------------------------------------------------------------------------------


def conf_of(**identity: Any) -> dict[str, Any]:
    return {"servers": {"web": {"kind": "http", "identity": identity}, "till": {"kind": "tcp"}}}


def marked_for_no_server() -> type:
    @authenticator(server="wbe")
    class Lost(Listed):
        pass

    return Lost


def without_the_method() -> type:
    @authenticator
    class Empty:
        pass

    return Empty


def guarded_closing() -> type:
    @tcp
    class Bad:
        @closed
        @requires("admin")
        def leave(self) -> None: ...

    return Bad


def guarded_and_public() -> type:
    @tcp
    class Bad:
        @on("x")
        @requires("admin")
        @public
        def x(self) -> None: ...

    return Bad


def guarded_and_public_class() -> type:
    @tcp
    @requires("admin")
    @public
    class Bad:
        @on("x")
        def x(self) -> None: ...

    return Bad


@requires("admin")
class Guarded:
    @on("x")
    def x(self) -> str:
        return "in"


def open_heir() -> type:
    @tcp
    class Heir(Guarded): ...

    return Heir


def guarded_outside() -> type:
    @requires("admin")
    class Bad:
        pass

    return Bad


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (marked_for_no_server, "'wbe'; servers in conf: web, till"),
        (without_the_method, "authenticate"),
        (guarded_closing, "@requires on the @closed"),
        (guarded_and_public, "@requires and @public on .*Bad.x"),
        (guarded_and_public_class, "@requires and @public on .*Bad"),
        (guarded_outside, "not a method of a controller"),
    ],
)
def test_marks_that_cannot_be_meant(app_factory: AppFactory, make: Callable[[], type], problem: str) -> None:
    with pytest.raises(StartError, match=problem):
        app_factory([Me, make()], conf_of())


def test_a_guarded_base_does_not_leave_its_heirs_open(app_factory: AppFactory) -> None:
    with pytest.raises(StartError, match=r"does not hold for its heir .*Heir"):
        app_factory([Guarded, open_heir()], conf_of())

    @tcp
    @inherit()
    class Heir(Guarded): ...

    @tcp
    @public
    class Open(Guarded):
        @on("y")
        def y(self) -> str:
            return "open"

    app = app_factory([Guarded, Heir], conf_of())
    with MessageClient(app, "till") as till, pytest.raises(RequestFailed) as caught:
        till.request("x")
    assert caught.value.status == 401
    app = app_factory([Guarded, Open], conf_of())
    with MessageClient(app, "till") as till:
        assert (till.request("x"), till.request("y")) == ("in", "open")


@pytest.mark.parametrize(
    ("identity", "problem"),
    [
        ({"authenticators": [f"{__name__}:Missing"]}, "Missing"),
        ({"authenticators": [f"{__name__}:Me"]}, "no method authenticate"),
        ({"session": True}, "keeps no sessions"),
        ({"default": "private"}, "default"),
    ],
)
def test_settings_that_cannot_be_meant(app_factory: AppFactory, identity: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        app_factory([Me], conf_of(**identity))
