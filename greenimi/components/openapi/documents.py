"""The documents of an application, each made when it is first asked for."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from greenimi.components.openapi.document import Facts, document_of
from greenimi.components.openapi.output import to_json, to_yaml
from greenimi.components.openapi.schemas import Schema
from greenimi.errors import StartError


class Documents:
    """One OpenAPI document for each HTTP server, by the server's name.  Filled at commit.

    Each method raises StartError for a server that there is not, and for a document whose hand-written parts break its shape.
    """

    def __init__(self) -> None:
        self._facts: dict[str, Facts] = {}
        self._made: dict[str, Schema] = {}

    def fill(self, facts: Iterable[Facts]) -> None:
        self._facts = {each.server: each for each in facts}

    @property
    def servers(self) -> list[str]:
        return list(self._facts)

    def of(self, server: str) -> Schema:
        """The document as plain data; not to be changed."""
        if server not in self._facts:
            close = difflib.get_close_matches(server, self._facts, 1)
            hint = f"did you mean {close[0]}?" if close else f"HTTP servers in conf: {', '.join(self._facts) or 'none'}"
            raise StartError(f"there is no HTTP server {server!r}", hint=hint)
        if server not in self._made:
            self._made[server] = document_of(self._facts[server])
        return self._made[server]

    def json(self, server: str) -> bytes:
        return to_json(self.of(server))

    def yaml(self, server: str) -> bytes:
        """Needs PyYAML: StartError names the extra."""
        return to_yaml(self.of(server))
