from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import BusyLoadingError, DataError, InvalidResponse, ResponseError

from greenimi.pool.redis import replies
from greenimi.pool.redis.replies import MORE, PythonReader, Reader, new_reader, pack, split_name

TEXT = st.binary(max_size=20)
LINE = st.text("abc xyz", max_size=8).map(str.encode)


def bulk(body: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(body), body)


def many(kind: bytes, parts: list[bytes], each: int = 1) -> bytes:
    return kind + b"%d\r\n" % (len(parts) // each) + b"".join(parts)


SCALARS = st.one_of(
    TEXT.map(bulk),
    LINE.map(lambda line: b"+%b\r\n" % line),
    st.integers(-(2**63), 2**63 - 1).map(lambda number: b":%d\r\n" % number),
    st.sampled_from(
        [b"_\r\n", b"#t\r\n", b"#f\r\n", b"$-1\r\n", b"*-1\r\n", b",1.5\r\n", b",-inf\r\n", b"=7\r\ntxt:abc\r\n", b"-ERR no\r\n"]
    ),
)
REPLIES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda parts: many(b"*", parts)),
        st.lists(inner, max_size=4).map(lambda parts: many(b"~", parts)),
        st.dictionaries(TEXT.map(bulk), inner, max_size=3).map(
            lambda pairs: many(b"%", [part for pair in pairs.items() for part in pair], 2)
        ),
    ),
    max_leaves=12,
)


def plain(reply: Any) -> Any:
    """Errors by what they say, so that they can be compared."""
    if isinstance(reply, Exception):
        return type(reply), str(reply)
    if isinstance(reply, list):
        return [plain(each) for each in reply]
    return {key: plain(value) for key, value in reply.items()} if isinstance(reply, dict) else reply


def read(reader: Reader, pieces: list[bytes]) -> list[Any]:
    found = []
    for piece in pieces:
        reader.feed(piece)
        while (reply := reader.gets()) is not MORE:
            found.append(plain(reply))
    return found


def cut(data: bytes, at: list[int]) -> list[bytes]:
    edges = [0, *sorted({edge % (len(data) + 1) for edge in at}), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@given(st.lists(REPLIES, max_size=4), st.lists(st.integers(0, 10_000), max_size=6))
def test_python_reads_what_hiredis_reads_in_any_pieces(wanted: list[bytes], at: list[int]) -> None:
    data = b"".join(wanted)
    found = read(PythonReader(False), cut(data, at))
    assert found == read(new_reader(False), [data])
    assert len(found) == len(wanted)


@pytest.mark.parametrize("reader", [PythonReader(True), new_reader(True)])
def test_texts_that_are_none_cost_one_reply(reader: Reader) -> None:
    reader.feed(b"*2\r\n$1\r\n\xff\r\n")
    assert reader.gets() is MORE
    reader.feed(b"+a\r\n+next\r\n")
    with pytest.raises(UnicodeDecodeError):
        reader.gets()
    assert reader.gets() == "next"
    assert reader.gets() is MORE


@pytest.mark.parametrize("reader", [PythonReader(False), new_reader(False)])
def test_errors_come_out_as_those_of_redis_py(reader: Reader) -> None:
    reader.feed(b"-LOADING wait\r\n-WRONGTYPE no\r\n")
    assert isinstance(reader.gets(), BusyLoadingError)
    error = reader.gets()
    assert isinstance(error, ResponseError)
    assert str(error) == "WRONGTYPE no"


@pytest.mark.parametrize("data", [b"hello\r\n", b":one\r\n", b"$x\r\n", b"\r\n"])
@pytest.mark.parametrize("decode", [True, False])
def test_what_is_no_reply(data: bytes, decode: bool) -> None:
    for reader in (PythonReader(decode), new_reader(decode)):
        reader.feed(data)
        with pytest.raises(InvalidResponse):
            reader.gets()


def test_only_python_reads() -> None:
    found = read(PythonReader(False), [b"!5\r\nERR x\r\n(123456789012345678901\r\n"])
    assert found == [(ResponseError, "x"), 123456789012345678901]


@pytest.mark.parametrize("reader", [PythonReader(False), new_reader(False)])
def test_pushes_are_told_from_replies(monkeypatch: pytest.MonkeyPatch, reader: Reader) -> None:
    monkeypatch.setattr(replies, "Push", replies._PythonPush if isinstance(reader, PythonReader) else replies.Push)
    reader.feed(b">2\r\n+invalidate\r\n*1\r\n+a\r\n*1\r\n+a\r\n")
    pushed = reader.gets()
    assert type(pushed) is replies.Push
    assert pushed == [b"invalidate", [b"a"]]
    assert type(reader.gets()) is list


WORDS = st.one_of(st.text(max_size=10), st.binary(max_size=10), st.integers(), st.floats(allow_nan=False))


@given(st.lists(WORDS, min_size=1, max_size=5))
def test_python_packs_what_hiredis_packs(words: list[Any]) -> None:
    given = ("SET", *words)
    assert replies._pack_python(given) == pack(given)


def test_what_cannot_be_sent() -> None:
    assert pack(("SET", bytearray(b"a"), memoryview(b"b"))) == b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n"
    for value in (None, True, [1]):
        with pytest.raises(DataError):
            pack(("SET", "key", value))
        with pytest.raises(DataError):
            replies._pack_python(("SET", "key", value))


def test_names_of_several_words() -> None:
    assert split_name(("CONFIG GET", "a")) == (b"CONFIG", b"GET", "a")
    assert split_name((b"GET", "a b")) == (b"GET", "a b")


WITHOUT = """
import sys

sys.modules["hiredis"] = None
from greenimi import green

green.patch()
from greenimi.pool.redis.client import Redis
from greenimi.pool.redis import replies

pushed = []
with Redis.from_url(sys.argv[1]) as client:
    client.link.on_push = pushed.append
    client.set("a", "x" * 200_000)
    assert len(client.get("a")) == len(client.get("a")) == 200_000
    assert client.pipeline().set("b", 1).incr("b").hset("h", "k", "v").hgetall("h").execute() == [True, 2, 1, {b"k": b"v"}]
    assert [each.get() for each in [green.spawn(client.incr, "b") for _ in range(20)]] == list(range(3, 23))
    client.link.execute("CLIENT", "TRACKING", "ON")
    client.get("b")
    client.own.blocking.take().resource.disconnect()
    with client.client() as other:
        other.set("b", 0)
    client.ping()
print(type(client.link._reader or replies.new_reader(False)).__name__, pushed)
"""


def test_without_hiredis(redis_url: str) -> None:
    found = subprocess.run([sys.executable, "-c", WITHOUT, redis_url], capture_output=True, text=True, timeout=30, check=False)
    assert found.stdout == "PythonReader [[b'invalidate', [b'b']]]\n", found.stderr
