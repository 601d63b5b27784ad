from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from greenimi import Identity, Message, authenticator, csrf_exempt, delete, get, http, post, public, requires
from greenimi.components.openapi.security import scheme_of
from greenimi.servers.settings import ServerSettings
from greenimi.web.authenticators import Account, ApiKey, Basic, Bearer, SessionIdentity
from tests.components.openapi.conftest import Describe


class Tokens(Bearer):
    def find(self, token: str) -> Identity | None:
        return None


class Keys(ApiKey):
    header = "X-Key"

    def find(self, digest: str) -> Identity | None:
        return None


class Users(Basic):
    def find(self, user: str) -> Account | None:
        return None


class Own:
    scheme: Mapping[str, Any] = {"type": "openIdConnect", "openIdConnectUrl": "https://id.example.org"}

    def authenticate(self, message: Message) -> Identity | None:
        return None


class Silent:
    def authenticate(self, message: Message) -> Identity | None:
        return None


@pytest.mark.parametrize(
    ("kind", "scheme"),
    [
        (Tokens, {"type": "http", "scheme": "bearer"}),
        (Users, {"type": "http", "scheme": "basic"}),
        (Keys, {"type": "apiKey", "in": "header", "name": "X-Key"}),
        (SessionIdentity, {"type": "apiKey", "in": "cookie", "name": "session"}),
        (Own, Own.scheme),
        (Silent, {}),
    ],
)
def test_schemes_of_authenticators(kind: type, scheme: dict[str, Any]) -> None:
    assert scheme_of(kind, ServerSettings()) == scheme


@http("/guarded")
@requires("staff")
class Guarded:
    @get("/one")
    @requires(any_of=("a", "b"))
    def one(self) -> str:
        """Shows one."""
        return ""

    @get("/open")
    @public
    def open(self) -> str:
        return ""


@http("/free")
class Free:
    @get("/who")
    def who(self, identity: Identity) -> str:
        return ""

    @get("/perhaps")
    def perhaps(self, identity: Identity | None) -> str:
        return ""

    @get("/all")
    def all(self) -> str:
        return ""

    @post("/change")
    def change(self) -> str:
        return ""

    @delete("/exempt")
    @csrf_exempt
    def exempt(self) -> str:
        return ""


def securities(document: Any) -> dict[str, Any]:
    return {path: operation.get("security") for path, item in document["paths"].items() for operation in item.values()}


def test_guards_ask_for_one_of_the_schemes(describe: Describe) -> None:
    document = describe(Guarded, Free, authenticator(type("Tokens", (Tokens,), {})), authenticator(type("Keys", (Keys,), {})))
    ways: list[dict[str, list[str]]] = [{"Tokens": []}, {"Keys": []}]
    assert securities(document) == {
        "/guarded/one": ways,
        "/guarded/open": None,
        "/free/who": ways,
        "/free/perhaps": [{}, *ways],
        "/free/all": None,
        "/free/change": None,
        "/free/exempt": None,
    }
    assert list(document["components"]["securitySchemes"]) == ["Tokens", "Keys"]
    one = document["paths"]["/guarded/one"]["get"]
    assert {"401", "403"} <= one["responses"].keys()
    assert one["description"] == "Roles: `staff`.\n\nRoles: one of `a`, `b`."
    assert "403" not in document["paths"]["/free/who"]["get"]["responses"]
    assert "401" not in document["paths"]["/guarded/open"]["get"]["responses"]


def test_a_server_whose_handlers_are_guarded_by_default(describe: Describe) -> None:
    key = {"digest": "0" * 64}
    document = describe(Guarded, Free, web={"identity": {"default": "required", "keys": {"robot": key}, "key_header": "X-Robot"}})
    found = securities(document)
    assert found["/free/all"] == [{"ApiKey": []}]
    assert found["/guarded/open"] is None
    assert document["components"]["securitySchemes"] == {"ApiKey": {"type": "apiKey", "in": "header", "name": "X-Robot"}}


def test_what_is_refused_to_pages_of_other_sites(describe: Describe) -> None:
    paths = describe(Free, web={"csrf": {"check": "always"}})["paths"]
    assert "403" in paths["/free/change"]["post"]["responses"]
    assert "403" not in paths["/free/exempt"]["delete"]["responses"]
    assert "403" not in paths["/free/all"]["get"]["responses"]
