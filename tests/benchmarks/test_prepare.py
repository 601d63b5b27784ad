"""What a run needs is made once, and again when its source changed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks import prepare
from benchmarks.paths import FAN, LOAD, PACED, VISIT, BenchError
from benchmarks.servers import ROWS


def test_a_product_is_stale_when_any_of_its_sources_changed(tmp_path: Path) -> None:
    product, stamp, first, second = (tmp_path / name for name in ("product", "stamp", "first", "second"))
    for path in (product, first, second):
        path.write_text(path.name)
    assert not prepare.is_built(product, stamp, first, second)
    stamp.write_text(prepare.digest(first, second))
    assert prepare.is_built(product, stamp, first, second)
    second.write_text("changed")
    assert not prepare.is_built(product, stamp, first, second)


def test_each_row_gets_the_clients_it_is_measured_with() -> None:
    needed = {row.name: prepare.clients(row) for row in ROWS}
    assert needed["http-hello"] == needed["idle"] == []
    assert needed["ws-echo"] == needed["memory"] == [LOAD]
    assert needed["tls-connections"] == needed["tls-memory"] == needed["churn"] == [VISIT]
    assert needed["reload"] == [PACED]
    assert needed["fanout"] == needed["push"] == needed["idle-websockets-tls"] == [FAN]


def test_a_certificate_is_made_once(certificate: tuple[Path, Path]) -> None:
    before = [path.read_bytes() for path in certificate]
    prepare.make_certificate(*certificate)
    assert [path.read_bytes() for path in certificate] == before
    assert b"BEGIN CERTIFICATE" in before[0]
    assert b"PRIVATE KEY" in before[1]


def test_a_missing_package_is_named_where_it_cannot_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    prepare.need("nginx", found=True)
    with pytest.raises(BenchError, match="apt-get install nginx"):
        prepare.need("nginx", found=False)
