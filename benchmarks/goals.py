"""What greenimi wants to reach.  A goal is a sentence with a figure, judged after a run; it never fails one."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.results import Report
from benchmarks.servers import OURS


@dataclass(frozen=True)
class Goal:
    row: str
    text: str
    bound: float
    server: str = ""  # compared with this one: at least `bound` times its requests
    figure: str = ""  # or greenimi's own figure: at most `bound`

    def value(self, report: Report) -> float | None:
        row = report.row(self.row)
        if row is None:
            return None
        return row.times(self.server) if self.server else row.figure(OURS, self.figure)

    def reached(self, value: float) -> bool:
        return value >= self.bound if self.server else value <= self.bound

    def verdict(self, report: Report) -> tuple[str, str]:
        """The value found and the judgement, as words."""
        value = self.value(report)
        if value is None:
            return "-", "not measured"
        return f"{value:,.2f}", "reached" if self.reached(value) else "not reached"


def at_least(row: str, times: float, server: str) -> Goal:
    return Goal(row, f"at least {times:g} times {server}", times, server=server)


def at_most(row: str, bound: float, figure: str, text: str) -> Goal:
    return Goal(row, text, bound, figure=figure)


GOALS = (
    at_least("http-hello", 2.0, "starlette"),
    at_least("http-hello", 5.5, "fastapi"),
    at_least("http-hello", 12, "flask-gevent"),
    at_least("http-browser", 2.0, "starlette"),
    at_least("http-pipeline16", 3.0, "starlette"),
    at_least("http-1000", 2.0, "starlette"),
    at_most("http-1000", 50_000, "p99_us", "p99 at most 50 000 µs"),
    at_least("ws-echo", 1.4, "uvicorn"),
    at_least("tcp-line", 1.1, "asyncio-streams"),
    at_least("udp-echo", 3.0, "asyncio-datagram"),
    at_most("memory", 56, "worker_mib", "worker at most 56 MiB"),
    at_most("memory", 8, "connection_kib", "idle WebSocket at most 8 KiB"),
)
