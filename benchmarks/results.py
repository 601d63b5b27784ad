"""What a run found, as plain data that goes into JSON and comes back."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.servers import OURS, Load

Figures = Mapping[str, float]


@dataclass(frozen=True)
class Outcome:
    """One server in one row: the median of each figure over the rounds, or why there is none."""

    server: str
    about: str
    figures: Figures = field(default_factory=dict)
    rounds: Sequence[Figures] = ()
    failed: str = ""


@dataclass(frozen=True)
class RowResult:
    """`figures` have units in their names, such as rate (a second), p99_us, cpu_us (a request), connection_kib; `benchmarks.tables`
    has all of them.  `tls` is the version and cipher that was spoken, if any."""

    row: str
    title: str
    load: Load
    outcomes: Sequence[Outcome]
    tls: str = ""

    def figure(self, server: str, name: str) -> float | None:
        return next((outcome.figures.get(name) for outcome in self.outcomes if outcome.server == server), None)

    def times(self, server: str, figure: str = "rate") -> float | None:
        """How many times as much as this server greenimi does, in requests a second or in another figure that counts."""
        ours, theirs = self.figure(OURS, figure), self.figure(server, figure)
        return ours / theirs if ours and theirs else None


@dataclass(frozen=True)
class Report:
    machine: Mapping[str, str]
    rounds: int
    seconds: int
    rows: Sequence[RowResult]

    def row(self, name: str) -> RowResult | None:
        return next((row for row in self.rows if row.row == name), None)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Report:
        """The inverse of `as_json`; KeyError or TypeError for anything else."""
        rows = [RowResult(**{**row, "outcomes": [Outcome(**outcome) for outcome in row["outcomes"]]}) for row in data["rows"]]
        return cls(data["machine"], data["rounds"], data["seconds"], rows)


def medians(rounds: Sequence[Figures]) -> dict[str, float]:
    return {name: statistics.median(figures[name] for figures in rounds) for name in rounds[0]}
