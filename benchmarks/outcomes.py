"""What all measurements share: a server that fails is left out and named, and the progress is told."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Collection, Iterator

from benchmarks.paths import BenchError
from benchmarks.results import Figures, Outcome, medians
from benchmarks.servers import Row, Server


class Found:
    """The figures of a row's servers, and why some have none."""

    def __init__(self, row: Row, only: Collection[str]) -> None:
        """The named servers; all of them when `only` is empty."""
        self.servers = [server for server in row.servers if not only or server.name in only]
        self._rounds: dict[str, list[Figures]] = {server.name: [] for server in self.servers}
        self._failed: dict[str, str] = {}

    def add(self, server: Server, figures: Figures) -> None:
        self._rounds[server.name].append(figures)

    def has_failed(self, server: Server) -> bool:
        return server.name in self._failed

    @contextlib.contextmanager
    def noting_failure(self, server: Server) -> Iterator[None]:
        try:
            yield
        except (BenchError, OSError) as error:
            self._failed[server.name] = str(error)
            say(f"  {server.name} is left out: {error}")

    def outcomes(self) -> list[Outcome]:
        return [self._outcome(server) for server in self.servers]

    def _outcome(self, server: Server) -> Outcome:
        failed, rounds = self._failed.get(server.name), self._rounds[server.name]
        if failed or not rounds:
            return Outcome(server.name, server.about, failed=failed or "not measured")
        return Outcome(server.name, server.about, medians(rounds), rounds)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
