"""What is measured of an upload."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from benchmarks.paths import BenchError
from benchmarks.process import resident
from benchmarks.upload import forget_peak, peak, sparse, upload


def test_a_sparse_file_takes_no_room(tmp_path: Path) -> None:
    file = sparse(tmp_path / "file", 64)
    assert file.stat().st_size == 64 * 2**20
    assert file.stat().st_blocks * 512 < 2**20


def test_the_peak_of_memory_is_what_was_held_since() -> None:
    large = bytearray(64 * 2**20)
    del large
    forget_peak(os.getpid())
    before = resident(os.getpid())
    assert peak(os.getpid()) - before < 16 * 2**20
    large = bytearray(os.urandom(1) * 64 * 2**20)
    assert peak(os.getpid()) - before > 48 * 2**20
    assert len(large) > before - before


@pytest.mark.skipif(not all(map(shutil.which, ("curl", "setpriv", "taskset"))), reason="curl and util-linux are needed")
@pytest.mark.parametrize(("body", "right"), [('{"bytes":1048576}', True), ('{"bytes":1}', False), ("", False)])
def test_an_upload_counts_when_all_of_it_arrived(
    serving: Callable[..., AbstractContextManager[int]], tmp_path: Path, body: str, *, right: bool
) -> None:
    answer = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
    ends = b"--\r\n"

    with serving(lambda data: answer if data.endswith(ends) else b"HTTP/1.1 100 Continue\r\n\r\n") as port:
        if right:
            assert upload(port, sparse(tmp_path / "file", 1), 1) > 0
        else:
            with pytest.raises(BenchError, match="the upload failed"):
                upload(port, sparse(tmp_path / "file", 1), 1)
