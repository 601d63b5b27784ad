from __future__ import annotations

import json
import subprocess
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.conformance import schemathesis
from tests.conformance.places import NotRun


@pytest.mark.live
def test_the_example_serves_its_document(tmp_path: Path) -> None:
    gunicorn = schemathesis.serving_shop(tmp_path)
    try:
        gunicorn.start()
        host, port = gunicorn.addresses["web"]
        with urlopen(f"http://{host}:{port}/openapi.json", timeout=10) as answer:
            paths = json.load(answer)["paths"]
    finally:
        gunicorn.stop()
    assert list(paths) == ["/hello/{name}", "/orders", "/orders/basket", "/orders/{order_id}"]


@pytest.mark.parametrize(("log", "status", "result"), [("", 0, 0), ("", 1, 1), ("Traceback (most recent call last)", 0, 1)])
def test_what_counts_as_passed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, log: str, status: int, result: int) -> None:
    class Shop:
        def __init__(self) -> None:
            self.addresses = {"web": ("127.0.0.1", 1)}
            self.log = log

        def start(self) -> None: ...

        def stop(self) -> None: ...

    monkeypatch.setattr(schemathesis, "install", lambda cache: Path("st"))
    monkeypatch.setattr(schemathesis, "serving_shop", lambda folder: Shop())
    monkeypatch.setattr(subprocess, "run", lambda *args, **kwargs: subprocess.CompletedProcess(args, status))
    assert schemathesis.run(tmp_path) == result


def test_what_cannot_be_had_is_not_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tests.conformance.schemathesis.sys.executable", "/bin/false")
    with pytest.raises(NotRun, match="a virtual environment cannot be had"):
        schemathesis.install(tmp_path)
