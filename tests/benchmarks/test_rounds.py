"""Servers of a row must speak the same TLS."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from benchmarks import probe
from benchmarks.paths import BenchError
from benchmarks.rounds import agreed


def test_the_first_server_decides() -> None:
    assert agreed("", "TLSv1.3, A") == "TLSv1.3, A"
    assert agreed("TLSv1.3, A", "TLSv1.3, A") == "TLSv1.3, A"
    with pytest.raises(BenchError, match=r"it speaks TLSv1\.2, B, others TLSv1\.3, A"):
        agreed("TLSv1.3, A", "TLSv1.2, B")


def test_a_server_is_asked_what_it_speaks(
    serving: Callable[..., AbstractContextManager[int]], certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "CERTIFICATE", certificate[0])
    body = b'HTTP/1.1 200 OK\r\ncontent-length: 17\r\n\r\n{"hello":"world"}'
    with serving(lambda data: body, tls=True) as port:
        assert probe.negotiated(port).startswith("TLSv1.3, TLS_")
        assert probe.hello("https", port, "world") == '{"hello":"world"}'
    monkeypatch.setattr(probe, "trusting", ssl.create_default_context)
    with serving(lambda data: body, tls=True) as port, pytest.raises(OSError, match="certificate"):
        probe.hello("https", port, "world")
