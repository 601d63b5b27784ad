"""Names of keys that stay together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from greenimi.pool.redis.tags import tagged


def test_a_name_gets_braces() -> None:
    assert tagged("stock:42") == "{stock:42}"
    assert tagged(b"stock:42") == b"{stock:42}"


def test_a_name_with_a_hash_tag_stays() -> None:
    assert tagged("cart:{ann}:1") == "cart:{ann}:1"
    assert tagged("{}") == "{{}}"


@pytest.mark.parametrize("name", ["", "}", "}x", b""])
def test_a_name_that_cannot_have_one(name: str | bytes) -> None:
    with pytest.raises(ValueError, match="stay together"):
        tagged(name)


@given(st.text(min_size=1), st.text())
def test_whatever_follows_is_on_the_same_node(name: str, rest: str) -> None:
    try:
        tag = tagged(name)
    except ValueError:
        return
    assert key_slot((tag + rest).encode(errors="surrogatepass")) == key_slot(tag.encode(errors="surrogatepass"))
