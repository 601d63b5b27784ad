"""Request targets in their four forms."""

from __future__ import annotations

import pytest

from greenimi.codec.target import split_target
from greenimi.errors import ProtocolError


@pytest.mark.parametrize(
    ("method", "target", "path", "query"),
    [
        ("GET", "/", "/", ""),
        ("GET", "/a/b?c=d&e", "/a/b", "c=d&e"),
        ("GET", "/a%20b/%C3%A9%2Fx?q=%20", "/a b/é/x", "q=%20"),
        ("GET", "/a#part?x", "/a", ""),
        ("GET", "http://h:80/a?b", "/a", "b"),
        ("GET", "HTTPS://h?b", "/", "b"),
        ("GET", "http://h", "/", ""),
        ("GET", "http://h?/admin", "/", "/admin"),
        ("GET", "http://h?x=%2F/admin", "/", "x=%2F/admin"),
        ("OPTIONS", "*", "*", ""),
        ("CONNECT", "h:443", "h:443", ""),
        ("GET", "//x/y", "//x/y", ""),
    ],
)
def test_forms(method: str, target: str, path: str, query: str) -> None:
    assert split_target(method, target) == (path, query)


@pytest.mark.parametrize(
    ("method", "target", "said"),
    [
        ("GET", "a/b", "neither a path nor a URL"),
        ("GET", "*", "neither a path nor a URL"),
        ("GET", "ftp://h/", "neither a path nor a URL"),
        ("GET", "http:///a", "has no host"),
        ("GET", "/%ff", "not UTF-8"),
    ],
)
def test_what_is_no_target(method: str, target: str, said: str) -> None:
    with pytest.raises(ProtocolError, match=said) as caught:
        split_target(method, target)
    assert caught.value.status == 400
