"""Fixtures of the tests of caches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.cache.stores import own_client, plain_client

MakeClient = Callable[..., Any]


@pytest.fixture
def make_client() -> Iterator[MakeClient]:
    """``make_client(url=...)``: a client of greenimi's, closed at the end."""
    with ExitStack() as ends:
        yield lambda **settings: ends.enter_context(own_client(**settings))


@pytest.fixture
def make_plain() -> Iterator[MakeClient]:
    """``make_plain(url)``: a client of redis-py, closed at the end."""
    with ExitStack() as ends:
        yield lambda url: ends.enter_context(plain_client(url))
