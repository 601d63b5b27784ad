"""The fixtures start applications, stop them, and notice what stays behind."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from gevent import monkey

from greenimi import bean
from greenimi.container.registry import current_container
from greenimi.errors import NoScope, StartError
from greenimi.testing.clients import HttpClient, MessageClient
from greenimi.testing.plugin import AppFactory, Serve
from tests.apps import echo

pytest_plugins = ["pytester"]
started: list[str] = []


@bean
class Lamp:
    pass


def test_the_standard_library_was_patched_before_collection() -> None:
    assert monkey.is_module_patched("socket")
    assert socket.socket.__module__.startswith("gevent")


def test_app_factory_takes_modules_names_functions_and_marked_things(app_factory: AppFactory) -> None:
    def includeme(setup: object) -> None:
        started.append("included")

    started.clear()
    app = app_factory(["tests.apps.echo", includeme, Lamp], echo.CONF)
    assert started == ["included"]
    assert app.container.get(Lamp) is app.container.get(Lamp)
    assert current_container() is app.container
    assert app.config.get("environment") == "test"


def test_the_default_container_is_gone_after_the_test() -> None:
    with pytest.raises(NoScope):
        current_container()


def test_an_application_that_cannot_start_leaves_nothing(app_factory: AppFactory) -> None:
    with pytest.raises(StartError):
        app_factory(["tests.apps.nothing_like_this"])
    with pytest.raises(NoScope):
        current_container()


def test_serve_opens_free_ports(serve: Serve) -> None:
    one, two = serve([echo], echo.CONF), serve([echo], echo.CONF)
    assert set(one.addresses) == {"web", "till", "beacon"}
    assert one.addresses["web"] != two.addresses["web"]
    with HttpClient(one.addresses["web"]) as client:
        assert client.get("/echo/x").status == 200


def test_serve_takes_a_file(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    conf = tmp_path / "conf" / "app.toml"
    conf.write_text('include = ["tests.apps.echo"]\n[servers.web]\nkind = "http"\nbind = "127.0.0.1:1"\n')
    served = serve(conf=conf)
    assert served.addresses["web"][1] > 1
    with HttpClient(served.addresses["web"]) as client:
        assert client.get("/echo/x").status == 200


def test_free_ports_can_be_bound(free_port: Callable[..., int]) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", free_port()))
        assert sock.getsockname()[1] > 0


def test_leaks_are_noticed(pytester: pytest.Pytester, pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(pytestconfig.rootpath))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(
        """
        import os
        from greenimi.testing import support
        support.PATIENCE = 1.0
        kept = []

        def test_leak(no_leaks):
            kept.append(os.pipe())

        def test_no_leak(no_leaks):
            reading, writing = os.pipe()
            os.close(reading)
            os.close(writing)
        """
    )
    result = pytester.runpytest_subprocess("-p", "greenimi.testing.plugin")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*left behind: *file descriptors*"])


def test_nothing_stays_behind_after_an_application(no_leaks: None, serve: Serve) -> None:
    served = serve([echo], echo.CONF)
    with HttpClient(served.addresses["web"]) as web, MessageClient(served.addresses["till"]) as till:
        assert web.get("/echo/x").status == 200
        assert till.request("echo", text="x") == {"text": "x"}
