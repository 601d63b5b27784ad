"""What the fixtures are made of."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from greenimi import bean, get, green, http
from greenimi.errors import StartError
from greenimi.testing import support
from tests.apps import echo


@bean
class Marked:
    pass


@http
class Page:
    @get("/")
    def show(self) -> str:
        return "shown"


def includeme(setup: object) -> None:
    """Takes a setup."""


def test_wait_until_lets_others_run() -> None:
    found: list[int] = []
    green.spawn(found.append, 1)
    assert support.wait_until(lambda: found) == [1]
    with pytest.raises(AssertionError, match=r"not within 0\.01 seconds"):
        support.wait_until(lambda: False, 0.01)


def test_marked_things_are_gathered_by_their_module() -> None:
    first, module, function, name = support.gather([Marked, echo, includeme, "dotted.name", Page])
    assert (module, function, name) == (echo, includeme, "dotted.name")
    assert isinstance(first, ModuleType)
    assert first.__name__ == __name__
    assert {first.Marked, first.Page} == {Marked, Page}


def test_tables_get_free_addresses_and_a_test_environment() -> None:
    app = support.make_app({"servers": {"web": {"kind": "http"}, "fixed": {"bind": "127.0.0.1:1"}}})
    assert app.config.get("servers.web.bind") == support.ANY_PORT
    assert app.config.get("servers.fixed.bind") == "127.0.0.1:1"
    assert app.config.get("environment") == "test"


def test_files_get_free_addresses(tmp_path: Path) -> None:
    conf = tmp_path / "app.toml"
    conf.write_text('[servers.web]\nbind = "127.0.0.1:1"\n')
    assert support.make_app(conf).config.get("servers.web.bind") == support.ANY_PORT


def test_sockets_are_given_back() -> None:
    with support.serving(support.make_app({"servers": {"web": {}}}, [Page])) as (_, sockets):
        assert sockets["web"][0].fileno() > 0
    assert sockets["web"][0].fileno() == -1
    with pytest.raises(StartError), support.serving(support.make_app({"servers": {"web": {"layers": ["@nothing"]}}})):
        pass
