"""Greenlets that ask a database, check what they get, and are killed at random; and the bars for what happened to them."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Self

import gevent

from greenimi import green
from tests.soak.places import Verdict

Ask = Callable[[int], object]
"""One question of the asker of that number; raises Wrong for an answer that belongs to another question."""

_PAUSE = 0.02
_ENDS = 30.0
_LONGEST = 300
"""Characters of an error that are shown."""


class Wrong(Exception):
    """An answer was not the one to the question."""


class Load:
    """``count`` greenlets that ask one question after the other while the block runs.

    kill_within  questions are given up after a random time of up to so many seconds; 0: none is.
    kill_share   the share of questions that this happens to.
    answers      right ones.
    killed       questions that were given up.
    errors       how often each error came, by its class
    examples     the first text of each, by its class
    wrong        what was wrong with answers.
    longest      seconds that the slowest question took, however it ended.
    hung         askers that did not come to an end.
    """

    def __init__(self, ask: Ask, count: int = 32, kill_within: float = 0.0, kill_share: float = 1.0) -> None:
        self.answers = 0
        self.killed = 0
        self.errors: Counter[type[Exception]] = Counter()
        self.examples: dict[type[Exception], str] = {}
        self.wrong: list[str] = []
        self.longest = 0.0
        self.hung = 0
        self._ask = ask
        self._kill_within = kill_within
        self._kill_share = kill_share if kill_within else 0.0
        self._running = False
        self._answered = [0.0] * count
        self._failed = 0.0
        self._askers: list[Any] = []

    def __enter__(self) -> Self:
        self._running = True
        self._askers = [green.spawn(self._go, number) for number in range(len(self._answered))]
        return self

    def __exit__(self, *exc: object) -> None:
        self._running = False
        gevent.joinall(self._askers, timeout=_ENDS)
        self.hung = sum(not asker.dead for asker in self._askers)
        gevent.killall(self._askers)

    def _go(self, number: int) -> None:
        while self._running:
            began = time.monotonic()
            over = gevent.Timeout(random.uniform(0, self._kill_within) if random.random() < self._kill_share else None)
            over.start()
            try:
                self._ask(number)
            except gevent.Timeout as timeout:
                if timeout is not over:
                    raise
                self.killed += 1
            except Wrong as error:
                self.wrong.append(str(error))
            except Exception as error:
                self._note(error)
                self._failed = time.monotonic()
                over.close()
                green.sleep(_PAUSE)
            else:
                self.answers += 1
                self._answered[number] = time.monotonic()
            finally:
                over.close()
                self.longest = max(self.longest, time.monotonic() - began)

    def _note(self, error: Exception) -> None:
        kind = type(error)
        self.errors[kind] += 1
        self.examples.setdefault(kind, "; ".join([str(error), *getattr(error, "__notes__", ())]))

    def recovered(self, since: float, seconds: float) -> float | None:
        """Seconds from ``since`` until everybody had an answer after it and after the last error; None when that takes too long."""
        while time.monotonic() - since < seconds:
            if min(self._answered) > max(since, self._failed):
                return min(self._answered) - since
            green.sleep(_PAUSE)
        return None

    @property
    def asked(self) -> int:
        """Questions so far, however they ended."""
        return self.answers + self.killed + self.errors.total() + len(self.wrong)

    def wait_answers(self, number: int, seconds: float = _ENDS) -> None:
        """Until there are so many more answers; AssertionError when that takes too long."""
        until, wanted = time.monotonic() + seconds, self.answers + number
        while self.answers < wanted:
            assert time.monotonic() < until, f"no {number} answers within {seconds} seconds: {self.told}"
            green.sleep(_PAUSE)

    @property
    def told(self) -> str:
        return f"{self.answers} answers, {self.killed} given up, errors {self.told_errors}"

    @property
    def told_errors(self) -> str:
        return ", ".join(f"{number} {kind.__name__}" for kind, number in self.errors.items()) or "none"


def judge(verdict: Verdict, load: Load, *, longest: float, errors: tuple[type[Exception], ...] = ()) -> None:
    """The bars that each fault has: no wrong answer, no hang, bounded waiting, errors of these classes only."""
    verdict.say(load.told)
    for kind, text in load.examples.items():
        verdict.say(f"  {kind.__module__}.{kind.__name__}: {text[:_LONGEST]}")
    verdict.check(load.answers and not load.wrong, f"every answer belonged to its question ({len(load.wrong)} did not{_first(load.wrong)})")
    verdict.check(not load.hung, f"every asker came to an end ({load.hung} did not)")
    verdict.check(load.longest <= longest, f"no question took longer than {longest:g} s ({load.longest:.2f} s)")
    allowed = ", ".join(error.__name__ for error in errors)
    strange = [kind.__name__ for kind in load.errors if not issubclass(kind, errors)]
    verdict.check(not strange, f"errors were of {allowed} only{_first(strange)}" if allowed else f"there were no errors{_first(strange)}")


def judge_recovery(verdict: Verdict, load: Load, since: float, within: float) -> None:
    took = load.recovered(since, within + 10)
    verdict.check(
        took is not None and took <= within, f"all were served again after {'too long' if took is None else f'{took:.2f} s'} ({within:g} s)"
    )


def _first(found: list[str]) -> str:
    return f", the first: {found[0]}" if found else ""
