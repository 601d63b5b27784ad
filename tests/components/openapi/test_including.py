from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from greenimi import get, http
from greenimi.components.openapi.documents import Documents
from greenimi.errors import ConfigError, ConflictError
from greenimi.testing.plugin import AppFactory


@http(server="web")
class Shop:
    @get("/tea")
    def tea(self) -> str:
        return ""


def served(app_factory: AppFactory, conf: Mapping[str, Any], environment: str = "test") -> list[str]:
    table = {"environment": environment, "servers": {"web": {}, "admin": {}}, "openapi": conf}
    app = app_factory([Shop, "greenimi.components.openapi"], table)
    assert app.container.get(Documents).servers == ["web", "admin"]
    return [f"{route.server} {route.template.text}" for route in app.setup.introspect("route") if route.controller is not Shop]


EVERYTHING = ["/openapi.json", "/openapi.yaml", "/docs", "/docs/{file}"]


def test_every_server_serves_its_own_while_developing(app_factory: AppFactory) -> None:
    wanted = [f"{server} {path}" for server in ("web", "admin") for path in EVERYTHING]
    assert sorted(served(app_factory, {})) == sorted(wanted)
    assert sorted(served(app_factory, {}, "development")) == sorted(wanted)


@pytest.mark.parametrize(
    ("environment", "conf", "paths"),
    [
        ("production", {}, []),
        ("production", {"environments": ["*"], "servers": ["web"]}, EVERYTHING),
        ("production", {"environments": ["production"], "servers": ["web"], "page": ""}, ["/openapi.json", "/openapi.yaml"]),
        ("test", {"environments": ["development"]}, []),
        ("test", {"servers": ["web"], "document": ""}, ["/openapi.yaml"]),
        ("test", {"servers": ["web"], "document": "/d", "yaml": "", "page": "/"}, ["/d", "/", "/{file}"]),
    ],
)
def test_what_conf_leaves_out(app_factory: AppFactory, environment: str, conf: Mapping[str, Any], paths: list[str]) -> None:
    assert sorted(served(app_factory, conf, environment)) == sorted(f"web {path}" for path in paths)


@pytest.mark.parametrize(
    ("conf", "text"),
    [
        ({"page": "docs"}, "openapi.page: the path 'docs' does not begin with /"),
        ({"servers": ["wev"]}, "openapi.servers: there is no HTTP server 'wev'"),
        ({"files": {"other": "a.json"}}, "openapi.files: there is no HTTP server 'other'"),
        ({"files": {"web": "/nothing/here.json"}}, "/nothing/here.json: "),
        ({"pages": "/docs"}, "did you mean page"),
    ],
)
def test_wrong_conf_is_named(app_factory: AppFactory, conf: Mapping[str, Any], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        served(app_factory, conf)
    assert text in str(caught.value)


def test_a_path_that_the_application_has_itself_is_a_conflict(app_factory: AppFactory) -> None:
    @http(server="web")
    class Docs:
        @get("/docs")
        def docs(self) -> str:
            return ""

    with pytest.raises(ConflictError, match="/docs"):
        app_factory([Docs, "greenimi.components.openapi"], {"servers": {"web": {}}})
