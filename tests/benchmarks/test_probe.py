"""What is asked of servers, and that one that answers otherwise is found out."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from benchmarks import prepare, probe
from benchmarks.greenimi_app.bench_app import Echo, Hello
from benchmarks.paths import ORDER
from greenimi import http, post
from greenimi.testing.clients import HttpClient
from greenimi.testing.plugin import Serve


def test_the_order_is_sent_back(serve: Serve) -> None:
    address = serve([Hello]).addresses["web"]
    probe.order(address[1], "/order")
    order = json.loads(ORDER.read_bytes())
    assert len(order) == 10
    with HttpClient(address) as web:
        answer = web.post("/order", json={**order, "quantity": 0, "status": "lost", "address": {**order["address"], "postcode": "x"}})
    assert [error["field"] for error in answer.json()["errors"]] == ["quantity", "status", "address.postcode"]


def test_another_answer_is_an_error(serve: Serve) -> None:
    @http
    class Forgetful:
        @post("/order")
        def order(self, payload: dict[str, Any]) -> dict[str, Any]:
            return {**payload, "tags": []}

    with pytest.raises(OSError, match=r"POST /order gave status 200 and"):
        probe.order(serve([Forgetful]).addresses["web"][1], "/order")


def test_a_file_is_compared_byte_by_byte(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mebibyte.bin"
    monkeypatch.setattr(probe, "FILE", file)
    prepare.make_file(file)
    port = serve([], {"servers": {"web": {"kind": "http", "static": {"/files": {"folder": str(tmp_path)}}}}}).addresses["web"][1]
    probe.file(port, "/files/mebibyte.bin")
    (tmp_path / "other.bin").write_bytes(os.urandom(1 << 20))
    for path in ("/files/other.bin", "/files/missing.bin"):
        with pytest.raises(OSError, match=f"GET {path} gave status"):
            probe.file(port, path)
    before = file.read_bytes()
    prepare.make_file(file)
    assert file.read_bytes() == before


def test_a_websocket_behind_tls(serve: Serve, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "CERTIFICATE", certificate[0])
    tls = {"certificate": str(certificate[0]), "key": str(certificate[1])}
    port = serve([Echo], {"servers": {"web": {"kind": "http", "tls": tls}}}).addresses["web"][1]
    probe.probe("wss", port)
    with pytest.raises(OSError, match="400 Bad Request"):
        probe.probe("ws", port)
