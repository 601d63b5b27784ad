from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Protocol

import pytest

from greenimi.components.openapi.documents import Documents
from greenimi.testing.support import make_app


class Describe(Protocol):
    """The document of the server ``web`` of an application, as plain data."""

    def __call__(self, *includes: Any, conf: Mapping[str, Any] = ..., web: Mapping[str, Any] = ...) -> dict[str, Any]:
        """``conf`` is the table ``[openapi]``, ``web`` that of the server."""


@pytest.fixture
def describe() -> Iterator[Describe]:
    with ExitStack() as ends:

        def made(*includes: Sequence[Any], conf: Mapping[str, Any] = {}, web: Mapping[str, Any] = {}) -> dict[str, Any]:
            app = make_app({"servers": {"web": dict(web)}, "openapi": dict(conf)}, [*includes, "greenimi.components.openapi"])
            ends.callback(app.stop)
            return app.commit().container.get(Documents).of("web")

        yield made
