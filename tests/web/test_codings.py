"""Content codings, each read back by its own library."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from importlib import import_module

import brotli
import pytest
import zstandard

from greenimi.errors import ConfigError, MissingExtra
from greenimi.web.codings import KNOWN, compressors, installed

TEXT = b"to be, or not to be, that is the question " * 500


def unzstd(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompressobj().decompress(data)


def brotli_parts(data: bytes) -> bytes:
    found: bytes = brotli.Decompressor().process(data)
    return found


UNPACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: zlib.decompressobj(wbits=31).decompress(data),
    "br": brotli_parts,
    "zstd": unzstd,
}


@pytest.mark.parametrize("coding", KNOWN)
@pytest.mark.parametrize("level", [1, 5, 9])
def test_whole_bodies(coding: str, level: int) -> None:
    compressor = compressors([coding], level)[coding]()
    packed = compressor.part(TEXT, flush=False) + compressor.end()
    assert len(packed) < len(TEXT) / 10
    assert {"gzip": gzip.decompress, "br": brotli.decompress, "zstd": unzstd}[coding](packed) == TEXT


@pytest.mark.parametrize("coding", KNOWN)
def test_each_part_can_be_read_at_once(coding: str) -> None:
    compressor = compressors([coding], 5)[coding]()
    sent = b""
    for number in range(3):
        sent += compressor.part(b"part %d;" % number)
        assert UNPACK[coding](sent) == b"".join(b"part %d;" % at for at in range(number + 1))
    assert UNPACK[coding](sent + compressor.end()) == b"part 0;part 1;part 2;"


def test_by_default_what_is_installed() -> None:
    assert list(compressors([], 5)) == installed() == list(KNOWN)


def test_what_is_not_installed_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        if name in ("brotli", "zstandard"):
            raise ImportError(name)
        return import_module(name)

    monkeypatch.setattr("greenimi.web.codings.import_module", missing)
    for coding, extra in (("br", "brotli"), ("zstd", "zstandard")):
        with pytest.raises(MissingExtra) as caught:
            compressors([coding], 5)
        assert caught.value.hint == f"pip install greenimi[{extra}]"
    monkeypatch.setattr("greenimi.web.codings.find_spec", lambda name: None)
    assert list(compressors([], 5)) == ["gzip"]


def test_mistakes_in_conf() -> None:
    with pytest.raises(ConfigError, match="there is no coding 'deflate'"):
        compressors(["deflate"], 5)
    for level in (0, 10):
        with pytest.raises(ConfigError, match="from 1 to 9"):
            compressors([], level)
