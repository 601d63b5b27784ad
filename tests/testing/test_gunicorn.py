"""A real Gunicorn, with the application of these tests behind three doors."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from greenimi.testing.clients import DatagramClient, HttpClient, MessageClient
from greenimi.testing.plugin import ServeGunicorn
from tests.apps import echo


@pytest.mark.live
def test_gunicorn_with_two_workers(serve_gunicorn: ServeGunicorn, tmp_path: Path) -> None:
    conf = tmp_path / "app.toml"
    doors = "".join(f'[servers.{name}]\nkind = "{settings["kind"]}"\n' for name, settings in echo.CONF["servers"].items())
    conf.write_text(f'include = ["tests.apps.echo"]\n{doors}')
    gunicorn = serve_gunicorn(conf, workers=2, settings={"app.name": "live"})
    assert len(gunicorn.booted) == 2
    with HttpClient(gunicorn.addresses["web"]) as web:
        assert web.get("/echo/x").json() == {"text": "x"}
    with MessageClient(gunicorn.addresses["till"]) as till:
        assert till.request("echo", text="x") == {"text": "x"}
    with DatagramClient(gunicorn.addresses["beacon"]) as beacon:
        assert beacon.request("echo", text="x") == {"text": "x"}
    assert gunicorn.pid not in gunicorn.booted
    gunicorn.signal(signal.SIGTERM)
    assert gunicorn.stop() == 0
    assert "Shutting down" in gunicorn.log


@pytest.mark.live
def test_gunicorn_that_cannot_start(serve_gunicorn: ServeGunicorn, tmp_path: Path) -> None:
    conf = tmp_path / "app.toml"
    conf.write_text('include = ["no_such_module"]\n[servers.web]\nkind = "http"\n')
    with pytest.raises(AssertionError, match="no_such_module"):
        serve_gunicorn(conf)
