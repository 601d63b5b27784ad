from __future__ import annotations

import json

import pytest
import yaml

from greenimi import get, http
from greenimi.components.openapi.documents import Documents
from greenimi.errors import StartError
from greenimi.testing.plugin import AppFactory

SERVERS = {"servers": {"web": {}, "admin": {}, "till": {"kind": "tcp"}}}


@http(server="web")
class Shop:
    @get("/tea")
    def tea(self) -> str:
        return ""


@http(server="admin")
class Admin:
    @get("/users")
    def users(self) -> str:
        return ""


def test_each_http_server_has_its_own(app_factory: AppFactory) -> None:
    documents = app_factory([Shop, Admin, "greenimi.components.openapi"], SERVERS).container.get(Documents)
    assert documents.servers == ["web", "admin"]
    assert list(documents.of("web")["paths"]) == ["/tea"]
    assert list(documents.of("admin")["paths"]) == ["/users"]
    assert json.loads(documents.json("admin")) == yaml.safe_load(documents.yaml("admin")) == documents.of("admin")
    for name, hint in (("wev", "did you mean web?"), ("x", "HTTP servers in conf: web, admin")):
        with pytest.raises(StartError, match="there is no HTTP server") as caught:
            documents.of(name)
        assert caught.value.hint == hint
