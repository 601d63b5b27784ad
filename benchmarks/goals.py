"""What greenimi wants to reach.  A goal is a sentence with a figure, judged after a run.

A goal that is missed makes the verdict of the run a failure; one that is only an aim is told and makes none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from benchmarks.results import Report
from benchmarks.servers import OURS


@dataclass(frozen=True)
class Goal:
    row: str
    text: str
    bound: float
    figure: str = "rate"
    server: str = ""  # the figure is compared with this one's: their quotient is judged
    least: bool = False  # at least `bound`, else at most
    aim: bool = False

    @property
    def sentence(self) -> str:
        return f"aim: {self.text}" if self.aim else self.text

    def value(self, report: Report) -> float | None:
        row = report.row(self.row)
        if row is None:
            return None
        return row.times(self.server, self.figure) if self.server else row.figure(OURS, self.figure)

    def reached(self, value: float) -> bool:
        return value >= self.bound if self.least else value <= self.bound

    def verdict(self, report: Report) -> tuple[str, str]:
        """The value found and the judgement, as words."""
        value = self.value(report)
        if value is None:
            return "-", "not measured"
        return f"{value:,.2f}", "reached" if self.reached(value) else "not reached"


def at_least(row: str, times: float, server: str) -> Goal:
    return Goal(row, f"at least {times:g} times {server}", times, server=server, least=True)


def at_most(row: str, bound: float, figure: str, text: str) -> Goal:
    return Goal(row, text, bound, figure)


def aim(goal: Goal) -> Goal:
    return replace(goal, aim=True)


def crowd(row: str, kib: float) -> tuple[Goal, ...]:
    return (
        at_most(row, kib, "connection_kib", f"at most {kib:g} KiB for each"),
        at_most(row, 25, "cpu_percent", "at most 25 % of a core, pings included"),
        at_most(row, 0, "missing", "every message reaches all, nobody's connection ends"),
        at_most(row, 0, "lost_workers", "no worker misses a heartbeat"),
        aim(at_most(row, 0, "blocked", "no loop stands still for 0.1 s")),
    )


GOALS = (
    at_least("http-hello", 2.0, "starlette"),
    at_least("http-hello", 5.5, "fastapi"),
    at_least("http-hello", 12, "flask-gevent"),
    at_least("http-browser", 2.0, "starlette"),
    at_least("http-pipeline16", 3.0, "starlette"),
    at_least("http-1000", 2.0, "starlette"),
    at_most("http-1000", 50_000, "p99_us", "p99 at most 50 000 µs"),
    at_least("http-json", 4, "fastapi"),
    at_least("http-json", 1.5, "litestar"),
    at_least("static", 0.5, "nginx"),
    at_least("http2", 1.3, "hypercorn"),
    at_least("http2", 2, "gunicorn-gevent"),
    at_least("ws-echo", 1.4, "uvicorn"),
    at_least("ws-echo-1k", 0.8, "aiohttp"),
    at_least("fanout", 0.85, "aiohttp"),
    at_least("fanout", 2, "gevent-websocket"),
    at_least("fanout-two", 1.2, "aiohttp"),
    Goal("relay", "at least 0.85 times one worker's deliveries a CPU second", 0.85, "per_cpu", "one-worker", least=True),
    at_most("push", 3, "times", "to the other worker at most 3 times as long as to the same (p50)"),
    at_least("tcp-line", 1.1, "asyncio-streams"),
    at_least("udp-echo", 3.0, "asyncio-datagram"),
    at_least("udp-echo", 0.6, "uvloop-datagram"),
    at_least("guest", 6.0, "gunicorn-gevent"),
    aim(at_least("guest", 0.9, "granian-wsgi")),
    at_least("tls-hello", 1.8, "asgi"),
    at_least("tls-connections", 0.4, "nginx"),
    aim(Goal("tls-connections", "CPU time a connection at most 2.5 times nginx's", 2.5, "cpu_us", "nginx")),
    at_most("tls-memory", 30, "connection_kib", "idle HTTPS connection at most 30 KiB"),
    at_most("http-memory", 8, "connection_kib", "idle HTTP connection at most 8 KiB"),
    at_most("memory", 56, "worker_mib", "worker at most 56 MiB"),
    at_most("memory", 8, "connection_kib", "idle WebSocket at most 8 KiB"),
    *crowd("idle-websockets", 8),
    *crowd("idle-websockets-tls", 30),
    at_most("idle", 0.5, "cpu_percent", "at most 0.5 % of a core"),
    at_most("reload", 0, "failed", "no failed request"),
    at_most("reload", 3, "p99_times", "p99 during the roll at most 3 times the one before"),
    at_most("upload", 16, "grown_mib", "a worker grows at most 16 MiB"),
    at_most("churn", 1, "slope_kib", "grows less than 1 KiB per 1000 connections"),
    at_most("churn", 0, "files_left", "no descriptor left"),
    at_most("tls-churn", 8, "slope_kib", "grows less than 8 KiB per 1000 connections"),
    at_most("tls-churn", 0, "files_left", "no descriptor left"),
    aim(at_most("pool", 3, "cpu_us", "at most 3 µs")),
    aim(at_most("cache-hit", 2, "cpu_us", "at most 2 µs")),
    aim(at_most("cacheable-hit", 4, "cpu_us", "at most 4 µs")),
    at_least("mysql", 1.5, "peewee-pool"),
    at_least("mysqlclient", 2.5, "greenimi-pymysql"),
    at_least("redis", 5, "redis-py"),
    at_least("redis-large", 0.5, "undisturbed"),
)


def missed(report: Report) -> Sequence[Goal]:
    """The goals that fail the run: measured, not reached, and more than an aim."""
    values = [(goal, goal.value(report)) for goal in GOALS if not goal.aim]
    return [goal for goal, value in values if value is not None and not goal.reached(value)]
